/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that the filter cannot decide: its candidates are compared by the reference distance. */
#include "assign.h"

#include <math.h>
#include <string.h>

enum {
	FEW_ROWS = 8,     /* scanning so many rows costs less than sweeping a tile */
	FEW_CENTROIDS = 8 /* and so few centroids are not worth sweeping again */
};

static void decide(struct fkmi_cpu_worker *w, int64_t i, int32_t former, const int32_t *index, int32_t count)
{
	int64_t d = w->job->problem.d;
	const double *centroids = (const double *)fkmi_ref_ptr(w->job->centroids) + w->b * w->job->problem.k * d;
	double *row = (double *)(w->part + w->layout->row);
	bool tie;
	fkmi_cpu_load_row(w->job, w->b, i, row);
	int32_t label = w->isa->nearest(row, centroids, d, index, count, &tie);
	w->rechecked++;
	w->ties += tie;
	fkmi_cpu_label_row(w, i, former, label);
}

void fkmi_cpu_scan_row(struct fkmi_cpu_worker *w, int64_t i, int32_t former)
{
	decide(w, i, former, w->operands.index, w->operands.filter->unique);
}

/* The last `count` of the rows that wait, at most a tile. */
static void sweep_waiting(struct fkmi_cpu_worker *w, int32_t count)
{
	int64_t rows[FKMI_CPU_MAX_POINTS];
	float threshold[FKMI_CPU_MAX_POINTS];
	int32_t found[FKMI_CPU_MAX_POINTS] = {0};
	int32_t(*candidates)[FKMI_CPU_CANDIDATES] = (void *)(w->part + w->layout->candidates);
	int32_t first = w->waiting - count;
	for (int32_t i = 0; i < w->isa->points; i++) {
		rows[i] = w->queue[first + (i < count ? i : 0)].row;
		threshold[i] = i < count ? w->queue[first + i].threshold : INFINITY;
	}
	fkmi_cpu_pack_rows(w, 0, 0, rows);
	struct fkmi_cpu_sweep gathered = {
		.threshold = threshold, .candidates = candidates, .found = found, .ahead = w->points};
	fkmi_cpu_sweep_tiles(w, 1, FKMI_CPU_SWEEP_GATHER, &gathered);
	for (int32_t i = 0; i < count; i++) {
		int32_t former = w->queue[first + i].former;
		if (found[i] == 0 || found[i] > FKMI_CPU_CANDIDATES) { /* none: a row out of the filter's range */
			fkmi_cpu_scan_row(w, rows[i], former);
			continue;
		}
		for (int32_t c = 0; c < found[i]; c++)
			candidates[i][c] = w->operands.index[candidates[i][c]];
		decide(w, rows[i], former, candidates[i], found[i]);
	}
}

void fkmi_cpu_recheck(struct fkmi_cpu_worker *w, bool all)
{
	int32_t points = w->isa->points;
	while (w->waiting >= points || (all && w->waiting > 0)) {
		int32_t count = w->waiting < points ? w->waiting : points;
		if (count < FEW_ROWS || w->operands.filter->unique <= FEW_CENTROIDS) {
			for (int32_t i = w->waiting - count; i < w->waiting; i++)
				fkmi_cpu_scan_row(w, w->queue[i].row, w->queue[i].former);
		} else {
			sweep_waiting(w, count);
		}
		w->waiting -= count;
	}
}
