/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of the step accumulate: section 3.2 for the rows row .. row+rows-1 of every problem. Sums are integers, so
 * that the order of additions does not matter. Two ways:
 *
 *   - Few sums (FKMI_LOCAL_SUMS): each group adds a piece of the rows to sums of its own in local memory.
 *   - Otherwise rows are listed by label (count, starts, place), and an item adds a few columns of a piece of that list
 * in registers, touching memory once per cluster. DELTA lists the rows whose label changed instead and moves each; if
 * they are many, all sums of the problem are made anew. Only the device knows: the kernels of both ways are launched,
 * each for the problems that are active for it, and those with none end at once.
 */
#ifndef FKMI_COMMON_UPDATE_H
#define FKMI_COMMON_UPDATE_H

/* ---- few sums ---- */

/* Adds v to a 64-bit number whose halves lie in two arrays. */
FKMI_INLINE void fkmi_local_add64(FKMI_LOCAL int32_t *low, FKMI_LOCAL int32_t *high, int64_t at, int64_t v)
{
	uint32_t before = (uint32_t)fkmi_local_add32(&low[at], (int32_t)v), after = before + (uint32_t)v;
	int32_t carry = (int32_t)(v >> 32) + (after < before ? 1 : 0);
	if (carry != 0)
		fkmi_local_add32(&high[at], carry);
}

/* K * (d + 1) <= FKMI_LOCAL_SUMS. previous null: FULL. */
FKMI_KERNEL fkmi_k_local_sums(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_WEIGHTS_ARGS,
							  FKMI_ARG(const double, scale), FKMI_ARG(const int64_t, state),
							  FKMI_ARG(const int32_t, labels), FKMI_ARG(const int32_t, previous),
							  FKMI_ARG(int64_t, sums), FKMI_ARG(int64_t, weight_sums), int32_t k_count, int64_t row,
							  int64_t rows, int64_t piece, int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_WEIGHTS_MAKE(weight);
	FKMI_USE(const double, scale);
	FKMI_USE(const int64_t, state);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(const int32_t, previous);
	FKMI_USE(int64_t, sums);
	FKMI_USE(int64_t, weight_sums);
	FKMI_LOCAL_ARRAY(int32_t, low, FKMI_LOCAL_SUMS);
	FKMI_LOCAL_ARRAY(int32_t, high, FKMI_LOCAL_SUMS);
	/* A cluster has a sum for each column and, last, that of its weights. */
	const int item = fkmi_item(), width = (int)d + 1, count = k_count * width;
	const int row_step = FKMI_GROUP / width, column_step = FKMI_GROUP % width;
	FKMI_EACH(work, pieces)
	{
		int64_t b = work / pieces, first = (work - b * pieces) * piece, end = row + fkmi_smaller(rows, first + piece);
		for (int i = item; i < count; i += FKMI_GROUP)
			low[i] = high[i] = 0;
		FKMI_BARRIER();
		double weight_scale = fkmi_bits_double(state[b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]);
		int64_t i = row + first + item / width;
		int j = item % width;
		while (i < end) {
			int32_t to = labels[b * n + i], from = previous != 0 ? previous[b * n + i] : -1;
			if (from != to) {
				double w = fkmi_weight(&weight, b, i);
				int64_t q;
				if (j < (int)d) {
					double x = fkmi_coordinate(&p, fkmi_row(&p, b, i), fkmi_row_factor(&p, b, i), j);
					q = fkmi_rint(w * x * scale[b * d + j]);
				} else {
					q = fkmi_rint(w * weight_scale);
				}
				fkmi_local_add64(low, high, (int64_t)to * width + j, q);
				if (from >= 0)
					fkmi_local_add64(low, high, (int64_t)from * width + j, -q);
			}
			i += row_step;
			j += column_step;
			if (j >= width) {
				j -= width;
				i++;
			}
		}
		FKMI_BARRIER();
		for (int s = item; s < count; s += FKMI_GROUP) {
			int64_t sum = (int64_t)((uint64_t)(uint32_t)high[s] << 32 | (uint32_t)low[s]);
			int k = s / width, column = s - k * width;
			if (sum == 0)
				continue;
			if (column < (int)d)
				fkmi_add64(&sums[(b * k_count + k) * d + column], sum);
			else
				fkmi_add64(&weight_sums[b * k_count + k], sum);
		}
		FKMI_BARRIER();
	}
}

