/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agree.h"
#include "array.h"
#include "clock.h"
#include "error.h"
#include "workspace.h"

#define FKMI_INLINE static inline
#include "kernels/common/exact.h"

enum {
	UPLOAD_BUFFER_BYTES = 4 << 20,
	MOST_SHARED = 5, /* numbers of a state that ranks share at once */
};

/* ---- memory ---- */

/* Takes a piece of the block; only measures while the block is none. */
static struct fkmi_ref stage(struct fkmi_work *work, bool wanted, int64_t bytes)
{
	const struct fkmi_ref none = {0};
	if (!wanted)
		return none;
	struct fkmi_ref ref = fkmi_ref_add(work->block, work->workspace_bytes);
	work->workspace_bytes += (bytes + 255) / 256 * 256;
	return ref;
}

/* Whether the steps can use the caller's memory as it is. */
static bool in_place(const struct fkmi_work *work, enum fkm_memory memory)
{
	return memory == FKM_MEMORY_DEVICE || work->device->limits.host_memory;
}

static int64_t packed_bytes(const struct fkm_array *array)
{
	return array->batch * array->rows * array->dims * fkmi_dtype_bytes(array->dtype);
}

static struct fkmi_ref ref_of(const struct fkm_array *array)
{
	return (struct fkmi_ref){(void *)(uintptr_t)array->data, array->offset_bytes};
}

/* An output that the caller may have given: made in place, or staged, or none. */
static struct fkmi_ref place_output(struct fkmi_work *work, void *given, int64_t bytes)
{
	const struct fkmi_ref caller = {given, 0};
	if (given == NULL || in_place(work, work->request.result.memory))
		return caller;
	return stage(work, true, bytes);
}

/* Arrays beside the job's own: copies of host arrays and results for a device with memory of its own, and the core's.
 */
static void place_staging(struct fkmi_work *work)
{
	const struct fkmi_request *request = &work->request;
	const struct fkmi_problem *p = &request->problem;
	const struct fkm_fit_result *result = &request->result;
	struct fkmi_job *job = &work->job;

	bool staged;
	if (p->weighted && p->n == 0) {
		job->weights_dtype = FKM_F64; /* of none: whatever it is */
		job->weights_batch_stride = 0;
	} else if (p->weighted) {
		staged = !in_place(work, request->weights.memory);
		job->weights = staged ? stage(work, true, packed_bytes(&request->weights)) : ref_of(&request->weights);
		job->weights_dtype = request->weights.dtype;
		job->weights_batch_stride = request->weights.batch == 1 ? 0 : staged ? p->n : request->weights.batch_stride;
	}
	if (request->start.rows > 0) {
		staged = !in_place(work, request->start.memory);
		work->start = staged ? stage(work, true, packed_bytes(&request->start)) : ref_of(&request->start);
	}
	work->rows = stage(work, p->fits && p->init == FKM_INIT_RANDOM, p->b * p->k * (int64_t)sizeof(int64_t));
	work->best = stage(work, p->fits && request->params.n_init > 1, p->b * p->k * p->d * (int64_t)sizeof(double));
	work->before = stage(work, request->params.checkpoint != NULL, p->b * p->k * p->d * (int64_t)sizeof(double));
	work->order = place_output(work, result->order, p->b * p->n * (int64_t)sizeof(int64_t));
	if (p->places_labels)
		job->labels = (struct fkmi_ref){result->labels, 0};
	work->offsets = place_output(work, result->offsets, p->b * (p->k + 1) * (int64_t)sizeof(int64_t));
	work->centroids_out =
		place_output(work, result->centroids, p->b * p->k * p->d * fkmi_dtype_bytes(result->centroids_dtype));
}

/* Bytes of a row of all problems that must be brought to the device; 0: the points are there. */
static int64_t staged_row_bytes(const struct fkmi_work *work)
{
	const struct fkm_array *points = &work->request.points;
	return in_place(work, points->memory) ? 0 : points->batch * points->dims * fkmi_dtype_bytes(points->dtype);
}

static enum fkm_status place_points(struct fkmi_work *work, struct fkmi_ref block)
{
	const struct fkm_array *points = &work->request.points;
	struct fkmi_job *job = &work->job;
	const bool staged = staged_row_bytes(work) > 0;
	job->point_row_stride = staged ? points->dims : points->row_stride;
	job->point_batch_stride = staged ? points->rows * points->dims : points->batch_stride;
	if (job->plan.streamed_rows > 0)
		return fkmi_windows_open(work->device, job, points, block, work->active, work->context->threads,
								 &work->windows);
	job->points = staged ? block : ref_of(points);
	return FKM_OK;
}

