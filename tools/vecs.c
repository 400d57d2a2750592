/* SPDX-License-Identifier: Apache-2.0 */
#include "vecs.h"

#include <inttypes.h>
#include <string.h>

static int32_t dimension_at(const unsigned char *row)
{
	int32_t dimension;
	memcpy(&dimension, row, sizeof dimension);
	return dimension;
}

enum { PREFIX = sizeof(int32_t) };

enum tool_exit tool_vecs_check(const char *name, const struct tool_array *array, struct tool_rows rows)
{
	const int32_t dimension = (int32_t)array->shape[1];
	for (int64_t i = rows.first; i < rows.first + rows.count; i++) {
		int32_t other = dimension_at(array->data - PREFIX + i * array->row_bytes);
		if (other != dimension)
			return tool_fail(TOOL_FAILED, "%s: row %" PRId64 " has dimension %" PRId32 ", but row 0 has %" PRId32, name,
							 i, other, dimension);
	}
	return TOOL_OK;
}

enum tool_exit tool_vecs_parse(const char *name, const void *bytes, size_t size, enum tool_element element,
							   struct tool_array *array)
{
	const unsigned char *start = bytes;
	*array = (struct tool_array){0};
	if (size < PREFIX)
		return tool_fail(TOOL_FAILED, "%s: ends within its first row", name);
	int32_t dimension = dimension_at(start);
	if (dimension < 1)
		return tool_fail(TOOL_FAILED, "%s: its first row has dimension %" PRId32, name, dimension);
	int64_t row_bytes = PREFIX + dimension * (int64_t)tool_element_bytes(element);
	int64_t rows = (int64_t)size / row_bytes;
	const struct tool_array found = {.element = element,
									 .dims = 2,
									 .shape = {rows, dimension},
									 .row_bytes = row_bytes,
									 .prefixed = true,
									 .data = start + PREFIX};
	if ((int64_t)size % row_bytes != 0) { /* perhaps because a row is of another dimension */
		TOOL_TRY(tool_vecs_check(name, &found, (struct tool_rows){0, rows}));
		return tool_fail(TOOL_FAILED, "%s: is truncated: it ends within row %" PRId64, name, rows);
	}
	*array = found;
	return TOOL_OK;
}
