/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The portable tile: filter and recheck (filter.h) by groups whose items each keep a part of the tile's scores in
 * registers, from slabs of both operands in local memory. state.h has its sizes.
 */
#ifndef FKMI_COMMON_TILE_H
#define FKMI_COMMON_TILE_H

enum {
	FKMI_SIDE = FKMI_TILE_CENTROIDS / FKMI_ITEM_CENTROIDS, /* items side by side take the tile's centroids */
	FKMI_QUADS = FKMI_ITEM_CENTROIDS / 4, /* of an item's centroids; a quad is 4 * FKMI_SIDE from the next one */
	FKMI_SLAB_POINTS = FKMI_TILE_DEPTH * FKMI_TILE_POINTS / 4, /* float4 of FKMI_TILE_DEPTH dimensions of a tile */
	FKMI_SLAB_CENTROIDS = FKMI_TILE_DEPTH * FKMI_TILE_CENTROIDS / 4,
	FKMI_SLABS = 2 * (FKMI_SLAB_POINTS + FKMI_SLAB_CENTROIDS), /* two of each: one is read, one is filled */
	FKMI_FOUND_STRIDE = FKMI_GROUP + 4,
	FKMI_FOUND = FKMI_ITEM_POINTS * FKMI_FOUND_STRIDE,
	FKMI_TILE_BRINGS = FKMI_TILE_DEPTH * FKMI_TILE_POINTS / FKMI_GROUP, /* coordinates that an item brings to a slab */
	FKMI_BRINGS_QUADS = FKMI_SLAB_CENTROIDS / FKMI_GROUP                /* float4 of centroids that it brings */
};

/* ---- the sweep ---- */

/* Item i brings coordinates of row i % FKMI_TILE_POINTS of the tile, the first items the first of each slab's. */

/* Reads coordinates j .. j + FKMI_TILE_BRINGS - 1 as bits; zeros past d. */
FKMI_INLINE void fkmi_tile_fetch(const struct fkmi_brought *from, int32_t j, int32_t d, uint32_t *raw)
{
	fkmi_fetch_bits(&from->points, from->row + j, from->row < 0 ? 0 : d - j, from->wide, FKMI_TILE_BRINGS, raw);
}

/* Puts coordinates j .. j + FKMI_TILE_BRINGS - 1 of y into a slab; past d, y is 0. Returns the sum of their squares, or 0
 * where it is not wanted. */
FKMI_INLINE float fkmi_put(const struct fkmi_brought *from, const struct fkmi_operands *operands, int32_t j,
						   const uint32_t *raw, FKMI_LOCAL float *to, bool wants_squares)
{
	float squares = 0;
	float x[FKMI_TILE_BRINGS], y[FKMI_TILE_BRINGS];
	fkmi_decode_bits(from->points.dtype, raw, FKMI_TILE_BRINGS, x);
	for (int i = 0; i < FKMI_TILE_BRINGS; i += 4) {
		const float4 four = *(FKMI_GLOBAL const float4 *)(operands->mu + j + i);
		const float m[4] = {four.x, four.y, four.z, four.w};
		for (int e = 0; e < 4; e++) {
			if (from->points.row_scale != 0)
				y[i + e] = (float)((double)x[i + e] * from->factor * (double)operands->scale - (double)m[e]);
			else
				y[i + e] = FKMI_MULTIPLY_ADD(x[i + e], operands->scale, -m[e]);
		}
	}
	for (int i = 0; i < FKMI_TILE_BRINGS; i++)
		to[i * FKMI_TILE_POINTS] = y[i];
	if (wants_squares)
		for (int i = 0; i < FKMI_TILE_BRINGS; i++)
			squares = FKMI_MULTIPLY_ADD(y[i], y[i], squares);
	return squares;
}

/* Reads an item's part of a slab of centroids of which `dims` dimensions are left; zeros after them. */
FKMI_INLINE void fkmi_fetch_centroids(FKMI_GLOBAL const float *slab, int32_t dims, float4 *quads)
{
	const float4 zeros = {0, 0, 0, 0};
	for (int q = 0; q < FKMI_BRINGS_QUADS; q++) {
		const int at = q * FKMI_GROUP + fkmi_item();
		quads[q] = at / (FKMI_TILE_CENTROIDS / 4) < dims ? ((FKMI_GLOBAL const float4 *)slab)[at] : zeros;
	}
}

/* What a sweep finds: for row r of an item, at [r * FKMI_FOUND_STRIDE + item]. */
struct fkmi_found {
	FKMI_LOCAL float *best, *second;
	FKMI_LOCAL int32_t *at;
};

/* Number of an item's centroid c, in the tile. */
FKMI_INLINE int32_t fkmi_column(int c)
{
	return c / 4 * (4 * FKMI_SIDE) + fkmi_item() % FKMI_SIDE * 4 + c % 4;
}

