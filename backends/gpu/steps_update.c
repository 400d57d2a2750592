/* SPDX-License-Identifier: Apache-2.0 */
/* The steps accumulate (kernels/common/update.h), relocate (relocate.h) and finish (centroids.h). */
#include "steps.h"

/* ---- accumulate ---- */

/* What the kernels of a call of accumulate share. */
struct accumulating {
	struct fkmi_device *device;
	const struct fkmi_job *job;
	struct fkmi_gpu_layout layout;
	struct fkmi_span span;
	struct fkmi_ref active; /* the problems whose sums are made of all rows of the span */
};

static enum fkm_status add_local_sums(const struct accumulating *a, bool delta)
{
	enum { GROUPS_PER_UNIT = 4, LEAST_PIECE = 256 };
	const struct fkmi_job *job = a->job;
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_ref none = {0};
	int64_t pieces = (int64_t)a->device->limits.units * GROUPS_PER_UNIT / p->b + 1;
	int64_t piece = fkmi_gpu_divide_up(a->span.rows, pieces);
	if (piece < LEAST_PIECE)
		piece = LEAST_PIECE;
	pieces = fkmi_gpu_divide_up(a->span.rows, piece);
	struct fkmi_gpu_call call = fkmi_gpu_call(a->device, job, "fkmi_k_local_sums");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, job->column_scale);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, delta ? job->previous : none);
	fkmi_gpu_add_ref(&call, job->sums);
	fkmi_gpu_add_ref(&call, job->weight_sums);
	fkmi_gpu_add_i32(&call, p->k);
	fkmi_gpu_add_i64(&call, a->span.row);
	fkmi_gpu_add_i64(&call, a->span.rows);
	fkmi_gpu_add_i64(&call, piece);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

static enum fkm_status list_changed(const struct accumulating *a)
{
	const struct fkmi_job *job = a->job;
	const struct fkmi_ref changed = fkmi_gpu_scratch(job, a->layout.changed);
	const int64_t pieces = fkmi_gpu_divide_up(a->span.rows, FKMI_CHANGED_ROWS * FKMI_GROUP);
	FKMI_TRY(fkmi_gpu_fill(a->device, changed, 0, job->problem.b * (int64_t)sizeof(int32_t)));
	struct fkmi_gpu_call call = fkmi_gpu_call(a->device, job, "fkmi_k_list_changed");
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->previous);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.list));
	fkmi_gpu_add_ref(&call, changed);
	fkmi_gpu_add_i64(&call, job->problem.n);
	fkmi_gpu_add_i64(&call, a->span.row);
	fkmi_gpu_add_i64(&call, a->span.rows);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, job->problem.b);
	return fkmi_gpu_run(&call, job->problem.b * pieces);
}

static enum fkm_status move_changed(const struct accumulating *a, struct fkmi_ref active)
{
	enum { GROUPS_PER_UNIT = 16 };
	const struct fkmi_job *job = a->job;
	const struct fkmi_problem *p = &job->problem;
	const int32_t lanes = fkmi_gpu_lanes(p->d);
	int64_t pieces = fkmi_gpu_divide_up(a->span.rows, FKMI_GROUP / lanes);
	const int64_t busy = (int64_t)a->device->limits.units * GROUPS_PER_UNIT / p->b + 1;
	pieces = pieces < busy ? pieces : busy;
	struct fkmi_gpu_call call = fkmi_gpu_call_for(a->device, job, active, "fkmi_k_move_changed");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, job->column_scale);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->previous);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.list));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.changed));
	fkmi_gpu_add_ref(&call, job->sums);
	fkmi_gpu_add_ref(&call, job->weight_sums);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, a->span.row);
	fkmi_gpu_add_i64(&call, a->span.rows);
	fkmi_gpu_add_i32(&call, lanes);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

static enum fkm_status choose_way(const struct accumulating *a)
{
	enum { PIECE = 16 * FKMI_GROUP };
	const struct fkmi_job *job = a->job;
	const struct fkmi_problem *p = &job->problem;
	const int64_t pieces = fkmi_gpu_divide_up(p->k * p->d, PIECE);
	struct fkmi_gpu_call call = fkmi_gpu_call(a->device, job, "fkmi_k_choose_way");
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.changed));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.moved));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.anew));
	fkmi_gpu_add_ref(&call, job->sums);
	fkmi_gpu_add_ref(&call, job->weight_sums);
	fkmi_gpu_add_i64(&call, a->span.rows);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, PIECE);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

