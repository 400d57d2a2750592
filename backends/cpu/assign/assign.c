/* SPDX-License-Identifier: Apache-2.0 */
/* The step assign: tiles of rows through the filter, then rows that it cannot decide through recheck.c. */
#include "assign.h"

#include <math.h>
#include <string.h>

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- one thread, one problem ---- */

void fkmi_cpu_pack_rows(struct fkmi_cpu_worker *w, int64_t t, int64_t first, const int64_t *rows)
{
	const struct fkmi_problem *problem = &w->job->problem;
	struct fkmi_cpu_pack a = {.points = w->points + first * w->row_bytes,
							  .row_bytes = w->row_bytes,
							  .rows = rows,
							  .dtype = problem->dtype,
							  .d = problem->d,
							  .block = w->layout->block,
							  .scale = (float)w->operands.filter->scale,
							  .mu = w->operands.mu,
							  .x = (float *)(w->part + w->layout->x) + t * w->isa->points * problem->d,
							  .squares = (float *)(w->part + w->layout->squares) + t * w->isa->points};
	if (problem->metric == FKM_METRIC_COSINE)
		a.row_scale = (const double *)fkmi_ref_ptr(w->job->row_scale) + w->b * problem->n + first;
	w->isa->pack(&a);
}

void fkmi_cpu_sweep_tiles(struct fkmi_cpu_worker *w, int64_t tiles, enum fkmi_cpu_sweep_kind kind,
						  const struct fkmi_cpu_sweep *prototype)
{
	const struct fkmi_cpu_layout *layout = w->layout;
	int64_t d = w->job->problem.d, points = w->isa->points, size = w->isa->centroids;
	int64_t groups = (w->operands.filter->unique + size - 1) / size;
	const float *x = (const float *)(w->part + layout->x);
	float *partial = (float *)(w->part + layout->partial);
	struct fkmi_cpu_sweep a = *prototype;
	a.group_stride = d * size;
	int64_t shares = groups * layout->blocks * tiles;
	a.ahead_bytes = (prototype->ahead_bytes + shares - 1) / shares;
	for (int64_t g = 0; g < groups; g += layout->panel) {
		a.groups = (int32_t)least(groups - g, layout->panel);
		a.first_centroid = (int32_t)(g * size);
		a.halves = w->operands.halves + g * size;
		for (int64_t j = 0; j < d; j += layout->block) {
			a.panels = w->operands.panels + (g * d + j) * size;
			a.dims = least(d - j, layout->block);
			a.first = j == 0;
			a.last = j + layout->block >= d;
			for (int64_t t = 0; t < tiles; t++) {
				a.x = x + (t * d + j) * points;
				a.partial = layout->blocks > 1 ? partial + t * layout->panel * size * points : NULL;
				if (kind != FKMI_CPU_SWEEP_GATHER) {
					a.best = prototype->best + t * points;
					a.second = prototype->second + t * points;
					a.at = prototype->at + t * points;
				}
				w->isa->sweep(&a, kind);
				a.ahead += a.groups * a.ahead_bytes;
			}
		}
	}
}

void fkmi_cpu_label_row(struct fkmi_cpu_worker *w, int64_t i, int32_t former, int32_t now)
{
	w->labels[i] = now;
	if (w->previous)
		w->previous[i] = former;
	w->changed += former != now;
	if (w->accumulate == FKMI_ACCUMULATE_FULL)
		fkmi_cpu_sums_move(&w->sums, i, -1, now);
	else if (w->accumulate == FKMI_ACCUMULATE_DELTA && former != now)
		fkmi_cpu_sums_move(&w->sums, i, former, now);
}

