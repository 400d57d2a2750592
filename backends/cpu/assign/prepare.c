/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step prepare: centroids that differ, moved by mu, scaled, rounded and laid out for the sweeps; see
 * certificate.h. A few phases, each shared out by centroids or columns; where the problems are many or small, each
 * problem goes through all phases on one thread.
 */
#include "../steps.h"
#include "assign.h"
#include "certificate.h"

#include <math.h>
#include <string.h>

enum { SMALL = 1 << 14 /* centroid coordinates that are not worth waking a second thread for */ };

struct preparation {
	const struct fkmi_job *job;
	const struct fkmi_cpu_isa *isa;
	struct fkmi_cpu_layout layout;
	void (*phase)(const struct preparation *, int64_t b, int part, int parts); /* NULL: all of them */
	_Atomic int64_t next;                                                      /* problem, for all phases; else item */
	int parts;
};

static const double *centroids_of(const struct preparation *a, int64_t b)
{
	return (const double *)fkmi_ref_ptr(a->job->centroids) + b * a->job->problem.k * a->job->problem.d;
}

/* The range of 0 .. count-1 that is a part's. */
static int64_t part_begin(int64_t count, int part, int parts)
{
	return count / parts * part + (part < count % parts ? part : count % parts);
}

/* ---- phases ---- */

static uint64_t mix(uint64_t hash, uint64_t bits)
{
	return (hash ^ bits ^ bits >> 32) * 0x9E3779B97F4A7C15u;
}

static uint64_t bits_of(double value)
{
	uint64_t bits;
	value += 0.0; /* zeros of both signs are alike */
	memcpy(&bits, &value, sizeof bits);
	return bits;
}

/* In four chains, which the processor works on at the same time. */
static uint64_t hash_row(const double *c, int64_t d)
{
	uint64_t h0 = 1, h1 = 2, h2 = 3, h3 = 4;
	int64_t j = 0;
	for (; j + 4 <= d; j += 4) {
		h0 = mix(h0, bits_of(c[j]));
		h1 = mix(h1, bits_of(c[j + 1]));
		h2 = mix(h2, bits_of(c[j + 2]));
		h3 = mix(h3, bits_of(c[j + 3]));
	}
	for (; j < d; j++)
		h0 = mix(h0, bits_of(c[j]));
	uint64_t all = mix(mix(mix(mix(0, h0), h1), h2), h3);
	return all ^ all >> 32;
}

static void hash_centroids(const struct preparation *a, int64_t b, int part, int parts)
{
	int64_t d = a->job->problem.d, end = part_begin(a->job->problem.k, part + 1, parts);
	struct fkmi_cpu_operands o = fkmi_cpu_operands_of(a->job, &a->layout, b);
	for (int64_t k = part_begin(a->job->problem.k, part, parts); k < end; k++)
		o.key[k] = hash_row(centroids_of(a, b) + k * d, d);
}

static bool equal_rows(const double *a, const double *b, int64_t d)
{
	for (int64_t j = 0; j < d; j++)
		if (a[j] != b[j])
			return false;
	return true;
}

/* index and unique: the centroids that differ from all before them. */
static void find_unique(const struct preparation *a, int64_t b, int part, int parts)
{
	(void)parts;
	if (part != 0)
		return;
	int64_t d = a->job->problem.d;
	const double *centroids = centroids_of(a, b);
	struct fkmi_cpu_operands o = fkmi_cpu_operands_of(a->job, &a->layout, b);
	uint64_t mask = (uint64_t)a->layout.table_size - 1;
	memset(o.table, -1, (size_t)a->layout.table_size * sizeof *o.table);
	int32_t unique = 0;
	for (int32_t k = 0; k < a->job->problem.k; k++) {
		uint64_t slot = o.key[k] & mask;
		while (o.table[slot] >= 0 &&
			   !(o.key[o.table[slot]] == o.key[k] && equal_rows(centroids + o.table[slot] * d, centroids + k * d, d)))
			slot = (slot + 1) & mask;
		if (o.table[slot] >= 0)
			continue;
		o.table[slot] = k;
		o.index[unique++] = k;
	}
	o.filter->unique = unique;
}

/*
 * middle: in each column the median of a few rows. That is close to most rows and to their centroids whatever far rows
 * and far centroids there are, which would draw a mean away from them and make the bound of certificate.h useless.
 */
static void find_middle(const struct preparation *a, int64_t b, int part, int parts)
{
	enum { SAMPLE = 9, COLUMNS = 16 };
	const struct fkmi_problem *problem = &a->job->problem;
	const double *row_scale = fkmi_ref_ptr(a->job->row_scale);
	bool cosine = problem->metric == FKM_METRIC_COSINE;
	int64_t element = problem->dtype == FKM_F32 ? 4 : 2, sample = problem->n < SAMPLE ? problem->n : SAMPLE;
	int64_t end = part_begin(problem->d, part + 1, parts);
	for (int64_t j = part_begin(problem->d, part, parts); j < end; j += COLUMNS) {
		int64_t columns = end - j < COLUMNS ? end - j : COLUMNS;
		double sorted[SAMPLE][COLUMNS];
		for (int64_t i = 0; i < sample; i++) {
			int64_t row = problem->n / sample * i;
			double next[COLUMNS] = {0};
			fkmi_cpu_convert((const char *)fkmi_cpu_row(a->job, b, row) + j * element, problem->dtype, columns,
							 cosine ? row_scale[b * problem->n + row] : 1, next);
			for (int64_t s = 0; s < i; s++) {
				for (int c = 0; c < COLUMNS; c++) {
					double low = sorted[s][c] < next[c] ? sorted[s][c] : next[c];
					next[c] = sorted[s][c] < next[c] ? next[c] : sorted[s][c];
					sorted[s][c] = low;
				}
			}
			memcpy(sorted[i], next, sizeof next);
		}
		memcpy(fkmi_cpu_operands_of(a->job, &a->layout, b).middle + j, sorted[sample / 2],
			   (size_t)columns * sizeof(double));
	}
}

