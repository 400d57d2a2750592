/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What prepare makes for the matrix-core tiles, of problem b: operands[k][j], f16 centroids c^, `padded_k` rows of
 * `padded_d`, zeros in what only pads; halves[k] = h_k, infinity for what only pads; measures. certificate.h explains the
 * numbers. fkmi_k_filter_mean goes before these, fkmi_k_filter_unique after them.
 */
#ifndef FKMI_MATRIX_OPERANDS_H
#define FKMI_MATRIX_OPERANDS_H

#define FKMI_MATRIX_UNIT 4096.0f /* 2^12 */

/* Whether nu is mu: where points are rounded anyhow. Others stay what they are. */
FKMI_INLINE bool fkmi_matrix_shifts(int32_t dtype, bool cosine)
{
	return dtype == FKMI_TYPE_F32 || cosine;
}

/* The largest |C_kj| of all centroids, and each one's place in the table of different ones. An octet per centroid. */
FKMI_KERNEL fkmi_k_matrix_measure(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, centroids),
								  FKMI_ARG(const int64_t, state), FKMI_ARG(const float, mu),
								  FKMI_ARG(int32_t, measures), FKMI_ARG(int32_t, table), FKMI_ARG(int32_t, slot_of),
								  int64_t slots, int64_t k_count, int64_t d, int64_t padded_d, int64_t blocks,
								  int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, centroids);
	FKMI_USE(const int64_t, state);
	FKMI_USE(const float, mu);
	FKMI_USE(int32_t, measures);
	FKMI_USE(int32_t, table);
	FKMI_USE(int32_t, slot_of);
	FKMI_LOCAL_ARRAY(int32_t, hashes, FKMI_OCTETS);
	FKMI_LOCAL_ARRAY(int32_t, largest, 1);
	const int lane = fkmi_item() & 7, octet = fkmi_item() / 8;
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, k = (work - b * blocks) * FKMI_OCTETS + octet;
		if (lane == 0)
			hashes[octet] = 0;
		if (fkmi_item() == 0)
			largest[0] = 0;
		FKMI_BARRIER();
		const double scale = (double)fkmi_filter_scale(state, b);
		FKMI_GLOBAL const double *all = centroids + b * k_count * d;
		double most = 0;
		uint32_t hash = 0;
		for (int64_t j = lane; j < d && k < k_count; j += 8) {
			const double z = all[k * d + j] * scale - (double)mu[b * padded_d + j];
			most = fmax(most, fabs(z));
			hash += fkmi_hash(all[k * d + j], j);
		}
		fkmi_local_add32(&hashes[octet], (int32_t)hash);
		fkmi_local_max32(&largest[0], fkmi_float_bits((float)(most * 1.000001)));
		FKMI_BARRIER();
		if (lane == 0 && k < k_count)
			slot_of[b * k_count + k] =
				fkmi_enter(table + b * slots, slots, all, (int32_t)k, d, (uint32_t)hashes[octet]);
		if (fkmi_item() == 0)
			fkmi_max32(&measures[b * FKMI_MEASURES + FKMI_MEASURE_LARGEST], largest[0]);
		FKMI_BARRIER();
	}
}

