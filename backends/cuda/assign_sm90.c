/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host side of FlashAssign for sm_90a: tiles, scratch, and the launches of prepare and assign. kernels/cuda/ has
 * the kernels; sm90.h there says what both sides know.
 *
 * A tile either takes the points as they are, or, under a name with "copy", a scaled f16 copy of them in scratch, which
 * is made at the first prepare of a call: for f32, for the cosine metric, and for rows that are no multiple of 16
 * bytes.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cuda.h"
#include "kernels/common/state.h"
#include "kernels/cuda/sm90.h"
#include "windows.h"

enum {
	SLICE = 64,
	PIECE = 8,
	MOST_UNMEASURED = 2048 /* centroids, up to which it takes longer to measure each row than to decide more of them */
};

/* ---- tiles ---- */

struct shape {
	const char *name;
	int32_t d_most, points, centroids, threads, shared_bytes;
	int32_t kept_bytes;  /* of each tile of centroids, where all of them stay in shared memory, beside shared_bytes */
	const char *recheck; /* the shape whose recheck it has */
};

#define SHAPE(id, d_least, d_most, k_least, points, centroids, stages, stage_bytes, shape)                             \
	{                                                                                                                  \
		#id,                                                                                                           \
		d_most,                                                                                                        \
		points,                                                                                                        \
		centroids,                                                                                                     \
		FKMI_SM90_THREADS,                                                                                             \
		FKMI_SM90_SHARED_BYTES(points, centroids, stages, stage_bytes),                                                \
		0,                                                                                                             \
		#id},
#define KEPT_SHAPE(id, recheck, d_least, d_most, k_most, columns, slices, buffers, shape)                              \
	{#id,                                                                                                              \
	 d_most,                                                                                                           \
	 FKMI_SM90_KEPT_POINTS,                                                                                            \
	 columns,                                                                                                          \
	 FKMI_SM90_KEPT_THREADS,                                                                                           \
	 FKMI_SM90_KEPT_BYTES(slices, buffers, 0),                                                                         \
	 FKMI_SM90_KEPT_BYTES(slices, buffers, columns) - FKMI_SM90_KEPT_BYTES(slices, buffers, 0),                        \
	 #recheck},
static const struct shape shapes[] = {FKMI_SM90_KEPT_SHAPES(KEPT_SHAPE) FKMI_SM90_SHAPES(SHAPE)};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* First the shapes that read points, then those that copy them. Below d = 128 it is scores that take the time. */
#define TILE(prefix, id, least, most, least_k, most_k, types, tile_points, tile_centroids, bytes, rate, overhead,      \
			 without_range)                                                                                            \
	{.name = prefix #id,                                                                                               \
	 .kernel = "fkmi_sm90_" #id,                                                                                       \
	 .needs = FKMI_CUDA_SM90,                                                                                          \
	 .dtypes = (types),                                                                                                \
	 .d_min = (least),                                                                                                 \
	 .d_max = (most),                                                                                                  \
	 .k_min = (least_k),                                                                                               \
	 .k_max = (most_k),                                                                                                \
	 .points = (tile_points),                                                                                          \
	 .centroids = (tile_centroids),                                                                                    \
	 .dims = (most) < 128 ? (most) : 0,                                                                                \
	 .local_bytes = (bytes),                                                                                           \
	 .multiply_adds_per_second = (rate),                                                                               \
	 .seconds_per_tile = (overhead),                                                                                   \
	 .seconds_per_chunk = FKMI_GPU_SECONDS_PER_CHUNK,                                                                  \
	 .unranged = (without_range)},
#define RING_TILE(prefix, id, least, most, least_k, types, points, centroids, bytes, factor, without_range)            \
	TILE(prefix, id, least, most, least_k, 1 << 23, types, points, centroids, bytes,                                   \
		 (factor) * ((most) == 16    ? 5.6e11                                                                          \
					 : (most) < 128  ? (most) * 2.2e10                                                                 \
					 : (least_k) > 1 ? 2.4e12                                                                          \
									 : 2.3e12),                                                                        \
		 (most) == 16  ? 6e-6                                                                                          \
		 : (most) < 64 ? 4e-6                                                                                          \
					   : 1.5e-6,                                                                                       \
		 without_range)
#define SIXTEEN_BITS (1u << FKM_F16 | 1u << FKM_BF16)
#define DIRECT_TILE(id, d_least, d_most, k_least, points, centroids, stages, stage_bytes, shape)                       \
	RING_TILE("sm90-", id, d_least, d_most, k_least, SIXTEEN_BITS, points, centroids,                                  \
			  FKMI_SM90_SHARED_BYTES(points, centroids, stages, stage_bytes), 1.0, 1u << FKM_F16)
#define COPY_TILE(id, d_least, d_most, k_least, points, centroids, stages, stage_bytes, shape)                         \
	RING_TILE("sm90-copy-", id, d_least, d_most, k_least, SIXTEEN_BITS | 1u << FKM_F32, points, centroids,             \
			  FKMI_SM90_SHARED_BYTES(points, centroids, stages, stage_bytes), 0.9, 0)
#define KEPT_TILE(prefix, id, d_least, d_most, k_most, columns, types, slices, buffers, factor, without_range)         \
	TILE(prefix, id, d_least, d_most, 1, k_most, types, FKMI_SM90_KEPT_POINTS, columns,                                \
		 FKMI_SM90_KEPT_BYTES(slices, buffers, k_most), (factor) * ((d_most) < 128 ? (d_most) * 2.6e10 : 2.6e12),      \
		 0.3e-6, without_range)
#define KEPT_DIRECT_TILE(id, recheck, d_least, d_most, k_most, columns, slices, buffers, shape)                        \
	KEPT_TILE("sm90-", id, d_least, d_most, k_most, columns, SIXTEEN_BITS, slices, buffers, 1.0, 1u << FKM_F16)
#define KEPT_COPY_TILE(id, recheck, d_least, d_most, k_most, columns, slices, buffers, shape)                          \
	KEPT_TILE("sm90-copy-", id, d_least, d_most, k_most, columns, SIXTEEN_BITS | 1u << FKM_F32, slices, buffers, 0.9, 0)

const struct fkmi_tile fkmi_cuda_sm90_tiles[] = {FKMI_SM90_KEPT_SHAPES(KEPT_DIRECT_TILE) FKMI_SM90_SHAPES(DIRECT_TILE)
													 FKMI_SM90_KEPT_SHAPES(KEPT_COPY_TILE) FKMI_SM90_SHAPES(COPY_TILE)};
const int32_t fkmi_cuda_sm90_tile_count = 2 * SHAPES;

/* The planner has a copy of the table. */
static int32_t tile_index(const struct fkmi_tile *tile)
{
	int32_t i = 0;
	while (i < 2 * SHAPES && strcmp(fkmi_cuda_sm90_tiles[i].name, tile->name) != 0)
		i++;
	assert(i < 2 * SHAPES);
	return i;
}

static bool copies(const struct fkmi_tile *tile)
{
	return tile_index(tile) >= SHAPES;
}

static const struct shape *shape_of(const struct fkmi_tile *tile)
{
	return &shapes[tile_index(tile) % SHAPES];
}

/* That of a shape's recheck. */
static const struct shape *recheck_shape(const struct shape *shape)
{
	const struct shape *s = shapes;
	while (strcmp(s->name, shape->recheck) != 0)
		s++;
	return s;
}

static int32_t shared_bytes(const struct shape *shape, int64_t k)
{
	return shape->shared_bytes + shape->kept_bytes * (int32_t)fkmi_gpu_divide_up(k, shape->centroids);
}

bool fkmi_cuda_sm90_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
						  const struct fkmi_tile *tile)
{
	(void)limits;
	(void)problem;
	(void)tile;
	return false;
}

