/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step relocate where points and clusters are those of several ranks: kernels/common/ranks.h. Each shows the others
 * its farthest points, of which all choose the same; then whoever has a chosen point shows what moves with it. Clusters
 * seldom run empty, so the choice is made on the host.
 */
#include <stdlib.h>
#include <string.h>

#include "steps.h"

/* A point that may move: the bits of its distance, in the order of the distances, and its row among all ranks'. */
struct far_point {
	int64_t distance, row;
};

/* The moves of one problem. */
struct moving {
	struct fkmi_device *device;
	const struct fkmi_job *job;
	const struct fkmi_gpu_layout *layout;
	int64_t b, count;
	struct far_point *points; /* [ranks, count]: each rank's; in the end the first `count` are those that move */
	int64_t *column;          /* [count]: keys or rows */
	int64_t *weights;         /* [K]: of the clusters */
	int64_t *targets;         /* [count] */
};

static int far_first(const void *left, const void *right)
{
	const struct far_point *a = left, *b = right;
	if (a->distance != b->distance)
		return a->distance > b->distance ? -1 : 1;
	return (a->row > b->row) - (a->row < b->row);
}

static enum fkm_status download_column(const struct moving *m, int64_t offset)
{
	const int64_t bytes = (int64_t)sizeof(int64_t);
	return m->device->backend->download(
		m->device, m->column, fkmi_gpu_scratch(m->job, offset + m->b * m->layout->sort_size * bytes), m->count * bytes);
}

/* The farthest points of all ranks, in order: there are as many. */
static enum fkm_status share_farthest(const struct moving *m)
{
	struct far_point *own = m->points + m->job->rank * m->count;
	const int64_t all = m->job->problem.ranks * m->count;
	memset(m->points, 0, (size_t)all * sizeof *m->points);
	FKMI_TRY(download_column(m, m->layout->sort_keys));
	for (int64_t i = 0; i < m->count; i++)
		own[i].distance = m->column[i];
	FKMI_TRY(download_column(m, m->layout->sort_rows));
	for (int64_t i = 0; i < m->count; i++)
		own[i].row = m->column[i];
	FKMI_TRY(fkmi_merge_values(m->job->merge, &m->points->distance, 2 * all, FKM_REDUCE_SUM));
	qsort(m->points, (size_t)all, sizeof *m->points, far_first);
	return FKM_OK;
}

static enum fkm_status list_targets(const struct moving *m)
{
	const int64_t k_count = m->job->problem.k, bytes = k_count * (int64_t)sizeof(int64_t);
	FKMI_TRY(
		m->device->backend->download(m->device, m->weights, fkmi_ref_add(m->job->total_weights, m->b * bytes), bytes));
	for (int64_t k = 0, pairs = 0; k < k_count && pairs < m->count; k++)
		if (m->weights[k] == 0)
			m->targets[pairs++] = k;
	return FKM_OK;
}

static enum fkm_status show_moves(const struct moving *m, struct fkmi_ref shown, int64_t first, int64_t count)
{
	const struct fkmi_job *job = m->job;
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_ref rows = fkmi_gpu_scratch(job, m->layout->shown_rows);
	for (int64_t i = 0; i < count; i++) {
		const int64_t row = m->points[first + i].row - job->first_row;
		m->column[i] = row >= 0 && row < p->n ? row : -1;
	}
	FKMI_TRY(m->device->backend->upload(m->device, rows, m->column, count * (int64_t)sizeof(int64_t)));
	FKMI_TRY(fkmi_list_rows(job, m->b, 1, rows, count));
	const struct fkmi_job list = fkmi_listed(job, m->b, count);
	struct fkmi_gpu_call call = {.device = m->device, .job = &list, .kernel = "fkmi_k_show_moves"};
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_i32(&call, list.windows != NULL);
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->column_scale);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, rows);
	fkmi_gpu_add_ref(&call, shown);
	fkmi_gpu_add_i64(&call, m->b);
	fkmi_gpu_add_i64(&call, count);
	FKMI_TRY(fkmi_gpu_run_elements(&call, count * (FKMI_SHOWN_EXTRA + p->d)));
	return fkmi_merge(m->device, job, shown, count * (FKMI_SHOWN_EXTRA + p->d), FKM_REDUCE_SUM);
}

