/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of CUDA and HIP devices, and moves on their stream. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collective.h"
#include "kernels/common/store.h"
#include "runtime.h"

static fkmi_runtime_pointer address(struct fkmi_ref ref)
{
	return (fkmi_runtime_pointer)(uintptr_t)fkmi_ref_ptr(ref);
}

enum fkm_status fkmi_runtime_alloc(struct fkmi_device *device, int64_t bytes, struct fkmi_ref *memory)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	const struct fkmi_runtime_calls *calls = gpu->runtime->calls;
	*memory = (struct fkmi_ref){0};
	if (bytes > device->limits.max_buffer_bytes)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY,
						 "%" PRId64 " bytes of device memory are needed, %" PRId64 " are the most allowed", bytes,
						 device->limits.max_buffer_bytes);
	FKMI_TRY(fkmi_runtime_enter(gpu));
	fkmi_runtime_pointer pointer = 0;
	int result = calls->memory_alloc(&pointer, bytes > 0 ? (size_t)bytes : 1);
	size_t available = 0, total = 0;
	if (result == FKMI_RUNTIME_OUT_OF_MEMORY && calls->memory_info(&available, &total) != FKMI_RUNTIME_SUCCESS)
		available = 0;
	fkmi_runtime_leave(gpu);
	if (result == FKMI_RUNTIME_OUT_OF_MEMORY)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "cannot allocate %" PRId64 " bytes of device memory; %zu are free",
						 bytes, available);
	char what[64];
	snprintf(what, sizeof what, "%s of %" PRId64 " bytes", gpu->runtime->names.memory_alloc, bytes);
	FKMI_TRY(fkmi_runtime_check(gpu->runtime, result, what, FKM_ERROR_BACKEND));
	memory->base = (void *)(uintptr_t)pointer;
	return FKM_OK;
}

void fkmi_runtime_free(struct fkmi_device *device, struct fkmi_ref memory)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	if (memory.base == NULL || gpu->runtime->enter(gpu) != FKMI_RUNTIME_SUCCESS)
		return; /* a device that cannot be entered is gone, and its memory with it */
	gpu->runtime->calls->memory_free((fkmi_runtime_pointer)(uintptr_t)memory.base);
	fkmi_runtime_leave(gpu);
}

/* Bytes as arguments of kernels: nothing waits, and the source may go at once, also in a stream capture, which would
 * only remember the address of host memory. */
static enum fkm_status store(struct fkmi_runtime_gpu *gpu, struct fkmi_ref to, const char *from, int64_t bytes)
{
	struct fkmi_store_bytes block = {{0}};
	for (int64_t done = 0; done < bytes; done += (int64_t)sizeof block.bytes) {
		int64_t left = bytes - done;
		int32_t count = left < (int64_t)sizeof block.bytes ? (int32_t)left : (int32_t)sizeof block.bytes;
		memcpy(block.bytes, from + done, (size_t)count);
		fkmi_runtime_pointer target = address(fkmi_ref_add(to, done));
		void *arguments[] = {&block, &target, &count};
		FKMI_TRY(gpu->runtime->launch(gpu, &(struct fkmi_runtime_launch){
											   .kernel = "fkmi_store",
											   .blocks = 1,
											   .threads = FKMI_STORE_THREADS,
											   .arguments = arguments,
										   }));
	}
	return FKM_OK;
}

static enum fkm_status wait_for_stream(struct fkmi_runtime_gpu *gpu)
{
	return FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, stream_wait, gpu->stream);
}

enum fkm_status fkmi_runtime_upload(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes)
{
	enum { MOST_STORED = 16384 };
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	if (bytes <= MOST_STORED)
		return store(gpu, to, from, bytes);
	FKMI_TRY(fkmi_collective_wait(device, FKMI_EVENTS)); /* a copy of memory that is not pinned may wait, too */
	FKMI_TRY(fkmi_runtime_enter(gpu));
	enum fkm_status status =
		FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, copy_up, address(to), from, (size_t)bytes, gpu->stream);
	/* Pinned memory is still being read when the call returns. */
	if (status == FKM_OK)
		status = wait_for_stream(gpu);
	fkmi_runtime_leave(gpu);
	return status;
}

enum fkm_status fkmi_runtime_download(struct fkmi_device *device, void *to, struct fkmi_ref from, int64_t bytes)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	if (bytes <= 0)
		return FKM_OK;
	FKMI_TRY(fkmi_collective_wait(device, FKMI_EVENTS));
	FKMI_TRY(fkmi_runtime_enter(gpu));
	enum fkm_status status =
		FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, copy_down, to, address(from), (size_t)bytes, gpu->stream);
	if (status == FKM_OK)
		status = wait_for_stream(gpu);
	fkmi_runtime_leave(gpu);
	return status;
}

enum fkm_status fkmi_runtime_copy(struct fkmi_device *device, struct fkmi_ref to, struct fkmi_ref from, int64_t bytes)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	if (bytes <= 0)
		return FKM_OK;
	FKMI_TRY(fkmi_runtime_enter(gpu));
	enum fkm_status status = FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, copy_within, address(to), address(from),
											 (size_t)bytes, gpu->stream);
	fkmi_runtime_leave(gpu);
	return status;
}

enum fkm_status fkmi_runtime_fill(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	if (bytes <= 0)
		return FKM_OK;
	FKMI_TRY(fkmi_runtime_enter(gpu));
	enum fkm_status status = FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_BACKEND, fill, address(to), (unsigned char)byte,
											 (size_t)bytes, gpu->stream);
	fkmi_runtime_leave(gpu);
	return status;
}

enum fkm_status fkmi_runtime_wait(struct fkmi_device *device)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	FKMI_TRY(fkmi_collective_wait(device, FKMI_EVENTS));
	FKMI_TRY(fkmi_runtime_enter(gpu));
	enum fkm_status status = wait_for_stream(gpu);
	fkmi_runtime_leave(gpu);
	return status;
}

enum fkm_status fkmi_runtime_enqueue(struct fkmi_device *device, fkmi_enqueue_fn fn, void *context)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	FKMI_TRY(fkmi_runtime_enter(gpu));
	enum fkm_status status = fn(context, gpu->stream);
	fkmi_runtime_leave(gpu);
	return status;
}
