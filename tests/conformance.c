/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite: one for all backends. Every bit of every result against tests/reference.c, for each way to
 * run a case: kernels, threads, chunks, batches, whose workspace, ended and resumed.
 *
 *   FKM_BACKEND=cpu conformance [--part I/N] [--seed S] [--cases M] [--replay S:INDEX | --replay fixed:INDEX] [--ranks R | --devices D]
 *
 * With R ranks every call is made by R threads, each with a context of its own, on another device if there are several,
 * and a part of the rows. With D devices a context has as many, also if the machine has fewer, which then serve as several.
 *
 * Exit code 77: the backend has no device here, unless FKM_REQUIRE (a list like cpu,opencl) names it.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance_cases.h"
#include "conformance_contexts.h"
#include "outputs.h"
#include "rank_calls.h"

enum { MOST_FAILURES = 100, RANDOM_CASES = 3000 };

/* One way to run a case, which must not be seen in the results. */
struct way {
	int threads_index;
	int64_t chunk_rows;
	const char *kernel;
	bool own_workspace;
	bool progress;
	bool resumed; /* ended after a drawn iteration, and continued from its checkpoint */
	bool lean;    /* trust_finite, and no distances or inertia: what leaves a backend the most freedom */
	enum { ROOMY, HALFWAY, TIGHT } memory; /* budget: all, the least that a fit takes, half the way between */
};

/* A case being run. */
struct trial {
	char replay[64];
	struct spec spec;
	struct data data;
	struct ref_result *expected; /* [b] */
	struct outputs outputs;
	struct way way;
	const char *call;
	int64_t first, count; /* problems of the batch in this call */
};

static struct suite_contexts on = {.ranks = 1};
static int64_t kernel_runs[MOST_KERNELS];
static int64_t calls, failures, streamed;
static char (*running)[64]; /* the case being run, for who outlives a crash; NULL when it is replayed */

/* ---- saying what is wrong ---- */

static void fail(const struct trial *t, const char *format, ...)
{
	char line[512];
	va_list list;

	if (++failures > MOST_FAILURES) {
		printf("FAIL: more than %d failures, giving up\n", MOST_FAILURES);
		if (running)
			(*running)[0] = 0;
		exit(1);
	}
	spec_print(&t->spec, line, sizeof(line));
	printf("FAIL --replay %s: %s\n     ", t->replay, line);
	static const char *const memories[] = {"", " in half the memory", " in the least memory"};
	printf("%s, problems %" PRId64 "..%" PRId64 ", threads=%d chunk_rows=%" PRId64 " kernel=%s%s%s%s%s: ", t->call,
		   t->first, t->first + t->count - 1, thread_counts[t->way.threads_index], t->way.chunk_rows,
		   t->way.kernel ? t->way.kernel : "default", t->way.own_workspace ? " own workspace" : "",
		   t->way.lean ? " lean" : "", t->way.resumed ? " resumed" : "", memories[t->way.memory]);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n");
	fflush(stdout);
}

static uint64_t element(const void *values, size_t size, int64_t i)
{
	uint64_t bits = 0;

	memcpy(&bits, (const char *)values + (size_t)i * size, size);
	return bits;
}

static void compare(const struct trial *t, const char *what, int64_t problem, const void *got, const void *want,
					int64_t count, size_t size)
{
	for (int64_t i = 0; i < count; i++)
		if (element(got, size, i) != element(want, size, i)) {
			fail(t, "%s of problem %" PRId64 ", element %" PRId64 ": 0x%" PRIx64 ", not 0x%" PRIx64, what, problem, i,
				 element(got, size, i), element(want, size, i));
			return;
		}
}

static void compare_number(const struct trial *t, const char *what, int64_t got, int64_t want)
{
	if (got != want)
		fail(t, "%s: %" PRId64 ", not %" PRId64, what, got, want);
}

static void compare_centroids(const struct trial *t, int64_t problem, const void *got, const double *want)
{
	int64_t count = t->spec.k * t->spec.d;
	size_t size = dtype_bytes(t->spec.centroids_dtype);
	void *stored = malloc((size_t)count * size);

	if (!stored)
		abort();
	for (int64_t i = 0; i < count; i++)
		if (size == 4)
			((float *)stored)[i] = (float)want[i];
		else
			((double *)stored)[i] = want[i];
	compare(t, "centroids", problem, got, stored, count, size);
	free(stored);
}