/* ---- scratch ---- */

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Sizes, and offsets in bytes. */
struct layout {
	int64_t d_padded, d_pitch, k_padded, slots, span_rows, candidate_capacity, scan_rows, length_groups;
	int64_t problems, row_counts, totals, zero_end; /* zero before prepare */
	int64_t keys, first, ones_end;                  /* all bits set before prepare */
	int64_t usual, slot_of, mean, shift, measured_shift, longest, active_list, operands, norms, lengths, row_starts;
	int64_t copied_rows;                            /* of each problem; all, or where points stream, those of a span */
	int64_t copy_mean, copy_scale, copy, residuals; /* where points are copied */
	int64_t bytes;                                  /* -1 if that overflows */
	/* From the beginning of job->scratch, while assign runs; rows: only where the job has no distances, over which they
	 * lie otherwise. */
	int64_t rows, candidates, scans, nearest, passing_bytes;
};

static struct layout layout_of(const struct fkmi_problem *p, const struct fkmi_plan *plan)
{
	/* Two candidates are usual where a row has any; every fifth row is much. What does not fit is scanned, slowly. Where
	 * points are copied, memory is not that dear, and the copy's errors add to the others. */
	enum { FEW_CANDIDATES = 65536, MOST_CANDIDATES = 1 << 30, FEW_SCANS = 1024 };
	struct layout l = {.span_rows = fkmi_gpu_least(plan->chunk_rows, p->n), .slots = 2};
	const struct shape *shape = shape_of(plan->tile);
	/* Kernels that keep points in registers read m for all the dimensions that they have room for. */
	l.d_padded = fkmi_gpu_divide_up(shape->d_most <= 512 ? shape->d_most : p->d, SLICE) * SLICE;
	l.d_pitch = fkmi_gpu_divide_up(p->d, PIECE) * PIECE;
	l.k_padded = fkmi_gpu_divide_up(p->k, FKMI_SM90_MOST_CENTROIDS) * FKMI_SM90_MOST_CENTROIDS;
	while (l.slots < 2 * p->k)
		l.slots *= 2;
	if (p->b > INT64_MAX / 16 / l.span_rows) {
		l.bytes = l.passing_bytes = -1;
		return l;
	}
	const int64_t rows = p->b * l.span_rows;
	const int64_t usual = copies(plan->tile) ? 2 * rows : rows * 27 / 64;
	l.candidate_capacity = fkmi_gpu_least(most(usual, fkmi_gpu_least(8 * rows, FEW_CANDIDATES)), MOST_CANDIDATES);
	l.scan_rows = fkmi_gpu_least(most(rows / 64, FEW_SCANS), FKMI_SM90_SCAN_ROWS);
	if (!fkmi_has_distances(p))
		l.rows = fkmi_gpu_take(&l.bytes, rows, 1, sizeof(struct fkmi_sm90_row));
	l.candidates = fkmi_gpu_take(&l.bytes, l.candidate_capacity, 1, sizeof(struct fkmi_sm90_candidate));
	l.scans = fkmi_gpu_take(&l.bytes, l.scan_rows, 1, sizeof(struct fkmi_sm90_scan));
	l.nearest = fkmi_gpu_take(&l.bytes, l.scan_rows, 1, sizeof(struct fkmi_sm90_nearest));
	l.passing_bytes = l.bytes;
	if (l.bytes < 0)
		return l;
	l.bytes = 0;
	l.problems = fkmi_gpu_take(&l.bytes, p->b, 1, sizeof(struct fkmi_sm90_problem));
	l.row_counts = fkmi_gpu_take(&l.bytes, p->b, 1, sizeof(int32_t));
	l.totals = fkmi_gpu_take(&l.bytes, 1, 1, sizeof(struct fkmi_sm90_totals));
	l.zero_end = l.bytes;
	l.keys = fkmi_gpu_take(&l.bytes, p->b, l.slots, sizeof(uint64_t));
	l.first = fkmi_gpu_take(&l.bytes, p->b, l.slots, sizeof(uint32_t));
	l.ones_end = l.bytes;
	l.usual = fkmi_gpu_take(&l.bytes, p->b, 1, sizeof(struct fkmi_sm90_usual));
	l.slot_of = fkmi_gpu_take(&l.bytes, p->b, p->k, sizeof(uint32_t));
	l.mean = fkmi_gpu_take(&l.bytes, p->b, p->d, sizeof(double));
	l.shift = fkmi_gpu_take(&l.bytes, p->b, l.d_padded, sizeof(float));
	l.measured_shift = fkmi_gpu_take(&l.bytes, p->b, l.d_padded, sizeof(float));
	l.length_groups = fkmi_gpu_divide_up(p->n, FKMI_SM90_LENGTH_ROWS);
	l.longest = fkmi_gpu_take(&l.bytes, p->b, l.length_groups, sizeof(float));
	l.active_list = fkmi_gpu_take(&l.bytes, p->b, 1, sizeof(int32_t));
	l.operands = fkmi_gpu_take(&l.bytes, p->b * p->k, l.d_pitch, sizeof(uint16_t));
	l.norms = fkmi_gpu_take(&l.bytes, p->b, l.k_padded, sizeof(float));
	l.lengths = fkmi_gpu_take(&l.bytes, p->b, p->k, sizeof(struct fkmi_sm90_length));
	l.row_starts = fkmi_gpu_take(&l.bytes, p->b + 1, 1, sizeof(int32_t));
	if (copies(plan->tile)) {
		l.copy_mean = fkmi_gpu_take(&l.bytes, p->b, p->d, sizeof(float));
		l.copy_scale = fkmi_gpu_take(&l.bytes, p->b, 1, sizeof(float));
		l.copied_rows = plan->streamed_rows > 0 ? l.span_rows : p->n;
		l.copy = fkmi_gpu_take(&l.bytes, p->b * l.copied_rows, l.d_pitch, sizeof(uint16_t));
		l.residuals = fkmi_gpu_take(&l.bytes, p->b, l.copied_rows, sizeof(float));
	}
	return l;
}

