/* SPDX-License-Identifier: Apache-2.0 */
/* Output files that appear whole or not at all. */
#ifndef TOOL_OUTPUT_H
#define TOOL_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

struct tool_output {
	const char *name; /* as given, for messages; NULL: not wanted */
	char *path;       /* where it ends up */
	char *temporary;  /* what is written until then; NULL if name is written directly (a pipe, a device, "-") */
	bool joined;      /* another process's file, which puts it into place */
	int fd;
};

/* The file that a path means, with links resolved, as a string to compare; the file itself need not exist. NULL with
 * errno set if its directory cannot be found. The caller frees it. */
char *tool_resolve(const char *path);

/* Makes sure that the output can be written, before there is anything to write. "-" is standard output. A pipe or a
 * device is opened. For a file a temporary one is created in its directory. On failure *output is zero. */
enum tool_exit tool_output_open(const char *name, struct tool_output *output);

enum tool_exit tool_output_write(struct tool_output *output, const void *bytes, size_t size);

/* Writes a whole .npy file: data is in C order, type "<i4" or the like of element_bytes. */
enum tool_exit tool_output_npy(struct tool_output *output, const char *type, size_t element_bytes, int dims,
							   const int64_t *shape, const void *data);

/* That bytes lie at an offset: of a file of which several processes write parts, the others having joined it by its
 * temporary name. */
enum tool_exit tool_output_write_at(struct tool_output *output, const void *bytes, size_t size, int64_t offset);
enum tool_exit tool_output_join(const char *name, const char *temporary, struct tool_output *output);

/* Makes sure that what was written is on the disk; then puts it into its place. */
enum tool_exit tool_output_sync(struct tool_output *output);
enum tool_exit tool_output_commit(struct tool_output *output);

/* Closes and, unless committed, removes the temporary file. A zero struct is allowed. */
void tool_output_close(struct tool_output *output);

#endif