/* ---- which rows changed ---- */

/* Lists the rows whose label differs from the previous one, in no order, and counts them in changed (zero before). */
FKMI_KERNEL fkmi_k_list_changed(FKMI_ARG(const int32_t, active), FKMI_ARG(const int32_t, labels),
								FKMI_ARG(const int32_t, previous), FKMI_ARG(int32_t, list), FKMI_ARG(int32_t, changed),
								int64_t n, int64_t row, int64_t rows, int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(const int32_t, previous);
	FKMI_USE(int32_t, list);
	FKMI_USE(int32_t, changed);
	FKMI_LOCAL_ARRAY(int32_t, place, 2);
	const int item = fkmi_item();
	FKMI_EACH(work, pieces)
	{
		int64_t b = work / pieces, first = (work - b * pieces) * (FKMI_CHANGED_ROWS * FKMI_GROUP);
		if (item == 0)
			place[0] = 0;
		FKMI_BARRIER();
		uint32_t mine = 0;
		for (int r = 0; r < FKMI_CHANGED_ROWS; r++) {
			int64_t i = first + r * FKMI_GROUP + item;
			if (i < rows && labels[b * n + row + i] != previous[b * n + row + i])
				mine |= 1u << r;
		}
		int32_t at = mine != 0 ? fkmi_local_add32(&place[0], fkmi_count_bits(mine)) : 0;
		FKMI_BARRIER();
		if (item == 0)
			place[1] = place[0] > 0 ? fkmi_add32(&changed[b], place[0]) : 0;
		FKMI_BARRIER();
		at += place[1];
		for (int r = 0; r < FKMI_CHANGED_ROWS; r++)
			if (mine >> r & 1)
				list[b * rows + at++] = (int32_t)(first + r * FKMI_GROUP + item);
		FKMI_BARRIER();
	}
}

/* Decides, of each problem, whether its rows are moved or its sums are made anew, which are zeroed then: moving a row
 * takes twice the reads and writes of adding one. moved and anew are what is active in the kernels that do it. */
FKMI_KERNEL fkmi_k_choose_way(FKMI_ARG(const int32_t, active), FKMI_ARG(const int32_t, changed),
							  FKMI_ARG(int32_t, moved), FKMI_ARG(int32_t, anew), FKMI_ARG(int64_t, sums),
							  FKMI_ARG(int64_t, weight_sums), int64_t rows, int64_t k_count, int64_t d, int64_t piece,
							  int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int32_t, changed);
	FKMI_USE(int32_t, moved);
	FKMI_USE(int32_t, anew);
	FKMI_USE(int64_t, sums);
	FKMI_USE(int64_t, weight_sums);
	const int64_t elements = k_count * d;
	/* Of inactive problems, too, must be said that they are neither. */
	for (int64_t work = fkmi_group(); work < b_count * pieces; work += fkmi_groups()) {
		int64_t b = work / pieces, first = (work - b * pieces) * piece;
		bool many = 4 * (int64_t)changed[b] > rows;
		if (first == 0 && fkmi_item() == 0) {
			moved[b] = active[b] && !many;
			anew[b] = active[b] && many;
		}
		if (!active[b] || !many)
			continue;
		int64_t end = fkmi_smaller(elements, first + piece);
		for (int64_t i = first + fkmi_item(); i < end; i += FKMI_GROUP) {
			sums[b * elements + i] = 0;
			if (i < k_count)
				weight_sums[b * k_count + i] = 0;
		}
	}
}

