/* SPDX-License-Identifier: Apache-2.0 */
/* Lloyd's algorithm: docs/semantics.md sections 3 and 4. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "clock.h"
#include "error.h"
#include "group.h"
#include "job.h"
#include "merge.h"
#include "seed.h"

#define FKMI_INLINE static inline
#include "kernels/common/exact.h"

void fkm_fit_params_init_size(struct fkm_fit_params *params, size_t struct_size)
{
	const struct fkm_fit_params defaults = {.max_iter = 300, .tol = 1e-4, .n_init = 1, .checkpoint_interval = 10};
	fkmi_init_struct(params, struct_size, &defaults, sizeof defaults);
}

void fkm_fit_result_init_size(struct fkm_fit_result *result, size_t struct_size)
{
	const struct fkm_fit_result defaults = {.centroids_dtype = FKM_F64};
	fkmi_init_struct(result, struct_size, &defaults, sizeof defaults);
}

/* One fit in progress: what each problem of the batch has come to. */
struct fit {
	struct fkmi_work *work;
	int32_t *running; /* [b] */
	int32_t *n_iter;  /* [b], this run's and the best run's, as the next two */
	int32_t *best_n_iter;
	int32_t *reason;
	int32_t *best_reason;
	double *inertia;
	double *best_inertia;
	bool cancelled;
	/* The iteration in progress, for who watches it. */
	int32_t run, iteration;
	double begun;
	/* Whether the host looks at every iteration. */
	bool watches;
	/* Of the run: no iteration is done, so that labels are -1 and sums nothing's; what the next one does to the sums. */
	bool fresh;
	enum fkmi_accumulate accumulate;
	/* Checkpoints: what all of this fit's have in common, room for one, iterations since the last. */
	struct fkmi_settings settings;
	void *kept;
	int32_t unkept;
	struct fkmi_checkpoint from;
	const struct fkmi_checkpoint *resumed; /* &from in the run that it continues; else NULL */
};

static void fit_free(struct fit *fit)
{
	free(fit->running);
	free(fit->n_iter);
	free(fit->best_n_iter);
	free(fit->reason);
	free(fit->best_reason);
	free(fit->inertia);
	free(fit->best_inertia);
	free(fit->kept);
}

/* Whether sums are those of the labels also after a relocation, which moves points of the totals. */
static bool keeps_sums(const struct fkmi_work *work)
{
	return work->device->limits.restores_sums || work->request.problem.ranks > 1;
}

static enum fkm_status fit_allocate(struct fit *fit, struct fkmi_work *work)
{
	const size_t b = (size_t)work->request.problem.b;
	*fit = (struct fit){
		.work = work,
		.running = calloc(b, sizeof(int32_t)),
		.n_iter = calloc(b, sizeof(int32_t)),
		.best_n_iter = calloc(b, sizeof(int32_t)),
		.reason = calloc(b, sizeof(int32_t)),
		.best_reason = calloc(b, sizeof(int32_t)),
		.inertia = calloc(b, sizeof(double)),
		.best_inertia = calloc(b, sizeof(double)),
	};
	if (fit->running == NULL || fit->n_iter == NULL || fit->best_n_iter == NULL || fit->reason == NULL ||
		fit->best_reason == NULL || fit->inertia == NULL || fit->best_inertia == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for the progress of %zu problems", b);
	const struct fkm_fit_params *params = &work->request.params;
	fit->watches = params->stop != FKM_STOP_FIXED || work->request.watched || params->empty == FKM_EMPTY_ERROR ||
				   (params->empty == FKM_EMPTY_RELOCATE && !keeps_sums(work));
	work->waits = work->waits || fit->watches;
	return FKM_OK;
}

/* ---- tolerance ---- */

/* R8 of section 1. */
static double sum8(const double *values, int64_t count)
{
	double p[8] = {0};
	for (int64_t j = 0; j < count; j++)
		p[j % 8] += values[j];
	return fkmi_combine8(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]);
}

