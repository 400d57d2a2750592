/* SPDX-License-Identifier: Apache-2.0 */
#include <flashkmeans/fkm_mpi.h>
#include <stdlib.h>

#include "launch.h"

static struct fkm_mpi *mpi;
static struct fkm_communicator communicator;

static enum tool_exit failed(const char *function, int code)
{
	char text[MPI_MAX_ERROR_STRING] = "";
	int length = 0;
	MPI_Error_string(code, text, &length);
	return tool_fail(TOOL_FAILED, "%s: %.400s", function, text);
}

enum tool_exit tool_launch_begin(int *argc, char ***argv, struct tool_ranks *ranks)
{
	int rank = 0, size = 1, code;
	*ranks = (struct tool_ranks){.rank = 0, .size = 1, .local_size = 1};
	if ((code = MPI_Init(argc, argv)) != MPI_SUCCESS)
		return failed("MPI_Init", code);
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	ranks->rank = rank;
	ranks->size = size;
	return TOOL_OK;
}

enum tool_exit tool_launch_connect(double seconds, struct tool_ranks *ranks)
{
	MPI_Comm machine;
	int code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
	if (code != MPI_SUCCESS)
		return failed("MPI_Comm_split_type", code);
	int rank = 0, size = 1;
	MPI_Comm_rank(machine, &rank);
	MPI_Comm_size(machine, &size);
	MPI_Comm_free(&machine);
	ranks->local_rank = rank;
	ranks->local_size = size;
	if ((code = fkm_mpi_create(MPI_COMM_WORLD, seconds, &mpi, &communicator)) != MPI_SUCCESS)
		return failed("fkm_mpi_create", code);
	if (ranks->size > 1)
		ranks->communicator = &communicator;
	return TOOL_OK;
}

void tool_launch_end(struct tool_ranks *ranks, enum tool_exit code)
{
	if (ranks->broken) {
		/* Rank 0 has said why, and has removed what it had begun to write, before others end it. */
		if (ranks->rank > 0)
			poll(NULL, 0, 1000);
		MPI_Abort(MPI_COMM_WORLD, (int)code);
		_Exit((int)code);
	}
	fkm_mpi_destroy(mpi);
	MPI_Finalize();
}
