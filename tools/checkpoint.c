/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

/* There is always a whole checkpoint under the name: the one before, or this one. */
static enum tool_exit replace(const char *name, const void *bytes, size_t size)
{
	struct tool_output output;
	TOOL_TRY(tool_output_open(name, &output));
	enum tool_exit code = tool_output_write(&output, bytes, size);
	if (code == TOOL_OK)
		code = tool_output_sync(&output);
	if (code == TOOL_OK)
		code = tool_output_commit(&output);
	tool_output_close(&output);
	return code;
}

/* A fkm_checkpoint_fn. A promise that cannot be kept ends the fit. */
static int keep(void *user, const void *bytes, size_t size)
{
	struct tool_checkpoint *checkpoint = user;
	checkpoint->failed = replace(checkpoint->name, bytes, size);
	return checkpoint->failed != TOOL_OK;
}

/* That there can be a file of that name. */
static enum tool_exit try_out(const char *name)
{
	struct tool_output output;
	struct stat status;
	if (stat(name, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
		return tool_fail(TOOL_FAILED, "%s: is not a file, which a checkpoint needs", name);
	TOOL_TRY(tool_output_open(name, &output));
	tool_output_close(&output);
	return TOOL_OK;
}

enum tool_exit tool_checkpoint_open(struct tool_checkpoint *checkpoint, const struct tool_options *options)
{
	*checkpoint = (struct tool_checkpoint){.name = options->checkpoint};
	if (!checkpoint->name)
		return TOOL_OK;
	TOOL_TRY(try_out(checkpoint->name));
	if (!options->resume)
		return TOOL_OK;
	if (access(checkpoint->name, F_OK) != 0 && errno == ENOENT) {
		tool_note("%s is not there: the fit begins at its beginning", checkpoint->name);
		return TOOL_OK;
	}
	return tool_file_read(checkpoint->name, &checkpoint->from);
}

void tool_checkpoint_fill(struct tool_checkpoint *checkpoint, const struct tool_options *options,
						  struct fkm_fit_params *params)
{
	if (!checkpoint->name)
		return;
	params->checkpoint = keep;
	params->checkpoint_user = checkpoint;
	params->checkpoint_interval = options->checkpoint_every;
	params->resume = checkpoint->from.bytes;
	params->resume_bytes = (int64_t)checkpoint->from.size;
}

void tool_checkpoint_close(struct tool_checkpoint *checkpoint)
{
	tool_file_close(&checkpoint->from);
	*checkpoint = (struct tool_checkpoint){0};
}