static enum fkm_status apply_moves(const struct moving *m, struct fkmi_ref shown, int64_t first, int64_t count)
{
	const struct fkmi_job *job = m->job;
	const struct fkmi_ref targets = fkmi_gpu_scratch(job, m->layout->shown_targets);
	FKMI_TRY(m->device->backend->upload(m->device, targets, m->targets + first, count * (int64_t)sizeof(int64_t)));
	struct fkmi_gpu_call call = {.device = m->device, .job = job, .kernel = "fkmi_k_apply_moves"};
	fkmi_gpu_add_ref(&call, shown);
	fkmi_gpu_add_ref(&call, targets);
	fkmi_gpu_add_ref(&call, job->total_sums);
	fkmi_gpu_add_ref(&call, job->total_weights);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_i64(&call, m->b);
	fkmi_gpu_add_i64(&call, count);
	fkmi_gpu_add_i64(&call, job->problem.k);
	fkmi_gpu_add_i64(&call, job->problem.d);
	return fkmi_gpu_run(&call, 1);
}

static enum fkm_status move_points(const struct moving *m)
{
	const struct fkmi_ref shown = fkmi_gpu_scratch(m->job, m->layout->shown);
	FKMI_TRY(share_farthest(m));
	if (m->points[0].distance == 0) /* All points lie on their centroids: none moves. */
		return FKM_OK;
	FKMI_TRY(list_targets(m));
	for (int64_t first = 0; first < m->count; first += FKMI_SHOWN_MOVES) {
		const int64_t count = fkmi_gpu_least(m->count - first, FKMI_SHOWN_MOVES);
		FKMI_TRY(show_moves(m, shown, first, count));
		FKMI_TRY(apply_moves(m, shown, first, count));
	}
	return FKM_OK;
}

static enum fkm_status relocate_problem(struct fkmi_device *device, const struct fkmi_job *job,
										const struct fkmi_gpu_layout *l, int64_t b)
{
	struct fkmi_state state;
	FKMI_TRY(device->backend->download(device, &state, fkmi_ref_add(job->state, b * (int64_t)sizeof state),
									   (int64_t)sizeof state));
	const size_t count = (size_t)state.empty, k_count = (size_t)job->problem.k, ranks = (size_t)job->problem.ranks;
	struct moving m = {.device = device,
					   .job = job,
					   .layout = l,
					   .b = b,
					   .count = state.empty,
					   .points = malloc(ranks * count * sizeof *m.points),
					   .column = malloc(count * sizeof *m.column),
					   .weights = malloc(k_count * sizeof *m.weights),
					   .targets = malloc(count * sizeof *m.targets)};
	enum fkm_status status = FKM_OK;
	if (m.points == NULL || m.column == NULL || m.weights == NULL || m.targets == NULL)
		status = fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory to relocate %zu clusters", count);
	else
		status = move_points(&m);
	free(m.points);
	free(m.column);
	free(m.weights);
	free(m.targets);
	return status;
}

static enum fkm_status find_farthest(struct fkmi_device *device, const struct fkmi_job *job,
									 const struct fkmi_gpu_layout *l)
{
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_ref none = {0}, due = fkmi_gpu_scratch(job, l->due);
	FKMI_GPU_PASS(job, w, fkmi_gpu_take_distances(device, &w.job, due, w.span, none));
	struct fkmi_gpu_call call = fkmi_gpu_call_for(device, job, due, "fkmi_k_farthest");
	fkmi_gpu_add_ref(&call, job->distances);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->sort_keys));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->sort_rows));
	fkmi_gpu_add_i64(&call, job->first_row);
	fkmi_gpu_add_i64(&call, p->n);
	fkmi_gpu_add_i64(&call, l->sort_size);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b);
}

enum fkm_status fkmi_gpu_relocate_ranks(struct fkmi_device *device, const struct fkmi_job *job,
										const struct fkmi_gpu_layout *l)
{
	const int64_t b_count = job->problem.b, bytes = b_count * (int64_t)sizeof(int32_t);
	int32_t *due = malloc((size_t)bytes);
	if (due == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory to look at %lld problems", (long long)b_count);
	enum fkm_status status = device->backend->download(device, due, fkmi_gpu_scratch(job, l->due), bytes);
	bool any = false;
	for (int64_t b = 0; b < b_count && status == FKM_OK; b++)
		any = any || due[b];
	if (any)
		status = find_farthest(device, job, l);
	for (int64_t b = 0; b < b_count && status == FKM_OK; b++)
		if (due[b])
			status = relocate_problem(device, job, l, b);
	free(due);
	return status;
}
