/* SPDX-License-Identifier: Apache-2.0 */
/* The emulated GPU as a backend: the steps that GPUs share, on host memory. It stands where HIP does. */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/gpu/assign_matrix.h"
#include "emulator.h"
#include "error.h"

#if defined(FKMI_MATRIX_MMA)
#define TILE(id, d_least, d_most, steps) FKMI_GPU_MATRIX_TILE("mma-", id, d_least, d_most, steps, MMA, 0, 1e12)
#elif defined(FKMI_MATRIX_MFMA)
#define TILE(id, d_least, d_most, steps) FKMI_GPU_MATRIX_TILE("mfma-", id, d_least, d_most, steps, MFMA, 0, 1e12)
#else
#define TILE(id, d_least, d_most, steps) FKMI_GPU_MATRIX_TILE("wmma-", id, d_least, d_most, steps, WMMA, 0, 1e12)
#endif

enum { MOST_LATE = 4096 };

struct emulated {
	struct fkmi_gpu gpu; /* first */
	/* Copies from the host, of which the first `done` have been made. */
	struct {
		struct fkmi_ref to;
		const void *from;
		int64_t bytes;
	} late[MOST_LATE];
	int64_t enqueued, done;
	int64_t marks[FKMI_EVENTS]; /* copies before each event */
	int64_t host_blocks;
};

static const struct fkmi_tile tiles[] = {FKMI_MATRIX_SHAPES(TILE)};

static enum fkm_status launch(struct fkmi_gpu *gpu, const struct fkmi_gpu_launch *launch)
{
	enum { MOST_ARGUMENTS = 64 };
	uint64_t values[MOST_ARGUMENTS] = {0};
	(void)gpu;
	for (int32_t i = 0; i < launch->argument_count; i++) {
		const struct fkmi_gpu_arg *argument = &launch->arguments[i];
		const void *place = argument->kind == FKMI_GPU_REF ? fkmi_ref_ptr(argument->value.ref) : NULL;
		if (argument->kind == FKMI_GPU_REF)
			memcpy(&values[i], &place, sizeof place);
		else
			memcpy(&values[i], &argument->value, argument->bytes);
	}
	/* There is one emulator for all devices. */
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&mutex);
	const bool launched =
		launch->group == EMULATOR_GROUP &&
		emulator_launch(launch->kernel, launch->groups, launch->local_bytes, values, launch->argument_count);
	pthread_mutex_unlock(&mutex);
	if (!launched)
		return fkmi_fail(FKM_ERROR_BACKEND, "the emulator has no kernel %s of %" PRId32 " arguments", launch->kernel,
						 launch->argument_count);
	return FKM_OK;
}

static const struct fkmi_gpu_driver driver = {.launch = launch};

static enum fkm_status list(struct fkm_device_info *infos, int32_t capacity, int32_t *count)
{
	*count = 1;
	if (capacity > 0)
		*infos = (struct fkm_device_info){.backend = "hip", .name = "emulator", .units = 3};
	return FKM_OK;
}

static enum fkm_status open_emulator(const struct fkmi_open_params *params, struct fkmi_device **device)
{
	struct emulated *e = calloc(1, sizeof *e);
	struct fkmi_gpu *gpu = &e->gpu;
	(void)params;
	*device = NULL;
	if (e == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for a device");
	gpu->driver = &driver;
	gpu->device.backend = &fkmi_backend_hip;
	gpu->device.limits = (struct fkmi_limits){.memory_bytes = (int64_t)1 << 30,
											  .max_buffer_bytes = (int64_t)1 << 30,
											  .units = 3,
											  .local_bytes = EMULATOR_LOCAL_BYTES,
											  .max_group = EMULATOR_GROUP,
											  .subgroup = emulator_wave(),
											  .fp64 = 1,
											  .restores_sums = 1,
											  .bytes_per_second = 1e9};
	snprintf(gpu->device.name, sizeof gpu->device.name, "emulator");
	*device = &gpu->device;
	return FKM_OK;
}

static const struct fkmi_tile *list_tiles(int32_t *count)
{
	*count = sizeof tiles / sizeof tiles[0];
	return tiles;
}

static bool fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem, const struct fkmi_tile *tile)
{
	(void)limits;
	(void)problem;
	(void)tile;
	return false;
}

