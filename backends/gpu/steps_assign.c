/* SPDX-License-Identifier: Apache-2.0 */
/* The steps prepare and assign by a portable tile (kernels/common/filter.h), by one for matrix cores (kernels/matrix/),
 * or by the backend's own kernels. */
#include "assign_matrix.h"
#include "steps.h"

/* ---- prepare ---- */

static enum fkm_status take_mean(struct fkmi_device *device, const struct fkmi_job *job,
								 const struct fkmi_gpu_layout *l)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t blocks = fkmi_gpu_divide_up(l->padded_d, FKMI_MEAN_COLUMNS);
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_filter_mean");
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->mu));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->norm_max));
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, l->padded_d);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * blocks);
}

static enum fkm_status make_operands(struct fkmi_device *device, const struct fkmi_job *job,
									 const struct fkmi_gpu_layout *l)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t blocks = l->padded_k / FKMI_OCTETS;
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_filter_operands");
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->mu));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->panels));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->halves));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->norms));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->norm_max));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->table));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->slot_of));
	fkmi_gpu_add_i64(&call, l->slots);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, job->plan.tile->centroids);
	fkmi_gpu_add_i64(&call, l->padded_k);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, l->padded_d);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * blocks);
}

/* In place of make_operands, for matrix cores. */
static enum fkm_status make_matrix_operands(struct fkmi_device *device, const struct fkmi_job *job,
											const struct fkmi_gpu_layout *l)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t blocks = fkmi_gpu_divide_up(p->k, FKMI_OCTETS), padded_blocks = l->padded_k / FKMI_OCTETS;
	const bool cosine = p->metric == FKM_METRIC_COSINE;
	FKMI_TRY(
		fkmi_gpu_fill(device, fkmi_gpu_scratch(job, l->measures), 0, p->b * FKMI_MEASURES * (int64_t)sizeof(int32_t)));
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_matrix_measure");
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->mu));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->measures));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->table));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->slot_of));
	fkmi_gpu_add_i64(&call, l->slots);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, l->padded_d);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	FKMI_TRY(fkmi_gpu_run(&call, p->b * blocks));
	call = fkmi_gpu_call(device, job, "fkmi_k_matrix_operands");
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->mu));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->operands));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->halves));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->measures));
	fkmi_gpu_add_i32(&call, p->dtype == FKM_F32 || cosine);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, l->padded_k);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, l->padded_d);
	fkmi_gpu_add_i64(&call, padded_blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * padded_blocks);
}

static enum fkm_status mark_unique(struct fkmi_device *device, const struct fkmi_job *job,
								   const struct fkmi_gpu_layout *l)
{
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_filter_unique");
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->table));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->slot_of));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->halves));
	fkmi_gpu_add_i64(&call, l->slots);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, l->padded_k);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run_elements(&call, p->b * p->k);
}

enum fkm_status fkmi_gpu_prepare(struct fkmi_device *device, const struct fkmi_job *job)
{
	struct fkmi_gpu *gpu = (struct fkmi_gpu *)device;
	const bool matrix = fkmi_gpu_matrix_shape(job->plan.tile) != NULL;
	if (!matrix && !job->plan.tile->portable)
		return gpu->driver->prepare_native(gpu, job);
	const struct fkmi_gpu_layout l = fkmi_gpu_layout_of(job);
	FKMI_TRY(fkmi_gpu_fill(device, fkmi_gpu_scratch(job, l.table), 0xFF,
						   job->problem.b * l.slots * (int64_t)sizeof(int32_t)));
	FKMI_TRY(take_mean(device, job, &l));
	FKMI_TRY(matrix ? make_matrix_operands(device, job, &l) : make_operands(device, job, &l));
	return mark_unique(device, job, &l);
}

/* ---- assign ---- */

/* What sweeps: a kernel of a portable tile, or of that shape. */
struct sweep {
	const struct fkmi_gpu_matrix_shape *matrix; /* or NULL */
	const struct fkmi_gpu_layout *layout;
	int64_t tiles; /* of rows */
};

/* Begins a launch of filter or recheck: its points and operands (FKMI_OPERANDS_ARGS or FKMI_MATRIX_OPERANDS_ARGS). */
static struct fkmi_gpu_call begin_sweep(struct fkmi_device *device, const struct fkmi_job *job,
										const struct sweep *sweep, const char *kernel)
{
	const struct fkmi_gpu_layout *l = sweep->layout;
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, kernel);
	call.tile = job->plan.tile;
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->mu));
	if (sweep->matrix != NULL) {
		call.local_bytes = (int32_t)job->plan.tile->local_bytes;
		fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->operands));
		fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->halves));
		fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->measures));
	} else {
		fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->panels));
		fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->halves));
		fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->norms));
		fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->norm_max));
	}
	fkmi_gpu_add_i64(&call, job->problem.k);
	fkmi_gpu_add_i64(&call, l->padded_k);
	fkmi_gpu_add_i64(&call, l->padded_d);
	return call;
}

