/* SPDX-License-Identifier: Apache-2.0 */
/* Exact access to points and weights, sums of groups, and the reference distance, docs/semantics.md section 1. */
#ifndef FKMI_COMMON_POINTS_H
#define FKMI_COMMON_POINTS_H

/* The points of all problems, as kernel parameters and as the struct that FKMI_POINTS_MAKE makes of them. */
#define FKMI_POINTS_ARGS                                                                                               \
	FKMI_ARG(const char, points), FKMI_ARG(const double, row_scale), int64_t row_stride, int64_t batch_stride,         \
		int64_t n, int64_t d, int32_t dtype
#define FKMI_POINTS_MAKE(p)                                                                                            \
	FKMI_USE(const char, points);                                                                                      \
	FKMI_USE(const double, row_scale);                                                                                 \
	const struct fkmi_points p = {points, row_scale, row_stride, batch_stride, n, d, dtype}

struct fkmi_points {
	FKMI_GLOBAL const char *data;
	FKMI_GLOBAL const double *row_scale; /* r of section 1, [b, n]; null: 1 */
	int64_t row_stride, batch_stride;    /* elements */
	int64_t n, d;
	int32_t dtype;
};

#define FKMI_WEIGHTS_ARGS FKMI_ARG(const char, weights), int64_t weights_stride, int32_t weights_dtype
#define FKMI_WEIGHTS_MAKE(w)                                                                                           \
	FKMI_USE(const char, weights);                                                                                     \
	const struct fkmi_weights w = {weights, weights_stride, weights_dtype}

struct fkmi_weights {
	FKMI_GLOBAL const char *data; /* null: all 1 */
	int64_t batch_stride;
	int32_t dtype;
};

/* Element index of an array of any type but F64, exactly. */
FKMI_INLINE float fkmi_load_float(FKMI_GLOBAL const char *data, int32_t dtype, int64_t index)
{
	if (dtype == FKMI_TYPE_F32)
		return ((FKMI_GLOBAL const float *)data)[index];
	uint16_t bits = ((FKMI_GLOBAL const uint16_t *)data)[index];
	return dtype == FKMI_TYPE_F16 ? fkmi_half_to_float(bits) : fkmi_bits_float((uint32_t)bits << 16);
}

/* Element index of an array of any type, exactly. */
FKMI_INLINE double fkmi_load_double(FKMI_GLOBAL const char *data, int32_t dtype, int64_t index)
{
	if (dtype == FKMI_TYPE_F64)
		return ((FKMI_GLOBAL const double *)data)[index];
	return (double)fkmi_load_float(data, dtype, index);
}

/* Index of the first element of row i of problem b. */
FKMI_INLINE int64_t fkmi_row(const struct fkmi_points *p, int64_t b, int64_t i)
{
	return b * p->batch_stride + i * p->row_stride;
}

/* Reads the n elements (4, or a multiple of 8; a constant) from index on, of which `count` are of interest, as bits, zeros
 * in place of the others. wide: they may be read 16 bytes at a time. */
FKMI_INLINE void fkmi_fetch_bits(const struct fkmi_points *p, int64_t index, int64_t count, bool wide, int n,
								 uint32_t *raw)
{
	if (p->dtype == FKMI_TYPE_F32) {
		FKMI_GLOBAL const uint32_t *x = (FKMI_GLOBAL const uint32_t *)p->data + index;
		if (wide && count >= n) {
#pragma unroll
			for (int i = 0; i < n; i += 4) {
				uint4 four = *(FKMI_GLOBAL const uint4 *)(x + i);
				raw[i] = four.x;
				raw[i + 1] = four.y;
				raw[i + 2] = four.z;
				raw[i + 3] = four.w;
			}
			return;
		}
#pragma unroll
		for (int i = 0; i < n; i++)
			raw[i] = i < count ? x[i] : 0;
		return;
	}
	FKMI_GLOBAL const uint16_t *x = (FKMI_GLOBAL const uint16_t *)p->data + index;
	if (wide && count >= n) {
		if (n == 4) {
			uint2 four = *(FKMI_GLOBAL const uint2 *)x;
			raw[0] = four.x;
			raw[1] = four.y;
			return;
		}
#pragma unroll
		for (int i = 0; i < n; i += 8) {
			uint4 eight = *(FKMI_GLOBAL const uint4 *)(x + i);
			raw[i / 2] = eight.x;
			raw[i / 2 + 1] = eight.y;
			raw[i / 2 + 2] = eight.z;
			raw[i / 2 + 3] = eight.w;
		}
		return;
	}
#pragma unroll
	for (int i = 0; i < n; i += 2) {
		uint32_t low = i < count ? x[i] : 0, high = i + 1 < count ? x[i + 1] : 0;
		raw[i / 2] = high << 16 | low;
	}
}

