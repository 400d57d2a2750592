/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problems so small that all their points fit in the shared memory of the device: one launch runs whole iterations
 * (kernels/cuda/small.cuh). A problem has a set of groups, of which as many run at once as the device has
 * multiprocessors; sets take the problems of a batch in turn.
 */
#include <assert.h>
#include <math.h>

#include "backends/gpu/steps.h"
#include "cuda.h"
#include "kernels/cuda/small.h"

enum { STATIC_BYTES = 4096 }; /* of the kernel's shared memory, at most */

const struct fkmi_tile fkmi_cuda_small_tiles[] = {{
	.name = "small",
	.kernel = "fkmi_cuda_small",
	.needs = FKMI_CUDA_SM90,
	.dtypes = 1u << FKM_F16 | 1u << FKM_BF16 | 1u << FKM_F32,
	.d_max = FKMI_SMALL_DIMS,
	.k_max = FKMI_SMALL_CENTROIDS,
	.points = FKMI_SMALL_ROWS,
	.centroids = FKMI_SMALL_COLUMNS,
	.local_bytes = STATIC_BYTES,
	.multiply_adds_per_second = 6e11,
	.seconds_per_tile = 2e-6,
	.seconds_per_chunk = 10e-6,
}};
const int32_t fkmi_cuda_small_tile_count = 1;

/* ---- who works on what ---- */

/* Where parts of shared memory begin, one behind the other. */
static int32_t take(struct fkmi_small_layout *l, int64_t count, int64_t each)
{
	const int32_t place = l->bytes;
	l->bytes += (int32_t)fkmi_gpu_round_up(count * each, 16);
	return place;
}

static struct fkmi_small_layout layout_of(const struct fkmi_problem *p, int64_t rows)
{
	enum { F32 = 4, F64 = 8, I32 = 4, U16 = 2 };
	const int64_t columns =
		fkmi_gpu_least(fkmi_gpu_round_up(p->k, FKMI_SMALL_COLUMNS / FKMI_SMALL_SHARES), FKMI_SMALL_COLUMNS);
	struct fkmi_small_layout l = {.pitch = (int32_t)(fkmi_gpu_round_up(p->d, FKMI_SMALL_STEP) * U16 + 16)};
	l.points = take(&l, rows, l.pitch);
	l.centroids = take(&l, columns, l.pitch);
	l.mean = take(&l, p->d, F64);
	l.scale = take(&l, p->d, F64);
	l.shift = take(&l, p->d, F32);
	l.norms = take(&l, FKMI_SMALL_COLUMNS, F32);
	l.squares = take(&l, rows, F32);
	l.residuals = take(&l, rows, F32);
	l.labels = take(&l, rows, I32);
	l.fresh = take(&l, rows, I32);
	l.best = take(&l, FKMI_SMALL_SHARES * rows, F32);
	l.second = take(&l, FKMI_SMALL_SHARES * rows, F32);
	l.column = take(&l, FKMI_SMALL_SHARES * rows, I32);
	l.listed = take(&l, rows, U16);
	l.limits = take(&l, rows, F32);
	l.masks = take(&l, FKMI_SMALL_LISTED * fkmi_gpu_divide_up(p->k, 32), I32);
	return l;
}

struct arrangement {
	int64_t groups; /* that share a problem; 0: its rows do not fit */
	int64_t sets, group_rows;
};

static struct arrangement arrange(const struct fkmi_limits *limits, const struct fkmi_problem *p, int64_t rows)
{
	const int64_t fixed = layout_of(p, 0).bytes, pass = layout_of(p, FKMI_SMALL_ROWS).bytes - fixed;
	const int64_t passes = fkmi_gpu_divide_up(rows, FKMI_SMALL_ROWS);
	const int64_t fit = (limits->local_bytes - STATIC_BYTES - fixed) / pass; /* passes of a group */
	struct arrangement r = {0};
	if (limits->local_bytes < STATIC_BYTES + fixed + pass || fkmi_gpu_divide_up(passes, fit) > limits->units)
		return r;
	/* As many groups as there are multiprocessors for the problem, or as its rows need. */
	int64_t groups = limits->units / p->b;
	if (groups < fkmi_gpu_divide_up(passes, fit))
		groups = fkmi_gpu_divide_up(passes, fit);
	const int64_t each = fkmi_gpu_divide_up(passes, groups);
	r.groups = fkmi_gpu_divide_up(passes, each);
	r.group_rows = each * FKMI_SMALL_ROWS;
	r.sets = fkmi_gpu_least(p->b, limits->units / r.groups);
	return r;
}

const char *fkmi_cuda_small_refuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem)
{
	if (problem->n > INT32_MAX || problem->b > INT32_MAX || arrange(limits, problem, problem->n).groups == 0)
		return "the rows of a problem do not fit the shared memory of the device";
	return NULL;
}

/* ---- scratch ---- */

struct scratch {
	int64_t described, bytes; /* behind the operands */
};

static struct scratch scratch_of(const struct fkmi_problem *p)
{
	const int64_t clusters = p->b * p->k, d_padded = fkmi_gpu_round_up(p->d, FKMI_SMALL_STEP);
	struct scratch s = {0};
	s.described = fkmi_gpu_round_up(clusters * d_padded * (int64_t)sizeof(uint16_t), FKMI_GPU_ALIGNMENT);
	s.bytes = s.described + clusters * (int64_t)sizeof(struct fkmi_small_centroid);
	return s;
}

