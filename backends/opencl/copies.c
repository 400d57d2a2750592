/* SPDX-License-Identifier: Apache-2.0 */
/* Copies from host memory beside the steps, on a queue of their own: struct fkmi_copier. Only memory that the driver gave
 * is pinned: of the caller's it says nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "opencl.h"

static enum fkm_status check(cl_int result, const char *what)
{
	return fkmi_opencl_check(result, what, FKM_ERROR_BACKEND);
}

static enum fkm_status open_copies(struct fkmi_device *device)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	cl_int result = CL_SUCCESS;
	if (opencl->copies == NULL)
		opencl->copies = opencl->driver->clCreateCommandQueue(opencl->context, opencl->id, 0, &result);
	return check(result, "clCreateCommandQueue");
}

static void forget_event(struct fkmi_opencl *opencl, int event)
{
	if (opencl->events[event] != NULL)
		opencl->driver->clReleaseEvent(opencl->events[event]);
	opencl->events[event] = NULL;
}

/* ---- pinned memory: a buffer of the host's, mapped for good ---- */

static enum fkm_status map_block(struct fkmi_opencl *opencl, int64_t bytes, struct fkmi_opencl_block *block)
{
	const struct fkmi_opencl_driver *driver = opencl->driver;
	cl_int result;
	char what[80];
	block->buffer =
		driver->clCreateBuffer(opencl->context, CL_MEM_ALLOC_HOST_PTR | CL_MEM_READ_ONLY, (size_t)bytes, NULL, &result);
	if (result == CL_OUT_OF_RESOURCES)
		result = CL_MEM_OBJECT_ALLOCATION_FAILURE;
	snprintf(what, sizeof what, "clCreateBuffer of %" PRId64 " bytes of the host", bytes);
	FKMI_TRY(check(result, what));
	block->memory = driver->clEnqueueMapBuffer(opencl->copies, block->buffer, CL_TRUE, CL_MAP_WRITE, 0, (size_t)bytes,
											   0, NULL, NULL, &result);
	if (result == CL_SUCCESS)
		return FKM_OK;
	driver->clReleaseMemObject(block->buffer);
	return check(result, "clEnqueueMapBuffer");
}

static enum fkm_status host_alloc(struct fkmi_device *device, int64_t bytes, void **memory)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	struct fkmi_opencl_block *block = malloc(sizeof *block);
	*memory = NULL;
	if (block == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory to note a block in");
	enum fkm_status status = map_block(opencl, bytes, block);
	if (status != FKM_OK) {
		free(block);
		return status;
	}
	block->next = opencl->blocks;
	opencl->blocks = block;
	*memory = block->memory;
	return FKM_OK;
}

static void release_first(struct fkmi_opencl *opencl, struct fkmi_opencl_block **list)
{
	struct fkmi_opencl_block *block = *list;
	*list = block->next;
	opencl->driver->clEnqueueUnmapMemObject(opencl->copies, block->buffer, block->memory, 0, NULL, NULL);
	opencl->driver->clReleaseMemObject(block->buffer);
	free(block);
}

static void host_free(struct fkmi_device *device, void *memory)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	for (struct fkmi_opencl_block **at = &opencl->blocks; *at != NULL; at = &(*at)->next) {
		if ((*at)->memory == memory) {
			release_first(opencl, at);
			return;
		}
	}
}

void fkmi_opencl_close_copies(struct fkmi_opencl *opencl)
{
	for (int i = 0; i < FKMI_EVENTS; i++)
		forget_event(opencl, i);
	while (opencl->blocks != NULL)
		release_first(opencl, &opencl->blocks);
	if (opencl->copies == NULL)
		return;
	opencl->driver->clFinish(opencl->copies);
	opencl->driver->clReleaseCommandQueue(opencl->copies);
}

static bool is_pinned(struct fkmi_device *device, const void *memory, int64_t bytes)
{
	(void)device;
	(void)memory;
	(void)bytes;
	return false;
}

/* ---- the queue ---- */

static enum fkm_status copy(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	return check(opencl->driver->clEnqueueWriteBuffer(opencl->copies, to.base, CL_FALSE, (size_t)to.offset,
													  (size_t)bytes, from, 0, NULL, NULL),
				 "clEnqueueWriteBuffer");
}

static cl_command_queue queue_of(const struct fkmi_opencl *opencl, enum fkmi_queue queue)
{
	return queue == FKMI_QUEUE_STEPS ? opencl->queue : opencl->copies;
}

/* What another queue follows must be on its way, or that one would wait for ever. */
static enum fkm_status mark(struct fkmi_device *device, enum fkmi_queue queue, int event)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	cl_event made = NULL;
	forget_event(opencl, event);
	FKMI_TRY(check(opencl->driver->clEnqueueMarkerWithWaitList(queue_of(opencl, queue), 0, NULL, &made),
				   "clEnqueueMarkerWithWaitList"));
	opencl->events[event] = made;
	return check(opencl->driver->clFlush(queue_of(opencl, queue)), "clFlush");
}

static enum fkm_status follow(struct fkmi_device *device, enum fkmi_queue queue, int event)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	if (opencl->events[event] == NULL)
		return FKM_OK;
	return check(opencl->driver->clEnqueueBarrierWithWaitList(queue_of(opencl, queue), 1, &opencl->events[event], NULL),
				 "clEnqueueBarrierWithWaitList");
}

static enum fkm_status wait_for(struct fkmi_device *device, int event)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	if (opencl->events[event] == NULL)
		return FKM_OK;
	return check(opencl->driver->clWaitForEvents(1, &opencl->events[event]), "clWaitForEvents");
}

const struct fkmi_copier fkmi_opencl_copier = {
	.open = open_copies,
	.host_alloc = host_alloc,
	.host_free = host_free,
	.is_pinned = is_pinned,
	.copy = copy,
	.mark = mark,
	.follow = follow,
	.wait = wait_for,
};
