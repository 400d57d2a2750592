/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tile for CPUs: filter and recheck (kernels/common/filter.h) by groups of one item, without barriers and local
 * memory, which CPUs do not have. Lanes of a vector are neighbouring centroids; FKMI_ITEM_POINTS rows of the tile are
 * multiplied at a time, with their scores in registers. FKMI_TILE_DEPTH dimensions of the tile are kept as floats.
 */
#ifndef FKMI_OPENCL_CPU_TILE_H
#define FKMI_OPENCL_CPU_TILE_H

enum {
	FKMI_LANES = 16,
	FKMI_VECTORS = FKMI_TILE_CENTROIDS / FKMI_LANES, /* of a panel */
};

/* The rows of a tile, prepared for the filter a block of dimensions at a time. */
struct fkmi_block {
	int64_t row[FKMI_TILE_POINTS]; /* index of the row's first element; -1: past the last row */
	double factor[FKMI_TILE_POINTS];
	float y[FKMI_TILE_POINTS][FKMI_TILE_DEPTH];
};

/* What a sweep finds; each lane of its own. */
struct fkmi_found {
	float16 best[FKMI_TILE_POINTS], second[FKMI_TILE_POINTS];
	int16 at[FKMI_TILE_POINTS];
	float16 squares[FKMI_TILE_POINTS];
};

/* Where candidates go. */
struct fkmi_collected {
	int32_t candidates[FKMI_TILE_POINTS][FKMI_CANDIDATES], counts[FKMI_TILE_POINTS];
	float thresholds[FKMI_TILE_POINTS];
};

/* As FKMI_MULTIPLY_ADD. */
FKMI_INLINE float16 fkmi_multiply_add16(float16 a, float16 b, float16 c)
{
#pragma OPENCL FP_CONTRACT ON
	return a * b + c;
}

FKMI_INLINE float16 fkmi_greater(float16 a, float16 b)
{
	return a > b ? a : b;
}

FKMI_INLINE float16 fkmi_lesser(float16 a, float16 b)
{
	return a < b ? a : b;
}

/* ---- the sweep ---- */

/* Coordinates j .. j+15; zeros past d. */
FKMI_INLINE float16 fkmi_load16(const struct fkmi_points *p, int64_t row, int32_t j, int32_t d)
{
	if (d - j < FKMI_LANES) {
		float x[FKMI_LANES];
		for (int i = 0; i < FKMI_LANES; i++)
			x[i] = i < d - j ? fkmi_load_float(p->data, p->dtype, row + j + i) : 0.0f;
		return vload16(0, x);
	}
	if (p->dtype == FKMI_TYPE_F32)
		return vload16(0, (FKMI_GLOBAL const float *)p->data + (row + j));
	if (p->dtype == FKMI_TYPE_F16)
		return vload_half16(0, (FKMI_GLOBAL const half *)p->data + (row + j));
	return as_float16(convert_uint16(vload16(0, (FKMI_GLOBAL const ushort *)p->data + (row + j))) << 16);
}

/* Prepares dimensions first .. first+dims-1 of the rows, and adds their squares where that is wanted. */
FKMI_INLINE void fkmi_fill(struct fkmi_block *block, const struct fkmi_points *p, const struct fkmi_operands *operands,
						   int32_t first, int32_t dims, float16 *squares)
{
	for (int r = 0; r < FKMI_TILE_POINTS; r++) {
		for (int32_t j = 0; j < dims; j += FKMI_LANES) {
			float16 y = 0.0f;
			if (block->row[r] >= 0) {
				const float16 x = fkmi_load16(p, block->row[r], first + j, operands->d);
				const float16 m = vload16(0, operands->mu + first + j);
				if (p->row_scale != 0)
					y = convert_float16(convert_double16(x) * block->factor[r] * (double)operands->scale -
										convert_double16(m));
				else
					y = fkmi_multiply_add16(x, (float16)(operands->scale), -m);
			}
			vstore16(y, 0, block->y[r] + j);
			if (squares != 0)
				squares[r] = fkmi_multiply_add16(y, y, squares[r]);
		}
	}
}

