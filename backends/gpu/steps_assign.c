/* SPDX-License-Identifier: Apache-2.0 */
/* The steps prepare and assign by the portable tile (kernels/common/assign.h), or by the backend's own kernels. */
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
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->transposed));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->halves));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->norms));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->norm_max));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->table));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->slot_of));
	fkmi_gpu_add_i64(&call, l->slots);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, l->padded_k);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, l->padded_d);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * blocks);
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
	if (!fkmi_gpu_is_portable(job->plan.tile))
		return gpu->driver->prepare_native(gpu, job);
	const struct fkmi_gpu_layout l = fkmi_gpu_layout_of(job);
	FKMI_TRY(fkmi_gpu_fill(device, fkmi_gpu_scratch(job, l.table), 0xFF,
						   job->problem.b * l.slots * (int64_t)sizeof(int32_t)));
	FKMI_TRY(take_mean(device, job, &l));
	FKMI_TRY(make_operands(device, job, &l));
	return mark_unique(device, job, &l);
}

/* ---- assign ---- */

static void add_operands(struct fkmi_gpu_call *call, const struct fkmi_gpu_layout *l) /* FKMI_OPERANDS_ARGS */
{
	const struct fkmi_job *job = call->job;
	fkmi_gpu_add_ref(call, job->state);
	fkmi_gpu_add_ref(call, fkmi_gpu_scratch(job, l->mu));
	fkmi_gpu_add_ref(call, fkmi_gpu_scratch(job, l->transposed));
	fkmi_gpu_add_ref(call, fkmi_gpu_scratch(job, l->halves));
	fkmi_gpu_add_ref(call, fkmi_gpu_scratch(job, l->norms));
	fkmi_gpu_add_ref(call, fkmi_gpu_scratch(job, l->norm_max));
	fkmi_gpu_add_i64(call, job->problem.k);
	fkmi_gpu_add_i64(call, l->padded_k);
	fkmi_gpu_add_i64(call, l->padded_d);
}

static struct fkmi_ref listed_count(const struct fkmi_job *job, const struct fkmi_gpu_layout *l)
{
	return fkmi_gpu_scratch(job, l->list_counts);
}

static struct fkmi_ref scanned_count(const struct fkmi_job *job, const struct fkmi_gpu_layout *l)
{
	return fkmi_ref_add(listed_count(job, l), job->problem.b * (int64_t)sizeof(int32_t));
}

static enum fkm_status filter(struct fkmi_device *device, const struct fkmi_job *job, const struct fkmi_gpu_layout *l,
							  struct fkmi_span span, int64_t tiles)
{
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_filter");
	fkmi_gpu_add_points(&call);
	add_operands(&call, l);
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->previous);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->listed));
	fkmi_gpu_add_ref(&call, listed_count(job, l));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->thresholds));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->scanned));
	fkmi_gpu_add_ref(&call, scanned_count(job, l));
	fkmi_gpu_add_i32(&call, fkmi_gpu_reads_wide(job, 8));
	fkmi_gpu_add_i32(&call, job->problem.precision == FKM_PRECISION_FAST);
	fkmi_gpu_add_i64(&call, span.row);
	fkmi_gpu_add_i64(&call, span.rows);
	fkmi_gpu_add_i64(&call, tiles);
	fkmi_gpu_add_i64(&call, job->problem.b);
	return fkmi_gpu_run(&call, job->problem.b * tiles);
}

static enum fkm_status recheck(struct fkmi_device *device, const struct fkmi_job *job, const struct fkmi_gpu_layout *l,
							   struct fkmi_span span, int64_t tiles)
{
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_recheck");
	fkmi_gpu_add_points(&call);
	add_operands(&call, l);
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->listed));
	fkmi_gpu_add_ref(&call, listed_count(job, l));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->thresholds));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->scanned));
	fkmi_gpu_add_ref(&call, scanned_count(job, l));
	fkmi_gpu_add_i32(&call, fkmi_gpu_reads_wide(job, 8));
	fkmi_gpu_add_i64(&call, span.row);
	fkmi_gpu_add_i64(&call, span.rows);
	fkmi_gpu_add_i64(&call, tiles);
	fkmi_gpu_add_i64(&call, job->problem.b);
	return fkmi_gpu_run(&call, job->problem.b * tiles);
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
	if (!fkmi_gpu_is_portable(job->plan.tile))
		return gpu->driver->assign_native(gpu, job, span, accumulate);
	const struct fkmi_gpu_layout l = fkmi_gpu_layout_of(job);
	const int64_t tiles = fkmi_gpu_divide_up(span.rows, FKMI_TILE_POINTS);
	FKMI_TRY(fkmi_gpu_fill(device, listed_count(job, &l), 0, 2 * job->problem.b * (int64_t)sizeof(int32_t)));
	FKMI_TRY(filter(device, job, &l, span, tiles));
	if (job->problem.precision == FKM_PRECISION_FAST)
		return FKM_OK;
	FKMI_TRY(recheck(device, job, &l, span, tiles));
	return scan(device, job, &l, span);
}
