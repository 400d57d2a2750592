/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scalar reference: docs/semantics.md, word for word, one problem at a time, slowly. It shares no code with the
 * library; only the enums of the public header. Every array is host memory; it aborts when memory runs out.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdint.h>

#include "flashkmeans/flashkmeans.h"

struct ref_problem {
	int64_t n, k, d;
	const void *points;
	enum fkm_dtype dtype;
	int64_t row_stride;  /* elements */
	const void *weights; /* NULL: none */
	enum fkm_dtype weights_dtype;
	enum fkm_metric metric;
};

struct ref_options {
	enum fkm_init init;
	const double *start; /* [k, d], FKM_INIT_CENTROIDS only; taken through ref_value() from the caller's array */
	enum fkm_stop stop;
	enum fkm_empty empty;
	int32_t max_iter;
	double tol;
	int32_t n_init;
	uint64_t seed;
	enum fkm_dtype centroids_dtype; /* F32 rounds the final centroids */
};

struct ref_step { /* one iteration */
	int64_t changed, relocated;
	double shift;
};

struct ref_result {
	int32_t *labels;
	double *centroids; /* [k, d]; values of f32 where that was asked for */
	int64_t *counts, *order, *offsets;
	double *distances;
	double inertia;
	double threshold;
	int32_t n_iter, reason;
	int64_t relocated; /* over all iterations of all runs */
	int64_t
		empty_cluster; /* the cluster that a fit under FKM_EMPTY_ERROR failed for, else -1; then nothing else is set */
	struct ref_step *steps; /* [n_iter], of the run that was kept */
};

/* Element i of an array as the double that it is. */
double ref_value(const void *data, enum fkm_dtype dtype, int64_t i);

/* D(x, c) of section 1. */
double ref_distance(const double *x, const double *c, int64_t d);

void ref_fit(const struct ref_problem *problem, const struct ref_options *options, struct ref_result *result);

/* labels, counts, order, offsets, distances and inertia under the given centroids [k, d]. */
void ref_predict(const struct ref_problem *problem, const double *centroids, struct ref_result *result);

/* One update of section 3 from labels: centroids, counts, relocated, empty_cluster. */
void ref_update(const struct ref_problem *problem, const int32_t *labels, const double *previous, enum fkm_empty empty,
				enum fkm_dtype centroids_dtype, struct ref_result *result);

double ref_inertia(const struct ref_problem *problem, const double *centroids, const int32_t *labels);

void ref_result_free(struct ref_result *result);

/* The draw u of section 6. */
uint64_t ref_draw(uint64_t seed, uint32_t index, uint32_t round, uint32_t run, uint32_t purpose);

#endif
