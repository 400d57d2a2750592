/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding to 16 bits, and every way from a file's array to the library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convert.h"

static double bf16_value(uint16_t bits)
{
	uint32_t wide = (uint32_t)bits << 16;
	float value;
	memcpy(&value, &wide, sizeof value);
	return value;
}

/* All neighbouring pairs of a format: each value keeps its bits, what lies between goes to the nearer, the middle to
 * the even one. The pair at the top is the largest number and infinity, which stands for the next power of two. */
static void check_rounding(double (*value)(uint16_t), uint16_t (*bits)(double), uint16_t infinity)
{
	for (uint16_t low = 0; low < infinity; low++) {
		uint16_t high = (uint16_t)(low + 1);
		double below = value(low);
		double above = high == infinity ? 2 * below - value((uint16_t)(low - 1)) : value(high);
		double middle = (below + above) / 2;
		assert_int_equal(bits(below), low);
		assert_int_equal(bits(-below), low | 0x8000);
		assert_int_equal(bits(middle), low % 2 == 0 ? low : high);
		assert_int_equal(bits(nextafter(middle, 0)), low);
		assert_int_equal(bits(nextafter(middle, INFINITY)), high);
		assert_int_equal(bits(-nextafter(middle, INFINITY)), high | 0x8000);
	}
	assert_int_equal(bits(INFINITY), infinity);
	assert_int_equal(bits(-INFINITY), infinity | 0x8000);
	assert_int_equal(bits(1.7e308), infinity);
	assert_int_equal(bits(5e-324), 0);
	assert_true((bits(NAN) & 0x7fff) > infinity);
}

static void f16_rounding(void **state)
{
	(void)state;
	assert_int_equal(tool_f16_bits(1), 0x3c00);
	assert_int_equal(tool_f16_bits(-2), 0xc000);
	assert_int_equal(tool_f16_bits(65504), 0x7bff);
	assert_int_equal(tool_f16_bits(0x1p-24), 1);
	check_rounding(tool_f16_value, tool_f16_bits, 0x7c00);
	assert_true(isnan(tool_f16_value(0x7e00)));
	assert_true(tool_f16_value(0xfc00) == -INFINITY);
}

static void bf16_rounding(void **state)
{
	(void)state;
	check_rounding(bf16_value, tool_bf16_bits, 0x7f80);
}

static double element_of(const struct fkm_array *array, int64_t p, int64_t i, int64_t j)
{
	int64_t row_stride = array->row_stride ? array->row_stride : array->dims;
	int64_t batch_stride = array->batch_stride ? array->batch_stride : array->rows * row_stride;
	int64_t index = p * batch_stride + i * row_stride + j;
	switch (array->dtype) {
	case FKM_F16:
		return tool_f16_value(((const uint16_t *)array->data)[index]);
	case FKM_BF16:
		return bf16_value(((const uint16_t *)array->data)[index]);
	case FKM_F32:
		return ((const float *)array->data)[index];
	default:
		return ((const double *)array->data)[index];
	}
}

static void put_element(unsigned char *to, enum tool_element element, double value)
{
	uint16_t half = tool_f16_bits(value);
	float single = (float)value;
	switch (element) {
	case TOOL_F2:
		memcpy(to, &half, sizeof half);
		break;
	case TOOL_F4:
		memcpy(to, &single, sizeof single);
		break;
	case TOOL_F8:
		memcpy(to, &value, sizeof value);
		break;
	case TOOL_I1:
	case TOOL_U1:
		*to = (unsigned char)(int)value;
		break;
	}
}

/* Distinct values that every type holds, negative ones where there can be. */
static double expected(enum tool_element element, int64_t p, int64_t i, int64_t j)
{
	int64_t value = p * 97 + i * 7 + j;
	return (double)(element == TOOL_U1 ? value % 256 : value % 256 - 128);
}