/* What every call owes, whatever it computes. Returns whether results are to be looked at. */
static bool check_call(const struct trial *t, enum fkm_status status, enum fkm_status expected)
{
	const char *overrun = outputs_overrun(&t->outputs), *changed = data_changed(&t->data);

	calls++;
	if (overrun)
		fail(t, "wrote outside of %s", overrun);
	if (changed)
		fail(t, "wrote to its input %s", changed);
	if (status != expected)
		fail(t, "%s, not %s: %s", fkm_status_name(status), fkm_status_name(expected), fkm_error_message());
	return status == FKM_OK && expected == FKM_OK;
}

/* ---- arguments ---- */

/* Problems first .. first+count-1 of an array. */
static struct fkm_array part(struct fkm_array array, int64_t first, int64_t count)
{
	if (array.data && array.batch > 1) {
		array.data = (const char *)array.data + (size_t)(first * array.batch_stride) * dtype_bytes(array.dtype);
		array.batch = count;
	}
	return array;
}

static void arguments(const struct trial *t, struct fkm_array *points, struct fkm_fit_params *params)
{
	const struct spec *s = &t->spec;

	*points = part(t->data.points, t->first, t->count);
	fkm_fit_params_init(params);
	params->clusters = s->k;
	params->metric = s->metric;
	params->init = s->init;
	params->init_centroids = part(t->data.start, t->first, t->count);
	params->weights = part(t->data.weights, t->first, t->count);
	params->max_iter = s->max_iter;
	params->tol = s->tol;
	params->stop = s->stop;
	params->empty = s->empty;
	params->n_init = s->n_init;
	params->seed = s->seed;
	params->kernel = t->way.kernel;
	params->chunk_rows = t->way.chunk_rows;
	params->trust_finite = t->way.lean;
}

static struct fkm_context *context_of(const struct trial *t)
{
	return on.contexts[t->way.threads_index][0];
}

/* Makes a call as the way says. */
static enum fkm_status make_call(const struct trial *t, const struct call_arguments *arguments)
{
	const char *complaint = NULL;

	if (on.ranks == 1)
		return call_alone(context_of(t), arguments);
	enum fkm_status status =
		call_ranks(on.contexts[t->way.threads_index], on.ranks, arguments, t->spec.seed + (uint64_t)calls, &complaint);
	if (complaint)
		fail(t, "%d ranks: %s", on.ranks, complaint);
	return status;
}

static int64_t sum_of(const struct trial *t, int64_t (*of)(const struct spec *, const struct ref_result *))
{
	int64_t sum = 0;

	for (int64_t p = t->first; p < t->first + t->count; p++)
		sum += of(&t->spec, &t->expected[p]);
	return sum;
}

static int64_t relocations_of(const struct spec *spec, const struct ref_result *r)
{
	(void)spec;
	return r->relocated;
}

static int64_t empty_of(const struct spec *spec, const struct ref_result *r)
{
	int64_t empty = 0;

	for (int64_t k = 0; k < spec->k; k++)
		empty += r->counts[k] == 0;
	return empty;
}

/* ---- fit ---- */

/* The iterations that a callback saw, of a single problem and run. */
struct seen {
	const struct trial *trial;
	int32_t count;
};

static int see(void *user, const struct fkm_progress *progress)
{
	struct seen *seen = user;
	const struct ref_result *want = &seen->trial->expected[seen->trial->first];
	int32_t i = seen->count++;

	if (i >= want->n_iter) {
		fail(seen->trial, "iteration %d after the last, %d", i + 1, want->n_iter);
		return 0;
	}
	compare_number(seen->trial, "progress iteration", progress->iteration, i + 1);
	compare_number(seen->trial, "progress changed", progress->changed, want->steps[i].changed);
	compare_number(seen->trial, "progress relocated", progress->relocated, want->steps[i].relocated);
	compare(seen->trial, "progress shift", seen->trial->first, &progress->shift, &want->steps[i].shift, 1, 8);
	compare(seen->trial, "progress threshold", seen->trial->first, &progress->threshold, &want->threshold, 1, 8);
	return 0;
}

