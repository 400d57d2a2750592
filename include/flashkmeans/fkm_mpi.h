/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranks that are MPI processes: a struct fkm_communicator over an MPI communicator. Nothing of this is in the library;
 * it is compiled with the program, by its mpicc, for the MPI that it uses (version 3.0 or later, started with MPI_Init).
 *
 *   struct fkm_mpi *mpi;
 *   struct fkm_communicator communicator;
 *   struct fkm_context_params params;
 *   fkm_context_params_init(&params);
 *   if (fkm_mpi_create(MPI_COMM_WORLD, 60, &mpi, &communicator) == MPI_SUCCESS) {
 *       params.communicator = &communicator;
 *       ... fkm_context_create, fkm_fit on this process's rows, fkm_context_destroy ...
 *       fkm_mpi_destroy(mpi);
 *   }
 *
 * Calls with such a context are made by the thread that called MPI_Init, or by one at a time with MPI_THREAD_SERIALIZED.
 * An error of MPI, or a rank that does not come, is a failure of the library's call with a sentence; nothing aborts. The
 * other ranks find out, too: within the time limit, and up to 5 s more to see who is missing. After that MPI_Finalize may
 * wait for ever; MPI_Abort ends the job.
 *
 * Device memory passes through the host, or through NCCL where the library finds it. An MPI that takes device memory itself
 * is used for it if FKM_MPI_WAIT is defined before this file is included: an expression that waits until all work on
 * `queue` (void *) is done, and is 0 on success, like cuStreamSynchronize((CUstream)queue).
 */
#ifndef FLASHKMEANS_FKM_MPI_H
#define FLASHKMEANS_FKM_MPI_H

#include <limits.h>
#include <mpi.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flashkmeans.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fkm_mpi {
	MPI_Comm reduces, roll_call; /* our own, so that nothing else meets what passes here */
	int rank, size;
	double seconds; /* that a rank waits for the others; 0: for ever */
	/* Of the roll call, by which the ranks that wait find out who does not. */
	MPI_Request *requests; /* [2 size] */
	int *words;            /* [2 size] */
	int64_t *kept;         /* [FKM_MPI_STEP], reduced instead of values, which MPI might use after a failure */
	char failure[512];     /* "" until something failed, which is then for ever */
};

/* ---- waiting ---- */

enum {
	FKM_MPI_STEP = 1 << 17, /* values */
	FKM_MPI_TAG = 1,
	FKM_MPI_SPIN = 20, /* milliseconds of waiting after which there are pauses between looks */
	FKM_MPI_ANSWER = 5 /* seconds, or the time limit, that an answer to the roll call may take */
};

static inline void fkm_mpi_pause(double waited)
{
	if (waited * 1e3 < FKM_MPI_SPIN)
		sched_yield();
	else
		poll(NULL, 0, 1);
}

static inline int fkm_mpi_fail(struct fkm_mpi *mpi, const char *function, int code)
{
	char text[MPI_MAX_ERROR_STRING] = "";
	int length = 0;
	if (MPI_Error_string(code, text, &length) != MPI_SUCCESS)
		snprintf(text, sizeof text, "error %d", code);
	snprintf(mpi->failure, sizeof mpi->failure, "%s: %.400s", function, text);
	return code;
}

/* Whether another rank has begun a roll call. */
static inline int fkm_mpi_is_called(struct fkm_mpi *mpi)
{
	int called = 0;
	if (MPI_Iprobe(MPI_ANY_SOURCE, FKM_MPI_TAG, mpi->roll_call, &called, MPI_STATUS_IGNORE) != MPI_SUCCESS)
		return 0;
	return called;
}

/* Those that nothing was heard of are named, else the one that came last: it has waited least. */
static inline void fkm_mpi_name_missing(struct fkm_mpi *mpi, int waited_ms)
{
	char *text = mpi->failure;
	const int room = (int)sizeof mpi->failure;
	int used = 0, named = 0, last = mpi->rank, least = waited_ms;
	for (int r = 0; r < mpi->size && used < room - 64; r++) {
		if (mpi->requests[r] != MPI_REQUEST_NULL)
			used += snprintf(text + used, (size_t)(room - used), "%s %d", named++ > 0 ? "," : "rank", r);
		else if (r != mpi->rank && mpi->words[r] < least) {
			least = mpi->words[r];
			last = r;
		}
	}
	if (named > 0)
		snprintf(text + used, (size_t)(room - used), " did not come within the time limit");
	else
		snprintf(text, (size_t)room, "rank %d came after the time limit", last);
}