int64_t fkmi_cuda_sm90_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
									 const struct fkmi_plan *plan)
{
	(void)limits;
	const int64_t tiles = fkmi_gpu_divide_up(plan->chunk_rows, shape_of(plan->tile)->points);
	/* Tiles of all problems are counted in 32 bits, with the shares of their centroids. */
	if (problem->n > INT32_MAX || problem->b > INT32_MAX / 256 / tiles)
		return -1;
	const bool readable = problem->dtype != FKM_F32 && problem->metric != FKM_METRIC_COSINE && problem->d % PIECE == 0;
	if (!copies(plan->tile) && !readable)
		return -1;
	return layout_of(problem, plan).bytes;
}

int64_t fkmi_cuda_sm90_passing_bytes(const struct fkmi_problem *problem, const struct fkmi_plan *plan)
{
	return layout_of(problem, plan).passing_bytes;
}

/* ---- launches ---- */

/* A job with the addresses that its launches need. */
struct run {
	struct fkmi_cuda *cuda;
	const struct fkmi_job *job;
	const struct shape *shape;
	struct layout layout;
	struct fkmi_ref scratch;
	bool copied;
};

static struct run run_of(struct fkmi_gpu *gpu, const struct fkmi_job *job)
{
	return (struct run){.cuda = (struct fkmi_cuda *)gpu,
						.job = job,
						.shape = shape_of(job->plan.tile),
						.layout = layout_of(&job->problem, &job->plan),
						.scratch = fkmi_cuda_native_scratch(&gpu->device.limits, job),
						.copied = copies(job->plan.tile)};
}

