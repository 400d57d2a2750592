/* SPDX-License-Identifier: Apache-2.0 */
/* Centroids: in, out, and their update. */
#include "steps.h"

#include <float.h>
#include <math.h>
#include <string.h>

struct fkmi_cpu_need fkmi_cpu_centroids_need(const struct fkmi_problem *problem)
{
	int64_t row = problem->d * (int64_t)sizeof(double);
	return (struct fkmi_cpu_need){.shared_bytes = row + problem->k * (int64_t)sizeof(double), .part_bytes = row};
}

/* One problem's centroids, handled a row at a time. */
struct rows {
	const struct fkmi_job *job;
	int64_t b;
	double *centroids; /* [K, d] */
	struct fkmi_cpu_parts parts;
	const double *zeros; /* [d] */
	double *shifts;      /* [K] */
	/* load_centroids */
	const char *from;
	enum fkm_dtype dtype;
	int64_t row_stride;
	/* gather_centroids */
	const int64_t *indices;
};

static struct rows rows_of(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b)
{
	const struct fkmi_problem *p = &job->problem;
	struct rows rows = {.job = job, .b = b, .centroids = fkmi_cpu_doubles(job->centroids, b * p->k * p->d)};
	rows.parts = fkmi_cpu_split(team, fkmi_cpu_centroids_need(p), p->k * p->d);
	double *zeros = (double *)(void *)rows.parts.shared;
	rows.zeros = memset(zeros, 0, (size_t)p->d * sizeof(double));
	rows.shifts = zeros + p->d;
	return rows;
}

static void each_row(const struct fkmi_cpu_team *team, struct rows *rows, fkmi_cpu_range_fn fn)
{
	const struct fkmi_problem *p = &rows->job->problem;
	fkmi_cpu_run(team, rows->parts.count, p->k, fkmi_cpu_grain(p->d), fn, rows);
}

static enum fkm_status each_problem(struct fkmi_device *device, const struct fkmi_job *job, fkmi_cpu_problem_fn fn,
									void *context)
{
	const struct fkmi_problem *p = &job->problem;
	fkmi_cpu_each_problem(device, job, p->k * p->d, fkmi_cpu_centroids_need(p), fn, context);
	return FKM_OK;
}

/* ---- load_centroids ---- */

struct source {
	const char *from;
	enum fkm_dtype dtype;
	int64_t row_stride, batch_stride;
};

static int64_t element_bytes(enum fkm_dtype dtype)
{
	if (dtype == FKM_F64)
		return 8;
	return dtype == FKM_F32 ? 4 : 2;
}

static void load_rows(void *context, int part, int64_t begin, int64_t end)
{
	const struct rows *rows = context;
	int64_t d = rows->job->problem.d;
	(void)part;
	for (int64_t k = begin; k < end; k++) {
		double *c = rows->centroids + k * d;
		fkmi_cpu_convert(rows->from + k * rows->row_stride * element_bytes(rows->dtype), rows->dtype, d, 1, c);
		if (rows->job->problem.metric != FKM_METRIC_COSINE)
			continue;
		double q = fkmi_cpu_distance(c, rows->zeros, d);
		if (fabs(q - 1) <= 1e-6)
			continue;
		double r = q == 0 ? 0 : 1 / sqrt(q);
		for (int64_t j = 0; j < d; j++)
			c[j] *= r;
	}
}

/* The lowest element of the source that is not finite or beyond 2^200, or -1. */
static int64_t first_bad(const struct rows *rows, double *row)
{
	const struct fkmi_problem *p = &rows->job->problem;
	for (int64_t k = 0; k < p->k; k++) {
		fkmi_cpu_convert(rows->from + k * rows->row_stride * element_bytes(rows->dtype), rows->dtype, p->d, 1, row);
		for (int64_t j = 0; j < p->d; j++)
			if (!(fabs(row[j]) <= 0x1p200))
				return k * p->d + j;
	}
	return -1;
}

static void load_centroids(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	const struct source *source = context;
	struct rows rows = rows_of(team, job, b);
	rows.from = source->from + b * source->batch_stride * element_bytes(source->dtype);
	rows.dtype = source->dtype;
	rows.row_stride = source->row_stride;
	fkmi_cpu_state(job, b)->bad_centroid = first_bad(&rows, fkmi_cpu_part(&rows.parts, 0));
	each_row(team, &rows, load_rows);
}

enum fkm_status fkmi_cpu_load_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref from,
										enum fkm_dtype dtype, int64_t row_stride, int64_t batch_stride)
{
	struct source source = {fkmi_ref_ptr(from), dtype, row_stride, batch_stride};
	return each_problem(device, job, load_centroids, &source);
}

