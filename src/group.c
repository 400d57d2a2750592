/* SPDX-License-Identifier: Apache-2.0 */
#include "group.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "error.h"
#include "pool.h"
#include "text.h"

struct fkmi_group {
	int32_t count;
	struct fkm_local_ranks *ranks;
	char devices[256];
	struct fkm_context *members[];
};

/* ---- opening ---- */

static enum fkm_status open_member(struct fkmi_group *group, const struct fkm_context_params *params, int32_t rank)
{
	struct fkm_communicator communicator;
	struct fkm_context_params own = *params;
	FKMI_TRY(fkm_local_ranks_get(group->ranks, rank, &communicator));
	own.communicator = &communicator;
	own.device = params->devices[rank];
	own.devices = NULL;
	own.device_count = 0;
	if (rank > 0) { /* the same backend; and lines are logged on the caller's thread only */
		own.backend = fkm_context_backend(group->members[0]);
		own.log = NULL;
	}
	return fkm_context_create(&own, &group->members[rank]);
}

static enum fkm_status check_params(const struct fkm_context_params *params)
{
	if (params->device_count < 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "device_count is %d; it is at least 0", params->device_count);
	if ((params->devices == NULL) != (params->device_count == 0))
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "devices is %s, but device_count is %d",
						 params->devices == NULL ? "NULL" : "set", params->device_count);
	if (!(params->devices_seconds >= 0 && params->devices_seconds <= 1e9))
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "devices_seconds is %g; it is 0 to 1e9", params->devices_seconds);
	if (params->devices == NULL)
		return FKM_OK;
	if (params->device >= 0 || (params->device_name != NULL && params->device_name[0] != '\0'))
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "devices and %s are given; one of them is",
						 params->device >= 0 ? "device" : "device_name");
	if (params->native_queue != NULL || params->native_context != NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s is given with devices, which have their own",
						 params->native_queue != NULL ? "native_queue" : "native_context");
	if (params->communicator != NULL)
		return fkmi_fail(FKM_ERROR_UNSUPPORTED,
						 "a communicator is given with devices; give each device a context and a rank of its own");
	for (int32_t i = 0; i < params->device_count; i++)
		if (params->devices[i] < 0)
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "devices[%d] is %d; it is an index", i, params->devices[i]);
	return FKM_OK;
}

enum fkm_status fkmi_group_create(const struct fkm_context_params *params, struct fkmi_group **group)
{
	*group = NULL;
	FKMI_TRY(check_params(params));
	if (params->devices == NULL)
		return FKM_OK;
	const size_t count = (size_t)params->device_count;
	struct fkmi_group *made = calloc(1, sizeof *made + count * sizeof made->members[0]);
	if (made == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for a context of %zu devices", count);
	made->count = params->device_count;
	enum fkm_status status = fkm_local_ranks_create(made->count, params->devices_seconds, &made->ranks);
	struct fkmi_text names = {.start = made->devices, .capacity = sizeof made->devices};
	for (int32_t rank = 0; rank < made->count && status == FKM_OK; rank++) {
		status = open_member(made, params, rank);
		if (status == FKM_OK)
			fkmi_text_add(&names, "%s%s", rank == 0 ? "" : ", ", fkm_context_device(made->members[rank]));
	}
	if (status != FKM_OK) {
		fkmi_group_destroy(made);
		return status;
	}
	*group = made;
	return FKM_OK;
}

void fkmi_group_destroy(struct fkmi_group *group)
{
	if (group == NULL)
		return;
	for (int32_t rank = 0; rank < group->count; rank++)
		fkm_context_destroy(group->members[rank]);
	fkm_local_ranks_destroy(group->ranks);
	free(group);
}

struct fkm_context *fkmi_group_first(const struct fkmi_group *group)
{
	return group->members[0];
}

const char *fkmi_group_devices(const struct fkmi_group *group)
{
	return group->devices;
}

/* ---- a device's share of a call ---- */

struct share {
	struct fkm_context *context;
	const struct fkmi_request *request; /* the whole call */
	enum fkmi_call call;
	int32_t rank;
	int64_t first, rows;
	struct fkm_array points;
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	int32_t *labels; /* given */
	double *inertia;
	/* Results of rows that do not lie where the caller wants them, and lists of the share's own rows. */
	int32_t *own_labels;
	double *own_distances;
	int64_t *own_order, *own_offsets;
	enum fkm_status status;
};

static struct fkm_array rows_of(const struct fkm_array *whole, int64_t first, int64_t rows)
{
	struct fkm_array part = *whole;
	if (whole->data != NULL)
		part.data = (const char *)whole->data + first * whole->row_stride * fkmi_dtype_bytes(whole->dtype);
	part.rows = rows;
	return part;
}

/* Room for results of the share's rows; NULL and true where none is wanted. */
static bool make_room(const struct share *share, bool wanted, int64_t rows, size_t element, void *room)
{
	void *made = NULL;
	const size_t count = (size_t)(share->request->problem.b * rows);
	if (wanted)
		made = malloc(count > 0 ? count * element : 1);
	memcpy(room, &made, sizeof made);
	return !wanted || made != NULL;
}

static enum fkm_status fill_result(struct share *share)
{
	const struct fkm_fit_result *wanted = &share->request->result;
	const struct fkmi_problem *p = &share->request->problem;
	struct fkm_fit_result *own = &share->result;
	const bool batched = p->b > 1; /* else rows of a share lie together in the caller's arrays */
	fkm_fit_result_init(own);
	own->centroids_dtype = wanted->centroids_dtype;
	if (share->rank == 0) { /* what all ranks know, the first one tells */
		own->centroids = wanted->centroids;
		own->counts = wanted->counts;
		own->inertia = wanted->inertia;
		own->n_iter = wanted->n_iter;
		own->reason = wanted->reason;
	}
	if (!make_room(share, wanted->labels != NULL && batched, share->rows, sizeof(int32_t), &share->own_labels) ||
		!make_room(share, wanted->distances != NULL && batched, share->rows, sizeof(double), &share->own_distances) ||
		!make_room(share, wanted->order != NULL, share->rows, sizeof(int64_t), &share->own_order) ||
		!make_room(share, wanted->offsets != NULL, p->k + 1, sizeof(int64_t), &share->own_offsets))
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for the results of %lld rows",
						 (long long)share->rows);
	own->order = share->own_order;
	own->offsets = share->own_offsets;
	own->labels = batched || wanted->labels == NULL ? share->own_labels : wanted->labels + share->first;
	own->distances = batched || wanted->distances == NULL ? share->own_distances : wanted->distances + share->first;
	return FKM_OK;
}