/* What the bits mean. */
FKMI_INLINE void fkmi_decode_bits(int32_t dtype, const uint32_t *raw, int n, float *x)
{
	if (dtype == FKMI_TYPE_F32) {
#pragma unroll
		for (int i = 0; i < n; i++)
			x[i] = fkmi_bits_float(raw[i]);
	} else if (dtype == FKMI_TYPE_F16) {
#pragma unroll
		for (int i = 0; i < n; i++)
			x[i] = fkmi_half_to_float((uint16_t)(raw[i / 2] >> (i % 2 * 16)));
	} else {
#pragma unroll
		for (int i = 0; i < n; i++)
			x[i] = fkmi_bits_float(i % 2 == 0 ? raw[i / 2] << 16 : raw[i / 2] & 0xffff0000u);
	}
}

/* The same for 8 elements. */
FKMI_INLINE void fkmi_fetch8(const struct fkmi_points *p, int64_t index, int64_t count, bool wide, uint32_t *raw)
{
	fkmi_fetch_bits(p, index, count, wide, 8, raw);
}
FKMI_INLINE void fkmi_decode8(int32_t dtype, const uint32_t *raw, float *x)
{
	fkmi_decode_bits(dtype, raw, 8, x);
}

/* What row i of problem b is multiplied by. */
FKMI_INLINE double fkmi_row_factor(const struct fkmi_points *p, int64_t b, int64_t i)
{
	return p->row_scale != 0 ? p->row_scale[b * p->n + i] : 1.0;
}

/* Coordinate j of the row that starts at index row and is multiplied by factor. */
FKMI_INLINE double fkmi_coordinate(const struct fkmi_points *p, int64_t row, double factor, int64_t j)
{
	return (double)fkmi_load_float(p->data, p->dtype, row + j) * factor;
}

FKMI_INLINE double fkmi_weight(const struct fkmi_weights *w, int64_t b, int64_t i)
{
	return w->data != 0 ? fkmi_load_double(w->data, w->dtype, b * w->batch_stride + i) : 1.0;
}

/* rint(v) for |v| <= 2^51: adding 1.5 * 2^52 leaves the rounded integer in the last bits. */
FKMI_INLINE int64_t fkmi_rint(double v)
{
	const double magic = 6755399441055744.0;
	return fkmi_double_bits(v + magic) - fkmi_double_bits(magic);
}

/* rint(v * scale) for a power of two, |v * scale| <= 2^51: the product is exact, so that one rounding does both. */
FKMI_INLINE int64_t fkmi_quantise(double v, double scale)
{
	const double magic = 6755399441055744.0;
	return fkmi_double_bits(fma(v, scale, magic)) - fkmi_double_bits(magic);
}

FKMI_INLINE bool fkmi_is_finite(double v)
{
	return (fkmi_double_bits(v) >> 52 & 2047) != 2047;
}

FKMI_INLINE int64_t fkmi_smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- walking the work of a kernel ---- */

/* The next piece of work from `work` on, of an active problem, for this group: each of b_count problems has `pieces`.
 */
FKMI_INLINE int64_t fkmi_next(FKMI_GLOBAL const int32_t *active, int64_t work, int64_t pieces, int64_t b_count)
{
	while (work < b_count * pieces) {
		int64_t b = work / pieces;
		if (active[b])
			break;
		do
			b++;
		while (b < b_count && !active[b]);
		work += (b * pieces - work + fkmi_groups() - 1) / fkmi_groups() * fkmi_groups();
	}
	return work;
}

/* Runs the statement after it for each piece of work of this group. Barriers are allowed in it as long as neither they
 * nor the loops around them are skipped by some items: some compilers also want no `continue` and no `break` there. */
