/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of the steps check_points, check_weights, row_norms, grids and variances.
 *
 * Passes over columns give a group one piece of the rows of one problem. `lanes` neighbouring items, a power of two,
 * take neighbouring columns; the group's FKMI_GROUP / lanes sets of them take every so manieth row, and are then
 * combined.
 */
#ifndef FKMI_COMMON_CHECK_H
#define FKMI_COMMON_CHECK_H

#define FKMI_NONE_YET 0x7fffffffffffffff

/* ---- check_points ---- */

/* Empty column ranges, as order keys. */
FKMI_KERNEL fkmi_k_ranges_open(FKMI_ARG(const int32_t, active), FKMI_ARG(int64_t, low), FKMI_ARG(int64_t, high),
							   int64_t d, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(int64_t, low);
	FKMI_USE(int64_t, high);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < b_count * d; i += fkmi_groups() * FKMI_GROUP) {
		if (!active[i / d])
			continue;
		low[i] = FKMI_NONE_YET;
		high[i] = -FKMI_NONE_YET;
	}
}

enum { FKMI_RANGE_COLUMNS = 8, FKMI_RANGE_AHEAD = 4 }; /* of an item; rows whose reads are in flight together */

/* The lowest element of those rows and columns that is not finite, or FKMI_NONE_YET. */
FKMI_INLINE int64_t fkmi_seek_bad(const struct fkmi_points *p, int64_t b, int64_t first, int64_t end, int64_t step,
								  int64_t column, int64_t columns)
{
	for (int64_t i = first; i < end; i += step)
		for (int64_t j = column; j < column + columns; j++)
			if (!fkmi_is_finite((double)fkmi_load_float(p->data, p->dtype, fkmi_row(p, b, i) + j)))
				return i * p->d + j;
	return FKMI_NONE_YET;
}

/* Narrows the ranges to hold the values of rows row .. row+rows-1, and finds the lowest element that is not finite. low
 * and high may be null. `lanes` items take FKMI_RANGE_COLUMNS columns each. */