static enum fkm_status count_labels(const struct accumulating *a, int64_t pieces)
{
	const struct fkmi_job *job = a->job;
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_ref counts = fkmi_gpu_scratch(job, a->layout.label_counts);
	FKMI_TRY(fkmi_gpu_fill(a->device, counts, 0, p->b * p->k * (int64_t)sizeof(int32_t)));
	struct fkmi_gpu_call call = fkmi_gpu_call_for(a->device, job, a->active, "fkmi_k_label_counts");
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, counts);
	fkmi_gpu_add_i64(&call, p->n);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, a->span.row);
	fkmi_gpu_add_i64(&call, a->span.rows);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

static enum fkm_status start_labels(const struct accumulating *a)
{
	const struct fkmi_job *job = a->job;
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_gpu_call call = fkmi_gpu_call_for(a->device, job, a->active, "fkmi_k_label_starts");
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.label_counts));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.label_starts));
	fkmi_gpu_add_ref(&call, job->weight_sums);
	fkmi_gpu_add_i32(&call, !p->weighted);
	fkmi_gpu_add_i64(&call, a->span.rows);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b);
}

static enum fkm_status place_rows(const struct accumulating *a, int64_t pieces)
{
	const struct fkmi_job *job = a->job;
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_gpu_call call = fkmi_gpu_call_for(a->device, job, a->active, "fkmi_k_place_rows");
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.label_counts));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.list));
	fkmi_gpu_add_i64(&call, p->n);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, a->span.row);
	fkmi_gpu_add_i64(&call, a->span.rows);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

static enum fkm_status sum_rows(const struct accumulating *a)
{
	enum { LEAST_PIECE = 16, MOST_PIECE = 256, ITEMS_PER_UNIT = 4096 };
	const struct fkmi_job *job = a->job;
	const struct fkmi_problem *p = &job->problem;
	const int32_t lanes = fkmi_gpu_lanes(fkmi_gpu_divide_up(p->d, FKMI_SUM_COLUMNS));
	const int64_t column_blocks = fkmi_gpu_divide_up(p->d, (int64_t)lanes * FKMI_SUM_COLUMNS);
	/* Long pieces write less, but there must be enough of them. */
	const int64_t wanted = (int64_t)a->device->limits.units * ITEMS_PER_UNIT / (lanes * column_blocks) + 1;
	int64_t piece = p->b * a->span.rows / wanted;
	piece = piece < LEAST_PIECE ? LEAST_PIECE : piece > MOST_PIECE ? MOST_PIECE : piece;
	const int64_t pieces = fkmi_gpu_divide_up(a->span.rows, piece);
	struct fkmi_gpu_call call = fkmi_gpu_call_for(a->device, job, a->active, "fkmi_k_sum_rows");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, job->column_scale);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.list));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.label_starts));
	fkmi_gpu_add_ref(&call, job->sums);
	fkmi_gpu_add_ref(&call, job->weight_sums);
	fkmi_gpu_add_i32(&call, fkmi_gpu_reads_wide(job, FKMI_SUM_COLUMNS));
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, a->span.row);
	fkmi_gpu_add_i64(&call, a->span.rows);
	fkmi_gpu_add_i32(&call, lanes);
	fkmi_gpu_add_i64(&call, column_blocks);
	fkmi_gpu_add_i64(&call, piece);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, fkmi_gpu_divide_up(p->b * pieces * column_blocks, FKMI_GROUP / lanes));
}

static enum fkm_status accumulate_span(struct accumulating *a, bool delta)
{
	const struct fkmi_job *job = a->job;
	a->active = job->active;
	if (a->layout.local_sums)
		return add_local_sums(a, delta);
	if (delta) {
		FKMI_TRY(list_changed(a));
		/* A part of the rows cannot make the sums anew. */
		if (a->span.rows < job->problem.n)
			return move_changed(a, job->active);
		FKMI_TRY(choose_way(a));
		FKMI_TRY(move_changed(a, fkmi_gpu_scratch(job, a->layout.moved)));
		a->active = fkmi_gpu_scratch(job, a->layout.anew);
	}
	const int64_t pieces = fkmi_gpu_divide_up(a->span.rows, FKMI_SORT_ROWS);
	FKMI_TRY(count_labels(a, pieces));
	FKMI_TRY(start_labels(a));
	FKMI_TRY(place_rows(a, pieces));
	return sum_rows(a);
}

