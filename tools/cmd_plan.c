/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "run.h"

static enum fkm_status describe(struct fkm_context *context, const struct tool_options *options, char *text,
								size_t capacity, size_t *needed)
{
	static const double no_weight = 1; /* never read: a plan has no data */
	struct fkm_array points = {.dtype = options->dtype ? options->dtype : FKM_F32,
							   .batch = options->plan_batch,
							   .rows = options->plan_points,
							   .dims = options->plan_dims};
	struct fkm_fit_params params;
	fkm_fit_params_init(&params);
	params.clusters = options->clusters;
	params.metric = options->metric;
	params.precision = options->precision;
	params.empty = options->empty;
	params.kernel = options->kernel;
	params.chunk_rows = options->chunk_rows;
	if (options->plan_weights)
		params.weights = (struct fkm_array){
			.data = &no_weight, .dtype = FKM_F64, .batch = 1, .rows = options->plan_points, .dims = 1};
	return fkm_plan_describe(context, &points, &params, text, capacity, needed);
}

enum tool_exit tool_plan(const struct tool_options *options, struct tool_ranks *ranks)
{
	const struct tool_ranks alone = {.size = 1, .local_size = 1};
	struct fkm_context *context;
	if (ranks->rank > 0)
		return TOOL_OK;
	TOOL_TRY(tool_open_context(options, &alone, &context));
	size_t needed = 0;
	char *text = NULL;
	enum fkm_status status = describe(context, options, NULL, 0, &needed);
	enum tool_exit code = TOOL_OK;
	if (status == FKM_OK) {
		text = malloc(needed);
		if (!text)
			code = tool_fail(TOOL_FAILED, "no memory left for the plan's text");
		else
			status = describe(context, options, text, needed, NULL);
	}
	if (status != FKM_OK)
		code = tool_fail(TOOL_FAILED, "%s", fkm_error_message());
	else if (code == TOOL_OK)
		fputs(text, stdout);
	free(text);
	fkm_context_destroy(context);
	return code;
}
