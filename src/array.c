/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"

#include <stdbool.h>
#include <string.h>

#include "error.h"

int64_t fkmi_dtype_bytes(enum fkm_dtype dtype)
{
	switch (dtype) {
	case FKM_F16:
	case FKM_BF16:
		return 2;
	case FKM_F32:
		return 4;
	case FKM_F64:
		return 8;
	}
	return 0;
}

const char *fkmi_dtype_name(enum fkm_dtype dtype)
{
	switch (dtype) {
	case FKM_F16:
		return "f16";
	case FKM_BF16:
		return "bf16";
	case FKM_F32:
		return "f32";
	case FKM_F64:
		return "f64";
	}
	return "unknown";
}

struct fkm_array fkm_array_2d(const void *data, enum fkm_dtype dtype, int64_t rows, int64_t dims)
{
	return (struct fkm_array){
		.data = data, .dtype = dtype, .memory = FKM_MEMORY_HOST, .batch = 1, .rows = rows, .dims = dims};
}

/* ---- DLPack --------------------------------------------------------------------------------------------------- */

static enum fkm_status memory_of_device(int32_t device_type, enum fkm_memory *memory)
{
	static const struct {
		int32_t type;
		const char *name;
		bool known;
		enum fkm_memory memory;
	} devices[] = {
		{1, "kDLCPU", true, FKM_MEMORY_HOST},          {2, "kDLCUDA", true, FKM_MEMORY_DEVICE},
		{3, "kDLCUDAHost", true, FKM_MEMORY_HOST},     {4, "kDLOpenCL", true, FKM_MEMORY_DEVICE},
		{7, "kDLVulkan", false, FKM_MEMORY_HOST},      {8, "kDLMetal", false, FKM_MEMORY_HOST},
		{9, "kDLVPI", false, FKM_MEMORY_HOST},         {10, "kDLROCM", true, FKM_MEMORY_DEVICE},
		{11, "kDLROCMHost", true, FKM_MEMORY_HOST},    {12, "kDLExtDev", false, FKM_MEMORY_HOST},
		{13, "kDLCUDAManaged", true, FKM_MEMORY_HOST}, {14, "kDLOneAPI", false, FKM_MEMORY_HOST},
		{15, "kDLWebGPU", false, FKM_MEMORY_HOST},     {16, "kDLHexagon", false, FKM_MEMORY_HOST},
		{17, "kDLMAIA", false, FKM_MEMORY_HOST},       {18, "kDLTrn", false, FKM_MEMORY_HOST},
	};
	const char *name = "unknown";
	for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
		if (devices[i].type != device_type)
			continue;
		if (devices[i].known) {
			*memory = devices[i].memory;
			return FKM_OK;
		}
		name = devices[i].name;
	}
	return fkmi_fail(FKM_ERROR_UNSUPPORTED,
					 "dl_tensor is on device type %d (%s); known are kDLCPU, kDLCUDA, kDLCUDAHost, kDLOpenCL, kDLROCM, "
					 "kDLROCMHost and kDLCUDAManaged",
					 (int)device_type, name);
}

static enum fkm_status dtype_of_tensor(const struct fkmi_dl_tensor *tensor, enum fkm_dtype *dtype)
{
	enum { CODE_FLOAT = 2, CODE_BFLOAT = 4 };
	if (tensor->type_lanes != 1)
		return fkmi_fail(FKM_ERROR_UNSUPPORTED, "dl_tensor has elements of %u lanes; only 1 is known",
						 (unsigned)tensor->type_lanes);
	if (tensor->type_code == CODE_FLOAT && tensor->type_bits == 16)
		*dtype = FKM_F16;
	else if (tensor->type_code == CODE_BFLOAT && tensor->type_bits == 16)
		*dtype = FKM_BF16;
	else if (tensor->type_code == CODE_FLOAT && tensor->type_bits == 32)
		*dtype = FKM_F32;
	else if (tensor->type_code == CODE_FLOAT && tensor->type_bits == 64)
		*dtype = FKM_F64;
	else {
		static const char *const kinds[] = {"int", "uint", "float", "opaque", "bfloat", "complex", "bool"};
		const char *kind = tensor->type_code < sizeof kinds / sizeof kinds[0] ? kinds[tensor->type_code] : "unknown";
		return fkmi_fail(FKM_ERROR_UNSUPPORTED,
						 "dl_tensor has elements of type code %u (%s) and %u bits; known are float16, bfloat16, "
						 "float32 and float64",
						 (unsigned)tensor->type_code, kind, (unsigned)tensor->type_bits);
	}
	return FKM_OK;
}

