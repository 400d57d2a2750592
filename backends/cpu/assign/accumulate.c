/* SPDX-License-Identifier: Apache-2.0 */
/* The step accumulate, and the sums of the step assign. */
#include "assign.h"

#include <math.h>
#include <string.h>

void fkmi_cpu_sums_begin(struct fkmi_cpu_sums *sums, const struct fkmi_job *job, const struct fkmi_cpu_layout *layout,
						 const struct fkmi_cpu_isa *isa, char *thread_part, int64_t b, bool owned)
{
	int64_t k = job->problem.k, d = job->problem.d;
	*sums = (struct fkmi_cpu_sums){.job = job,
								   .isa = isa,
								   .b = b,
								   .mode = owned                  ? FKMI_CPU_SUMS_OWNED
										   : layout->private_sums ? FKMI_CPU_SUMS_PRIVATE
																  : FKMI_CPU_SUMS_SHARED,
								   .points = fkmi_cpu_row(job, b, 0),
								   .row_bytes = job->point_row_stride * (job->problem.dtype == FKM_F32 ? 4 : 2),
								   .scale = (const double *)fkmi_ref_ptr(job->column_scale) + b * d,
								   .quantised = (void *)(thread_part + layout->quantised)};
	if (sums->mode == FKMI_CPU_SUMS_PRIVATE) {
		sums->sums = (void *)(thread_part + layout->sums);
		sums->weight_sums = (void *)(thread_part + layout->weight_sums);
		sums->touched = (void *)(thread_part + layout->touched);
		memset(sums->touched, 0, (size_t)k);
	} else {
		sums->sums = (int64_t *)fkmi_ref_ptr(job->sums) + b * k * d;
		sums->weight_sums = (int64_t *)fkmi_ref_ptr(job->weight_sums) + b * k;
	}
}

static void add_atomically(int64_t *to, int64_t value)
{
	atomic_fetch_add_explicit((_Atomic int64_t *)to, value, memory_order_relaxed);
}

/* Adds the quantised row, or subtracts it. */
static void add_row(struct fkmi_cpu_sums *s, int64_t weight, int32_t k, bool negative)
{
	int64_t d = s->job->problem.d, *sums = s->sums + k * d;
	if (s->mode == FKMI_CPU_SUMS_SHARED) {
		for (int64_t j = 0; j < d; j++)
			add_atomically(&sums[j], negative ? -s->quantised[j] : s->quantised[j]);
		add_atomically(&s->weight_sums[k], negative ? -weight : weight);
		return;
	}
	if (s->mode == FKMI_CPU_SUMS_PRIVATE && !s->touched[k]) {
		s->touched[k] = 1;
		memset(sums, 0, (size_t)d * sizeof *sums);
		s->weight_sums[k] = 0;
	}
	(negative ? s->isa->subtract : s->isa->add)(sums, s->quantised, d);
	s->weight_sums[k] += negative ? -weight : weight;
}

void fkmi_cpu_sums_move(struct fkmi_cpu_sums *s, int64_t i, int32_t from, int32_t to)
{
	const struct fkmi_job *job = s->job;
	const struct fkmi_problem *problem = &job->problem;
	double r = 1, weight = 1;
	int64_t quantised_weight = 1;
	if (problem->metric == FKM_METRIC_COSINE)
		r = ((const double *)fkmi_ref_ptr(job->row_scale))[s->b * problem->n + i];
	if (problem->weighted) {
		weight = fkmi_cpu_weight(job, s->b, i);
		quantised_weight =
			(int64_t)rint(weight * ((const struct fkmi_state *)fkmi_ref_ptr(job->state))[s->b].weight_scale);
	}
	s->isa->quantise(s->points + i * s->row_bytes, problem->dtype, r, weight, s->scale, problem->d, s->quantised);
	if (from >= 0)
		add_row(s, quantised_weight, from, true);
	add_row(s, quantised_weight, to, false);
}

void fkmi_cpu_sums_end(struct fkmi_cpu_sums *s)
{
	if (s->mode != FKMI_CPU_SUMS_PRIVATE)
		return;
	int64_t clusters = s->job->problem.k, d = s->job->problem.d;
	int64_t *sums = (int64_t *)fkmi_ref_ptr(s->job->sums) + s->b * clusters * d;
	int64_t *weight_sums = (int64_t *)fkmi_ref_ptr(s->job->weight_sums) + s->b * clusters;
	for (int64_t k = 0; k < clusters; k++) {
		if (!s->touched[k])
			continue;
		for (int64_t j = 0; j < d; j++)
			add_atomically(&sums[k * d + j], s->sums[k * d + j]);
		add_atomically(&weight_sums[k], s->weight_sums[k]);
	}
}

struct accumulation {
	const struct fkmi_job *job;
	const struct fkmi_cpu_isa *isa;
	struct fkmi_cpu_layout layout;
	struct fkmi_cpu_items items;
	enum fkmi_accumulate kind;
};

static void accumulate_item(struct accumulation *a, struct fkmi_cpu_sums *sums, struct fkmi_cpu_item item)
{
	int64_t offset = item.b * a->job->problem.n;
	const int32_t *labels = (const int32_t *)fkmi_ref_ptr(a->job->labels) + offset;
	const int32_t *previous = (const int32_t *)fkmi_ref_ptr(a->job->previous);
	for (int64_t i = item.row; i < item.row + item.rows; i++) {
		int32_t from = a->kind == FKMI_ACCUMULATE_FULL ? -1 : previous[offset + i];
		if (from != labels[i])
			fkmi_cpu_sums_move(sums, i, from, labels[i]);
	}
}

static void accumulate_items(void *argument, int thread, int threads)
{
	(void)threads;
	struct accumulation *a = argument;
	struct fkmi_cpu_sums sums = {.b = -1};
	char *part = fkmi_cpu_thread_part(a->job, &a->layout, thread);
	const int32_t *active = fkmi_ref_ptr(a->job->active);
	int64_t begin, end;
	while (fkmi_cpu_items_take(&a->items, &begin, &end)) {
		for (; begin < end; begin++) {
			struct fkmi_cpu_item item = fkmi_cpu_items_get(&a->items, begin);
			if (!active[item.b])
				continue;
			if (sums.b != item.b) {
				if (sums.b >= 0)
					fkmi_cpu_sums_end(&sums);
				fkmi_cpu_sums_begin(&sums, a->job, &a->layout, a->isa, part, item.b, a->items.per_problem == 1);
			}
			accumulate_item(a, &sums, item);
		}
	}
	if (sums.b >= 0)
		fkmi_cpu_sums_end(&sums);
}

enum fkm_status fkmi_cpu_accumulate(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span,
									enum fkmi_accumulate accumulate)
{
	struct fkmi_pool *pool = ((struct fkmi_cpu *)device)->pool;
	struct accumulation a = {.job = job,
							 .isa = fkmi_cpu_isa_of(job->plan.tile),
							 .layout = fkmi_cpu_layout_make(&job->problem, job->plan.tile, device->limits.units),
							 .kind = accumulate};
	if (accumulate == FKMI_ACCUMULATE_NONE || span.rows == 0)
		return FKM_OK;
	fkmi_cpu_items_init(&a.items, &job->problem, span, fkmi_pool_threads(pool), 64, 4096);
	fkmi_pool_run(pool, accumulate_items, &a);
	return FKM_OK;
}
