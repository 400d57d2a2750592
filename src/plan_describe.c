/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_describe.h"

#include <inttypes.h>
#include <string.h>

#include "array.h"
#include "context.h"
#include "job.h"
#include "text.h"
#include "validate.h"
#include "windows.h"
#include "workspace.h"

/* ---- parts of the text ----------------------------------------------------------------------------------------- */

static void print_problem(struct fkmi_text *text, const struct fkmi_problem *problem)
{
	static const char *const empty[] = {"relocated", "kept", "an error"};
	static const char *const init[] = {"k-means++", "random rows", "given centroids"};
	fkmi_text_add(text, "problem    [%" PRId64 ", %" PRId64 ", %" PRId64 "] %s%s, %" PRId64 " clusters, %s, %s\n",
				  problem->b, problem->n, problem->d, fkmi_dtype_name(problem->dtype),
				  problem->weighted ? ", weighted" : "", problem->k,
				  problem->metric == FKM_METRIC_COSINE ? "cosine" : "Euclidean",
				  problem->precision == FKM_PRECISION_FAST ? "fast" : "exact");
	if (problem->fits)
		fkmi_text_add(text, "           fit from %s, empty clusters %s\n", init[problem->init], empty[problem->empty]);
	else
		fkmi_text_add(text, "           predict\n");
}

static void print_features(struct fkmi_text *text, const char *const *names, uint64_t features)
{
	if (names == NULL) {
		fkmi_text_add(text, ", features 0x%" PRIx64, features);
		return;
	}
	for (int bit = 0; names[bit] != NULL; bit++)
		if ((features >> bit & 1) != 0)
			fkmi_text_add(text, ", %s", names[bit]);
}

static void print_device(struct fkmi_text *text, const struct fkmi_plan_request *request, const char *name)
{
	const struct fkmi_limits *limits = request->limits;
	fkmi_text_add(text, "device     %s, %s\n", request->backend->name, name);
	fkmi_text_add(text, "limits     memory ");
	fkmi_text_add_bytes(text, limits->memory_bytes);
	if (request->memory_bytes != 0) {
		fkmi_text_add(text, ", allowed ");
		fkmi_text_add_bytes(text, request->memory_bytes);
	}
	if (limits->max_buffer_bytes != 0) {
		fkmi_text_add(text, ", largest buffer ");
		fkmi_text_add_bytes(text, limits->max_buffer_bytes);
	}
	fkmi_text_add(text, "\n           %" PRId32 " %s", limits->units, limits->units == 1 ? "unit" : "units");
	if (limits->vector_bytes != 0)
		fkmi_text_add(text, ", vectors of %" PRId32 " bytes", limits->vector_bytes);
	if (limits->local_bytes != 0) {
		fkmi_text_add(text, ", local memory ");
		fkmi_text_add_bytes(text, limits->local_bytes);
	}
	if (limits->max_group != 0)
		fkmi_text_add(text, ", groups of %" PRId32 ", subgroups of %" PRId32, limits->max_group, limits->subgroup);
	if (limits->architecture != 0)
		fkmi_text_add(text, ", architecture %" PRId32, limits->architecture);
	print_features(text, request->backend->feature_names, limits->features);
	fkmi_text_add(text, "\n           double precision %s, host memory %s", limits->fp64 != 0 ? "yes" : "no",
				  limits->host_memory != 0 ? "used in place" : "copied");
	if (limits->bytes_per_second > 0)
		fkmi_text_add(text, ", %.3g GB/s", limits->bytes_per_second * 1e-9);
	fkmi_text_add(text, "\n");
}

static void add_seconds(struct fkmi_text *text, double seconds)
{
	if (seconds >= 1)
		fkmi_text_add(text, "%.3g s", seconds);
	else if (seconds >= 1e-3)
		fkmi_text_add(text, "%.3g ms", seconds * 1e3);
	else
		fkmi_text_add(text, "%.3g us", seconds * 1e6);
}

static void print_candidates(struct fkmi_text *text, const struct fkmi_candidates *candidates)
{
	int width = 0;
	for (int32_t i = 0; i < candidates->count; i++) {
		int length = (int)strlen(candidates->items[i].tile->name);
		width = length > width ? length : width;
	}
	fkmi_text_add(text, "kernels    %" PRId32 ", with the estimate of an iteration or why they were dropped\n",
				  candidates->count);
	for (int32_t i = 0; i < candidates->count; i++) {
		const struct fkmi_candidate *candidate = &candidates->items[i];
		const struct fkmi_tile *tile = candidate->tile;
		fkmi_text_add(text, "  %c %-*s  %5" PRId32 " x %-5" PRId32 "  ", i == candidates->chosen ? '*' : ' ', width,
					  tile->name, tile->points, tile->centroids);
		if (candidate->legal) {
			add_seconds(text, candidate->seconds);
			fkmi_text_add(text, ", workspace ");
			fkmi_text_add_bytes(text, candidate->workspace_bytes);
			fkmi_text_add(text, "\n");
		} else {
			fkmi_text_add(text, "dropped: %s\n", candidate->reason);
		}
	}
}

