/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that make one run together: one alone, or those that an MPI launcher started. */
#ifndef TOOL_RANKS_H
#define TOOL_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flashkmeans/flashkmeans.h"
#include "message.h"

struct tool_ranks {
	int32_t rank, size;
	int32_t local_rank, local_size;              /* among those of this machine */
	const struct fkm_communicator *communicator; /* NULL: alone */
	bool broken;                                 /* the others cannot be reached any more */
};

/* Rows first .. first + count - 1 of an array's many. */
struct tool_rows {
	int64_t first, count;
};

/* This rank's share of so many rows; that of a low rank may be one larger. */
struct tool_rows tool_ranks_share(const struct tool_ranks *ranks, int64_t rows);

/* Collective, as are the next two: what came of a step on this rank becomes what came of it on all, TOOL_OK or the
 * failure, with its sentence, of the lowest rank that failed. */
enum tool_exit tool_ranks_agree(struct tool_ranks *ranks, enum tool_exit code);

/* values[i] becomes the sum of all ranks' values[i]. */
enum tool_exit tool_ranks_sum(struct tool_ranks *ranks, int64_t *values, int64_t count);

/* Rank 0's text of less than capacity bytes, "" where it is NULL there, into text of the others. */
enum tool_exit tool_ranks_tell(struct tool_ranks *ranks, const char *own, char *text, size_t capacity);

#endif
