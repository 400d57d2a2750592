/* SPDX-License-Identifier: Apache-2.0 */
/* Results of which each of several ranks has its rows: written by all of them into one file, whose bytes are those that one
 * process would have written. Every function is collective. */
#ifndef TOOL_PARTS_H
#define TOOL_PARTS_H

#include "output.h"
#include "run.h"

/* Where data of [b, rows.count] elements go: into a .npy array of [b, n] or, unless is_batch, [n]. */
struct tool_parts {
	const char *type; /* "<i4" */
	size_t bytes;     /* of an element */
	int64_t b, n;
	bool is_batch;
	struct tool_rows rows;
};

/* Makes the others' outputs part of rank 0's, which is open. */
enum tool_exit tool_parts_join(struct tool_ranks *ranks, struct tool_output *output, const char *name);

enum tool_exit tool_parts_rows(struct tool_ranks *ranks, struct tool_output *output, const struct tool_parts *parts,
							   const void *data);

/* Inverted lists: order (NULL: only offsets are wanted) and offsets hold this rank's; offsets become everyone's. counts
 * [b, k] are of all ranks. */
enum tool_exit tool_parts_lists(struct tool_ranks *ranks, struct tool_output *output, const struct tool_parts *parts,
								int64_t k, const int64_t *counts, int64_t *order, int64_t *offsets);

#endif