static void every_conversion(void **state)
{
	(void)state;
	static const enum fkm_dtype dtypes[] = {FKM_F16, FKM_BF16, FKM_F32, FKM_F64};
	enum { B = 2, N = 131, D = 5 }; /* N is more than two blocks of Fortran rows */
	for (int element = TOOL_F2; element <= TOOL_U1; element++) {
		int64_t bytes = (int64_t)tool_element_bytes((enum tool_element)element);
		for (int variant = 0; variant < 8; variant++) {
			bool fortran = variant & 1, shifted = variant & 2, batch = variant & 4;
			int64_t b = batch ? B : 1;
			unsigned char *memory = malloc((size_t)(b * N * D * bytes) + 1), *data = memory + shifted;
			assert_non_null(memory);
			for (int64_t p = 0; p < b; p++)
				for (int64_t i = 0; i < N; i++)
					for (int64_t j = 0; j < D; j++)
						put_element(data + bytes * (fortran ? p + b * (i + N * j) : (p * N + i) * D + j),
									(enum tool_element)element, expected((enum tool_element)element, p, i, j));
			struct tool_file file = {.name = "file",
									 .array = {.element = (enum tool_element)element,
											   .fortran = fortran,
											   .dims = batch ? 3 : 2,
											   .shape = {batch ? B : N, batch ? N : D, D},
											   .row_bytes = D * bytes,
											   .data = data}};
			for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++) {
				struct tool_matrix matrix;
				assert_int_equal(tool_matrix_make(&file, TOOL_MATRIX, dtypes[t], NULL, &matrix), TOOL_OK);
				assert_int_equal(matrix.array.batch, b);
				assert_int_equal(matrix.array.rows, N);
				assert_int_equal(matrix.array.dims, D);
				bool same = (element == TOOL_F2 && dtypes[t] == FKM_F16) ||
							(element == TOOL_F4 && dtypes[t] == FKM_F32) ||
							(element == TOOL_F8 && dtypes[t] == FKM_F64);
				assert_int_equal(matrix.owned == NULL, same && !fortran && !shifted);
				for (int64_t p = 0; p < b; p++)
					for (int64_t i = 0; i < N; i++)
						for (int64_t j = 0; j < D; j++)
							assert_true(element_of(&matrix.array, p, i, j) ==
										expected((enum tool_element)element, p, i, j));
				tool_matrix_free(&matrix);
			}
			free(memory);
		}
	}
}

/* .fvecs is used where it is; what cannot be is copied. */
static void rows_apart(void **state)
{
	(void)state;
	float values[] = {0, 1, 2, 0, 3, 4};
	struct tool_file file = {.name = "file",
							 .array = {.element = TOOL_F4,
									   .dims = 2,
									   .shape = {2, 2},
									   .row_bytes = 12,
									   .data = (const unsigned char *)(values + 1)}};
	struct tool_matrix matrix;
	assert_int_equal(tool_matrix_make(&file, TOOL_MATRIX, FKM_F32, NULL, &matrix), TOOL_OK);
	assert_null(matrix.owned);
	assert_ptr_equal(matrix.array.data, values + 1);
	assert_int_equal(matrix.array.row_stride, 3);
	assert_int_equal(tool_matrix_make(&file, TOOL_MATRIX, FKM_F16, NULL, &matrix), TOOL_OK);
	assert_non_null(matrix.owned);
	assert_true(element_of(&matrix.array, 0, 1, 0) == 3);
	assert_true(element_of(&matrix.array, 0, 1, 1) == 4);
	tool_matrix_free(&matrix);
}

static void too_large(void **state)
{
	(void)state;
	double values[] = {1, INFINITY, NAN, 3, -1e39, 1e39};
	struct tool_file file = {
		.name = "file",
		.array = {.element = TOOL_F8, .dims = 3, .shape = {3, 1, 2}, .row_bytes = 16, .data = (unsigned char *)values}};
	struct tool_matrix matrix;
	assert_int_equal(tool_matrix_make(&file, TOOL_MATRIX, FKM_F32, NULL, &matrix), TOOL_FAILED);
	assert_string_equal(tool_failure(), "file: -1e+39 at problem 2, row 0, column 0 is too large for f32");
	assert_null(matrix.owned);
	/* what is not finite is for the library to tell */
	values[4] = values[5] = 0;
	assert_int_equal(tool_matrix_make(&file, TOOL_MATRIX, FKM_F32, NULL, &matrix), TOOL_OK);
	assert_true(isinf(element_of(&matrix.array, 0, 0, 1)));
	assert_true(isnan(element_of(&matrix.array, 1, 0, 0)));
	tool_matrix_free(&matrix);
}

