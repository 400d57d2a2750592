/* SPDX-License-Identifier: Apache-2.0 */
#include "validate.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "array.h"
#include "error.h"
#include "merge.h"

#define POINT_DTYPES (1u << FKM_F16 | 1u << FKM_BF16 | 1u << FKM_F32)
#define CENTROID_DTYPES (POINT_DTYPES | 1u << FKM_F64)
#define WEIGHT_DTYPES (1u << FKM_F32 | 1u << FKM_F64)

enum fkm_status fkmi_read_struct(const struct fkmi_struct *type, const void *given, size_t given_size, void *known)
{
	const size_t known_size = type->size;
	if (given_size < type->first_size)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT,
						 "struct_size of %s is %zu, less than the %zu of its first version; use its _init function",
						 type->name, given_size, type->first_size);
	if (given_size > 16 * known_size || given_size % _Alignof(size_t) != 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "struct_size of %s is %zu; use its _init function", type->name,
						 given_size);
	const unsigned char *bytes = given;
	for (size_t i = known_size; i < given_size; i++)
		if (bytes[i] != 0)
			return fkmi_fail(FKM_ERROR_UNSUPPORTED,
							 "%s has an option set at byte %zu that version %s of the library does not know",
							 type->name, i, fkm_version());
	memcpy(known, given, given_size < known_size ? given_size : known_size);
	memcpy(known, &known_size, sizeof known_size);
	return FKM_OK;
}

void fkmi_init_struct(void *given, size_t given_size, const void *defaults, size_t known_size)
{
	memset(given, 0, given_size);
	memcpy(given, defaults, given_size < known_size ? given_size : known_size);
	memcpy(given, &given_size, sizeof given_size);
}

/* a * b for non-negative values, or -1 past int64. */
static int64_t multiply(int64_t a, int64_t b)
{
	if (a < 0 || b < 0 || (b != 0 && a > INT64_MAX / b))
		return -1;
	return a * b;
}

static enum fkm_status check_size(const char *name, const char *member, int64_t value)
{
	if (value < 1)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s.%s is %lld; it is at least 1", name, member, (long long)value);
	return FKM_OK;
}

static enum fkm_status check_shape(const char *name, const char *member, int64_t value, int64_t required)
{
	if (required != 0 && value != required)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s.%s is %lld where %lld is needed", name, member,
						 (long long)value, (long long)required);
	return FKM_OK;
}

/* Whether a pointer to memory of that kind is one: else it is a handle. */
static bool is_address(const struct fkm_context *context, enum fkm_memory memory)
{
	return memory == FKM_MEMORY_HOST || !context->device->limits.handles;
}

