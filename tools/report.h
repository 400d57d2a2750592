/* SPDX-License-Identifier: Apache-2.0 */
/* What a run tells at the end. */
#ifndef TOOL_REPORT_H
#define TOOL_REPORT_H

#include <stdio.h>

#include "run.h"

void tool_report_table(const struct tool_run *run, FILE *stream);
enum tool_exit tool_report_json(const struct tool_run *run, struct tool_output *output);

/* "12.3 MiB" */
void tool_format_bytes(char *text, size_t size, int64_t bytes);

#endif
