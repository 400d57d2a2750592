/* SPDX-License-Identifier: Apache-2.0 */
/* The host side of assignment for few dimensions (kernels/cuda/assign_simt.cuh): tiles, scratch, and launches. */
#include <stdio.h>

#include "cuda.h"
#include "kernels/common/state.h"
#include "kernels/cuda/simt.h"

enum { ALIGNMENT = 256, WARPS = FKMI_SIMT_THREADS / 32 };

/* Scores take an instruction per dimension, and about two each beside. */
#define TILE(dims_, d_least, rows)                                                                                     \
	{.name = "simt-d" #dims_,                                                                                          \
	 .needs = FKMI_CUDA_SM80,                                                                                          \
	 .dtypes = 1u << FKM_F16 | 1u << FKM_BF16 | 1u << FKM_F32,                                                         \
	 .d_min = (d_least),                                                                                               \
	 .d_max = (dims_),                                                                                                 \
	 .k_max = 1 << 24,                                                                                                 \
	 .points = FKMI_SIMT_THREADS * (rows),                                                                             \
	 .centroids = FKMI_SIMT_CENTROIDS,                                                                                 \
	 .dims = (dims_),                                                                                                  \
	 .local_bytes = 4 * FKMI_SIMT_CHUNK_FLOATS + 8 * FKMI_LOCAL_SUMS,                                                  \
	 .multiply_adds_per_second = 1.4e11 * (dims_) / ((dims_) + 2.5),                                                   \
	 .seconds_per_tile = 1e-6},
const struct fkmi_tile fkmi_cuda_simt_tiles[] = {FKMI_SIMT_SHAPES(TILE)};
const int32_t fkmi_cuda_simt_tile_count = sizeof fkmi_cuda_simt_tiles / sizeof fkmi_cuda_simt_tiles[0];

static int32_t dims_of(const struct fkmi_tile *tile)
{
	return (int32_t)tile->d_max;
}

static int64_t divide_up(int64_t a, int64_t b)
{
	return a / b + (a % b != 0);
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- scratch ---- */

struct layout {
	int64_t groups, slots;
	int64_t problems, operands, norms, table, slot_of; /* offsets in bytes */
	int64_t bytes;                                     /* -1: too much */
};

static int64_t take(struct layout *l, int64_t count, int64_t element)
{
	const int64_t offset = l->bytes;
	l->bytes += divide_up(count * element, ALIGNMENT) * ALIGNMENT;
	return offset;
}

static struct layout layout_of(const struct fkmi_problem *p, const struct fkmi_tile *tile)
{
	const int64_t most_centroids = (int64_t)1 << 40; /* of all problems: no size overflows */
	struct layout l = {.groups = divide_up(p->k, FKMI_SIMT_CENTROIDS), .slots = 2, .bytes = -1};
	while (l.slots < 2 * p->k)
		l.slots *= 2;
	if (p->b > most_centroids / l.slots)
		return l;
	l.bytes = 0;
	l.problems = take(&l, p->b, sizeof(struct fkmi_simt_problem));
	l.operands = take(&l, p->b * l.groups * FKMI_SIMT_GROUP_FLOATS(dims_of(tile)), sizeof(float));
	l.norms = take(&l, p->b * p->k, sizeof(float));
	l.table = take(&l, p->b * l.slots, sizeof(int32_t));
	l.slot_of = take(&l, p->b * p->k, sizeof(int32_t));
	return l;
}

int64_t fkmi_cuda_simt_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
									 const struct fkmi_plan *plan)
{
	(void)limits;
	return layout_of(problem, plan->tile).bytes;
}

bool fkmi_cuda_simt_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
						  const struct fkmi_tile *tile)
{
	(void)limits;
	(void)tile;
	return problem->k <= FKMI_LOCAL_SUMS / (problem->d + 1);
}

/* ---- launches ---- */

static void *place(struct fkmi_ref ref)
{
	return fkmi_ref_ptr(ref);
}