FKMI_INLINE void fkmi_keep_best(const struct fkmi_found *found, float score[FKMI_ITEM_POINTS][FKMI_ITEM_CENTROIDS],
								int32_t k)
{
	const int item = fkmi_item();
#pragma unroll
	for (int r = 0; r < FKMI_ITEM_POINTS; r++) {
		float best = found->best[r * FKMI_FOUND_STRIDE + item], second = found->second[r * FKMI_FOUND_STRIDE + item];
		int32_t at = found->at[r * FKMI_FOUND_STRIDE + item];
#pragma unroll
		for (int c = 0; c < FKMI_ITEM_CENTROIDS; c++) {
			const float s = score[r][c];
			second = FKMI_MAX(second, FKMI_MIN(s, best));
			at = s > best ? k + fkmi_column(c) : at;
			best = FKMI_MAX(best, s);
		}
		found->best[r * FKMI_FOUND_STRIDE + item] = best;
		found->second[r * FKMI_FOUND_STRIDE + item] = second;
		found->at[r * FKMI_FOUND_STRIDE + item] = at;
	}
}

FKMI_INLINE void fkmi_gather(const struct fkmi_gathered *gathered, int first_row,
							 float score[FKMI_ITEM_POINTS][FKMI_ITEM_CENTROIDS], int32_t k)
{
#pragma unroll
	for (int r = 0; r < FKMI_ITEM_POINTS; r++) {
		float threshold = gathered->thresholds[first_row + r];
#pragma unroll
		for (int c = 0; c < FKMI_ITEM_CENTROIDS; c++) {
			if (!(score[r][c] >= threshold))
				continue;
			int32_t place = fkmi_local_add32(&gathered->counts[first_row + r], 1);
			if (place < FKMI_CANDIDATES)
				gathered->candidates[(first_row + r) * FKMI_CANDIDATES + place] = k + fkmi_column(c);
		}
	}
}

/* Scores += four dimensions of a slab, from `first` on. */
FKMI_INLINE void fkmi_multiply(FKMI_LOCAL const float4 *x, FKMI_LOCAL const float4 *z, int first,
							   float score[FKMI_ITEM_POINTS][FKMI_ITEM_CENTROIDS])
{
	x += fkmi_item() / FKMI_SIDE * (FKMI_ITEM_POINTS / 4);
	z += fkmi_item() % FKMI_SIDE;
#pragma unroll
	for (int i = first; i < first + 4; i++) {
		float y[FKMI_ITEM_POINTS], w[FKMI_ITEM_CENTROIDS];
#pragma unroll
		for (int q = 0; q < FKMI_ITEM_POINTS / 4; q++) {
			const float4 four = x[i * (FKMI_TILE_POINTS / 4) + q];
			y[q * 4] = four.x;
			y[q * 4 + 1] = four.y;
			y[q * 4 + 2] = four.z;
			y[q * 4 + 3] = four.w;
		}
#pragma unroll
		for (int q = 0; q < FKMI_QUADS; q++) {
			const float4 four = z[i * (FKMI_TILE_CENTROIDS / 4) + q * FKMI_SIDE];
			w[q * 4] = four.x;
			w[q * 4 + 1] = four.y;
			w[q * 4 + 2] = four.z;
			w[q * 4 + 3] = four.w;
		}
#pragma unroll
		for (int r = 0; r < FKMI_ITEM_POINTS; r++)
#pragma unroll
			for (int c = 0; c < FKMI_ITEM_CENTROIDS; c++)
				score[r][c] = FKMI_MULTIPLY_ADD(y[r], w[c], score[r][c]);
	}
}

/*
 * Scores of a tile of rows against all centroids. A whole group must call it together. slabs: FKMI_SLABS. found or, for
 * candidates, gathered is null. Returns this item's part of the sum of squares of the row that it brings.
 */
