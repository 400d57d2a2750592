/* SPDX-License-Identifier: Apache-2.0 */
/* What fit and predict share: reading the inputs, opening the backend, the results and their files. */
#ifndef TOOL_RUN_H
#define TOOL_RUN_H

#include "array_file.h"
#include "checkpoint.h"
#include "convert.h"
#include "options.h"
#include "output.h"
#include "ranks.h"

struct tool_input {
	struct tool_file file;
	struct tool_matrix matrix;
};

struct tool_run {
	const struct tool_options *options;
	struct tool_ranks *ranks;
	struct tool_output outputs[TOOL_OUTPUTS];
	struct tool_input points, start, weights; /* zero where there is none */
	struct tool_checkpoint checkpoint;
	int64_t b, n, k, d;    /* n: of all ranks */
	struct tool_rows rows; /* this rank's */
	struct fkm_context *context;
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	bool interrupted;
};

/* Opens the outputs, reads this rank's part of the inputs, opens the backend and makes room for the results, in this
 * order. The run is to be closed whatever comes back, which is the same on all ranks. */
enum tool_exit tool_run_open(struct tool_run *run, const struct tool_options *options, struct tool_ranks *ranks);

/* Opens the context that the options ask for, on this rank's share of the machine. */
enum tool_exit tool_open_context(const struct tool_options *options, const struct tool_ranks *ranks,
								 struct fkm_context **context);

/* The library's sentence as the program's: an argument's name is preceded by its file. */
enum tool_exit tool_run_failed(struct tool_run *run, enum fkm_status status);

/* Writes the results, then puts all files into their places, and prints the table. Collective. */
enum tool_exit tool_run_finish(struct tool_run *run);

void tool_run_close(struct tool_run *run);

#endif
