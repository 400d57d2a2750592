/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a fit as calls of their own: predict, update, inertia. */
#include <stdlib.h>

#include "clock.h"
#include "error.h"
#include "group.h"
#include "job.h"

/* Into inertia[b], which may be NULL where only another rank wants it. */
static enum fkm_status take_inertia(struct fkmi_work *work, double *inertia)
{
	const size_t b = (size_t)work->request.problem.b;
	if (!work->request.wants_inertia || inertia != NULL)
		return fkmi_work_inertia(work, inertia);
	double *unwanted = malloc(b * sizeof *unwanted);
	if (unwanted == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for the inertia of %zu problems", b);
	enum fkm_status status = fkmi_work_inertia(work, unwanted);
	free(unwanted);
	return status;
}

static enum fkm_status predict(struct fkmi_work *work, struct fkm_fit_result *result)
{
	const struct fkm_fit_result *wanted = &work->request.result;
	FKMI_TRY(fkmi_work_load_start(work));
	FKMI_TRY(fkmi_work_clear_labels(work));
	FKMI_TRY(fkmi_work_assign(work, FKMI_ACCUMULATE_NONE));
	double before = fkmi_now();
	if (work->request.wants_inertia || wanted->distances != NULL)
		FKMI_TRY(take_inertia(work, wanted->inertia));
	work->seconds.finish += fkmi_now() - before;
	return fkmi_work_deliver(work, result);
}

enum fkm_status fkm_predict(struct fkm_context *context, const struct fkm_array *points,
							const struct fkm_array *centroids, const struct fkm_fit_params *params,
							struct fkm_fit_result *result)
{
	struct fkmi_work work;
	if (context != NULL && context->group != NULL)
		return fkmi_group_run(context, &(struct fkmi_group_call){.call = FKMI_CALL_PREDICT,
																 .points = points,
																 .centroids = centroids,
																 .params = params,
																 .result = result});
	enum fkm_status status =
		fkmi_work_begin(context, FKMI_CALL_PREDICT, points, centroids, NULL, params, result, &work);
	if (status == FKM_OK)
		status = predict(&work, result);
	return fkmi_work_end(&work, status);
}

static enum fkm_status update(struct fkmi_work *work, struct fkm_fit_result *result)
{
	const struct fkmi_backend *backend = work->backend;
	const struct fkmi_job *job = &work->job;
	const struct fkmi_problem *p = &job->problem;
	FKMI_TRY(fkmi_work_load_start(work));
	FKMI_TRY(fkmi_work_load_labels(work));
	double before = fkmi_now();
	FKMI_TRY(fkmi_work_zero_sums(work));
	for (struct fkmi_window w = {0};;) {
		FKMI_TRY(fkmi_next_window(job, p->n, &w));
		if (w.span.rows == 0)
			break;
		FKMI_TRY(backend->accumulate(work->device, &w.job, w.span, FKMI_ACCUMULATE_FULL));
	}
	FKMI_TRY(fkmi_work_total(work));
	if (p->empty == FKM_EMPTY_RELOCATE)
		FKMI_TRY(backend->relocate(work->device, job));
	FKMI_TRY(backend->finish(work->device, job));
	work->seconds.update = fkmi_now() - before;
	if (p->empty == FKM_EMPTY_ERROR) {
		FKMI_TRY(fkmi_work_states(work));
		for (int64_t b = 0; b < p->b; b++)
			if (work->states[b].empty > 0)
				return fkmi_fail(FKM_ERROR_EMPTY_CLUSTER, "cluster %lld of problem %lld has no points",
								 (long long)work->states[b].first_empty, (long long)b);
	}
	if (work->request.rounds)
		FKMI_TRY(backend->round_centroids(work->device, job));
	return fkmi_work_deliver(work, result);
}

enum fkm_status fkm_update(struct fkm_context *context, const struct fkm_array *points, const int32_t *labels,
						   const struct fkm_array *previous, const struct fkm_fit_params *params,
						   struct fkm_fit_result *result)
{
	struct fkmi_work work;
	if (context != NULL && context->group != NULL)
		return fkmi_group_run(context, &(struct fkmi_group_call){.call = FKMI_CALL_UPDATE,
																 .points = points,
																 .centroids = previous,
																 .labels = labels,
																 .params = params,
																 .result = result});
	enum fkm_status status =
		fkmi_work_begin(context, FKMI_CALL_UPDATE, points, previous, labels, params, result, &work);
	if (status == FKM_OK)
		status = update(&work, result);
	const struct fkmi_request *request = &work.request;
	if (status == FKM_OK && request->result.n_iter != NULL)
		for (int64_t b = 0; b < request->problem.b; b++)
			request->result.n_iter[b] = 0;
	return fkmi_work_end(&work, status);
}

static enum fkm_status inertia_of_labels(struct fkmi_work *work, double *inertia)
{
	FKMI_TRY(fkmi_work_load_start(work));
	FKMI_TRY(fkmi_work_load_labels(work));
	return fkmi_work_inertia(work, inertia);
}

enum fkm_status fkm_inertia(struct fkm_context *context, const struct fkm_array *points,
							const struct fkm_array *centroids, const int32_t *labels,
							const struct fkm_fit_params *params, double *inertia)
{
	struct fkmi_work work;
	if (context != NULL && context->group != NULL)
		return fkmi_group_run(context, &(struct fkmi_group_call){.call = FKMI_CALL_INERTIA,
																 .points = points,
																 .centroids = centroids,
																 .labels = labels,
																 .params = params,
																 .inertia = inertia});
	enum fkm_status status =
		fkmi_work_begin(context, FKMI_CALL_INERTIA, points, centroids, labels, params, NULL, &work);
	if (status == FKM_OK)
		status = inertia != NULL ? inertia_of_labels(&work, inertia)
								 : fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "inertia is NULL");
	return fkmi_work_end(&work, status);
}

enum fkm_status fkm_predict_workspace(struct fkm_context *context, const struct fkm_array *points,
									  const struct fkm_array *centroids, const struct fkm_fit_params *params,
									  const struct fkm_fit_result *result, int64_t *bytes)
{
	return fkmi_work_query(context, FKMI_CALL_PREDICT, points, centroids, params, result, bytes);
}

enum fkm_status fkm_update_workspace(struct fkm_context *context, const struct fkm_array *points,
									 const struct fkm_array *previous, const struct fkm_fit_params *params,
									 const struct fkm_fit_result *result, int64_t *bytes)
{
	return fkmi_work_query(context, FKMI_CALL_UPDATE, points, previous, params, result, bytes);
}