static enum fkm_status fill_labels(struct share *share)
{
	const struct fkmi_problem *p = &share->request->problem;
	if (share->request->labels == NULL)
		return FKM_OK;
	if (!make_room(share, true, share->rows, sizeof(int32_t), &share->labels))
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for the labels of %lld rows", (long long)share->rows);
	for (int64_t b = 0; b < p->b; b++)
		memcpy(share->labels + b * share->rows, share->request->labels + b * p->n + share->first,
			   (size_t)share->rows * sizeof(int32_t));
	return FKM_OK;
}

static enum fkm_status fill_share(struct share *share)
{
	const struct fkmi_request *whole = share->request;
	share->points = rows_of(&whole->points, share->first, share->rows);
	share->params = whole->params;
	if (whole->problem.weighted)
		share->params.weights = rows_of(&whole->weights, share->first, share->rows);
	if (share->rank > 0) {
		share->params.progress = NULL;
		share->params.checkpoint = NULL;
	}
	if (share->call == FKMI_CALL_INERTIA && !make_room(share, true, 1, sizeof(double), &share->inertia))
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for the inertia of %lld problems",
						 (long long)whole->problem.b);
	FKMI_TRY(fill_labels(share));
	return fill_result(share);
}

static void free_share(struct share *share)
{
	free(share->labels);
	free(share->inertia);
	free(share->own_labels);
	free(share->own_distances);
	free(share->own_order);
	free(share->own_offsets);
}

static void run_share(void *shares, int thread, int threads)
{
	(void)threads;
	struct share *share = (struct share *)shares + thread;
	const struct fkm_array *centroids = &share->request->start;
	switch (share->call) {
	case FKMI_CALL_FIT:
		share->status = fkm_fit(share->context, &share->points, &share->params, &share->result);
		break;
	case FKMI_CALL_PREDICT:
		share->status = fkm_predict(share->context, &share->points, centroids, &share->params, &share->result);
		break;
	case FKMI_CALL_UPDATE:
		share->status =
			fkm_update(share->context, &share->points, share->labels, centroids, &share->params, &share->result);
		break;
	case FKMI_CALL_INERTIA:
		share->status =
			fkm_inertia(share->context, &share->points, centroids, share->labels, &share->params, share->inertia);
		break;
	}
}

/* ---- putting results together ---- */

/* Scattered results of a share's rows to where the caller wants them. */
static void place_rows(const struct share *share)
{
	const struct fkm_fit_result *wanted = &share->request->result;
	const struct fkmi_problem *p = &share->request->problem;
	for (int64_t b = 0; b < p->b; b++) {
		const int64_t to = b * p->n + share->first, from = b * share->rows;
		if (share->own_labels != NULL)
			memcpy(wanted->labels + to, share->own_labels + from, (size_t)share->rows * sizeof(int32_t));
		if (share->own_distances != NULL)
			memcpy(wanted->distances + to, share->own_distances + from, (size_t)share->rows * sizeof(double));
	}
}