/* Labels of tile t, which holds `count` rows from `row` on. */
static void finish_tile(struct fkmi_cpu_worker *w, const struct fkmi_cpu_sweep *found, int64_t t, int64_t row,
						int32_t count)
{
	int32_t points = w->isa->points;
	uint64_t lanes = count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1, uncertain = 0;
	const int32_t *at = found->at + t * points;
	float threshold[FKMI_CPU_MAX_POINTS];
	if (w->job->problem.precision == FKM_PRECISION_EXACT)
		uncertain = w->isa->certify(
			&(struct fkmi_cpu_certify){.best = found->best + t * points,
									   .second = found->second + t * points,
									   .squares = (const float *)(w->part + w->layout->squares) + t * points,
									   .at = at,
									   .norms = w->operands.norms,
									   .norm_max = w->operands.filter->norm_max,
									   .bound = w->bound,
									   .threshold = threshold});
	uncertain &= lanes;

	int32_t former[FKMI_CPU_MAX_POINTS], partial[FKMI_CPU_MAX_POINTS], *labels = w->labels + row;
	size_t bytes = (size_t)count * sizeof *labels;
	uint64_t changed;
	if (count == points) {
		changed = w->isa->relabel(at, w->index, labels, former);
	} else {
		memset(partial, 0, sizeof partial);
		memcpy(partial, labels, bytes);
		changed = w->isa->relabel(at, w->index, partial, former) & lanes;
		memcpy(labels, partial, bytes);
	}
	changed &= ~uncertain;
	if (w->previous)
		memcpy(w->previous + row, former, bytes);
	for (uint64_t rest = changed; rest; rest &= rest - 1)
		w->changed++;
	if (w->accumulate != FKMI_ACCUMULATE_NONE) {
		bool full = w->accumulate == FKMI_ACCUMULATE_FULL;
		uint64_t moved = full ? lanes & ~uncertain : changed;
		for (; moved; moved &= moved - 1) {
			int i = fkmi_cpu_lowest_bit(moved);
			fkmi_cpu_sums_move(&w->sums, row + i, full ? -1 : former[i], labels[i]);
		}
	}
	for (; uncertain; uncertain &= uncertain - 1) {
		int i = fkmi_cpu_lowest_bit(uncertain);
		w->queue[w->waiting].row = row + i;
		w->queue[w->waiting].threshold = threshold[i];
		w->queue[w->waiting].former = former[i];
		w->waiting++;
	}
	fkmi_cpu_recheck(w, false);
}

/* Rows row .. row+count-1, which fit the tiles that are swept together, through the filter; `ahead` more will follow.
 */
static void filter_rows(struct fkmi_cpu_worker *w, int64_t row, int64_t count, int64_t ahead)
{
	int32_t points = w->isa->points;
	int64_t tiles = (count + points - 1) / points;
	for (int64_t t = 0; t < tiles; t++) {
		int64_t first = row + t * points, rest = row + count - first, rows[FKMI_CPU_MAX_POINTS];
		if (rest < points) {
			for (int32_t i = 0; i < points; i++) /* lanes past the last row repeat it */
				rows[i] = least(i, rest - 1);
		}
		fkmi_cpu_pack_rows(w, t, first, rest < points ? rows : NULL);
	}
	struct fkmi_cpu_sweep found = {.best = (float *)(w->part + w->layout->best),
								   .second = (float *)(w->part + w->layout->second),
								   .at = (int32_t *)(w->part + w->layout->at)};
	found.ahead = w->points + (row + count) * w->row_bytes;
	found.ahead_bytes = ahead * w->row_bytes;
	fkmi_cpu_sweep_tiles(
		w, tiles, w->job->problem.precision == FKM_PRECISION_EXACT ? FKMI_CPU_SWEEP_TWO : FKMI_CPU_SWEEP_BEST, &found);
	for (int64_t t = 0; t < tiles; t++) {
		int64_t rest = count - t * points;
		finish_tile(w, &found, t, row + t * points, (int32_t)(rest < points ? rest : points));
	}
}

static void assign_rows(struct fkmi_cpu_worker *w, int64_t row, int64_t count)
{
	const struct fkmi_cpu_filter *filter = w->operands.filter;
	if (filter->unique == 1) { /* which is the first */
		for (int64_t i = row; i < row + count; i++)
			fkmi_cpu_label_row(w, i, w->labels[i], 0);
	} else if (filter->off) {
		for (int64_t i = row; i < row + count; i++)
			fkmi_cpu_scan_row(w, i, w->labels[i]);
	} else {
		int64_t most = w->layout->tiles * w->isa->points;
		for (int64_t i = 0, now; i < count; i += now) {
			now = least(count - i, most);
			filter_rows(w, row + i, now, least(count - i - now, most));
		}
	}
}

/* ---- the step ---- */