static void print_workspace(struct fkmi_text *text, const struct fkmi_plan_request *request,
							const struct fkmi_plan *plan)
{
	static const struct {
		const char *name;
		size_t offset;
	} arrays[] = {
#define ARRAY(name) {#name, offsetof(struct fkmi_job, name)}
		ARRAY(active),    ARRAY(state),     ARRAY(column_min), ARRAY(column_max),  ARRAY(column_scale), ARRAY(variance),
		ARRAY(row_scale), ARRAY(centroids), ARRAY(sums),       ARRAY(weight_sums), ARRAY(total_sums),   ARRAY(labels),
		ARRAY(previous),  ARRAY(distances), ARRAY(counts),     ARRAY(scratch),
#undef ARRAY
	};
	enum { ARRAYS = sizeof arrays / sizeof arrays[0] };

	/* Placed in a block that is never touched: an array ends where the next one begins. */
	char nothing;
	const struct fkmi_ref block = {.base = &nothing};
	struct fkmi_job job = {.problem = *request->problem, .plan = *plan};
	fkmi_workspace_place(&job, block);
	const int64_t total = fkmi_workspace_bytes(request->problem, plan);
	struct fkmi_ref refs[ARRAYS];
	for (int i = 0; i < ARRAYS; i++)
		memcpy(&refs[i], (const char *)&job + arrays[i].offset, sizeof refs[i]);

	const int64_t points = fkmi_points_bytes(request->problem, plan, request->row_bytes);
	fkmi_text_add(text, "workspace  ");
	fkmi_text_add_bytes(text, total + request->extra_bytes + points);
	fkmi_text_add(text, "\n");
	for (int i = 0; i < ARRAYS; i++) {
		if (refs[i].base == NULL || (strcmp(arrays[i].name, "total_sums") == 0 && request->problem->ranks < 2))
			continue;
		int64_t end = total;
		for (int j = 0; j < ARRAYS; j++)
			if (refs[j].base != NULL && refs[j].offset > refs[i].offset && refs[j].offset < end)
				end = refs[j].offset;
		fkmi_text_add(text, "    %-14s ", arrays[i].name);
		fkmi_text_add_bytes(text, end - refs[i].offset);
		fkmi_text_add(text, "\n");
	}
	const struct {
		const char *name;
		int64_t bytes;
	} others[] = {{"staging", request->extra_bytes}, {"points", points}};
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		if (others[i].bytes == 0)
			continue;
		fkmi_text_add(text, "    %-14s ", others[i].name);
		fkmi_text_add_bytes(text, others[i].bytes);
		fkmi_text_add(text, "\n");
	}
}

static void print_choice(struct fkmi_text *text, const struct fkmi_plan_request *request, const struct fkmi_plan *plan)
{
	const int64_t n = request->problem->n;
	const int64_t chunks = n / plan->chunk_rows + (n % plan->chunk_rows != 0);
	fkmi_text_add(text, "choice     %s, tiles of %" PRId32 " points x %" PRId32 " centroids, ", plan->tile->name,
				  plan->tile->points, plan->tile->centroids);
	add_seconds(text, plan->seconds);
	fkmi_text_add(text, " per iteration\nchunks     %" PRId64 " of %" PRId64 " %s\n", chunks, plan->chunk_rows,
				  plan->chunk_rows == 1 ? "row" : "rows");
	if (plan->streamed_rows > 0)
		fkmi_text_add(text,
					  "points     %" PRId64 " rows of each problem stay on the device, %" PRId64
					  " are streamed from the host in every pass\n",
					  n - plan->streamed_rows, plan->streamed_rows);
	if (request->problem->fits)
		fkmi_text_add(text, "sums       %s\n",
					  plan->whole   ? "made by the kernel that runs whole iterations"
					  : plan->fused ? "fused: made in the assignment pass"
									: "not fused: made in a pass of their own");
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

size_t fkmi_plan_print(const struct fkmi_plan_request *request, const struct fkmi_plan *plan,
					   const struct fkmi_candidates *candidates, const char *device_name, char *text, size_t capacity)
{
	struct fkmi_text out = {.start = text, .capacity = capacity};
	print_problem(&out, request->problem);
	print_device(&out, request, device_name);
	print_candidates(&out, candidates);
	if (plan == NULL) {
		fkmi_text_add(&out, "choice     none\n");
		return out.length + 1;
	}
	print_choice(&out, request, plan);
	print_workspace(&out, request, plan);
	return out.length + 1;
}

enum fkm_status fkm_plan_describe(struct fkm_context *context, const struct fkm_array *points,
								  const struct fkm_fit_params *params, char *text, size_t capacity, size_t *needed)
{
	if (text == NULL && capacity > 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "text is NULL, but capacity is %zu", capacity);
	struct fkmi_request call;
	struct fkmi_work work;
	FKMI_TRY(fkmi_check_call(context, FKMI_CALL_FIT, false, points, NULL, NULL, params, NULL, &call));
	(void)fkmi_work_plan(context, &call, &work); /* planned again below, with the candidates */
	struct fkmi_candidates candidates;
	struct fkmi_plan plan;
	enum fkm_status status = fkmi_plan_make(&work.plan_request, &plan, &candidates);
	size_t size = fkmi_plan_print(&work.plan_request, status == FKM_OK ? &plan : NULL, &candidates,
								  context->device->name, text, capacity);
	if (needed != NULL)
		*needed = size;
	return status;
}