static void *at(const struct run *r, int64_t offset)
{
	return fkmi_ref_ptr(fkmi_ref_add(r->scratch, offset));
}

static void *passing(const struct run *r, int64_t offset)
{
	return fkmi_ref_ptr(fkmi_ref_add(r->job->scratch, offset));
}

static void *place(struct fkmi_ref ref)
{
	return ref.base == NULL ? NULL : fkmi_ref_ptr(ref);
}

/* A kernel whose one parameter is a struct. */
static enum fkm_status launch(const struct run *r, const char *kernel, int64_t blocks, int32_t threads, void *argument)
{
	return fkmi_cuda_launch(
		r->cuda, &(struct fkmi_cuda_launch){
					 .kernel = kernel, .blocks = blocks, .threads = threads, .arguments = (void *[]){argument}});
}

/* The same of a kernel that waits for the one before it. */
static enum fkm_status launch_behind(const struct run *r, const char *kernel, int64_t blocks, void *argument)
{
	return fkmi_cuda_launch(r->cuda, &(struct fkmi_cuda_launch){.kernel = kernel,
																.blocks = blocks,
																.threads = FKMI_SM90_GROUP,
																.overlap = true,
																.arguments = (void *[]){argument}});
}

/* Blocks for work of which each takes `each` pieces, as many as run at once: kernels loop. */
static int64_t blocks_for(const struct run *r, int64_t work, int64_t each)
{
	enum { RESIDENT = 8 };
	return fkmi_gpu_least(fkmi_gpu_divide_up(work, each), (int64_t)RESIDENT * r->cuda->base.gpu.device.limits.units);
}