int64_t fkmi_cuda_small_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
									  const struct fkmi_plan *plan)
{
	(void)limits;
	(void)plan;
	return scratch_of(problem).bytes;
}

/* ---- launches ---- */

static void *place(struct fkmi_ref ref)
{
	return fkmi_ref_ptr(ref);
}

/* small_certificate.cuh */
static void set_errors(struct fkmi_small *a, int64_t d)
{
	const double gamma = (double)(24 * fkmi_gpu_divide_up(d, FKMI_SMALL_STEP) + 8) * 0x1p-23 * 1.01;
	a->gamma = (float)gamma;
	a->norm_factor = (float)((1 + 3.6 * sqrt(gamma)) * 1.00001);
	a->distance_error = (float)(((double)d / 8 + 8) * 0x1p-52);
}

static void set_moves(struct fkmi_small *a, const struct fkmi_job *job)
{
	const struct fkmi_gpu_layout l = fkmi_gpu_layout_of(job);
	a->shifts = place(fkmi_gpu_scratch(job, l.shifts));
	if (!a->relocates)
		return;
	a->distances = place(job->distances);
	a->move_count = place(fkmi_gpu_scratch(job, l.move_count));
	a->move_rows = place(fkmi_gpu_scratch(job, l.move_rows));
	a->move_targets = place(fkmi_gpu_scratch(job, l.move_targets));
	a->move_heads = place(fkmi_gpu_scratch(job, l.move_heads));
	a->move_next = place(fkmi_gpu_scratch(job, l.move_next));
	a->sort_keys = place(fkmi_gpu_scratch(job, l.sort_keys));
	a->sort_rows = place(fkmi_gpu_scratch(job, l.sort_rows));
	a->sort_size = l.sort_size;
}

static enum fkm_status run(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span, bool anew,
						   int32_t iterations)
{
	const struct fkmi_device *device = &gpu->device;
	const struct fkmi_problem *p = &job->problem;
	const struct arrangement r = arrange(&device->limits, p, span.rows);
	const struct scratch s = scratch_of(p);
	const struct fkmi_ref scratch = fkmi_cuda_native_scratch(&device->limits, job);
	struct fkmi_small a = {
		.points = place(job->points),
		.weights = place(job->weights),
		.row_scale = place(job->row_scale),
		.row_stride = job->point_row_stride,
		.batch_stride = job->point_batch_stride,
		.weights_stride = job->weights_batch_stride,
		.active = place(job->active),
		.state = place(job->state),
		.column_min = place(job->column_min),
		.column_max = place(job->column_max),
		.column_scale = place(job->column_scale),
		.centroids = place(job->centroids),
		.sums = place(job->sums),
		.weight_sums = place(job->weight_sums),
		.labels = place(job->labels),
		.previous = place(job->previous),
		.operands = place(scratch),
		.described = place(fkmi_ref_add(scratch, s.described)),
		.n = p->n,
		.b = (int32_t)p->b,
		.k = (int32_t)p->k,
		.d = (int32_t)p->d,
		.d_padded = (int32_t)fkmi_gpu_round_up(p->d, FKMI_SMALL_STEP),
		.dtype = p->dtype,
		.weights_dtype = job->weights_dtype,
		.cosine = p->metric == FKM_METRIC_COSINE,
		.exact = p->precision == FKM_PRECISION_EXACT,
		.relocates = p->empty == FKM_EMPTY_RELOCATE,
		.wide = fkmi_gpu_reads_wide(device, job, 8),
		.anew = anew,
		.iterations = iterations,
		.row = (int32_t)span.row,
		.rows = (int32_t)span.rows,
		.groups = (int32_t)r.groups,
		.sets = (int32_t)r.sets,
		.group_rows = (int32_t)r.group_rows,
		.at = layout_of(p, r.group_rows),
	};
	set_errors(&a, p->d);
	if (iterations > 0)
		set_moves(&a, job);
	return fkmi_cuda_launch((struct fkmi_cuda *)gpu, &(struct fkmi_cuda_launch){.kernel = "fkmi_cuda_small",
																				.blocks = r.groups * r.sets,
																				.threads = FKMI_SMALL_GROUP,
																				.local_bytes = a.at.bytes,
																				.together = true,
																				.arguments = (void *[]){&a}});
}

enum fkm_status fkmi_cuda_small_iterate(struct fkmi_gpu *gpu, const struct fkmi_job *job, bool anew, int32_t count)
{
	return run(gpu, job, (struct fkmi_span){0, job->problem.n}, anew, count);
}

enum fkm_status fkmi_cuda_small_assign(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
									   enum fkmi_accumulate accumulate)
{
	assert(accumulate == FKMI_ACCUMULATE_NONE);
	(void)accumulate;
	return span.rows > 0 ? run(gpu, job, span, false, 0) : FKM_OK;
}

/* The kernel makes its operands itself. */
enum fkm_status fkmi_cuda_small_prepare(struct fkmi_gpu *gpu, const struct fkmi_job *job)
{
	(void)gpu;
	(void)job;
	return FKM_OK;
}

bool fkmi_cuda_small_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
						   const struct fkmi_tile *tile)
{
	(void)limits;
	(void)problem;
	(void)tile;
	return false;
}