/* Whether the call must wait for the device at all: it need not where checks are off and results stay there. */
static bool must_wait(const struct fkmi_request *request, const struct fkmi_limits *limits)
{
	const struct fkm_fit_result *r = &request->result;
	const bool arrays = r->labels != NULL || r->centroids != NULL || r->counts != NULL || r->order != NULL ||
						r->offsets != NULL || r->distances != NULL;
	return limits->host_memory || request->problem.ranks > 1 || !request->params.trust_finite || r->inertia != NULL ||
		   request->labels != NULL || request->params.n_init > 1 || (arrays && r->memory == FKM_MEMORY_HOST);
}

/* Whether nothing depends on the range of the points: f16 points whose sums are exact whatever it is (docs/semantics.md,
 * section 2: g_j = 24), in calls that neither check them nor sum distances. */
static bool may_skip_ranges(const struct fkmi_request *request, const struct fkmi_tile *tile)
{
	enum { EXACT_BITS = 24 + 16 }; /* of the grid, for |x| < 2^16 */
	const struct fkmi_problem *p = &request->problem;
	const bool exact = p->ranks == 1 && p->dtype == FKM_F16 && p->metric == FKM_METRIC_EUCLIDEAN && !p->weighted &&
					   fkmi_grid_bits(p->n_all) >= EXACT_BITS;
	return exact && request->params.trust_finite && (tile->unranged >> p->dtype & 1) != 0 &&
		   request->result.inertia == NULL && !p->wants_distances && request->labels == NULL && !request->kept &&
		   (!p->fits || (request->params.stop != FKM_STOP_RELATIVE && p->init != FKM_INIT_KMEANS_PLUS_PLUS &&
						 request->params.n_init == 1));
}

enum fkm_status fkmi_work_plan(struct fkm_context *context, const struct fkmi_request *request, struct fkmi_work *work)
{
	memset(work, 0, sizeof *work);
	work->context = context;
	work->device = context->device;
	work->backend = context->device->backend;
	work->request = *request;
	work->waits = must_wait(request, &context->device->limits);
	work->request.problem.places_labels =
		request->result.labels != NULL && in_place(work, request->result.memory) && request->labels == NULL;
	work->job.problem = work->request.problem;
	work->job.merge = context->merge;
	work->job.rank = fkmi_merge_rank(context->merge);
	work->job.first_row = request->first_row;
	place_staging(work);
	work->planned = work->request.problem;
	if (work->planned.n == 0)
		work->planned.n = 1;
	int64_t staging = work->workspace_bytes;
	const struct fkm_fit_params *params = &request->params;
	const char *forced = params->kernel != NULL ? params->kernel : getenv("FKM_KERNEL");
	work->plan_request = (struct fkmi_plan_request){
		.backend = work->backend,
		.limits = &work->device->limits,
		.problem = &work->planned,
		.kernel = forced,
		.chunk_rows = params->chunk_rows,
		.memory_bytes = params->workspace != NULL ? params->workspace_bytes : context->memory_budget_bytes,
		.extra_bytes = staging,
		.row_bytes = staged_row_bytes(work),
	};
	FKMI_TRY(fkmi_plan_make(&work->plan_request, &work->job.plan, NULL));
	work->job.problem.unranged = may_skip_ranges(request, work->job.plan.tile);
	work->workspace_bytes = staging + fkmi_workspace_bytes(&work->planned, &work->job.plan) +
							fkmi_points_bytes(&work->planned, &work->job.plan, work->plan_request.row_bytes);
	return FKM_OK;
}

enum fkm_status fkmi_work_query(struct fkm_context *context, enum fkmi_call call, const struct fkm_array *points,
								const struct fkm_array *centroids, const struct fkm_fit_params *params,
								const struct fkm_fit_result *result, int64_t *bytes)
{
	struct fkmi_request request;
	struct fkmi_work work;
	if (bytes == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "bytes is NULL");
	FKMI_TRY(fkmi_check_call(context, call, false, points, centroids, NULL, params, result, &request));
	request.params.workspace = NULL;
	if (context->group != NULL)
		return fkmi_fail(FKM_ERROR_UNSUPPORTED, "the context has several devices, which take their own workspaces");
	FKMI_TRY(fkmi_work_plan(context, &request, &work));
	*bytes = work.workspace_bytes;
	return FKM_OK;
}

