/* SPDX-License-Identifier: Apache-2.0 */
/* src/array.c: element types, and arrays from DLPack tensors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "array.h"

#if defined(HAVE_DLPACK)
#include <dlpack/dlpack.h>

#define SAME_MEMBER(ours, theirs)                                                                                      \
	_Static_assert(offsetof(struct fkmi_dl_tensor, ours) == offsetof(DLTensor, theirs) &&                              \
					   sizeof(((struct fkmi_dl_tensor *)0)->ours) == sizeof(((DLTensor *)0)->theirs),                  \
				   #ours " differs from dlpack.h")
_Static_assert(sizeof(struct fkmi_dl_tensor) == sizeof(DLTensor), "the tensor's size differs from dlpack.h");
SAME_MEMBER(data, data);
SAME_MEMBER(device_type, device.device_type);
SAME_MEMBER(device_id, device.device_id);
SAME_MEMBER(ndim, ndim);
SAME_MEMBER(type_code, dtype.code);
SAME_MEMBER(type_bits, dtype.bits);
SAME_MEMBER(type_lanes, dtype.lanes);
SAME_MEMBER(shape, shape);
SAME_MEMBER(strides, strides);
SAME_MEMBER(byte_offset, byte_offset);
_Static_assert(kDLCPU == 1 && kDLCUDA == 2 && kDLCUDAHost == 3 && kDLOpenCL == 4 && kDLROCM == 10 &&
				   kDLROCMHost == 11 && kDLCUDAManaged == 13 && kDLFloat == 2 && kDLBfloat == 4,
			   "the numbers used below differ from dlpack.h");
#endif

enum { CPU = 1, CUDA = 2, CUDA_HOST = 3, OPENCL = 4, ROCM = 10, ROCM_HOST = 11, CUDA_MANAGED = 13 };
enum { INT = 0, UINT = 1, FLOAT = 2, BFLOAT = 4, COMPLEX = 5 };

static float values[64];

/* A packed f32 tensor in host memory; tests change what they are about. */
struct sample {
	int64_t shape[4], strides[4];
	struct fkmi_dl_tensor tensor;
};

static struct sample *sample(struct sample *s, int32_t ndim, int64_t a, int64_t b, int64_t c)
{
	memset(s, 0, sizeof *s);
	s->shape[0] = a;
	s->shape[1] = b;
	s->shape[2] = c;
	s->shape[3] = 1;
	s->tensor = (struct fkmi_dl_tensor){.data = values,
										.device_type = CPU,
										.ndim = ndim,
										.type_code = FLOAT,
										.type_bits = 32,
										.type_lanes = 1,
										.shape = s->shape};
	return s;
}

static struct sample *strided(struct sample *s, int64_t a, int64_t b, int64_t c)
{
	s->strides[0] = a;
	s->strides[1] = b;
	s->strides[2] = c;
	s->tensor.strides = s->strides;
	return s;
}

