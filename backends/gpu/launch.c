/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>

#include "steps.h"

enum { MOST_GROUPS = 1 << 20 };

/* What kernels/common/state.h says of host structs. */
#define FKMI_MEMBER_IS(member, index) _Static_assert(offsetof(struct fkmi_state, member) == 8 * (index), #member)
FKMI_MEMBER_IS(bad_point, FKMI_STATE_BAD_POINT);
FKMI_MEMBER_IS(bad_weight, FKMI_STATE_BAD_WEIGHT);
FKMI_MEMBER_IS(bad_centroid, FKMI_STATE_BAD_CENTROID);
FKMI_MEMBER_IS(bad_label, FKMI_STATE_BAD_LABEL);
FKMI_MEMBER_IS(changed, FKMI_STATE_CHANGED);
FKMI_MEMBER_IS(rechecked, FKMI_STATE_RECHECKED);
FKMI_MEMBER_IS(ties, FKMI_STATE_TIES);
FKMI_MEMBER_IS(relocated, FKMI_STATE_RELOCATED);
FKMI_MEMBER_IS(empty, FKMI_STATE_EMPTY);
FKMI_MEMBER_IS(first_empty, FKMI_STATE_FIRST_EMPTY);
FKMI_MEMBER_IS(shift, FKMI_STATE_SHIFT);
FKMI_MEMBER_IS(weight_max, FKMI_STATE_WEIGHT_MAX);
FKMI_MEMBER_IS(weight_min, FKMI_STATE_WEIGHT_MIN);
FKMI_MEMBER_IS(point_max, FKMI_STATE_POINT_MAX);
FKMI_MEMBER_IS(weight_scale, FKMI_STATE_WEIGHT_SCALE);
FKMI_MEMBER_IS(inertia_high, FKMI_STATE_INERTIA_HIGH);
FKMI_MEMBER_IS(inertia_low, FKMI_STATE_INERTIA_LOW);
FKMI_MEMBER_IS(inertia_scale, FKMI_STATE_INERTIA_SCALE);
FKMI_MEMBER_IS(meetings, FKMI_STATE_MEETINGS);
_Static_assert(sizeof(struct fkmi_state) == 8 * FKMI_STATE_MEMBERS, "struct fkmi_state");
_Static_assert((int)FKM_F16 == FKMI_TYPE_F16 && (int)FKM_BF16 == FKMI_TYPE_BF16 && (int)FKM_F32 == FKMI_TYPE_F32 &&
				   (int)FKM_F64 == FKMI_TYPE_F64,
			   "enum fkm_dtype");

static void add(struct fkmi_gpu_call *call, struct fkmi_gpu_arg argument)
{
	assert(call->count < (int32_t)(sizeof call->arguments / sizeof call->arguments[0]));
	call->arguments[call->count++] = argument;
}

struct fkmi_gpu_call fkmi_gpu_call(struct fkmi_device *device, const struct fkmi_job *job, const char *kernel)
{
	return fkmi_gpu_call_for(device, job, job->active, kernel);
}

struct fkmi_gpu_call fkmi_gpu_call_for(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref active,
									   const char *kernel)
{
	struct fkmi_gpu_call call = {.device = device, .job = job, .kernel = kernel};
	fkmi_gpu_add_ref(&call, active);
	return call;
}

void fkmi_gpu_add_ref(struct fkmi_gpu_call *call, struct fkmi_ref ref)
{
	add(call, fkmi_gpu_place(ref));
}

void fkmi_gpu_add_i32(struct fkmi_gpu_call *call, int64_t value)
{
	assert(value >= INT32_MIN && value <= INT32_MAX);
	add(call, fkmi_gpu_i32((int32_t)value));
}

void fkmi_gpu_add_i64(struct fkmi_gpu_call *call, int64_t value)
{
	add(call, fkmi_gpu_i64(value));
}

void fkmi_gpu_add_points(struct fkmi_gpu_call *call)
{
	const struct fkmi_job *job = call->job;
	fkmi_gpu_add_ref(call, job->points);
	fkmi_gpu_add_ref(call, job->row_scale);
	fkmi_gpu_add_i64(call, job->point_row_stride);
	fkmi_gpu_add_i64(call, job->point_batch_stride);
	fkmi_gpu_add_i64(call, job->problem.n);
	fkmi_gpu_add_i64(call, job->problem.d);
	fkmi_gpu_add_i32(call, job->problem.dtype);
}

void fkmi_gpu_add_weights(struct fkmi_gpu_call *call)
{
	const struct fkmi_job *job = call->job;
	fkmi_gpu_add_ref(call, job->weights);
	fkmi_gpu_add_i64(call, job->weights_batch_stride);
	fkmi_gpu_add_i32(call, job->weights_dtype);
}

void fkmi_gpu_add_span(struct fkmi_gpu_call *call, struct fkmi_span span)
{
	fkmi_gpu_add_i64(call, span.row);
	fkmi_gpu_add_i64(call, span.rows);
}

enum fkm_status fkmi_gpu_run(const struct fkmi_gpu_call *call, int64_t work)
{
	struct fkmi_gpu *gpu = (struct fkmi_gpu *)call->device;
	if (work <= 0)
		return FKM_OK;
	const struct fkmi_gpu_launch launch = {
		.kernel = call->kernel,
		.groups = work < MOST_GROUPS ? work : MOST_GROUPS,
		.group = FKMI_GROUP,
		.local_bytes = call->local_bytes,
		.argument_count = call->count,
		.arguments = call->arguments,
		.tile = call->tile,
	};
	return gpu->driver->launch(gpu, &launch);
}

enum fkm_status fkmi_gpu_run_elements(const struct fkmi_gpu_call *call, int64_t count)
{
	return fkmi_gpu_run(call, fkmi_gpu_divide_up(count, FKMI_GROUP));
}

enum fkm_status fkmi_gpu_fill(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes)
{
	return device->backend->fill(device, to, byte, bytes);
}

bool fkmi_gpu_reads_wide(const struct fkmi_device *device, const struct fkmi_job *job, int64_t elements)
{
	const struct fkmi_gpu *gpu = (const struct fkmi_gpu *)device;
	const int64_t element = job->problem.dtype == FKM_F32 ? 4 : 2;
	const int64_t bytes = elements * element < 16 ? elements * element : 16;
	const bool base = gpu->driver->is_aligned != NULL ? gpu->driver->is_aligned(gpu, job->points.base)
													  : (uintptr_t)job->points.base % 16 == 0;
	return base && job->points.offset % bytes == 0 && job->point_row_stride * element % bytes == 0 &&
		   job->point_batch_stride * element % bytes == 0;
}
