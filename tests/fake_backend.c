/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "error.h"

struct fake fake;

enum { MOST_ALLOCATIONS = 256 };

static struct {
	struct fkmi_ref memory;
	int64_t bytes;
} allocations[MOST_ALLOCATIONS];

struct fake_device {
	struct fkmi_device device; /* first */
	struct fkmi_device *cpu;
};

static void violate(const char *step, const char *what)
{
	fake.violations++;
	snprintf(fake.violation, sizeof(fake.violation), "%s: %s", step, what);
}

static enum fkm_status enter(const char *step)
{
	if (fake.lost)
		violate(step, "called after the device was lost");
	if (++fake.calls != fake.fail_at)
		return FKM_OK;
	fake.lost = fake.fail_as == FKM_ERROR_DEVICE_LOST;
	return fkmi_fail(fake.fail_as, "fake: %s failed", step);
}

static struct fkmi_device *cpu_of(struct fkmi_device *device)
{
	return ((struct fake_device *)device)->cpu;
}

/* ---- where memory comes from ---- */

static bool on_device(const struct fkmi_device *device, struct fkmi_ref ref, int64_t bytes)
{
	const char *at = fkmi_ref_ptr(ref);

	if (device->limits.host_memory || (!ref.base && !bytes))
		return true;
	for (int i = 0; i < MOST_ALLOCATIONS; i++) {
		const char *start = allocations[i].memory.base;
		if (start && at >= start && at + bytes <= start + allocations[i].bytes)
			return true;
	}
	return false;
}

static void check_ref(const struct fkmi_device *device, const char *step, const char *name, struct fkmi_ref ref,
					  int64_t bytes, bool optional)
{
	char what[120];

	if (!ref.base && optional)
		return;
	if (!ref.base || !on_device(device, ref, bytes)) {
		snprintf(what, sizeof(what), "%s (%lld bytes) is not in device memory", name, (long long)bytes);
		violate(step, what);
	}
}

static void check_job(const struct fkmi_device *device, const char *step, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	int64_t b = p->b, n = p->n, k = p->k, d = p->d, size = p->dtype == FKM_F32 ? 4 : 2;
	bool cosine = p->metric == FKM_METRIC_COSINE;

	check_ref(device, step, "points", job->points,
			  ((b - 1) * job->point_batch_stride + (n - 1) * job->point_row_stride + d) * size, false);
	check_ref(device, step, "weights", job->weights, 0, !p->weighted);
	check_ref(device, step, "active", job->active, b * 4, false);
	check_ref(device, step, "state", job->state, b * (int64_t)sizeof(struct fkmi_state), false);
	check_ref(device, step, "column_scale", job->column_scale, b * d * 8, !p->fits);
	check_ref(device, step, "row_scale", job->row_scale, b * n * 8, !cosine);
	check_ref(device, step, "centroids", job->centroids, b * k * d * 8, false);
	check_ref(device, step, "sums", job->sums, b * k * d * 8, !p->fits);
	check_ref(device, step, "weight_sums", job->weight_sums, b * k * 8, !p->fits);
	check_ref(device, step, "labels", job->labels, b * n * 4, false);
	check_ref(device, step, "previous", job->previous, b * n * 4, true);
	check_ref(device, step, "distances", job->distances, b * n * 8, true);
	check_ref(device, step, "scratch", job->scratch, job->plan.scratch_bytes, job->plan.scratch_bytes == 0);
	if (job->plan.chunk_rows < 1)
		violate(step, "chunk_rows is below 1");
}

static enum fkm_status fake_alloc(struct fkmi_device *device, int64_t bytes, struct fkmi_ref *memory)
{
	FKMI_TRY(enter("alloc"));
	if (bytes <= 0)
		violate("alloc", "no bytes");
	if (device->limits.memory_bytes && fake.used_bytes + bytes > device->limits.memory_bytes)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "fake: no memory for %lld bytes", (long long)bytes);
	FKMI_TRY(fkmi_backend_cpu.alloc(cpu_of(device), bytes, memory));
	for (int i = 0; i < MOST_ALLOCATIONS; i++)
		if (!allocations[i].memory.base) {
			allocations[i].memory = *memory;
			allocations[i].bytes = bytes;
			memset(memory->base, 0xEE, (size_t)bytes); /* fresh memory holds no zeros */
			fake.live++;
			fake.used_bytes += bytes;
			if (fake.used_bytes > fake.most_bytes)
				fake.most_bytes = fake.used_bytes;
			return FKM_OK;
		}
	abort();
}

static void fake_free(struct fkmi_device *device, struct fkmi_ref memory)
{
	if (fake.lost)
		violate("free", "called after the device was lost");
	if (!memory.base)
		return;
	for (int i = 0; i < MOST_ALLOCATIONS; i++)
		if (allocations[i].memory.base == memory.base) {
			allocations[i].memory.base = NULL;
			fake.live--;
			fake.used_bytes -= allocations[i].bytes;
			fkmi_backend_cpu.free(cpu_of(device), memory);
			return;
		}
	violate("free", "not an allocation");
}

