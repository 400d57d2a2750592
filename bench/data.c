/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "threads.h"

static const float two_pi = 6.28318530717958648F;

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) as a function of a counter. */
uint64_t random_word(uint64_t counter)
{
	uint64_t z = (counter + 1) * 0x9E3779B97F4A7C15U;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
	z = (z ^ z >> 27) * 0x94D049BB133111EBU;
	return z ^ z >> 31;
}

static uint32_t float_bits(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* Nearest, ties to even. */
static uint16_t to_f16(float value)
{
	uint32_t bits = float_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
	if (magnitude < 0x38800000)
		return (uint16_t)sign;
	return (uint16_t)(sign | (magnitude - 0x38000000 + 0x0fff + (magnitude >> 13 & 1)) >> 13);
}

static uint16_t to_bf16(float value)
{
	uint32_t bits = float_bits(value);
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void data_store(void *array, enum fkm_dtype dtype, int64_t i, float value)
{
	if (dtype == FKM_F32)
		((float *)array)[i] = value;
	else
		((uint16_t *)array)[i] = dtype == FKM_F16 ? to_f16(value) : to_bf16(value);
}

struct fill {
	void *array;
	enum fkm_dtype dtype;
	int64_t count;
};

/* Thread's share of the pairs of deviates of Box and Muller. */
static void fill_share(void *argument, int thread, int threads)
{
	const struct fill *fill = argument;
	int64_t pairs = (fill->count + 1) / 2, end = pairs * (thread + 1) / threads;
	for (int64_t p = pairs * thread / threads; p < end; p++) {
		uint64_t bits = random_word((uint64_t)p);
		float u = (float)((bits >> 40) + 1) * 0x1p-24F, angle = (float)(bits & 0xffffff) * (two_pi * 0x1p-24F);
		float radius = sqrtf(-2 * logf(u));
		data_store(fill->array, fill->dtype, 2 * p, radius * cosf(angle));
		if (2 * p + 1 < fill->count)
			data_store(fill->array, fill->dtype, 2 * p + 1, radius * sinf(angle));
	}
}

/* Row of the start: one in each of K equal stretches of the rows, so that all differ. */
static int64_t start_row(const struct shape *shape, int64_t b, int64_t k)
{
	int64_t low = (int64_t)((double)k * (double)shape->n / (double)shape->k);
	int64_t high = (int64_t)((double)(k + 1) * (double)shape->n / (double)shape->k);
	return low + (int64_t)(random_word(~(uint64_t)(b * shape->k + k)) % (uint64_t)(high - low));
}

void data_fill(void *array, enum fkm_dtype dtype, int64_t count, int threads)
{
	run_threads(threads, fill_share, &(struct fill){array, dtype, count});
}

void data_start(const struct shape *shape, const void *points, void *start)
{
	int64_t row = shape->d * dtype_bytes(shape->dtype);
	for (int64_t b = 0; b < shape->b; b++)
		for (int64_t k = 0; k < shape->k; k++)
			memcpy((char *)start + (b * shape->k + k) * row,
				   (const char *)points + (b * shape->n + start_row(shape, b, k)) * row, (size_t)row);
}

bool data_create(const struct shape *shape, int threads, struct data *data)
{
	int64_t row = shape->d * dtype_bytes(shape->dtype);
	data->points = malloc((size_t)(shape->b * shape->n * row));
	data->start = malloc((size_t)(shape->b * shape->k * row));
	if (!data->points || !data->start) {
		data_destroy(data);
		return false;
	}
	data_fill(data->points, shape->dtype, shape->b * shape->n * shape->d, threads);
	data_start(shape, data->points, data->start);
	return true;
}

void data_destroy(struct data *data)
{
	free(data->points);
	free(data->start);
	*data = (struct data){0};
}
