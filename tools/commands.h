/* SPDX-License-Identifier: Apache-2.0 */
/* The commands; each takes checked options and leaves its sentence with tool_fail. All ranks call it; devices and plan
 * are the work of rank 0. */
#ifndef TOOL_COMMANDS_H
#define TOOL_COMMANDS_H

#include "options.h"
#include "ranks.h"

enum tool_exit tool_fit(const struct tool_options *options, struct tool_ranks *ranks);
enum tool_exit tool_predict(const struct tool_options *options, struct tool_ranks *ranks);
enum tool_exit tool_devices(const struct tool_options *options, struct tool_ranks *ranks);
enum tool_exit tool_plan(const struct tool_options *options, struct tool_ranks *ranks);

/* The text of fkm --help and of fkm COMMAND --help. */
extern const char tool_help[];
const char *tool_command_help(enum tool_command command);

#endif