enum fkm_status fkmi_check_array(const struct fkm_context *context, const struct fkmi_array_rules *rules,
								 const struct fkm_array *given, struct fkm_array *array)
{
	const char *name = rules->name;
	if (given == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s is NULL", name);
	*array = *given;
	const bool none = rules->may_be_none && given->rows == 0;
	if (given->data == NULL && !rules->may_be_null && !none)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s.data is NULL", name);
	if ((unsigned)given->dtype > 31 || (rules->dtypes >> given->dtype & 1) == 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s.dtype is %d (%s), which %s cannot have", name,
						 (int)given->dtype, fkmi_dtype_name(given->dtype), name);
	if (given->memory != FKM_MEMORY_HOST && given->memory != FKM_MEMORY_DEVICE)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s.memory is %d, which is no enum fkm_memory", name,
						 (int)given->memory);
	FKMI_TRY(check_size(name, "batch", given->batch));
	if (!none)
		FKMI_TRY(check_size(name, "rows", given->rows));
	FKMI_TRY(check_size(name, "dims", given->dims));
	if (rules->batch != 0 && given->batch != rules->batch && given->batch != 1)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s.batch is %lld; it is the points' batch, %lld, or 1", name,
						 (long long)given->batch, (long long)rules->batch);
	FKMI_TRY(check_shape(name, "rows", given->rows, none ? 0 : rules->rows));
	FKMI_TRY(check_shape(name, "dims", given->dims, rules->dims));

	if (given->row_stride == 0)
		array->row_stride = given->dims;
	if (array->row_stride < given->dims)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s.row_stride is %lld, less than its dims, %lld", name,
						 (long long)given->row_stride, (long long)given->dims);
	int64_t element = fkmi_dtype_bytes(given->dtype);
	int64_t before_last = none ? 0 : multiply(given->rows - 1, array->row_stride);
	int64_t extent = before_last < 0 || before_last > INT64_MAX - given->dims ? -1 : before_last + given->dims;
	if (given->batch_stride == 0 || given->batch == 1) /* views leave any stride where there is one problem */
		array->batch_stride = multiply(given->rows, array->row_stride);
	else if (extent >= 0 && given->batch_stride < extent)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s.batch_stride is %lld, less than the %lld of one problem", name,
						 (long long)given->batch_stride, (long long)extent);
	int64_t whole = multiply(given->batch, array->batch_stride < extent ? extent : array->batch_stride);
	if (extent < 0 || array->batch_stride < 0 || whole < 0 || multiply(whole, element) < 0 ||
		multiply(whole, element) > INT64_MAX / 16)
		return fkmi_fail(FKM_ERROR_OVERFLOW, "%s of %lld x %lld x %lld %s elements pass what can be addressed", name,
						 (long long)given->batch, (long long)given->rows, (long long)given->dims,
						 fkmi_dtype_name(given->dtype));
	if (given->offset_bytes < 0 || given->offset_bytes % element != 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s.offset_bytes is %lld; it is a multiple of %lld, at least 0",
						 name, (long long)given->offset_bytes, (long long)element);
	if (is_address(context, given->memory) && (uintptr_t)given->data % (uintptr_t)element != 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s.data is %p, not aligned to its elements of %lld bytes", name,
						 given->data, (long long)element);
	if (given->memory == FKM_MEMORY_HOST || context->device->limits.host_memory) {
		array->data = given->data == NULL ? NULL : (const char *)given->data + given->offset_bytes;
		array->offset_bytes = 0;
	}
	return FKM_OK;
}

static enum fkm_status check_enum(const char *name, int value, int last)
{
	if (value < 0 || value > last)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s is %d; it is 0 to %d", name, value, last);
	return FKM_OK;
}

static enum fkm_status check_params(const struct fkm_context *context, const struct fkm_fit_params *params)
{
	FKMI_TRY(check_enum("metric", (int)params->metric, FKM_METRIC_COSINE));
	FKMI_TRY(check_enum("init", (int)params->init, FKM_INIT_CENTROIDS));
	FKMI_TRY(check_enum("stop", (int)params->stop, FKM_STOP_FIXED));
	FKMI_TRY(check_enum("empty", (int)params->empty, FKM_EMPTY_ERROR));
	FKMI_TRY(check_enum("precision", (int)params->precision, FKM_PRECISION_FAST));
	FKMI_TRY(check_enum("trust_finite", params->trust_finite, 1));
	if (params->max_iter < 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "max_iter is %d; it is at least 0", params->max_iter);
	if (!(params->tol >= 0) || isinf(params->tol))
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "tol is %g; it is a finite number of at least 0", params->tol);
	if (params->n_init < 1)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "n_init is %d; it is at least 1", params->n_init);
	if (params->checkpoint_interval < 1)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "checkpoint_interval is %d; it is at least 1",
						 params->checkpoint_interval);
	if ((uintptr_t)params->resume % 8 != 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "resume is %p, not aligned to 8 bytes", params->resume);
	if (params->resume_bytes < 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "resume_bytes is %lld; it is at least 0",
						 (long long)params->resume_bytes);
	if (params->chunk_rows < 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "chunk_rows is %lld; it is at least 0",
						 (long long)params->chunk_rows);
	if (params->workspace_bytes < 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "workspace_bytes is %lld; it is at least 0",
						 (long long)params->workspace_bytes);
	if (is_address(context, FKM_MEMORY_DEVICE) && (uintptr_t)params->workspace % 256 != 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "workspace is %p, not aligned to 256 bytes", params->workspace);
	return FKM_OK;
}

/* ---- overlap of outputs with anything else ---- */

struct range {
	const char *name;
	const void *handle;   /* NULL: addresses */
	uintptr_t begin, end; /* in the memory of the handle */
	bool output;
};

struct ranges {
	const struct fkm_context *context;
	int count;
	struct range items[16];
};

