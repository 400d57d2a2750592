/* SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"

enum tool_exit tool_parts_join(struct tool_ranks *ranks, struct tool_output *output, const char *name)
{
	char temporary[PATH_MAX];
	TOOL_TRY(tool_ranks_tell(ranks, output->temporary, temporary, sizeof temporary));
	return ranks->rank == 0 ? TOOL_OK : tool_output_join(name, temporary, output);
}

static enum tool_exit write_header(const struct tool_ranks *ranks, struct tool_output *output,
								   const struct tool_parts *parts)
{
	const int64_t shape[2] = {parts->b, parts->n};
	char header[TOOL_NPY_HEADER_BYTES];
	if (ranks->rank > 0)
		return TOOL_OK;
	tool_npy_header(header, parts->type, parts->is_batch ? 2 : 1, parts->is_batch ? shape : shape + 1);
	return tool_output_write_at(output, header, sizeof header, 0);
}

/* count elements from element `at` of the array. */
static enum tool_exit write_elements(struct tool_output *output, const struct tool_parts *parts, const void *data,
									 int64_t count, int64_t at)
{
	return tool_output_write_at(output, data, (size_t)count * parts->bytes,
								TOOL_NPY_HEADER_BYTES + at * (int64_t)parts->bytes);
}

enum tool_exit tool_parts_rows(struct tool_ranks *ranks, struct tool_output *output, const struct tool_parts *parts,
							   const void *data)
{
	const struct tool_rows rows = parts->rows;
	enum tool_exit code = write_header(ranks, output, parts);
	for (int64_t p = 0; p < parts->b && code == TOOL_OK; p++)
		code = write_elements(output, parts, (const char *)data + (size_t)(p * rows.count) * parts->bytes, rows.count,
							  p * parts->n + rows.first);
	return tool_ranks_agree(ranks, code);
}

/* ---- inverted lists ---- */

/* values[i] of each rank becomes the sum of those of the ranks before it. */
static enum tool_exit sum_before(struct tool_ranks *ranks, int64_t *values, int64_t count)
{
	const int64_t block = 1 + (1 << 20) / ranks->size;
	int64_t *all = malloc((size_t)(block * ranks->size) * sizeof *all);
	enum tool_exit code =
		tool_ranks_agree(ranks, all ? TOOL_OK : tool_fail(TOOL_FAILED, "no memory left to place the lists"));
	for (int64_t first = 0; first < count && code == TOOL_OK; first += block) {
		const int64_t step = count - first < block ? count - first : block;
		memset(all, 0, (size_t)(step * ranks->size) * sizeof *all);
		memcpy(all + ranks->rank * step, values + first, (size_t)step * sizeof *all);
		code = tool_ranks_sum(ranks, all, step * ranks->size);
		for (int64_t i = 0; i < step; i++) {
			values[first + i] = 0;
			for (int64_t rank = 0; rank < ranks->rank; rank++)
				values[first + i] += all[rank * step + i];
		}
	}
	free(all);
	return code;
}

/* The lists of problem p, of which before[] entries are other ranks'. */
static enum tool_exit write_lists(struct tool_output *output, const struct tool_parts *parts, int64_t p, int64_t k,
								  const int64_t *counts, const int64_t *before, const int64_t *order,
								  const int64_t *offsets)
{
	int64_t begin = p * parts->n;
	for (int64_t cluster = 0; cluster < k; begin += counts[cluster++]) {
		const int64_t own = offsets[cluster + 1] - offsets[cluster];
		TOOL_TRY(write_elements(output, parts, order + offsets[cluster], own, begin + before[cluster]));
	}
	return TOOL_OK;
}

static enum tool_exit write_order(struct tool_ranks *ranks, struct tool_output *output, const struct tool_parts *parts,
								  int64_t k, const int64_t *counts, int64_t *before, int64_t *order,
								  const int64_t *offsets)
{
	const int64_t rows = parts->rows.count;
	for (int64_t p = 0; p < parts->b; p++)
		for (int64_t cluster = 0; cluster < k; cluster++)
			before[p * k + cluster] = offsets[p * (k + 1) + cluster + 1] - offsets[p * (k + 1) + cluster];
	TOOL_TRY(sum_before(ranks, before, parts->b * k));
	for (int64_t i = 0; i < parts->b * rows; i++)
		order[i] += parts->rows.first;
	enum tool_exit code = write_header(ranks, output, parts);
	for (int64_t p = 0; p < parts->b && code == TOOL_OK; p++)
		code =
			write_lists(output, parts, p, k, counts + p * k, before + p * k, order + p * rows, offsets + p * (k + 1));
	return tool_ranks_agree(ranks, code);
}

enum tool_exit tool_parts_lists(struct tool_ranks *ranks, struct tool_output *output, const struct tool_parts *parts,
								int64_t k, const int64_t *counts, int64_t *order, int64_t *offsets)
{
	if (order) {
		int64_t *before = malloc((size_t)(parts->b * k) * sizeof *before);
		enum tool_exit code =
			tool_ranks_agree(ranks, before ? TOOL_OK : tool_fail(TOOL_FAILED, "no memory left to place the lists"));
		if (code == TOOL_OK)
			code = write_order(ranks, output, parts, k, counts, before, order, offsets);
		free(before);
		TOOL_TRY(code);
	}
	for (int64_t p = 0; p < parts->b; p++) {
		int64_t *all = offsets + p * (k + 1);
		all[0] = 0;
		for (int64_t cluster = 0; cluster < k; cluster++)
			all[cluster + 1] = all[cluster] + counts[p * k + cluster];
	}
	return TOOL_OK;
}