#define FKMI_EACH(work, pieces)                                                                                        \
	for (int64_t work = fkmi_next(active, fkmi_group(), pieces, b_count); work < b_count * (pieces);                   \
		 work = fkmi_next(active, work + fkmi_groups(), pieces, b_count))

/* ---- of a whole group: all items must call these together; the buffer holds FKMI_GROUP numbers ---- */

#define FKMI_DEFINE_REDUCTION(name, type, expression)                                                                  \
	/* Combines the items' values; all get the result. */                                                              \
	FKMI_INLINE type name(FKMI_LOCAL type *buffer, type value)                                                         \
	{                                                                                                                  \
		int item = fkmi_item();                                                                                        \
		buffer[item] = value;                                                                                          \
		FKMI_BARRIER();                                                                                                \
		for (int half_size = FKMI_GROUP / 2; half_size > 0; half_size /= 2) {                                          \
			if (item < half_size) {                                                                                    \
				type a = buffer[item], b = buffer[item + half_size];                                                   \
				buffer[item] = expression;                                                                             \
			}                                                                                                          \
			FKMI_BARRIER();                                                                                            \
		}                                                                                                              \
		type result = buffer[0];                                                                                       \
		FKMI_BARRIER();                                                                                                \
		return result;                                                                                                 \
	}

FKMI_DEFINE_REDUCTION(fkmi_group_sum, int64_t, a + b)
FKMI_DEFINE_REDUCTION(fkmi_group_min, int64_t, a < b ? a : b)
FKMI_DEFINE_REDUCTION(fkmi_group_max, int64_t, a > b ? a : b)

/* The sum of the values of the items before this one; *total receives that of all. */
FKMI_INLINE int64_t fkmi_group_prefix(FKMI_LOCAL int64_t *buffer, int64_t value, int64_t *total)
{
	int item = fkmi_item();
	buffer[item] = value;
	FKMI_BARRIER();
	for (int step = 1; step < FKMI_GROUP; step *= 2) {
		int64_t sum = buffer[item] + (item >= step ? buffer[item - step] : 0);
		FKMI_BARRIER();
		buffer[item] = sum;
		FKMI_BARRIER();
	}
	int64_t inclusive = buffer[item];
	*total = buffer[FKMI_GROUP - 1];
	FKMI_BARRIER();
	return inclusive - value;
}

/* ---- rows on octets: eight neighbouring items take a row together, lane r the coordinates r, r+8, ... ---- */

/* Combines the lanes' partial sums as R8 does; all eight get the result. A whole group must call it together. */
FKMI_INLINE double fkmi_sum8(FKMI_LOCAL double *buffer, double p)
{
#if defined(FKMI_SWAP_DOUBLE)
	(void)buffer;
	p += FKMI_SWAP_DOUBLE(p, 1);
	p += FKMI_SWAP_DOUBLE(p, 2);
	p += FKMI_SWAP_DOUBLE(p, 4);
	return p;
#else
	int item = fkmi_item(), first = item & ~7;
	buffer[item] = p;
	FKMI_BARRIER();
	double sum = fkmi_combine8(buffer[first], buffer[first + 1], buffer[first + 2], buffer[first + 3],
							   buffer[first + 4], buffer[first + 5], buffer[first + 6], buffer[first + 7]);
	FKMI_BARRIER();
	return sum;
#endif
}

/* Lane r's part of D between a row and a centroid (null: the origin). */
FKMI_INLINE double fkmi_partial_distance_of(const struct fkmi_points *p, int64_t row, double factor,
											FKMI_GLOBAL const double *centroid, int lane)
{
	double sum = 0;
	for (int64_t j = lane; j < p->d; j += 8) {
		double t = fkmi_coordinate(p, row, factor, j) - (centroid != 0 ? centroid[j] : 0.0);
		sum = fma(t, t, sum);
	}
	return sum;
}

/* This item's, of its octet. */
FKMI_INLINE double fkmi_partial_distance(const struct fkmi_points *p, int64_t row, double factor,
										 FKMI_GLOBAL const double *centroid)
{
	return fkmi_partial_distance_of(p, row, factor, centroid, fkmi_item() & 7);
}

#endif