static void add_range(struct ranges *ranges, const char *name, enum fkm_memory memory, const void *data, int64_t bytes,
					  bool output)
{
	const bool address = is_address(ranges->context, memory);
	const uintptr_t begin = address ? (uintptr_t)data : 0;
	if (data != NULL)
		ranges->items[ranges->count++] =
			(struct range){name, address ? NULL : data, begin, begin + (uintptr_t)bytes, output};
}

static void add_array_range(struct ranges *ranges, const char *name, const struct fkm_array *array)
{
	int64_t elements = (array->batch - 1) * array->batch_stride + (array->rows - 1) * array->row_stride + array->dims;
	if (array->data == NULL || array->rows == 0)
		return;
	add_range(ranges, name, array->memory, array->data, elements * fkmi_dtype_bytes(array->dtype), false);
	ranges->items[ranges->count - 1].begin += (uintptr_t)array->offset_bytes;
	ranges->items[ranges->count - 1].end += (uintptr_t)array->offset_bytes;
}

static enum fkm_status check_overlap(const struct fkm_context *context, const struct fkmi_request *request)
{
	const struct fkmi_problem *p = &request->problem;
	const struct fkm_fit_result *r = &request->result;
	const enum fkm_memory memory = r->memory;
	struct ranges ranges = {.context = context};
	add_array_range(&ranges, "points", &request->points);
	add_array_range(&ranges, "centroids given", &request->start);
	add_array_range(&ranges, "weights", &request->weights);
	add_range(&ranges, "labels given", request->points.memory, request->labels, p->b * p->n * 4, false);
	add_range(&ranges, "labels", memory, r->labels, p->b * p->n * 4, true);
	add_range(&ranges, "centroids", memory, r->centroids, p->b * p->k * p->d * fkmi_dtype_bytes(r->centroids_dtype),
			  true);
	add_range(&ranges, "counts", memory, r->counts, p->b * p->k * 8, true);
	add_range(&ranges, "order", memory, r->order, p->b * p->n * 8, true);
	add_range(&ranges, "offsets", memory, r->offsets, p->b * (p->k + 1) * 8, true);
	add_range(&ranges, "distances", memory, r->distances, p->b * p->n * 8, true);
	add_range(&ranges, "inertia", FKM_MEMORY_HOST, r->inertia, p->b * 8, true);
	add_range(&ranges, "n_iter", FKM_MEMORY_HOST, r->n_iter, p->b * 4, true);
	add_range(&ranges, "reason", FKM_MEMORY_HOST, r->reason, p->b * 4, true);
	if (request->params.resume != NULL)
		add_range(&ranges, "resume", FKM_MEMORY_HOST, request->params.resume, request->params.resume_bytes, false);
	add_range(&ranges, "workspace", FKM_MEMORY_DEVICE, request->params.workspace, request->params.workspace_bytes,
			  true);
	for (int i = 0; i < ranges.count; i++)
		for (int j = 0; j < i; j++) {
			const struct range *a = &ranges.items[j], *b = &ranges.items[i];
			if ((a->output || b->output) && a->handle == b->handle && a->begin < b->end && b->begin < a->end)
				return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s and %s overlap in memory", a->name, b->name);
		}
	return FKM_OK;
}

static enum fkm_status check_aligned(const char *name, const void *data, size_t alignment)
{
	if ((uintptr_t)data % alignment != 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s is %p, not aligned to its elements of %zu bytes", name, data,
						 alignment);
	return FKM_OK;
}

/* Forgets the outputs that a call does not fill, so that the result of one call can serve the next as it is. */
static void keep_outputs(enum fkmi_call call, struct fkm_fit_result *result)
{
	if (call == FKMI_CALL_FIT)
		return;
	result->reason = NULL;
	if (call == FKMI_CALL_PREDICT) {
		result->centroids = NULL;
		result->n_iter = NULL;
	} else {
		result->labels = NULL;
		result->order = result->offsets = NULL;
		result->distances = result->inertia = NULL;
	}
}

