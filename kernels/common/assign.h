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

/* 2^p: brings the largest coordinate of the points to about 1. */
FKMI_INLINE float fkmi_filter_scale(FKMI_GLOBAL const int64_t *state, int64_t b)
{
	int p = -fkmi_exponent(fkmi_bits_double(state[b * FKMI_STATE_MEMBERS + FKMI_STATE_POINT_MAX]));
	p = p < -126 ? -126 : p > 126 ? 126 : p;
	return (float)fkmi_power2(p);
}

enum { FKMI_MEAN_SETS = FKMI_GROUP / FKMI_MEAN_COLUMNS };

/* mu = 2^p times the mean of some of the centroids, spread evenly; norm_max = 0. One group for FKMI_MEAN_COLUMNS
 * columns. */
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
			mu[b * padded_d + j] = (float)(sum / (double)samples * (double)fkmi_filter_scale(state, b));
		}
		if (item == 0 && j == 0)
			norm_max[b] = 0;
		FKMI_BARRIER();
	}
}

/* Hash of a coordinate; the sum over a row's is the row's. Zeros of both signs are equal. */
FKMI_INLINE uint32_t fkmi_hash(double c, int64_t j)
{
	uint64_t bits = c == 0 ? 0 : (uint64_t)fkmi_double_bits(c);
	bits = (bits ^ (uint64_t)j * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
	bits = (bits ^ bits >> 32) * 0xD6E8FEB86659FD93u;
	return (uint32_t)(bits >> 32);
}

FKMI_INLINE bool fkmi_same_row(FKMI_GLOBAL const double *a, FKMI_GLOBAL const double *b, int64_t d)
{
	for (int64_t j = 0; j < d; j++)
		if (a[j] != b[j])
			return false;
	return true;
}

/*
 * Operands of each centroid, by an octet, and its entry in the table of different centroids: open addressing, `slots`
 * (a power of two) of a problem, -1: free. Equal centroids meet in one slot, which keeps the lowest of them.
 */
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
				FKMI_GLOBAL int32_t *entries = table + b * slots;
				int64_t slot = (uint32_t)hashes[octet] & (slots - 1);
				for (;; slot = (slot + 1) & (slots - 1)) {
					int32_t other = fkmi_compare_exchange32(&entries[slot], -1, (int32_t)k);
					if (other == -1)
						break;
					if (fkmi_same_row(all + other * d, all + k * d, d)) {
						fkmi_min32(&entries[slot], (int32_t)k);
						break;
					}
				}
				slot_of[b * k_count + k] = (int32_t)slot;
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
	FKMI_SLAB_CENTROIDS = FKMI_TILE_DIMS * FKMI_TILE_CENTROIDS,
	FKMI_CANDIDATES = 8
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

/* The row whose coordinates an item brings to local memory: item i those of row i % FKMI_TILE_POINTS of the tile, the
 * first half of the group the first half of each slab's dimensions. */
struct fkmi_brought {
	struct fkmi_points points;
	int64_t row; /* index of the row's first element; -1: past the last row */
	double factor;
	bool wide; /* eight elements may be read at once */
};

enum { FKMI_BRINGS = FKMI_TILE_DIMS * FKMI_TILE_POINTS / FKMI_GROUP };

/* i: the row, or -1. */
FKMI_INLINE struct fkmi_brought fkmi_bring(const struct fkmi_points *p, int64_t b, int64_t i, int32_t wide)
{
	struct fkmi_brought from = {*p, -1, 1, wide != 0};
	if (i >= 0) {
		from.row = fkmi_row(p, b, i);
		from.factor = fkmi_row_factor(p, b, i);
	}
	return from;
}

/* Reads coordinates j .. j+7 as bits; zeros past d. */
FKMI_INLINE void fkmi_fetch(const struct fkmi_brought *from, int32_t j, int32_t d, uint32_t *raw)
{
	int32_t count = from->row < 0 ? 0 : d - j;
	if (from->points.dtype == FKMI_TYPE_F32) {
		FKMI_GLOBAL const uint32_t *x = (FKMI_GLOBAL const uint32_t *)from->points.data + (from->row + j);
		if (from->wide && count >= FKMI_BRINGS) {
			uint4 low = ((FKMI_GLOBAL const uint4 *)x)[0], high = ((FKMI_GLOBAL const uint4 *)x)[1];
			raw[0] = low.x;
			raw[1] = low.y;
			raw[2] = low.z;
			raw[3] = low.w;
			raw[4] = high.x;
			raw[5] = high.y;
			raw[6] = high.z;
			raw[7] = high.w;
			return;
		}
		for (int i = 0; i < FKMI_BRINGS; i++)
			raw[i] = i < count ? x[i] : 0;
		return;
	}
	FKMI_GLOBAL const uint16_t *x = (FKMI_GLOBAL const uint16_t *)from->points.data + (from->row + j);
	if (from->wide && count >= FKMI_BRINGS) {
		uint4 all = *(FKMI_GLOBAL const uint4 *)x;
		raw[0] = all.x;
		raw[1] = all.y;
		raw[2] = all.z;
		raw[3] = all.w;
		return;
	}
	for (int i = 0; i < FKMI_BRINGS; i += 2) {
		uint32_t low = i < count ? x[i] : 0, high = i + 1 < count ? x[i + 1] : 0;
		raw[i / 2] = high << 16 | low;
	}
}

/* What the bits mean. */
FKMI_INLINE void fkmi_decode(int32_t dtype, const uint32_t *raw, float *x)
{
	if (dtype == FKMI_TYPE_F32) {
		for (int i = 0; i < FKMI_BRINGS; i++)
			x[i] = fkmi_bits_float(raw[i]);
	} else if (dtype == FKMI_TYPE_F16) {
		for (int i = 0; i < FKMI_BRINGS; i++)
			x[i] = fkmi_half_to_float((uint16_t)(raw[i / 2] >> (i % 2 * 16)));
	} else {
		for (int i = 0; i < FKMI_BRINGS; i++)
			x[i] = fkmi_bits_float(i % 2 == 0 ? raw[i / 2] << 16 : raw[i / 2] & 0xffff0000u);
	}
}

/* Puts coordinates j .. j+7 of y into a slab; returns what they add to the sum of squares. Past d, y is 0. */
FKMI_INLINE float fkmi_put(const struct fkmi_brought *from, const struct fkmi_operands *operands, int32_t j,
						   const uint32_t *raw, FKMI_LOCAL float *to)
{
	float squares = 0, x[FKMI_BRINGS];
	fkmi_decode(from->points.dtype, raw, x);
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

/* Where candidates go; FKMI_CANDIDATES of each of the tile's rows. */
struct fkmi_gathered {
	FKMI_LOCAL int32_t *candidates, *counts;
	FKMI_LOCAL const float *thresholds;
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
	FKMI_LOCAL_ARRAY(int32_t, counts, 5); /* changed, listed, scanned; where the last two go */
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
		if (item < 3)
			counts[item] = 0;
		FKMI_BARRIER();

		const int64_t at = b * n + row + first + item;
		int32_t listed_at = -1, scanned_at = -1;
		float threshold = 0;
		if (item < FKMI_TILE_POINTS && first + item < rows) {
			const float sum = squares[item] + squares[item + FKMI_TILE_POINTS];
			const bool in_range = operands.usable && sum < FKMI_FILTER_SQUARES_LIMIT;
			const int32_t before = labels[at], best = found.at[0];
			if (previous != 0)
				previous[at] = before;
			if (in_range && !fast)
				threshold = fkmi_filter_threshold(found.best[0], sum, operands.norms[best], operands.norm_max, d);
			if (fast || (in_range && found.second[0] < threshold)) {
				labels[at] = best;
				if (before != best)
					fkmi_local_add32(&counts[0], 1);
			} else if (in_range) {
				listed_at = fkmi_local_add32(&counts[1], 1);
			} else {
				scanned_at = fkmi_local_add32(&counts[2], 1);
			}
		}
		FKMI_BARRIER();
		if (item == 0) {
			FKMI_GLOBAL int64_t *s = counters + b * FKMI_STATE_MEMBERS;
			if (counts[0] > 0)
				fkmi_add64(&s[FKMI_STATE_CHANGED], counts[0]);
			if (counts[1] + counts[2] > 0)
				fkmi_add64(&s[FKMI_STATE_RECHECKED], counts[1] + counts[2]);
			counts[3] = counts[1] > 0 ? fkmi_add32(&listed_count[b], counts[1]) : 0;
			counts[4] = counts[2] > 0 ? fkmi_add32(&scanned_count[b], counts[2]) : 0;
		}
		FKMI_BARRIER();
		if (listed_at >= 0) {
			listed[b * rows + counts[3] + listed_at] = (int32_t)(first + item);
			thresholds[b * rows + counts[3] + listed_at] = threshold;
		}
		if (scanned_at >= 0)
			scanned[b * rows + counts[4] + scanned_at] = (int32_t)(first + item);
		FKMI_BARRIER();
	}
}

/* ---- recheck ---- */

/* What f64 finds of a row: the nearest centroid, lowest index first, and whether another one is as near. */
struct fkmi_verdict {
	double distance;
	int32_t label; /* -1: nothing yet */
	int32_t tie;
};

FKMI_INLINE void fkmi_consider(struct fkmi_verdict *v, double distance, int32_t k)
{
	if (v->label < 0 || distance < v->distance) {
		v->distance = distance;
		v->label = k;
		v->tie = 0;
	} else if (distance == v->distance) {
		v->label = k < v->label ? k : v->label;
		v->tie = 1;
	}
}

/* Writes a decided row's label, and counts. */
FKMI_INLINE void fkmi_decide(FKMI_GLOBAL int32_t *label, FKMI_GLOBAL int64_t *state, struct fkmi_verdict v)
{
	int32_t before = *label;
	*label = v.label;
	if (before != v.label)
		fkmi_add64(&state[FKMI_STATE_CHANGED], 1);
	if (v.tie)
		fkmi_add64(&state[FKMI_STATE_TIES], 1);
}

/* As fkmi_next, for the tiles that have listed rows. */
FKMI_INLINE int64_t fkmi_next_listed(FKMI_GLOBAL const int32_t *active, FKMI_GLOBAL const int32_t *count, int64_t work,
									 int64_t tiles, int64_t b_count)
{
	while (work < b_count * tiles && (!active[work / tiles] || work % tiles * FKMI_TILE_POINTS >= count[work / tiles]))
		work += fkmi_groups();
	return work;
}

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
	for (int64_t work = fkmi_next_listed(active, listed_count, fkmi_group(), tiles, b_count); work < b_count * tiles;
		 work = fkmi_next_listed(active, listed_count, work + fkmi_groups(), tiles, b_count)) {
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
		const struct fkmi_gathered gathered = {candidates, found_count, limits};
		struct fkmi_found unused;
		fkmi_sweep(&from, &operands, slabs_x, slabs_z, &unused, &gathered);

		FKMI_LOCAL double *buffer = (FKMI_LOCAL double *)slabs_x;
		for (int round = 0; round < FKMI_TILE_POINTS / FKMI_OCTETS; round++) {
			int r = round * FKMI_OCTETS + item / 8;
			bool mine = first + r < count;
			int64_t i = mine ? row + listed[b * rows + first + r] : 0;
			int32_t found = mine ? found_count[r] : 0;
			struct fkmi_verdict verdict = {0, -1, 0};
			for (int c = 0; c < FKMI_CANDIDATES; c++) {
				bool has = c < found && found <= FKMI_CANDIDATES;
				int32_t k = has ? candidates[r * FKMI_CANDIDATES + c] : 0;
				double part = 0;
				if (has)
					part = fkmi_partial_distance(&p, fkmi_row(&p, b, i), fkmi_row_factor(&p, b, i),
												 centroids + (b * k_count + k) * d);
				part = fkmi_sum8(buffer, part);
				if (has)
					fkmi_consider(&verdict, part, k);
			}
			if (mine && (item & 7) == 0) {
				if (verdict.label >= 0)
					fkmi_decide(&labels[b * n + i], counters + b * FKMI_STATE_MEMBERS, verdict);
				else
					scanned[b * rows + fkmi_add32(&scanned_count[b], 1)] = (int32_t)(i - row);
			}
		}
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
