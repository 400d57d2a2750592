/* SPDX-License-Identifier: Apache-2.0 */
/* Empty clusters, docs/semantics.md section 3.3. */
#include "steps.h"

#include <string.h>

/* A point that may move: far ones first, then low rows. */
struct far_point {
	double distance;
	int64_t row;
	int64_t target; /* the empty cluster that gets it */
};

struct fkmi_cpu_need fkmi_cpu_relocate_need(const struct fkmi_problem *problem)
{
	if (!problem->fits || problem->empty != FKM_EMPTY_RELOCATE)
		return (struct fkmi_cpu_need){0};
	return (struct fkmi_cpu_need){
		.shared_bytes = problem->k * (int64_t)sizeof(struct far_point),
		.part_bytes = fkmi_cpu_results_need(problem).part_bytes,
	};
}

void fkmi_cpu_find_empty(const struct fkmi_job *job, int64_t b)
{
	struct fkmi_state *state = fkmi_cpu_state(job, b);
	const int64_t *weights = fkmi_cpu_int64s(job->total_weights, b * job->problem.k);
	state->empty = 0;
	state->first_empty = -1;
	for (int64_t k = job->problem.k - 1; k >= 0; k--) {
		if (weights[k] != 0)
			continue;
		state->empty++;
		state->first_empty = k;
	}
}

/* ---- the farthest points ---- */

static bool before(struct far_point a, struct far_point b)
{
	return a.distance > b.distance || (a.distance == b.distance && a.row < b.row);
}

/* Restores a heap whose root, alone out of place, is to be its last point in order. */
static void sift_down(struct far_point *heap, int64_t count)
{
	struct far_point moving = heap[0];
	int64_t hole = 0;
	for (int64_t child = 1; child < count; child = 2 * hole + 1) {
		if (child + 1 < count && before(heap[child], heap[child + 1]))
			child++;
		if (!before(moving, heap[child]))
			break;
		heap[hole] = heap[child];
		hole = child;
	}
	heap[hole] = moving;
}

static void sift_up(struct far_point *heap, int64_t hole)
{
	struct far_point moving = heap[hole];
	for (; hole > 0 && before(heap[(hole - 1) / 2], moving); hole = (hole - 1) / 2)
		heap[hole] = heap[(hole - 1) / 2];
	heap[hole] = moving;
}

/* The first `count` points in order, in order; there are at least as many. */
static void select_farthest(const double *distances, int64_t n, struct far_point *points, int64_t count)
{
	for (int64_t i = 0; i < n; i++) {
		struct far_point point = {.distance = distances[i], .row = i};
		if (i < count) {
			points[i] = point;
			sift_up(points, i);
		} else if (before(point, points[0])) {
			points[0] = point;
			sift_down(points, count);
		}
	}
	for (int64_t left = count - 1; left > 0; left--) {
		struct far_point last = points[0];
		points[0] = points[left];
		sift_down(points, left);
		points[left] = last;
	}
}

/* ---- moving them ---- */

/* Moves a row to an empty cluster; x: room for a row. */
static void move(const struct fkmi_job *job, int64_t b, int64_t row, int64_t empty, double *x)
{
	const struct fkmi_problem *p = &job->problem;
	const double *scale = fkmi_cpu_doubles(job->column_scale, b * p->d);
	double weight = fkmi_cpu_weight(job, b, row);
	int64_t donor = fkmi_cpu_labels(job, b)[row];
	int64_t *sums = fkmi_cpu_int64s(job->total_sums, b * p->k * p->d),
			*weights = fkmi_cpu_int64s(job->total_weights, b * p->k);
	int64_t quantised = fkmi_cpu_rint(weight * fkmi_cpu_state(job, b)->weight_scale);
	fkmi_cpu_load_row(job, b, row, x);
	fkmi_cpu_accumulate_row(x, weight, scale, p->d, -1, sums + donor * p->d);
	memset(sums + empty * p->d, 0, (size_t)p->d * sizeof(int64_t));
	fkmi_cpu_accumulate_row(x, weight, scale, p->d, 1, sums + empty * p->d);
	weights[empty] = quantised;
	weights[donor] -= quantised;
}

static void relocate(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	(void)context;
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_state *state = fkmi_cpu_state(job, b);
	fkmi_cpu_find_empty(job, b);
	if (state->empty == 0)
		return;
	const struct fkmi_span all = {0, p->n};
	struct fkmi_cpu_limbs unused;
	fkmi_cpu_take_distances(team, job, b, all, 0, &unused);
	struct fkmi_cpu_parts parts = fkmi_cpu_split(team, fkmi_cpu_relocate_need(p), 0);
	struct far_point *points = (struct far_point *)(void *)parts.shared;
	select_farthest(fkmi_cpu_doubles(job->distances, b * p->n), p->n, points, state->empty);
	if (!(points[0].distance > 0))
		return;
	/* All pairs are made before the first move, which may empty its donor. */
	const int64_t *weights = fkmi_cpu_int64s(job->total_weights, b * p->k);
	for (int64_t k = state->first_empty, pairs = 0; pairs < state->empty; k++)
		if (weights[k] == 0)
			points[pairs++].target = k;
	for (int64_t i = 0; i < state->empty; i++)
		move(job, b, points[i].row, points[i].target, fkmi_cpu_part(&parts, 0));
	state->relocated += state->empty;
}

enum fkm_status fkmi_cpu_relocate(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	fkmi_cpu_each_problem(device, job, p->n * p->d, fkmi_cpu_relocate_need(p), relocate, NULL);
	return FKM_OK;
}