/* A checkpoint, made after so many. */
struct kept {
	int32_t left;
	void *bytes;
	size_t size;
};

static int keep_and_end(void *user, const void *bytes, size_t size)
{
	struct kept *kept = user;

	if (--kept->left > 0)
		return 0;
	kept->bytes = malloc(size);
	if (!kept->bytes)
		abort();
	memcpy(kept->bytes, bytes, size);
	kept->size = size;
	return 1;
}

/* Makes a fit that ends after a drawn iteration, unless it has fewer, and arguments that continue it. */
static void cut(struct trial *t, struct call_arguments *arguments, enum fkm_status expected, struct kept *kept)
{
	struct call_arguments first = *arguments;
	int32_t most = 1;

	for (int64_t p = t->first; p < t->first + t->count; p++)
		most = t->expected[p].n_iter > most ? t->expected[p].n_iter : most;
	kept->left = 1 + (int32_t)(t->spec.seed / 7 % (uint64_t)(most * first.params.n_init));
	first.params.checkpoint = keep_and_end;
	first.params.checkpoint_user = kept;
	first.params.checkpoint_interval = 1;
	first.params.workspace = NULL; /* the caller's has no room for it */
	outputs_poison(&t->outputs);
	enum fkm_status status = make_call(t, &first);
	expected = kept->bytes ? FKM_CANCELLED : expected;
	if (status != expected)
		fail(t, "%s of a fit that is to end, not %s: %s", fkm_status_name(status), fkm_status_name(expected),
			 fkm_error_message());
	if (!kept->bytes)
		return;
	arguments->params.resume = kept->bytes;
	arguments->params.resume_bytes = (int64_t)kept->size;
}

static void compare_assignment(const struct trial *t, int64_t p, const struct ref_result *want)
{
	const struct fkm_fit_result *got = &t->outputs.result;
	int64_t n = t->spec.n, k = t->spec.k, at = p - t->first;

	compare(t, "labels", p, got->labels + at * n, want->labels, n, 4);
	compare(t, "counts", p, got->counts + at * k, want->counts, k, 8);
	compare(t, "order", p, got->order + at * n, want->order, n, 8);
	compare(t, "offsets", p, got->offsets + at * (k + 1), want->offsets, k + 1, 8);
	if (t->way.lean)
		return;
	compare(t, "distances", p, got->distances + at * n, want->distances, n, 8);
	compare(t, "inertia", p, got->inertia + at, &want->inertia, 1, 8);
}

static void check_fit(struct trial *t)
{
	struct fkm_fit_result *got = &t->outputs.result;
	struct fkm_array points;
	struct fkm_fit_params params;
	struct guarded workspace = {0};
	struct seen seen = {t, 0};
	struct kept kept = {0};
	const struct spec *s = &t->spec;
	enum fkm_status expected = FKM_OK;

	t->call = "fit";
	arguments(t, &points, &params);
	for (int64_t p = t->first; p < t->first + t->count; p++)
		if (t->expected[p].empty_cluster >= 0)
			expected = FKM_ERROR_EMPTY_CLUSTER;
	if (t->way.own_workspace) {
		enum fkm_status status = fkm_fit_workspace(context_of(t), &points, &params, got, &params.workspace_bytes);
		if (status != FKM_OK) {
			fail(t, "fkm_fit_workspace: %s", fkm_error_message());
			return;
		}
		workspace = guarded_make((size_t)params.workspace_bytes);
		params.workspace = workspace.data;
	}
	if (t->way.progress) {
		params.progress = see;
		params.progress_user = &seen;
	}
	struct call_arguments call = {.call = CALL_FIT, .points = points, .params = params, .result = got};
	if (t->way.resumed)
		cut(t, &call, expected, &kept);
	outputs_poison(&t->outputs);
	if (check_call(t, make_call(t, &call), expected)) {
		for (int64_t p = t->first; p < t->first + t->count; p++) {
			const struct ref_result *want = &t->expected[p];
			int64_t at = p - t->first, size = s->k * s->d * (int64_t)dtype_bytes(s->centroids_dtype);
			compare(t, "n_iter", p, got->n_iter + at, &want->n_iter, 1, 4);
			compare(t, "reason", p, got->reason + at, &want->reason, 1, 4);
			compare_centroids(t, p, (const char *)got->centroids + at * size, want->centroids);
			compare_assignment(t, p, want);
		}
		if (!kept.bytes)
			compare_number(t, "relocations", got->diagnosis.relocations, sum_of(t, relocations_of));
		compare_number(t, "empty_clusters", got->diagnosis.empty_clusters, sum_of(t, empty_of));
		streamed += got->diagnosis.streamed_rows > 0;
		if (t->way.kernel && strcmp(got->diagnosis.kernel, t->way.kernel) != 0)
			fail(t, "kernel %s ran", got->diagnosis.kernel);
		if (t->way.progress)
			compare_number(t, "calls of progress", seen.count, t->expected[t->first].n_iter);
	}
	if (workspace.block && !guarded_intact(&workspace))
		fail(t, "wrote outside of its workspace");
	guarded_free(&workspace);
	free(kept.bytes);
}

