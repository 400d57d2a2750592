/* SPDX-License-Identifier: Apache-2.0 */
/* The steps check_points, check_weights, row_norms, grids and variances: kernels/common/check.h. */
#include "steps.h"

enum { PIECES_PER_UNIT = 16, LEAST_PIECE = 128 };

/* Of `rows` rows of each problem, those of a group's piece where all groups together should keep the device busy. */
static int64_t piece_rows(const struct fkmi_device *device, const struct fkmi_problem *p, int64_t rows)
{
	int64_t pieces = (int64_t)device->limits.units * PIECES_PER_UNIT / p->b + 1;
	int64_t piece = fkmi_gpu_divide_up(rows, pieces);
	return piece > LEAST_PIECE ? piece : LEAST_PIECE;
}

/* ---- check_points ---- */

static enum fkm_status open_ranges(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	if (job->column_min.base == NULL)
		return FKM_OK;
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_ranges_open");
	fkmi_gpu_add_ref(&call, job->column_min);
	fkmi_gpu_add_ref(&call, job->column_max);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run_elements(&call, p->b * p->d);
}

static enum fkm_status narrow_ranges(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t piece = piece_rows(device, p, span.rows), pieces = fkmi_gpu_divide_up(span.rows, piece);
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_column_ranges");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_ref(&call, job->column_min);
	fkmi_gpu_add_ref(&call, job->column_max);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_i32(&call, fkmi_gpu_reads_wide(device, job, 8));
	fkmi_gpu_add_i32(&call, fkmi_gpu_lanes(fkmi_gpu_divide_up(p->d, 8)));
	fkmi_gpu_add_span(&call, span);
	fkmi_gpu_add_i64(&call, piece);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

/* Leaves column_min and column_max as order keys, of which grids makes doubles. */
enum fkm_status fkmi_gpu_check_points(struct fkmi_device *device, const struct fkmi_job *job)
{
	FKMI_TRY(open_ranges(device, job));
	FKMI_GPU_PASS(job, w, narrow_ranges(device, &w.job, w.span));
	return FKM_OK;
}

/* ---- check_weights ---- */

enum fkm_status fkmi_gpu_check_weights(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t piece = piece_rows(device, p, p->n), pieces = fkmi_gpu_divide_up(p->n, piece);
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_weight_ranges");
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_i64(&call, p->n);
	fkmi_gpu_add_i64(&call, piece);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

/* ---- row_norms, grids ---- */

static enum fkm_status take_norms(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t blocks = fkmi_gpu_divide_up(span.rows, FKMI_OCTETS);
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_row_norms");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_ref(&call, job->row_scale);
	fkmi_gpu_add_span(&call, span);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * blocks);
}

enum fkm_status fkmi_gpu_row_norms(struct fkmi_device *device, const struct fkmi_job *job)
{
	FKMI_GPU_PASS(job, w, take_norms(device, &w.job, w.span));
	return FKM_OK;
}

enum fkm_status fkmi_gpu_grids(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_grids");
	fkmi_gpu_add_ref(&call, job->column_min);
	fkmi_gpu_add_ref(&call, job->column_max);
	fkmi_gpu_add_i32(&call, p->unranged);
	fkmi_gpu_add_ref(&call, job->column_scale);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_i32(&call, p->dtype == FKM_F16 && p->metric == FKM_METRIC_EUCLIDEAN && !p->weighted);
	fkmi_gpu_add_i32(&call, p->weighted);
	fkmi_gpu_add_i64(&call, p->n_all);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b);
}

/* ---- variances ---- */

static enum fkm_status turn_moments(struct fkmi_device *device, const struct fkmi_job *job,
									const struct fkmi_gpu_layout *l, int32_t stage)
{
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_moments");
	fkmi_gpu_add_ref(&call, job->column_min);
	fkmi_gpu_add_ref(&call, job->column_max);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->center));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->scale));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->moments));
	fkmi_gpu_add_ref(&call, job->variance);
	fkmi_gpu_add_i32(&call, stage);
	fkmi_gpu_add_i64(&call, p->n_all);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run_elements(&call, p->b * p->d);
}

static enum fkm_status sum_columns(struct fkmi_device *device, const struct fkmi_job *job,
								   const struct fkmi_gpu_layout *l, bool squares, struct fkmi_span span)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t piece = piece_rows(device, p, span.rows), pieces = fkmi_gpu_divide_up(span.rows, piece);
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_column_sums");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->center));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->scale));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->moments));
	fkmi_gpu_add_i32(&call, squares);
	fkmi_gpu_add_i32(&call, fkmi_gpu_lanes(p->d));
	fkmi_gpu_add_span(&call, span);
	fkmi_gpu_add_i64(&call, piece);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

static enum fkm_status sum_all_columns(struct fkmi_device *device, const struct fkmi_job *job,
									   const struct fkmi_gpu_layout *l, bool squares)
{
	const struct fkmi_problem *p = &job->problem;
	FKMI_GPU_PASS(job, w, sum_columns(device, &w.job, l, squares, w.span));
	return fkmi_merge(device, job, fkmi_gpu_scratch(job, l->moments), p->b * p->d, FKM_REDUCE_SUM);
}

enum fkm_status fkmi_gpu_variances(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_gpu_layout l = fkmi_gpu_layout_of(job);
	FKMI_TRY(turn_moments(device, job, &l, 0));
	FKMI_TRY(sum_all_columns(device, job, &l, false));
	FKMI_TRY(turn_moments(device, job, &l, 1));
	FKMI_TRY(sum_all_columns(device, job, &l, true));
	return turn_moments(device, job, &l, 2);
}