static enum fkm_status take_memory(struct fkmi_work *work)
{
	const struct fkm_fit_params *params = &work->request.params;
	const int64_t b = work->request.problem.b;
	work->states = calloc((size_t)b, sizeof *work->states);
	work->seen = calloc((size_t)b, sizeof *work->seen);
	work->active = calloc((size_t)b, sizeof *work->active);
	work->thresholds = calloc((size_t)b, sizeof *work->thresholds);
	work->shared = calloc((size_t)b, MOST_SHARED * sizeof *work->shared);
	if (work->states == NULL || work->seen == NULL || work->active == NULL || work->thresholds == NULL ||
		work->shared == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for the states of %lld problems", (long long)b);
	int64_t bytes = work->workspace_bytes;
	if (params->workspace != NULL) {
		if (params->workspace_bytes < bytes)
			return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "workspace_bytes is %lld where %lld are needed",
							 (long long)params->workspace_bytes, (long long)bytes);
		work->block = (struct fkmi_ref){params->workspace, 0};
	} else {
		FKMI_TRY(work->backend->alloc(work->device, bytes, &work->block));
		work->owns_block = true;
	}
	work->workspace_bytes = 0;
	place_staging(work);
	const struct fkmi_ref arrays = fkmi_ref_add(work->block, work->workspace_bytes);
	fkmi_workspace_place(&work->job, arrays);
	work->workspace_bytes = bytes;
	return place_points(work, fkmi_ref_add(arrays, fkmi_workspace_bytes(&work->job.problem, &work->job.plan)));
}

static void free_memory(struct fkmi_work *work)
{
	if (work->windows != NULL) /* so there is a context */
		fkmi_windows_close(work->windows, work->context->lost);
	if (work->owns_block && !work->context->lost) /* a lost device takes its memory with it */
		work->backend->free(work->device, work->block);
	free(work->states);
	free(work->seen);
	free(work->active);
	free(work->thresholds);
	free(work->shared);
}

/* ---- moving arrays ---- */

/* A caller's host array to packed device memory: in one piece if it is packed, else through a buffer that packs it. */
static enum fkm_status upload_array(struct fkmi_work *work, const struct fkm_array *array, struct fkmi_ref to)
{
	const int64_t row_bytes = array->dims * fkmi_dtype_bytes(array->dtype);
	const int64_t rows = array->batch * array->rows;
	if (rows == 0)
		return FKM_OK;
	const bool packed = (array->row_stride == array->dims || array->rows == 1) &&
						(array->batch_stride == array->rows * array->dims || array->batch == 1);
	if (packed)
		return work->backend->upload(work->device, to, array->data, rows * row_bytes);

