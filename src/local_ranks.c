/* SPDX-License-Identifier: Apache-2.0 */
/* A communicator of threads: each reduces a slice of the values, and writes it to all. */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "error.h"
#include "validate.h"

struct member {
	struct fkm_local_ranks *ranks;
	int32_t rank;
	int64_t *values;
};

struct fkm_local_ranks {
	pthread_mutex_t mutex;
	pthread_cond_t met;
	double seconds; /* 0: for ever */
	int32_t size, waiting;
	_Atomic int64_t meetings; /* that were complete */
	bool late;                /* somebody waited in vain */
	struct member members[];
};

/* ---- meeting ---- */

static struct timespec deadline_after(double seconds)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	const double whole = floor(seconds);
	at.tv_sec += (time_t)whole;
	at.tv_nsec += (long)((seconds - whole) * 1e9);
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/* Returns when all ranks have called it; false if that takes too long. */
static bool meet(struct fkm_local_ranks *ranks, bool limited)
{
	enum { GLANCES = 100 };
	pthread_mutex_lock(&ranks->mutex);
	const int64_t meeting = ranks->meetings;
	if (!ranks->late && ++ranks->waiting == ranks->size) {
		ranks->waiting = 0;
		ranks->meetings++;
		pthread_cond_broadcast(&ranks->met);
	}

	/* The others are seldom far: to sleep and be woken takes longer than most of their ways. */
	pthread_mutex_unlock(&ranks->mutex);
	for (int i = 0; i < GLANCES; i++) {
		if (ranks->meetings != meeting)
			return true;
		sched_yield();
	}
	pthread_mutex_lock(&ranks->mutex);
	const struct timespec deadline = limited ? deadline_after(ranks->seconds) : (struct timespec){0};
	while (ranks->meetings == meeting && !ranks->late) {
		const int result = limited ? pthread_cond_timedwait(&ranks->met, &ranks->mutex, &deadline)
								   : pthread_cond_wait(&ranks->met, &ranks->mutex);
		if (result != 0 && ranks->meetings == meeting) {
			ranks->late = true;
			pthread_cond_broadcast(&ranks->met);
		}
	}
	const bool all = ranks->meetings != meeting;
	pthread_mutex_unlock(&ranks->mutex);
	return all;
}

/* ---- reducing ---- */

static int64_t combine(int64_t a, int64_t b, enum fkm_reduce op)
{
	if (op == FKM_REDUCE_SUM)
		return (int64_t)((uint64_t)a + (uint64_t)b);
	if (op == FKM_REDUCE_MIN)
		return a < b ? a : b;
	return a > b ? a : b;
}

static void reduce_slice(struct fkm_local_ranks *ranks, int64_t begin, int64_t end, enum fkm_reduce op)
{
	enum { BLOCK = 512 };
	int64_t block[BLOCK];
	for (int64_t first = begin; first < end; first += BLOCK) {
		const int64_t count = end - first < BLOCK ? end - first : BLOCK;
		for (int64_t i = 0; i < count; i++)
			block[i] = ranks->members[0].values[first + i];
		for (int32_t rank = 1; rank < ranks->size; rank++)
			for (int64_t i = 0; i < count; i++)
				block[i] = combine(block[i], ranks->members[rank].values[first + i], op);
		for (int32_t rank = 0; rank < ranks->size; rank++)
			for (int64_t i = 0; i < count; i++)
				ranks->members[rank].values[first + i] = block[i];
	}
}

static int all_reduce(void *user, int64_t *values, int64_t count, enum fkm_reduce op, char *error, size_t error_bytes)
{
	enum { LEAST_SLICE = 64 };
	struct member *member = user;
	struct fkm_local_ranks *ranks = member->ranks;
	member->values = values;
	bool met = meet(ranks, ranks->seconds > 0);
	if (met) {
		int64_t slice = (count + ranks->size - 1) / ranks->size;
		slice = slice < LEAST_SLICE ? LEAST_SLICE : slice;
		const int64_t begin = member->rank * slice, end = begin + slice < count ? begin + slice : count;
		reduce_slice(ranks, begin, end, op);
		met = meet(ranks, false);
	}
	if (met)
		return 0;
	snprintf(error, error_bytes, "waited %g seconds for the other threads", ranks->seconds);
	return 1;
}

/* ---- the ranks ---- */

static bool make_meeting(struct fkm_local_ranks *ranks)
{
	pthread_condattr_t attributes;
	if (pthread_mutex_init(&ranks->mutex, NULL) != 0)
		return false;
	bool made = pthread_condattr_init(&attributes) == 0;
	if (made) {
		made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
			   pthread_cond_init(&ranks->met, &attributes) == 0;
		pthread_condattr_destroy(&attributes);
	}
	if (!made)
		pthread_mutex_destroy(&ranks->mutex);
	return made;
}

enum fkm_status fkm_local_ranks_create(int32_t size, double seconds, struct fkm_local_ranks **ranks)
{
	if (ranks == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "ranks is NULL");
	*ranks = NULL;
	if (size < 1)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "size is %d; it is at least 1", (int)size);
	if (!(seconds >= 0 && seconds <= 1e9))
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "seconds is %g; it is 0 to 1e9", seconds);
	struct fkm_local_ranks *made = calloc(1, sizeof *made + (size_t)size * sizeof made->members[0]);
	if (made == NULL || !make_meeting(made)) {
		free(made);
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for %d ranks", (int)size);
	}
	made->size = size;
	made->seconds = seconds;
	for (int32_t rank = 0; rank < size; rank++)
		made->members[rank] = (struct member){.ranks = made, .rank = rank};
	*ranks = made;
	return FKM_OK;
}

enum fkm_status fkm_local_ranks_get_size(struct fkm_local_ranks *ranks, int32_t rank,
										 struct fkm_communicator *communicator, size_t struct_size)
{
	if (ranks == NULL || communicator == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s is NULL", ranks == NULL ? "ranks" : "communicator");
	if (rank < 0 || rank >= ranks->size)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "rank is %d; it is 0 to %d", (int)rank, (int)ranks->size - 1);
	const struct fkm_communicator filled = {
		.rank = rank,
		.size = ranks->size,
		.user = &ranks->members[rank],
		.all_reduce = all_reduce,
		.seconds = ranks->seconds / 2, /* devices give up first, so that their ranks still meet */
	};
	if (struct_size < sizeof struct_size)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "struct_size is %zu; it is the size of a struct fkm_communicator",
						 struct_size);
	fkmi_init_struct(communicator, struct_size, &filled, sizeof filled);
	return FKM_OK;
}

void fkm_local_ranks_destroy(struct fkm_local_ranks *ranks)
{
	if (ranks == NULL)
		return;
	pthread_cond_destroy(&ranks->met);
	pthread_mutex_destroy(&ranks->mutex);
	free(ranks);
}
