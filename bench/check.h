/* SPDX-License-Identifier: Apache-2.0 */
/* Labels held against the definition of docs/semantics.md, section 1: every distance in f64, the lowest of the nearest. */
#ifndef BENCH_CHECK_H
#define BENCH_CHECK_H

#include "shapes.h"

struct check {
	int64_t rows;      /* compared; 0: nothing was checked */
	int64_t differing; /* of them, with another label */
};

/* Compares the labels [b, n] of `rows` random rows, of every row once if there are no more; points, centroids [b, K, d]
 * and labels are host arrays. False if memory runs out. */
bool check_labels(const struct shape *shape, const void *points, const float *centroids, const int32_t *labels,
				  int64_t rows, int threads, struct check *check);

#endif
