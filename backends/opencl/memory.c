/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the device, and moves on its queue. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "opencl.h"

static enum fkm_status check(cl_int result, const char *what)
{
	return fkmi_opencl_check(result, what, FKM_ERROR_BACKEND);
}

enum fkm_status fkmi_opencl_alloc(struct fkmi_device *device, int64_t bytes, struct fkmi_ref *memory)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	*memory = (struct fkmi_ref){0};
	if (bytes > device->limits.max_buffer_bytes)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY,
						 "%" PRId64 " bytes of device memory are needed, %" PRId64 " are the most allowed", bytes,
						 device->limits.max_buffer_bytes);
	struct fkmi_opencl_buffer *entry = malloc(sizeof *entry);
	if (entry == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory to note a buffer in");
	cl_int result;
	cl_mem buffer = opencl->driver->clCreateBuffer(opencl->context, CL_MEM_READ_WRITE, bytes > 0 ? (size_t)bytes : 1,
												   NULL, &result);
	if (result == CL_OUT_OF_RESOURCES)
		result = CL_MEM_OBJECT_ALLOCATION_FAILURE;
	char what[64];
	snprintf(what, sizeof what, "clCreateBuffer of %" PRId64 " bytes", bytes);
	enum fkm_status status = check(result, what);
	if (status != FKM_OK) {
		free(entry);
		return status;
	}
	*entry = (struct fkmi_opencl_buffer){buffer, opencl->buffers};
	opencl->buffers = entry;
	memory->base = buffer;
	return FKM_OK;
}

/* Commands in flight keep the buffer until they are done. */
static void release_first(struct fkmi_opencl *opencl, struct fkmi_opencl_buffer **list)
{
	struct fkmi_opencl_buffer *entry = *list;
	*list = entry->next;
	opencl->driver->clReleaseMemObject(entry->buffer);
	free(entry);
}

void fkmi_opencl_free(struct fkmi_device *device, struct fkmi_ref memory)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	if (memory.base == NULL)
		return;
	for (struct fkmi_opencl_buffer **at = &opencl->buffers; *at != NULL; at = &(*at)->next) {
		if ((*at)->buffer == memory.base) {
			release_first(opencl, at);
			return;
		}
	}
}

void fkmi_opencl_free_all(struct fkmi_opencl *opencl)
{
	while (opencl->buffers != NULL)
		release_first(opencl, &opencl->buffers);
}

enum fkm_status fkmi_opencl_upload(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	if (bytes <= 0)
		return FKM_OK;
	return check(opencl->driver->clEnqueueWriteBuffer(opencl->queue, to.base, CL_TRUE, (size_t)to.offset, (size_t)bytes,
													  from, 0, NULL, NULL),
				 "clEnqueueWriteBuffer");
}

enum fkm_status fkmi_opencl_download(struct fkmi_device *device, void *to, struct fkmi_ref from, int64_t bytes)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	if (bytes <= 0)
		return FKM_OK;
	return check(opencl->driver->clEnqueueReadBuffer(opencl->queue, from.base, CL_TRUE, (size_t)from.offset,
													 (size_t)bytes, to, 0, NULL, NULL),
				 "clEnqueueReadBuffer");
}

enum fkm_status fkmi_opencl_copy(struct fkmi_device *device, struct fkmi_ref to, struct fkmi_ref from, int64_t bytes)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	if (bytes <= 0)
		return FKM_OK;
	return check(opencl->driver->clEnqueueCopyBuffer(opencl->queue, from.base, to.base, (size_t)from.offset,
													 (size_t)to.offset, (size_t)bytes, 0, NULL, NULL),
				 "clEnqueueCopyBuffer");
}

enum fkm_status fkmi_opencl_fill(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	const cl_uchar pattern = (cl_uchar)byte;
	if (bytes <= 0)
		return FKM_OK;
	return check(opencl->driver->clEnqueueFillBuffer(opencl->queue, to.base, &pattern, sizeof pattern,
													 (size_t)to.offset, (size_t)bytes, 0, NULL, NULL),
				 "clEnqueueFillBuffer");
}

enum fkm_status fkmi_opencl_wait(struct fkmi_device *device)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	return check(opencl->driver->clFinish(opencl->queue), "clFinish");
}

/* Devices align their memory and parts of it for the largest of their types, so that it is only host memory that may not
 * be aligned. */
bool fkmi_opencl_is_aligned(const struct fkmi_gpu *gpu, void *buffer)
{
	const struct fkmi_opencl *opencl = (const struct fkmi_opencl *)gpu;
	void *host = NULL;
	return opencl->driver->clGetMemObjectInfo(buffer, CL_MEM_HOST_PTR, sizeof host, &host, NULL) == CL_SUCCESS &&
		   (uintptr_t)host % 16 == 0;
}