/* Scores += `dims` dimensions of a panel, for FKMI_ITEM_POINTS rows. */
FKMI_INLINE void fkmi_multiply(float (*y)[FKMI_TILE_DEPTH], FKMI_GLOBAL const float *panel, int32_t dims,
							   float16 score[FKMI_ITEM_POINTS][FKMI_VECTORS])
{
	for (int32_t j = 0; j < dims; j++) {
		float16 z[FKMI_VECTORS];
#pragma unroll
		for (int v = 0; v < FKMI_VECTORS; v++)
			z[v] = vload16(v, panel + j * FKMI_TILE_CENTROIDS);
#pragma unroll
		for (int r = 0; r < FKMI_ITEM_POINTS; r++) {
			const float16 coordinate = y[r][j];
#pragma unroll
			for (int v = 0; v < FKMI_VECTORS; v++)
				score[r][v] = fkmi_multiply_add16(coordinate, z[v], score[r][v]);
		}
	}
}

FKMI_INLINE void fkmi_keep_best(struct fkmi_found *found, int first_row, int32_t k,
								float16 score[FKMI_ITEM_POINTS][FKMI_VECTORS])
{
	const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#pragma unroll
	for (int r = 0; r < FKMI_ITEM_POINTS; r++) {
		float16 best = found->best[first_row + r], second = found->second[first_row + r];
		int16 at = found->at[first_row + r];
#pragma unroll
		for (int v = 0; v < FKMI_VECTORS; v++) {
			const float16 s = score[r][v];
			second = fkmi_greater(second, fkmi_lesser(s, best));
			at = s > best ? lanes + (k + v * FKMI_LANES) : at;
			best = fkmi_greater(s, best);
		}
		found->best[first_row + r] = best;
		found->second[first_row + r] = second;
		found->at[first_row + r] = at;
	}
}

FKMI_INLINE void fkmi_collect(struct fkmi_collected *collected, int first_row, int32_t k,
							  float16 score[FKMI_ITEM_POINTS][FKMI_VECTORS])
{
#pragma unroll
	for (int r = 0; r < FKMI_ITEM_POINTS; r++) {
		const float threshold = collected->thresholds[first_row + r];
#pragma unroll
		for (int v = 0; v < FKMI_VECTORS; v++) {
			if (!any(score[r][v] >= threshold))
				continue;
			float s[FKMI_LANES];
			vstore16(score[r][v], 0, s);
			for (int i = 0; i < FKMI_LANES; i++) {
				if (!(s[i] >= threshold))
					continue;
				const int32_t place = collected->counts[first_row + r]++;
				if (place < FKMI_CANDIDATES)
					collected->candidates[first_row + r][place] = k + v * FKMI_LANES + i;
			}
		}
	}
}

/* Scores of the block's rows against all centroids. collected null: best, second and squares into found; else
 * candidates. */