static bool is_multiple(int64_t value, int64_t of)
{
	return value % of == 0;
}

static struct fkmi_sm90_points points_of(const struct run *r)
{
	const struct fkmi_job *job = r->job;
	const int64_t element = job->problem.dtype == FKM_F32 ? sizeof(float) : sizeof(uint16_t);
	const bool paired = is_multiple(job->problem.d, 2) && is_multiple(job->point_row_stride, 2) &&
						is_multiple(job->point_batch_stride, 2) &&
						is_multiple((int64_t)(uintptr_t)place(job->points), 2 * element);
	return (struct fkmi_sm90_points){.data = place(job->points),
									 .row_scale = place(job->row_scale),
									 .row_stride = job->point_row_stride,
									 .batch_stride = job->point_batch_stride,
									 .n = job->problem.n,
									 .d = (int32_t)job->problem.d,
									 .dtype = job->problem.dtype,
									 .paired = paired};
}

/* gamma of certificate.cuh, of which the others are too. */
static float score_error(int64_t d)
{
	return (float)((double)(17 * fkmi_gpu_divide_up(d, 16) + 8) * 0x1p-23 * 1.01);
}

/* What the filter multiplies: the points, or their copy. Those that stream begin with the span's first row: the copy engine
 * takes no address before memory, where the problem's may be. */
struct operands {
	const void *data;
	int64_t row_stride, batch_stride; /* elements */
	bool aligned;                     /* fit for the copy engine: rows of 16-byte pieces */
};

static struct operands operands_of(const struct run *r, int64_t row)
{
	const struct fkmi_job *job = r->job;
	const int64_t before = job->windows != NULL ? row * job->point_row_stride * (int64_t)sizeof(uint16_t) : 0;
	struct operands o = {place(fkmi_ref_add(job->points, before)), job->point_row_stride, job->point_batch_stride,
						 false};
	if (r->copied)
		o = (struct operands){at(r, r->layout.copy), r->layout.d_pitch, r->layout.d_pitch * r->layout.copied_rows,
							  false};
	o.aligned = is_multiple((int64_t)(uintptr_t)o.data, 16) && is_multiple(o.row_stride, PIECE) &&
				(job->problem.b == 1 || is_multiple(o.batch_stride, PIECE));
	return o;
}

/* ---- prepare ---- */

static struct fkmi_sm90_copy copy_of(const struct run *r, struct fkmi_span span)
{
	const struct fkmi_job *job = r->job;
	const struct layout *l = &r->layout;
	return (struct fkmi_sm90_copy){.points = points_of(r),
								   .state = place(job->state),
								   .active = place(job->active),
								   .column_min = place(job->column_min),
								   .column_max = place(job->column_max),
								   .mean = at(r, l->copy_mean),
								   .scale = at(r, l->copy_scale),
								   .operands = at(r, l->copy),
								   .residuals = at(r, l->residuals),
								   .copied_rows = l->copied_rows,
								   .row = span.row,
								   .rows = span.rows,
								   .b = (int32_t)job->problem.b,
								   .d_pitch = (int32_t)l->d_pitch,
								   .anew = job->plan.streamed_rows > 0};
}

/* Does nothing but at the first prepare of a call. */
static enum fkm_status center_points(const struct run *r, struct fkmi_span span)
{
	struct fkmi_sm90_copy a = copy_of(r, span);
	return launch(r, "fkmi_sm90_center_points", blocks_for(r, a.b, 1), FKMI_SM90_CENTER_GROUP, &a);
}