static void refused(const struct sample *s, enum fkm_status status, const char *part)
{
	struct fkm_array array = {.rows = 7};
	assert_int_equal(fkm_array_from_dlpack(&s->tensor, &array), status);
	if (strstr(fkm_error_message(), part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", fkm_error_message(), part);
	assert_null(array.data);
	assert_int_equal(array.rows, 0);
}

static void taken(const struct sample *s, int64_t batch, int64_t rows, int64_t dims, int64_t row_stride,
				  int64_t batch_stride)
{
	struct fkm_array array;
	if (fkm_array_from_dlpack(&s->tensor, &array) != FKM_OK)
		fail_msg("%s", fkm_error_message());
	assert_ptr_equal(array.data, s->tensor.data);
	assert_int_equal(array.batch, batch);
	assert_int_equal(array.rows, rows);
	assert_int_equal(array.dims, dims);
	assert_int_equal(array.row_stride, row_stride);
	assert_int_equal(array.batch_stride, batch_stride);
	assert_int_equal(array.offset_bytes, s->tensor.byte_offset);
}

static void test_dtypes(void **state)
{
	(void)state;
	assert_int_equal(fkmi_dtype_bytes(FKM_F16), 2);
	assert_int_equal(fkmi_dtype_bytes(FKM_BF16), 2);
	assert_int_equal(fkmi_dtype_bytes(FKM_F32), 4);
	assert_int_equal(fkmi_dtype_bytes(FKM_F64), 8);
	assert_int_equal(fkmi_dtype_bytes((enum fkm_dtype)0), 0);
	assert_int_equal(fkmi_dtype_bytes((enum fkm_dtype)5), 0);
	assert_string_equal(fkmi_dtype_name(FKM_F16), "f16");
	assert_string_equal(fkmi_dtype_name(FKM_BF16), "bf16");
	assert_string_equal(fkmi_dtype_name(FKM_F32), "f32");
	assert_string_equal(fkmi_dtype_name(FKM_F64), "f64");
	assert_string_equal(fkmi_dtype_name((enum fkm_dtype)99), "unknown");
}

static void test_array_2d(void **state)
{
	(void)state;
	struct fkm_array array = fkm_array_2d(values, FKM_BF16, 5, 3);
	assert_ptr_equal(array.data, values);
	assert_int_equal(array.dtype, FKM_BF16);
	assert_int_equal(array.memory, FKM_MEMORY_HOST);
	assert_int_equal(array.batch, 1);
	assert_int_equal(array.rows, 5);
	assert_int_equal(array.dims, 3);
	assert_int_equal(array.offset_bytes, 0);
	assert_int_equal(array.row_stride, 0);
	assert_int_equal(array.batch_stride, 0);
}

static void test_shapes(void **state)
{
	(void)state;
	struct sample s;
	taken(sample(&s, 2, 5, 3, 0), 1, 5, 3, 3, 15);
	taken(sample(&s, 3, 2, 5, 3), 2, 5, 3, 3, 15);
	refused(sample(&s, 1, 5, 3, 2), FKM_ERROR_INVALID_ARGUMENT, "1 dimensions");
	refused(sample(&s, 4, 5, 3, 2), FKM_ERROR_INVALID_ARGUMENT, "4 dimensions");
	refused(sample(&s, -2, 5, 3, 2), FKM_ERROR_INVALID_ARGUMENT, "-2 dimensions");
	refused(sample(&s, 2, 0, 3, 0), FKM_ERROR_INVALID_ARGUMENT, "size 0 in dimension 0");
	refused(sample(&s, 3, 2, 5, -3), FKM_ERROR_INVALID_ARGUMENT, "size -3 in dimension 2");
	sample(&s, 2, 5, 3, 0)->tensor.shape = NULL;
	refused(&s, FKM_ERROR_INVALID_ARGUMENT, "shape NULL");
}

static void test_null(void **state)
{
	(void)state;
	struct sample s;
	struct fkm_array array;
	assert_int_equal(fkm_array_from_dlpack(NULL, &array), FKM_ERROR_INVALID_ARGUMENT);
	assert_string_equal(fkm_error_message(), "dl_tensor is NULL");
	assert_int_equal(fkm_array_from_dlpack(&sample(&s, 2, 5, 3, 0)->tensor, NULL), FKM_ERROR_INVALID_ARGUMENT);
	assert_string_equal(fkm_error_message(), "array is NULL");
	s.tensor.data = NULL;
	refused(&s, FKM_ERROR_INVALID_ARGUMENT, "data NULL");
}

static void test_types(void **state)
{
	(void)state;
	static const struct {
		uint8_t code, bits;
		enum fkm_dtype dtype;
	} known[] = {{FLOAT, 16, FKM_F16}, {BFLOAT, 16, FKM_BF16}, {FLOAT, 32, FKM_F32}, {FLOAT, 64, FKM_F64}};
	struct sample s;
	sample(&s, 2, 5, 3, 0);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		struct fkm_array array;
		s.tensor.type_code = known[i].code;
		s.tensor.type_bits = known[i].bits;
		assert_int_equal(fkm_array_from_dlpack(&s.tensor, &array), FKM_OK);
		assert_int_equal(array.dtype, known[i].dtype);
	}
	static const struct {
		uint8_t code, bits;
		const char *part;
	} unknown[] = {{INT, 32, "(int) and 32 bits"},         {UINT, 8, "(uint) and 8 bits"},
				   {FLOAT, 8, "(float) and 8 bits"},       {FLOAT, 128, "(float) and 128 bits"},
				   {BFLOAT, 32, "(bfloat) and 32 bits"},   {COMPLEX, 64, "(complex) and 64 bits"},
				   {200, 16, "code 200 (unknown) and 16"}, {7, 8, "code 7 (unknown) and 8"}};
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
		s.tensor.type_code = unknown[i].code;
		s.tensor.type_bits = unknown[i].bits;
		refused(&s, FKM_ERROR_UNSUPPORTED, unknown[i].part);
	}
	s.tensor.type_code = FLOAT;
	s.tensor.type_bits = 32;
	s.tensor.type_lanes = 4;
	refused(&s, FKM_ERROR_UNSUPPORTED, "4 lanes");
	s.tensor.type_lanes = 0;
	refused(&s, FKM_ERROR_UNSUPPORTED, "0 lanes");
}

