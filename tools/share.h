/* SPDX-License-Identifier: Apache-2.0 */
/* Several ranks on one machine: who takes which device and how many threads. */
#ifndef TOOL_SHARE_H
#define TOOL_SHARE_H

#include "ranks.h"

/* Chooses, where neither params nor the environment do: the ranks of a machine take its devices in turn, and equal parts
 * of its processors unless their launcher has bound them to some. */
enum tool_exit tool_share_machine(const struct tool_ranks *ranks, struct fkm_context_params *params);

#endif
