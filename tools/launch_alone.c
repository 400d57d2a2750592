/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"

/* What launchers set for each process, and where they say how many there are. */
static const struct {
	const char *process, *count;
} launchers[] = {
	{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, /* Open MPI */
	{"PMI_RANK", "PMI_SIZE"},                         /* MPICH, Intel MPI, Cray MPICH */
	{"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},            /* Slurm's srun */
	{"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"},   /* MVAPICH2 */
};

/* How many processes were started together. */
static int32_t launched(void)
{
	for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
		const char *count = getenv(launchers[i].process) ? getenv(launchers[i].count) : NULL;
		const long number = count ? strtol(count, NULL, 10) : 0;
		if (number > 1)
			return number < INT32_MAX ? (int32_t)number : INT32_MAX;
	}
	return 1;
}

/* Where fkm-mpi would be: beside this program. */
static void name_sibling(const char *argument, char *path, size_t size)
{
	static const char name[] = "fkm-mpi";
	ssize_t length = readlink("/proc/self/exe", path, size - sizeof name);
	if (length < 0) {
		length = (ssize_t)strlen(argument);
		if ((size_t)length >= size - sizeof name)
			length = 0;
		memcpy(path, argument, (size_t)length);
	}
	while (length > 0 && path[length - 1] != '/')
		length--;
	memcpy(path + length, name, sizeof name);
}

enum tool_exit tool_launch_begin(int *argc, char ***argv, struct tool_ranks *ranks)
{
	(void)argc;
	*ranks = (struct tool_ranks){.rank = 0, .size = 1, .local_size = 1};
	const int32_t count = launched();
	if (count == 1)
		return TOOL_OK;
	char path[PATH_MAX];
	name_sibling((*argv)[0], path, sizeof path);
	execvp(path, *argv);
	return tool_fail(TOOL_FAILED, "one of %d processes started together, which only fkm built with MPI can be: %s: %s",
					 (int)count, path, strerror(errno));
}

enum tool_exit tool_launch_connect(double seconds, struct tool_ranks *ranks)
{
	(void)seconds, (void)ranks;
	return TOOL_OK;
}

void tool_launch_end(struct tool_ranks *ranks, enum tool_exit code)
{
	(void)ranks, (void)code;
}
