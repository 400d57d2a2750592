// SPDX-License-Identifier: Apache-2.0
// The MPI header from C++, with an MPI that takes device memory.
#define FKM_MPI_WAIT (queue == nullptr)
#include "flashkmeans/fkm_mpi.h"

int main(int argc, char **argv)
{
	fkm_mpi *mpi;
	fkm_communicator communicator;
	MPI_Init(&argc, &argv);
	const int code = fkm_mpi_create(MPI_COMM_WORLD, 60, &mpi, &communicator);
	fkm_mpi_destroy(mpi);
	MPI_Finalize();
	return code != MPI_SUCCESS || communicator.all_reduce_device == nullptr;
}
