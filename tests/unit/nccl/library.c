/* SPDX-License-Identifier: Apache-2.0 */
/* What tests open in place of NCCL: reductions of host memory between threads, which can fail, and not end. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

enum { SUCCESS = 0, BROKEN = 3, PEER_GONE = 6, INT64 = 4, SUM = 0, MAX = 2, MIN = 3 };

struct id {
	char bytes[128];
};

struct membership {
	int rank;
};

static struct fake_nccl fake;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t met = PTHREAD_COND_INITIALIZER;
static int waiting, meetings;
static int64_t *values[FAKE_NCCL_RANKS];
static struct membership memberships[FAKE_NCCL_RANKS]; /* never freed: that of a lost device is not given back */

int ncclGetUniqueId(struct id *id);
int ncclCommInitRank(void **membership, int ranks, struct id id, int rank);
int ncclAllReduce(const void *from, void *to, size_t count, int type, int op, void *membership, void *queue);
int ncclCommGetAsyncError(void *membership, int *result);
int ncclCommAbort(void *membership);
int ncclCommDestroy(void *membership);
const char *ncclGetErrorString(int result);

struct fake_nccl *fake_nccl(void)
{
	return &fake;
}

/* Counts a call; whether it is to fail. */
static int fails(enum fake_nccl_call call, int rank)
{
	pthread_mutex_lock(&mutex);
	fake.calls[call]++;
	pthread_mutex_unlock(&mutex);
	return fake.fails && fake.failing_call == call && fake.failing_rank == rank;
}

int ncclGetUniqueId(struct id *id)
{
	memset(id->bytes, 0x5A, sizeof(id->bytes));
	return fails(FAKE_NCCL_ID, 0) ? BROKEN : SUCCESS;
}

int ncclCommInitRank(void **membership, int ranks, struct id id, int rank)
{
	*membership = NULL;
	if (id.bytes[0] != 0x5A || id.bytes[127] != 0x5A || fails(FAKE_NCCL_JOIN, rank))
		return BROKEN;
	pthread_mutex_lock(&mutex);
	fake.ranks = ranks;
	pthread_mutex_unlock(&mutex);
	memberships[rank].rank = rank;
	*membership = &memberships[rank];
	return SUCCESS;
}

static void meet(void)
{
	const int meeting = meetings;
	if (++waiting == fake.ranks) {
		waiting = 0;
		meetings++;
		pthread_cond_broadcast(&met);
	}
	while (meetings == meeting)
		pthread_cond_wait(&met, &mutex);
}

static int64_t combine(int64_t a, int64_t b, int op)
{
	if (op == SUM)
		return (int64_t)((uint64_t)a + (uint64_t)b);
	return op == MIN ? (a < b ? a : b) : (a > b ? a : b);
}

int ncclAllReduce(const void *from, void *to, size_t count, int type, int op, void *membership, void *queue)
{
	const int rank = ((struct membership *)membership)->rank;
	const int failing = fails(FAKE_NCCL_REDUCE, rank);
	if (from != to || type != INT64 || (queue != FAKE_NCCL_QUEUE && !fake.alone))
		return BROKEN;
	if (fake.hangs)
		fake.stuck[rank] = 1;
	if (fake.hangs || fake.alone)
		return failing ? BROKEN : SUCCESS;
	int64_t *all = calloc(count, sizeof(*all));
	pthread_mutex_lock(&mutex);
	values[rank] = to;
	meet();
	for (size_t i = 0; i < count; i++) {
		all[i] = values[0][i];
		for (int other = 1; other < fake.ranks; other++)
			all[i] = combine(all[i], values[other][i], op);
	}
	meet();
	memcpy(to, all, count * sizeof(*all));
	pthread_mutex_unlock(&mutex);
	free(all);
	return failing ? BROKEN : SUCCESS;
}

int ncclCommGetAsyncError(void *membership, int *result)
{
	(void)membership;
	*result = fake.breaks ? PEER_GONE : SUCCESS;
	return SUCCESS;
}

int ncclCommAbort(void *membership)
{
	const int rank = ((struct membership *)membership)->rank;
	fails(FAKE_NCCL_ABANDON, rank);
	fake.stuck[rank] = 0;
	return SUCCESS;
}

/* As NCCL does it, after what is in flight. */
int ncclCommDestroy(void *membership)
{
	if (fake.stuck[((struct membership *)membership)->rank])
		abort();

	fails(FAKE_NCCL_LEAVE, 0);
	return SUCCESS;
}

const char *ncclGetErrorString(int result)
{
	return result == BROKEN ? "broken on purpose" : result == PEER_GONE ? "a peer is gone" : "no error";
}
