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
	bool delta;
};

/* The labels that rows of the span have and had. */
static void add_labels(struct fkmi_gpu_call *call, const struct accumulating *a)
{
	const struct fkmi_ref none = {0};
	fkmi_gpu_add_ref(call, a->job->labels);
	fkmi_gpu_add_ref(call, a->delta ? a->job->previous : none);
}

static enum fkm_status add_local_sums(const struct accumulating *a)
{
	enum { GROUPS_PER_UNIT = 4, LEAST_PIECE = FKMI_GROUP };
	const struct fkmi_job *job = a->job;
	const struct fkmi_problem *p = &job->problem;
	int64_t pieces = (int64_t)a->device->limits.units * GROUPS_PER_UNIT / p->b + 1;
	int64_t piece = fkmi_gpu_divide_up(a->span.rows, pieces);
	if (piece < LEAST_PIECE)
		piece = LEAST_PIECE;
	pieces = fkmi_gpu_divide_up(a->span.rows, piece);
	struct fkmi_gpu_call call = fkmi_gpu_call(a->device, job, "fkmi_k_local_sums");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_weights(&call);
	add_labels(&call, a);
	fkmi_gpu_add_i64(&call, a->span.row);
	fkmi_gpu_add_i64(&call, a->span.rows);
	fkmi_gpu_add_ref(&call, job->column_scale);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, job->sums);
	fkmi_gpu_add_ref(&call, job->weight_sums);
	fkmi_gpu_add_i32(&call, p->k);
	fkmi_gpu_add_i64(&call, piece);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

/* FKMI_ENTRIES_ARGS. */
static void add_entries(struct fkmi_gpu_call *call, const struct accumulating *a)
{
	add_labels(call, a);
	fkmi_gpu_add_ref(call, fkmi_gpu_scratch(a->job, a->layout.changed));
	fkmi_gpu_add_i64(call, a->job->problem.n);
	fkmi_gpu_add_i64(call, a->span.row);
	fkmi_gpu_add_i64(call, a->span.rows);
}

static enum fkm_status count_entries(const struct accumulating *a)
{
	enum { GROUPS_PER_UNIT = 8, LEAST_PIECE = FKMI_GROUP * 4 };
	const struct fkmi_problem *p = &a->job->problem;
	int64_t piece = p->b * a->span.rows / ((int64_t)a->device->limits.units * GROUPS_PER_UNIT + 1);
	piece = piece < LEAST_PIECE ? LEAST_PIECE : piece > FKMI_SORT_ROWS ? FKMI_SORT_ROWS : piece;
	const int64_t pieces = fkmi_gpu_divide_up(a->span.rows, piece);
	struct fkmi_gpu_call call = fkmi_gpu_call(a->device, a->job, "fkmi_k_count_entries");
	add_entries(&call, a);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(a->job, a->layout.places));
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, piece);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

static enum fkm_status start_entries(const struct accumulating *a)
{
	const struct fkmi_problem *p = &a->job->problem;
	const int64_t blocks = fkmi_gpu_divide_up(p->k, FKMI_GROUP);
	struct fkmi_gpu_call call = fkmi_gpu_call(a->device, a->job, "fkmi_k_start_entries");
	add_entries(&call, a);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(a->job, a->layout.places));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(a->job, a->layout.used));
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(a->job, a->layout.heads));
	fkmi_gpu_add_i64(&call, a->layout.head_words);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * blocks);
}

static struct fkmi_ref list_of(const struct accumulating *a)
{
	return a->layout.list_over_distances ? a->job->distances : fkmi_gpu_scratch(a->job, a->layout.list);
}

static enum fkm_status place_entries(const struct accumulating *a)
{
	const struct fkmi_problem *p = &a->job->problem;
	const int64_t pieces = fkmi_gpu_divide_up(a->span.rows, FKMI_PLACE_ROWS);
	struct fkmi_gpu_call call = fkmi_gpu_call(a->device, a->job, "fkmi_k_place_entries");
	add_entries(&call, a);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(a->job, a->layout.places));
	fkmi_gpu_add_ref(&call, list_of(a));
	fkmi_gpu_add_i64(&call, a->layout.list_rows);
	fkmi_gpu_add_ref(&call, a->job->sums);
	fkmi_gpu_add_ref(&call, a->job->weight_sums);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, p->d);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