static enum fkm_status fake_upload(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes)
{
	FKMI_TRY(enter("upload"));
	check_ref(device, "upload", "target", to, bytes, false);
	return fkmi_backend_cpu.upload(cpu_of(device), to, from, bytes);
}

static enum fkm_status fake_download(struct fkmi_device *device, void *to, struct fkmi_ref from, int64_t bytes)
{
	FKMI_TRY(enter("download"));
	check_ref(device, "download", "source", from, bytes, false);
	return fkmi_backend_cpu.download(cpu_of(device), to, from, bytes);
}

static enum fkm_status fake_copy(struct fkmi_device *device, struct fkmi_ref to, struct fkmi_ref from, int64_t bytes)
{
	FKMI_TRY(enter("copy"));
	check_ref(device, "copy", "target", to, bytes, false);
	check_ref(device, "copy", "source", from, bytes, false);
	return fkmi_backend_cpu.copy(cpu_of(device), to, from, bytes);
}

static enum fkm_status fake_fill(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes)
{
	FKMI_TRY(enter("fill"));
	check_ref(device, "fill", "target", to, bytes, false);
	return fkmi_backend_cpu.fill(cpu_of(device), to, byte, bytes);
}

static enum fkm_status fake_wait(struct fkmi_device *device)
{
	FKMI_TRY(enter("wait"));
	return fkmi_backend_cpu.wait(cpu_of(device));
}

/* ---- steps ---- */

/* A step, with its parameters after the job and how they are passed on. */
#define STEP(name, parameters, ...)                                                                                    \
	static enum fkm_status fake_##name parameters                                                                      \
	{                                                                                                                  \
		FKMI_TRY(enter(#name));                                                                                        \
		check_job(device, #name, job);                                                                                 \
		return fkmi_backend_cpu.name(cpu_of(device), __VA_ARGS__);                                                     \
	}
#define PLAIN_STEP(name) STEP(name, (struct fkmi_device * device, const struct fkmi_job *job), job)

PLAIN_STEP(check_points)
PLAIN_STEP(check_weights)
PLAIN_STEP(row_norms)
PLAIN_STEP(grids)
PLAIN_STEP(variances)
PLAIN_STEP(round_centroids)
PLAIN_STEP(prepare)
PLAIN_STEP(relocate)
PLAIN_STEP(finish)
PLAIN_STEP(count)
STEP(load_centroids,
	 (struct fkmi_device * device, const struct fkmi_job *job, struct fkmi_ref from, enum fkm_dtype dtype,
	  int64_t row_stride, int64_t batch_stride),
	 job, from, dtype, row_stride, batch_stride)
STEP(store_centroids,
	 (struct fkmi_device * device, const struct fkmi_job *job, struct fkmi_ref to, enum fkm_dtype dtype), job, to,
	 dtype)
STEP(gather_centroids, (struct fkmi_device * device, const struct fkmi_job *job, struct fkmi_ref rows), job, rows)
STEP(seed_first, (struct fkmi_device * device, const struct fkmi_job *job, struct fkmi_draw draw), job, draw)
STEP(seed_next, (struct fkmi_device * device, const struct fkmi_job *job, struct fkmi_draw draw, int64_t k), job, draw,
	 k)
STEP(assign,
	 (struct fkmi_device * device, const struct fkmi_job *job, struct fkmi_span span, enum fkmi_accumulate accumulate),
	 job, span, accumulate)
STEP(accumulate,
	 (struct fkmi_device * device, const struct fkmi_job *job, struct fkmi_span span, enum fkmi_accumulate accumulate),
	 job, span, accumulate)
STEP(distances, (struct fkmi_device * device, const struct fkmi_job *job, struct fkmi_span span), job, span)
STEP(sort, (struct fkmi_device * device, const struct fkmi_job *job, struct fkmi_ref order, struct fkmi_ref offsets),
	 job, order, offsets)

static enum fkm_status iterate_once(struct fkmi_device *cpu, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_span all = {0, p->n};
	const enum fkmi_accumulate fused = job->plan.fused ? FKMI_ACCUMULATE_FULL : FKMI_ACCUMULATE_NONE;

	FKMI_TRY(fkmi_backend_cpu.fill(cpu, job->sums, 0, p->b * p->k * p->d * 8));
	FKMI_TRY(fkmi_backend_cpu.fill(cpu, job->weight_sums, 0, p->b * p->k * 8));
	FKMI_TRY(fkmi_backend_cpu.prepare(cpu, job));
	FKMI_TRY(fkmi_backend_cpu.assign(cpu, job, all, fused));
	if (!job->plan.fused)
		FKMI_TRY(fkmi_backend_cpu.accumulate(cpu, job, all, FKMI_ACCUMULATE_FULL));
	if (p->empty == FKM_EMPTY_RELOCATE)
		FKMI_TRY(fkmi_backend_cpu.relocate(cpu, job));
	return fkmi_backend_cpu.finish(cpu, job);
}

static enum fkm_status fake_iterate(struct fkmi_device *device, const struct fkmi_job *job, bool anew, int32_t count)
{
	FKMI_TRY(enter("iterate"));
	check_job(device, "iterate", job);
	fake.iterate_calls++;
	if (!job->plan.whole || job->plan.chunk_rows != job->problem.n || count < 1)
		violate("iterate", "the plan does not say so, or there is nothing to do");
	if (anew)
		FKMI_TRY(fkmi_backend_cpu.fill(cpu_of(device), job->labels, 0xFF, job->problem.b * job->problem.n * 4));
	for (int32_t i = 0; i < count; i++)
		FKMI_TRY(iterate_once(cpu_of(device), job));
	return FKM_OK;
}

/* ---- the device ---- */

static enum fkm_status fake_list(struct fkm_device_info *infos, int32_t capacity, int32_t *count)
{
	*count = 1;
	if (capacity > 0) {
		infos[0] = (struct fkm_device_info){0};
		snprintf(infos[0].backend, sizeof(infos[0].backend), "fake");
	}
	return FKM_OK;
}

static enum fkm_status fake_open(const struct fkmi_open_params *params, struct fkmi_device **device)
{
	struct fake_device *made = calloc(1, sizeof(*made));

	if (!made)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "fake: no memory for a device");
	enum fkm_status status = fkmi_backend_cpu.open(params, &made->cpu);
	if (status != FKM_OK) {
		free(made);
		return status;
	}
	made->device.backend = &fake_backend;
	made->device.limits = made->cpu->limits;
	snprintf(made->device.name, sizeof(made->device.name), "fake device");
	*device = &made->device;
	return FKM_OK;
}

static void fake_close(struct fkmi_device *device)
{
	for (int i = 0; i < MOST_ALLOCATIONS; i++)
		if (allocations[i].memory.base) {
			if (!fake.lost)
				violate("close", "memory was not freed");
			fkmi_backend_cpu.free(cpu_of(device), allocations[i].memory);
			allocations[i].memory.base = NULL;
		}
	fkmi_backend_cpu.close(cpu_of(device));
	free(device);
}

static const struct fkmi_tile *fake_tiles(int32_t *count)
{
	return fkmi_backend_cpu.tiles(count);
}

static bool fake_iterates(const struct fkmi_tile *tile)
{
	(void)tile;
	return fake.whole;
}

static int64_t fake_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
								  const struct fkmi_plan *plan)
{
	return fkmi_backend_cpu.scratch_bytes(limits, problem, plan);
}

static bool fake_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
					   const struct fkmi_tile *tile)
{
	return fkmi_backend_cpu.fuses(limits, problem, tile);
}