static void *at(const struct fkmi_gpu *gpu, const struct fkmi_job *job, int64_t offset)
{
	return fkmi_ref_ptr(fkmi_ref_add(fkmi_cuda_native_scratch(&gpu->device.limits, job), offset));
}

enum fkm_status fkmi_cuda_simt_prepare(struct fkmi_gpu *gpu, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	const struct layout l = layout_of(p, job->plan.tile);
	struct fkmi_simt_prepare a = {.active = place(job->active),
								  .centroids = place(job->centroids),
								  .state = place(job->state),
								  .problems = at(gpu, job, l.problems),
								  .operands = at(gpu, job, l.operands),
								  .norms = at(gpu, job, l.norms),
								  .table = at(gpu, job, l.table),
								  .slot_of = at(gpu, job, l.slot_of),
								  .slots = l.slots,
								  .b = (int32_t)p->b,
								  .k = (int32_t)p->k,
								  .d = (int32_t)p->d,
								  .dims = dims_of(job->plan.tile),
								  .groups = (int32_t)l.groups};
	return fkmi_cuda_launch((struct fkmi_cuda *)gpu, &(struct fkmi_cuda_launch){.kernel = "fkmi_simt_prepare",
																				.blocks = p->b,
																				.threads = FKMI_SIMT_PREPARE_THREADS,
																				.arguments = (void *[]){&a}});
}

enum fkm_status fkmi_cuda_simt_assign(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
									  enum fkmi_accumulate accumulate)
{
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_tile *tile = job->plan.tile;
	const struct layout l = layout_of(p, tile);
	const int64_t group_floats = FKMI_SIMT_GROUP_FLOATS(dims_of(tile));
	struct fkmi_simt_assign a = {.active = place(job->active),
								 .points = place(job->points),
								 .row_scale = place(job->row_scale),
								 .row_stride = job->point_row_stride,
								 .batch_stride = job->point_batch_stride,
								 .weights = place(job->weights),
								 .weights_stride = job->weights_batch_stride,
								 .column_scale = place(job->column_scale),
								 .centroids = place(job->centroids),
								 .problems = at(gpu, job, l.problems),
								 .operands = at(gpu, job, l.operands),
								 .norms = at(gpu, job, l.norms),
								 .state = place(job->state),
								 .labels = place(job->labels),
								 .previous = place(job->previous),
								 .sums = place(job->sums),
								 .weight_sums = place(job->weight_sums),
								 .n = p->n,
								 .b = (int32_t)p->b,
								 .k = (int32_t)p->k,
								 .d = (int32_t)p->d,
								 .groups = (int32_t)l.groups,
								 .chunk_groups = (int32_t)least(l.groups, FKMI_SIMT_CHUNK_FLOATS / group_floats),
								 .dtype = p->dtype,
								 .weights_dtype = job->weights_dtype,
								 .wide = p->d == dims_of(tile) && fkmi_gpu_reads_wide(job, 4),
								 .exact = p->precision == FKM_PRECISION_EXACT,
								 .accumulates = accumulate != FKMI_ACCUMULATE_NONE,
								 .delta = accumulate == FKMI_ACCUMULATE_DELTA,
								 .span_row = (int32_t)span.row,
								 .span_rows = (int32_t)span.rows,
								 .tiles = (int32_t)divide_up(span.rows, tile->points / WARPS)};
	const int64_t sums = a.accumulates ? p->k * (p->d + 1) : 0;
	char kernel[32];
	snprintf(kernel, sizeof kernel, "fkmi_simt_d%d", dims_of(tile));
	return fkmi_cuda_launch((struct fkmi_cuda *)gpu,
							&(struct fkmi_cuda_launch){
								.kernel = kernel,
								.blocks = least(p->b * a.tiles, (int64_t)FKMI_SIMT_BLOCKS * gpu->device.limits.units),
								.threads = FKMI_SIMT_THREADS,
								.local_bytes = (int32_t)(4 * (a.chunk_groups * group_floats + 2 * sums)),
								.arguments = (void *[]){&a}});
}
