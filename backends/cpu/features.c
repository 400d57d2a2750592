/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu.h"
#include "error.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What the processor has and the operating system saves. */
static uint64_t detect(void)
{
	uint64_t features = 0;
#if defined(__x86_64__)
	__builtin_cpu_init();
	features |= FKMI_CPU_SSE2;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))
		features |= FKMI_CPU_AVX2;
	if ((features & FKMI_CPU_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
		features |= FKMI_CPU_AVX512;
#endif
	return features;
}

static const struct {
	const char *name;
	uint64_t allowed;
} caps[] = {
	{"portable", 0},
	{"sse2", FKMI_CPU_SSE2},
	{"avx2", FKMI_CPU_SSE2 | FKMI_CPU_AVX2},
	{"avx512", FKMI_CPU_SSE2 | FKMI_CPU_AVX2 | FKMI_CPU_AVX512},
};

/* The bits that FKM_CPU_ISA allows; false if it names no instruction set. */
static bool read_cap(uint64_t *allowed)
{
	const char *name = getenv("FKM_CPU_ISA");
	*allowed = UINT64_MAX;
	if (!name || !*name)
		return true;
	for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
		if (strcmp(name, caps[i].name) == 0) {
			*allowed = caps[i].allowed;
			return true;
		}
	}
	return false;
}

uint64_t fkmi_cpu_features(void)
{
	static const uint64_t known = (uint64_t)1 << 63;
	static _Atomic uint64_t cache;
	uint64_t features = atomic_load_explicit(&cache, memory_order_relaxed);
	if (!features) {
		uint64_t allowed;
		read_cap(&allowed);
		features = (detect() & allowed) | known;
		atomic_store_explicit(&cache, features, memory_order_relaxed);
	}
	return features & ~known;
}

enum fkm_status fkmi_cpu_check_isa(void)
{
	uint64_t allowed;
	if (!read_cap(&allowed))
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "FKM_CPU_ISA is \"%s\"; it can be portable, sse2, avx2 or avx512",
						 getenv("FKM_CPU_ISA"));
	return FKM_OK;
}