/* ---- predict, update, inertia: on the centroids and labels that a fit returns ---- */

static void check_pieces(struct trial *t)
{
	const struct spec *s = &t->spec;
	struct fkm_fit_result *got = &t->outputs.result;
	struct fkm_array points, centroids;
	struct fkm_fit_params params;
	int64_t elements = s->k * s->d;
	double *inertia = malloc((size_t)t->count * sizeof(double));
	double *stored = malloc((size_t)(t->count * elements) * sizeof(double));
	int32_t *labels = malloc((size_t)(t->count * s->n) * sizeof(int32_t));

	if (!inertia || !stored || !labels)
		abort();
	arguments(t, &points, &params);
	for (int64_t p = 0; p < t->count; p++) {
		const struct ref_result *fit = &t->expected[t->first + p];
		for (int64_t i = 0; i < elements; i++)
			store_value(stored, s->centroids_dtype, p * elements + i, fit->centroids[i]);
		memcpy(labels + p * s->n, fit->labels, (size_t)s->n * sizeof(int32_t));
	}
	centroids =
		(struct fkm_array){.data = stored, .dtype = s->centroids_dtype, .batch = t->count, .rows = s->k, .dims = s->d};

	t->call = "predict";
	outputs_poison(&t->outputs);
	const struct call_arguments predict = {
		.call = CALL_PREDICT, .points = points, .centroids = centroids, .params = params, .result = got};
	if (check_call(t, make_call(t, &predict), FKM_OK))
		for (int64_t p = t->first; p < t->first + t->count; p++)
			compare_assignment(t, p, &t->expected[p]);

	t->call = "inertia";
	const struct call_arguments sum = {.call = CALL_INERTIA,
									   .points = points,
									   .centroids = centroids,
									   .labels = labels,
									   .params = params,
									   .inertia = inertia};
	if (check_call(t, make_call(t, &sum), FKM_OK))
		for (int64_t p = 0; p < t->count; p++)
			compare(t, "inertia", t->first + p, inertia + p, &t->expected[t->first + p].inertia, 1, 8);

	/* Other labels than the best ones, and clusters that lose their points. */
	for (int64_t i = 0; i < t->count * s->n; i++)
		labels[i] = (int32_t)((labels[i] + (i % 5 == 0) * i) % s->k);
	struct ref_result *updated = calloc((size_t)t->count, sizeof(*updated));
	enum fkm_status expected = FKM_OK;
	if (!updated)
		abort();
	for (int64_t p = 0; p < t->count; p++) {
		struct ref_problem problem;
		data_problem(s, &t->data, t->first + p, &problem);
		ref_update(&problem, labels + p * s->n, t->expected[t->first + p].centroids, s->empty, s->centroids_dtype,
				   &updated[p]);
		if (updated[p].empty_cluster >= 0)
			expected = FKM_ERROR_EMPTY_CLUSTER;
	}
	t->call = "update";
	outputs_poison(&t->outputs);
	const struct call_arguments update = {.call = CALL_UPDATE,
										  .points = points,
										  .centroids = centroids,
										  .labels = labels,
										  .params = params,
										  .result = got};
	if (check_call(t, make_call(t, &update), expected))
		for (int64_t p = 0; p < t->count; p++) {
			int64_t size = elements * (int64_t)dtype_bytes(s->centroids_dtype);
			compare_centroids(t, t->first + p, (const char *)got->centroids + p * size, updated[p].centroids);
			compare(t, "counts", t->first + p, got->counts + p * s->k, updated[p].counts, s->k, 8);
			compare_number(t, "n_iter", got->n_iter[p], 0);
		}

	for (int64_t p = 0; p < t->count; p++)
		ref_result_free(&updated[p]);
	free(updated);
	free(inertia);
	free(stored);
	free(labels);
}