/* What a kernel reads without having written it is NaN. */
static enum fkm_status take_memory(struct fkmi_device *device, int64_t bytes, struct fkmi_ref *memory)
{
	const size_t size = ((size_t)bytes + 255) / 256 * 256;
	(void)device;
	*memory = (struct fkmi_ref){aligned_alloc(256, size != 0 ? size : 256), 0};
	if (memory->base == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for %" PRId64 " bytes", bytes);
	memset(memory->base, 0xff, size);
	return FKM_OK;
}

static void give_memory(struct fkmi_device *device, struct fkmi_ref memory)
{
	(void)device;
	free(memory.base);
}

static enum fkm_status upload(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes)
{
	(void)device;
	memcpy(fkmi_ref_ptr(to), from, (size_t)bytes);
	return FKM_OK;
}

static enum fkm_status download(struct fkmi_device *device, void *to, struct fkmi_ref from, int64_t bytes)
{
	(void)device;
	memcpy(to, fkmi_ref_ptr(from), (size_t)bytes);
	return FKM_OK;
}

static enum fkm_status copy(struct fkmi_device *device, struct fkmi_ref to, struct fkmi_ref from, int64_t bytes)
{
	(void)device;
	memcpy(fkmi_ref_ptr(to), fkmi_ref_ptr(from), (size_t)bytes);
	return FKM_OK;
}

static enum fkm_status fill(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes)
{
	(void)device;
	memset(fkmi_ref_ptr(to), byte, (size_t)bytes);
	return FKM_OK;
}

static enum fkm_status wait(struct fkmi_device *device)
{
	(void)device;
	return FKM_OK;
}

/* ---- copies, which are as late as they may be ---- */

static void copy_until(struct emulated *e, int64_t until)
{
	for (; e->done < until; e->done++)
		memcpy(fkmi_ref_ptr(e->late[e->done % MOST_LATE].to), e->late[e->done % MOST_LATE].from,
			   (size_t)e->late[e->done % MOST_LATE].bytes);
}

static enum fkm_status open_copies(struct fkmi_device *device)
{
	(void)device;
	return FKM_OK;
}

static enum fkm_status take_host_memory(struct fkmi_device *device, int64_t bytes, void **memory)
{
	struct emulated *e = (struct emulated *)device;
	struct fkmi_ref taken;
	const enum fkm_status status = take_memory(device, bytes, &taken);
	*memory = taken.base;
	e->host_blocks += taken.base != NULL;
	return status;
}

static void give_host_memory(struct fkmi_device *device, void *memory)
{
	((struct emulated *)device)->host_blocks--;
	free(memory);
}

/* Every other address, so that both ways are gone. */
static bool is_pinned(struct fkmi_device *device, const void *memory, int64_t bytes)
{
	(void)device;
	return bytes % 3 != 0 && memory != NULL;
}

static enum fkm_status enqueue_copy(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes)
{
	struct emulated *e = (struct emulated *)device;
	if (e->enqueued - e->done == MOST_LATE)
		copy_until(e, e->done + 1);
	e->late[e->enqueued % MOST_LATE].to = to;
	e->late[e->enqueued % MOST_LATE].from = from;
	e->late[e->enqueued % MOST_LATE].bytes = bytes;
	e->enqueued++;
	return FKM_OK;
}

static enum fkm_status mark(struct fkmi_device *device, enum fkmi_queue queue, int event)
{
	struct emulated *e = (struct emulated *)device;
	e->marks[event] = queue == FKMI_QUEUE_COPIES ? e->enqueued : 0;
	return FKM_OK;
}

static enum fkm_status follow(struct fkmi_device *device, enum fkmi_queue queue, int event)
{
	struct emulated *e = (struct emulated *)device;
	if (queue == FKMI_QUEUE_STEPS)
		copy_until(e, e->marks[event]);
	return FKM_OK;
}

static enum fkm_status wait_for(struct fkmi_device *device, int event)
{
	struct emulated *e = (struct emulated *)device;
	copy_until(e, e->marks[event]);
	return FKM_OK;
}

static void close_emulator(struct fkmi_device *device)
{
	const struct emulated *e = (const struct emulated *)device;
	if (e->host_blocks != 0 || e->done != e->enqueued)
		abort();
	free(device);
}

static const struct fkmi_copier copier = {
	.open = open_copies,
	.host_alloc = take_host_memory,
	.host_free = give_host_memory,
	.is_pinned = is_pinned,
	.copy = enqueue_copy,
	.mark = mark,
	.follow = follow,
	.wait = wait_for,
};

const struct fkmi_backend fkmi_backend_hip = {
	.name = "hip",
	.list = list,
	.open = open_emulator,
	.close = close_emulator,
	.tiles = list_tiles,
	.scratch_bytes = fkmi_gpu_scratch_bytes,
	.fuses = fuses,
	.alloc = take_memory,
	.free = give_memory,
	.upload = upload,
	.download = download,
	.copy = copy,
	.fill = fill,
	.wait = wait,
	.copier = &copier,
	FKMI_GPU_STEPS,
};
