/* SPDX-License-Identifier: Apache-2.0 */
#include "steps.h"

#include <assert.h>
#include <stdatomic.h>

enum {
	LINE = 128,             /* keeps two threads' blocks off each other's cache lines */
	GRAIN_WORK = 1 << 15,   /* of one range: tens of microseconds */
	THREAD_WORK = 1 << 14,  /* what waking one more thread is worth */
	SHARED_WORK = 1 << 18,  /* of a problem that deserves the whole pool */
	SCRATCH_CAP = 64 << 20, /* beyond one worker's need: fewer workers rather than more memory */
};

static int64_t round_up(int64_t bytes)
{
	return (bytes + LINE - 1) / LINE * LINE;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t fkmi_cpu_grain(int64_t d)
{
	return larger(1, GRAIN_WORK / d);
}

int64_t fkmi_cpu_step_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem)
{
	const struct fkmi_cpu_need needs[] = {
		fkmi_cpu_check_need(problem),    fkmi_cpu_centroids_need(problem), fkmi_cpu_seed_need(problem),
		fkmi_cpu_relocate_need(problem), fkmi_cpu_results_need(problem),
	};
	int64_t bytes = 0;
	for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
		int64_t shared = round_up(needs[i].shared_bytes), part = round_up(needs[i].part_bytes);
		int64_t helper = problem->b > 1 ? shared + part : part;
		int64_t helpers = smaller(limits->units, larger(problem->n, problem->b)) - 1;
		bytes = larger(bytes, shared + part + smaller(helper * helpers, SCRATCH_CAP));
	}
	return bytes;
}

struct fkmi_cpu_parts fkmi_cpu_split(const struct fkmi_cpu_team *team, struct fkmi_cpu_need need, int64_t work)
{
	struct fkmi_cpu_parts parts = {.shared = team->scratch, .part_bytes = round_up(need.part_bytes)};
	int64_t shared = round_up(need.shared_bytes), count = team->pool ? fkmi_pool_threads(team->pool) : 1;
	assert(shared + parts.part_bytes <= team->scratch_bytes);
	count = smaller(count, 1 + work / THREAD_WORK);
	if (parts.part_bytes > 0)
		count = smaller(count, (team->scratch_bytes - shared) / parts.part_bytes);
	parts.first = team->scratch + shared;
	parts.count = (int)larger(1, count);
	return parts;
}

/* ---- ranges ---- */

struct ranges {
	fkmi_cpu_range_fn fn;
	void *context;
	int parts;
	int64_t count, grain;
	_Atomic int64_t next;
};

static void take_ranges(void *argument, int thread, int threads)
{
	struct ranges *ranges = argument;
	(void)threads;
	if (thread >= ranges->parts)
		return;
	for (;;) {
		int64_t begin = atomic_fetch_add_explicit(&ranges->next, ranges->grain, memory_order_relaxed);
		if (begin >= ranges->count)
			return;
		ranges->fn(ranges->context, thread, begin, smaller(ranges->count, begin + ranges->grain));
	}
}

void fkmi_cpu_run(const struct fkmi_cpu_team *team, int parts, int64_t count, int64_t grain, fkmi_cpu_range_fn fn,
				  void *context)
{
	struct ranges ranges = {.fn = fn, .context = context, .parts = parts, .count = count, .grain = grain};
	if (team->pool && parts > 1 && count > grain)
		fkmi_pool_run(team->pool, take_ranges, &ranges);
	else
		take_ranges(&ranges, 0, 1);
}

/* ---- problems ---- */

struct problems {
	const struct fkmi_job *job;
	fkmi_cpu_problem_fn fn;
	void *context;
	int workers;
	int64_t share_bytes; /* of the scratch, for one worker */
	_Atomic int64_t next;
};

static bool is_active(const struct fkmi_job *job, int64_t b)
{
	return ((const int32_t *)fkmi_ref_ptr(job->active))[b] != 0;
}

static void take_problems(void *argument, int thread, int threads)
{
	struct problems *problems = argument;
	(void)threads;
	if (thread >= problems->workers)
		return;
	const struct fkmi_cpu_team alone = {
		.scratch = (char *)fkmi_ref_ptr(problems->job->scratch) + thread * problems->share_bytes,
		.scratch_bytes = problems->share_bytes,
	};
	for (;;) {
		int64_t b = atomic_fetch_add_explicit(&problems->next, 1, memory_order_relaxed);
		if (b >= problems->job->problem.b)
			return;
		if (is_active(problems->job, b))
			problems->fn(&alone, problems->job, b, problems->context);
	}
}

/* One problem after the other, by all threads. */
static void take_in_turn(struct fkmi_pool *pool, const struct fkmi_job *job, fkmi_cpu_problem_fn fn, void *context)
{
	const struct fkmi_cpu_team all = {
		.pool = pool, .scratch = fkmi_ref_ptr(job->scratch), .scratch_bytes = job->plan.scratch_bytes};
	for (int64_t b = 0; b < job->problem.b; b++)
		if (is_active(job, b))
			fn(&all, job, b, context);
}

enum fkm_status fkmi_cpu_each_merged(struct fkmi_device *device, const struct fkmi_job *job, int64_t work,
									 struct fkmi_cpu_need need, fkmi_cpu_problem_fn fn, void *context)
{
	if (job->merge != NULL)
		take_in_turn(((struct fkmi_cpu *)device)->pool, job, fn, context);
	else
		fkmi_cpu_each_problem(device, job, work, need, fn, context);
	return fkmi_merge_status(job->merge);
}

void fkmi_cpu_each_problem(struct fkmi_device *device, const struct fkmi_job *job, int64_t work,
						   struct fkmi_cpu_need need, fkmi_cpu_problem_fn fn, void *context)
{
	struct fkmi_pool *pool = ((struct fkmi_cpu *)device)->pool;
	int64_t bytes = round_up(need.shared_bytes) + round_up(need.part_bytes), scratch = job->plan.scratch_bytes;
	int64_t b = job->problem.b, workers = smaller(fkmi_pool_threads(pool), 1 + b * (work + 1) / THREAD_WORK);
	if (bytes > 0)
		workers = smaller(workers, scratch / bytes);
	workers = larger(1, smaller(workers, b));
	if (b > 1 && (work < SHARED_WORK || b >= 8 * workers)) {
		struct problems problems = {.job = job, .fn = fn, .context = context, .workers = (int)workers};
		problems.share_bytes = scratch / workers / LINE * LINE;
		if (workers > 1)
			fkmi_pool_run(pool, take_problems, &problems);
		else
			take_problems(&problems, 0, 1);
		return;
	}
	take_in_turn(pool, job, fn, context);
}
