/* SPDX-License-Identifier: Apache-2.0 */
/* From an array in a file to one that the library takes. */
#ifndef TOOL_CONVERT_H
#define TOOL_CONVERT_H

#include "array_file.h"
#include "flashkmeans/flashkmeans.h"
#include "ranks.h"

/* The dtype that holds every value of an element exactly. */
enum fkm_dtype tool_exact_dtype(enum tool_element element);

/* Whether every value of an element is exact in dtype. */
bool tool_dtype_holds(enum fkm_dtype dtype, enum tool_element element);

const char *tool_dtype_name(enum fkm_dtype dtype);

/* How the dimensions of a file become [batch, rows, dims]. */
enum tool_layout {
	TOOL_MATRIX, /* (rows, dims) or (batch, rows, dims) */
	TOOL_COLUMN  /* (rows,) or (batch, rows), dims being 1 */
};

struct tool_matrix {
	struct fkm_array array; /* of this rank's rows */
	struct tool_rows rows;  /* which those are */
	int64_t all_rows;       /* how many there are */
	void *owned;            /* NULL if the file is used in place */
};

/*
 * Makes this rank's rows (ranks NULL: all) of a file's array available in dtype: in place if they already are what the
 * library takes, else as a packed copy, rounded to nearest even. Of the others nothing is read. A finite value that rounds to infinity is an error that names its row and column. The
 * file must stay open. On failure *matrix is zero.
 */
enum tool_exit tool_matrix_make(const struct tool_file *file, enum tool_layout layout, enum fkm_dtype dtype,
								const struct tool_ranks *ranks, struct tool_matrix *matrix);
void tool_matrix_free(struct tool_matrix *matrix); /* a zero struct is allowed */

/* binary16 and bfloat16 as bits; from a double rounded once, to nearest even. */
double tool_f16_value(uint16_t bits);
uint16_t tool_f16_bits(double value);
uint16_t tool_bf16_bits(double value);

#endif
