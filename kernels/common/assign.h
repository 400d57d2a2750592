/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of the steps prepare and assign: the portable tile. certificate.h says what the filter computes.
 *
 *   filter     one group per FKMI_TILE_POINTS rows sweeps all centroids in f32, keeps the best and the second score of
 * each row, and writes the label where the second one is below the threshold; else it lists the row recheck    the same
 * sweep over listed rows gathers every centroid that reaches the threshold, and decides by D in f64 scan       rows
 * with too many candidates, or out of the filter's range: D of all centroids, a group per row
 *
 * Filter operands, of problem b: transposed[j][k], f32, `padded` centroids (a multiple of FKMI_TILE_CENTROIDS) to a
 * row; halves[k] = |z_k|^2 / 2, infinity for what only pads and for a centroid that equals one before it; norms[k],
 * rounded up; norm_max as the bits of a float; mu[j], padded with zeros to a multiple of FKMI_TILE_DIMS.
 */
#ifndef FKMI_COMMON_ASSIGN_H
#define FKMI_COMMON_ASSIGN_H

/* ---- prepare ---- */

enum { FKMI_MEAN_SETS = FKMI_GROUP / FKMI_MEAN_COLUMNS };

/* mu = 2^p times the mean of some of the centroids, spread evenly, as far as it is near the points' range, which some
 * centroids may be far from; norm_max = 0. One group for FKMI_MEAN_COLUMNS columns. */
FKMI_KERNEL fkmi_k_filter_mean(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, centroids),
							   FKMI_ARG(const int64_t, state), FKMI_ARG(float, mu), FKMI_ARG(int32_t, norm_max),
							   int64_t k_count, int64_t d, int64_t padded_d, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, centroids);
	FKMI_USE(const int64_t, state);
	FKMI_USE(float, mu);
	FKMI_USE(int32_t, norm_max);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	const int item = fkmi_item(), set = item / FKMI_MEAN_COLUMNS;
	const int64_t samples = fkmi_smaller(k_count, FKMI_GROUP);
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, j = (work - b * blocks) * FKMI_MEAN_COLUMNS + item % FKMI_MEAN_COLUMNS;
		double sum = 0;
		for (int64_t s = j < d ? set : samples; s < samples; s += FKMI_MEAN_SETS)
			sum += centroids[(b * k_count + s * k_count / samples) * d + j];
		buffer[item] = sum;
		FKMI_BARRIER();
		if (set == 0 && j < padded_d) {
			for (int other = 1; other < FKMI_MEAN_SETS; other++)
				sum += buffer[other * FKMI_MEAN_COLUMNS + item];
			sum = sum / (double)samples * (double)fkmi_filter_scale(state, b);
			mu[b * padded_d + j] = (float)(sum < -1 ? -1 : sum > 1 ? 1 : sum);
		}
		if (item == 0 && j == 0)
			norm_max[b] = 0;
		FKMI_BARRIER();
	}
}

/* Operands of each centroid, by an octet, and its entry in the table of different centroids. */
FKMI_KERNEL fkmi_k_filter_operands(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, centroids),
								   FKMI_ARG(const int64_t, state), FKMI_ARG(const float, mu),
								   FKMI_ARG(float, transposed), FKMI_ARG(float, halves), FKMI_ARG(float, norms),
								   FKMI_ARG(int32_t, norm_max), FKMI_ARG(int32_t, table), FKMI_ARG(int32_t, slot_of),
								   int64_t slots, int64_t k_count, int64_t padded, int64_t d, int64_t padded_d,
								   int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, centroids);
	FKMI_USE(const int64_t, state);
	FKMI_USE(const float, mu);
	FKMI_USE(float, transposed);
	FKMI_USE(float, halves);
	FKMI_USE(float, norms);
	FKMI_USE(int32_t, norm_max);
	FKMI_USE(int32_t, table);
	FKMI_USE(int32_t, slot_of);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int32_t, hashes, FKMI_OCTETS);
	const int lane = fkmi_item() & 7, octet = fkmi_item() / 8;
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, k = (work - b * blocks) * FKMI_OCTETS + octet;
		if (lane == 0)
			hashes[octet] = 0;
		FKMI_BARRIER();
		const bool real = k < k_count;
		const double scale = (double)fkmi_filter_scale(state, b);
		FKMI_GLOBAL const double *all = centroids + b * k_count * d;
		double sum = 0;
		uint32_t hash = 0;
		for (int64_t j = lane; j < d; j += 8) {
			double z = 0;
			if (real) {
				z = all[k * d + j] * scale - (double)mu[b * padded_d + j];
				hash += fkmi_hash(all[k * d + j], j);
			}
			sum += z * z;
			transposed[(b * d + j) * padded + k] = (float)z;
		}
		sum = fkmi_sum8(buffer, sum);
		fkmi_local_add32(&hashes[octet], (int32_t)hash);
		FKMI_BARRIER();
		if (lane == 0) {
			float norm = (float)(sqrt(sum) * 1.000001);
			halves[b * padded + k] = real ? (float)(sum * 0.5) : fkmi_bits_float(0x7f800000u);
			norms[b * padded + k] = real ? norm : 0.0f;
			if (real) {
				fkmi_max32(&norm_max[b], fkmi_float_bits(norm));
				slot_of[b * k_count + k] =
					fkmi_enter(table + b * slots, slots, all, (int32_t)k, d, (uint32_t)hashes[octet]);
			}
		}
		FKMI_BARRIER();
	}
}