/* key: the bits of the largest |c - middle| of a part's centroids, in any coordinate. */
static void measure(const struct preparation *a, int64_t b, int part, int parts)
{
	int64_t d = a->job->problem.d;
	struct fkmi_cpu_operands o = fkmi_cpu_operands_of(a->job, &a->layout, b);
	int64_t end = part_begin(o.filter->unique, part + 1, parts);
	double most = 0;
	for (int64_t u = part_begin(o.filter->unique, part, parts); u < end; u++) {
		const double *c = centroids_of(a, b) + o.index[u] * d;
		for (int64_t j = 0; j < d; j++) {
			double distance = fabs(c[j] - o.middle[j]);
			most = distance > most ? distance : most;
		}
	}
	memcpy(&o.key[part], &most, sizeof most);
}

/* scale and mu. */
static void choose_scale(const struct preparation *a, int64_t b, int part, int parts)
{
	if (part != 0)
		return;
	struct fkmi_cpu_operands o = fkmi_cpu_operands_of(a->job, &a->layout, b);
	double most = 0;
	for (int i = 0; i < parts && i < a->job->problem.k; i++) {
		double distance;
		memcpy(&distance, &o.key[i], sizeof distance);
		most = distance > most ? distance : most;
	}
	int p = -fkmi_exponent(most);
	o.filter->scale = fkmi_power2(p < -126 ? -126 : p > 126 ? 126 : p);
	for (int64_t j = 0; j < a->job->problem.d; j++)
		o.mu[j] = (float)(o.middle[j] * o.filter->scale);
}

/* panels, halves, norms. */
static void pack_centroids(const struct preparation *a, int64_t b, int part, int parts)
{
	int64_t d = a->job->problem.d, size = a->isa->centroids;
	struct fkmi_cpu_operands o = fkmi_cpu_operands_of(a->job, &a->layout, b);
	int64_t unique = o.filter->unique, groups = (unique + size - 1) / size;
	int64_t end = part_begin(groups, part + 1, parts) * size;
	for (int64_t u = part_begin(groups, part, parts) * size; u < end; u++) {
		float *z = o.panels + u / size * size * d + u % size;
		if (u >= unique) {
			for (int64_t j = 0; j < d; j++)
				z[j * size] = 0;
			o.halves[u] = INFINITY;
			o.norms[u] = 0;
			continue;
		}
		double square = a->isa->centre(centroids_of(a, b) + o.index[u] * d, o.filter->scale, o.mu, d, z, size);
		o.halves[u] = (float)(square * 0.5);
		o.norms[u] = (float)(sqrt(square) * (1 + 0x1p-20));
	}
}

static void conclude(const struct preparation *a, int64_t b, int part, int parts)
{
	(void)parts;
	if (part != 0)
		return;
	struct fkmi_cpu_operands o = fkmi_cpu_operands_of(a->job, &a->layout, b);
	float most = 0;
	bool usable = a->job->problem.d <= FKMI_CPU_DIMS_LIMIT;
	for (int32_t u = 0; u < o.filter->unique; u++) {
		usable = usable && o.norms[u] < FKMI_CPU_NORM_LIMIT; /* false for NaN */
		most = o.norms[u] > most ? o.norms[u] : most;
	}
	o.filter->norm_max = most;
	o.filter->off = !usable;
}

/* ---- the step ---- */

static void (*const phases[])(const struct preparation *, int64_t, int, int) = {
	hash_centroids, find_unique, find_middle, measure, choose_scale, pack_centroids, conclude};
enum { PHASES = sizeof phases / sizeof phases[0] };

static void work(void *argument, int thread, int threads)
{
	(void)thread;
	(void)threads;
	struct preparation *a = argument;
	const int32_t *active = fkmi_ref_ptr(a->job->active);
	int64_t item;
	while ((item = atomic_fetch_add_explicit(&a->next, 1, memory_order_relaxed)) < a->job->problem.b * a->parts) {
		int64_t b = item / a->parts;
		if (!active[b])
			continue;
		if (a->phase) {
			a->phase(a, b, (int)(item % a->parts), a->parts);
			continue;
		}
		for (int i = 0; i < PHASES; i++)
			phases[i](a, b, 0, 1);
	}
}

enum fkm_status fkmi_cpu_prepare(struct fkmi_device *device, const struct fkmi_job *job)
{
	struct fkmi_pool *pool = ((struct fkmi_cpu *)device)->pool;
	const struct fkmi_problem *problem = &job->problem;
	int threads = fkmi_pool_threads(pool);
	struct preparation a = {.job = job,
							.isa = fkmi_cpu_isa_of(job->plan.tile),
							.layout = fkmi_cpu_layout_make(problem, job->plan.tile, device->limits.units),
							.parts = 1};
	if (problem->b * problem->k * problem->d <= SMALL) {
		work(&a, 0, 1);
	} else if (problem->b >= threads) {
		fkmi_pool_run(pool, work, &a);
	} else {
		a.parts = (int)(problem->k < threads ? problem->k : threads);
		for (int i = 0; i < PHASES; i++) {
			a.phase = phases[i];
			atomic_store_explicit(&a.next, 0, memory_order_relaxed);
			fkmi_pool_run(pool, work, &a);
		}
	}
	return FKM_OK;
}