/* Moves the listed rows from their previous cluster to their new one, `lanes` items (a power of two) to a row. */
FKMI_KERNEL fkmi_k_move_changed(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_WEIGHTS_ARGS,
								FKMI_ARG(const double, scale), FKMI_ARG(const int64_t, state),
								FKMI_ARG(const int32_t, labels), FKMI_ARG(const int32_t, previous),
								FKMI_ARG(const int32_t, list), FKMI_ARG(const int32_t, changed),
								FKMI_ARG(int64_t, sums), FKMI_ARG(int64_t, weight_sums), int64_t k_count, int64_t row,
								int64_t rows, int32_t lanes, int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_WEIGHTS_MAKE(weight);
	FKMI_USE(const double, scale);
	FKMI_USE(const int64_t, state);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(const int32_t, previous);
	FKMI_USE(const int32_t, list);
	FKMI_USE(const int32_t, changed);
	FKMI_USE(int64_t, sums);
	FKMI_USE(int64_t, weight_sums);
	const int item = fkmi_item(), lane = item & (lanes - 1), sets = FKMI_GROUP / lanes;
	FKMI_EACH(work, pieces)
	{
		int64_t b = work / pieces;
		double weight_scale = fkmi_bits_double(state[b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]);
		/* Piece s takes every pieces-th set of rows. */
		for (int64_t at = (work - b * pieces) * sets + item / lanes; at < changed[b]; at += pieces * sets) {
			int64_t i = row + list[b * rows + at];
			int64_t to = b * k_count + labels[b * n + i], from = previous[b * n + i];
			double w = fkmi_weight(&weight, b, i), factor = fkmi_row_factor(&p, b, i);
			int64_t start = fkmi_row(&p, b, i);
			for (int64_t j = lane; j < d; j += lanes) {
				int64_t q = fkmi_rint(w * fkmi_coordinate(&p, start, factor, j) * scale[b * d + j]);
				fkmi_add64(&sums[to * d + j], q);
				if (from >= 0)
					fkmi_add64(&sums[(b * k_count + from) * d + j], -q);
			}
			if (lane == 0) {
				int64_t q = fkmi_rint(w * weight_scale);
				fkmi_add64(&weight_sums[to], q);
				if (from >= 0)
					fkmi_add64(&weight_sums[b * k_count + from], -q);
			}
		}
	}
}

/* ---- rows by label ---- */

/* counts[b][k] += rows with label k; zero before. */
FKMI_KERNEL fkmi_k_label_counts(FKMI_ARG(const int32_t, active), FKMI_ARG(const int32_t, labels),
								FKMI_ARG(int32_t, counts), int64_t n, int64_t k_count, int64_t row, int64_t rows,
								int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(int32_t, counts);
	FKMI_LOCAL_ARRAY(int32_t, found, FKMI_LOCAL_COUNTS);
	const int item = fkmi_item();
	const bool local_counts = k_count <= FKMI_LOCAL_COUNTS;
	const int64_t local_k = local_counts ? k_count : 0;
	FKMI_EACH(work, pieces)
	{
		int64_t b = work / pieces, first = (work - b * pieces) * FKMI_SORT_ROWS;
		int64_t end = fkmi_smaller(rows, first + FKMI_SORT_ROWS);
		for (int64_t k = item; k < local_k; k += FKMI_GROUP)
			found[k] = 0;
		FKMI_BARRIER();
		for (int64_t i = first + item; i < end; i += FKMI_GROUP) {
			int32_t label = labels[b * n + row + i];
			if (local_counts)
				fkmi_local_add32(&found[label], 1);
			else
				fkmi_add32(&counts[b * k_count + label], 1);
		}
		FKMI_BARRIER();
		for (int64_t k = item; k < local_k; k += FKMI_GROUP)
			if (found[k] != 0)
				fkmi_add32(&counts[b * k_count + k], found[k]);
		FKMI_BARRIER();
	}
}

/* starts[b][0 .. K]: where the labels' rows begin in the list; counts become the next free places. counted: the counts
 * are added to weight_sums, too. One group per problem. */
