/* SPDX-License-Identifier: Apache-2.0 */
#include "windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "error.h"
#include "machine.h"
#include "pool.h"

enum {
	BUFFERS = 2,
	SLOTS = 4,
	SLOT_BYTES = 8 << 20,     /* what the caches of a few cores hold */
	LEAST_COPY = 64 << 10,    /* shorter runs of rows are packed */
	LEAST_SHARED = 256 << 10, /* bytes that are worth waking a pool for */
	ALIGNMENT = 256,
};

/* What events say. */
enum { STEPS_USED = 0, BUFFER_FILLED = BUFFERS, FILLED_RESIDENT = 2 * BUFFERS, PACE, SLOT_SENT = PACE + 2 };
_Static_assert(SLOT_SENT + SLOTS <= FKMI_WINDOW_EVENTS, "events of windows");

/* Rows that go to the device as they are packed. */
struct slot {
	char *memory;
	int64_t used;
	struct fkmi_ref to; /* where the first of them goes */
};

struct fkmi_windows {
	struct fkmi_device *device;
	const struct fkmi_copier *copier;
	struct fkm_array points;
	const int32_t *active;
	int64_t element, row_bytes; /* of one problem */
	int64_t resident_rows, window_rows;
	int64_t resident_windows, windows; /* the resident ones come first */
	struct fkmi_ref resident, buffers[BUFFERS], listed;
	int64_t loaded;        /* resident windows that are on the device */
	int64_t held[BUFFERS]; /* window in the buffer; -1: none */
	bool backward;         /* the pass in progress, or the next one */
	bool direct;           /* copies read the caller's memory */
	struct slot slots[SLOTS];
	int slot; /* being filled */
	int64_t slot_bytes;
	struct fkmi_pool *pool;
	int pace;    /* the event of the next call of fkmi_pace: 0 or 1 */
	bool opened; /* there may be copies in flight */
};

/* ---- sizes ---- */

struct layout {
	int64_t buffers[BUFFERS], listed, bytes;
};

