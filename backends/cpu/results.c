/* SPDX-License-Identifier: Apache-2.0 */
/* What a call returns: distances, inertia, counts, inverted lists. */
#include "steps.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum {
	SPLIT_COUNTS = 4096, /* up to so many clusters each worker counts for itself */
	MAX_LISTERS = 16,    /* workers on one problem's lists: each reads all labels */
};

struct fkmi_cpu_need fkmi_cpu_results_need(const struct fkmi_problem *problem)
{
	int64_t row = (int64_t)sizeof(struct fkmi_cpu_limbs) + problem->d * (int64_t)sizeof(double);
	int64_t counts = (problem->k < SPLIT_COUNTS ? problem->k : SPLIT_COUNTS) * (int64_t)sizeof(int64_t);
	return (struct fkmi_cpu_need){.part_bytes = row > counts ? row : counts};
}

/* ---- distances ---- */

struct distances {
	const struct fkmi_job *job;
	int64_t b;
	struct fkmi_span span;
	double scale, low_scale; /* 2^g and 2^B of section 5 */
	struct fkmi_cpu_parts parts;
};

static void take_range(void *context, int part, int64_t begin, int64_t end)
{
	const struct distances *distances = context;
	const struct fkmi_job *job = distances->job;
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_cpu_limbs *sum = fkmi_cpu_part(&distances->parts, part);
	double *row = (double *)(sum + 1);
	const int32_t *labels = fkmi_cpu_labels(job, distances->b);
	const double *centroids = fkmi_cpu_doubles(job->centroids, distances->b * p->k * p->d);
	double *out = job->distances.base ? fkmi_cpu_doubles(job->distances, distances->b * p->n) : NULL;
	for (int64_t i = distances->span.row + begin; i < distances->span.row + end; i++) {
		fkmi_cpu_load_row(job, distances->b, i, row);
		double value = fkmi_cpu_distance(row, centroids + labels[i] * p->d, p->d);
		if (out)
			out[i] = value;
		double scaled = fkmi_cpu_weight(job, distances->b, i) * value * distances->scale;
		int64_t high = fkmi_cpu_rint(scaled);
		sum->high += high;
		sum->low += fkmi_cpu_rint((scaled - (double)high) * distances->low_scale);
	}
}

void fkmi_cpu_take_distances(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b,
							 struct fkmi_span span, double scale, struct fkmi_cpu_limbs *sum)
{
	const struct fkmi_problem *p = &job->problem;
	struct distances distances = {.job = job, .b = b, .span = span, .scale = scale};
	distances.low_scale = fkmi_power2(fkmi_grid_bits(p->n_all));
	distances.parts = fkmi_cpu_split(team, fkmi_cpu_results_need(p), span.rows * p->d);
	*sum = (struct fkmi_cpu_limbs){0};
	for (int part = 0; part < distances.parts.count; part++)
		*(struct fkmi_cpu_limbs *)fkmi_cpu_part(&distances.parts, part) = *sum;
	fkmi_cpu_run(team, distances.parts.count, span.rows, fkmi_cpu_grain(p->d), take_range, &distances);
	for (int part = 0; part < distances.parts.count; part++) {
		const struct fkmi_cpu_limbs *limbs = fkmi_cpu_part(&distances.parts, part);
		sum->high += limbs->high;
		sum->low += limbs->low;
	}
}

/* 2^g of section 5. */
static double inertia_scale(const struct fkmi_job *job, int64_t b)
{
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_state *state = fkmi_cpu_state(job, b);
	const double *centroids = fkmi_cpu_doubles(job->centroids, b * p->k * p->d);
	double a = state->point_max;
	for (int64_t i = 0; i < p->k * p->d; i++) {
		double magnitude = fabs(centroids[i]);
		a = magnitude > a ? magnitude : a;
	}
	return fkmi_grid_scale(a * a * 4 * (double)p->d * state->weight_max, fkmi_grid_bits(p->n_all));
}

static void distances_of_problem(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	const struct fkmi_span *span = context;
	struct fkmi_state *state = fkmi_cpu_state(job, b);
	struct fkmi_cpu_limbs sum;
	state->inertia_scale = inertia_scale(job, b);
	fkmi_cpu_take_distances(team, job, b, *span, state->inertia_scale, &sum);
	state->inertia_high += sum.high;
	state->inertia_low += sum.low;
}

enum fkm_status fkmi_cpu_distances(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span)
{
	const struct fkmi_problem *p = &job->problem;
	fkmi_cpu_each_problem(device, job, span.rows * p->d, fkmi_cpu_results_need(p), distances_of_problem, &span);
	return FKM_OK;
}

/* ---- count ---- */

