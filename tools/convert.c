/* SPDX-License-Identifier: Apache-2.0 */
#include "convert.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vecs.h"

/* Rows converted at a time in Fortran order, so that a cache line of a column is used whole. */
enum { FORTRAN_ROWS = 64 };

enum fkm_dtype tool_exact_dtype(enum tool_element element)
{
	static const enum fkm_dtype dtypes[] = {
		[TOOL_F2] = FKM_F16, [TOOL_F4] = FKM_F32, [TOOL_F8] = FKM_F64, [TOOL_I1] = FKM_F16, [TOOL_U1] = FKM_F16};
	return dtypes[element];
}

bool tool_dtype_holds(enum fkm_dtype dtype, enum tool_element element)
{
	if (element == TOOL_I1 || element == TOOL_U1) /* 8 significant bits */
		return true;
	enum fkm_dtype exact = tool_exact_dtype(element);
	return dtype == exact || dtype == FKM_F64 || (dtype == FKM_F32 && exact == FKM_F16);
}

const char *tool_dtype_name(enum fkm_dtype dtype)
{
	static const char *const names[] = {[FKM_F16] = "f16", [FKM_BF16] = "bf16", [FKM_F32] = "f32", [FKM_F64] = "f64"};
	return names[dtype];
}

static size_t dtype_bytes(enum fkm_dtype dtype)
{
	static const size_t bytes[] = {[FKM_F16] = 2, [FKM_BF16] = 2, [FKM_F32] = 4, [FKM_F64] = 8};
	return bytes[dtype];
}

double tool_f16_value(uint16_t bits)
{
	int exponent = bits >> 10 & 31, significand = bits & 1023;
	double value;
	if (exponent == 31)
		value = significand ? NAN : INFINITY;
	else if (exponent == 0)
		value = significand * 0x1p-24;
	else
		value = ldexp(1024 + significand, exponent - 25);
	return bits >> 15 ? -value : value;
}

/* The bits of a binary floating-point format of 16 bits with that many exponent bits. */
static uint16_t encode16(double value, int exponent_bits)
{
	int significand_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
	uint16_t sign = (uint16_t)(signbit(value) ? 0x8000 : 0);
	uint16_t infinity = (uint16_t)(((1 << exponent_bits) - 1) << significand_bits);
	if (isnan(value))
		return sign | infinity | 1;
	int exponent = isinf(value) ? 0 : ilogb(value);
	if (exponent < 1 - bias) /* zero and subnormal numbers */
		exponent = 1 - bias;
	double scaled = rint(ldexp(fabs(value), significand_bits - exponent)); /* with the leading 1 of a normal number */
	double bits = scaled + (double)((exponent + bias - 1) << significand_bits);
	return sign | (bits < infinity ? (uint16_t)bits : infinity);
}

uint16_t tool_f16_bits(double value)
{
	return encode16(value, 5);
}

uint16_t tool_bf16_bits(double value)
{
	return encode16(value, 8);
}

/* count elements, step bytes apart, as exact doubles. */
static void decode(enum tool_element element, const unsigned char *from, int64_t step, int64_t count, double *to)
{
	for (int64_t i = 0; i < count; i++, from += step) {
		switch (element) {
		case TOOL_F2: {
			uint16_t bits;
			memcpy(&bits, from, sizeof bits);
			to[i] = tool_f16_value(bits);
			break;
		}
		case TOOL_F4: {
			float value;
			memcpy(&value, from, sizeof value);
			to[i] = value;
			break;
		}
		case TOOL_F8:
			memcpy(&to[i], from, sizeof *to);
			break;
		case TOOL_I1:
			to[i] = (int8_t)*from;
			break;
		case TOOL_U1:
			to[i] = *from;
			break;
		}
	}
}

/* count doubles rounded to dtype. Returns the first index at which a finite value became infinite, else -1. */
static int64_t encode(const double *from, enum fkm_dtype dtype, int64_t count, void *to)
{
	int64_t overflow = -1;
	for (int64_t i = count - 1; i >= 0; i--) {
		bool infinite = false;
		switch (dtype) {
		case FKM_F16:
			((uint16_t *)to)[i] = tool_f16_bits(from[i]);
			infinite = (((uint16_t *)to)[i] & 0x7fff) == 0x7c00;
			break;
		case FKM_BF16:
			((uint16_t *)to)[i] = tool_bf16_bits(from[i]);
			infinite = (((uint16_t *)to)[i] & 0x7fff) == 0x7f80;
			break;
		case FKM_F32:
			((float *)to)[i] = (float)from[i];
			infinite = isinf(((float *)to)[i]);
			break;
		case FKM_F64:
			((double *)to)[i] = from[i];
			break;
		}
		if (infinite && isfinite(from[i]))
			overflow = i;
	}
	return overflow;
}

static enum tool_exit too_large(const struct tool_file *file, const struct fkm_array *shape, enum fkm_dtype dtype,
								int64_t problem, int64_t row, int64_t column, double value)
{
	char where[32] = "";
	if (shape->batch > 1)
		snprintf(where, sizeof where, "problem %" PRId64 ", ", problem);
	return tool_fail(TOOL_FAILED, "%s: %g at %srow %" PRId64 ", column %" PRId64 " is too large for %s", file->name,
					 value, where, row, column, tool_dtype_name(dtype));
}

