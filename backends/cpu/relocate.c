/* SPDX-License-Identifier: Apache-2.0 */
/* Empty clusters, docs/semantics.md section 3.3. */
#include "steps.h"

#include <string.h>

enum { MOVED_TOGETHER = 64 };

/* A point that may move: far ones first, then low rows. */
struct far_point {
	double distance;
	int64_t row;    /* among all ranks' */
	int64_t target; /* the empty cluster that gets it */
};

/* A point as ranks show it to each other: the bits of its distance. */
struct shown_point {
	int64_t distance, row;
};

/* A point being moved: its quantised coordinates follow. */
struct moved_point {
	int64_t donor, weight;
	int64_t sums[];
};

static int64_t moved_bytes(int64_t d)
{
	return (int64_t)sizeof(struct moved_point) + d * (int64_t)sizeof(int64_t);
}

struct fkmi_cpu_need fkmi_cpu_relocate_need(const struct fkmi_problem *problem)
{
	if (!problem->fits || problem->empty != FKM_EMPTY_RELOCATE)
		return (struct fkmi_cpu_need){0};
	const int64_t shown = problem->ranks > 1 ? problem->ranks * (int64_t)sizeof(struct shown_point) : 0;
	const int64_t part = fkmi_cpu_results_need(problem).part_bytes;
	return (struct fkmi_cpu_need){
		.shared_bytes =
			problem->k * ((int64_t)sizeof(struct far_point) + shown) + MOVED_TOGETHER * moved_bytes(problem->d),
		.part_bytes = part,
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

/* The first points in order among those offered. */
struct farthest {
	struct far_point *points; /* a heap, last in order first */
	int64_t count, most;
};

static void offer(struct farthest *farthest, struct far_point point)
{
	if (farthest->count < farthest->most) {
		farthest->points[farthest->count] = point;
		sift_up(farthest->points, farthest->count++);
	} else if (before(point, farthest->points[0])) {
		farthest->points[0] = point;
		sift_down(farthest->points, farthest->count);
	}
}

static void put_in_order(struct farthest *farthest)
{
	struct far_point *points = farthest->points;
	for (int64_t left = farthest->count - 1; left > 0; left--) {
		struct far_point last = points[0];
		points[0] = points[left];
		sift_down(points, left);
		points[left] = last;
	}
}

/* From each rank's farthest points, which it shows to all, those of all ranks. */
static enum fkm_status share_farthest(const struct fkmi_job *job, struct farthest *farthest, struct shown_point *shown)
{
	enum { NONE = -1 }; /* in place of a distance: the rank has no more points */
	const int64_t most = farthest->most, all = job->problem.ranks * most;
	memset(shown, 0, (size_t)all * sizeof *shown);
	struct shown_point *own = shown + job->rank * most;
	for (int64_t i = 0; i < most; i++) {
		own[i] = (struct shown_point){.distance = NONE};
		if (i < farthest->count) {
			memcpy(&own[i].distance, &farthest->points[i].distance, sizeof own[i].distance);
			own[i].row = farthest->points[i].row;
		}
	}
	FKMI_TRY(fkmi_cpu_merge(job, shown, 2 * all, FKM_REDUCE_SUM));
	farthest->count = 0;
	for (int64_t i = 0; i < all; i++) {
		struct far_point point = {.row = shown[i].row};
		memcpy(&point.distance, &shown[i].distance, sizeof point.distance);
		if (shown[i].distance != NONE)
			offer(farthest, point);
	}
	return FKM_OK;
}

/* The most far points of the problem, in order; there are as many. */
static enum fkm_status find_farthest(const struct fkmi_job *job, int64_t b, struct farthest *farthest,
									 struct shown_point *shown)
{
	const double *distances = fkmi_cpu_doubles(job->distances, b * job->problem.n);
	for (int64_t i = 0; i < job->problem.n; i++)
		offer(farthest, (struct far_point){.distance = distances[i], .row = job->first_row + i});
	if (job->merge != NULL)
		FKMI_TRY(share_farthest(job, farthest, shown));
	put_in_order(farthest);
	return FKM_OK;
}

/* ---- moving them ---- */

static struct moved_point *moved_at(char *moved, int64_t i, int64_t d)
{
	return (struct moved_point *)(void *)(moved + i * moved_bytes(d));
}

/* What moves with a row, if it is of this rank, else zeros; x: room for a row. */
static void take_row(const struct fkmi_job *job, int64_t b, int64_t row, double *x, struct moved_point *moved)
{
	const struct fkmi_problem *p = &job->problem;
	memset(moved, 0, (size_t)moved_bytes(p->d));
	row -= job->first_row;
	if (row < 0 || row >= p->n)
		return;
	double weight = fkmi_cpu_weight(job, b, row);
	moved->donor = fkmi_cpu_labels(job, b)[row];
	moved->weight = fkmi_cpu_rint(weight * fkmi_cpu_state(job, b)->weight_scale);
	fkmi_cpu_load_row(job, b, row, x);
	fkmi_cpu_accumulate_row(x, weight, fkmi_cpu_doubles(job->column_scale, b * p->d), p->d, 1, moved->sums);
}

static void move(const struct fkmi_job *job, int64_t b, const struct moved_point *moved, int64_t empty)
{
	const struct fkmi_problem *p = &job->problem;
	int64_t *sums = fkmi_cpu_int64s(job->total_sums, b * p->k * p->d);
	int64_t *weights = fkmi_cpu_int64s(job->total_weights, b * p->k);
	for (int64_t j = 0; j < p->d; j++)
		sums[moved->donor * p->d + j] -= moved->sums[j];
	memcpy(sums + empty * p->d, moved->sums, (size_t)p->d * sizeof(int64_t));
	weights[empty] = moved->weight;
	weights[moved->donor] -= moved->weight;
}

/* All points to their targets; room: for MOVED_TOGETHER of them. */
static enum fkm_status move_all(const struct fkmi_job *job, int64_t b, const struct farthest *farthest, char *room,
								double *x)
{
	const int64_t d = job->problem.d, words = moved_bytes(d) / (int64_t)sizeof(int64_t);
	for (int64_t first = 0; first < farthest->count; first += MOVED_TOGETHER) {
		const int64_t left = farthest->count - first, count = left < MOVED_TOGETHER ? left : MOVED_TOGETHER;
		for (int64_t i = 0; i < count; i++)
			take_row(job, b, farthest->points[first + i].row, x, moved_at(room, i, d));
		FKMI_TRY(fkmi_cpu_merge(job, room, count * words, FKM_REDUCE_SUM));
		for (int64_t i = 0; i < count; i++)
			move(job, b, moved_at(room, i, d), farthest->points[first + i].target);
	}
	return FKM_OK;
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
	struct farthest farthest = {.points = (struct far_point *)(void *)parts.shared, .most = state->empty};
	char *room = (char *)(farthest.points + p->k);
	struct shown_point *shown = (struct shown_point *)(void *)(room + MOVED_TOGETHER * moved_bytes(p->d));
	if (find_farthest(job, b, &farthest, shown) != FKM_OK || !(farthest.points[0].distance > 0))
		return;
	/* All pairs are made before the first move, which may empty its donor. */
	const int64_t *weights = fkmi_cpu_int64s(job->total_weights, b * p->k);
	for (int64_t k = state->first_empty, pairs = 0; pairs < state->empty; k++)
		if (weights[k] == 0)
			farthest.points[pairs++].target = k;
	if (move_all(job, b, &farthest, room, fkmi_cpu_part(&parts, 0)) == FKM_OK)
		state->relocated += state->empty;
}

enum fkm_status fkmi_cpu_relocate(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	return fkmi_cpu_each_merged(device, job, p->n * p->d, fkmi_cpu_relocate_need(p), relocate, NULL);
}