/* Takes the centroids that equal an earlier one out of the filter, and marks them with a slot of -1. */
FKMI_KERNEL fkmi_k_filter_unique(FKMI_ARG(const int32_t, active), FKMI_ARG(const int32_t, table),
								 FKMI_ARG(int32_t, slot_of), FKMI_ARG(float, halves), int64_t slots, int64_t k_count,
								 int64_t padded, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int32_t, table);
	FKMI_USE(int32_t, slot_of);
	FKMI_USE(float, halves);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < b_count * k_count; i += fkmi_groups() * FKMI_GROUP) {
		int64_t b = i / k_count, k = i - b * k_count;
		if (!active[b] || table[b * slots + slot_of[i]] == (int32_t)k)
			continue;
		halves[b * padded + k] = fkmi_bits_float(0x7f800000u);
		slot_of[i] = -1;
	}
}

/* ---- the sweep ---- */

enum {
	FKMI_ITEM_POINTS = 8, /* of the tile, for one item; 16 items side by side take the tile's centroids */
	FKMI_ITEM_CENTROIDS = 4,
	FKMI_SIDE = FKMI_TILE_CENTROIDS / FKMI_ITEM_CENTROIDS,
	FKMI_SLAB_POINTS = FKMI_TILE_DIMS * FKMI_TILE_POINTS, /* floats of FKMI_TILE_DIMS dimensions of a tile */
	FKMI_SLAB_CENTROIDS = FKMI_TILE_DIMS * FKMI_TILE_CENTROIDS
};

/* The operands of one problem. */
struct fkmi_operands {
	FKMI_GLOBAL const float *transposed, *halves, *norms, *mu;
	float scale, norm_max;
	int32_t d, padded;
	bool usable; /* false: out of the filter's range */
};

#define FKMI_OPERANDS_ARGS                                                                                             \
	FKMI_ARG(const int64_t, state), FKMI_ARG(const float, mu), FKMI_ARG(const float, transposed),                      \
		FKMI_ARG(const float, halves), FKMI_ARG(const float, norms), FKMI_ARG(const int32_t, norm_max),                \
		int64_t k_count, int64_t padded, int64_t padded_d
#define FKMI_OPERANDS_USE                                                                                              \
	FKMI_USE(const int64_t, state);                                                                                    \
	FKMI_USE(const float, mu);                                                                                         \
	FKMI_USE(const float, transposed);                                                                                 \
	FKMI_USE(const float, halves);                                                                                     \
	FKMI_USE(const float, norms);                                                                                      \
	FKMI_USE(const int32_t, norm_max)
#define FKMI_OPERANDS_MAKE(operands, b)                                                                                \
	const float operands##_norm = fkmi_bits_float((uint32_t)norm_max[b]);                                              \
	const struct fkmi_operands operands = {                                                                            \
		transposed + (b) * d * padded,                                                                                 \
		halves + (b) * padded,                                                                                         \
		norms + (b) * padded,                                                                                          \
		mu + (b) * padded_d,                                                                                           \
		fkmi_filter_scale(state, b),                                                                                   \
		operands##_norm,                                                                                               \
		(int32_t)d,                                                                                                    \
		(int32_t)padded,                                                                                               \
		operands##_norm <= FKMI_FILTER_NORM_LIMIT && d <= FKMI_FILTER_DIMS_LIMIT,                                      \
	}

/* Item i brings coordinates of row i % FKMI_TILE_POINTS of the tile, the first half of the group the first FKMI_BRINGS of
 * each slab's, the second half the others. */