/* The lists of a cluster, one share's behind the other's, are its list. */
static void join_lists(const struct share *shares, int32_t count)
{
	const struct fkm_fit_result *wanted = &shares->request->result;
	const struct fkmi_problem *p = &shares->request->problem;
	for (int64_t b = 0; b < p->b && wanted->order != NULL; b++) {
		int64_t *offsets = wanted->offsets + b * (p->k + 1), *order = wanted->order + b * p->n, at = 0;
		for (int64_t k = 0; k < p->k; k++) {
			offsets[k] = at;
			for (int32_t r = 0; r < count; r++) {
				const int64_t *ends = shares[r].own_offsets + b * (p->k + 1) + k;
				const int64_t *rows = shares[r].own_order + b * shares[r].rows;
				for (int64_t i = ends[0]; i < ends[1]; i++)
					order[at++] = shares[r].first + rows[i];
			}
		}
		offsets[p->k] = at;
	}
}

static void put_together(const struct share *shares, int32_t count, const struct fkmi_group_call *call)
{
	for (int32_t r = 0; r < count; r++)
		place_rows(&shares[r]);
	join_lists(shares, count);
	if (call->inertia != NULL)
		memcpy(call->inertia, shares->inertia, (size_t)shares->request->problem.b * sizeof(double));
	if (call->result == NULL)
		return;
	call->result->diagnosis = shares->result.diagnosis;
	for (int32_t r = 1; r < count; r++) {
		call->result->diagnosis.workspace_bytes += shares[r].result.diagnosis.workspace_bytes;
		call->result->diagnosis.threads += shares[r].result.diagnosis.threads;
	}
}

/* ---- the call ---- */

static enum fkm_status check_memory(const struct fkmi_request *request)
{
	const struct {
		const char *name;
		enum fkm_memory memory;
	} arrays[] = {{"points", request->points.memory},
				  {"weights", request->weights.memory},
				  {"init_centroids", request->start.memory},
				  {"result", request->result.memory}};
	for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
		if (arrays[i].memory != FKM_MEMORY_HOST)
			return fkmi_fail(
				FKM_ERROR_INVALID_ARGUMENT,
				"%s.memory is FKM_MEMORY_DEVICE, but the context has several devices; it takes host arrays",
				arrays[i].name);
	if (request->params.workspace != NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "workspace is set, but the context has several devices");
	return FKM_OK;
}

/* Each share on a thread, the first on the caller's; all or none, since ranks wait for each other. */
static enum fkm_status run_shares(struct share *shares, int32_t count)
{
	struct fkmi_pool *pool;
	FKMI_TRY(fkmi_pool_create(count, &pool));
	const bool all = fkmi_pool_threads(pool) == count;
	if (all)
		fkmi_pool_run(pool, run_share, shares);
	fkmi_pool_destroy(pool);
	return all ? shares[0].status
			   : fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "cannot start a thread for each of %d devices", (int)count);
}

static enum fkm_status run_call(const struct fkmi_group *group, const struct fkmi_request *request,
								const struct fkmi_group_call *call, struct share *shares)
{
	const int64_t n = request->problem.n, count = group->count;
	for (int32_t r = 0; r < group->count; r++) {
		struct share *share = &shares[r];
		const int64_t first = n / count * r + n % count * r / count;
		const int64_t end = n / count * (r + 1) + n % count * (r + 1) / count;
		*share = (struct share){.context = group->members[r],
								.request = request,
								.call = call->call,
								.rank = r,
								.first = first,
								.rows = end - first};
		FKMI_TRY(fill_share(share));
	}
	enum fkm_status status = run_shares(shares, group->count);
	if (status == FKM_OK || status == FKM_CANCELLED)
		put_together(shares, group->count, call);
	return status;
}

enum fkm_status fkmi_group_run(const struct fkm_context *context, const struct fkmi_group_call *call)
{
	const struct fkmi_group *group = context->group;
	struct fkmi_request request;
	if (call->call == FKMI_CALL_INERTIA && call->inertia == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "inertia is NULL");
	FKMI_TRY(fkmi_check_call(context, call->call, true, call->points, call->centroids, call->labels, call->params,
							 call->result, &request));
	FKMI_TRY(check_memory(&request));
	struct share *shares = calloc((size_t)group->count, sizeof *shares);
	if (shares == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for a call on %d devices", (int)group->count);
	enum fkm_status status = run_call(group, &request, call, shares);
	for (int32_t r = 0; r < group->count; r++)
		free_share(&shares[r]);
	free(shares);
	return status;
}