static int64_t take(int64_t *end, int64_t rows, int64_t row_bytes)
{
	const int64_t at = *end;
	if (at < 0 || (rows > 0 && row_bytes > (INT64_MAX / 4 - at) / rows)) {
		*end = -1;
		return -1;
	}
	*end += (rows * row_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	return at;
}

static struct layout layout_of(const struct fkmi_problem *problem, const struct fkmi_plan *plan, int64_t row_bytes)
{
	struct layout l = {.bytes = 0};
	take(&l.bytes, problem->n - plan->streamed_rows, row_bytes);
	if (plan->streamed_rows == 0)
		return l;
	for (int i = 0; i < BUFFERS; i++)
		l.buffers[i] = take(&l.bytes, plan->chunk_rows, row_bytes);
	l.listed = take(&l.bytes, problem->fits ? problem->k : 0, row_bytes);
	return l;
}

int64_t fkmi_points_bytes(const struct fkmi_problem *problem, const struct fkmi_plan *plan, int64_t row_bytes)
{
	return layout_of(problem, plan, row_bytes).bytes;
}

/* ---- opening and closing ---- */

static int64_t divide_up(int64_t a, int64_t b)
{
	return a / b + (a % b != 0);
}

static bool reads_directly(const struct fkmi_windows *w)
{
	const struct fkm_array *points = &w->points;
	const int64_t last = (points->batch - 1) * points->batch_stride + (points->rows - 1) * points->row_stride;
	const int64_t run = w->window_rows * w->row_bytes;
	return points->row_stride == points->dims && (points->batch == 1 || run >= LEAST_COPY) &&
		   w->copier->is_pinned(w->device, points->data, last * w->element + w->row_bytes);
}

static enum fkm_status open_ring(struct fkmi_windows *w, int threads)
{
	enum { MOST_THREADS = 16 }; /* fewer fill the bus of any device */
	const int processors = fkmi_cpu_count();
	const int64_t rows = w->window_rows * w->points.batch; /* checked with the plan */
	w->slot_bytes = rows * w->row_bytes < SLOT_BYTES ? rows * w->row_bytes
					: w->row_bytes > SLOT_BYTES      ? w->row_bytes
													 : SLOT_BYTES;
	for (int i = 0; i < SLOTS; i++) {
		void *memory;
		FKMI_TRY(w->copier->host_alloc(w->device, w->slot_bytes, &memory));
		w->slots[i].memory = memory;
	}
	threads = w->slot_bytes < LEAST_SHARED ? 1 : threads > 0 ? threads : processors;
	return fkmi_pool_create(threads < MOST_THREADS ? threads : MOST_THREADS, &w->pool);
}

enum fkm_status fkmi_windows_open(struct fkmi_device *device, struct fkmi_job *job, const struct fkm_array *points,
								  struct fkmi_ref block, const int32_t *active, int threads,
								  struct fkmi_windows **windows)
{
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_plan *plan = &job->plan;
	const int64_t element = fkmi_dtype_bytes(p->dtype);
	const struct layout l = layout_of(p, plan, p->b * p->d * element);
	struct fkmi_windows *w = calloc(1, sizeof *w);
	*windows = NULL;
	if (w == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for windows");
	*w = (struct fkmi_windows){
		.device = device,
		.copier = device->backend->copier,
		.points = *points,
		.active = active,
		.element = element,
		.row_bytes = p->d * element,
		.resident_rows = p->n - plan->streamed_rows,
		.window_rows = plan->chunk_rows,
		.resident_windows = divide_up(p->n - plan->streamed_rows, plan->chunk_rows),
		.resident = block,
		.listed = fkmi_ref_add(block, l.listed),
	};
	w->points.data = (const char *)points->data + points->offset_bytes;
	w->windows = w->resident_windows + divide_up(plan->streamed_rows, plan->chunk_rows);
	for (int i = 0; i < BUFFERS; i++) {
		w->buffers[i] = fkmi_ref_add(block, l.buffers[i]);
		w->held[i] = -1;
	}
	enum fkm_status status = w->copier->open(device);
	if (status == FKM_OK) {
		w->opened = true;
		w->direct = reads_directly(w);
		if (!w->direct)
			status = open_ring(w, threads);
	}
	if (status != FKM_OK) {
		fkmi_windows_close(w, status == FKM_ERROR_DEVICE_LOST);
		return status;
	}
	job->windows = *windows = w;
	return FKM_OK;
}

void fkmi_windows_activate(struct fkmi_windows *windows)
{
	for (int i = 0; i < BUFFERS; i++)
		windows->held[i] = -1;
}

/* The sentence of what went wrong before is not this one's to replace. */
static void finish_copies(const struct fkmi_windows *w)
{
	char sentence_before[1024];
	snprintf(sentence_before, sizeof sentence_before, "%s", fkm_error_message());
	if (w->copier->mark(w->device, FKMI_QUEUE_COPIES, FILLED_RESIDENT) != FKM_OK ||
		w->copier->wait(w->device, FILLED_RESIDENT) != FKM_OK)
		fkmi_fail(FKM_OK, "%s", sentence_before);
}

void fkmi_windows_close(struct fkmi_windows *windows, bool lost)
{
	if (windows == NULL)
		return;
	struct fkmi_windows *w = windows;
	if (w->opened && !lost)
		finish_copies(w);
	for (int i = 0; i < SLOTS && !lost; i++) /* a lost device takes its memory with it */
		if (w->slots[i].memory != NULL)
			w->copier->host_free(w->device, w->slots[i].memory);
	fkmi_pool_destroy(w->pool);
	free(w);
}

/* ---- from the host to the device ---- */

static const char *host_row(const struct fkmi_windows *w, int64_t b, int64_t row)
{
	return (const char *)w->points.data + (b * w->points.batch_stride + row * w->points.row_stride) * w->element;
}

/* A run of rows of one problem. */
struct run {
	const struct fkmi_windows *windows;
	int64_t b, row, rows;
	char *to;
};

static void pack_rows(const struct run *run, int64_t first, int64_t end)
{
	const struct fkmi_windows *w = run->windows;
	char *to = run->to + first * w->row_bytes;
	const char *from = host_row(w, run->b, run->row + first);
	if (w->points.row_stride == w->points.dims) {
		memcpy(to, from, (size_t)((end - first) * w->row_bytes));
		return;
	}
	for (int64_t i = first; i < end; i++, to += w->row_bytes, from += w->points.row_stride * w->element)
		memcpy(to, from, (size_t)w->row_bytes);
}

static void pack_share(void *argument, int thread, int threads)
{
	const struct run *run = argument;
	pack_rows(run, run->rows * thread / threads, run->rows * (thread + 1) / threads);
}

/* Sends what the slot holds, and goes on to the next one. */
static enum fkm_status send_slot(struct fkmi_windows *w)
{
	struct slot *slot = &w->slots[w->slot];
	if (slot->used == 0)
		return FKM_OK;
	const int64_t bytes = slot->used;
	slot->used = 0;
	FKMI_TRY(w->copier->copy(w->device, slot->to, slot->memory, bytes));
	FKMI_TRY(w->copier->mark(w->device, FKMI_QUEUE_COPIES, SLOT_SENT + w->slot));
	w->slot = (w->slot + 1) % SLOTS;
	return FKM_OK;
}

static enum fkm_status pack_run(struct fkmi_windows *w, struct run run, struct fkmi_ref to)
{
	for (int64_t rows; run.rows > 0; run.rows -= rows) {
		struct slot *slot = &w->slots[w->slot];
		const bool behind = slot->used > 0 && slot->to.offset + slot->used == to.offset;
		if (slot->used > 0 && (!behind || slot->used + w->row_bytes > w->slot_bytes)) {
			FKMI_TRY(send_slot(w));
			slot = &w->slots[w->slot];
		}
		if (slot->used == 0) {
			FKMI_TRY(w->copier->wait(w->device, SLOT_SENT + w->slot));
			slot->to = to;
		}
		rows = (w->slot_bytes - slot->used) / w->row_bytes;
		rows = rows < run.rows ? rows : run.rows;
		struct run piece = {w, run.b, run.row, rows, slot->memory + slot->used};
		if (rows * w->row_bytes >= LEAST_SHARED)
			fkmi_pool_run(w->pool, pack_share, &piece);
		else
			pack_rows(&piece, 0, rows);
		slot->used += rows * w->row_bytes;
		run.row += rows;
		to = fkmi_ref_add(to, rows * w->row_bytes);
	}
	return FKM_OK;
}

/* The span's rows of each active problem, which lie `stride` rows apart on the device. */
static enum fkm_status send_rows(struct fkmi_windows *w, struct fkmi_span span, struct fkmi_ref to, int64_t stride)
{
	for (int64_t b = 0; b < w->points.batch; b++) {
		const struct fkmi_ref place = fkmi_ref_add(to, b * stride * w->row_bytes);
		if (!w->active[b])
			continue;
		if (w->direct)
			FKMI_TRY(w->copier->copy(w->device, place, host_row(w, b, span.row), span.rows * w->row_bytes));
		else
			FKMI_TRY(pack_run(w, (struct run){w, b, span.row, span.rows, NULL}, place));
	}
	return w->direct ? FKM_OK : send_slot(w);
}

/* ---- passes ---- */

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static struct fkmi_span span_of(const struct fkmi_windows *w, int64_t window)
{
	const bool resident = window < w->resident_windows;
	const int64_t first = resident ? 0 : w->resident_rows, end = resident ? w->resident_rows : w->points.rows;
	const int64_t row = first + (resident ? window : window - w->resident_windows) * w->window_rows;
	return (struct fkmi_span){row, smaller(w->window_rows, end - row)};
}

/* The window of a visit. Those that stream are spread evenly, and the first visit is to one of them. */
static int64_t window_of(const struct fkmi_windows *w, int64_t visit)
{
	const int64_t streamed = w->windows - w->resident_windows;
	const int64_t before = divide_up(visit * streamed, w->windows),
				  with = divide_up((visit + 1) * streamed, w->windows);
	if (before == with)
		return visit - before;
	return w->resident_windows + (w->backward ? streamed - 1 - before : before);
}

/* Sees to it that steps which are enqueued from now on find the window where it belongs. */
static enum fkm_status bring_resident(struct fkmi_windows *w, int64_t window)
{
	if (window < w->loaded) /* windows of this kind are visited in order */
		return FKM_OK;
	const struct fkmi_span span = span_of(w, window);
	FKMI_TRY(send_rows(w, span, fkmi_ref_add(w->resident, span.row * w->row_bytes), w->resident_rows));
	FKMI_TRY(w->copier->mark(w->device, FKMI_QUEUE_COPIES, FILLED_RESIDENT));
	FKMI_TRY(w->copier->follow(w->device, FKMI_QUEUE_STEPS, FILLED_RESIDENT));
	w->loaded = window + 1;
	return FKM_OK;
}

static enum fkm_status bring_streamed(struct fkmi_windows *w, int64_t window, int buffer)
{
	if (w->held[buffer] == window)
		return FKM_OK;
	w->held[buffer] = -1;
	FKMI_TRY(w->copier->follow(w->device, FKMI_QUEUE_COPIES, STEPS_USED + buffer));
	FKMI_TRY(send_rows(w, span_of(w, window), w->buffers[buffer], w->window_rows));
	FKMI_TRY(w->copier->mark(w->device, FKMI_QUEUE_COPIES, BUFFER_FILLED + buffer));
	FKMI_TRY(w->copier->follow(w->device, FKMI_QUEUE_STEPS, BUFFER_FILLED + buffer));
	w->held[buffer] = window;
	return FKM_OK;
}

static enum fkm_status visit(struct fkmi_windows *w, struct fkmi_window *stop)
{
	const int64_t window = window_of(w, stop->visit++);
	stop->span = span_of(w, window);
	if (window < w->resident_windows) {
		stop->job.points = w->resident;
		stop->job.point_batch_stride = w->resident_rows * w->points.dims;
		return bring_resident(w, window);
	}
	const int buffer = (int)((window - w->resident_windows) % BUFFERS);
	stop->buffer = buffer + 1;
	stop->job.points = fkmi_ref_add(w->buffers[buffer], -stop->span.row * w->row_bytes);
	stop->job.point_batch_stride = w->window_rows * w->points.dims;
	return bring_streamed(w, window, buffer);
}

enum fkm_status fkmi_next_window(const struct fkmi_job *job, int64_t rows, struct fkmi_window *window)
{
	struct fkmi_windows *w = job->windows;
	if (w == NULL) {
		const int64_t row = window->span.row + window->span.rows;
		if (window->visit++ == 0)
			window->job = *job;
		window->span = (struct fkmi_span){row, smaller(rows, job->problem.n - row)};
		return FKM_OK;
	}
	if (window->visit == 0) { /* also after a pass that was broken off */
		window->job = *job;
		for (int i = 0; i < BUFFERS; i++)
			FKMI_TRY(w->copier->mark(w->device, FKMI_QUEUE_STEPS, STEPS_USED + i));
	}
	if (window->buffer != 0)
		FKMI_TRY(w->copier->mark(w->device, FKMI_QUEUE_STEPS, STEPS_USED + window->buffer - 1));
	window->buffer = 0;
	window->span.rows = 0;
	if (window->visit < w->windows)
		return visit(w, window);
	w->backward = !w->backward;
	return FKM_OK;
}

enum fkm_status fkmi_pace(struct fkmi_windows *windows)
{
	struct fkmi_windows *w = windows;
	FKMI_TRY(w->copier->mark(w->device, FKMI_QUEUE_STEPS, PACE + w->pace));
	w->pace = 1 - w->pace;
	return w->copier->wait(w->device, PACE + w->pace);
}

/* ---- what steps need of the host besides ---- */

/* Rows of problems, as numbers and packed. */
struct list {
	int64_t b, problems, count;
	int64_t *numbers;
	char *packed;
};

static enum fkm_status bring_list(struct fkmi_windows *w, const struct list *list, struct fkmi_ref rows)
{
	const int64_t all = list->problems * list->count;
	FKMI_TRY(w->device->backend->download(w->device, list->numbers, rows, all * (int64_t)sizeof *list->numbers));
	for (int64_t i = 0; i < all; i++) {
		const int64_t b = list->b + i / list->count, row = list->numbers[i];
		if (w->active[b] && row >= 0 && row < w->points.rows)
			memcpy(list->packed + i * w->row_bytes, host_row(w, b, row), (size_t)w->row_bytes);
	}
	return w->device->backend->upload(w->device, w->listed, list->packed, all * w->row_bytes);
}

enum fkm_status fkmi_list_rows(const struct fkmi_job *job, int64_t b, int64_t problems, struct fkmi_ref rows,
							   int64_t count)
{
	struct fkmi_windows *w = job->windows;
	if (w == NULL || count == 0)
		return FKM_OK;
	const size_t all = (size_t)(problems * count);
	struct list list = {b, problems, count, malloc(all * sizeof *list.numbers), calloc(all, (size_t)w->row_bytes)};
	enum fkm_status status = FKM_OK;
	if (list.numbers == NULL || list.packed == NULL)
		status = fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for %zu rows", all);
	else
		status = bring_list(w, &list, rows);
	free(list.numbers);
	free(list.packed);
	return status;
}

struct fkmi_job fkmi_listed(const struct fkmi_job *job, int64_t b, int64_t count)
{
	struct fkmi_job list = *job;
	const struct fkmi_windows *w = job->windows;
	if (w == NULL)
		return list;
	list.points = fkmi_ref_add(w->listed, -b * count * w->row_bytes);
	list.point_row_stride = job->problem.d;
	list.point_batch_stride = count * job->problem.d;
	return list;
}

enum fkm_status fkmi_pass_needed(const struct fkmi_job *job, struct fkmi_ref flags, bool *needed)
{
	struct fkmi_windows *w = job->windows;
	*needed = true;
	if (w == NULL)
		return FKM_OK;
	const size_t bytes = (size_t)job->problem.b * sizeof(int32_t);
	int32_t *values = malloc(bytes);
	if (values == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for %lld flags", (long long)job->problem.b);
	enum fkm_status status = w->device->backend->download(w->device, values, flags, (int64_t)bytes);
	*needed = false;
	for (int64_t b = 0; b < job->problem.b && status == FKM_OK; b++)
		*needed = *needed || values[b] != 0;
	free(values);
	return status;
}
