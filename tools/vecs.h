/* SPDX-License-Identifier: Apache-2.0 */
/* The .fvecs and .bvecs formats: each row is its int32 dimension, then as many f4 or u1. */
#ifndef TOOL_VECS_H
#define TOOL_VECS_H

#include "array_file.h"
#include "ranks.h"

/* Finds the array in the bytes of a whole file. The rows stay where they are, 4 bytes apart. name is for messages. Reads
 * nothing outside of the bytes, and of them the first row's dimension alone, unless the file ends within a row. */
enum tool_exit tool_vecs_parse(const char *name, const void *bytes, size_t size, enum tool_element element,
							   struct tool_array *array);

/* That all of these rows have the dimension of the first one of the file. */
enum tool_exit tool_vecs_check(const char *name, const struct tool_array *array, struct tool_rows rows);

#endif