static void columns(void **state)
{
	(void)state;
	double values[] = {1, 2, 3, 4, 5, 6};
	struct tool_file file = {
		.name = "file",
		.array = {.element = TOOL_F8, .fortran = true, .dims = 2, .shape = {2, 3}, .data = (unsigned char *)values}};
	struct tool_matrix matrix;
	assert_int_equal(tool_matrix_make(&file, TOOL_COLUMN, FKM_F64, NULL, &matrix), TOOL_OK);
	assert_int_equal(matrix.array.batch, 2);
	assert_int_equal(matrix.array.rows, 3);
	assert_int_equal(matrix.array.dims, 1);
	static const double transposed[] = {1, 3, 5, 2, 4, 6};
	assert_memory_equal(matrix.array.data, transposed, sizeof transposed);
	tool_matrix_free(&matrix);
	/* Rows of the file are problems here, of which each has a dimension. */
	int32_t rows[] = {3, 7, 8, 9, 3, 5, 6, 7};
	struct tool_file vecs = {.name = "file",
							 .array = {.element = TOOL_F4,
									   .dims = 2,
									   .shape = {2, 3},
									   .row_bytes = 16,
									   .prefixed = true,
									   .data = (unsigned char *)(rows + 1)}};
	assert_int_equal(tool_matrix_make(&vecs, TOOL_COLUMN, FKM_F64, NULL, &matrix), TOOL_OK);
	tool_matrix_free(&matrix);
	rows[4] = 2;
	assert_int_equal(tool_matrix_make(&vecs, TOOL_COLUMN, FKM_F64, NULL, &matrix), TOOL_FAILED);
	file.array.dims = 3;
	assert_int_equal(tool_matrix_make(&file, TOOL_COLUMN, FKM_F64, NULL, &matrix), TOOL_FAILED);
	file.array.dims = 1;
	assert_int_equal(tool_matrix_make(&file, TOOL_MATRIX, FKM_F64, NULL, &matrix), TOOL_FAILED);
}

/* The rows of several ranks, put together, are those of one; what is used in place stays there. */
static void shares(void **state)
{
	(void)state;
	enum { B = 2, N = 67, D = 3 };
	double values[B * N * D];
	for (int i = 0; i < B * N * D; i++)
		values[i] = i;
	for (int fortran = 0; fortran < 2; fortran++) {
		for (int copied = 0; copied < 2; copied++) {
			const struct tool_file file = {.name = "file",
										   .array = {.element = TOOL_F8,
													 .fortran = fortran,
													 .dims = 3,
													 .shape = {B, N, D},
													 .row_bytes = D * 8,
													 .data = (unsigned char *)values}};
			const enum fkm_dtype dtype = copied ? FKM_F32 : FKM_F64;
			struct tool_matrix whole, part;
			assert_int_equal(tool_matrix_make(&file, TOOL_MATRIX, dtype, NULL, &whole), TOOL_OK);
			assert_int_equal(whole.all_rows, N);
			int64_t next = 0;
			for (int rank = 0; rank < 5; rank++) {
				const struct tool_ranks ranks = {.rank = rank, .size = 5};
				assert_int_equal(tool_matrix_make(&file, TOOL_MATRIX, dtype, &ranks, &part), TOOL_OK);
				assert_int_equal(part.all_rows, N);
				assert_int_equal(part.rows.first, next);
				assert_in_range(part.rows.count, 13, 14);
				assert_int_equal(part.array.rows, part.rows.count);
				assert_int_equal(part.owned == NULL, !copied && !fortran);
				for (int64_t p = 0; p < B; p++)
					for (int64_t i = 0; i < part.rows.count; i++)
						for (int64_t j = 0; j < D; j++)
							assert_true(element_of(&part.array, p, i, j) == element_of(&whole.array, p, next + i, j));
				next += part.rows.count;
				tool_matrix_free(&part);
			}
			assert_int_equal(next, N);
			/* More ranks than rows. */
			const struct tool_ranks last = {.rank = 99, .size = 100};
			assert_int_equal(tool_matrix_make(&file, TOOL_MATRIX, dtype, &last, &part), TOOL_OK);
			assert_int_equal(part.array.rows, 0);
			assert_null(part.array.data);
			tool_matrix_free(&part);
			tool_matrix_free(&whole);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(f16_rounding),     cmocka_unit_test(bf16_rounding),
									   cmocka_unit_test(every_conversion), cmocka_unit_test(rows_apart),
									   cmocka_unit_test(shares),           cmocka_unit_test(too_large),
									   cmocka_unit_test(columns)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