/* Puts coordinates j .. j+7 of y into a slab; returns what they add to the sum of squares. Past d, y is 0. */
FKMI_INLINE float fkmi_put(const struct fkmi_brought *from, const struct fkmi_operands *operands, int32_t j,
						   const uint32_t *raw, FKMI_LOCAL float *to)
{
	float squares = 0, x[FKMI_BRINGS];
	fkmi_decode8(from->points.dtype, raw, x);
	for (int i = 0; i < FKMI_BRINGS; i++) {
		float m = operands->mu[j + i], y;
		if (from->points.row_scale != 0)
			y = (float)((double)x[i] * from->factor * (double)operands->scale - (double)m);
		else
			y = FKMI_MULTIPLY_ADD(x[i], operands->scale, -m);
		to[i * FKMI_TILE_POINTS] = y;
		squares = FKMI_MULTIPLY_ADD(y, y, squares);
	}
	return squares;
}

/* What a sweep finds, for an item's rows. */
struct fkmi_found {
	float best[FKMI_ITEM_POINTS], second[FKMI_ITEM_POINTS];
	int32_t at[FKMI_ITEM_POINTS];
	float squares; /* this item's part of the sum of squares of the row that it brings */
};

FKMI_INLINE void fkmi_keep_best(struct fkmi_found *found, float score[FKMI_ITEM_POINTS][FKMI_ITEM_CENTROIDS], int32_t k)
{
	for (int r = 0; r < FKMI_ITEM_POINTS; r++) {
		for (int c = 0; c < FKMI_ITEM_CENTROIDS; c++) {
			float s = score[r][c];
			found->second[r] = FKMI_MAX(found->second[r], FKMI_MIN(s, found->best[r]));
			found->at[r] = s > found->best[r] ? k + c : found->at[r];
			found->best[r] = FKMI_MAX(found->best[r], s);
		}
	}
}

FKMI_INLINE void fkmi_gather(const struct fkmi_gathered *gathered, int first_row,
							 float score[FKMI_ITEM_POINTS][FKMI_ITEM_CENTROIDS], int32_t k)
{
	for (int r = 0; r < FKMI_ITEM_POINTS; r++) {
		float threshold = gathered->thresholds[first_row + r];
		for (int c = 0; c < FKMI_ITEM_CENTROIDS; c++) {
			if (!(score[r][c] >= threshold))
				continue;
			int32_t place = fkmi_local_add32(&gathered->counts[first_row + r], 1);
			if (place < FKMI_CANDIDATES)
				gathered->candidates[(first_row + r) * FKMI_CANDIDATES + place] = k + c;
		}
	}
}

/*
 * Scores of a tile of rows against all centroids. A whole group must call it together. slabs_x and slabs_z: two slabs
 * each, one being read while the next is filled. gathered null: best and second into found; else candidates.
 */