/* The same, unless points stream. */
static enum fkm_status copy_points(const struct run *r, struct fkmi_span span)
{
	struct fkmi_sm90_copy a = copy_of(r, span);
	return launch(r, "fkmi_sm90_copy_points",
				  blocks_for(r, a.b * fkmi_gpu_divide_up(span.rows, FKMI_SM90_COPY_ROWS), 1), FKMI_SM90_GROUP, &a);
}

/* All points are copied at once; of those that stream, each span when it is assigned. */
static enum fkm_status prepare_copy(const struct run *r)
{
	struct fkmi_window first = {0};
	FKMI_TRY(fkmi_next_window(r->job, r->job->problem.n, &first));
	const struct run there = run_of(&r->cuda->base.gpu, &first.job);
	FKMI_TRY(center_points(&there, first.span));
	return r->job->windows == NULL ? copy_points(&there, first.span) : FKM_OK;
}

/* Whether each row is measured in every assignment: where that is cheap beside the products, and where lengths of rows are
 * not kept. */
static bool measures_all(const struct run *r)
{
	const struct fkmi_problem *p = &r->job->problem;
	const int64_t chunk = r->job->plan.chunk_rows;
	const bool can =
		r->shape->kept_bytes > 0 || r->shape->d_most < 128 || (r->shape->d_most > 128 && r->shape->d_most < 512);
	/* Spans begin at groups of rows. */
	const bool whole_groups = is_multiple(chunk, FKMI_SM90_LENGTH_ROWS) &&
							  is_multiple(p->n - r->job->plan.streamed_rows, FKMI_SM90_LENGTH_ROWS);
	return !can || p->k > MOST_UNMEASURED || !operands_of(r, 0).aligned ||
		   ((chunk < p->n || r->job->plan.streamed_rows > 0) && !whole_groups);
}

enum fkm_status fkmi_cuda_sm90_prepare(struct fkmi_gpu *gpu, const struct fkmi_job *job)
{
	const struct run r = run_of(gpu, job);
	const struct fkmi_problem *p = &job->problem;
	const struct layout *l = &r.layout;
	if (r.copied)
		FKMI_TRY(prepare_copy(&r));
	FKMI_TRY(fkmi_runtime_fill(&gpu->device, fkmi_ref_add(r.scratch, l->problems), 0, l->zero_end - l->problems));
	FKMI_TRY(fkmi_runtime_fill(&gpu->device, fkmi_ref_add(r.scratch, l->keys), 0xff, l->ones_end - l->keys));
	struct fkmi_sm90_prepare a = {.centroids = place(job->centroids),
								  .active = place(job->active),
								  .state = place(job->state),
								  .problems = at(&r, l->problems),
								  .mean = at(&r, l->mean),
								  .shift = at(&r, l->shift),
								  .measured_shift = at(&r, l->measured_shift),
								  .active_list = at(&r, l->active_list),
								  .totals = at(&r, l->totals),
								  .copy_mean = r.copied ? at(&r, l->copy_mean) : NULL,
								  .copy_scale = r.copied ? at(&r, l->copy_scale) : NULL,
								  .operands = at(&r, l->operands),
								  .norms = at(&r, l->norms),
								  .lengths = at(&r, l->lengths),
								  .usual = at(&r, l->usual),
								  .keys = at(&r, l->keys),
								  .first = at(&r, l->first),
								  .slot_of = at(&r, l->slot_of),
								  .b = (int32_t)p->b,
								  .k = (int32_t)p->k,
								  .d = (int32_t)p->d,
								  .d_padded = (int32_t)l->d_padded,
								  .d_pitch = (int32_t)l->d_pitch,
								  .k_padded = (int32_t)l->k_padded,
								  .slots = (int32_t)l->slots,
								  .dtype = p->dtype,
								  .exact = p->precision == FKM_PRECISION_EXACT,
								  .measures_all = measures_all(&r),
								  .gamma = score_error(p->d)};
	const int64_t warps = FKMI_SM90_GROUP / 32;
	FKMI_TRY(launch(&r, "fkmi_sm90_center", blocks_for(&r, p->b, 1), FKMI_SM90_CENTER_GROUP, &a));
	FKMI_TRY(launch(&r, "fkmi_sm90_measure", blocks_for(&r, p->b * p->k, warps), FKMI_SM90_GROUP, &a));
	return launch(&r, "fkmi_sm90_convert", blocks_for(&r, p->b * l->k_padded, warps), FKMI_SM90_GROUP, &a);
}