FKMI_KERNEL fkmi_k_column_ranges(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_ARG(int64_t, low),
								 FKMI_ARG(int64_t, high), FKMI_ARG(int64_t, state), int32_t wide, int32_t lanes,
								 int64_t row, int64_t rows, int64_t piece, int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_USE(int64_t, low);
	FKMI_USE(int64_t, high);
	FKMI_USE(int64_t, state);
	FKMI_LOCAL_ARRAY(float, lows, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(float, highs, FKMI_GROUP);
	const int item = fkmi_item(), lane = item & (lanes - 1), sets = FKMI_GROUP / lanes;
	const float infinity = fkmi_bits_float(0x7f800000u);
	FKMI_EACH(work, pieces)
	{
		const int64_t b = work / pieces, first = row + (work - b * pieces) * piece;
		const int64_t end = fkmi_smaller(row + rows, first + piece);
		for (int64_t j0 = 0; j0 < d; j0 += lanes * FKMI_RANGE_COLUMNS) {
			const int64_t j = j0 + lane * FKMI_RANGE_COLUMNS, columns = fkmi_smaller(FKMI_RANGE_COLUMNS, d - j);
			float lowest[FKMI_RANGE_COLUMNS], highest[FKMI_RANGE_COLUMNS];
			uint32_t largest = 0; /* bits without the sign: those of what is not finite are the largest */
			for (int v = 0; v < FKMI_RANGE_COLUMNS; v++) {
				lowest[v] = infinity;
				highest[v] = -infinity;
			}
			for (int64_t i = columns > 0 ? first + item / lanes : end; i < end; i += sets * FKMI_RANGE_AHEAD) {
				uint32_t raw[FKMI_RANGE_AHEAD][8];
				for (int r = 0; r < FKMI_RANGE_AHEAD; r++) /* past the end the first row once more */
					fkmi_fetch8(&p, fkmi_row(&p, b, i + r * sets < end ? i + r * sets : i) + j, columns, wide != 0,
								raw[r]);
				for (int r = 0; r < FKMI_RANGE_AHEAD; r++) {
					float x[FKMI_RANGE_COLUMNS];
					fkmi_decode8(dtype, raw[r], x);
					for (int v = 0; v < FKMI_RANGE_COLUMNS; v++) {
						const uint32_t bits = fkmi_float_bits(x[v]) & 0x7fffffffu;
						largest = bits > largest ? bits : largest;
						lowest[v] = x[v] < lowest[v] ? x[v] : lowest[v];
						highest[v] = x[v] > highest[v] ? x[v] : highest[v];
					}
				}
			}
			if (largest >= 0x7f800000u)
				fkmi_lower_index(&state[b * FKMI_STATE_MEMBERS + FKMI_STATE_BAD_POINT],
								 fkmi_seek_bad(&p, b, first + item / lanes, end, sets, j, columns));
			for (int v = 0; v < FKMI_RANGE_COLUMNS && low != 0; v++) {
				lows[item] = lowest[v];
				highs[item] = highest[v];
				FKMI_BARRIER();
				for (int step = FKMI_GROUP / 2; step >= lanes; step /= 2) {
					if (item < step) {
						lows[item] = lows[item + step] < lows[item] ? lows[item + step] : lows[item];
						highs[item] = highs[item + step] > highs[item] ? highs[item + step] : highs[item];
					}
					FKMI_BARRIER();
				}
				if (item < lanes && v < columns) {
					fkmi_min64(&low[b * d + j + v], fkmi_order_key(fkmi_double_bits((double)lows[item])));
					fkmi_max64(&high[b * d + j + v], fkmi_order_key(fkmi_double_bits((double)highs[item])));
				}
				FKMI_BARRIER();
			}
		}
	}
}

/* ---- check_weights ---- */

/* Range and first bad row of the weights; the state's members hold infinity, 0 and -1 before. */
FKMI_KERNEL fkmi_k_weight_ranges(FKMI_ARG(const int32_t, active), FKMI_WEIGHTS_ARGS, FKMI_ARG(int64_t, state),
								 int64_t n, int64_t piece, int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_WEIGHTS_MAKE(weight);
	FKMI_USE(int64_t, state);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	FKMI_EACH(work, pieces)
	{
		int64_t b = work / pieces, first = (work - b * pieces) * piece, end = fkmi_smaller(n, first + piece);
		int64_t lowest = FKMI_NONE_YET, highest = 0, bad = FKMI_NONE_YET;
		for (int64_t i = first + fkmi_item(); i < end; i += FKMI_GROUP) {
			double w = fkmi_weight(&weight, b, i);
			/* The bits of numbers from 0 up are in order. */
			int64_t bits = w == 0 ? 0 : fkmi_double_bits(w);
			if (bits < 0 || !fkmi_is_finite(w)) {
				bad = fkmi_smaller(bad, i);
				continue;
			}
			lowest = bits < lowest ? bits : lowest;
			highest = bits > highest ? bits : highest;
		}
		lowest = fkmi_group_min(buffer, lowest);
		highest = fkmi_group_max(buffer, highest);
		bad = fkmi_group_min(buffer, bad);
		if (fkmi_item() == 0) {
			FKMI_GLOBAL int64_t *s = state + b * FKMI_STATE_MEMBERS;
			fkmi_min64(&s[FKMI_STATE_WEIGHT_MIN], lowest);
			fkmi_max64(&s[FKMI_STATE_WEIGHT_MAX], highest);
			if (bad != FKMI_NONE_YET)
				fkmi_lower_index(&s[FKMI_STATE_BAD_WEIGHT], bad);
		}
	}
}

/* ---- row_norms ---- */

/* norms = r of section 1, of rows row .. row+rows-1. */
FKMI_KERNEL fkmi_k_row_norms(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_ARG(double, norms), int64_t row,
							 int64_t rows, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_USE(double, norms);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, i = row + (work - b * blocks) * FKMI_OCTETS + fkmi_item() / 8;
		bool mine = i < row + rows;
		double q = mine ? fkmi_partial_distance(&p, fkmi_row(&p, b, i), 1.0, 0) : 0.0;
		q = fkmi_sum8(buffer, q);
		if (mine && (fkmi_item() & 7) == 0)
			norms[b * n + i] = q == 0 ? 0.0 : 1.0 / sqrt(q);
	}
}

/* ---- grids ---- */

/* a_j of section 2. */
FKMI_INLINE double fkmi_column_magnitude(FKMI_GLOBAL const double *low, FKMI_GLOBAL const double *high, int64_t index)
{
	return low != 0 ? fmax(fabs(low[index]), fabs(high[index])) : 1.0;
}

/* Column scales, point_max and weight_scale, and ranges, order keys before, become doubles; one group per problem.
 * capped: exact f16 sums, section 2. unranged: any finite f16 may stand in the columns. */