FKMI_INLINE void fkmi_sweep(const struct fkmi_brought *from, const struct fkmi_operands *operands,
							FKMI_LOCAL float4 *slabs_x, FKMI_LOCAL float4 *slabs_z, struct fkmi_found *found,
							const struct fkmi_gathered *gathered)
{
	const int item = fkmi_item(), across = item % FKMI_SIDE, down = item / FKMI_SIDE;
	const int half_first = item / FKMI_TILE_POINTS * FKMI_BRINGS, brings_row = item % FKMI_TILE_POINTS;
	const int z_dim = item / FKMI_SIDE, d = operands->d;
	float score[FKMI_ITEM_POINTS][FKMI_ITEM_CENTROIDS];
	uint32_t raw[FKMI_BRINGS];
	float4 z_next;
	const float4 zeros = {0, 0, 0, 0};
	for (int r = 0; r < FKMI_ITEM_POINTS; r++) {
		found->best[r] = found->second[r] = -fkmi_bits_float(0x7f800000u);
		found->at[r] = 0;
	}
	found->squares = 0;

	/* What comes next: dimensions next_j of the centroids from next_k. */
	int32_t next_j = 0, next_k = 0;
	int side = 0;
	fkmi_fetch(from, half_first, d, raw);
	z_next = z_dim < d
				 ? *(FKMI_GLOBAL const float4 *)(operands->transposed + (int64_t)z_dim * operands->padded + across * 4)
				 : zeros;
	for (int32_t k = 0; k < operands->padded; k += FKMI_TILE_CENTROIDS) {
		for (int c = 0; c < FKMI_ITEM_CENTROIDS; c++) {
			float half_norm = operands->halves[k + across * FKMI_ITEM_CENTROIDS + c];
			for (int r = 0; r < FKMI_ITEM_POINTS; r++)
				score[r][c] = -half_norm;
		}
		for (int32_t j = 0; j < d; j += FKMI_TILE_DIMS) {
			FKMI_LOCAL float4 *x = slabs_x + side * (FKMI_SLAB_POINTS / 4),
							  *z = slabs_z + side * (FKMI_SLAB_CENTROIDS / 4);
			side ^= 1;
			float squares = fkmi_put(from, operands, j + half_first, raw,
									 (FKMI_LOCAL float *)x + half_first * FKMI_TILE_POINTS + brings_row);
			found->squares += k == 0 ? squares : 0.0f;
			z[z_dim * FKMI_SIDE + across] = z_next;
			FKMI_BARRIER();
			next_j = j + FKMI_TILE_DIMS;
			next_k = k;
			if (next_j >= d) {
				next_j = 0;
				next_k = k + FKMI_TILE_CENTROIDS;
			}
			if (next_k < operands->padded) {
				fkmi_fetch(from, next_j + half_first, d, raw);
				z_next = zeros;
				if (next_j + z_dim < d)
					z_next = *(FKMI_GLOBAL const float4 *)(operands->transposed +
														   (int64_t)(next_j + z_dim) * operands->padded + next_k +
														   across * 4);
			}
			const int dims = d - j < FKMI_TILE_DIMS ? d - j : FKMI_TILE_DIMS;
#pragma unroll 4
			for (int i = 0; i < dims; i++) {
				float4 low = x[i * (FKMI_TILE_POINTS / 4) + down * 2],
					   high = x[i * (FKMI_TILE_POINTS / 4) + down * 2 + 1];
				float4 four = z[i * FKMI_SIDE + across];
				const float y[FKMI_ITEM_POINTS] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
				const float w[FKMI_ITEM_CENTROIDS] = {four.x, four.y, four.z, four.w};
#pragma unroll
				for (int r = 0; r < FKMI_ITEM_POINTS; r++)
#pragma unroll
					for (int c = 0; c < FKMI_ITEM_CENTROIDS; c++)
						score[r][c] = FKMI_MULTIPLY_ADD(y[r], w[c], score[r][c]);
			}
		}
		if (gathered != 0)
			fkmi_gather(gathered, down * FKMI_ITEM_POINTS, score, k + across * FKMI_ITEM_CENTROIDS);
		else
			fkmi_keep_best(found, score, k + across * FKMI_ITEM_CENTROIDS);
	}
	FKMI_BARRIER();
}

/* ---- filter ---- */

/* Combines what the items side by side found of each row, and gives item i < FKMI_TILE_POINTS row i's as its first. */
FKMI_INLINE void fkmi_combine_found(struct fkmi_found *found, FKMI_LOCAL float *slabs_x, FKMI_LOCAL float *slabs_z)
{
	const int item = fkmi_item(), across = item % FKMI_SIDE, down = item / FKMI_SIDE;
	FKMI_LOCAL float *best = slabs_x, *second = slabs_x + FKMI_SIDE * FKMI_TILE_POINTS;
	FKMI_LOCAL int32_t *at = (FKMI_LOCAL int32_t *)slabs_z;
	for (int r = 0; r < FKMI_ITEM_POINTS; r++) {
		int place = across * FKMI_TILE_POINTS + down * FKMI_ITEM_POINTS + r;
		best[place] = found->best[r];
		second[place] = found->second[r];
		at[place] = found->at[r];
	}
	FKMI_BARRIER();
	if (item < FKMI_TILE_POINTS) {
		float first = best[item], next = second[item];
		int32_t k = at[item];
		for (int side = 1; side < FKMI_SIDE; side++) {
			int place = side * FKMI_TILE_POINTS + item;
			float s = best[place];
			next = FKMI_MAX(FKMI_MAX(next, second[place]), FKMI_MIN(first, s));
			if (s > first || (s == first && at[place] < k))
				k = at[place];
			first = FKMI_MAX(first, s);
		}
		found->best[0] = first;
		found->second[0] = next;
		found->at[0] = k;
	}
	FKMI_BARRIER();
}

/* Labels where the filter is certain; else the row goes to a list: listed, with its threshold, for recheck, or scanned.
 * fast: the filter's best is the label. wide: eight elements of a row may be read at once. */