/* ---- assign ---- */

static void set_errors(struct fkmi_sm90_assign *a, int64_t d)
{
	a->gamma = score_error(d);
	a->distance_error = (float)(((double)d / 8 + 8) * 0x1p-52);
	a->square_factor = (float)(1 + ((double)d / 4 + 16) * 0x1p-23);
}

static struct fkmi_sm90_assign assign_of(const struct run *r, struct fkmi_span span)
{
	const struct fkmi_job *job = r->job;
	const struct fkmi_problem *p = &job->problem;
	const struct operands operands = operands_of(r, span.row);
	const struct layout *l = &r->layout;
	const bool streams = job->windows != NULL;
	struct fkmi_sm90_assign a = {
		.problems = at(r, l->problems),
		.norms = at(r, l->norms),
		.lengths = at(r, l->lengths),
		.shift = r->copied ? NULL : at(r, l->shift),
		.residuals = r->copied ? at(r, l->residuals) : NULL,
		.operands = operands.data,
		.operand_row_stride = operands.row_stride,
		.operand_batch_stride = operands.batch_stride,
		.active = place(job->active),
		.active_list = at(r, l->active_list),
		.longest = at(r, l->longest),
		.length_groups = (int32_t)l->length_groups,
		.state = place(job->state),
		.labels = place(job->labels),
		.previous = place(job->previous),
		.rows = fkmi_has_distances(p) ? place(job->distances) : passing(r, l->rows),
		.row_counts = at(r, l->row_counts),
		.row_starts = at(r, l->row_starts),
		.candidates = passing(r, l->candidates),
		.totals = at(r, l->totals),
		.n = p->n,
		.copied_rows = l->copied_rows,
		.b = (int32_t)p->b,
		.d = (int32_t)(r->copied ? l->d_pitch : p->d),
		.k = (int32_t)p->k,
		.k_padded = (int32_t)l->k_padded,
		.shift_stride = (int32_t)l->d_padded,
		.span_row = (int32_t)span.row,
		.span_rows = (int32_t)span.rows,
		.operand_row = (int32_t)(streams ? 0 : span.row),
		.candidate_capacity = (int32_t)l->candidate_capacity,
		.listed_tile = recheck_shape(r->shape)->points,
		.aligned = operands.aligned,
		.bf16 = !r->copied && p->dtype == FKM_BF16,
		.exact = p->precision == FKM_PRECISION_EXACT,
		.one = 1.0f,
	};
	set_errors(&a, p->d);
	return a;
}

/* Makes an assignment one of the shape's tiles. */
static void set_tiles(struct fkmi_sm90_assign *a, const struct shape *shape)
{
	a->tiles = (int32_t)fkmi_gpu_divide_up(a->span_rows, shape->points);
	a->centroid_tiles = (int32_t)fkmi_gpu_divide_up(a->k, shape->centroids);
}

static enum fkm_status map_operands(const struct run *r, const struct fkmi_sm90_assign *a, const struct shape *shape,
									struct fkmi_cu_tensor_map *points, struct fkmi_cu_tensor_map *centroids)
{
	enum { BLOCK_ROWS = 64, ELEMENT = sizeof(uint16_t) };
	const struct layout *l = &r->layout;
	struct fkmi_cuda_matrices m = {.address = (fkmi_cu_pointer)(uintptr_t)at(r, l->operands),
								   .count = (uint64_t)a->b,
								   .rows = (uint64_t)a->k,
								   .columns = (uint64_t)l->d_pitch,
								   .stride_bytes = (uint64_t)(a->k * l->d_pitch * ELEMENT),
								   .row_stride_bytes = (uint64_t)(l->d_pitch * ELEMENT),
								   .box_rows = (uint32_t)shape->centroids,
								   .box_columns = SLICE,
								   .type = FKMI_CU_TENSOR_F16,
								   .swizzle = FKMI_CU_SWIZZLE_128B,
								   .l2_promotion = FKMI_CU_L2_PROMOTION_256B};
	FKMI_TRY(fkmi_cuda_tensor_map(r->cuda, &m, centroids));
	*points = *centroids;
	if (!a->aligned)
		return FKM_OK;
	m.address = (fkmi_cu_pointer)(uintptr_t)a->operands;
	m.rows = (uint64_t)(r->job->windows != NULL ? a->span_rows : a->n);
	m.columns = (uint64_t)a->d;
	m.row_stride_bytes = (uint64_t)(a->operand_row_stride * ELEMENT);
	m.stride_bytes = a->b == 1 ? m.rows * m.row_stride_bytes : (uint64_t)(a->operand_batch_stride * ELEMENT);
	m.box_rows = BLOCK_ROWS;
	return fkmi_cuda_tensor_map(r->cuda, &m, points);
}