FKMI_INLINE void fkmi_sweep(struct fkmi_block *block, const struct fkmi_points *p, const struct fkmi_operands *operands,
							struct fkmi_found *found, struct fkmi_collected *collected)
{
	const int32_t d = operands->d;
	float16 scores[FKMI_TILE_POINTS / FKMI_ITEM_POINTS][FKMI_ITEM_POINTS][FKMI_VECTORS];
	for (int r = 0; r < FKMI_TILE_POINTS && collected == 0; r++) {
		found->best[r] = found->second[r] = -fkmi_bits_float(0x7f800000u);
		found->at[r] = 0;
		found->squares[r] = 0.0f;
	}
	for (int32_t k = 0; k < operands->padded; k += FKMI_TILE_CENTROIDS) {
		for (int32_t first = 0; first < d; first += FKMI_TILE_DEPTH) {
			const int32_t dims = d - first < FKMI_TILE_DEPTH ? d - first : FKMI_TILE_DEPTH;
			FKMI_GLOBAL const float *panel = operands->panels + (int64_t)k * d + (int64_t)first * FKMI_TILE_CENTROIDS;
			if (k == 0 || d > FKMI_TILE_DEPTH)
				fkmi_fill(block, p, operands, first, dims, k == 0 && collected == 0 ? found->squares : 0);
			for (int part = 0; part < FKMI_TILE_POINTS / FKMI_ITEM_POINTS; part++) {
				float16 score[FKMI_ITEM_POINTS][FKMI_VECTORS];
#pragma unroll
				for (int v = 0; v < FKMI_VECTORS; v++) {
					const float16 start = -vload16(v, operands->halves + k);
#pragma unroll
					for (int r = 0; r < FKMI_ITEM_POINTS; r++)
						score[r][v] = first == 0 ? start : scores[part][r][v];
				}
				fkmi_multiply(block->y + part * FKMI_ITEM_POINTS, panel, dims, score);
				if (first + dims < d) {
#pragma unroll
					for (int r = 0; r < FKMI_ITEM_POINTS; r++)
#pragma unroll
						for (int v = 0; v < FKMI_VECTORS; v++)
							scores[part][r][v] = score[r][v];
				} else if (collected != 0) {
					fkmi_collect(collected, part * FKMI_ITEM_POINTS, k, score);
				} else {
					fkmi_keep_best(found, part * FKMI_ITEM_POINTS, k, score);
				}
			}
		}
	}
}

/* ---- filter ---- */

FKMI_INLINE float fkmi_greatest(float16 v)
{
	const float8 eight = v.lo > v.hi ? v.lo : v.hi;
	const float4 four = eight.lo > eight.hi ? eight.lo : eight.hi;
	const float2 two = four.lo > four.hi ? four.lo : four.hi;
	return two.x > two.y ? two.x : two.y;
}

FKMI_INLINE int32_t fkmi_lowest(int16 v)
{
	const int8 eight = min(v.lo, v.hi);
	const int4 four = min(eight.lo, eight.hi);
	const int2 two = min(four.lo, four.hi);
	return min(two.x, two.y);
}

/* A row's best and second score and the lowest centroid that has the best one, of all lanes. Without branches, of which
 * a processor would guess half wrong. */
FKMI_INLINE void fkmi_combine_lanes(float16 bests, float16 seconds, int16 ats, float *best, float *second, int32_t *at)
{
	const float greatest = fkmi_greatest(bests);
	/* Written so that some lane has it if scores are no numbers, in a row that is out of the filter's range. */
	const int16 has = !(bests < (float16)greatest);
	const int32_t lowest = fkmi_lowest(has ? ats : (int16)0x7fffffff);
	const float16 others = (has && ats == (int16)lowest) ? seconds : bests;
	*best = greatest;
	*second = fkmi_greatest(fkmi_greater(others, seconds));
	*at = lowest;
}

FKMI_INLINE float fkmi_sum16(float16 v)
{
	const float8 eight = v.lo + v.hi;
	const float4 four = eight.lo + eight.hi;
	return (four.x + four.y) + (four.z + four.w);
}