/* Rounds those rows of each problem in the file's array into to, which is packed; shape gives the dimensions. */
static enum tool_exit convert(const struct tool_file *file, const struct fkm_array *shape, struct tool_rows part,
							  enum fkm_dtype dtype, unsigned char *to)
{
	const struct tool_array *array = &file->array;
	int64_t element = (int64_t)tool_element_bytes(array->element);
	int64_t batch = shape->batch, rows = shape->rows, dims = shape->dims;
	int64_t block_rows = array->fortran ? FORTRAN_ROWS : 1;
	/* Bytes from one index to the next, for problem, row and column. */
	int64_t row_step = array->fortran ? batch * element : dims == 1 ? element : array->row_bytes;
	int64_t batch_step = array->fortran ? element : rows * row_step;
	int64_t column_step = array->fortran ? batch * rows * element : element;

	if (dims > INT64_MAX / (block_rows * (int64_t)sizeof(double)))
		return tool_fail(TOOL_FAILED, "%s: has rows too long to convert", file->name);
	double *block = malloc((size_t)(block_rows * dims) * sizeof *block);
	double *column = malloc((size_t)block_rows * sizeof *column);
	enum tool_exit code =
		block && column ? TOOL_OK : tool_fail(TOOL_FAILED, "%s: no memory left to convert it", file->name);

	for (int64_t p = 0; p < batch && code == TOOL_OK; p++) {
		const int64_t end = part.first + part.count;
		for (int64_t first = part.first; first < end && code == TOOL_OK; first += block_rows) {
			const unsigned char *from = array->data + p * batch_step + first * row_step;
			int64_t count = end - first < block_rows ? end - first : block_rows;
			if (array->fortran) {
				for (int64_t j = 0; j < dims; j++) {
					decode(array->element, from + j * column_step, row_step, count, column);
					for (int64_t i = 0; i < count; i++)
						block[i * dims + j] = column[i];
				}
			} else {
				decode(array->element, from, column_step, dims, block);
			}
			int64_t overflow = encode(block, dtype, count * dims, to);
			if (overflow >= 0)
				code = too_large(file, shape, dtype, p, first + overflow / dims, overflow % dims, block[overflow]);
			to += (size_t)(count * dims) * dtype_bytes(dtype);
		}
	}
	free(block);
	free(column);
	return code;
}

enum tool_exit tool_matrix_make(const struct tool_file *file, enum tool_layout layout, enum fkm_dtype dtype,
								const struct tool_ranks *ranks, struct tool_matrix *matrix)
{
	const struct tool_array *array = &file->array;
	int least = layout == TOOL_MATRIX ? 2 : 1;
	*matrix = (struct tool_matrix){0};
	if (array->dims < least || array->dims > least + 1)
		return tool_fail(TOOL_FAILED, "%s: has %d dimension%s; %d, or %d for a batch, are needed", file->name,
						 array->dims, array->dims == 1 ? "" : "s", least, least + 1);

	bool is_batch = array->dims > least;
	const int64_t *shape = array->shape + (is_batch ? 1 : 0);
	struct fkm_array made = {.dtype = dtype,
							 .batch = is_batch ? array->shape[0] : 1,
							 .rows = shape[0],
							 .dims = layout == TOOL_MATRIX ? shape[1] : 1};
	const struct tool_rows all = {0, made.rows}, part = ranks ? tool_ranks_share(ranks, made.rows) : all;
	size_t bytes = dtype_bytes(dtype);
	if (array->prefixed) /* as a batch, rows of the file are problems, of which all are read */
		TOOL_TRY(tool_vecs_check(file->name, array, is_batch ? (struct tool_rows){0, array->shape[0]} : part));
	bool same = dtype != FKM_BF16 && tool_exact_dtype(array->element) == dtype &&
				tool_element_bytes(array->element) == bytes && !array->fortran;
	if (same && (uintptr_t)array->data % bytes == 0 && array->row_bytes % (int64_t)bytes == 0) {
		if (layout == TOOL_MATRIX)
			made.row_stride = array->row_bytes / (int64_t)bytes;
		const int64_t row_stride = layout == TOOL_MATRIX ? made.row_stride : 1;
		made.batch_stride = made.rows * row_stride;
		made.data = array->data + (size_t)(part.first * row_stride) * bytes;
	} else if (part.count > 0) {
		if (made.batch * part.count > INT64_MAX / (int64_t)bytes / made.dims)
			return tool_fail(TOOL_FAILED, "%s: is too large to convert", file->name);
		matrix->owned = malloc((size_t)(made.batch * part.count * made.dims) * bytes);
		if (!matrix->owned)
			return tool_fail(TOOL_FAILED, "%s: no memory left to convert it to %s", file->name, tool_dtype_name(dtype));
		enum tool_exit code = convert(file, &made, part, dtype, matrix->owned);
		if (code != TOOL_OK) {
			tool_matrix_free(matrix);
			return code;
		}
		made.data = matrix->owned;
	}
	matrix->all_rows = made.rows;
	matrix->rows = part;
	made.rows = part.count;
	if (part.count == 0)
		made.data = NULL;
	matrix->array = made;
	return TOOL_OK;
}

void tool_matrix_free(struct tool_matrix *matrix)
{
	free(matrix->owned);
	*matrix = (struct tool_matrix){0};
}