static enum fkm_status check_alignments(const struct fkm_context *context, const struct fkm_fit_result *result)
{
	FKMI_TRY(check_aligned("result.inertia", result->inertia, 8));
	FKMI_TRY(check_aligned("result.n_iter", result->n_iter, 4));
	FKMI_TRY(check_aligned("result.reason", result->reason, 4));
	if (!is_address(context, result->memory))
		return FKM_OK;
	FKMI_TRY(check_aligned("result.labels", result->labels, 4));
	FKMI_TRY(check_aligned("result.centroids", result->centroids, result->centroids_dtype == FKM_F32 ? 4 : 8));
	FKMI_TRY(check_aligned("result.counts", result->counts, 8));
	FKMI_TRY(check_aligned("result.order", result->order, 8));
	FKMI_TRY(check_aligned("result.offsets", result->offsets, 8));
	return check_aligned("result.distances", result->distances, 8);
}

static enum fkm_status check_result(const struct fkm_context *context, const struct fkm_fit_result *result,
									bool with_data)
{
	if (result->memory != FKM_MEMORY_HOST && result->memory != FKM_MEMORY_DEVICE)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "result.memory is %d, which is no enum fkm_memory",
						 (int)result->memory);
	if (result->centroids_dtype != FKM_F32 && result->centroids_dtype != FKM_F64)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "result.centroids_dtype is %d (%s); it is FKM_F32 or FKM_F64",
						 (int)result->centroids_dtype, fkmi_dtype_name(result->centroids_dtype));
	if ((result->order == NULL) != (result->offsets == NULL))
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "result.%s is set without result.%s: inverted lists need both",
						 result->order != NULL ? "order" : "offsets", result->order != NULL ? "offsets" : "order");
	return with_data ? check_alignments(context, result) : FKM_OK;
}

enum fkm_status fkmi_check_rows(enum fkmi_call call, const struct fkmi_request *request)
{
	const struct fkmi_problem *p = &request->problem;
	if (p->n_all < 1)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "no rank has points");
	if (call == FKMI_CALL_FIT && p->k > p->n_all)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "clusters is %lld, more than the %lld points", (long long)p->k,
						 (long long)p->n_all);
	if (call == FKMI_CALL_UPDATE && p->k > p->n_all && request->params.empty == FKM_EMPTY_RELOCATE)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT,
						 "previous has %lld rows, more than the %lld points, which relocation cannot serve",
						 (long long)p->k, (long long)p->n_all);
	return FKM_OK;
}

/* The number of clusters and the array they come from. */
static enum fkm_status check_clusters(const struct fkm_context *context, enum fkmi_call call, bool with_data,
									  const struct fkm_array *centroids, struct fkmi_request *request)
{
	struct fkmi_problem *p = &request->problem;
	struct fkmi_array_rules rules = {.dtypes = CENTROID_DTYPES, .batch = p->b, .dims = p->d, .may_be_null = !with_data};
	if (call != FKMI_CALL_FIT) {
		rules.name = call == FKMI_CALL_UPDATE ? "previous" : "centroids";
		FKMI_TRY(fkmi_check_array(context, &rules, centroids, &request->start));
		p->k = request->start.rows;
		if (context->merge == NULL)
			FKMI_TRY(fkmi_check_rows(call, request));
	} else {
		p->k = request->params.clusters;
		if (p->k < 1)
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "clusters is %lld; it is at least 1", (long long)p->k);
		if (context->merge == NULL)
			FKMI_TRY(fkmi_check_rows(call, request));
		if (request->params.init == FKM_INIT_CENTROIDS) {
			rules.name = "init_centroids";
			rules.rows = p->k;
			FKMI_TRY(fkmi_check_array(context, &rules, &request->params.init_centroids, &request->start));
			request->params.n_init = 1;
		} else if (request->params.init_centroids.data != NULL) {
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT,
							 "init_centroids is set, but init is %d, not FKM_INIT_CENTROIDS",
							 (int)request->params.init);
		}
	}
	if (p->k > INT32_MAX)
		return fkmi_fail(FKM_ERROR_OVERFLOW, "%lld clusters: labels are 32-bit", (long long)p->k);
	return FKM_OK;
}

static enum fkm_status check_products(const struct fkmi_problem *p)
{
	const int64_t limit = INT64_MAX / 64; /* room for element sizes and for a few arrays in one workspace */
	int64_t bn = multiply(p->b, p->n), bk = multiply(p->b, p->k + 1);
	int64_t bkd = bk < 0 ? -1 : multiply(bk, p->d), bd = multiply(p->b, p->d);
	if (bn < 0 || bn > limit || bkd < 0 || bkd > limit || bd < 0 || bd > limit)
		return fkmi_fail(FKM_ERROR_OVERFLOW,
						 "batch %lld, %lld points, %lld clusters, %lld dimensions: their products "
						 "pass what can be addressed",
						 (long long)p->b, (long long)p->n, (long long)p->k, (long long)p->d);
	return FKM_OK;
}