enum fkm_status fkmi_gpu_accumulate(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span,
									enum fkmi_accumulate accumulate)
{
	struct accumulating a = {.device = device, .job = job, .layout = fkmi_gpu_layout_of(job)};
	if (accumulate == FKMI_ACCUMULATE_NONE)
		return FKM_OK;
	/* fkm_update gives all rows at once, where the lists may be made for fewer. */
	const int64_t chunk = job->plan.chunk_rows;
	for (int64_t done = 0; done < span.rows; done += chunk) {
		a.span = (struct fkmi_span){span.row + done, span.rows - done < chunk ? span.rows - done : chunk};
		FKMI_TRY(accumulate_span(&a, accumulate == FKMI_ACCUMULATE_DELTA));
	}
	return FKM_OK;
}

/* ---- relocate ---- */

static enum fkm_status find_empty(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref due,
								  struct fkmi_ref move_count)
{
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_find_empty");
	fkmi_gpu_add_ref(&call, job->weight_sums);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, due);
	fkmi_gpu_add_ref(&call, move_count);
	fkmi_gpu_add_i64(&call, job->problem.k);
	fkmi_gpu_add_i64(&call, job->problem.b);
	return fkmi_gpu_run(&call, job->problem.b);
}

static enum fkm_status choose_moves(struct fkmi_device *device, const struct fkmi_job *job,
									const struct fkmi_gpu_layout *l)
{
	struct fkmi_gpu_call call = fkmi_gpu_call_for(device, job, fkmi_gpu_scratch(job, l->due), "fkmi_k_choose_moves");
	fkmi_gpu_add_ref(&call, job->distances);
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->weight_sums);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->sort_keys));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->sort_rows));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->move_count));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->move_rows));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->move_targets));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->move_heads));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l->move_next));
	fkmi_gpu_add_i64(&call, job->problem.n);
	fkmi_gpu_add_i64(&call, job->problem.k);
	fkmi_gpu_add_i64(&call, l->sort_size);
	fkmi_gpu_add_i64(&call, job->problem.b);
	return fkmi_gpu_run(&call, job->problem.b);
}

enum fkm_status fkmi_gpu_relocate(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_gpu_layout l = fkmi_gpu_layout_of(job);
	const struct fkmi_span all = {0, job->problem.n};
	const struct fkmi_ref none = {0}, due = fkmi_gpu_scratch(job, l.due);
	FKMI_TRY(find_empty(device, job, due, fkmi_gpu_scratch(job, l.move_count)));
	FKMI_TRY(fkmi_gpu_take_distances(device, job, due, all, none));
	return choose_moves(device, job, &l);
}

/* ---- finish ---- */

enum fkm_status fkmi_gpu_finish(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_gpu_layout l = fkmi_gpu_layout_of(job);
	const struct fkmi_ref none = {0};
	const bool relocates = p->empty == FKM_EMPTY_RELOCATE;
	const int32_t wanted = fkmi_gpu_lanes(fkmi_gpu_divide_up(p->d, FKMI_FINISH_COLUMNS));
	const int32_t lanes = wanted < 8 ? 8 : wanted < FKMI_FINISH_LANES ? wanted : FKMI_FINISH_LANES;
	const int64_t blocks = fkmi_gpu_divide_up(p->k, FKMI_GROUP / lanes);
	if (!relocates)
		FKMI_TRY(find_empty(device, job, none, none));
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_finish");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, job->column_scale);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, relocates ? fkmi_gpu_scratch(job, l.move_count) : none);
	fkmi_gpu_add_ref(&call, relocates ? fkmi_gpu_scratch(job, l.move_rows) : none);
	fkmi_gpu_add_ref(&call, relocates ? fkmi_gpu_scratch(job, l.move_targets) : none);
	fkmi_gpu_add_ref(&call, relocates ? fkmi_gpu_scratch(job, l.move_heads) : none);
	fkmi_gpu_add_ref(&call, relocates ? fkmi_gpu_scratch(job, l.move_next) : none);
	fkmi_gpu_add_i32(&call, relocates);
	fkmi_gpu_add_ref(&call, job->sums);
	fkmi_gpu_add_ref(&call, job->weight_sums);
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l.shifts));
	fkmi_gpu_add_i32(&call, p->metric == FKM_METRIC_COSINE);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i32(&call, lanes);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	FKMI_TRY(fkmi_gpu_run(&call, p->b * blocks));

	struct fkmi_gpu_call shift = fkmi_gpu_call(device, job, "fkmi_k_shift");
	fkmi_gpu_add_ref(&shift, fkmi_gpu_scratch(job, l.shifts));
	fkmi_gpu_add_ref(&shift, job->state);
	fkmi_gpu_add_i64(&shift, p->k);
	fkmi_gpu_add_i64(&shift, p->b);
	return fkmi_gpu_run(&shift, p->b);
}