const struct fkmi_backend fake_backend = {
	.name = "fake",
	.list = fake_list,
	.open = fake_open,
	.close = fake_close,
	.tiles = fake_tiles,
	.scratch_bytes = fake_scratch_bytes,
	.fuses = fake_fuses,
	.iterates = fake_iterates,
	.alloc = fake_alloc,
	.free = fake_free,
	.upload = fake_upload,
	.download = fake_download,
	.copy = fake_copy,
	.fill = fake_fill,
	.wait = fake_wait,
	.check_points = fake_check_points,
	.check_weights = fake_check_weights,
	.row_norms = fake_row_norms,
	.grids = fake_grids,
	.variances = fake_variances,
	.load_centroids = fake_load_centroids,
	.round_centroids = fake_round_centroids,
	.store_centroids = fake_store_centroids,
	.gather_centroids = fake_gather_centroids,
	.seed_first = fake_seed_first,
	.seed_next = fake_seed_next,
	.prepare = fake_prepare,
	.assign = fake_assign,
	.accumulate = fake_accumulate,
	.relocate = fake_relocate,
	.finish = fake_finish,
	.iterate = fake_iterate,
	.distances = fake_distances,
	.count = fake_count,
	.sort = fake_sort,
};

enum fkm_status fake_context(const struct fkmi_limits *limits, int32_t threads, struct fkm_context **context)
{
	struct fkmi_open_params params = {.threads = threads};
	struct fkmi_device *device;

	fake = (struct fake){0};
	*context = NULL;
	FKMI_TRY(fake_open(&params, &device));
	if (limits) {
		device->limits.host_memory = limits->host_memory;
		if (limits->memory_bytes)
			device->limits.memory_bytes = limits->memory_bytes;
		if (limits->max_buffer_bytes)
			device->limits.max_buffer_bytes = limits->max_buffer_bytes;
		if (limits->units)
			device->limits.units = limits->units;
	}
	return fkmi_context_adopt(device, context);
}
