/* SPDX-License-Identifier: Apache-2.0 */
/* The steps load_centroids, round_centroids, store_centroids, gather_centroids (kernels/common/centroids.h), seed_first
 * and seed_next (kernels/common/seed.h). */
#include "steps.h"

enum fkm_status fkmi_gpu_load_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref from,
										enum fkm_dtype dtype, int64_t row_stride, int64_t batch_stride)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t blocks = fkmi_gpu_divide_up(p->k, FKMI_OCTETS);
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_load_centroids");
	fkmi_gpu_add_ref(&call, from);
	fkmi_gpu_add_i32(&call, dtype);
	fkmi_gpu_add_i64(&call, row_stride);
	fkmi_gpu_add_i64(&call, batch_stride);
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_i32(&call, p->metric == FKM_METRIC_COSINE);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * blocks);
}

enum fkm_status fkmi_gpu_round_centroids(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_round_centroids");
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_i64(&call, p->k * p->d);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run_elements(&call, p->b * p->k * p->d);
}

enum fkm_status fkmi_gpu_store_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref to,
										 enum fkm_dtype dtype)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t count = p->b * p->k * p->d;
	if (dtype == FKM_F64)
		return device->backend->copy(device, to, job->centroids, count * (int64_t)sizeof(double));
	struct fkmi_gpu_call call = {.device = device, .job = job, .kernel = "fkmi_k_store_centroids"};
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, to);
	fkmi_gpu_add_i64(&call, count);
	return fkmi_gpu_run_elements(&call, count);
}

/* to [b, count, d] = the rows of those numbers, [b, count]. */
static enum fkm_status gather_rows(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref rows,
								   int64_t count, struct fkmi_ref to)
{
	const struct fkmi_problem *p = &job->problem;
	FKMI_TRY(fkmi_list_rows(job, 0, p->b, rows, count));
	const struct fkmi_job list = fkmi_listed(job, 0, count);
	struct fkmi_gpu_call call = fkmi_gpu_call(device, &list, "fkmi_k_gather_rows");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_i32(&call, list.windows != NULL);
	fkmi_gpu_add_ref(&call, rows);
	fkmi_gpu_add_ref(&call, to);
	fkmi_gpu_add_i64(&call, count);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run_elements(&call, p->b * count * p->d);
}

enum fkm_status fkmi_gpu_gather_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref rows)
{
	return gather_rows(device, job, rows, job->problem.k, job->centroids);
}

/* ---- seeding ---- */

/* A round of the greedy k-means++. */
struct round {
	struct fkmi_device *device;
	const struct fkmi_job *job;
	struct fkmi_gpu_layout layout;
	struct fkmi_draw draw;
	int64_t k;
	int32_t trials;
	/* What values are made of, see kernels/common/seed.h: none in the first round. */
	struct fkmi_ref nearest, highest;
};

static int64_t seed_blocks(struct fkmi_span span)
{
	return fkmi_gpu_divide_up(span.rows, FKMI_SEED_ROUNDS * FKMI_OCTETS);
}

/* What the values of each rank sum up to. */
static enum fkm_status share_sums(const struct round *round)
{
	const struct fkmi_job *job = round->job;
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_ref shares = fkmi_gpu_scratch(job, round->layout.shares);
	struct fkmi_gpu_call call = fkmi_gpu_call(round->device, job, "fkmi_k_seed_share");
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, round->layout.seed_sums));
	fkmi_gpu_add_ref(&call, shares);
	fkmi_gpu_add_i32(&call, job->rank);
	fkmi_gpu_add_i32(&call, p->ranks);
	fkmi_gpu_add_i64(&call, round->layout.sum_blocks);
	fkmi_gpu_add_i64(&call, p->b);
	FKMI_TRY(fkmi_gpu_run(&call, p->b));
	return fkmi_merge(round->device, job, shares, p->b * p->ranks, FKM_REDUCE_SUM);
}

static enum fkm_status sum_values(const struct round *round)
{
	const struct fkmi_job *job = round->job;
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_gpu_call call = fkmi_gpu_call(round->device, job, "fkmi_k_seed_sums");
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, round->nearest);
	fkmi_gpu_add_ref(&call, round->highest);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, round->layout.seed_sums));
	fkmi_gpu_add_i64(&call, p->n);
	fkmi_gpu_add_i64(&call, p->n_all);
	fkmi_gpu_add_i64(&call, round->layout.sum_rows);
	fkmi_gpu_add_i64(&call, round->layout.sum_blocks);
	fkmi_gpu_add_i64(&call, p->b);
	FKMI_TRY(fkmi_gpu_run(&call, p->b * round->layout.sum_blocks));
	return p->ranks > 1 ? share_sums(round) : FKM_OK;
}

