/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernels of portable tiles share, those of tile.h and others that take their place: certificate.h says what
 * the filter computes. They are
 *
 *   filter     sweeps all centroids in f32, keeps the best and the second score of each row, and writes the label where
 *              the second one is below the threshold; else it lists the row
 *   recheck    the same sweep over listed rows gathers every centroid that reaches the threshold, and decides by D in f64
 *   scan       (assign.h) rows with too many candidates, or out of the filter's range: D of all centroids
 *
 * Operands of problem b: panels[k / T][j][k % T], f32, T = FKMI_TILE_CENTROIDS, of `padded` centroids, a multiple of T;
 * halves[k] = |z_k|^2 / 2, infinity for what only pads and for a centroid that equals one before it; norms[k], rounded
 * up; norm_max as the bits of a float; mu[j], padded with zeros to a multiple of FKMI_PADDED_DIMS.
 */
#ifndef FKMI_COMMON_FILTER_H
#define FKMI_COMMON_FILTER_H

/* The operands of one problem. */
struct fkmi_operands {
	FKMI_GLOBAL const float *panels, *halves, *norms, *mu;
	float scale, norm_max;
	int32_t d, padded;
	bool usable; /* false: out of the filter's range */
};

#define FKMI_OPERANDS_ARGS                                                                                             \
	FKMI_ARG(const int64_t, state), FKMI_ARG(const float, mu), FKMI_ARG(const float, panels),                          \
		FKMI_ARG(const float, halves), FKMI_ARG(const float, norms), FKMI_ARG(const int32_t, norm_max),                \
		int64_t k_count, int64_t padded, int64_t padded_d
#define FKMI_OPERANDS_USE                                                                                              \
	FKMI_USE(const int64_t, state);                                                                                    \
	FKMI_USE(const float, mu);                                                                                         \
	FKMI_USE(const float, panels);                                                                                     \
	FKMI_USE(const float, halves);                                                                                     \
	FKMI_USE(const float, norms);                                                                                      \
	FKMI_USE(const int32_t, norm_max)
#define FKMI_OPERANDS_MAKE(operands, b)                                                                                \
	const float operands##_norm = fkmi_bits_float((uint32_t)norm_max[b]);                                              \
	const struct fkmi_operands operands = {                                                                            \
		panels + (b) * d * padded,                                                                                     \
		halves + (b) * padded,                                                                                         \
		norms + (b) * padded,                                                                                          \
		mu + (b) * padded_d,                                                                                           \
		fkmi_filter_scale(state, b),                                                                                   \
		operands##_norm,                                                                                               \
		(int32_t)d,                                                                                                    \
		(int32_t)padded,                                                                                               \
		operands##_norm <= FKMI_FILTER_NORM_LIMIT && d <= FKMI_FILTER_DIMS_LIMIT,                                      \
	}

/* What becomes of a row of that sum of squares, by the best and the second score. fast: the best is the label. */
FKMI_INLINE struct fkmi_settled fkmi_filter_verdict(const struct fkmi_operands *operands, float best, float second,
													int32_t at, float squares, int32_t fast)
{
	struct fkmi_settled settled = {at, 0, FKMI_ROW_DECIDED};
	if (fast)
		return settled;
	settled.fate = FKMI_ROW_SCANNED;
	if (operands->usable && squares < FKMI_FILTER_SQUARES_LIMIT) {
		settled.threshold = fkmi_filter_threshold(best, squares, operands->norms[at], operands->norm_max, operands->d);
		settled.fate = second < settled.threshold ? FKMI_ROW_DECIDED : FKMI_ROW_LISTED;
	}
	return settled;
}

#endif