FKMI_KERNEL fkmi_k_label_starts(FKMI_ARG(const int32_t, active), FKMI_ARG(int32_t, counts), FKMI_ARG(int32_t, starts),
								FKMI_ARG(int64_t, weight_sums), int32_t counted, int64_t rows, int64_t k_count,
								int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(int32_t, counts);
	FKMI_USE(int32_t, starts);
	FKMI_USE(int64_t, weight_sums);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	enum { EACH = 8 };
	FKMI_EACH(b, 1)
	{
		FKMI_GLOBAL int32_t *count = counts + b * k_count, *start = starts + b * (k_count + 1);
		int64_t before = 0;
		for (int64_t k0 = 0; k0 < k_count; k0 += EACH * FKMI_GROUP) {
			int64_t first = k0 + EACH * fkmi_item(), sum = 0, total;
			int32_t mine[EACH];
			for (int i = 0; i < EACH; i++) {
				mine[i] = first + i < k_count ? count[first + i] : 0;
				sum += mine[i];
			}
			int32_t at = (int32_t)(before + fkmi_group_prefix(buffer, sum, &total));
			before += total;
			for (int i = 0; i < EACH; i++) {
				if (first + i >= k_count)
					break;
				start[first + i] = count[first + i] = at;
				at += mine[i];
				if (counted && mine[i] != 0)
					weight_sums[b * k_count + first + i] += mine[i];
			}
		}
		if (fkmi_item() == 0)
			start[k_count] = (int32_t)rows;
	}
}

/* Writes each row to the list, in its label's part. */
FKMI_KERNEL fkmi_k_place_rows(FKMI_ARG(const int32_t, active), FKMI_ARG(const int32_t, labels),
							  FKMI_ARG(int32_t, places), FKMI_ARG(int32_t, list), int64_t n, int64_t k_count,
							  int64_t row, int64_t rows, int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(int32_t, places);
	FKMI_USE(int32_t, list);
	FKMI_LOCAL_ARRAY(int32_t, found, FKMI_LOCAL_COUNTS);
	const int item = fkmi_item();
	const bool local_counts = k_count <= FKMI_LOCAL_COUNTS;
	const int64_t local_k = local_counts ? k_count : 0;
	FKMI_EACH(work, pieces)
	{
		int64_t b = work / pieces, first = (work - b * pieces) * FKMI_SORT_ROWS;
		int64_t end = fkmi_smaller(rows, first + FKMI_SORT_ROWS);
		/* The group takes places for all its rows of a label at once. */
		for (int64_t k = item; k < local_k; k += FKMI_GROUP)
			found[k] = 0;
		FKMI_BARRIER();
		if (local_counts)
			for (int64_t i = first + item; i < end; i += FKMI_GROUP)
				fkmi_local_add32(&found[labels[b * n + row + i]], 1);
		FKMI_BARRIER();
		for (int64_t k = item; k < local_k; k += FKMI_GROUP)
			if (found[k] != 0)
				found[k] = fkmi_add32(&places[b * k_count + k], found[k]);
		FKMI_BARRIER();
		for (int64_t i = first + item; i < end; i += FKMI_GROUP) {
			int32_t label = labels[b * n + row + i], place;
			if (local_counts)
				place = fkmi_local_add32(&found[label], 1);
			else
				place = fkmi_add32(&places[b * k_count + label], 1);
			list[b * rows + place] = (int32_t)i;
		}
		FKMI_BARRIER();
	}
}

enum { FKMI_SUM_AHEAD = 8 }; /* rows whose reads are in flight together */

/* What one item of fkmi_k_sum_rows works on. */
struct fkmi_summing {
	struct fkmi_points points;
	struct fkmi_weights weights;
	FKMI_GLOBAL const double *scale;          /* of the item's columns */
	FKMI_GLOBAL const int32_t *list, *starts; /* of the problem */
	FKMI_GLOBAL int64_t *sums, *weight_sums;  /* of the problem */
	double weight_scale;
	int64_t b, row, k_count, column;
	int32_t begin, end;       /* begin .. end-1 of the list */
	bool wide, plain, weighs; /* plain: weights and factors are 1; weighs: this item also sums weights */
};