/* As in kernels/common/tile.h. */
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
	FKMI_EACH(work, tiles)
	{
		const int64_t b = work / tiles, first = (work - b * tiles) * FKMI_TILE_POINTS;
		FKMI_OPERANDS_MAKE(operands, b);
		struct fkmi_block block;
		struct fkmi_found found;
		for (int r = 0; r < FKMI_TILE_POINTS; r++) {
			const bool real = first + r < rows;
			block.row[r] = real ? fkmi_row(&p, b, row + first + r) : -1;
			block.factor[r] = real ? fkmi_row_factor(&p, b, row + first + r) : 1;
		}
		fkmi_sweep(&block, &p, &operands, &found, 0);

		int32_t changed = 0, uncertain = 0;
		for (int r = 0; r < FKMI_TILE_POINTS && first + r < rows; r++) {
			const int64_t i = b * n + row + first + r;
			const int32_t before = labels[i];
			float best, second;
			int32_t at;
			fkmi_combine_lanes(found.best[r], found.second[r], found.at[r], &best, &second, &at);
			if (previous != 0)
				previous[i] = before;
			const struct fkmi_settled settled =
				fkmi_filter_verdict(&operands, best, second, at, fkmi_sum16(found.squares[r]), fast);
			if (settled.fate == FKMI_ROW_DECIDED) {
				labels[i] = at;
				changed += before != at;
				continue;
			}
			uncertain++;
			if (settled.fate == FKMI_ROW_LISTED) {
				const int64_t place = b * rows + fkmi_add32(&listed_count[b], 1);
				listed[place] = (int32_t)(first + r);
				thresholds[place] = settled.threshold;
			} else {
				scanned[b * rows + fkmi_add32(&scanned_count[b], 1)] = (int32_t)(first + r);
			}
		}
		if (changed > 0)
			fkmi_add64(&counters[b * FKMI_STATE_MEMBERS + FKMI_STATE_CHANGED], changed);
		if (uncertain > 0)
			fkmi_add64(&counters[b * FKMI_STATE_MEMBERS + FKMI_STATE_RECHECKED], uncertain);
	}
}

/* ---- recheck ---- */

/* D between a row and a centroid. */
FKMI_INLINE double fkmi_distance(const struct fkmi_points *p, int64_t row, double factor,
								 FKMI_GLOBAL const double *centroid)
{
	double part[8];
	for (int lane = 0; lane < 8; lane++)
		part[lane] = fkmi_partial_distance_of(p, row, factor, centroid, lane);
	return fkmi_combine8(part[0], part[1], part[2], part[3], part[4], part[5], part[6], part[7]);
}

/* As in kernels/common/tile.h. */
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
	for (int64_t work = fkmi_next_listed(active, listed_count, fkmi_group(), tiles, FKMI_TILE_POINTS, b_count);
		 work < b_count * tiles;
		 work = fkmi_next_listed(active, listed_count, work + fkmi_groups(), tiles, FKMI_TILE_POINTS, b_count)) {
		const int64_t b = work / tiles, first = (work - b * tiles) * FKMI_TILE_POINTS, count = listed_count[b];
		FKMI_OPERANDS_MAKE(operands, b);
		struct fkmi_block block;
		struct fkmi_collected collected;
		for (int r = 0; r < FKMI_TILE_POINTS; r++) {
			const bool real = first + r < count;
			const int64_t i = real ? row + listed[b * rows + first + r] : 0;
			block.row[r] = real ? fkmi_row(&p, b, i) : -1;
			block.factor[r] = real ? fkmi_row_factor(&p, b, i) : 1;
			collected.counts[r] = 0;
			/* Rows past the last one have no candidates. */
			collected.thresholds[r] = real ? thresholds[b * rows + first + r] : fkmi_bits_float(0x7f800000u);
		}
		fkmi_sweep(&block, &p, &operands, 0, &collected);
		for (int r = 0; r < FKMI_TILE_POINTS && first + r < count; r++) {
			const int32_t i = listed[b * rows + first + r];
			struct fkmi_verdict verdict = {0, -1, 0};
			for (int c = 0; c < collected.counts[r] && collected.counts[r] <= FKMI_CANDIDATES; c++) {
				const int32_t k = collected.candidates[r][c];
				fkmi_consider(&verdict,
							  fkmi_distance(&p, block.row[r], block.factor[r], centroids + (b * k_count + k) * d), k);
			}
			if (verdict.label >= 0)
				fkmi_decide(&labels[b * n + row + i], counters + b * FKMI_STATE_MEMBERS, verdict);
			else
				scanned[b * rows + fkmi_add32(&scanned_count[b], 1)] = i;
		}
	}
}

#endif
