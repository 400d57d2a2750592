/* SPDX-License-Identifier: Apache-2.0 */
/* The data that is measured: standard normal points and K random rows as start, the same on every machine but for the
 * last bits of the C library's logarithm and cosine. */
#ifndef BENCH_DATA_H
#define BENCH_DATA_H

#include "shapes.h"

/* Fills array with the first `count` of one endless sequence of standard normal values, on that many threads. */
void data_fill(void *array, enum fkm_dtype dtype, int64_t count, int threads);

/* Writes the start [b, K, d] of a fit of points [b, n, d]. */
void data_start(const struct shape *shape, const void *points, void *start);

/* array[i] = value, rounded to the type: |value| < 65520 for F16, where what is below 2^-14 becomes 0. */
void data_store(void *array, enum fkm_dtype dtype, int64_t i, float value);

/* The counter-th word of a sequence of random ones. */
uint64_t random_word(uint64_t counter);

/* Points and start in host memory. */
struct data {
	void *points; /* [b, n, d] in the shape's dtype */
	void *start;  /* [b, K, d] in the same */
};

/* Fills *data on the given number of threads; false, with everything freed, if memory runs out. */
bool data_create(const struct shape *shape, int threads, struct data *data);
void data_destroy(struct data *data);

#endif