FKMI_INLINE void fkmi_flush_sums(const struct fkmi_summing *s, int64_t k, int64_t *sum, int64_t *weight)
{
	for (int v = 0; v < FKMI_SUM_COLUMNS; v++) {
		if (sum[v] != 0)
			fkmi_add64(&s->sums[k * s->points.d + s->column + v], sum[v]);
		sum[v] = 0;
	}
	if (s->weighs && *weight != 0)
		fkmi_add64(&s->weight_sums[k], *weight);
	*weight = 0;
}

/* The item's columns of FKMI_SUM_AHEAD rows as floats, zeros past the last column. All rows are read before any is
 * converted, so that the reads overlap. */
FKMI_INLINE void fkmi_load_columns(const struct fkmi_summing *s, const int32_t *listed, float (*x)[FKMI_SUM_COLUMNS])
{
	const int32_t dtype = s->points.dtype;
	const int64_t count = s->points.d - s->column;
	int64_t at[FKMI_SUM_AHEAD];
	for (int r = 0; r < FKMI_SUM_AHEAD; r++)
		at[r] = fkmi_row(&s->points, s->b, s->row + listed[r]) + s->column;
	if (!s->wide || count < FKMI_SUM_COLUMNS) {
		for (int r = 0; r < FKMI_SUM_AHEAD; r++)
			for (int v = 0; v < FKMI_SUM_COLUMNS; v++)
				x[r][v] = v < count ? fkmi_load_float(s->points.data, dtype, at[r] + v) : 0.0f;
		return;
	}
	if (dtype == FKMI_TYPE_F32) {
		float4 read[FKMI_SUM_AHEAD];
		for (int r = 0; r < FKMI_SUM_AHEAD; r++)
			read[r] = *(FKMI_GLOBAL const float4 *)(s->points.data + 4 * at[r]);
		for (int r = 0; r < FKMI_SUM_AHEAD; r++) {
			x[r][0] = read[r].x;
			x[r][1] = read[r].y;
			x[r][2] = read[r].z;
			x[r][3] = read[r].w;
		}
		return;
	}
	uint2 read[FKMI_SUM_AHEAD];
	for (int r = 0; r < FKMI_SUM_AHEAD; r++)
		read[r] = *(FKMI_GLOBAL const uint2 *)(s->points.data + 2 * at[r]);
	if (dtype == FKMI_TYPE_F16) {
		for (int r = 0; r < FKMI_SUM_AHEAD; r++) {
			x[r][0] = fkmi_half_to_float((uint16_t)read[r].x);
			x[r][1] = fkmi_half_to_float((uint16_t)(read[r].x >> 16));
			x[r][2] = fkmi_half_to_float((uint16_t)read[r].y);
			x[r][3] = fkmi_half_to_float((uint16_t)(read[r].y >> 16));
		}
	} else {
		for (int r = 0; r < FKMI_SUM_AHEAD; r++) {
			x[r][0] = fkmi_bits_float(read[r].x << 16);
			x[r][1] = fkmi_bits_float(read[r].x & 0xffff0000u);
			x[r][2] = fkmi_bits_float(read[r].y << 16);
			x[r][3] = fkmi_bits_float(read[r].y & 0xffff0000u);
		}
	}
}

/* The next rows of the list from `at` on; past the end, the last one again. */
FKMI_INLINE void fkmi_load_listed(const struct fkmi_summing *s, int32_t at, int32_t *listed)
{
	const int32_t left = s->end - at;
	for (int r = 0; r < FKMI_SUM_AHEAD; r++)
		listed[r] = s->list[r < left ? at + r : s->end - 1];
}

