/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled with contraction of a * b + c, unlike the library: that is how the loops below become fused multiply-adds on
 * every instruction set. They are written once, in vectors of the compiler, and instantiated per instruction set.
 */
#include "peak.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "threads.h"

enum {
	ACCUMULATORS = 12, /* covers latency times units of today's cores */
	FMA_ROUNDS = 1 << 20,
	BLOCK_BYTES = 4096,
	BUFFER_MIB = 512
};

struct kernels {
	const char *name;
	int floats;                                                   /* per vector */
	float (*multiply_adds)(int64_t rounds);                       /* ACCUMULATORS * floats each round */
	uint64_t (*read)(const unsigned char *memory, int64_t bytes); /* bytes: a multiple of BLOCK_BYTES */
};

/* The accumulators have names of their own so that they stay in registers. */
#define DEFINE_KERNELS(suffix, target, width)                                                                          \
	typedef float floats_##suffix __attribute__((vector_size(width)));                                                 \
	typedef uint64_t words_##suffix __attribute__((vector_size(width)));                                               \
	target static float multiply_adds_##suffix(int64_t rounds)                                                         \
	{                                                                                                                  \
		floats_##suffix a = {0}, b = {0}, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11;                            \
		a += 0.999F;                                                                                                   \
		b += 0.001F;                                                                                                   \
		c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = c8 = c9 = c10 = c11 = b;                                               \
		c1 += 1, c2 += 2, c3 += 3, c4 += 4, c5 += 5, c6 += 6, c7 += 7, c8 += 8, c9 += 9, c10 += 10, c11 += 11;         \
		for (int64_t i = 0; i < rounds; i++) {                                                                         \
			c0 = c0 * a + b, c1 = c1 * a + b, c2 = c2 * a + b, c3 = c3 * a + b, c4 = c4 * a + b, c5 = c5 * a + b;      \
			c6 = c6 * a + b, c7 = c7 * a + b, c8 = c8 * a + b, c9 = c9 * a + b, c10 = c10 * a + b, c11 = c11 * a + b;  \
		}                                                                                                              \
		c0 += c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11;                                                  \
		return c0[0];                                                                                                  \
	}                                                                                                                  \
	target static uint64_t read_##suffix(const unsigned char *memory, int64_t bytes)                                   \
	{                                                                                                                  \
		words_##suffix sums[4] = {{0}}, block[4];                                                                      \
		for (int64_t i = 0; i < bytes; i += (int64_t)sizeof(block)) {                                                  \
			memcpy(block, memory + i, sizeof(block));                                                                  \
			for (int j = 0; j < 4; j++)                                                                                \
				sums[j] += block[j];                                                                                   \
		}                                                                                                              \
		sums[0] += sums[1] + sums[2] + sums[3];                                                                        \
		return sums[0][0];                                                                                             \
	}                                                                                                                  \
	static const struct kernels kernels_##suffix = {#suffix, width / 4, multiply_adds_##suffix, read_##suffix};

#if defined(__x86_64__)
DEFINE_KERNELS(AVX512, __attribute__((target("avx512f"))), 64)
DEFINE_KERNELS(AVX2, __attribute__((target("avx2,fma"))), 32)
DEFINE_KERNELS(SSE2, , 16)
#else
DEFINE_KERNELS(128bit, , 16)
#endif

static const struct kernels *best_kernels(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f"))
		return &kernels_AVX512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return &kernels_AVX2;
	return &kernels_SSE2;
#else
	return &kernels_128bit;
#endif
}

struct work {
	const struct kernels *kernels;
	unsigned char *memory;
	int64_t bytes; /* a multiple of BLOCK_BYTES */
};

static volatile uint64_t sink; /* keeps results from being unused */

static void run_multiply_adds(void *argument, int thread, int threads)
{
	(void)thread, (void)threads;
	const struct work *work = argument;
	sink = (uint64_t)work->kernels->multiply_adds(FMA_ROUNDS);
}

static void share_of(const struct work *work, int thread, int threads, int64_t *start, int64_t *bytes)
{
	int64_t blocks = work->bytes / BLOCK_BYTES;
	*start = blocks * thread / threads * BLOCK_BYTES;
	*bytes = blocks * (thread + 1) / threads * BLOCK_BYTES - *start;
}

static void touch_memory(void *argument, int thread, int threads)
{
	const struct work *work = argument;
	int64_t start, bytes;
	share_of(work, thread, threads, &start, &bytes);
	memset(work->memory + start, 1, (size_t)bytes);
}

static void run_read(void *argument, int thread, int threads)
{
	const struct work *work = argument;
	int64_t start, bytes;
	share_of(work, thread, threads, &start, &bytes);
	sink = work->kernels->read(work->memory + start, bytes);
}

/* The shortest of several runs, in seconds. */
static double best_seconds(int threads, void (*function)(void *, int, int), struct work *work, double budget)
{
	double best = 1e30, end = now() + budget;
	do {
		double start = now();
		run_threads(threads, function, work);
		double seconds = now() - start;
		if (seconds < best)
			best = seconds;
	} while (now() < end);
	return best;
}

struct peak measure_peak(int threads)
{
	struct work work = {.kernels = best_kernels(), .bytes = (int64_t)BUFFER_MIB << 20};
	struct peak peak = {.vectors = work.kernels->name};
	double multiply_adds = (double)threads * FMA_ROUNDS * ACCUMULATORS * work.kernels->floats;
	peak.multiply_adds_per_second = multiply_adds / best_seconds(threads, run_multiply_adds, &work, 0.5);
	work.memory = malloc((size_t)work.bytes);
	if (work.memory) {
		run_threads(threads, touch_memory, &work);
		peak.bytes_per_second = (double)work.bytes / best_seconds(threads, run_read, &work, 0.5);
		free(work.memory);
	}
	return peak;
}

struct peak larger_peak(struct peak a, struct peak b)
{
	if (b.multiply_adds_per_second > a.multiply_adds_per_second)
		a.multiply_adds_per_second = b.multiply_adds_per_second;
	if (b.bytes_per_second > a.bytes_per_second)
		a.bytes_per_second = b.bytes_per_second;
	return a;
}
