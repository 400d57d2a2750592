/* SPDX-License-Identifier: Apache-2.0 */
/* The .npy format of NumPy, versions 1.0, 2.0 and 3.0. */
#ifndef TOOL_NPY_H
#define TOOL_NPY_H

#include "array_file.h"

/* Whether the bytes begin like a .npy file. */
bool tool_npy_begins(const void *bytes, size_t size);

/*
 * Finds the array in the bytes of a whole file. The header must be a dictionary of exactly descr, fortran_order and
 * shape, the array of 1 to 3 dimensions, none of them 0, of type f2, f4, f8, i1 or u1 in little-endian order, and the
 * file exactly as long as it says. name is for messages. Reads nothing outside of the bytes.
 */
enum tool_exit tool_npy_parse(const char *name, const void *bytes, size_t size, struct tool_array *array);

enum { TOOL_NPY_HEADER_BYTES = 128 };

/* Writes a version 1.0 header for a C-order array: type is "<i4" or the like, dims 1 to 3. */
void tool_npy_header(char header[TOOL_NPY_HEADER_BYTES], const char *type, int dims, const int64_t *shape);

#endif
