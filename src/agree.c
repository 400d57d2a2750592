/* SPDX-License-Identifier: Apache-2.0 */
#include "agree.h"

#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "error.h"

/* What must be the same on all ranks. */
struct field {
	const char *name;
	int64_t value;
	bool real; /* the value is the bits of a double from 0 up */
};

enum { MOST_FIELDS = 24 };

struct fields {
	int64_t count;
	struct field items[MOST_FIELDS];
};

static void add(struct fields *fields, const char *name, int64_t value)
{
	fields->items[fields->count++] = (struct field){.name = name, .value = value};
}

static void list_fields(enum fkmi_call call, const struct fkmi_request *request, struct fields *fields)
{
	const struct fkmi_problem *p = &request->problem;
	const struct fkm_fit_params *params = &request->params;
	add(fields, "the function called", call);
	add(fields, "points.batch", p->b);
	add(fields, "points.dims", p->d);
	add(fields, "points.dtype", p->dtype);
	add(fields, "the number of clusters", p->k);
	add(fields, "metric", params->metric);
	add(fields, "precision", params->precision);
	add(fields, "trust_finite", params->trust_finite);
	if (call == FKMI_CALL_UPDATE || call == FKMI_CALL_FIT)
		add(fields, "empty", params->empty);
	if (call != FKMI_CALL_FIT)
		return;
	add(fields, "init", params->init);
	add(fields, "stop", params->stop);
	add(fields, "max_iter", params->max_iter);
	add(fields, "tol", 0);
	fields->items[fields->count - 1].real = true;
	memcpy(&fields->items[fields->count - 1].value, &params->tol, sizeof params->tol);
	add(fields, "n_init", params->n_init);
	add(fields, "seed", (int64_t)(params->seed >> 32));
	add(fields, "seed", (int64_t)(params->seed & 0xffffffff));
	add(fields, "resume", fkmi_checkpoint_mark(params->resume, params->resume_bytes));
}

/* What some rank wants, or has, all take part in. */
enum { WATCHED, KEPT, INERTIA, CENTROIDS_F32, CENTROIDS_F64, WEIGHTED, UNWEIGHTED, WANTS };

static void list_wants(const struct fkmi_request *request, int64_t *wants)
{
	const struct fkmi_problem *p = &request->problem;
	const bool f32 = request->result.centroids_dtype == FKM_F32, centroids = request->result.centroids != NULL;
	wants[WATCHED] = request->watched;
	wants[KEPT] = request->kept;
	wants[INERTIA] = request->wants_inertia;
	wants[CENTROIDS_F32] = centroids && f32;
	wants[CENTROIDS_F64] = centroids && !f32;
	wants[WEIGHTED] = p->weighted;
	wants[UNWEIGHTED] = !p->weighted && p->n > 0;
}

static enum fkm_status take_wants(const int64_t *wants, struct fkmi_request *request)
{
	if (wants[CENTROIDS_F32] && wants[CENTROIDS_F64])
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT,
						 "result.centroids_dtype differs between the ranks that want centroids");
	if (wants[WEIGHTED] && wants[UNWEIGHTED])
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "weights are given on some ranks only");
	request->watched = wants[WATCHED];
	request->kept = wants[KEPT];
	request->wants_inertia = wants[INERTIA];
	request->rounds = wants[CENTROIDS_F32];
	request->problem.weighted = wants[WEIGHTED];
	return FKM_OK;
}

static enum fkm_status fail_different(const struct field *field, int64_t least, int64_t most)
{
	double reals[2];
	memcpy(&reals[0], &least, sizeof least);
	memcpy(&reals[1], &most, sizeof most);
	if (field->real)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s differs between the ranks: %g and %g", field->name, reals[0],
						 reals[1]);
	return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s differs between the ranks: %lld and %lld", field->name,
					 (long long)least, (long long)most);
}

static enum fkm_status compare(struct fkmi_merge *merge, enum fkmi_call call, struct fkmi_request *request)
{
	struct fields fields = {0};
	int64_t values[2 * MOST_FIELDS + WANTS];
	list_fields(call, request, &fields);
	for (int64_t i = 0; i < fields.count; i++) {
		values[2 * i] = fields.items[i].value;
		values[2 * i + 1] = -fields.items[i].value;
	}
	/* The number of fields is the call's: all must pass the first one before they can differ in it. */
	FKMI_TRY(fkmi_merge_values(merge, values, 2, FKM_REDUCE_MAX));
	const int64_t *wants = values + 2 * fields.count;
	if (values[0] == -values[1]) {
		list_wants(request, values + 2 * fields.count);
		FKMI_TRY(fkmi_merge_values(merge, values, 2 * fields.count + WANTS, FKM_REDUCE_MAX));
	}
	for (int64_t i = 0; i < fields.count; i++) {
		const int64_t most = values[2 * i], least = -values[2 * i + 1];
		if (most != least)
			return fail_different(&fields.items[i], least, most);
	}
	return take_wants(wants, request);
}

static enum fkm_status number_rows(struct fkmi_merge *merge, struct fkmi_request *request)
{
	const int32_t ranks = fkmi_merge_ranks(merge), rank = fkmi_merge_rank(merge);
	int64_t *rows = calloc((size_t)ranks, sizeof *rows);
	if (rows == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for the rows of %d ranks", (int)ranks);
	rows[rank] = request->problem.n;
	enum fkm_status status = fkmi_merge_values(merge, rows, ranks, FKM_REDUCE_SUM);
	int64_t all = 0;
	for (int32_t r = 0; r < ranks && status == FKM_OK; r++) {
		if (r == rank)
			request->first_row = all;
		if (rows[r] > INT64_MAX / 64 - all)
			status = fkmi_fail(FKM_ERROR_OVERFLOW, "the rows of all ranks pass what can be counted");
		else
			all += rows[r];
	}
	request->problem.n_all = all;
	free(rows);
	return status;
}

enum fkm_status fkmi_agree(struct fkmi_merge *merge, enum fkmi_call call, struct fkmi_request *request,
						   enum fkm_status status)
{
	if (merge == NULL)
		return status;
	FKMI_TRY(fkmi_merge_begin(merge, status));
	FKMI_TRY(compare(merge, call, request));
	return number_rows(merge, request);
}
