/* SPDX-License-Identifier: Apache-2.0 */
/* The file of --checkpoint: the library's bytes as they are, replaced as a whole. */
#ifndef TOOL_CHECKPOINT_H
#define TOOL_CHECKPOINT_H

#include "array_file.h"
#include "flashkmeans/flashkmeans.h"
#include "options.h"

struct tool_checkpoint {
	const char *name;      /* NULL: none is wanted */
	struct tool_file from; /* what the fit continues; zero: nothing */
	enum tool_exit failed; /* TOOL_OK, or why the last one could not be written */
};

/* Makes sure that the file can be written and, to resume, reads what is there: nothing is no error. */
enum tool_exit tool_checkpoint_open(struct tool_checkpoint *checkpoint, const struct tool_options *options);

/* Sets the members of the fit's params. The checkpoint must outlive the fit. */
void tool_checkpoint_fill(struct tool_checkpoint *checkpoint, const struct tool_options *options,
						  struct fkm_fit_params *params);

void tool_checkpoint_close(struct tool_checkpoint *checkpoint); /* a zero struct is allowed */

#endif