static enum fkm_status sum_entries(const struct accumulating *a)
{
	enum { MOST_PIECE = 128, ITEMS_PER_UNIT = 2048 };
	static const char *const kernels[][2] = {
		[FKM_F16] = {"fkmi_k_sum_any_f16", "fkmi_k_sum_f16"},
		[FKM_BF16] = {"fkmi_k_sum_any_bf16", "fkmi_k_sum_bf16"},
		[FKM_F32] = {"fkmi_k_sum_any_f32", "fkmi_k_sum_f32"},
	};
	const struct fkmi_job *job = a->job;
	const struct fkmi_problem *p = &job->problem;
	const int32_t element = p->dtype == FKM_F32 ? 4 : 2, columns = FKMI_SUM_BYTES / element;
	const int32_t read_bytes = fkmi_gpu_reads_wide(a->device, job, columns)       ? FKMI_SUM_BYTES
							   : fkmi_gpu_reads_wide(a->device, job, columns / 2) ? FKMI_SUM_BYTES / 2
																				  : element;
	const bool plain =
		!p->weighted && job->row_scale.base == NULL && read_bytes == FKMI_SUM_BYTES && p->d % columns == 0;
	const int32_t lanes = fkmi_gpu_lanes(fkmi_gpu_divide_up(p->d, columns));
	const int64_t column_blocks = fkmi_gpu_divide_up(p->d, (int64_t)lanes * columns);
	/* Long pieces write less, but there must be enough of them. */
	const int64_t wanted = (int64_t)a->device->limits.units * ITEMS_PER_UNIT / (lanes * column_blocks) + 1;
	int64_t piece = p->b * a->span.rows / wanted;
	piece = piece < FKMI_SUM_LEAST ? FKMI_SUM_LEAST : piece > MOST_PIECE ? MOST_PIECE : piece;
	piece = fkmi_gpu_divide_up(piece, FKMI_SUM_LEAST) * FKMI_SUM_LEAST;
	const int64_t pieces = fkmi_gpu_divide_up(a->layout.list_rows, piece);
	struct fkmi_gpu_call call = fkmi_gpu_call(a->device, job, kernels[p->dtype][plain]);
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_weights(&call);
	add_labels(&call, a);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.changed));
	fkmi_gpu_add_i64(&call, a->span.row);
	fkmi_gpu_add_i64(&call, a->span.rows);
	fkmi_gpu_add_ref(&call, job->column_scale);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, list_of(a));
	fkmi_gpu_add_i64(&call, a->layout.list_rows);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, a->layout.heads));
	fkmi_gpu_add_i64(&call, a->layout.head_words);
	fkmi_gpu_add_ref(&call, job->sums);
	fkmi_gpu_add_ref(&call, job->weight_sums);
	fkmi_gpu_add_i32(&call, read_bytes);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i32(&call, lanes);
	fkmi_gpu_add_i64(&call, column_blocks);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, fkmi_gpu_divide_up(p->b * pieces * column_blocks, FKMI_GROUP / lanes));
}

static enum fkm_status accumulate_span(const struct accumulating *a)
{
	const struct fkmi_gpu_layout *l = &a->layout;
	if (l->local_sums)
		return add_local_sums(a);
	FKMI_TRY(fkmi_gpu_fill(a->device, fkmi_gpu_scratch(a->job, l->changed), 0, l->zeroed_bytes));
	FKMI_TRY(count_entries(a));
	FKMI_TRY(start_entries(a));
	FKMI_TRY(place_entries(a));
	return sum_entries(a);
}

enum fkm_status fkmi_gpu_accumulate(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span,
									enum fkmi_accumulate accumulate)
{
	if (accumulate == FKMI_ACCUMULATE_NONE)
		return FKM_OK;
	struct accumulating a = {
		.device = device,
		.job = job,
		.layout = fkmi_gpu_layout_of(job),
		.delta = accumulate == FKMI_ACCUMULATE_DELTA,
	};
	/* fkm_update gives all rows at once, where the lists may be made for fewer. */
	const int64_t chunk = job->plan.chunk_rows;
	for (int64_t done = 0; done < span.rows; done += chunk) {
		a.span = (struct fkmi_span){span.row + done, span.rows - done < chunk ? span.rows - done : chunk};
		FKMI_TRY(accumulate_span(&a));
	}
	return FKM_OK;
}

/* ---- relocate ---- */

static enum fkm_status find_empty(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref due,
								  struct fkmi_ref move_count)
{
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_find_empty");
	fkmi_gpu_add_ref(&call, job->total_weights);
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
	fkmi_gpu_add_ref(&call, job->total_weights);
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
	const struct fkmi_ref none = {0}, due = fkmi_gpu_scratch(job, l.due);
	bool needed;
	FKMI_TRY(find_empty(device, job, due, fkmi_gpu_scratch(job, l.move_count)));
	if (job->merge != NULL)
		return fkmi_gpu_relocate_ranks(device, job, &l);
	FKMI_TRY(fkmi_pass_needed(job, due, &needed));
	if (!needed)
		return FKM_OK;
	FKMI_GPU_PASS(job, w, fkmi_gpu_take_distances(device, &w.job, due, w.span, none));
	FKMI_TRY(choose_moves(device, job, &l));
	return fkmi_list_rows(job, 0, job->problem.b, fkmi_gpu_scratch(job, l.move_rows), job->problem.k);
}

/* ---- finish ---- */

enum fkm_status fkmi_gpu_finish(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_gpu_layout l = fkmi_gpu_layout_of(job);
	const struct fkmi_ref none = {0};
	const bool relocates = p->empty == FKM_EMPTY_RELOCATE;
	const int64_t blocks = fkmi_gpu_divide_up(p->k, FKMI_OCTETS);
	if (!relocates)
		FKMI_TRY(find_empty(device, job, none, none));
	const struct fkmi_job moved = fkmi_listed(job, 0, p->k); /* by relocate */
	struct fkmi_gpu_call call = fkmi_gpu_call(device, &moved, "fkmi_k_finish");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_i32(&call, moved.windows != NULL);
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, job->column_scale);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, relocates ? fkmi_gpu_scratch(job, l.move_count) : none);
	fkmi_gpu_add_ref(&call, relocates ? fkmi_gpu_scratch(job, l.move_rows) : none);
	fkmi_gpu_add_ref(&call, relocates ? fkmi_gpu_scratch(job, l.move_targets) : none);
	fkmi_gpu_add_ref(&call, relocates ? fkmi_gpu_scratch(job, l.move_heads) : none);
	fkmi_gpu_add_ref(&call, relocates ? fkmi_gpu_scratch(job, l.move_next) : none);
	fkmi_gpu_add_i32(&call, relocates);
	fkmi_gpu_add_ref(&call, job->total_sums);
	fkmi_gpu_add_ref(&call, job->total_weights);
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l.shifts));
	fkmi_gpu_add_i32(&call, p->metric == FKM_METRIC_COSINE);
	fkmi_gpu_add_i64(&call, p->k);
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
