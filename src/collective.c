/* SPDX-License-Identifier: Apache-2.0 */
#include "collective.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dynload.h"
#include "error.h"

/* Of nccl.h, as far as it is used. */
struct id {
	char bytes[128];
};
_Static_assert(sizeof(struct id) == FKMI_COLLECTIVE_ID_WORDS * sizeof(int64_t), "ncclUniqueId");
enum { SUCCESS = 0, INT64 = 4, SUM = 0, MAX = 2, MIN = 3 };

struct calls {
	int (*get_id)(struct id *id);
	int (*join)(void **membership, int ranks, struct id id, int rank);
	int (*reduce)(const void *from, void *to, size_t count, int type, int op, void *membership, void *queue);
	int (*leave)(void *membership);
	const char *(*describe)(int result);
};

static const struct fkmi_symbol symbols[] = {
	{"ncclGetUniqueId", offsetof(struct calls, get_id), false},
	{"ncclCommInitRank", offsetof(struct calls, join), false},
	{"ncclAllReduce", offsetof(struct calls, reduce), false},
	{"ncclCommDestroy", offsetof(struct calls, leave), false},
	{"ncclGetErrorString", offsetof(struct calls, describe), false},
};

/* ---- libraries: each backend's is opened once ---- */

enum { MOST_LIBRARIES = 4, REASON_BYTES = 512 };

struct library {
	const struct fkmi_collectives *of; /* NULL: the slot is free */
	bool opened;
	struct calls calls;
	char reason[REASON_BYTES];
};

static struct library libraries[MOST_LIBRARIES];
static pthread_mutex_t libraries_mutex = PTHREAD_MUTEX_INITIALIZER;

static void open_library(struct library *slot, const struct fkmi_collectives *of)
{
	const struct fkmi_library library = {
		.override_variable = of->override_variable,
		.sonames = of->sonames,
		.prefer_loaded = true,
		.symbols = symbols,
		.symbol_count = sizeof symbols / sizeof symbols[0],
	};
	slot->of = of;
	slot->opened = fkmi_dynload(&library, &slot->calls, NULL, slot->reason, sizeof slot->reason);
}

static const struct library *library_of(const struct fkmi_device *device)
{
	const struct fkmi_collectives *of = device->backend->collectives;
	const struct library *found = NULL;
	pthread_mutex_lock(&libraries_mutex);
	for (int i = 0; i < MOST_LIBRARIES && of != NULL && found == NULL; i++) {
		if (libraries[i].of == NULL)
			open_library(&libraries[i], of);
		if (libraries[i].of == of)
			found = &libraries[i];
	}
	pthread_mutex_unlock(&libraries_mutex);
	return found;
}

enum fkm_status fkmi_collective_find(const struct fkmi_device *device)
{
	const struct library *library = library_of(device);
	if (library == NULL)
		return fkmi_fail(FKM_ERROR_UNSUPPORTED, "the %s backend has no library for reductions between its devices",
						 device->backend->name);
	if (!library->opened)
		return fkmi_fail(FKM_ERROR_UNSUPPORTED, "no library for reductions between devices: %s", library->reason);
	return FKM_OK;
}

/* ---- calls, with the device current ---- */

struct fkmi_collective {
	const struct calls *calls;
	void *membership;
	/* of the call being made */
	struct id id;
	int32_t rank, ranks;
	void *values;
	int64_t count;
	enum fkm_reduce op;
};

static enum fkm_status check(const struct calls *calls, int result, const char *what)
{
	if (result == SUCCESS)
		return FKM_OK;
	const char *text = calls->describe(result);
	return fkmi_fail(FKM_ERROR_COMMUNICATOR, "%s failed: %d, %s", what, result, text != NULL ? text : "no text");
}

static enum fkm_status make_id(void *context, void *queue)
{
	struct fkmi_collective *c = context;
	(void)queue;
	return check(c->calls, c->calls->get_id(&c->id), "ncclGetUniqueId");
}

static enum fkm_status join(void *context, void *queue)
{
	struct fkmi_collective *c = context;
	(void)queue;
	return check(c->calls, c->calls->join(&c->membership, c->ranks, c->id, c->rank), "ncclCommInitRank");
}

static enum fkm_status reduce(void *context, void *queue)
{
	static const int ops[] = {[FKM_REDUCE_SUM] = SUM, [FKM_REDUCE_MIN] = MIN, [FKM_REDUCE_MAX] = MAX};
	struct fkmi_collective *c = context;
	return check(c->calls,
				 c->calls->reduce(c->values, c->values, (size_t)c->count, INT64, ops[c->op], c->membership, queue),
				 "ncclAllReduce");
}

static enum fkm_status leave(void *context, void *queue)
{
	struct fkmi_collective *c = context;
	(void)queue;
	return check(c->calls, c->calls->leave(c->membership), "ncclCommDestroy");
}

enum fkm_status fkmi_collective_id(struct fkmi_device *device, int64_t words[FKMI_COLLECTIVE_ID_WORDS])
{
	struct fkmi_collective c = {.calls = &library_of(device)->calls};
	FKMI_TRY(device->backend->enqueue(device, make_id, &c));
	memcpy(words, &c.id, sizeof c.id);
	return FKM_OK;
}

enum fkm_status fkmi_collective_join(struct fkmi_device *device, const int64_t words[FKMI_COLLECTIVE_ID_WORDS],
									 int32_t rank, int32_t ranks, struct fkmi_collective **collective)
{
	struct fkmi_collective *made = calloc(1, sizeof *made);
	*collective = NULL;
	if (made == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory to reduce between devices");
	made->calls = &library_of(device)->calls;
	made->rank = rank;
	made->ranks = ranks;
	memcpy(&made->id, words, sizeof made->id);
	enum fkm_status status = device->backend->enqueue(device, join, made);
	if (status != FKM_OK) {
		free(made);
		return status;
	}
	*collective = made;
	return FKM_OK;
}

enum fkm_status fkmi_collective_reduce(struct fkmi_collective *collective, struct fkmi_device *device, void *values,
									   int64_t count, enum fkm_reduce op)
{
	collective->values = values;
	collective->count = count;
	collective->op = op;
	return device->backend->enqueue(device, reduce, collective);
}

void fkmi_collective_leave(struct fkmi_collective *collective, struct fkmi_device *device)
{
	if (collective == NULL)
		return;
	(void)device->backend->enqueue(device, leave, collective);
	free(collective);
}
