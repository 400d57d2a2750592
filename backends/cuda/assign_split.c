/* SPDX-License-Identifier: Apache-2.0 */
/* The host side of assignment for few dimensions (kernels/cuda/assign_split.cuh): tiles, scratch, and launches. */
#include <stdio.h>

#include "cuda.h"
#include "kernels/common/state.h"
#include "kernels/cuda/split.h"

enum { WARPS = FKMI_SPLIT_THREADS / 32 };

/* Measured on an H200. A tile of the table is what a block takes at a time. */
#define TILE(most_dims)                                                                                                \
	{.name = "split-d" #most_dims,                                                                                     \
	 .kernel = "fkmi_split_d" #most_dims,                                                                              \
	 .needs = FKMI_CUDA_SM80,                                                                                          \
	 .dtypes = 1u << FKM_F16 | 1u << FKM_BF16 | 1u << FKM_F32,                                                         \
	 .d_min = (most_dims) - 3,                                                                                         \
	 .d_max = (most_dims),                                                                                             \
	 .k_max = 1 << 24,                                                                                                 \
	 .points = WARPS * FKMI_SPLIT_ROWS,                                                                                \
	 .centroids = FKMI_SPLIT_BLOCK,                                                                                    \
	 .dims = (most_dims),                                                                                              \
	 .local_bytes = FKMI_SPLIT_CHUNK_BYTES + FKMI_SPLIT_SETS_BYTES + FKMI_SPLIT_ROWS_BYTES(most_dims) +                \
					FKMI_SPLIT_MOVES_BYTES + 8 * FKMI_LOCAL_SUMS,                                                      \
	 .multiply_adds_per_second = (most_dims) == 4 ? 3.0e11 : 2.2e11,                                                   \
	 .seconds_per_tile = 1.5e-6,                                                                                       \
	 .seconds_per_chunk = FKMI_GPU_SECONDS_PER_CHUNK},
const struct fkmi_tile fkmi_cuda_split_tiles[] = {FKMI_SPLIT_SHAPES(TILE)};
const int32_t fkmi_cuda_split_tile_count = sizeof fkmi_cuda_split_tiles / sizeof fkmi_cuda_split_tiles[0];

static int32_t dims_of(const struct fkmi_tile *tile)
{
	return (int32_t)tile->d_max;
}

static int32_t chunks_of(const struct fkmi_tile *tile)
{
	return FKMI_SPLIT_CHUNKS(dims_of(tile));
}

/* ---- scratch ---- */

struct layout {
	int64_t blocks, slots;
	int64_t problems, fragments, sets, norms, table, slot_of; /* offsets in bytes */
	int64_t bytes;                                            /* -1: too much */
};

/* Of a block of centroids; of a block's rows. */
static int32_t fragment_bytes(const struct fkmi_tile *tile)
{
	return FKMI_SPLIT_FRAGMENT_BYTES(chunks_of(tile));
}

static int32_t rows_bytes(const struct fkmi_tile *tile)
{
	return FKMI_SPLIT_ROWS_BYTES(dims_of(tile));
}

/* Of a block's sets. */
static int64_t set_bytes(const struct fkmi_tile *tile)
{
	return (int64_t)sizeof(float) * FKMI_SPLIT_BLOCK / FKMI_SPLIT_SET * FKMI_SPLIT_SET_FLOATS(dims_of(tile));
}

static struct layout layout_of(const struct fkmi_problem *p, const struct fkmi_tile *tile)
{
	const int64_t most_centroids = (int64_t)1 << 40; /* of all problems: no size overflows */
	struct layout l = {.blocks = fkmi_gpu_divide_up(p->k, FKMI_SPLIT_BLOCK), .slots = 2, .bytes = -1};
	while (l.slots < 2 * p->k)
		l.slots *= 2;
	/* Columns of all problems are counted in 32 bits. */
	if (p->b > INT32_MAX / FKMI_SPLIT_MOST_DIMS || p->b > most_centroids / l.slots)
		return l;
	l.bytes = 0;
	l.problems = fkmi_gpu_take(&l.bytes, p->b, 1, sizeof(struct fkmi_split_problem));
	l.fragments = fkmi_gpu_take(&l.bytes, p->b * l.blocks, 1, fragment_bytes(tile));
	l.sets = fkmi_gpu_take(&l.bytes, p->b * l.blocks, 1, set_bytes(tile));
	l.norms = fkmi_gpu_take(&l.bytes, p->b * p->k, 1, sizeof(float));
	l.table = fkmi_gpu_take(&l.bytes, p->b * l.slots, 1, sizeof(int32_t));
	l.slot_of = fkmi_gpu_take(&l.bytes, p->b * p->k, 1, sizeof(int32_t));
	return l;
}

