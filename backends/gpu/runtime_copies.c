/* SPDX-License-Identifier: Apache-2.0 */
/* Copies from host memory beside the steps, on a stream of their own, for CUDA and HIP: struct fkmi_copier. */
#include <inttypes.h>
#include <stdio.h>

#include "collective.h"
#include "runtime.h"

static struct fkmi_runtime_gpu *enter(struct fkmi_device *device, enum fkm_status *status)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	*status = fkmi_runtime_enter(gpu);
	return gpu;
}

/* As in runtime_device.c, a handle is kept only once the library has said that it gave it. */
static enum fkm_status make_parts(struct fkmi_runtime_gpu *gpu)
{
	for (int i = 0; i < FKMI_EVENTS; i++) {
		void *event = NULL;
		if (gpu->events[i] != NULL)
			continue;
		FKMI_TRY(FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, event_create, &event, FKMI_RUNTIME_EVENT_UNTIMED));
		gpu->events[i] = event;
	}
	void *stream = NULL;
	FKMI_TRY(FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, stream_create, &stream, FKMI_RUNTIME_STREAM_APART));
	gpu->copies = stream;
	return FKM_OK;
}

static enum fkm_status open_copies(struct fkmi_device *device)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	if (gpu->copies != NULL)
		return FKM_OK;
	FKMI_TRY(fkmi_runtime_enter(gpu));
	enum fkm_status status = make_parts(gpu);
	fkmi_runtime_leave(gpu);
	return status;
}

void fkmi_runtime_close_copies(struct fkmi_runtime_gpu *gpu)
{
	const struct fkmi_runtime_calls *calls = gpu->runtime->calls;
	if (gpu->copies != NULL) {
		calls->stream_wait(gpu->copies);
		calls->stream_destroy(gpu->copies);
	}
	for (int i = 0; i < FKMI_EVENTS; i++)
		if (gpu->events[i] != NULL)
			calls->event_destroy(gpu->events[i]);
}

static enum fkm_status host_alloc(struct fkmi_device *device, int64_t bytes, void **memory)
{
	enum fkm_status status;
	struct fkmi_runtime_gpu *gpu = enter(device, &status);
	char what[64];
	void *taken = NULL;
	*memory = NULL;
	FKMI_TRY(status);
	int result = gpu->runtime->calls->host_alloc(&taken, (size_t)bytes, 0);
	fkmi_runtime_leave(gpu);
	snprintf(what, sizeof what, "%s of %" PRId64 " bytes", gpu->runtime->names.host_alloc, bytes);
	FKMI_TRY(fkmi_runtime_check(gpu->runtime, result, what, FKM_ERROR_BACKEND));
	*memory = taken;
	return FKM_OK;
}

static void host_free(struct fkmi_device *device, void *memory)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	if (gpu->runtime->enter(gpu) != FKMI_RUNTIME_SUCCESS)
		return; /* a device that cannot be entered is gone, and its memory with it */
	gpu->runtime->calls->host_free(memory);
	fkmi_runtime_leave(gpu);
}

/* That the library knows the first and the last byte is taken for all. */
static bool is_pinned(struct fkmi_device *device, const void *memory, int64_t bytes)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	const fkmi_runtime_pointer first = (fkmi_runtime_pointer)(uintptr_t)memory;
	const fkmi_runtime_pointer ends[] = {first, first + (fkmi_runtime_pointer)bytes - 1};
	bool pinned = true;
	if (gpu->runtime->enter(gpu) != FKMI_RUNTIME_SUCCESS)
		return false;
	for (int i = 0; i < 2; i++) {
		void *host = NULL;
		pinned = pinned &&
				 gpu->runtime->calls->pointer_ask(&host, FKMI_RUNTIME_HOST_POINTER, ends[i]) == FKMI_RUNTIME_SUCCESS;
	}
	fkmi_runtime_leave(gpu);
	return pinned;
}

static enum fkm_status copy(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes)
{
	enum fkm_status status;
	struct fkmi_runtime_gpu *gpu = enter(device, &status);
	FKMI_TRY(status);
	status = FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, copy_up,
							 (fkmi_runtime_pointer)(uintptr_t)fkmi_ref_ptr(to), from, (size_t)bytes, gpu->copies);
	fkmi_runtime_leave(gpu);
	return status;
}

static void *stream_of(const struct fkmi_runtime_gpu *gpu, enum fkmi_queue queue)
{
	return queue == FKMI_QUEUE_STEPS ? gpu->stream : gpu->copies;
}

static enum fkm_status mark(struct fkmi_device *device, enum fkmi_queue queue, int event)
{
	enum fkm_status status;
	struct fkmi_runtime_gpu *gpu = enter(device, &status);
	FKMI_TRY(status);
	status = FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, event_record, gpu->events[event], stream_of(gpu, queue));
	fkmi_runtime_leave(gpu);
	return status;
}

static enum fkm_status follow(struct fkmi_device *device, enum fkmi_queue queue, int event)
{
	enum fkm_status status;
	struct fkmi_runtime_gpu *gpu = enter(device, &status);
	FKMI_TRY(status);
	status =
		FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, stream_follow, stream_of(gpu, queue), gpu->events[event], 0);
	fkmi_runtime_leave(gpu);
	return status;
}

static enum fkm_status wait_for(struct fkmi_device *device, int event)
{
	enum fkm_status status;
	FKMI_TRY(fkmi_collective_wait(device, event));
	struct fkmi_runtime_gpu *gpu = enter(device, &status);
	FKMI_TRY(status);
	status = FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, event_wait, gpu->events[event]);
	fkmi_runtime_leave(gpu);
	return status;
}

static enum fkm_status ask(struct fkmi_device *device, int event, bool *happened)
{
	enum fkm_status status;
	struct fkmi_runtime_gpu *gpu = enter(device, &status);
	FKMI_TRY(status);
	const int result = gpu->runtime->calls->event_ask(gpu->events[event]);
	fkmi_runtime_leave(gpu);
	*happened = result != FKMI_RUNTIME_NOT_READY;
	return *happened ? fkmi_runtime_check(gpu->runtime, result, gpu->runtime->names.event_ask, FKM_ERROR_BACKEND)
					 : FKM_OK;
}

const struct fkmi_copier fkmi_runtime_copier = {
	.open = open_copies,
	.host_alloc = host_alloc,
	.host_free = host_free,
	.is_pinned = is_pinned,
	.copy = copy,
	.mark = mark,
	.follow = follow,
	.wait = wait_for,
	.ask = ask,
};