/* ---- cases ---- */

static void trial_make(struct trial *t)
{
	const struct spec *s = &t->spec;
	if (running)
		memcpy(running, t->replay, sizeof(*running));
	double *start = malloc((size_t)(s->k * s->d) * sizeof(double));

	data_make(s, &t->data);
	outputs_make(&t->outputs, s->b, s->n, s->k, s->d, s->centroids_dtype);
	t->expected = calloc((size_t)s->b, sizeof(*t->expected));
	if (!start || !t->expected)
		abort();
	for (int64_t p = 0; p < s->b; p++) {
		struct ref_problem problem;
		struct ref_options options = {.init = s->init,
									  .start = start,
									  .stop = s->stop,
									  .empty = s->empty,
									  .max_iter = s->max_iter,
									  .tol = s->tol,
									  .n_init = s->n_init,
									  .seed = s->seed,
									  .centroids_dtype = s->centroids_dtype};
		data_problem(s, &t->data, p, &problem);
		if (s->init == FKM_INIT_CENTROIDS)
			data_start(s, &t->data, p, start);
		ref_fit(&problem, &options, &t->expected[p]);
	}
	free(start);
	t->first = 0;
	t->count = s->b;
}

static void trial_free(struct trial *t)
{
	for (int64_t p = 0; p < t->spec.b; p++)
		ref_result_free(&t->expected[p]);
	free(t->expected);
	outputs_free(&t->outputs);
	data_free(&t->data);
}

static bool all_fitted(const struct trial *t)
{
	for (int64_t p = t->first; p < t->first + t->count; p++)
		if (t->expected[p].empty_cluster >= 0)
			return false;
	return true;
}

/* Whether all calls of the trial could run with these results; *bytes: the workspace of the fit. */
static bool could_run(const struct trial *t, const struct fkm_fit_result *results, int64_t *bytes)
{
	struct fkm_array points, centroids;
	struct fkm_fit_params params;
	int64_t others;

	arguments(t, &points, &params);
	if (t->way.resumed)
		params.checkpoint = keep_and_end;
	centroids =
		(struct fkm_array){.dtype = t->spec.centroids_dtype, .batch = t->count, .rows = t->spec.k, .dims = t->spec.d};
	return fkm_fit_workspace(context_of(t), &points, &params, results, bytes) == FKM_OK &&
		   fkm_predict_workspace(context_of(t), &points, &centroids, &params, results, &others) == FKM_OK &&
		   fkm_update_workspace(context_of(t), &points, &centroids, &params, results, &others) == FKM_OK;
}

/* The budget of the trial's way, for these results: 0 for all; -1 where nothing runs, or no way of the budget's would be
 * another one. */
static int64_t budget_of(const struct trial *t, const struct fkm_fit_result *results)
{
	int64_t full = 0, bytes;

	if (t->way.memory == ROOMY)
		return 0;
	if (!could_run(t, results, &full))
		return -1;
	int64_t least = 2 * full, less = 0;
	while (least - less > 256) {
		const int64_t budget = less + (least - less) / 2;
		suite_set_budget(&on, t->way.threads_index, budget);
		if (could_run(t, results, &bytes))
			least = budget;
		else
			less = budget;
	}
	suite_set_budget(&on, t->way.threads_index, 0);
	return t->way.memory == TIGHT || least > full ? least : least + (full - least) / 2;
}