/* operands, halves and the other measures. An octet per row of the padded operands. */
FKMI_KERNEL fkmi_k_matrix_operands(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, centroids),
								   FKMI_ARG(const int64_t, state), FKMI_ARG(const float, mu),
								   FKMI_ARG(uint16_t, operands), FKMI_ARG(float, halves), FKMI_ARG(int32_t, measures),
								   int32_t shifts, int64_t k_count, int64_t padded_k, int64_t d, int64_t padded_d,
								   int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, centroids);
	FKMI_USE(const int64_t, state);
	FKMI_USE(const float, mu);
	FKMI_USE(uint16_t, operands);
	FKMI_USE(float, halves);
	FKMI_USE(int32_t, measures);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	const int lane = fkmi_item() & 7, octet = fkmi_item() / 8;
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, k = (work - b * blocks) * FKMI_OCTETS + octet;
		FKMI_GLOBAL int32_t *measure = measures + b * FKMI_MEASURES;
		const bool usable = fkmi_bits_float((uint32_t)measure[FKMI_MEASURE_LARGEST]) < FKMI_MATRIX_LARGEST_LIMIT;
		const double scale = (double)fkmi_filter_scale(state, b);
		const double unit = fkmi_power2(fkmi_matrix_exponent(measure[FKMI_MEASURE_LARGEST])), inverse = 1 / unit;
		FKMI_GLOBAL const double *centroid = centroids + (b * k_count + k) * d;
		double square = 0, product = 0, residual = 0, shift = 0;
		for (int64_t j = lane; j < padded_d; j += 8) {
			uint16_t half = 0;
			if (k < k_count && j < d && usable) {
				const double m = (double)mu[b * padded_d + j], z = centroid[j] * scale - m;
				half = fkmi_float_to_half((float)(z * unit));
				half = (half & 0x7c00) != 0 ? half : 0;
				const double rounded = (double)fkmi_half_to_float(half) * inverse;
				square += rounded * rounded;
				product += rounded * m;
				residual += (z - rounded) * (z - rounded);
				shift += m * m;
			}
			operands[(b * padded_k + k) * padded_d + j] = half;
		}
		square = fkmi_sum8(buffer, square);
		product = fkmi_sum8(buffer, product);
		residual = fkmi_sum8(buffer, residual);
		shift = fkmi_sum8(buffer, shift);
		if (lane == 0) {
			const bool real = k < k_count;
			const double h = unit * (double)FKMI_MATRIX_UNIT * (0.5 * square + (shifts ? 0.0 : product));
			halves[b * padded_k + k] = real ? (float)h : fkmi_bits_float(0x7f800000u);
			if (k == 0)
				measure[FKMI_MEASURE_SHIFT] = fkmi_float_bits(shifts ? 0.0f : (float)(sqrt(shift) * 1.000001));
			if (real && usable) {
				fkmi_max32(&measure[FKMI_MEASURE_NORM], fkmi_float_bits((float)(sqrt(square) * 1.000001)));
				/* and the subtraction of mu is rounded, which is less than a unit in the last place of both */
				const double most = (double)fkmi_bits_float((uint32_t)measure[FKMI_MEASURE_LARGEST]);
				fkmi_max32(
					&measure[FKMI_MEASURE_RESIDUAL],
					fkmi_float_bits((float)(sqrt(residual) * 1.000001 + sqrt((double)d) * (most + 4) * 4.5e-16)));
			}
		}
		FKMI_BARRIER();
	}
}

/* ---- what the sweep knows of a problem ---- */

struct fkmi_matrix_operands {
	FKMI_GLOBAL const uint16_t *rows;
	FKMI_GLOBAL const float *halves, *mu;
	float scale;         /* 2^p */
	uint32_t half_scale; /* 2^(12 + p) as a pair of f16 where points are f16 and that suffices; else 0 */
	int32_t d, padded_k, padded_d;
	bool shifts, usable; /* usable: false: out of the filter's range */
};

FKMI_INLINE uint32_t fkmi_matrix_half_scale(float scale, int32_t dtype, bool cosine)
{
	const float both = scale * FKMI_MATRIX_UNIT;
	const bool suffices = dtype == FKMI_TYPE_F16 && !cosine && both >= 6.103515625e-05f && both <= 32768.0f;
	return suffices ? fkmi_floats_to_halves(both, both) : 0;
}

#define FKMI_MATRIX_OPERANDS_ARGS                                                                                      \
	FKMI_ARG(const int64_t, state), FKMI_ARG(const float, mu), FKMI_ARG(const uint16_t, operands),                     \
		FKMI_ARG(const float, halves), FKMI_ARG(const int32_t, measures), int64_t k_count, int64_t padded_k,           \
		int64_t padded_d
#define FKMI_MATRIX_OPERANDS_USE                                                                                       \
	FKMI_USE(const int64_t, state);                                                                                    \
	FKMI_USE(const float, mu);                                                                                         \
	FKMI_USE(const uint16_t, operands);                                                                                \
	FKMI_USE(const float, halves);                                                                                     \
	FKMI_USE(const int32_t, measures)
#define FKMI_MATRIX_OPERANDS_MAKE(made, b)                                                                             \
	const struct fkmi_matrix_operands made = {                                                                         \
		operands + (b) * padded_k * padded_d,                                                                          \
		halves + (b) * padded_k,                                                                                       \
		mu + (b) * padded_d,                                                                                           \
		fkmi_filter_scale(state, b),                                                                                   \
		fkmi_matrix_half_scale(fkmi_filter_scale(state, b), dtype, row_scale != 0),                                    \
		(int32_t)d,                                                                                                    \
		(int32_t)padded_k,                                                                                             \
		(int32_t)padded_d,                                                                                             \
		fkmi_matrix_shifts(dtype, row_scale != 0),                                                                     \
		fkmi_bits_float((uint32_t)measures[(b) * FKMI_MEASURES + FKMI_MEASURE_LARGEST]) < FKMI_MATRIX_LARGEST_LIMIT,   \
	}

#endif
