/* SPDX-License-Identifier: Apache-2.0 */
/* How the program becomes one of several. There are two of these: fkm's, which knows no MPI, and fkm-mpi's. */
#ifndef TOOL_LAUNCH_H
#define TOOL_LAUNCH_H

#include "ranks.h"

/* Before anything else. Sets rank and size alone; started by an MPI launcher as one of several, fkm becomes fkm-mpi. */
enum tool_exit tool_launch_begin(int *argc, char ***argv, struct tool_ranks *ranks);

/* Collective: makes the communicator of the ranks, who wait for each other for so many seconds at most (0: for ever). */
enum tool_exit tool_launch_connect(double seconds, struct tool_ranks *ranks);

/* After everything else. Where the ranks are broken it ends all that are left, and does not return. */
void tool_launch_end(struct tool_ranks *ranks, enum tool_exit code);

#endif
