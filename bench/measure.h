/* SPDX-License-Identifier: Apache-2.0 */
/* Timing whole fits of one shape. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "shapes.h"

enum { MAX_REPEATS = 100, PRECISIONS = 2 };

struct measurement {
	struct shape shape;
	enum fkm_precision precision;
	int iterations, repeats;
	double seconds[MAX_REPEATS]; /* wall-clock of fkm_fit, ascending; the first fit of all is not among them */
	double median;
	struct fkm_diagnosis diagnosis; /* of the fit with the median time (the upper one of two) */
	double inertia;                 /* of the first problem of the batch */
};

/* The f32 multiply-adds of comparing every point with every centroid in every iteration and once more for the final
 * labels, whether or not the kernel could spare some. */
double multiply_adds(const struct measurement *m);

/* Fits the shape with both precisions in turn, 1 + repeats times each, and fills measurements[PRECISIONS]. Reports
 * progress and, on failure, what went wrong on standard error. */
bool measure(struct fkm_context *context, const struct shape *shape, int iterations, int repeats,
			 struct measurement *measurements);

#endif
