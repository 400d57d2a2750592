/* SPDX-License-Identifier: Apache-2.0 */
/* Timing whole fits of one shape in host memory. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "check.h"
#include "options.h"

struct measurement {
	struct shape shape;
	enum fkm_precision precision;
	int iterations, repeats;
	double seconds[MAX_REPEATS]; /* wall-clock of fkm_fit, ascending; the first fit of all is not among them */
	double median;
	struct fkm_diagnosis diagnosis; /* of the fit with the median time (the upper one of two) */
	double inertia;                 /* of the first problem of the batch */
	struct check check;             /* of the exact labels, if wanted */
};

/* The f32 multiply-adds of comparing every point with every centroid in every iteration and once more for the final
 * labels, whether or not the kernel could spare some. */
double multiply_adds(const struct measurement *m);

/* Fits the shape in host memory with both precisions in turn, 1 + repeats times each, and fills measurements[PRECISIONS]. Reports
 * progress and, on failure, what went wrong on standard error. */
bool measure(struct fkm_context *context, const struct shape *shape, const struct options *options,
			 struct measurement *measurements);

#endif