/* All ranks that wait tell each other for how long. waited: how long this one has. */
static inline void fkm_mpi_call_roll(struct fkm_mpi *mpi, double waited)
{
	const double begun = MPI_Wtime(), usual = FKM_MPI_ANSWER;
	const double most = mpi->seconds > 0 && mpi->seconds < usual ? mpi->seconds : usual;
	const int own = waited * 1e3 < INT_MAX ? (int)(waited * 1e3) : INT_MAX;
	/* What each rank is to tell, and what it is told; what is done leaves the null request in its place. */
	MPI_Request *tells = mpi->requests, *told = mpi->requests + mpi->size;
	for (int r = 0; r < mpi->size; r++) {
		tells[r] = told[r] = MPI_REQUEST_NULL;
		mpi->words[mpi->size + r] = own;
		if (r == mpi->rank)
			continue;
		MPI_Irecv(&mpi->words[r], 1, MPI_INT, r, FKM_MPI_TAG, mpi->roll_call, &tells[r]);
		MPI_Isend(&mpi->words[mpi->size + r], 1, MPI_INT, r, FKM_MPI_TAG, mpi->roll_call, &told[r]);
	}
	int open = 1;
	for (double since = 0; open && since < most; since = MPI_Wtime() - begun) {
		open = 0;
		for (int i = 0; i < 2 * mpi->size; i++) {
			int done = 1;
			if (mpi->requests[i] != MPI_REQUEST_NULL &&
				MPI_Test(&mpi->requests[i], &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done)
				open = 1;
		}
		fkm_mpi_pause(since);
	}
	fkm_mpi_name_missing(mpi, own);
}

/* Until the request is done; else the failure is set. */
static inline int fkm_mpi_wait(struct fkm_mpi *mpi, MPI_Request *request)
{
	const double begun = MPI_Wtime();
	for (int looks = 1;; looks++) {
		int done = 0;
		const int code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
		if (code != MPI_SUCCESS)
			return fkm_mpi_fail(mpi, "MPI_Test", code);
		if (done)
			return MPI_SUCCESS;
		const double waited = MPI_Wtime() - begun;
		if ((mpi->seconds > 0 && waited > mpi->seconds) || (looks % 16 == 0 && fkm_mpi_is_called(mpi))) {
			fkm_mpi_call_roll(mpi, waited);
			return MPI_ERR_OTHER;
		}
		fkm_mpi_pause(waited);
	}
}

/* ---- struct fkm_communicator ---- */

/* In place. After a failure MPI may still use the values. */
static inline int fkm_mpi_reduce(struct fkm_mpi *mpi, int64_t *values, int64_t count, enum fkm_reduce op, char *error,
								 size_t error_bytes)
{
	/* A sum wraps, which only numbers without a sign may. */
	MPI_Datatype type = op == FKM_REDUCE_SUM ? MPI_UINT64_T : MPI_INT64_T;
	MPI_Op operation = op == FKM_REDUCE_SUM ? MPI_SUM : op == FKM_REDUCE_MIN ? MPI_MIN : MPI_MAX;
	if (mpi->failure[0] == '\0' && count > INT_MAX)
		fkm_mpi_fail(mpi, "all_reduce", MPI_ERR_COUNT);
	if (mpi->failure[0] == '\0') {
		MPI_Request request;
		const int code = MPI_Iallreduce(MPI_IN_PLACE, values, (int)count, type, operation, mpi->reduces, &request);
		if (code != MPI_SUCCESS)
			fkm_mpi_fail(mpi, "MPI_Iallreduce", code);
		else if (fkm_mpi_wait(mpi, &request) == MPI_SUCCESS)
			return 0;
	}
	snprintf(error, error_bytes, "%s", mpi->failure);
	return 1;
}

static inline int fkm_mpi_all_reduce(void *user, int64_t *values, int64_t count, enum fkm_reduce op, char *error,
									 size_t error_bytes)
{
	struct fkm_mpi *mpi = (struct fkm_mpi *)user;
	for (int64_t done = 0, step = FKM_MPI_STEP; done < count; done += step) {
		if (step > count - done)
			step = count - done;
		memcpy(mpi->kept, values + done, (size_t)step * sizeof *values);
		if (fkm_mpi_reduce(mpi, mpi->kept, step, op, error, error_bytes) != 0)
			return 1;
		memcpy(values + done, mpi->kept, (size_t)step * sizeof *values);
	}
	return 0;
}

#ifdef FKM_MPI_WAIT
/* Of the device's memory, which is the context's. */
static inline int fkm_mpi_all_reduce_device(void *user, void *values, int64_t count, enum fkm_reduce op, void *queue,
											char *error, size_t error_bytes)
{
	struct fkm_mpi *mpi = (struct fkm_mpi *)user;
	if (mpi->failure[0] == '\0' && (FKM_MPI_WAIT) != 0)
		snprintf(mpi->failure, sizeof mpi->failure, "the device's queue %p could not be waited for", queue);
	return fkm_mpi_reduce(mpi, (int64_t *)values, count, op, error, error_bytes);
}
#endif

/* ---- making and destroying ---- */

/* On failure the caller destroys it. */
static inline int fkm_mpi_fill(struct fkm_mpi *mpi, MPI_Comm comm)
{
	MPI_Comm *const copies[2] = {&mpi->reduces, &mpi->roll_call};
	for (int i = 0; i < 2; i++) {
		int code = MPI_Comm_dup(comm, copies[i]);
		if (code == MPI_SUCCESS)
			code = MPI_Comm_set_errhandler(*copies[i], MPI_ERRORS_RETURN);
		if (code != MPI_SUCCESS)
			return code;
	}
	MPI_Comm_rank(mpi->reduces, &mpi->rank);
	MPI_Comm_size(mpi->reduces, &mpi->size);
	mpi->requests = (MPI_Request *)malloc(2 * (size_t)mpi->size * sizeof *mpi->requests);
	mpi->words = (int *)calloc(2 * (size_t)mpi->size, sizeof *mpi->words);
	mpi->kept = (int64_t *)malloc(FKM_MPI_STEP * sizeof *mpi->kept);
	return mpi->requests != NULL && mpi->words != NULL && mpi->kept != NULL ? MPI_SUCCESS : MPI_ERR_NO_MEM;
}

/* Collective. NULL is allowed. After a failure, when nobody may be waited for, MPI's part of it is left to MPI. */
static inline void fkm_mpi_destroy(struct fkm_mpi *mpi)
{
	if (mpi == NULL || mpi->failure[0] != '\0') /* what is under way still uses this memory */
		return;
	if (mpi->reduces != MPI_COMM_NULL)
		MPI_Comm_free(&mpi->reduces);
	if (mpi->roll_call != MPI_COMM_NULL)
		MPI_Comm_free(&mpi->roll_call);
	free(mpi->requests);
	free(mpi->words);
	free(mpi->kept);
	free(mpi);
}

/*
 * Collective over comm, which stays the caller's and may be used for other things meanwhile. seconds: how long a rank
 * waits in one exchange for the others (and half as long, before, in a reduction of NCCL's), so at least as long as the
 * slowest of them computes between two (an iteration, or reading its data), with NCCL twice as long; 0: for ever. Returns MPI_SUCCESS, or an error code of
 * MPI with *mpi NULL. *communicator holds *mpi, which must outlive the contexts made with it.
 */
static inline int fkm_mpi_create(MPI_Comm comm, double seconds, struct fkm_mpi **mpi,
								 struct fkm_communicator *communicator)
{
	struct fkm_mpi *made = (struct fkm_mpi *)calloc(1, sizeof *made);
	*mpi = NULL;
	if (made == NULL)
		return MPI_ERR_NO_MEM;
	made->reduces = made->roll_call = MPI_COMM_NULL;
	made->seconds = seconds;
	const int code = fkm_mpi_fill(made, comm);
	if (code != MPI_SUCCESS) {
		fkm_mpi_destroy(made);
		return code;
	}
	fkm_communicator_init(communicator);
	communicator->rank = made->rank;
	communicator->size = made->size;
	communicator->user = made;
	communicator->all_reduce = fkm_mpi_all_reduce;
	communicator->seconds = made->seconds / 2; /* devices give up first, so that their ranks still meet */
#ifdef FKM_MPI_WAIT
	communicator->all_reduce_device = fkm_mpi_all_reduce_device;
#endif
	*mpi = made;
	return MPI_SUCCESS;
}

#ifdef __cplusplus
}
#endif

#endif