struct assignment {
	const struct fkmi_job *job;
	const struct fkmi_cpu_isa *isa;
	struct fkmi_cpu_layout layout;
	struct fkmi_cpu_items items;
	struct fkmi_cpu_bound bound;
	enum fkmi_accumulate accumulate;
};

static void begin_problem(struct fkmi_cpu_worker *w, int64_t b, bool owned)
{
	const struct fkmi_job *job = w->job;
	w->b = b;
	w->operands = fkmi_cpu_operands_of(job, w->layout, b);
	w->index = w->operands.filter->unique == job->problem.k ? NULL : w->operands.index;
	w->points = fkmi_cpu_row(job, b, 0);
	w->labels = (int32_t *)fkmi_ref_ptr(job->labels) + b * job->problem.n;
	w->previous = job->previous.base ? (int32_t *)fkmi_ref_ptr(job->previous) + b * job->problem.n : NULL;
	w->changed = w->rechecked = w->ties = 0;
	if (w->accumulate != FKMI_ACCUMULATE_NONE)
		fkmi_cpu_sums_begin(&w->sums, job, w->layout, w->isa, w->part, b, owned);
}

static void add_to_counter(int64_t *counter, int64_t value)
{
	if (value)
		atomic_fetch_add_explicit((_Atomic int64_t *)counter, value, memory_order_relaxed);
}

static void end_problem(struct fkmi_cpu_worker *w)
{
	struct fkmi_state *state = (struct fkmi_state *)fkmi_ref_ptr(w->job->state) + w->b;
	fkmi_cpu_recheck(w, true);
	add_to_counter(&state->changed, w->changed);
	add_to_counter(&state->rechecked, w->rechecked);
	add_to_counter(&state->ties, w->ties);
	if (w->accumulate != FKMI_ACCUMULATE_NONE)
		fkmi_cpu_sums_end(&w->sums);
}

static void work(void *argument, int thread, int threads)
{
	(void)threads;
	struct assignment *a = argument;
	struct fkmi_cpu_worker w = {.job = a->job,
								.isa = a->isa,
								.layout = &a->layout,
								.accumulate = a->accumulate,
								.bound = a->bound,
								.row_bytes = a->job->point_row_stride * (a->job->problem.dtype == FKM_F32 ? 4 : 2),
								.part = fkmi_cpu_thread_part(a->job, &a->layout, thread),
								.b = -1};
	const int32_t *active = fkmi_ref_ptr(a->job->active);
	int64_t i, end;
	while (fkmi_cpu_items_take(&a->items, &i, &end)) {
		for (; i < end; i++) {
			struct fkmi_cpu_item item = fkmi_cpu_items_get(&a->items, i);
			if (!active[item.b])
				continue;
			if (w.b != item.b) {
				if (w.b >= 0)
					end_problem(&w);
				begin_problem(&w, item.b, a->items.per_problem == 1);
			}
			assign_rows(&w, item.row, item.rows);
		}
	}
	if (w.b >= 0)
		end_problem(&w);
}

/* certificate.h */
static struct fkmi_cpu_bound bound_of(const struct fkmi_cpu_layout *layout, int64_t d)
{
	double roundings = (double)(layout->block + layout->blocks + 4);
	return (struct fkmi_cpu_bound){.relative = (float)(roundings * 0x1p-24 * 1.03),
								   .distance = (float)(((double)d / 8 + 8) * 0x1p-52)};
}

enum fkm_status fkmi_cpu_assign(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span,
								enum fkmi_accumulate accumulate)
{
	enum { MOST_ROWS = 4096 };
	const struct fkmi_problem *problem = &job->problem;
	struct fkmi_pool *pool = ((struct fkmi_cpu *)device)->pool;
	struct assignment a = {.job = job,
						   .isa = fkmi_cpu_isa_of(job->plan.tile),
						   .layout = fkmi_cpu_layout_make(problem, job->plan.tile, device->limits.units),
						   .accumulate = accumulate};
	if (span.rows == 0)
		return FKM_OK;
	a.bound = bound_of(&a.layout, problem->d);
	fkmi_cpu_items_init(&a.items, problem, span, fkmi_pool_threads(pool), a.isa->points, MOST_ROWS);
	/* One item is not worth waking the others for. */
	if (a.items.count == 1)
		work(&a, 0, 1);
	else
		fkmi_pool_run(pool, work, &a);
	return FKM_OK;
}