static enum fkm_status set_thresholds(struct fkmi_work *work)
{
	const struct fkmi_problem *p = &work->request.problem;
	const struct fkm_fit_params *params = &work->request.params;
	for (int64_t b = 0; b < p->b; b++)
		work->thresholds[b] = params->stop == FKM_STOP_FIXED ? 0 : params->tol;
	if (params->stop != FKM_STOP_RELATIVE || params->tol == 0 || params->max_iter == 0)
		return FKM_OK;
	FKMI_TRY(work->backend->variances(work->device, &work->job));
	const int64_t bytes = p->d * (int64_t)sizeof(double);
	double *variance = malloc((size_t)bytes);
	if (variance == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for the variances of %lld columns", (long long)p->d);
	enum fkm_status status = FKM_OK;
	for (int64_t b = 0; b < p->b && status == FKM_OK; b++) {
		status = work->backend->download(work->device, variance, fkmi_ref_add(work->job.variance, b * bytes), bytes);
		if (status == FKM_OK)
			work->thresholds[b] = params->tol * (sum8(variance, p->d) / (double)p->d);
	}
	free(variance);
	return status;
}

/* ---- checkpoints ---- */

static int64_t centroid_bytes(const struct fkmi_work *work)
{
	const struct fkmi_problem *p = &work->request.problem;
	return p->b * p->k * p->d * (int64_t)sizeof(double);
}

static enum fkm_status copy_all_centroids(struct fkmi_work *work, struct fkmi_ref to, struct fkmi_ref from)
{
	return work->backend->copy(work->device, to, from, centroid_bytes(work));
}

/* Gives the caller a checkpoint after an iteration that has been judged; sets *ends where that is to end the fit. */
static enum fkm_status keep(struct fit *fit, int32_t run, int32_t iteration, bool *ends)
{
	struct fkmi_work *work = fit->work;
	const struct fkmi_problem *p = &work->request.problem;
	const struct fkm_fit_params *params = &work->request.params;
	fit->unkept = 0;
	const size_t b = (size_t)p->b;
	struct fkmi_checkpoint to = {.run = run, .iteration = iteration};
	fkmi_checkpoint_begin(fit->kept, p, &fit->settings, &to);
	memcpy(to.n_iter, fit->n_iter, b * sizeof *to.n_iter);
	memcpy(to.reason, fit->reason, b * sizeof *to.reason);
	FKMI_TRY(work->backend->download(work->device, to.centroids, work->before, centroid_bytes(work)));
	if (run > 0) {
		memcpy(to.best_n_iter, fit->best_n_iter, b * sizeof *to.best_n_iter);
		memcpy(to.best_reason, fit->best_reason, b * sizeof *to.best_reason);
		memcpy(to.best_inertia, fit->best_inertia, b * sizeof *to.best_inertia);
		FKMI_TRY(work->backend->download(work->device, to.best_centroids, work->best, centroid_bytes(work)));
	}
	fkmi_checkpoint_seal(fit->kept);
	const size_t bytes = (size_t)fkmi_checkpoint_bytes(p, run > 0);
	if (params->checkpoint(params->checkpoint_user, fit->kept, bytes) != 0)
		*ends = true;
	return FKM_OK;
}

static enum fkm_status prepare_to_keep(struct fit *fit)
{
	const struct fkmi_work *work = fit->work;
	const struct fkm_fit_params *params = &work->request.params;
	if (params->checkpoint == NULL)
		return FKM_OK;
	const int64_t bytes = fkmi_checkpoint_bytes(&work->request.problem, params->n_init > 1);
	fit->kept = malloc((size_t)bytes);
	if (fit->kept == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for a checkpoint of %lld bytes", (long long)bytes);
	return FKM_OK;
}

/* Centroids of the iteration to do again, and the best run before it. */
static enum fkm_status load_checkpoint(struct fit *fit, const struct fkmi_checkpoint *from)
{
	struct fkmi_work *work = fit->work;
	const size_t b = (size_t)work->request.problem.b;
	if (from->run > 0) {
		memcpy(fit->best_n_iter, from->best_n_iter, b * sizeof *fit->best_n_iter);
		memcpy(fit->best_reason, from->best_reason, b * sizeof *fit->best_reason);
		memcpy(fit->best_inertia, from->best_inertia, b * sizeof *fit->best_inertia);
		FKMI_TRY(work->backend->upload(work->device, work->best, from->best_centroids, centroid_bytes(work)));
	}
	return work->backend->upload(work->device, work->job.centroids, from->centroids, centroid_bytes(work));
}

/* ---- one iteration ---- */

static enum fkm_status refuse_empty(const struct fit *fit, int32_t iteration)
{
	const struct fkmi_work *work = fit->work;
	for (int64_t b = 0; b < work->request.problem.b; b++)
		if (fit->running[b] && work->states[b].empty > 0)
			return fkmi_fail(FKM_ERROR_EMPTY_CLUSTER,
							 "cluster %lld of problem %lld lost all its points in iteration %d (of %lld empty)",
							 (long long)work->states[b].first_empty, (long long)b, iteration,
							 (long long)work->states[b].empty);
	return FKM_OK;
}

static bool report(struct fit *fit, int32_t run, int32_t iteration, double seconds)
{
	const struct fkmi_work *work = fit->work;
	const struct fkm_fit_params *params = &work->request.params;
	struct fkm_progress progress = {.run = run,
									.iteration = iteration,
									.max_iter = params->max_iter,
									.shift = -1,
									.seconds = seconds,
									.inertia = NAN,
									.rows_done = work->request.problem.n,
									.rows = work->request.problem.n};
	for (int64_t b = 0; b < work->request.problem.b; b++) {
		const struct fkmi_state *now = &work->states[b], *before = &work->seen[b];
		progress.changed += now->changed - before->changed;
		progress.relocated += now->relocated - before->relocated;
		progress.rechecked += now->rechecked - before->rechecked;
		progress.active += fit->running[b];
		if (work->active[b] && now->shift > progress.shift) {
			progress.shift = now->shift;
			progress.threshold = work->thresholds[b];
		}
	}
	return params->progress(params->progress_user, &progress) != 0;
}

static bool report_part(void *context, int64_t rows)
{
	struct fit *fit = context;
	const struct fkmi_work *work = fit->work;
	const struct fkm_fit_params *params = &work->request.params;
	struct fkm_progress progress = {.run = fit->run,
									.iteration = fit->iteration,
									.max_iter = params->max_iter,
									.shift = -1,
									.seconds = fkmi_now() - fit->begun,
									.inertia = NAN,
									.rows_done = rows,
									.rows = work->request.problem.n};
	for (int64_t b = 0; b < work->request.problem.b; b++)
		progress.active += fit->running[b];
	fit->cancelled = params->progress(params->progress_user, &progress) != 0;
	return fit->cancelled;
}

/* Lets the callbacks of all ranks see the iteration; any of them may cancel the fit. */
static enum fkm_status ask_watchers(struct fit *fit, int32_t run, int32_t iteration, double seconds)
{
	const struct fkmi_work *work = fit->work;
	const struct fkm_fit_params *params = &work->request.params;
	if (!work->request.watched)
		return FKM_OK;
	bool ends = params->progress != NULL && report(fit, run, iteration, seconds);
	const bool due = params->checkpoint != NULL && ++fit->unkept >= params->checkpoint_interval;
	if (due)
		FKMI_TRY(keep(fit, run, iteration, &ends));
	int64_t cancelled = ends;
	if (work->job.merge != NULL)
		FKMI_TRY(fkmi_merge_values(work->job.merge, &cancelled, 1, FKM_REDUCE_MAX));
	fit->cancelled = cancelled != 0;
	if (fit->cancelled && params->checkpoint != NULL && !due)
		FKMI_TRY(keep(fit, run, iteration, &ends));
	return FKM_OK;
}

/* Section 4, for every running problem after iteration i: returns how many go on. */
static int64_t judge(struct fit *fit, int32_t iteration)
{
	const struct fkmi_work *work = fit->work;
	const bool tested = work->request.params.stop != FKM_STOP_FIXED;
	int64_t going = 0;
	for (int64_t b = 0; b < work->request.problem.b; b++) {
		if (!fit->running[b])
			continue;
		const struct fkmi_state *now = &work->states[b], *before = &work->seen[b];
		fit->n_iter[b] = iteration;
		if (tested && now->changed == before->changed)
			fit->reason[b] = FKM_REASON_UNCHANGED;
		else if (tested && now->shift <= work->thresholds[b])
			fit->reason[b] = FKM_REASON_SHIFT;
		else {
			going++;
			continue;
		}
		fit->running[b] = 0;
	}
	return going;
}

static enum fkm_status update_centroids(struct fkmi_work *work)
{
	double before = fkmi_now();
	if (work->request.problem.empty == FKM_EMPTY_RELOCATE)
		FKMI_TRY(work->backend->relocate(work->device, &work->job));
	FKMI_TRY(work->backend->finish(work->device, &work->job));
	work->seconds.update += fkmi_now() - before;
	return FKM_OK;
}

/* The next `count` iterations of the run; more than one only where they are whole. */
static enum fkm_status run_iterations(struct fit *fit, int32_t count)
{
	struct fkmi_work *work = fit->work;
	const bool anew = fit->fresh;
	const enum fkmi_accumulate accumulate = fit->accumulate;
	fit->fresh = false;
	fit->accumulate = FKMI_ACCUMULATE_DELTA;
	if (work->before.base != NULL)
		FKMI_TRY(copy_all_centroids(work, work->before, work->job.centroids));
	if (work->job.plan.whole)
		return fkmi_work_iterate(work, anew, count);
	FKMI_TRY(fkmi_work_assign(work, accumulate));
	return work->stopped ? FKM_OK : update_centroids(work);
}

/* Problems that were to go on end with so many iterations. */
static void note_cancelled(struct fit *fit, int32_t iterations)
{
	for (int64_t b = 0; b < fit->work->request.problem.b; b++) {
		if (!fit->running[b])
			continue;
		fit->n_iter[b] = iterations;
		fit->reason[b] = FKM_REASON_CANCELLED;
	}
}

static bool relocated_any(const struct fkmi_work *work)
{
	for (int64_t b = 0; b < work->request.problem.b; b++)
		if (work->states[b].relocated != work->seen[b].relocated)
			return true;
	return false;
}

/* What the host must see of an iteration. */
static enum fkm_status look(struct fit *fit)
{
	FKMI_TRY(fkmi_work_states(fit->work));
	if (!keeps_sums(fit->work) && relocated_any(fit->work))
		fit->accumulate = FKMI_ACCUMULATE_FULL;
	return FKM_OK;
}

/* Does the iteration again after which the checkpoint was made; what was judged then is known. */
static enum fkm_status redo(struct fit *fit, const struct fkmi_checkpoint *from)
{
	struct fkmi_work *work = fit->work;
	const struct fkmi_problem *p = &work->request.problem;
	memcpy(fit->n_iter, from->n_iter, (size_t)p->b * sizeof *fit->n_iter);
	memcpy(fit->reason, from->reason, (size_t)p->b * sizeof *fit->reason);
	for (int64_t b = 0; b < p->b; b++) {
		fit->running[b] = from->n_iter[b] >= from->iteration;
		if (from->reason[b] == FKM_REASON_FIXED) /* as without anyone who watches */
			fit->n_iter[b] = work->request.params.max_iter;
	}
	FKMI_TRY(fkmi_work_activate(work, fit->running));
	FKMI_TRY(run_iterations(fit, 1));
	if (fit->watches)
		FKMI_TRY(look(fit));
	for (int64_t b = 0; b < p->b; b++)
		fit->running[b] = from->reason[b] != FKM_REASON_UNCHANGED && from->reason[b] != FKM_REASON_SHIFT;
	return fkmi_work_activate(work, fit->running);
}

/* The iterations of a run after those done. */
static enum fkm_status iterate(struct fit *fit, int32_t run, int32_t done)
{
	enum { MOST_AT_ONCE = 256 }; /* so that no kernel runs for long */
	struct fkmi_work *work = fit->work;
	const struct fkm_fit_params *params = &work->request.params;
	int64_t going = 0;
	for (int64_t b = 0; b < work->request.problem.b; b++)
		going += fit->running[b];
	if (fit->watches)
		FKMI_TRY(fkmi_work_states(work));
	const int32_t at_once = fit->watches || !work->job.plan.whole ? 1 : MOST_AT_ONCE;
	while (done < params->max_iter && going > 0 && !fit->cancelled) {
		double before = fkmi_now();
		const int32_t left = params->max_iter - done, step = left < at_once ? left : at_once;
		fit->iteration = done + 1;
		fit->begun = before;
		FKMI_TRY(run_iterations(fit, step));
		if (work->stopped) {
			note_cancelled(fit, done);
			break;
		}
		done += step;
		if (!fit->watches)
			continue;
		FKMI_TRY(look(fit));
		if (params->empty == FKM_EMPTY_ERROR)
			FKMI_TRY(refuse_empty(fit, done));
		going = judge(fit, done);
		FKMI_TRY(ask_watchers(fit, run, done, fkmi_now() - before));
		if (fit->cancelled)
			note_cancelled(fit, done);
		if (going > 0)
			FKMI_TRY(fkmi_work_activate(work, fit->running));
	}
	return FKM_OK;
}

/* ---- runs ---- */

/* Problems whose labels are already those of their final centroids need no last assignment. */
static enum fkm_status settle(struct fit *fit)
{
	struct fkmi_work *work = fit->work;
	const struct fkmi_request *request = &work->request;
	const bool rounds = request->rounds;
	/* A problem that stopped before the checkpoint has no labels yet. */
	const bool knows =
		fit->watches && request->params.max_iter > 0 && !rounds && !work->stopped && fit->resumed == NULL;
	int64_t unsettled = 0;
	for (int64_t b = 0; b < request->problem.b; b++) {
		fit->running[b] = !(knows && work->states[b].shift == 0);
		unsettled += fit->running[b];
	}
	if (unsettled > 0) {
		FKMI_TRY(fkmi_work_activate(work, fit->running));
		if (rounds)
			FKMI_TRY(work->backend->round_centroids(work->device, &work->job));
		work->stopped = false;
		FKMI_TRY(fkmi_work_assign(work, FKMI_ACCUMULATE_NONE));
	}
	return fkmi_work_activate(work, NULL);
}

static enum fkm_status run_once(struct fit *fit, int32_t run)
{
	struct fkmi_work *work = fit->work;
	const struct fkmi_problem *p = &work->request.problem;
	const struct fkm_fit_params *params = &work->request.params;
	double before = fkmi_now();
	if (fit->resumed != NULL)
		FKMI_TRY(load_checkpoint(fit, fit->resumed));
	else
		FKMI_TRY(fkmi_seed(work, run));
	work->seconds.seed += fkmi_now() - before;
	if (!work->job.plan.whole || params->max_iter == 0 || fit->resumed != NULL)
		FKMI_TRY(fkmi_work_clear_labels(work));
	fit->fresh = true;
	fit->accumulate = FKMI_ACCUMULATE_FULL;
	const bool fixed = params->stop == FKM_STOP_FIXED && params->max_iter > 0;
	for (int64_t b = 0; b < p->b; b++) {
		fit->running[b] = 1;
		fit->n_iter[b] = fixed ? params->max_iter : 0;
		fit->reason[b] = fixed ? FKM_REASON_FIXED : FKM_REASON_MAX_ITER;
	}
	int32_t done = 0;
	if (fit->resumed != NULL) {
		FKMI_TRY(redo(fit, fit->resumed));
		done = fit->resumed->iteration;
	}
	fit->run = run;
	if (params->progress != NULL && params->progress_within && work->job.merge == NULL) {
		work->watch = report_part;
		work->watch_context = fit;
	}
	FKMI_TRY(iterate(fit, run, done));
	work->watch = NULL;
	before = fkmi_now();
	double assigned = work->seconds.assign;
	FKMI_TRY(settle(fit));
	work->seconds.finish += fkmi_now() - before - (work->seconds.assign - assigned);
	return FKM_OK;
}

static enum fkm_status copy_centroids(struct fkmi_work *work, struct fkmi_ref to, struct fkmi_ref from, int64_t b)
{
	const int64_t bytes = work->request.problem.k * work->request.problem.d * (int64_t)sizeof(double);
	return work->backend->copy(work->device, fkmi_ref_add(to, b * bytes), fkmi_ref_add(from, b * bytes), bytes);
}

/* All runs; leaves labels and centroids of each problem's best one in the job. */
static enum fkm_status run_all(struct fit *fit)
{
	struct fkmi_work *work = fit->work;
	const struct fkmi_problem *p = &work->request.problem;
	const int32_t runs = work->request.params.n_init;
	for (int32_t run = fit->resumed != NULL ? fit->resumed->run : 0; run < runs && !fit->cancelled; run++) {
		FKMI_TRY(run_once(fit, run));
		fit->resumed = NULL;
		if (runs == 1)
			break;
		FKMI_TRY(fkmi_work_inertia(work, fit->inertia));
		for (int64_t b = 0; b < p->b; b++) {
			if (run > 0 && !(fit->inertia[b] < fit->best_inertia[b]))
				continue;
			fit->best_inertia[b] = fit->inertia[b];
			fit->best_n_iter[b] = fit->n_iter[b];
			fit->best_reason[b] = fit->reason[b];
			FKMI_TRY(copy_centroids(work, work->best, work->job.centroids, b));
		}
	}
	if (runs == 1) {
		memcpy(fit->best_n_iter, fit->n_iter, (size_t)p->b * sizeof(int32_t));
		memcpy(fit->best_reason, fit->reason, (size_t)p->b * sizeof(int32_t));
		return FKM_OK;
	}
	FKMI_TRY(copy_all_centroids(work, work->job.centroids, work->best));
	return fkmi_work_assign(work, FKMI_ACCUMULATE_NONE);
}

static enum fkm_status fit_and_deliver(struct fit *fit, struct fkm_fit_result *result)
{
	struct fkmi_work *work = fit->work;
	const struct fkm_fit_result *wanted = &work->request.result;
	const size_t b = (size_t)work->request.problem.b;
	const struct fkm_fit_params *params = &work->request.params;
	if (work->request.kept)
		FKMI_TRY(fkmi_checkpoint_settings(work, &fit->settings));
	if (params->resume != NULL) {
		FKMI_TRY(fkmi_checkpoint_read(params->resume, params->resume_bytes, &work->request.problem, &fit->settings,
									  &fit->from));
		fit->resumed = &fit->from;
	}
	FKMI_TRY(prepare_to_keep(fit));
	FKMI_TRY(set_thresholds(work));
	FKMI_TRY(run_all(fit));
	double before = fkmi_now();
	if (work->request.wants_inertia || wanted->distances != NULL)
		FKMI_TRY(fkmi_work_inertia(work, work->request.wants_inertia ? fit->inertia : NULL));
	work->seconds.finish += fkmi_now() - before;
	FKMI_TRY(fkmi_work_deliver(work, result));
	if (wanted->inertia != NULL)
		memcpy(wanted->inertia, fit->inertia, b * sizeof(double));
	if (wanted->n_iter != NULL)
		memcpy(wanted->n_iter, fit->best_n_iter, b * sizeof(int32_t));
	if (wanted->reason != NULL)
		memcpy(wanted->reason, fit->best_reason, b * sizeof(int32_t));
	return fit->cancelled ? FKM_CANCELLED : FKM_OK;
}

enum fkm_status fkm_fit(struct fkm_context *context, const struct fkm_array *points,
						const struct fkm_fit_params *params, struct fkm_fit_result *result)
{
	struct fkmi_work work;
	struct fit fit = {0};
	if (context != NULL && context->group != NULL)
		return fkmi_group_run(
			context,
			&(struct fkmi_group_call){.call = FKMI_CALL_FIT, .points = points, .params = params, .result = result});
	enum fkm_status status = fkmi_work_begin(context, FKMI_CALL_FIT, points, NULL, NULL, params, result, &work);
	if (status == FKM_OK)
		status = fit_allocate(&fit, &work);
	if (status == FKM_OK)
		status = fit_and_deliver(&fit, result);
	fit_free(&fit);
	return fkmi_work_end(&work, status);
}

enum fkm_status fkm_fit_workspace(struct fkm_context *context, const struct fkm_array *points,
								  const struct fkm_fit_params *params, const struct fkm_fit_result *result,
								  int64_t *bytes)
{
	return fkmi_work_query(context, FKMI_CALL_FIT, points, NULL, params, result, bytes);
}