int64_t fkmi_cuda_split_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
									  const struct fkmi_plan *plan)
{
	(void)limits;
	/* Rows are numbered in 32 bits, also those of the tiles behind the last one. */
	return problem->n > INT32_MAX - 2 * plan->tile->points ? -1 : layout_of(problem, plan->tile).bytes;
}

bool fkmi_cuda_split_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
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

enum fkm_status fkmi_cuda_split_prepare(struct fkmi_gpu *gpu, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	const struct layout l = layout_of(p, job->plan.tile);
	struct fkmi_split_prepare a = {.active = place(job->active),
								   .centroids = place(job->centroids),
								   .state = place(job->state),
								   .problems = at(gpu, job, l.problems),
								   .fragments = at(gpu, job, l.fragments),
								   .sets = at(gpu, job, l.sets),
								   .norms = at(gpu, job, l.norms),
								   .table = at(gpu, job, l.table),
								   .slot_of = at(gpu, job, l.slot_of),
								   .slots = l.slots,
								   .b = (int32_t)p->b,
								   .k = (int32_t)p->k,
								   .d = (int32_t)p->d,
								   .blocks = (int32_t)l.blocks};
	return fkmi_cuda_launch((struct fkmi_cuda *)gpu, &(struct fkmi_cuda_launch){.kernel = "fkmi_split_prepare",
																				.blocks = p->b,
																				.threads = FKMI_SPLIT_PREPARE_THREADS,
																				.arguments = (void *[]){&a}});
}

enum fkm_status fkmi_cuda_split_assign(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
									   enum fkmi_accumulate accumulate)
{
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_tile *tile = job->plan.tile;
	const struct layout l = layout_of(p, tile);
	const int64_t sets = l.blocks * set_bytes(tile);
	struct fkmi_split_assign a = {.active = place(job->active),
								  .points = place(job->points),
								  .row_scale = place(job->row_scale),
								  .row_stride = job->point_row_stride,
								  .batch_stride = job->point_batch_stride,
								  .weights = place(job->weights),
								  .weights_stride = job->weights_batch_stride,
								  .column_scale = place(job->column_scale),
								  .centroids = place(job->centroids),
								  .problems = at(gpu, job, l.problems),
								  .fragments = at(gpu, job, l.fragments),
								  .sets = at(gpu, job, l.sets),
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
								  .blocks = (int32_t)l.blocks,
								  .chunk_blocks =
									  (int32_t)fkmi_gpu_least(l.blocks, FKMI_SPLIT_CHUNK_BYTES / fragment_bytes(tile)),
								  .local_sets = sets <= FKMI_SPLIT_SETS_BYTES,
								  .dtype = p->dtype,
								  .weights_dtype = job->weights_dtype,
								  .exact = p->precision == FKM_PRECISION_EXACT,
								  .accumulates = accumulate != FKMI_ACCUMULATE_NONE,
								  .delta = accumulate == FKMI_ACCUMULATE_DELTA,
								  .span_row = (int32_t)span.row,
								  .span_rows = (int32_t)span.rows,
								  .tiles = (int32_t)fkmi_gpu_divide_up(span.rows, tile->points / WARPS),
								  .one = 1.0f};
	const int64_t sums = a.accumulates ? 2 * p->k * (p->d + 1) * (int64_t)sizeof(int32_t) : 0;
	char kernel[32];
	snprintf(kernel, sizeof kernel, "fkmi_split_d%d", dims_of(tile));
	return fkmi_cuda_launch(
		(struct fkmi_cuda *)gpu,
		&(struct fkmi_cuda_launch){
			.kernel = kernel,
			.blocks = fkmi_gpu_least(p->b * a.tiles, (int64_t)FKMI_SPLIT_BLOCKS * gpu->device.limits.units),
			.threads = FKMI_SPLIT_THREADS,
			.local_bytes = (int32_t)((int64_t)a.chunk_blocks * fragment_bytes(tile) + (a.local_sets ? sets : 0) +
									 rows_bytes(tile) + FKMI_SPLIT_MOVES_BYTES + sums),
			.arguments = (void *[]){&a}});
}