static enum fkm_status pick_rows(const struct round *round, bool uniform)
{
	const struct fkmi_job *job = round->job;
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_ref none = {0}, picked = fkmi_gpu_scratch(job, round->layout.picked);
	const struct fkmi_ref candidates = fkmi_gpu_scratch(job, round->layout.candidates);
	const bool shared = !uniform && p->ranks > 1;
	struct fkmi_gpu_call call = fkmi_gpu_call(round->device, job, "fkmi_k_seed_pick");
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, round->nearest);
	fkmi_gpu_add_ref(&call, round->highest);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, uniform ? none : fkmi_gpu_scratch(job, round->layout.seed_sums));
	fkmi_gpu_add_ref(&call, shared ? fkmi_gpu_scratch(job, round->layout.shares) : none);
	fkmi_gpu_add_i32(&call, job->rank);
	fkmi_gpu_add_i32(&call, p->ranks);
	fkmi_gpu_add_i64(&call, job->first_row);
	fkmi_gpu_add_i64(&call, p->n_all);
	fkmi_gpu_add_ref(&call, picked);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, round->layout.potentials));
	fkmi_gpu_add_i64(&call, (int64_t)round->draw.seed);
	fkmi_gpu_add_i32(&call, (int32_t)round->draw.run);
	fkmi_gpu_add_i32(&call, round->k);
	fkmi_gpu_add_i32(&call, round->trials);
	fkmi_gpu_add_i64(&call, p->n);
	fkmi_gpu_add_i64(&call, round->layout.sum_rows);
	fkmi_gpu_add_i64(&call, round->layout.sum_blocks);
	fkmi_gpu_add_i64(&call, p->b);
	FKMI_TRY(fkmi_gpu_run(&call, p->b * round->trials));
	FKMI_TRY(gather_rows(round->device, job, picked, round->trials, candidates));
	return fkmi_merge(round->device, job, candidates, p->b * round->trials * p->d, FKM_REDUCE_SUM);
}

static enum fkm_status sum_potentials(const struct round *round, const struct fkmi_job *job, struct fkmi_span span)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t blocks = seed_blocks(span);
	struct fkmi_gpu_call call = fkmi_gpu_call(round->device, job, "fkmi_k_seed_potentials");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, round->nearest);
	fkmi_gpu_add_ref(&call, round->highest);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, round->layout.candidates));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, round->layout.potentials));
	fkmi_gpu_add_i32(&call, round->trials);
	fkmi_gpu_add_i64(&call, p->n_all);
	fkmi_gpu_add_span(&call, span);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * blocks);
}

static enum fkm_status choose_trial(const struct round *round)
{
	const struct fkmi_job *job = round->job;
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_gpu_call call = fkmi_gpu_call(round->device, job, "fkmi_k_seed_choose");
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, round->layout.candidates));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, round->layout.potentials));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, round->layout.highest));
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_i32(&call, round->trials);
	fkmi_gpu_add_i64(&call, round->k);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b);
}

static enum fkm_status fold_distances(const struct round *round, const struct fkmi_job *job, struct fkmi_span span)
{
	const struct fkmi_problem *p = &job->problem;
	const int64_t blocks = seed_blocks(span);
	struct fkmi_gpu_call call = fkmi_gpu_call(round->device, job, "fkmi_k_seed_fold");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, job->distances);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, round->layout.highest));
	fkmi_gpu_add_i64(&call, round->k);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_span(&call, span);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * blocks);
}

static enum fkm_status join_centroid(const struct round *round)
{
	const struct fkmi_job *job = round->job;
	FKMI_GPU_PASS(job, w, fold_distances(round, &w.job, w.span));
	return fkmi_merge(round->device, job, fkmi_gpu_scratch(job, round->layout.highest), job->problem.b, FKM_REDUCE_MAX);
}

enum fkm_status fkmi_gpu_seed_first(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_draw draw)
{
	const struct round round = {
		.device = device, .job = job, .layout = fkmi_gpu_layout_of(job), .draw = draw, .k = 0, .trials = 1};
	if (job->problem.weighted)
		FKMI_TRY(sum_values(&round));
	FKMI_TRY(pick_rows(&round, !job->problem.weighted));
	FKMI_TRY(choose_trial(&round));
	return join_centroid(&round);
}

enum fkm_status fkmi_gpu_seed_next(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_draw draw,
								   int64_t k)
{
	struct round round = {.device = device, .job = job, .layout = fkmi_gpu_layout_of(job), .draw = draw, .k = k};
	round.trials = round.layout.trials;
	round.nearest = job->distances;
	round.highest = fkmi_gpu_scratch(job, round.layout.highest);
	FKMI_TRY(sum_values(&round));
	FKMI_TRY(pick_rows(&round, false));
	FKMI_GPU_PASS(job, w, sum_potentials(&round, &w.job, w.span));
	FKMI_TRY(fkmi_merge(device, job, fkmi_gpu_scratch(job, round.layout.potentials), job->problem.b * round.trials,
						FKM_REDUCE_SUM));
	FKMI_TRY(choose_trial(&round));
	return join_centroid(&round);
}