FKMI_INLINE float fkmi_sweep(const struct fkmi_brought *from, const struct fkmi_operands *operands,
							 FKMI_LOCAL float4 *slabs, const struct fkmi_found *found,
							 const struct fkmi_gathered *gathered)
{
	const int item = fkmi_item(), d = operands->d;
	const int first_dim = item / FKMI_TILE_POINTS * FKMI_TILE_BRINGS, brings_row = item % FKMI_TILE_POINTS;
	float score[FKMI_ITEM_POINTS][FKMI_ITEM_CENTROIDS];
	uint32_t raw[FKMI_TILE_BRINGS];
	float4 quads[FKMI_BRINGS_QUADS];
	float squares = 0;
	for (int r = 0; r < FKMI_ITEM_POINTS && found != 0; r++) {
		found->best[r * FKMI_FOUND_STRIDE + item] = -fkmi_bits_float(0x7f800000u);
		found->second[r * FKMI_FOUND_STRIDE + item] = -fkmi_bits_float(0x7f800000u);
		found->at[r * FKMI_FOUND_STRIDE + item] = 0;
	}

	int side = 0;
	fkmi_tile_fetch(from, first_dim, d, raw);
	fkmi_fetch_centroids(operands->panels, d, quads);
	for (int32_t k = 0; k < operands->padded; k += FKMI_TILE_CENTROIDS) {
#pragma unroll
		for (int c = 0; c < FKMI_ITEM_CENTROIDS; c++) {
			float half_norm = operands->halves[k + fkmi_column(c)];
#pragma unroll
			for (int r = 0; r < FKMI_ITEM_POINTS; r++)
				score[r][c] = -half_norm;
		}
		for (int32_t j = 0; j < d; j += FKMI_TILE_DEPTH) {
			FKMI_LOCAL float4 *x = slabs + side * (FKMI_SLAB_POINTS + FKMI_SLAB_CENTROIDS), *z = x + FKMI_SLAB_POINTS;
			side ^= 1;
			squares += fkmi_put(from, operands, j + first_dim, raw,
								(FKMI_LOCAL float *)x + first_dim * FKMI_TILE_POINTS + brings_row, k == 0);
			for (int q = 0; q < FKMI_BRINGS_QUADS; q++)
				z[q * FKMI_GROUP + item] = quads[q];
			FKMI_BARRIER();
			int32_t next_j = j + FKMI_TILE_DEPTH, next_k = k;
			if (next_j >= d) {
				next_j = 0;
				next_k = k + FKMI_TILE_CENTROIDS;
			}
			if (next_k < operands->padded) {
				fkmi_tile_fetch(from, next_j + first_dim, d, raw);
				fkmi_fetch_centroids(operands->panels + (int64_t)next_k * d + next_j * FKMI_TILE_CENTROIDS, d - next_j,
									 quads);
			}
			if (d - j >= FKMI_TILE_DEPTH) {
#pragma unroll
				for (int i = 0; i < FKMI_TILE_DEPTH; i += 4)
					fkmi_multiply(x, z, i, score);
			} else {
				for (int i = 0; i < d - j; i += 4)
					fkmi_multiply(x, z, i, score);
			}
		}
		if (found != 0)
			fkmi_keep_best(found, score, k);
		else
			fkmi_gather(gathered, item / FKMI_SIDE * FKMI_ITEM_POINTS, score, k);
	}
	FKMI_BARRIER();
	return squares;
}

/* ---- filter ---- */

/* Combines what the items side by side found of a row of the tile. */
FKMI_INLINE void fkmi_combine_found(const struct fkmi_found *found, int row, float *best, float *second, int32_t *at)
{
	int place = row % FKMI_ITEM_POINTS * FKMI_FOUND_STRIDE + row / FKMI_ITEM_POINTS * FKMI_SIDE;
	float first = found->best[place], next = found->second[place];
	int32_t k = found->at[place];
	for (int side = 1; side < FKMI_SIDE; side++) {
		place++;
		const float s = found->best[place];
		next = FKMI_MAX(FKMI_MAX(next, found->second[place]), FKMI_MIN(first, s));
		if (s > first || (s == first && found->at[place] < k))
			k = found->at[place];
		first = FKMI_MAX(first, s);
	}
	*best = first;
	*second = next;
	*at = k;
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
	FKMI_LOCAL_ARRAY(float4, slabs, FKMI_SLABS);
	FKMI_LOCAL_ARRAY(float, bests, FKMI_FOUND);
	FKMI_LOCAL_ARRAY(float, seconds, FKMI_FOUND);
	FKMI_LOCAL_ARRAY(int32_t, ats, FKMI_FOUND);
	FKMI_LOCAL_ARRAY(float, squares, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int32_t, counts, FKMI_SETTLE_COUNTS);
	const int item = fkmi_item();
	struct fkmi_found found; /* assigned: clang 15 takes an initialiser for a constant, which it is not */
	found.best = bests;
	found.second = seconds;
	found.at = ats;
	FKMI_EACH(work, tiles)
	{
		int64_t b = work / tiles, first = (work - b * tiles) * FKMI_TILE_POINTS;
		FKMI_OPERANDS_MAKE(operands, b);
		const struct fkmi_brought from = fkmi_bring(
			&p, b, first + item % FKMI_TILE_POINTS < rows ? row + first + item % FKMI_TILE_POINTS : -1, wide);
		squares[item] = fkmi_sweep(&from, &operands, slabs, &found, 0);
		FKMI_BARRIER();

		struct fkmi_settled settled = {0, 0, FKMI_ROW_NONE};
		if (item < FKMI_TILE_POINTS && first + item < rows) {
			float sum = squares[item], best, second;
			int32_t at;
			for (int other = item + FKMI_TILE_POINTS; other < FKMI_GROUP; other += FKMI_TILE_POINTS)
				sum += squares[other];
			fkmi_combine_found(&found, item, &best, &second, &at);
			settled = fkmi_filter_verdict(&operands, best, second, at, sum, fast);
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
	FKMI_LOCAL_ARRAY(float4, slabs, FKMI_SLABS);
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
		fkmi_sweep(&from, &operands, slabs, 0, &gathered);

		fkmi_decide_candidates(&p, centroids, k_count, labels, counters, &gathered, &rest, listed + b * rows + first,
							   count - first, FKMI_TILE_POINTS, (FKMI_LOCAL double *)slabs, b, row, rows);
		FKMI_BARRIER();
	}
}

#endif
