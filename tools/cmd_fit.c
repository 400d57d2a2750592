/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <stdio.h>

#include "progress.h"
#include "run.h"
#include "signals.h"

static enum tool_exit fit(struct tool_run *run)
{
	struct tool_progress progress;
	tool_progress_init(&progress, run->options->quiet || run->ranks->rank > 0 ? NULL : stderr, &run->params);
	run->params.progress = tool_progress_step;
	run->params.progress_user = &progress;

	tool_signals_defer(true);
	enum fkm_status status = fkm_fit(run->context, &run->points.matrix.array, &run->params, &run->result);
	tool_signals_defer(false);
	tool_progress_end(&progress);
	if (status == FKM_OK || status == FKM_CANCELLED)
		TOOL_TRY(tool_ranks_agree(run->ranks, run->checkpoint.failed));
	if (status != FKM_OK && status != FKM_CANCELLED)
		return tool_run_failed(run, status);
	int64_t interrupts = tool_interrupted();
	TOOL_TRY(tool_ranks_sum(run->ranks, &interrupts, 1));
	run->interrupted = interrupts > 0;
	TOOL_TRY(tool_run_finish(run));
	return run->interrupted
			   ? tool_fail(TOOL_INTERRUPTED, "interrupted; the results are those of the last whole iteration")
			   : TOOL_OK;
}

enum tool_exit tool_fit(const struct tool_options *options, struct tool_ranks *ranks)
{
	struct tool_run run;
	enum tool_exit code = tool_run_open(&run, options, ranks);
	if (code == TOOL_OK)
		code = fit(&run);
	tool_run_close(&run);
	return code;
}
