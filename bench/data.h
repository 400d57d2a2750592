/* SPDX-License-Identifier: Apache-2.0 */
/* The data that is measured: standard normal points and K random rows as start, the same on every machine but for the
 * last bits of the C library's logarithm and cosine. */
#ifndef BENCH_DATA_H
#define BENCH_DATA_H

#include "shapes.h"

struct data {
	void *points; /* [b, n, d] in the shape's dtype */
	void *start;  /* [b, K, d] in the same */
	int64_t point_bytes;
};

/* Fills *data on the given number of threads; false, with everything freed, if memory runs out. */
bool data_create(const struct shape *shape, int threads, struct data *data);
void data_destroy(struct data *data);

#endif