static void run_way(struct trial *t, struct way way)
{
	/* The suite's workspaces are host memory, which only one backend works in. */
	way.own_workspace =
		way.own_workspace && on.device_count == 0 && strcmp(fkm_context_backend(on.contexts[0][0]), "cpu") == 0;
	t->way = way;
	const struct fkm_fit_result all = t->outputs.result;
	if (way.lean) {
		t->outputs.result.distances = NULL;
		t->outputs.result.inertia = NULL;
	}
	/* Each rank is given what the whole takes: fewer rows take less, but a rank may want results that others do not. */
	const int64_t budget = budget_of(t, on.ranks > 1 ? &all : &t->outputs.result);
	if (budget >= 0) {
		suite_set_budget(&on, t->way.threads_index, budget);
		check_fit(t);
		if (all_fitted(t))
			check_pieces(t);
		suite_set_budget(&on, t->way.threads_index, 0);
	}
	t->outputs.result = all;
}

/* Whether a kernel may run this case; that it is refused otherwise is checked here. */
static bool kernel_fits(struct trial *t, int kernel)
{
	struct fkm_array points;
	struct fkm_fit_params params;
	int64_t bytes = -1;

	t->way = (struct way){.kernel = on.kernels[kernel]};
	t->call = "fit_workspace";
	arguments(t, &points, &params);
	enum fkm_status status = fkm_fit_workspace(context_of(t), &points, &params, &t->outputs.result, &bytes);
	if (status != FKM_OK && status != FKM_ERROR_UNSUPPORTED)
		fail(t, "%s: %s", fkm_status_name(status), fkm_error_message());
	kernel_runs[kernel] += status == FKM_OK;
	return status == FKM_OK;
}

static void run_fixed(struct trial *t)
{
	const struct spec *s = &t->spec;

	run_way(t, (struct way){0});
	run_way(t, (struct way){.threads_index = 1 + (int)(s->seed % 2), .chunk_rows = 37, .lean = true});
	run_way(t, (struct way){.threads_index = 1, .chunk_rows = 37, .memory = TIGHT});
	run_way(t, (struct way){.resumed = true});
	run_way(t, (struct way){.resumed = true, .memory = HALFWAY});
	if (!s->core)
		return;
	run_way(t, (struct way){.memory = HALFWAY});
	run_way(t, (struct way){.chunk_rows = s->n / 3 + 1, .memory = HALFWAY, .lean = true});
	if (s->n <= 300)
		run_way(t, (struct way){.chunk_rows = 1, .memory = TIGHT});
	run_way(t, (struct way){0}); /* once more */
	for (int i = 1; i < THREAD_COUNTS; i++)
		run_way(t, (struct way){.threads_index = i});
	run_way(t, (struct way){.threads_index = 1, .chunk_rows = s->n});
	if (s->n <= 300)
		run_way(t, (struct way){.chunk_rows = 1});
	run_way(t, (struct way){.own_workspace = true});
	if (s->b == 1 && (s->n_init == 1 || s->init == FKM_INIT_CENTROIDS) && t->expected->empty_cluster < 0)
		run_way(t, (struct way){.progress = true});
	for (int kernel = 0; kernel < on.kernel_count; kernel++)
		if (kernel_fits(t, kernel)) {
			run_way(t, (struct way){.kernel = on.kernels[kernel], .lean = true});
			run_way(t, (struct way){.kernel = on.kernels[kernel], .resumed = true});
			run_way(t, (struct way){.kernel = on.kernels[kernel], .threads_index = 1, .chunk_rows = 37});
			run_way(t, (struct way){.kernel = on.kernels[kernel], .chunk_rows = 97, .memory = HALFWAY});
		}
	for (int64_t p = 0; p < s->b && s->b > 1; p++) { /* alone, and at the other end of a smaller batch */
		t->first = p;
		t->count = 1;
		run_way(t, (struct way){0});
		t->count = s->b - p;
		run_way(t, (struct way){.threads_index = 1});
	}
}

static void run_random(struct trial *t)
{
	const struct spec *s = &t->spec;
	const int64_t chunks[] = {0, 1 + (int64_t)(s->seed % (uint64_t)s->n), 37, s->n};
	struct way way = {.threads_index = s->threads_index,
					  .chunk_rows = chunks[s->chunk_index],
					  .own_workspace = s->seed % 2,
					  .resumed = s->seed / 5 % 5 == 0,
					  .lean = s->seed % 3 == 0};
	int kernel = s->kernel_index % (on.kernel_count + 1);

	if (kernel < on.kernel_count && kernel_fits(t, kernel))
		way.kernel = on.kernels[kernel];
	if (s->seed % 5 < 2) {
		way.memory = s->seed % 5 == 0 ? TIGHT : HALFWAY;
		way.chunk_rows = 1 + (int64_t)(s->seed % (uint64_t)(s->n / 3 + 1));
	}
	run_way(t, way);
}

