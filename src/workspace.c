/* SPDX-License-Identifier: Apache-2.0 */
#include "workspace.h"

#include <assert.h>

enum { ALIGNMENT = 256 };

/* Where the next array goes. */
struct walk {
	struct fkmi_ref block;
	int64_t offset; /* -1 after an overflow */
};

static struct fkmi_ref take(struct walk *walk, bool wanted, int64_t count, int64_t element)
{
	const struct fkmi_ref none = {0};
	if (!wanted || walk->offset < 0)
		return none;
	if (count < 0 || count > (INT64_MAX / 4 - walk->offset) / element) {
		walk->offset = -1;
		return none;
	}
	struct fkmi_ref ref = fkmi_ref_add(walk->block, walk->offset);
	walk->offset += (count * element + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	return ref;
}

/* The one list of arrays. Products of two sizes were checked at the boundary. */
static int64_t walk_arrays(struct fkmi_job *job, struct fkmi_ref block)
{
	const struct fkmi_problem *p = &job->problem;
	const bool cosine = p->metric == FKM_METRIC_COSINE;
	struct walk walk = {block, 0};
	job->active = take(&walk, true, p->b, sizeof(int32_t));
	job->state = take(&walk, true, p->b, sizeof(struct fkmi_state));
	job->column_min = take(&walk, !cosine, p->b * p->d, sizeof(double));
	job->column_max = take(&walk, !cosine, p->b * p->d, sizeof(double));
	job->column_scale = take(&walk, true, p->b * p->d, sizeof(double));
	job->variance = take(&walk, p->fits, p->b * p->d, sizeof(double));
	job->row_scale = take(&walk, cosine, p->b * p->n, sizeof(double));
	job->centroids = take(&walk, true, p->b * p->k * p->d, sizeof(double));
	job->sums = take(&walk, p->fits, p->b * p->k * p->d, sizeof(int64_t));
	job->weight_sums = take(&walk, p->fits, p->b * p->k, sizeof(int64_t));
	/* One behind the other, so that they are merged as one. */
	const bool several = p->fits && p->ranks > 1;
	job->total_sums = several ? take(&walk, true, p->b * p->k * (p->d + 1), sizeof(int64_t)) : job->sums;
	job->total_weights =
		several ? fkmi_ref_add(job->total_sums, p->b * p->k * p->d * (int64_t)sizeof(int64_t)) : job->weight_sums;
	if (!p->places_labels)
		job->labels = take(&walk, true, p->b * p->n, sizeof(int32_t));
	job->previous = take(&walk, p->fits && !job->plan.fused, p->b * p->n, sizeof(int32_t));
	job->distances = take(&walk, fkmi_has_distances(p), p->b * p->n, sizeof(double));
	job->counts = take(&walk, true, p->b * p->k, sizeof(int64_t));
	job->scratch = take(&walk, job->plan.scratch_bytes > 0, job->plan.scratch_bytes, 1);
	return walk.offset;
}

int64_t fkmi_workspace_bytes(const struct fkmi_problem *problem, const struct fkmi_plan *plan)
{
	struct fkmi_job job = {.problem = *problem, .plan = *plan};
	const struct fkmi_ref nowhere = {0};
	return walk_arrays(&job, nowhere);
}

void fkmi_workspace_place(struct fkmi_job *job, struct fkmi_ref block)
{
	int64_t bytes = walk_arrays(job, block);
	assert(bytes >= 0);
	(void)bytes;
}