	int64_t buffer_rows = row_bytes > UPLOAD_BUFFER_BYTES ? 1 : UPLOAD_BUFFER_BYTES / row_bytes;
	buffer_rows = buffer_rows < rows ? buffer_rows : rows;
	char *buffer = malloc((size_t)(buffer_rows * row_bytes));
	if (buffer == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory to pack %lld rows", (long long)buffer_rows);
	enum fkm_status status = FKM_OK;
	for (int64_t first = 0; first < rows && status == FKM_OK; first += buffer_rows) {
		int64_t count = rows - first < buffer_rows ? rows - first : buffer_rows;
		for (int64_t i = 0; i < count; i++) {
			int64_t b = (first + i) / array->rows, row = (first + i) % array->rows;
			int64_t element = b * array->batch_stride + row * array->row_stride;
			memcpy(buffer + i * row_bytes, (const char *)array->data + element * fkmi_dtype_bytes(array->dtype),
				   (size_t)row_bytes);
		}
		status = work->backend->upload(work->device, fkmi_ref_add(to, first * row_bytes), buffer, count * row_bytes);
	}
	free(buffer);
	return status;
}

static enum fkm_status upload_inputs(struct fkmi_work *work)
{
	const struct fkmi_request *request = &work->request;
	if (staged_row_bytes(work) > 0 && work->windows == NULL)
		FKMI_TRY(upload_array(work, &request->points, work->job.points));
	if (request->weights.data != NULL && !in_place(work, request->weights.memory))
		FKMI_TRY(upload_array(work, &request->weights, work->job.weights));
	if (request->start.data != NULL && !in_place(work, request->start.memory))
		FKMI_TRY(upload_array(work, &request->start, work->start));
	return FKM_OK;
}

/* Uploads `count` equal records, of which `from` has all: a few as they are, the others by copies on the device, for
 * which nothing ever waits. */
static enum fkm_status upload_equal(struct fkmi_work *work, struct fkmi_ref to, const void *from, int64_t bytes,
									int64_t count)
{
	enum { FEW_BYTES = 8192 };
	int64_t done = count < FEW_BYTES / bytes ? count : FEW_BYTES / bytes;
	FKMI_TRY(work->backend->upload(work->device, to, from, done * bytes));
	for (int64_t more; done < count; done += more) {
		more = done < count - done ? done : count - done;
		FKMI_TRY(work->backend->copy(work->device, fkmi_ref_add(to, done * bytes), to, more * bytes));
	}
	return FKM_OK;
}

enum fkm_status fkmi_work_activate(struct fkmi_work *work, const int32_t *active)
{
	const int64_t b = work->request.problem.b;
	bool same = true;
	for (int64_t i = 0; i < b; i++) {
		const int32_t wanted = active == NULL ? 1 : active[i];
		same = same && work->active[i] == wanted;
		work->active[i] = wanted;
	}
	if (same) /* which nothing is before the first call */
		return FKM_OK;
	if (work->windows != NULL)
		fkmi_windows_activate(work->windows);
	if (active == NULL)
		return upload_equal(work, work->job.active, work->active, (int64_t)sizeof(int32_t), b);
	return work->backend->upload(work->device, work->job.active, work->active, b * (int64_t)sizeof(int32_t));
}

/* A number of each problem's state, 8 bytes of any type, is replaced by what it comes to over all ranks. */
static enum fkm_status share_members(struct fkmi_work *work, const size_t *members, int count, enum fkm_reduce op)
{
	const int64_t b_count = work->request.problem.b;
	if (work->job.merge == NULL)
		return FKM_OK;
	assert(count <= MOST_SHARED);
	for (int64_t b = 0; b < b_count; b++)
		for (int i = 0; i < count; i++)
			memcpy(&work->shared[b * count + i], (const char *)&work->states[b] + members[i], sizeof(int64_t));
	FKMI_TRY(fkmi_merge_values(work->job.merge, work->shared, b_count * count, op));
	for (int64_t b = 0; b < b_count; b++)
		for (int i = 0; i < count; i++)
			memcpy((char *)&work->states[b] + members[i], &work->shared[b * count + i], sizeof(int64_t));
	return FKM_OK;
}

static enum fkm_status share_counters(struct fkmi_work *work)
{
	static const size_t counters[] = {
		offsetof(struct fkmi_state, changed),     offsetof(struct fkmi_state, rechecked),
		offsetof(struct fkmi_state, ties),        offsetof(struct fkmi_state, inertia_high),
		offsetof(struct fkmi_state, inertia_low),
	};
	return share_members(work, counters, sizeof counters / sizeof counters[0], FKM_REDUCE_SUM);
}

/* The lowest place, of `width` to a row, that any rank found; -1: none. */
static enum fkm_status share_place(struct fkmi_work *work, size_t member, int64_t width)
{
	const int64_t before = work->job.first_row * width;
	int64_t place;
	for (int64_t b = 0; b < work->request.problem.b; b++) {
		char *own = (char *)&work->states[b] + member;
		memcpy(&place, own, sizeof place);
		place = place < 0 ? INT64_MAX : before + place;
		memcpy(own, &place, sizeof place);
	}
	FKMI_TRY(share_members(work, &member, 1, FKM_REDUCE_MIN));
	for (int64_t b = 0; b < work->request.problem.b; b++) {
		char *own = (char *)&work->states[b] + member;
		memcpy(&place, own, sizeof place);
		place = place == INT64_MAX ? -1 : place;
		memcpy(own, &place, sizeof place);
	}
	return FKM_OK;
}

enum fkm_status fkmi_work_states(struct fkmi_work *work)
{
	struct fkmi_state *older = work->seen;
	work->seen = work->states;
	work->states = older;
	FKMI_TRY(work->backend->download(work->device, work->states, work->job.state,
									 work->request.problem.b * (int64_t)sizeof *work->states));
	return share_counters(work);
}

/* ---- checking and setting up ---- */

/* "points[3][17]" or, in a batch, "points[1][3][17]"; columns 0: "weights[3]". */
static void describe_place(char *text, size_t bytes, const char *name, int64_t batch, int64_t b, int64_t flat,
						   int64_t columns)
{
	char problem[32] = "";
	if (batch > 1)
		snprintf(problem, sizeof problem, "[%lld]", (long long)b);
	if (columns == 0)
		snprintf(text, bytes, "%s%s[%lld]", name, problem, (long long)flat);
	else
		snprintf(text, bytes, "%s%s[%lld][%lld] (row %lld, column %lld)", name, problem, (long long)(flat / columns),
				 (long long)(flat % columns), (long long)(flat / columns), (long long)(flat % columns));
}

static enum fkm_status judge_inputs(struct fkmi_work *work)
{
	const struct fkmi_problem *p = &work->request.problem;
	const double most = 0x1p500, least = 0x1p-500;
	char place[128];
	for (int64_t b = 0; b < p->b; b++) {
		const struct fkmi_state *state = &work->states[b];
		if (state->bad_point >= 0) {
			describe_place(place, sizeof place, "points", p->b, b, state->bad_point, p->d);
			return fkmi_fail(FKM_ERROR_NONFINITE, "%s is NaN or infinite", place);
		}
		if (!p->weighted)
			continue;
		if (state->bad_weight >= 0) {
			describe_place(place, sizeof place, "weights", p->b, b, state->bad_weight, 0);
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s is negative, NaN or infinite", place);
		}
		describe_place(place, sizeof place, "weights", 1, 0, b, 0);
		if (state->weight_max == 0)
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s are all zero", p->b > 1 ? place : "weights");
		if (state->weight_max > most || state->weight_max < least)
			return fkmi_fail(FKM_ERROR_OVERFLOW, "the largest of weights is %g; it lies in 2^-500 to 2^500",
							 state->weight_max);
	}
	return FKM_OK;
}

/* The ranges of all ranks' points and weights, on the device as after the checks, and in the states. */
static enum fkm_status share_ranges(struct fkmi_work *work)
{
	static const size_t greatest = offsetof(struct fkmi_state, weight_max);
	static const size_t least = offsetof(struct fkmi_state, weight_min);
	const struct fkmi_job *job = &work->job;
	const struct fkmi_problem *p = &job->problem;
	if (job->column_min.base != NULL) {
		FKMI_TRY(fkmi_merge(work->device, job, job->column_min, p->b * p->d, FKM_REDUCE_MIN));
		FKMI_TRY(fkmi_merge(work->device, job, job->column_max, p->b * p->d, FKM_REDUCE_MAX));
	}
	FKMI_TRY(fkmi_work_states(work));
	FKMI_TRY(share_place(work, offsetof(struct fkmi_state, bad_point), p->d));
	if (!p->weighted)
		return FKM_OK;
	FKMI_TRY(share_place(work, offsetof(struct fkmi_state, bad_weight), 1));
	/* The bits of numbers from 0 up are in their order. */
	FKMI_TRY(share_members(work, &greatest, 1, FKM_REDUCE_MAX));
	FKMI_TRY(share_members(work, &least, 1, FKM_REDUCE_MIN));
	return work->backend->upload(work->device, job->state, work->states, p->b * (int64_t)sizeof *work->states);
}

static enum fkm_status set_up(struct fkmi_work *work)
{
	const struct fkmi_backend *backend = work->backend;
	const struct fkmi_job *job = &work->job;
	const struct fkmi_problem *p = &job->problem;
	for (int64_t b = 0; b < p->b; b++)
		work->states[b] = (struct fkmi_state){.bad_point = -1,
											  .bad_weight = -1,
											  .bad_centroid = -1,
											  .bad_label = -1,
											  .first_empty = -1,
											  .weight_max = p->weighted ? 0 : 1,
											  .weight_min = p->weighted ? HUGE_VAL : 1,
											  .weight_scale = 1};
	FKMI_TRY(upload_equal(work, job->state, work->states, (int64_t)sizeof *work->states, p->b));
	FKMI_TRY(fkmi_work_activate(work, NULL));
	if (!p->unranged)
		FKMI_TRY(backend->check_points(work->device, job));
	if (p->weighted)
		FKMI_TRY(backend->check_weights(work->device, job));
	if (job->merge != NULL)
		FKMI_TRY(share_ranges(work));
	else if (!work->request.params.trust_finite)
		FKMI_TRY(fkmi_work_states(work));
	if (!work->request.params.trust_finite)
		FKMI_TRY(judge_inputs(work));
	if (p->metric == FKM_METRIC_COSINE)
		FKMI_TRY(backend->row_norms(work->device, job));
	return backend->grids(work->device, job);
}

static enum fkm_status open_work(struct fkmi_work *work)
{
	FKMI_TRY(take_memory(work));
	FKMI_TRY(upload_inputs(work));
	double copied = fkmi_now();
	work->seconds.copy = copied - work->started;
	FKMI_TRY(set_up(work));
	work->seconds.check = fkmi_now() - copied;
	return FKM_OK;
}

enum fkm_status fkmi_work_begin(struct fkm_context *context, enum fkmi_call call, const struct fkm_array *points,
								const struct fkm_array *centroids, const int32_t *labels,
								const struct fkm_fit_params *params, const struct fkm_fit_result *result,
								struct fkmi_work *work)
{
	struct fkmi_request request;
	fenv_t environment;
	const double started = fkmi_now();
	fegetenv(&environment);
	fesetenv(FE_DFL_ENV);
	memset(work, 0, sizeof *work);
	enum fkm_status status = fkmi_check_call(context, call, true, points, centroids, labels, params, result, &request);
	if (context != NULL && context->merge != NULL) {
		status = fkmi_agree(context->merge, call, &request, status);
		if (status == FKM_OK)
			status = fkmi_check_rows(call, &request);
		if (status == FKM_OK)
			status = fkmi_merge_connect(context->merge, context->device, &context->logger);
	}
	if (status == FKM_OK)
		status = fkmi_work_plan(context, &request, work);
	work->context = context;
	work->environment = environment;
	work->started = started;
	return status == FKM_OK ? open_work(work) : status;
}

enum fkm_status fkmi_work_load_start(struct fkmi_work *work)
{
	const struct fkm_array *start = &work->request.start;
	const struct fkmi_problem *p = &work->request.problem;
	bool staged = !in_place(work, start->memory);
	int64_t row_stride = staged ? start->dims : start->row_stride;
	int64_t batch_stride = start->batch == 1 ? 0 : staged ? start->rows * start->dims : start->batch_stride;
	FKMI_TRY(
		work->backend->load_centroids(work->device, &work->job, work->start, start->dtype, row_stride, batch_stride));
	if (work->request.params.trust_finite)
		return FKM_OK;
	FKMI_TRY(fkmi_work_states(work));
	for (int64_t b = 0; b < p->b; b++) {
		char place[128];
		if (work->states[b].bad_centroid < 0)
			continue;
		describe_place(place, sizeof place, "centroids", p->b, b, work->states[b].bad_centroid, p->d);
		return fkmi_fail(FKM_ERROR_NONFINITE, "%s is NaN, infinite or beyond 2^200", place);
	}
	return FKM_OK;
}

enum fkm_status fkmi_work_load_labels(struct fkmi_work *work)
{
	const struct fkmi_problem *p = &work->request.problem;
	const struct fkmi_job *job = &work->job;
	const int64_t bytes = p->b * p->n * (int64_t)sizeof(int32_t);
	const struct fkmi_ref given = {(void *)(uintptr_t)work->request.labels, 0};
	if (bytes > 0 && in_place(work, work->request.points.memory))
		FKMI_TRY(work->backend->copy(work->device, job->labels, given, bytes));
	else if (bytes > 0)
		FKMI_TRY(work->backend->upload(work->device, job->labels, work->request.labels, bytes));
	FKMI_TRY(work->backend->count(work->device, job));
	FKMI_TRY(fkmi_work_states(work));
	FKMI_TRY(share_place(work, offsetof(struct fkmi_state, bad_label), 1));
	for (int64_t b = 0; b < p->b; b++) {
		char place[128];
		if (work->states[b].bad_label < 0)
			continue;
		describe_place(place, sizeof place, "labels", p->b, b, work->states[b].bad_label, 0);
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s is outside 0 to %lld", place, (long long)(p->k - 1));
	}
	return FKM_OK;
}

/* ---- running ---- */

enum fkm_status fkmi_work_zero_sums(struct fkmi_work *work)
{
	const struct fkmi_problem *p = &work->job.problem;
	const int64_t weights = p->b * p->k * (int64_t)sizeof(int64_t);
	FKMI_TRY(work->backend->fill(work->device, work->job.sums, 0, weights * p->d));
	return work->backend->fill(work->device, work->job.weight_sums, 0, weights);
}

enum fkm_status fkmi_work_total(struct fkmi_work *work)
{
	const struct fkmi_job *job = &work->job;
	const int64_t weights = job->problem.b * job->problem.k, sums = weights * job->problem.d;
	const int64_t bytes = (int64_t)sizeof(int64_t);
	if (job->merge == NULL)
		return FKM_OK;
	FKMI_TRY(work->backend->copy(work->device, job->total_sums, job->sums, sums * bytes));
	FKMI_TRY(work->backend->copy(work->device, job->total_weights, job->weight_sums, weights * bytes));
	return fkmi_merge(work->device, job, job->total_sums, sums + weights, FKM_REDUCE_SUM);
}

enum fkm_status fkmi_work_clear_labels(struct fkmi_work *work)
{
	const int64_t bytes = work->job.problem.b * work->job.problem.n * (int64_t)sizeof(int32_t);
	return bytes > 0 ? work->backend->fill(work->device, work->job.labels, 0xFF, bytes) : FKM_OK;
}

/* Once the device is done with the part before the last one, or with that too. */
static enum fkm_status ask_watcher(struct fkmi_work *work, int64_t before, int64_t rows)
{
	if (work->watch == NULL)
		return FKM_OK;
	if (work->windows != NULL)
		FKMI_TRY(fkmi_pace(work->windows));
	else
		FKMI_TRY(work->backend->wait(work->device));
	rows = work->windows != NULL ? before : rows;
	work->stopped = rows > 0 && rows < work->job.problem.n && work->watch(work->watch_context, rows);
	return FKM_OK;
}

enum fkm_status fkmi_work_assign(struct fkmi_work *work, enum fkmi_accumulate accumulate)
{
	const struct fkmi_backend *backend = work->backend;
	const struct fkmi_job *job = &work->job;
	int64_t rows = 0;
	double before = fkmi_now();
	if (accumulate == FKMI_ACCUMULATE_FULL)
		FKMI_TRY(fkmi_work_zero_sums(work));
	const bool fused = job->plan.fused;
	if (job->problem.n > 0) /* a rank may have no rows */
		FKMI_TRY(backend->prepare(work->device, job));
	for (struct fkmi_window w = {0};;) {
		FKMI_TRY(fkmi_next_window(job, job->plan.chunk_rows, &w));
		if (w.span.rows == 0)
			break;
		FKMI_TRY(backend->assign(work->device, &w.job, w.span, fused ? accumulate : FKMI_ACCUMULATE_NONE));
		double assigned = fkmi_now();
		work->seconds.assign += assigned - before;
		before = assigned;
		if (!fused && accumulate != FKMI_ACCUMULATE_NONE) {
			FKMI_TRY(backend->accumulate(work->device, &w.job, w.span, accumulate));
			double accumulated = fkmi_now();
			work->seconds.update += accumulated - before;
			before = accumulated;
		}
		rows += w.span.rows;
		FKMI_TRY(ask_watcher(work, rows - w.span.rows, rows));
		if (work->stopped)
			return FKM_OK;
	}
	return accumulate == FKMI_ACCUMULATE_NONE ? FKM_OK : fkmi_work_total(work);
}

enum fkm_status fkmi_work_iterate(struct fkmi_work *work, bool anew, int32_t count)
{
	double before = fkmi_now();
	FKMI_TRY(work->backend->iterate(work->device, &work->job, anew, count));
	work->seconds.assign += fkmi_now() - before;
	return FKM_OK;
}

enum fkm_status fkmi_work_inertia(struct fkmi_work *work, double *inertia)
{
	const struct fkmi_job *job = &work->job;
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_window w = {0};
	do { /* also without rows: the step finds the scale */
		FKMI_TRY(fkmi_next_window(job, job->plan.chunk_rows, &w));
		if (w.span.rows > 0 || p->n == 0)
			FKMI_TRY(work->backend->distances(work->device, &w.job, w.span));
	} while (w.span.rows > 0);
	if (inertia == NULL)
		return FKM_OK;
	FKMI_TRY(fkmi_work_states(work));
	const double low = fkmi_power2(-fkmi_grid_bits(p->n_all));
	for (int64_t b = 0; b < p->b; b++) {
		const struct fkmi_state *now = &work->states[b], *before = &work->seen[b];
		if (work->active[b])
			inertia[b] = ((double)(now->inertia_high - before->inertia_high) +
						  (double)(now->inertia_low - before->inertia_low) * low) /
						 now->inertia_scale;
	}
	return FKM_OK;
}

/* ---- results ---- */

/* Device memory to the caller's array, unless it was made there. */
static enum fkm_status give(struct fkmi_work *work, void *to, struct fkmi_ref from, int64_t bytes)
{
	if (to == NULL || bytes == 0)
		return FKM_OK;
	if (in_place(work, work->request.result.memory)) {
		const struct fkmi_ref target = {to, 0};
		if (from.base == to && from.offset == 0)
			return FKM_OK;
		return work->backend->copy(work->device, target, from, bytes);
	}
	return work->backend->download(work->device, to, from, bytes);
}

static void fill_diagnosis(const struct fkmi_work *work, struct fkm_diagnosis *diagnosis)
{
	const struct fkmi_tile *tile = work->job.plan.tile;
	memset(diagnosis, 0, sizeof *diagnosis);
	diagnosis->workspace_bytes = work->workspace_bytes;
	snprintf(diagnosis->kernel, sizeof diagnosis->kernel, "%s", tile->name);
	snprintf(diagnosis->tile, sizeof diagnosis->tile, "%d x %d", tile->points, tile->centroids);
	diagnosis->fused = work->job.plan.fused;
	diagnosis->streamed_rows = work->job.plan.streamed_rows;
	diagnosis->threads = work->device->limits.host_memory ? work->device->limits.units : 0;
}

static enum fkm_status fill_kernel_facts(const struct fkmi_work *work, struct fkm_diagnosis *diagnosis)
{
	const struct fkmi_tile *tile = work->job.plan.tile;
	struct fkmi_kernel_facts facts;
	if (work->backend->kernel_facts == NULL || tile->kernel == NULL)
		return FKM_OK;
	FKMI_TRY(work->backend->kernel_facts(work->device, tile->kernel, &facts));
	diagnosis->registers = facts.registers;
	diagnosis->spilled_bytes = facts.spilled_bytes;
	return FKM_OK;
}

/* What the device counted: the states, and empty clusters a block at a time. */
static enum fkm_status fill_counters(struct fkmi_work *work, struct fkm_diagnosis *diagnosis)
{
	enum { BLOCK = 4096 };
	int64_t counts[BLOCK];
	const struct fkmi_problem *p = &work->request.problem;
	FKMI_TRY(fkmi_work_states(work));
	for (int64_t b = 0; b < p->b; b++) {
		diagnosis->rechecked += work->states[b].rechecked;
		diagnosis->exact_ties += work->states[b].ties;
		diagnosis->relocations += work->states[b].relocated;
	}
	const int64_t all = p->b * p->k;
	for (int64_t first = 0; first < all; first += BLOCK) {
		int64_t n = all - first < BLOCK ? all - first : BLOCK;
		FKMI_TRY(work->backend->download(work->device, counts,
										 fkmi_ref_add(work->job.counts, first * (int64_t)sizeof(int64_t)),
										 n * (int64_t)sizeof(int64_t)));
		for (int64_t i = 0; i < n; i++)
			diagnosis->empty_clusters += counts[i] == 0;
	}
	return FKM_OK;
}

enum fkm_status fkmi_work_deliver(struct fkmi_work *work, struct fkm_fit_result *result)
{
	const struct fkmi_backend *backend = work->backend;
	const struct fkmi_job *job = &work->job;
	const struct fkmi_problem *p = &job->problem;
	const struct fkm_fit_result *wanted = &work->request.result;
	double before = fkmi_now();
	FKMI_TRY(backend->count(work->device, job));
	if (wanted->order != NULL)
		FKMI_TRY(backend->sort(work->device, job, work->order, work->offsets));
	FKMI_TRY(fkmi_merge(work->device, job, job->counts, p->b * p->k, FKM_REDUCE_SUM));
	if (wanted->centroids != NULL)
		FKMI_TRY(backend->store_centroids(work->device, job, work->centroids_out, wanted->centroids_dtype));
	FKMI_TRY(give(work, wanted->labels, job->labels, p->b * p->n * (int64_t)sizeof(int32_t)));
	FKMI_TRY(give(work, wanted->centroids, work->centroids_out,
				  p->b * p->k * p->d * fkmi_dtype_bytes(wanted->centroids_dtype)));
	FKMI_TRY(give(work, wanted->counts, job->counts, p->b * p->k * (int64_t)sizeof(int64_t)));
	FKMI_TRY(give(work, wanted->order, work->order, p->b * p->n * (int64_t)sizeof(int64_t)));
	FKMI_TRY(give(work, wanted->offsets, work->offsets, p->b * (p->k + 1) * (int64_t)sizeof(int64_t)));
	FKMI_TRY(give(work, wanted->distances, job->distances, p->b * p->n * (int64_t)sizeof(double)));
	fill_diagnosis(work, &result->diagnosis);
	if (work->waits) {
		FKMI_TRY(fill_counters(work, &result->diagnosis));
		FKMI_TRY(fill_kernel_facts(work, &result->diagnosis));
	}
	double now = fkmi_now();
	work->seconds.finish += now - before;
	work->seconds.total = now - work->started;
	result->diagnosis.seconds = work->seconds;
	return FKM_OK;
}

enum fkm_status fkmi_work_end(struct fkmi_work *work, enum fkm_status status)
{
	struct fkm_context *context = work->context;
	struct fkmi_merge *merge = context != NULL ? context->merge : NULL;
	status = fkmi_merge_settle(merge, status);
	if (status == FKM_ERROR_DEVICE_LOST && fkmi_merge_status(merge) == FKM_OK) /* of this rank, not of another */
		context->lost = true;
	free_memory(work);
	fesetenv(&work->environment);
	return merge != NULL ? fkmi_merge_end(merge, status) : status;
}
