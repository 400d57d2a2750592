/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "run.h"

static enum tool_exit predict(struct tool_run *run)
{
	const enum fkm_status status =
		fkm_predict(run->context, &run->points.matrix.array, &run->start.matrix.array, &run->params, &run->result);
	if (status != FKM_OK)
		return tool_run_failed(run, status);
	return tool_run_finish(run);
}

enum tool_exit tool_predict(const struct tool_options *options, struct tool_ranks *ranks)
{
	struct tool_run run;
	enum tool_exit code = tool_run_open(&run, options, ranks);
	if (code == TOOL_OK)
		code = predict(&run);
	tool_run_close(&run);
	return code;
}