static void test_devices(void **state)
{
	(void)state;
	static const struct {
		int32_t type;
		enum fkm_memory memory;
	} known[] = {{CPU, FKM_MEMORY_HOST},         {CUDA, FKM_MEMORY_DEVICE}, {CUDA_HOST, FKM_MEMORY_HOST},
				 {OPENCL, FKM_MEMORY_DEVICE},    {ROCM, FKM_MEMORY_DEVICE}, {ROCM_HOST, FKM_MEMORY_HOST},
				 {CUDA_MANAGED, FKM_MEMORY_HOST}};
	struct sample s;
	sample(&s, 2, 5, 3, 0);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		struct fkm_array array;
		s.tensor.device_type = known[i].type;
		assert_int_equal(fkm_array_from_dlpack(&s.tensor, &array), FKM_OK);
		assert_int_equal(array.memory, known[i].memory);
	}
	s.tensor.device_type = 7;
	refused(&s, FKM_ERROR_UNSUPPORTED, "7 (kDLVulkan)");
	s.tensor.device_type = 8;
	refused(&s, FKM_ERROR_UNSUPPORTED, "8 (kDLMetal)");
	s.tensor.device_type = 0;
	refused(&s, FKM_ERROR_UNSUPPORTED, "0 (unknown)");
	s.tensor.device_type = -1;
	refused(&s, FKM_ERROR_UNSUPPORTED, "-1 (unknown)");
}

static void test_strides(void **state)
{
	(void)state;
	struct sample s;
	taken(strided(sample(&s, 2, 5, 3, 0), 3, 1, 0), 1, 5, 3, 3, 15);
	taken(strided(sample(&s, 2, 5, 3, 0), 8, 1, 0), 1, 5, 3, 8, 35);
	taken(strided(sample(&s, 3, 2, 5, 3), 64, 8, 1), 2, 5, 3, 8, 64);
	taken(strided(sample(&s, 3, 2, 5, 3), 35, 8, 1), 2, 5, 3, 8, 35); /* the least: the last row needs no padding */
	refused(strided(sample(&s, 3, 2, 5, 3), 34, 8, 1), FKM_ERROR_INVALID_ARGUMENT, "stride 34 between problems");
	refused(strided(sample(&s, 3, 2, 5, 3), 0, 3, 1), FKM_ERROR_INVALID_ARGUMENT, "broadcast");
	refused(strided(sample(&s, 3, 2, 5, 3), -15, 3, 1), FKM_ERROR_INVALID_ARGUMENT, "negative");
	refused(strided(sample(&s, 2, 5, 3, 0), 2, 1, 0), FKM_ERROR_INVALID_ARGUMENT, "stride 2 between rows");
	refused(strided(sample(&s, 2, 5, 3, 0), 0, 1, 0), FKM_ERROR_INVALID_ARGUMENT, "broadcast");
	refused(strided(sample(&s, 2, 5, 3, 0), -3, 1, 0), FKM_ERROR_INVALID_ARGUMENT, "negative");
	refused(strided(sample(&s, 2, 5, 3, 0), 1, 5, 0), FKM_ERROR_INVALID_ARGUMENT, "contiguous");
	refused(strided(sample(&s, 2, 5, 3, 0), 6, 2, 0), FKM_ERROR_INVALID_ARGUMENT, "contiguous");
	refused(strided(sample(&s, 2, 5, 3, 0), 3, -1, 0), FKM_ERROR_INVALID_ARGUMENT, "contiguous");
}