static enum fkm_status launch_flash(const struct run *r, const struct shape *shape, const char *suffix, int64_t blocks,
									struct fkmi_sm90_assign *a)
{
	struct fkmi_cu_tensor_map points, centroids;
	char kernel[64];
	set_tiles(a, shape);
	FKMI_TRY(map_operands(r, a, shape, &points, &centroids));
	snprintf(kernel, sizeof kernel, "fkmi_sm90_%s%s", shape->name, suffix);
	return fkmi_cuda_launch(r->cuda, &(struct fkmi_cuda_launch){.kernel = kernel,
																.blocks = blocks,
																.threads = shape->threads,
																.local_bytes = shared_bytes(shape, a->k),
																.overlap = strcmp(suffix, "_recheck") == 0,
																.arguments = (void *[]){&points, &centroids, a}});
}

/* Rows that the filter has listed. Only the device knows how many: kernels with nothing to do end at once. */
static enum fkm_status recheck(const struct run *r, struct fkmi_sm90_assign *assign)
{
	const struct fkmi_job *job = r->job;
	const struct layout *l = &r->layout;
	const int64_t units = r->cuda->base.gpu.device.limits.units;
	FKMI_TRY(launch_flash(r, recheck_shape(r->shape), "_recheck", units, assign));
	struct fkmi_sm90_recheck a = {.points = points_of(r),
								  .centroids = place(job->centroids),
								  .norms = assign->norms,
								  .state = assign->state,
								  .labels = assign->labels,
								  .previous = assign->previous,
								  .rows = assign->rows,
								  .row_counts = assign->row_counts,
								  .row_starts = assign->row_starts,
								  .candidates = assign->candidates,
								  .scans = passing(r, l->scans),
								  .nearest = passing(r, l->nearest),
								  .totals = assign->totals,
								  .problems = assign->problems,
								  .usual = at(r, l->usual),
								  .b = assign->b,
								  .k = assign->k,
								  .k_padded = assign->k_padded,
								  .span_rows = assign->span_rows,
								  .tile = assign->listed_tile,
								  .scan_capacity = (int32_t)l->scan_rows};
	FKMI_TRY(launch_behind(r, "fkmi_sm90_decide",
						   blocks_for(r, job->problem.b * assign->span_rows, FKMI_SM90_GROUP / 8), &a));
	return launch_behind(r, "fkmi_sm90_scan", 3 * units, &a);
}

enum fkm_status fkmi_cuda_sm90_assign(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
									  enum fkmi_accumulate accumulate)
{
	assert(accumulate == FKMI_ACCUMULATE_NONE);
	(void)accumulate;
	if (span.rows == 0)
		return FKM_OK;
	const struct run r = run_of(gpu, job);
	if (r.copied && job->windows != NULL)
		FKMI_TRY(copy_points(&r, span));
	struct fkmi_sm90_assign a = assign_of(&r, span);
	const struct shape *shape = a.aligned ? r.shape : &shapes[SHAPES - 1];
	const int64_t tiles = a.b * fkmi_gpu_divide_up(span.rows, shape->points);
	FKMI_TRY(launch_flash(&r, shape, a.aligned ? "" : "_fetch", fkmi_gpu_least(tiles, gpu->device.limits.units), &a));
	return recheck(&r, &a);
}
