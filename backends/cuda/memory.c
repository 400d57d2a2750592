/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the device, and moves on its stream. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cuda.h"
#include "kernels/cuda/store.h"

static fkmi_cu_pointer address(struct fkmi_ref ref)
{
	return (fkmi_cu_pointer)(uintptr_t)fkmi_ref_ptr(ref);
}

static enum fkm_status check(struct fkmi_cuda *cuda, fkmi_cu_result result, const char *what)
{
	return fkmi_cuda_check(cuda->driver, result, what, FKM_ERROR_BACKEND);
}

enum fkm_status fkmi_cuda_alloc(struct fkmi_device *device, int64_t bytes, struct fkmi_ref *memory)
{
	struct fkmi_cuda *cuda = (struct fkmi_cuda *)device;
	*memory = (struct fkmi_ref){0};
	if (bytes > device->limits.max_buffer_bytes)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY,
						 "%" PRId64 " bytes of device memory are needed, %" PRId64 " are the most allowed", bytes,
						 device->limits.max_buffer_bytes);
	FKMI_TRY(fkmi_cuda_enter(cuda));
	fkmi_cu_pointer pointer = 0;
	fkmi_cu_result result = cuda->driver->memory_alloc(&pointer, bytes > 0 ? (size_t)bytes : 1);
	size_t available = 0, total = 0;
	if (result == FKMI_CU_OUT_OF_MEMORY && cuda->driver->memory_info(&available, &total) != FKMI_CU_SUCCESS)
		available = 0;
	fkmi_cuda_leave(cuda);
	if (result == FKMI_CU_OUT_OF_MEMORY)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "cannot allocate %" PRId64 " bytes of device memory; %zu are free",
						 bytes, available);
	char what[64];
	snprintf(what, sizeof what, "cuMemAlloc of %" PRId64 " bytes", bytes);
	FKMI_TRY(check(cuda, result, what));
	memory->base = (void *)(uintptr_t)pointer;
	return FKM_OK;
}

void fkmi_cuda_free(struct fkmi_device *device, struct fkmi_ref memory)
{
	struct fkmi_cuda *cuda = (struct fkmi_cuda *)device;
	if (memory.base == NULL || cuda->driver->context_push(cuda->context) != FKMI_CU_SUCCESS)
		return; /* a context that cannot be entered is gone, and its memory with it */
	cuda->driver->memory_free((fkmi_cu_pointer)(uintptr_t)memory.base);
	fkmi_cuda_leave(cuda);
}

/* Bytes as arguments of kernels: nothing waits, and the source may go at once, also in a stream capture, which would
 * only remember the address of host memory. */
static enum fkm_status store(struct fkmi_cuda *cuda, struct fkmi_ref to, const char *from, int64_t bytes)
{
	struct fkmi_store_bytes block = {{0}};
	for (int64_t done = 0; done < bytes; done += (int64_t)sizeof block.bytes) {
		int64_t left = bytes - done;
		int32_t count = left < (int64_t)sizeof block.bytes ? (int32_t)left : (int32_t)sizeof block.bytes;
		memcpy(block.bytes, from + done, (size_t)count);
		fkmi_cu_pointer target = address(fkmi_ref_add(to, done));
		void *arguments[] = {&block, &target, &count};
		FKMI_TRY(fkmi_cuda_launch(cuda, &(struct fkmi_cuda_launch){
											.kernel = "fkmi_cuda_store",
											.blocks = 1,
											.threads = FKMI_STORE_THREADS,
											.arguments = arguments,
										}));
	}
	return FKM_OK;
}

enum fkm_status fkmi_cuda_upload(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes)
{
	enum { MOST_STORED = 16384 };
	struct fkmi_cuda *cuda = (struct fkmi_cuda *)device;
	if (bytes <= MOST_STORED)
		return store(cuda, to, from, bytes);
	FKMI_TRY(fkmi_cuda_enter(cuda));
	enum fkm_status status =
		check(cuda, cuda->driver->copy_up(address(to), from, (size_t)bytes, cuda->stream), "cuMemcpyHtoDAsync");
	/* Pinned memory is still being read when the call returns. */
	if (status == FKM_OK)
		status = check(cuda, cuda->driver->stream_wait(cuda->stream), "cuStreamSynchronize after an upload");
	fkmi_cuda_leave(cuda);
	return status;
}

enum fkm_status fkmi_cuda_download(struct fkmi_device *device, void *to, struct fkmi_ref from, int64_t bytes)
{
	struct fkmi_cuda *cuda = (struct fkmi_cuda *)device;
	if (bytes <= 0)
		return FKM_OK;
	FKMI_TRY(fkmi_cuda_enter(cuda));
	enum fkm_status status =
		check(cuda, cuda->driver->copy_down(to, address(from), (size_t)bytes, cuda->stream), "cuMemcpyDtoHAsync");
	if (status == FKM_OK)
		status = check(cuda, cuda->driver->stream_wait(cuda->stream), "cuStreamSynchronize after a download");
	fkmi_cuda_leave(cuda);
	return status;
}

enum fkm_status fkmi_cuda_copy(struct fkmi_device *device, struct fkmi_ref to, struct fkmi_ref from, int64_t bytes)
{
	struct fkmi_cuda *cuda = (struct fkmi_cuda *)device;
	if (bytes <= 0)
		return FKM_OK;
	FKMI_TRY(fkmi_cuda_enter(cuda));
	enum fkm_status status = check(
		cuda, cuda->driver->copy_within(address(to), address(from), (size_t)bytes, cuda->stream), "cuMemcpyDtoDAsync");
	fkmi_cuda_leave(cuda);
	return status;
}

enum fkm_status fkmi_cuda_fill(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes)
{
	struct fkmi_cuda *cuda = (struct fkmi_cuda *)device;
	if (bytes <= 0)
		return FKM_OK;
	FKMI_TRY(fkmi_cuda_enter(cuda));
	enum fkm_status status = check(
		cuda, cuda->driver->fill(address(to), (unsigned char)byte, (size_t)bytes, cuda->stream), "cuMemsetD8Async");
	fkmi_cuda_leave(cuda);
	return status;
}

enum fkm_status fkmi_cuda_wait(struct fkmi_device *device)
{
	struct fkmi_cuda *cuda = (struct fkmi_cuda *)device;
	FKMI_TRY(fkmi_cuda_enter(cuda));
	enum fkm_status status = check(cuda, cuda->driver->stream_wait(cuda->stream), "cuStreamSynchronize");
	fkmi_cuda_leave(cuda);
	return status;
}