/* ---- gather_centroids ---- */

static void gather_rows(void *context, int part, int64_t begin, int64_t end)
{
	const struct rows *rows = context;
	(void)part;
	const int64_t d = rows->job->problem.d;
	for (int64_t k = begin; k < end; k++) {
		if (rows->indices[k] >= 0)
			fkmi_cpu_load_row(rows->job, rows->b, rows->indices[k], rows->centroids + k * d);
		else
			memset(rows->centroids + k * d, 0, (size_t)d * sizeof(double));
	}
}

static void gather_centroids(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	struct rows rows = rows_of(team, job, b);
	rows.indices = (const int64_t *)context + b * job->problem.k;
	each_row(team, &rows, gather_rows);
}

enum fkm_status fkmi_cpu_gather_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref rows)
{
	return each_problem(device, job, gather_centroids, fkmi_ref_ptr(rows));
}

/* ---- round_centroids, store_centroids ---- */

static void round_centroids(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	(void)team;
	(void)context;
	int64_t count = job->problem.k * job->problem.d;
	double *centroids = fkmi_cpu_doubles(job->centroids, b * count);
	for (int64_t i = 0; i < count; i++)
		centroids[i] = (double)(float)fmax(-FLT_MAX, fmin(centroids[i], FLT_MAX));
}

enum fkm_status fkmi_cpu_round_centroids(struct fkmi_device *device, const struct fkmi_job *job)
{
	return each_problem(device, job, round_centroids, NULL);
}

enum fkm_status fkmi_cpu_store_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref to,
										 enum fkm_dtype dtype)
{
	int64_t count = job->problem.b * job->problem.k * job->problem.d;
	const double *centroids = fkmi_cpu_doubles(job->centroids, 0);
	(void)device;
	if (dtype == FKM_F64) {
		memcpy(fkmi_ref_ptr(to), centroids, (size_t)count * sizeof(double));
		return FKM_OK;
	}
	float *out = fkmi_ref_ptr(to);
	for (int64_t i = 0; i < count; i++)
		out[i] = (float)centroids[i];
	return FKM_OK;
}

/* ---- finish ---- */

/* The mean of cluster k into mean; false if it keeps its centroid. */
static bool take_mean(const struct rows *rows, int64_t k, double *mean)
{
	const struct fkmi_problem *p = &rows->job->problem;
	const int64_t *sums = fkmi_cpu_int64s(rows->job->total_sums, (rows->b * p->k + k) * p->d);
	const double *scale = fkmi_cpu_doubles(rows->job->column_scale, rows->b * p->d);
	int64_t weight = *fkmi_cpu_int64s(rows->job->total_weights, rows->b * p->k + k);
	if (weight == 0)
		return false;
	if (p->metric == FKM_METRIC_COSINE) {
		for (int64_t j = 0; j < p->d; j++)
			mean[j] = (double)sums[j];
		double q = fkmi_cpu_distance(mean, rows->zeros, p->d);
		if (q == 0)
			return false;
		double norm = sqrt(q);
		for (int64_t j = 0; j < p->d; j++)
			mean[j] /= norm;
		return true;
	}
	double weight_scale = fkmi_cpu_state(rows->job, rows->b)->weight_scale;
	for (int64_t j = 0; j < p->d; j++)
		mean[j] = (double)sums[j] / (double)weight * weight_scale * (1 / scale[j]);
	return true;
}

static void finish_rows(void *context, int part, int64_t begin, int64_t end)
{
	const struct rows *rows = context;
	int64_t d = rows->job->problem.d;
	double *mean = fkmi_cpu_part(&rows->parts, part);
	for (int64_t k = begin; k < end; k++) {
		double *c = rows->centroids + k * d;
		rows->shifts[k] = 0;
		if (!take_mean(rows, k, mean))
			continue;
		rows->shifts[k] = fkmi_cpu_distance(mean, c, d);
		memcpy(c, mean, (size_t)d * sizeof(double));
	}
}

static void finish(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	(void)context;
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_state *state = fkmi_cpu_state(job, b);
	if (p->empty != FKM_EMPTY_RELOCATE)
		fkmi_cpu_find_empty(job, b);
	struct rows rows = rows_of(team, job, b);
	each_row(team, &rows, finish_rows);
	double sum[8] = {0};
	for (int64_t k = 0; k < p->k; k++)
		sum[k % 8] += rows.shifts[k];
	state->shift = fkmi_combine8(sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]);
}

enum fkm_status fkmi_cpu_finish(struct fkmi_device *device, const struct fkmi_job *job)
{
	return each_problem(device, job, finish, NULL);
}
