/* SPDX-License-Identifier: Apache-2.0 */
/* The instruction sets of this build, and what runs on the best of them. */
#include "kernel.h"

#define DTYPES (1u << FKM_F16 | 1u << FKM_BF16 | 1u << FKM_F32)
#define TILE(isa, geometry, needed, rate)                                                                              \
	{.name = geometry,                                                                                                 \
	 .needs = needed,                                                                                                  \
	 .dtypes = DTYPES,                                                                                                 \
	 .points = FKMI_CPU_##isa##_POINTS,                                                                                \
	 .centroids = FKMI_CPU_##isa##_CENTROIDS,                                                                          \
	 .multiply_adds_per_second = rate,                                                                                 \
	 .seconds_per_tile = 1e-7}

/* Fastest first. */
static const struct fkmi_tile tiles[] = {
#if defined(__x86_64__)
	TILE(AVX512, "avx512-64x6", FKMI_CPU_AVX512, 1.1e11),
	TILE(AVX2, "avx2-16x6", FKMI_CPU_AVX2, 5.5e10),
	TILE(SSE2, "sse2-8x6", FKMI_CPU_SSE2, 2e10),
#endif
	TILE(PORTABLE, "portable-16x6", 0, 1.8e10),
};

static const struct fkmi_cpu_isa *const isas[] = {
#if defined(__x86_64__)
	&fkmi_cpu_isa_avx512,
	&fkmi_cpu_isa_avx2,
	&fkmi_cpu_isa_sse2,
#endif
	&fkmi_cpu_isa_portable,
};

const struct fkmi_tile *fkmi_cpu_tiles(int32_t *count)
{
	*count = (int32_t)(sizeof tiles / sizeof tiles[0]);
	return tiles;
}

const struct fkmi_cpu_isa *fkmi_cpu_isa_of(const struct fkmi_tile *tile)
{
	return isas[tile - tiles];
}

static const struct fkmi_cpu_isa *best(void)
{
	uint64_t features = fkmi_cpu_features();
	int i = 0;
	while (tiles[i].needs & ~features)
		i++;
	return isas[i];
}

double fkmi_cpu_distance(const double *x, const double *c, int64_t d)
{
	return best()->distance(x, c, d);
}

void fkmi_cpu_accumulate_row(const double *x, double weight, const double *scale, int64_t d, int sign, int64_t *sums)
{
	best()->accumulate_row(x, weight, scale, d, sign, sums);
}