FKMI_KERNEL fkmi_k_filter(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_OPERANDS_ARGS,
						  FKMI_ARG(int32_t, labels), FKMI_ARG(int32_t, previous), FKMI_ARG(int64_t, counters),
						  FKMI_ARG(int32_t, listed), FKMI_ARG(int32_t, listed_count), FKMI_ARG(float, thresholds),
						  FKMI_ARG(int32_t, scanned), FKMI_ARG(int32_t, scanned_count), int32_t wide, int32_t fast,
						  int64_t row, int64_t rows, int64_t tiles, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_OPERANDS_USE;
	FKMI_USE(int32_t, labels);
	FKMI_USE(int32_t, previous);
	FKMI_USE(int64_t, counters);
	FKMI_USE(int32_t, listed);
	FKMI_USE(int32_t, listed_count);
	FKMI_USE(float, thresholds);
	FKMI_USE(int32_t, scanned);
	FKMI_USE(int32_t, scanned_count);
	FKMI_LOCAL_ARRAY(float4, slabs_x, 2 * FKMI_SLAB_POINTS / 4);
	FKMI_LOCAL_ARRAY(float4, slabs_z, 2 * FKMI_SLAB_CENTROIDS / 4);
	FKMI_LOCAL_ARRAY(float, squares, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int32_t, counts, FKMI_SETTLE_COUNTS);
	const int item = fkmi_item();
	FKMI_EACH(work, tiles)
	{
		int64_t b = work / tiles, first = (work - b * tiles) * FKMI_TILE_POINTS;
		FKMI_OPERANDS_MAKE(operands, b);
		const struct fkmi_brought from = fkmi_bring(
			&p, b, first + item % FKMI_TILE_POINTS < rows ? row + first + item % FKMI_TILE_POINTS : -1, wide);
		struct fkmi_found found;
		fkmi_sweep(&from, &operands, slabs_x, slabs_z, &found, 0);
		fkmi_combine_found(&found, (FKMI_LOCAL float *)slabs_x, (FKMI_LOCAL float *)slabs_z);
		squares[item] = found.squares;
		FKMI_BARRIER();

		struct fkmi_settled settled = {found.at[0], 0, FKMI_ROW_NONE};
		if (item < FKMI_TILE_POINTS && first + item < rows) {
			const float sum = squares[item] + squares[item + FKMI_TILE_POINTS];
			const bool in_range = operands.usable && sum < FKMI_FILTER_SQUARES_LIMIT;
			if (in_range && !fast)
				settled.threshold =
					fkmi_filter_threshold(found.best[0], sum, operands.norms[settled.label], operands.norm_max, d);
			if (fast || (in_range && found.second[0] < settled.threshold))
				settled.fate = FKMI_ROW_DECIDED;
			else
				settled.fate = in_range ? FKMI_ROW_LISTED : FKMI_ROW_SCANNED;
		}
		const struct fkmi_lists lists = {listed, thresholds, scanned, listed_count, scanned_count};
		fkmi_settle(&settled, &lists, counts, counters, labels, previous, b, b * n + row, first + item, rows);
	}
}

/* ---- recheck ---- */

