/* SPDX-License-Identifier: Apache-2.0 */
#include "ranks.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct tool_rows tool_ranks_share(const struct tool_ranks *ranks, int64_t rows)
{
	const int64_t each = rows / ranks->size, more = rows % ranks->size, rank = ranks->rank;
	return (struct tool_rows){each * rank + (rank < more ? rank : more), each + (rank < more)};
}

static enum tool_exit reduce(struct tool_ranks *ranks, int64_t *values, int64_t count, enum fkm_reduce op)
{
	enum { MOST = 1 << 24 };
	const struct fkm_communicator *with = ranks->communicator;
	char error[512] = "";
	for (int64_t done = 0; done < count && with; done += MOST) {
		const int64_t step = count - done < MOST ? count - done : MOST;
		if (with->all_reduce(with->user, values + done, step, op, error, sizeof error) == 0)
			continue;
		ranks->broken = true;
		return tool_fail(TOOL_FAILED, "rank %d of %d cannot reach the others: %s", (int)ranks->rank, (int)ranks->size,
						 error);
	}
	return TOOL_OK;
}

enum tool_exit tool_ranks_sum(struct tool_ranks *ranks, int64_t *values, int64_t count)
{
	return reduce(ranks, values, count, FKM_REDUCE_SUM);
}

/* Sums of words of which one rank has all but zeros. */
static enum tool_exit spread(struct tool_ranks *ranks, bool source, const char *own, char *text, size_t capacity)
{
	const size_t words = (capacity + sizeof(int64_t) - 1) / sizeof(int64_t);
	int64_t *values = calloc(words, sizeof *values);
	if (!values)
		return tool_fail(TOOL_FAILED, "no memory left for a message of %zu bytes", capacity);
	if (source && own)
		memcpy(values, own, strnlen(own, capacity - 1));
	enum tool_exit code = tool_ranks_sum(ranks, values, (int64_t)words);
	memcpy(text, values, capacity);
	text[capacity - 1] = 0;
	free(values);
	return code;
}

enum tool_exit tool_ranks_agree(struct tool_ranks *ranks, enum tool_exit code)
{
	char text[1024];
	int64_t first = code == TOOL_OK ? ranks->size : ranks->rank;
	if (!ranks->communicator || ranks->broken)
		return code;
	TOOL_TRY(reduce(ranks, &first, 1, FKM_REDUCE_MIN));
	if (first == ranks->size)
		return TOOL_OK;
	int64_t value = first == ranks->rank ? (int64_t)code : 0;
	TOOL_TRY(tool_ranks_sum(ranks, &value, 1));
	TOOL_TRY(spread(ranks, first == ranks->rank, tool_failure(), text, sizeof text));
	return tool_fail((enum tool_exit)value, "%s", text);
}

enum tool_exit tool_ranks_tell(struct tool_ranks *ranks, const char *own, char *text, size_t capacity)
{
	return spread(ranks, ranks->rank == 0, own, text, capacity);
}