FKMI_KERNEL fkmi_k_grids(FKMI_ARG(const int32_t, active), FKMI_ARG(double, low), FKMI_ARG(double, high),
						 int32_t unranged, FKMI_ARG(double, scale), FKMI_ARG(int64_t, state), int32_t capped,
						 int32_t weighted, int64_t n, int64_t d, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(double, low);
	FKMI_USE(double, high);
	FKMI_USE(double, scale);
	FKMI_USE(int64_t, state);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	const int bits = fkmi_grid_bits(n);
	FKMI_EACH(b, 1)
	{
		FKMI_GLOBAL int64_t *s = state + b * FKMI_STATE_MEMBERS;
		double weight_max = fkmi_bits_double(s[FKMI_STATE_WEIGHT_MAX]);
		int64_t largest = 0;
		for (int64_t j = fkmi_item(); j < d; j += FKMI_GROUP) {
			if (low != 0 && !unranged) {
				low[b * d + j] = fkmi_bits_double(fkmi_order_key(fkmi_double_bits(low[b * d + j])));
				high[b * d + j] = fkmi_bits_double(fkmi_order_key(fkmi_double_bits(high[b * d + j])));
			}
			double a = unranged ? 65504.0 : fkmi_column_magnitude(low, high, b * d + j);
			double g = fkmi_grid_scale(a * weight_max, bits);
			scale[b * d + j] = capped ? fmin(g, 16777216.0) : g;
			largest = fkmi_double_bits(a) > largest ? fkmi_double_bits(a) : largest;
		}
		largest = fkmi_group_max(buffer, largest);
		if (fkmi_item() == 0) {
			s[FKMI_STATE_POINT_MAX] = largest;
			s[FKMI_STATE_WEIGHT_SCALE] = fkmi_double_bits(weighted ? fkmi_grid_scale(weight_max, bits) : 1.0);
		}
	}
}

/* ---- variances ---- */

/* Before (stage 0), between (1) and after (2) the two passes of fkmi_k_column_sums: sets center, scale and sums for the
 * next one, and in the end the variance. */
FKMI_KERNEL fkmi_k_moments(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, low), FKMI_ARG(const double, high),
						   FKMI_ARG(double, center), FKMI_ARG(double, scale), FKMI_ARG(int64_t, sums),
						   FKMI_ARG(double, variance), int32_t stage, int64_t n, int64_t d, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, low);
	FKMI_USE(const double, high);
	FKMI_USE(double, center);
	FKMI_USE(double, scale);
	FKMI_USE(int64_t, sums);
	FKMI_USE(double, variance);
	const int bits = fkmi_grid_bits(n);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < b_count * d; i += fkmi_groups() * FKMI_GROUP) {
		if (!active[i / d])
			continue;
		double mean = stage == 0 ? 0.0 : (double)sums[i] * (1.0 / scale[i]) / (double)n;
		if (stage == 0) {
			scale[i] = fkmi_grid_scale(fkmi_column_magnitude(low, high, i), bits);
			center[i] = 0;
		} else if (stage == 1) {
			double e = low != 0 ? fmax(fabs(high[i] - mean), fabs(low[i] - mean)) : 2.0;
			scale[i] = fkmi_grid_scale(e * e, bits);
			center[i] = mean;
		} else {
			variance[i] = mean;
		}
		sums[i] = 0;
	}
}

/* Adds the quantised values of the columns, or the squares of their distances from center, to sums: of rows row ..
 * row+rows-1. */
FKMI_KERNEL fkmi_k_column_sums(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_ARG(const double, center),
							   FKMI_ARG(const double, scale), FKMI_ARG(int64_t, sums), int32_t squares, int32_t lanes,
							   int64_t row, int64_t rows, int64_t piece, int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_USE(const double, center);
	FKMI_USE(const double, scale);
	FKMI_USE(int64_t, sums);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	const int item = fkmi_item(), sets = FKMI_GROUP / lanes;
	FKMI_EACH(work, pieces)
	{
		int64_t b = work / pieces, first = row + (work - b * pieces) * piece;
		int64_t end = fkmi_smaller(row + rows, first + piece);
		for (int64_t j0 = 0; j0 < d; j0 += lanes) {
			int64_t j = j0 + (item & (lanes - 1)), sum = 0;
			if (j < d) {
				double c = center[b * d + j], s = scale[b * d + j];
				for (int64_t i = first + item / lanes; i < end; i += sets) {
					double v = fkmi_coordinate(&p, fkmi_row(&p, b, i), fkmi_row_factor(&p, b, i), j);
					if (squares)
						v = (v - c) * (v - c);
					sum += fkmi_rint(v * s);
				}
			}
			buffer[item] = sum;
			FKMI_BARRIER();
			if (item < lanes && j < d) {
				for (int set = 1; set < sets; set++)
					sum += buffer[set * lanes + item];
				fkmi_add64(&sums[b * d + j], sum);
			}
			FKMI_BARRIER();
		}
	}
}

#endif