static struct fkmi_ref listed_count(const struct fkmi_job *job, const struct fkmi_gpu_layout *l)
{
	return fkmi_gpu_scratch(job, l->list_counts);
}

static struct fkmi_ref scanned_count(const struct fkmi_job *job, const struct fkmi_gpu_layout *l)
{
	return fkmi_ref_add(listed_count(job, l), job->problem.b * (int64_t)sizeof(int32_t));
}

static enum fkm_status filter(struct fkmi_device *device, const struct fkmi_job *job, const struct sweep *sweep,
							  struct fkmi_span span)
{
	const struct fkmi_gpu_layout *l = sweep->layout;
	struct fkmi_gpu_call call =
		begin_sweep(device, job, sweep, sweep->matrix != NULL ? sweep->matrix->filter : "fkmi_k_filter");
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->previous);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->listed));
	fkmi_gpu_add_ref(&call, listed_count(job, l));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->thresholds));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->scanned));
	fkmi_gpu_add_ref(&call, scanned_count(job, l));
	fkmi_gpu_add_i32(&call, fkmi_gpu_reads_wide(device, job, 8));
	fkmi_gpu_add_i32(&call, job->problem.precision == FKM_PRECISION_FAST);
	fkmi_gpu_add_i64(&call, span.row);
	fkmi_gpu_add_i64(&call, span.rows);
	fkmi_gpu_add_i64(&call, sweep->tiles);
	fkmi_gpu_add_i64(&call, job->problem.b);
	return fkmi_gpu_run(&call, job->problem.b * sweep->tiles);
}

static enum fkm_status recheck(struct fkmi_device *device, const struct fkmi_job *job, const struct sweep *sweep,
							   struct fkmi_span span)
{
	const struct fkmi_gpu_layout *l = sweep->layout;
	struct fkmi_gpu_call call =
		begin_sweep(device, job, sweep, sweep->matrix != NULL ? sweep->matrix->recheck : "fkmi_k_recheck");
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->listed));
	fkmi_gpu_add_ref(&call, listed_count(job, l));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->thresholds));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->scanned));
	fkmi_gpu_add_ref(&call, scanned_count(job, l));
	fkmi_gpu_add_i32(&call, fkmi_gpu_reads_wide(device, job, 8));
	fkmi_gpu_add_i64(&call, span.row);
	fkmi_gpu_add_i64(&call, span.rows);
	fkmi_gpu_add_i64(&call, sweep->tiles);
	fkmi_gpu_add_i64(&call, job->problem.b);
	return fkmi_gpu_run(&call, job->problem.b * sweep->tiles);
}

static enum fkm_status scan(struct fkmi_device *device, const struct fkmi_job *job, const struct fkmi_gpu_layout *l,
							struct fkmi_span span)
{
	enum { GROUPS_PER_UNIT = 8 };
	const struct fkmi_problem *p = &job->problem;
	/* Enough to keep the device busy whichever problems have such rows. */
	const int64_t busy = (int64_t)device->limits.units * GROUPS_PER_UNIT;
	const int64_t groups = span.rows < busy ? span.rows : busy;
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_scan");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->slot_of));
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->scanned));
	fkmi_gpu_add_ref(&call, scanned_count(job, l));
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, span.row);
	fkmi_gpu_add_i64(&call, span.rows);
	fkmi_gpu_add_i64(&call, groups);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * groups);
}

enum fkm_status fkmi_gpu_assign(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span,
								enum fkmi_accumulate accumulate)
{
	struct fkmi_gpu *gpu = (struct fkmi_gpu *)device;
	const struct fkmi_gpu_matrix_shape *matrix = fkmi_gpu_matrix_shape(job->plan.tile);
	if (matrix == NULL && !job->plan.tile->portable)
		return gpu->driver->assign_native(gpu, job, span, accumulate);
	const struct fkmi_gpu_layout l = fkmi_gpu_layout_of(job);
	const struct sweep sweep = {matrix, &l, fkmi_gpu_divide_up(span.rows, job->plan.tile->points)};
	FKMI_TRY(fkmi_gpu_fill(device, listed_count(job, &l), 0, 2 * job->problem.b * (int64_t)sizeof(int32_t)));
	FKMI_TRY(filter(device, job, &sweep, span));
	if (job->problem.precision == FKM_PRECISION_FAST)
		return FKM_OK;
	FKMI_TRY(recheck(device, job, &sweep, span));
	return scan(device, job, &l, span);
}