FKMI_INLINE void fkmi_sum_piece(const struct fkmi_summing *s)
{
	const int64_t count = s->points.d - s->column;
	double scale[FKMI_SUM_COLUMNS];
	int64_t sum[FKMI_SUM_COLUMNS], weight = 0;
	for (int v = 0; v < FKMI_SUM_COLUMNS; v++) {
		scale[v] = v < count ? s->scale[v] : 0.0;
		sum[v] = 0;
	}
	/* The label of the first row: the last k that starts at or before it. */
	int64_t k = 0, above = s->k_count;
	while (above - k > 1) {
		int64_t middle = (k + above) / 2;
		if (s->starts[middle] <= s->begin)
			k = middle;
		else
			above = middle;
	}
	for (int32_t at = s->begin; at < s->end; k++) {
		const int32_t next_start = s->starts[k + 1], stop = next_start < s->end ? next_start : s->end;
		if (at >= stop)
			continue;
		int32_t listed[FKMI_SUM_AHEAD];
		fkmi_load_listed(s, at, listed);
		for (int32_t left = stop - at; left > 0; left -= FKMI_SUM_AHEAD) {
			float x[FKMI_SUM_AHEAD][FKMI_SUM_COLUMNS];
			int32_t next[FKMI_SUM_AHEAD];
			fkmi_load_columns(s, listed, x);
			fkmi_load_listed(s, stop - left + FKMI_SUM_AHEAD, next);
			/* Rows of the next label count as zeros. */
			for (int r = 0; r < FKMI_SUM_AHEAD; r++) {
				double factor = 1, w = 1;
				if (!s->plain) {
					int64_t i = s->row + listed[r];
					factor = fkmi_row_factor(&s->points, s->b, i);
					w = r < left ? fkmi_weight(&s->weights, s->b, i) : 0.0;
				}
				for (int v = 0; v < FKMI_SUM_COLUMNS; v++) {
					double value = (double)(r < left ? x[r][v] : 0.0f);
					sum[v] += fkmi_quantise(s->plain ? value : w * (value * factor), scale[v]);
				}
				if (s->weighs)
					weight += fkmi_rint(w * s->weight_scale);
				listed[r] = next[r];
			}
		}
		at = stop;
		fkmi_flush_sums(s, k, sum, &weight);
	}
}

/* Adds the listed rows to sums and, weighted, to weight_sums. `lanes` items, a power of two, take neighbouring columns
 * of a piece of the list; column_blocks of them cover a row. wide: rows may be read four elements at once. */
FKMI_KERNEL fkmi_k_sum_rows(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_WEIGHTS_ARGS,
							FKMI_ARG(const double, scale), FKMI_ARG(const int64_t, state),
							FKMI_ARG(const int32_t, list), FKMI_ARG(const int32_t, starts), FKMI_ARG(int64_t, sums),
							FKMI_ARG(int64_t, weight_sums), int32_t wide, int64_t k_count, int64_t row, int64_t rows,
							int32_t lanes, int64_t column_blocks, int64_t piece, int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_WEIGHTS_MAKE(w);
	FKMI_USE(const double, scale);
	FKMI_USE(const int64_t, state);
	FKMI_USE(const int32_t, list);
	FKMI_USE(const int32_t, starts);
	FKMI_USE(int64_t, sums);
	FKMI_USE(int64_t, weight_sums);
	const int lane = fkmi_item() & (lanes - 1);
	const int64_t of_problem = pieces * column_blocks, sets = FKMI_GROUP / lanes;
	for (int64_t work = fkmi_group() * sets + fkmi_item() / lanes; work < b_count * of_problem;
		 work += fkmi_groups() * sets) {
		int64_t b = work / of_problem, part = work - b * of_problem, place = part / column_blocks;
		int64_t column = ((part - place * column_blocks) * lanes + lane) * FKMI_SUM_COLUMNS;
		if (!active[b] || column >= d)
			continue;
		const struct fkmi_summing s = {
			p,
			w,
			scale + b * d + column,
			list + b * rows,
			starts + b * (k_count + 1),
			sums + b * k_count * d,
			weight_sums + b * k_count,
			fkmi_bits_double(state[b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]),
			b,
			row,
			k_count,
			column,
			(int32_t)(place * piece),
			(int32_t)fkmi_smaller(rows, (place + 1) * piece),
			wide != 0,
			w.data == 0 && p.row_scale == 0,
			column == 0 && w.data != 0,
		};
		fkmi_sum_piece(&s);
	}
}

#endif
