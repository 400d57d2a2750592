/* SPDX-License-Identifier: Apache-2.0 */
/* What the device can do at most: cuBLAS' matrix rates and the bandwidth of reading its memory. */
#ifndef BENCH_CEILINGS_H
#define BENCH_CEILINGS_H

#include "cuda_device.h"
#include "pools.h"
#include "spread.h"

enum matrix_rate { RATE_F16, RATE_BF16, RATE_TF32, RATE_F32, RATES };

struct ceilings {
	double flops[RATES];     /* multiplications and additions per second of square products; 0: not measured */
	double bytes_per_second; /* reading; 0: not measured */
	int cublas_version;      /* 0: not found */
};

enum { MATRIX_SIZE = 8192 };
/* Elements of each type that the pools must have. */
static const int64_t ceilings_elements = 2LL * MATRIX_SIZE * MATRIX_SIZE;

/* Measures for about `seconds` each; cublas NULL: libcublas.so.13, .12. What cannot be measured stays 0, and is said on
 * standard error. */
struct ceilings measure_ceilings(struct cuda_device *device, const struct pools *pools, const char *cublas,
								 double seconds);

/* Seconds below which nobody assigns the points of a shape: every multiply-add at the matrix rate of its type (f32 points:
 * of f16, since a filter may work in that), and one reading of the points. 0: not measured. */
double floor_multiply_adds(const struct ceilings *ceilings, const struct shape *shape);
double floor_reading(const struct ceilings *ceilings, const struct shape *shape);
/* The larger one, if both were measured; else 0. */
double floor_seconds(const struct ceilings *ceilings, const struct shape *shape);

const char *rate_name(enum matrix_rate rate);

#endif