static const struct fkmi_struct fit_params = {"fkm_fit_params", sizeof(struct fkm_fit_params),
											  offsetof(struct fkm_fit_params, progress_within)};
static const struct fkmi_struct fit_result = {"fkm_fit_result", sizeof(struct fkm_fit_result),
											  sizeof(struct fkm_fit_result)};

enum fkm_status fkmi_check_call(const struct fkm_context *context, enum fkmi_call call, bool with_data,
								const struct fkm_array *points, const struct fkm_array *centroids,
								const int32_t *labels, const struct fkm_fit_params *params,
								const struct fkm_fit_result *result, struct fkmi_request *request)
{
	FKMI_TRY(fkmi_context_check(context));
	memset(request, 0, sizeof *request);
	fkm_fit_params_init(&request->params);
	fkm_fit_result_init(&request->result);
	if (params != NULL)
		FKMI_TRY(fkmi_read_struct(&fit_params, params, params->struct_size, &request->params));
	else if (call == FKMI_CALL_FIT)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "params is NULL; clusters has no default");
	if (result != NULL)
		FKMI_TRY(fkmi_read_struct(&fit_result, result, result->struct_size, &request->result));
	else if (with_data && call != FKMI_CALL_INERTIA)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "result is NULL");
	FKMI_TRY(check_params(context, &request->params));
	if (call != FKMI_CALL_FIT) {
		request->params.checkpoint = NULL;
		request->params.resume = NULL;
	}
	keep_outputs(call, &request->result);
	FKMI_TRY(check_result(context, &request->result, with_data));

	const struct fkmi_array_rules point_rules = {
		.name = "points", .dtypes = POINT_DTYPES, .may_be_null = !with_data, .may_be_none = context->merge != NULL};
	FKMI_TRY(fkmi_check_array(context, &point_rules, points, &request->points));
	struct fkmi_problem *p = &request->problem;
	*p = (struct fkmi_problem){
		.b = request->points.batch,
		.n = request->points.rows,
		.n_all = request->points.rows * fkmi_merge_ranks(context->merge), /* several tell each other: agree.h */
		.ranks = fkmi_merge_ranks(context->merge),
		.d = request->points.dims,
		.dtype = request->points.dtype,
		.metric = request->params.metric,
		.precision = request->params.precision,
		.empty = request->params.empty,
		.init = call == FKMI_CALL_FIT ? request->params.init : FKM_INIT_CENTROIDS,
		.fits = call == FKMI_CALL_FIT || call == FKMI_CALL_UPDATE,
		.wants_distances = request->result.distances != NULL,
	};
	FKMI_TRY(check_clusters(context, call, with_data, centroids, request));
	FKMI_TRY(check_products(p));

	if (request->params.weights.data != NULL) {
		const struct fkmi_array_rules rules = {.name = "weights",
											   .dtypes = WEIGHT_DTYPES,
											   .may_be_none = p->n == 0,
											   .batch = p->b,
											   .rows = p->n,
											   .dims = 1};
		FKMI_TRY(fkmi_check_array(context, &rules, &request->params.weights, &request->weights));
		if (request->weights.row_stride != 1)
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "weights.row_stride is %lld; it is 1",
							 (long long)request->weights.row_stride);
		p->weighted = true;
	}
	if (with_data && (call == FKMI_CALL_UPDATE || call == FKMI_CALL_INERTIA)) {
		if (labels == NULL && p->n > 0)
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "labels is NULL");
		if (is_address(context, request->points.memory))
			FKMI_TRY(check_aligned("labels", labels, 4));
		request->labels = labels;
	}
	request->kept = request->params.checkpoint != NULL || request->params.resume != NULL;
	request->watched = request->params.progress != NULL || request->params.checkpoint != NULL;
	request->wants_inertia = request->result.inertia != NULL || call == FKMI_CALL_INERTIA;
	request->rounds = request->result.centroids != NULL && request->result.centroids_dtype == FKM_F32;
	return with_data ? check_overlap(context, request) : FKM_OK;
}