/* Decides listed rows by their candidates; those with too many of them go to scanned. */
FKMI_KERNEL fkmi_k_recheck(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_OPERANDS_ARGS,
						   FKMI_ARG(const double, centroids), FKMI_ARG(int32_t, labels), FKMI_ARG(int64_t, counters),
						   FKMI_ARG(const int32_t, listed), FKMI_ARG(const int32_t, listed_count),
						   FKMI_ARG(const float, thresholds), FKMI_ARG(int32_t, scanned),
						   FKMI_ARG(int32_t, scanned_count), int32_t wide, int64_t row, int64_t rows, int64_t tiles,
						   int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_OPERANDS_USE;
	FKMI_USE(const double, centroids);
	FKMI_USE(int32_t, labels);
	FKMI_USE(int64_t, counters);
	FKMI_USE(const int32_t, listed);
	FKMI_USE(const int32_t, listed_count);
	FKMI_USE(const float, thresholds);
	FKMI_USE(int32_t, scanned);
	FKMI_USE(int32_t, scanned_count);
	FKMI_LOCAL_ARRAY(float4, slabs_x, 2 * FKMI_SLAB_POINTS / 4);
	FKMI_LOCAL_ARRAY(float4, slabs_z, 2 * FKMI_SLAB_CENTROIDS / 4);
	FKMI_LOCAL_ARRAY(int32_t, candidates, FKMI_TILE_POINTS *FKMI_CANDIDATES);
	FKMI_LOCAL_ARRAY(int32_t, found_count, FKMI_TILE_POINTS);
	FKMI_LOCAL_ARRAY(float, limits, FKMI_TILE_POINTS);
	const int item = fkmi_item();
	for (int64_t work = fkmi_next_listed(active, listed_count, fkmi_group(), tiles, FKMI_TILE_POINTS, b_count);
		 work < b_count * tiles;
		 work = fkmi_next_listed(active, listed_count, work + fkmi_groups(), tiles, FKMI_TILE_POINTS, b_count)) {
		int64_t b = work / tiles, first = (work - b * tiles) * FKMI_TILE_POINTS;
		const int64_t count = listed_count[b];
		FKMI_OPERANDS_MAKE(operands, b);
		int64_t entry = first + item % FKMI_TILE_POINTS;
		const struct fkmi_brought from = fkmi_bring(&p, b, entry < count ? row + listed[b * rows + entry] : -1, wide);
		if (item < FKMI_TILE_POINTS) {
			found_count[item] = 0;
			/* Rows past the last one have no candidates. */
			limits[item] = entry < count ? thresholds[b * rows + entry] : fkmi_bits_float(0x7f800000u);
		}
		FKMI_BARRIER();
		struct fkmi_gathered gathered; /* assigned: clang 15 takes an initialiser for a constant, which it is not */
		gathered.candidates = candidates;
		gathered.counts = found_count;
		gathered.thresholds = limits;
		const struct fkmi_lists rest = {0, 0, scanned, 0, scanned_count};
		struct fkmi_found unused;
		fkmi_sweep(&from, &operands, slabs_x, slabs_z, &unused, &gathered);

		fkmi_decide_candidates(&p, centroids, k_count, labels, counters, &gathered, &rest, listed + b * rows + first,
							   count - first, FKMI_TILE_POINTS, (FKMI_LOCAL double *)slabs_x, b, row, rows);
		FKMI_BARRIER();
	}
}

/* Decides the rows of scanned by all different centroids; `groups` groups share those of a problem. */
FKMI_KERNEL fkmi_k_scan(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_ARG(const int32_t, slot_of),
						FKMI_ARG(const double, centroids), FKMI_ARG(int32_t, labels), FKMI_ARG(int64_t, counters),
						FKMI_ARG(const int32_t, scanned), FKMI_ARG(const int32_t, scanned_count), int64_t k_count,
						int64_t row, int64_t rows, int64_t groups, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_USE(const int32_t, slot_of);
	FKMI_USE(const double, centroids);
	FKMI_USE(int32_t, labels);
	FKMI_USE(int64_t, counters);
	FKMI_USE(const int32_t, scanned);
	FKMI_USE(const int32_t, scanned_count);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int32_t, found, FKMI_OCTETS);
	FKMI_LOCAL_ARRAY(int32_t, ties, FKMI_OCTETS);
	const int item = fkmi_item(), octet = item / 8;
	FKMI_EACH(work, groups)
	{
		int64_t b = work / groups;
		for (int64_t entry = work - b * groups; entry < scanned_count[b]; entry += groups) {
			int64_t i = row + scanned[b * rows + entry], start = fkmi_row(&p, b, i);
			double factor = fkmi_row_factor(&p, b, i);
			struct fkmi_verdict verdict = {0, -1, 0};
			for (int64_t k0 = 0; k0 < k_count; k0 += FKMI_OCTETS) {
				int64_t k = k0 + octet;
				bool unique = k < k_count && slot_of[b * k_count + k] >= 0;
				double part = 0;
				if (unique)
					part = fkmi_partial_distance(&p, start, factor, centroids + (b * k_count + k) * d);
				part = fkmi_sum8(buffer, part);
				if (unique)
					fkmi_consider(&verdict, part, (int32_t)k);
			}
			if ((item & 7) == 0) {
				buffer[octet] = verdict.distance;
				found[octet] = verdict.label;
				ties[octet] = verdict.tie;
			}
			FKMI_BARRIER();
			if (item == 0) {
				for (int other = 1; other < FKMI_OCTETS; other++) {
					if (found[other] < 0)
						continue;
					int32_t tie = ties[other] && buffer[other] <= verdict.distance;
					fkmi_consider(&verdict, buffer[other], found[other]);
					verdict.tie |= tie;
				}
				fkmi_decide(&labels[b * n + i], counters + b * FKMI_STATE_MEMBERS, verdict);
			}
			FKMI_BARRIER();
		}
	}
}

#endif