static void replay_fixed(int64_t index)
{
	struct trial t = {0};

	if (!spec_fixed(index, &t.spec))
		return;
	snprintf(t.replay, sizeof(t.replay), "fixed:%" PRId64, index);
	trial_make(&t);
	run_fixed(&t);
	trial_free(&t);
}

static void replay_random(uint64_t seed, int64_t index)
{
	struct trial t = {0};

	spec_random(seed, index, &t.spec);
	snprintf(t.replay, sizeof(t.replay), "%" PRIu64 ":%" PRId64, seed, index);
	trial_make(&t);
	run_random(&t);
	trial_free(&t);
}

/* The whole suite, or a part of it. */
static int run_suite(uint64_t seed, int64_t cases, int64_t part_index, int64_t parts)
{
	struct spec spec;

	for (int64_t i = 0; cases < 0 && spec_fixed(i, &spec); i++)
		if (i % parts == part_index)
			replay_fixed(i);
	for (int64_t i = 0; i < (cases < 0 ? RANDOM_CASES : cases); i++)
		if (i % parts == part_index)
			replay_random(seed, i);
	for (int i = 0; i < on.kernel_count && cases < 0; i++)
		if (kernel_runs[i] == 0)
			printf("note: kernel %s fits no case on this machine\n", on.kernels[i]);
	return failures ? 1 : 0;
}

/* Runs the rest of the program in a child, whose crash is told with its case. */
static void outlive_crashes(void)
{
	int status;

	running = mmap(NULL, sizeof(*running), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (running == MAP_FAILED)
		abort();
	pid_t child = fork();
	if (child == 0)
		return;
	if (child < 0 || waitpid(child, &status, 0) != child)
		abort();
	if ((*running)[0])
		printf("FAIL --replay %s: ended the program\n", *running);
	exit(WIFEXITED(status) && !(*running)[0] ? WEXITSTATUS(status) : 1);
}

int main(int argc, char **argv)
{
	const char *name = getenv("FKM_BACKEND"), *replay = NULL;
	uint64_t seed = 1;
	int64_t cases = -1, part_index = 0, parts = 1;
	int result;

	name = name && *name ? name : "cpu";
	for (int i = 1; i + 1 < argc; i += 2) {
		char *end = NULL;
		if (strcmp(argv[i], "--seed") == 0) {
			seed = strtoull(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--cases") == 0) {
			cases = strtoll(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--part") == 0) {
			part_index = strtoll(argv[i + 1], &end, 0);
			parts = *end == '/' ? strtoll(end + 1, NULL, 0) : 0;
		} else if (strcmp(argv[i], "--ranks") == 0) {
			on.ranks = (int)strtol(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--devices") == 0) {
			on.device_count = (int)strtol(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--replay") == 0) {
			replay = argv[i + 1];
		}
	}
	if (argc % 2 == 0 || parts < 1 || on.ranks < 1 || on.ranks > MOST_RANKS || on.device_count > MOST_RANKS) {
		printf("usage: conformance [--part I/N] [--seed S] [--cases M] [--replay S:INDEX|fixed:INDEX]\n"
			   "                   [--ranks R | --devices D]\n");
		return 2;
	}
	if (!replay)
		outlive_crashes();
	suite_open(&on, name);
	if (replay) {
		const char *colon = strchr(replay, ':');
		int64_t index = colon ? strtoll(colon + 1, NULL, 0) : 0;
		if (strncmp(replay, "fixed:", 6) == 0)
			replay_fixed(index);
		else
			replay_random(strtoull(replay, NULL, 0), index);
		result = failures ? 1 : 0;
	} else {
		result = run_suite(seed, cases, part_index, parts);
		(*running)[0] = 0;
	}
	suite_close(&on);
	printf("%s: %" PRId64 " calls compared, %" PRId64 " of them streamed, %" PRId64 " failures (seed %" PRIu64 ")\n",
		   name, calls, streamed, failures, seed);
	return result;
}