/* A dimension of size 1 may have any stride: NumPy and PyTorch both leave odd values there. */
static void test_strides_of_single_elements(void **state)
{
	(void)state;
	struct sample s;
	taken(strided(sample(&s, 2, 1, 3, 0), 0, 1, 0), 1, 1, 3, 3, 3);
	taken(strided(sample(&s, 2, 1, 3, 0), -99, 1, 0), 1, 1, 3, 3, 3);
	taken(strided(sample(&s, 2, 5, 1, 0), 1, 0, 0), 1, 5, 1, 1, 5);
	taken(strided(sample(&s, 2, 5, 1, 0), 4, 77, 0), 1, 5, 1, 4, 17);
	taken(strided(sample(&s, 3, 1, 5, 3), 0, 3, 1), 1, 5, 3, 3, 15);
	taken(strided(sample(&s, 3, 1, 1, 1), -1, -1, -1), 1, 1, 1, 1, 1);
	taken(strided(sample(&s, 3, 4, 1, 3), 3, 0, 1), 4, 1, 3, 3, 3);
}

static void test_offset(void **state)
{
	(void)state;
	struct sample s;
	sample(&s, 2, 5, 3, 0)->tensor.byte_offset = 16;
	taken(&s, 1, 5, 3, 3, 15);
	s.tensor.byte_offset = 6;
	refused(&s, FKM_ERROR_INVALID_ARGUMENT, "byte_offset 6");
	s.tensor.byte_offset = UINT64_MAX - 3;
	refused(&s, FKM_ERROR_OVERFLOW, "byte_offset 18446744073709551612");
	s.tensor.byte_offset = INT64_MAX - 59;
	refused(&s, FKM_ERROR_OVERFLOW, "2^63 bytes");
	s.tensor.byte_offset = INT64_MAX - 63; /* the first multiple of 4 that leaves room for 60 bytes */
	taken(&s, 1, 5, 3, 3, 15);
}

static void test_overflow(void **state)
{
	(void)state;
	const int64_t half = (int64_t)1 << 62, root = (int64_t)1 << 32;
	struct sample s;
	refused(sample(&s, 2, root, root, 0), FKM_ERROR_OVERFLOW, "2^63 elements");
	refused(sample(&s, 3, root, root / 4, 4), FKM_ERROR_OVERFLOW, "2^63 elements");
	refused(sample(&s, 2, 1, half, 0), FKM_ERROR_OVERFLOW, "2^63 bytes");
	refused(strided(sample(&s, 2, 3, 1, 0), half, 1, 0), FKM_ERROR_OVERFLOW, "2^63 elements");
	refused(strided(sample(&s, 2, 2, 8, 0), INT64_MAX - 3, 1, 0), FKM_ERROR_OVERFLOW, "2^63 elements");
	refused(strided(sample(&s, 3, 3, 1, 1), half, 1, 1), FKM_ERROR_OVERFLOW, "2^63 elements");
	refused(strided(sample(&s, 3, 2, 2, 1), INT64_MAX, INT64_MAX - 1, 1), FKM_ERROR_OVERFLOW, "2^63 elements");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dtypes),  cmocka_unit_test(test_array_2d),
		cmocka_unit_test(test_shapes),  cmocka_unit_test(test_null),
		cmocka_unit_test(test_types),   cmocka_unit_test(test_devices),
		cmocka_unit_test(test_strides), cmocka_unit_test(test_strides_of_single_elements),
		cmocka_unit_test(test_offset),  cmocka_unit_test(test_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