struct counting {
	const int32_t *labels;
	int64_t k;
	struct fkmi_cpu_parts parts;
	_Atomic int64_t bad; /* the lowest row found; INT64_MAX: none */
};

static void note_bad(struct counting *counting, int64_t row)
{
	int64_t lowest = atomic_load(&counting->bad);
	while (row < lowest && !atomic_compare_exchange_weak(&counting->bad, &lowest, row))
		;
}

static void count_range(void *context, int part, int64_t begin, int64_t end)
{
	struct counting *counting = context;
	int64_t *counts = fkmi_cpu_part(&counting->parts, part);
	for (int64_t i = begin; i < end; i++) {
		int32_t label = counting->labels[i];
		if (label >= 0 && label < counting->k)
			counts[label]++;
		else
			note_bad(counting, i);
	}
}

static void count_problem(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	(void)context;
	const struct fkmi_problem *p = &job->problem;
	int64_t *counts = fkmi_cpu_int64s(job->counts, b * p->k);
	struct counting counting = {.labels = fkmi_cpu_labels(job, b), .k = p->k, .bad = INT64_MAX};
	counting.parts = (struct fkmi_cpu_parts){.count = 1, .first = (char *)counts};
	if (p->k <= SPLIT_COUNTS)
		counting.parts = fkmi_cpu_split(team, fkmi_cpu_results_need(p), p->n);
	for (int part = 0; part < counting.parts.count; part++)
		memset(fkmi_cpu_part(&counting.parts, part), 0, (size_t)p->k * sizeof(int64_t));
	fkmi_cpu_run(team, counting.parts.count, p->n, fkmi_cpu_grain(1), count_range, &counting);
	if (p->k <= SPLIT_COUNTS) {
		for (int64_t k = 0; k < p->k; k++) {
			counts[k] = 0;
			for (int part = 0; part < counting.parts.count; part++)
				counts[k] += ((const int64_t *)fkmi_cpu_part(&counting.parts, part))[k];
		}
	}
	int64_t bad = atomic_load(&counting.bad);
	fkmi_cpu_state(job, b)->bad_label = bad == INT64_MAX ? -1 : bad;
}

enum fkm_status fkmi_cpu_count_labels(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	fkmi_cpu_each_problem(device, job, p->n, fkmi_cpu_results_need(p), count_problem, NULL);
	return FKM_OK;
}

/* ---- sort ---- */

/* Lister l writes the lists of clusters first[l] .. first[l+1]-1, reading every label. */
struct listing {
	const int32_t *labels;
	int64_t n;
	int64_t *order, *ends; /* ends[k]: where the next row of cluster k goes */
	int64_t first[MAX_LISTERS + 1];
};

static void list_range(void *context, int part, int64_t begin, int64_t end)
{
	const struct listing *listing = context;
	(void)part;
	for (int64_t lister = begin; lister < end; lister++) {
		int64_t first = listing->first[lister], clusters = listing->first[lister + 1] - first;
		for (int64_t i = 0; i < listing->n; i++) {
			int64_t label = listing->labels[i];
			if ((uint64_t)(label - first) < (uint64_t)clusters)
				listing->order[listing->ends[label]++] = i;
		}
	}
}

struct lists {
	int64_t *order, *offsets;
};

static void sort_problem(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	const struct lists *lists = context;
	const struct fkmi_problem *p = &job->problem;
	int64_t *offsets = lists->offsets + b * (p->k + 1);
	const int64_t *counts = fkmi_cpu_int64s(job->counts, b * p->k);
	const struct fkmi_cpu_need none = {0};
	int listers = fkmi_cpu_split(team, none, p->n).count;
	listers = listers < MAX_LISTERS ? listers : MAX_LISTERS;
	/* While rows are placed, offsets[k+1] runs from the start of list k to its end, which is what it is to say. */
	struct listing listing = {fkmi_cpu_labels(job, b), p->n, lists->order + b * p->n, offsets + 1, {0}};
	int64_t start = 0, lister = 1;
	offsets[0] = 0;
	for (int64_t k = 0; k < p->k; k++) {
		for (; lister < listers && start >= lister * p->n / listers; lister++)
			listing.first[lister] = k;
		offsets[k + 1] = start;
		start += counts[k];
	}
	for (; lister <= listers; lister++)
		listing.first[lister] = p->k;
	fkmi_cpu_run(team, listers, listers, 1, list_range, &listing);
}

enum fkm_status fkmi_cpu_sort(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref order,
							  struct fkmi_ref offsets)
{
	struct lists lists = {fkmi_ref_ptr(order), fkmi_ref_ptr(offsets)};
	const struct fkmi_cpu_need none = {0};
	fkmi_cpu_each_problem(device, job, 2 * job->problem.n, none, sort_problem, &lists);
	return FKM_OK;
}