/* *product = a * b for a, b >= 0; false if that overflows. */
static bool multiply(int64_t a, int64_t b, int64_t *product)
{
	if (b != 0 && a > INT64_MAX / b)
		return false;
	*product = a * b;
	return true;
}

/* The stride of one dimension of `size` blocks that span `least` elements each. Where there is one block only, DLPack
 * allows any stride, so the packed one is taken. */
static enum fkm_status block_stride(const char *dimension, int64_t size, const int64_t *stride, int64_t least,
									int64_t *result)
{
	*result = least;
	if (size == 1 || stride == NULL)
		return FKM_OK;
	if (*stride < least)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "dl_tensor has stride %lld between %s that span %lld elements: %s",
						 (long long)*stride, dimension, (long long)least,
						 *stride < 0    ? "negative strides are not supported"
						 : *stride == 0 ? "broadcast arrays are not supported"
										: "they must lie one after the other");
	*result = *stride;
	return FKM_OK;
}

/* Shape and strides; *extent receives the elements from the first to the last, included. */
static enum fkm_status layout_of_tensor(const struct fkmi_dl_tensor *tensor, struct fkm_array *array, int64_t *extent)
{
	if (tensor->ndim != 2 && tensor->ndim != 3)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "dl_tensor has %d dimensions; 2 are one problem, 3 are a batch",
						 (int)tensor->ndim);
	if (tensor->shape == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "dl_tensor has the shape NULL");
	for (int i = 0; i < tensor->ndim; i++)
		if (tensor->shape[i] < 1)
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT,
							 "dl_tensor has size %lld in dimension %d; at least 1 is needed",
							 (long long)tensor->shape[i], i);

	const int64_t *shape = tensor->shape + tensor->ndim - 2;
	const int64_t *strides = tensor->strides == NULL ? NULL : tensor->strides + tensor->ndim - 2;
	array->batch = tensor->ndim == 3 ? tensor->shape[0] : 1;
	array->rows = shape[0];
	array->dims = shape[1];
	if (strides != NULL && array->dims > 1 && strides[1] != 1)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT,
						 "dl_tensor has stride %lld in its last dimension, which must be contiguous",
						 (long long)strides[1]);
	FKMI_TRY(block_stride("rows", array->rows, strides, array->dims, &array->row_stride));

	int64_t problem = 0, last;
	bool fits = multiply(array->rows - 1, array->row_stride, &last) && last <= INT64_MAX - array->dims;
	if (fits) {
		problem = last + array->dims;
		FKMI_TRY(block_stride("problems", array->batch, tensor->ndim == 3 ? tensor->strides : NULL, problem,
							  &array->batch_stride));
		fits = multiply(array->batch - 1, array->batch_stride, &last) && last <= INT64_MAX - problem;
	}
	if (!fits)
		return fkmi_fail(FKM_ERROR_OVERFLOW, "dl_tensor of shape [%lld, %lld, %lld] spans more than 2^63 elements",
						 (long long)array->batch, (long long)array->rows, (long long)array->dims);
	*extent = last + problem;
	return FKM_OK;
}

enum fkm_status fkm_array_from_dlpack(const void *dl_tensor, struct fkm_array *array)
{
	if (array == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "array is NULL");
	memset(array, 0, sizeof *array);
	if (dl_tensor == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "dl_tensor is NULL");
	const struct fkmi_dl_tensor *tensor = dl_tensor;
	struct fkm_array view = {.data = tensor->data};
	int64_t elements = 0, bytes;
	FKMI_TRY(memory_of_device(tensor->device_type, &view.memory));
	FKMI_TRY(dtype_of_tensor(tensor, &view.dtype));
	FKMI_TRY(layout_of_tensor(tensor, &view, &elements));
	if (tensor->data == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "dl_tensor has data NULL");
	int64_t element = fkmi_dtype_bytes(view.dtype);
	if (tensor->byte_offset % (uint64_t)element != 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT,
						 "dl_tensor has byte_offset %llu, which is no multiple of its %lld-byte elements",
						 (unsigned long long)tensor->byte_offset, (long long)element);
	if (!multiply(elements, element, &bytes) || tensor->byte_offset > (uint64_t)(INT64_MAX - bytes))
		return fkmi_fail(FKM_ERROR_OVERFLOW, "dl_tensor with byte_offset %llu and %lld elements passes 2^63 bytes",
						 (unsigned long long)tensor->byte_offset, (long long)elements);
	view.offset_bytes = (int64_t)tensor->byte_offset;
	*array = view;
	return FKM_OK;
}
