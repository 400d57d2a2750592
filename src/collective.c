/* SPDX-License-Identifier: Apache-2.0 */
#include "collective.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dynload.h"
#include "error.h"

/* Of nccl.h, as far as it is used. */
struct id {
	char bytes[128];
};
_Static_assert(sizeof(struct id) == FKMI_COLLECTIVE_ID_WORDS * sizeof(int64_t), "ncclUniqueId");
enum { SUCCESS = 0, IN_PROGRESS = 7, INT64 = 4, SUM = 0, MAX = 2, MIN = 3 };

struct calls {
	int (*get_id)(struct id *id);
	int (*join)(void **membership, int ranks, struct id id, int rank);
	int (*reduce)(const void *from, void *to, size_t count, int type, int op, void *membership, void *queue);
	int (*ask_error)(void *membership, int *result);
	int (*abandon)(void *membership);
	int (*leave)(void *membership);
	const char *(*describe)(int result);
};

static const struct fkmi_symbol symbols[] = {
	{"ncclGetUniqueId", offsetof(struct calls, get_id), false},
	{"ncclCommInitRank", offsetof(struct calls, join), false},
	{"ncclAllReduce", offsetof(struct calls, reduce), false},
	{"ncclCommGetAsyncError", offsetof(struct calls, ask_error), false},
	{"ncclCommAbort", offsetof(struct calls, abandon), false},
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

enum { MOST_IN_FLIGHT = FKMI_REDUCTION_EVENTS / 2 };

struct fkmi_collective {
	const struct calls *calls;
	struct fkmi_device *device;
	const struct fkmi_copier *copier;
	struct fkmi_collective_rank own;
	void *membership;     /* NULL: abandoned */
	bool in_vain;         /* abandoned because the others were waited for */
	int64_t begun, ended; /* reductions */
	double since;         /* when the oldest in flight was seen to keep this rank waiting; 0: not yet */
	/* of the call being made */
	struct id id;
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
	void *given = NULL;
	(void)queue;
	FKMI_TRY(check(c->calls, c->calls->join(&given, c->own.ranks, c->id, c->own.rank), "ncclCommInitRank"));
	c->membership = given;
	return FKM_OK;
}

static enum fkm_status reduce(void *context, void *queue)
{
	static const int ops[] = {[FKM_REDUCE_SUM] = SUM, [FKM_REDUCE_MIN] = MIN, [FKM_REDUCE_MAX] = MAX};
	struct fkmi_collective *c = context;
	return check(c->calls,
				 c->calls->reduce(c->values, c->values, (size_t)c->count, INT64, ops[c->op], c->membership, queue),
				 "ncclAllReduce");
}

static enum fkm_status abandon(void *context, void *queue)
{
	struct fkmi_collective *c = context;
	(void)queue;
	return check(c->calls, c->calls->abandon(c->membership), "ncclCommAbort");
}

static enum fkm_status leave(void *context, void *queue)
{
	struct fkmi_collective *c = context;
	(void)queue;
	return check(c->calls, c->calls->leave(c->membership), "ncclCommDestroy");
}

/* ---- joining and leaving ---- */

enum fkm_status fkmi_collective_id(struct fkmi_device *device, int64_t words[FKMI_COLLECTIVE_ID_WORDS])
{
	struct fkmi_collective c = {.calls = &library_of(device)->calls};
	FKMI_TRY(device->backend->enqueue(device, make_id, &c));
	memcpy(words, &c.id, sizeof c.id);
	return FKM_OK;
}

enum fkm_status fkmi_collective_join(struct fkmi_device *device, const int64_t words[FKMI_COLLECTIVE_ID_WORDS],
									 const struct fkmi_collective_rank *rank, struct fkmi_collective **collective)
{
	struct fkmi_collective *made = calloc(1, sizeof *made);
	*collective = NULL;
	if (made == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory to reduce between devices");
	made->calls = &library_of(device)->calls;
	made->device = device;
	made->copier = device->backend->copier;
	made->own = *rank;
	memcpy(&made->id, words, sizeof made->id);
	enum fkm_status status = device->backend->enqueue(device, join, made);
	if (status == FKM_OK)
		status = made->copier->open(device);
	if (status != FKM_OK) {
		fkmi_collective_abandon(made);
		free(made);
		return status;
	}
	*collective = device->collective = made;
	return FKM_OK;
}

void fkmi_collective_abandon(struct fkmi_collective *collective)
{
	char sentence_before[1024];
	if (collective == NULL || collective->membership == NULL)
		return;
	snprintf(sentence_before, sizeof sentence_before, "%s", fkm_error_message());
	if (collective->device->backend->enqueue(collective->device, abandon, collective) != FKM_OK)
		fkmi_fail(FKM_OK, "%s", sentence_before);
	collective->membership = NULL;
	collective->ended = collective->begun;
}

bool fkmi_collective_in_vain(const struct fkmi_collective *collective)
{
	return collective != NULL && collective->in_vain;
}

bool fkmi_collective_abandoned(const struct fkmi_collective *collective)
{
	return collective != NULL && collective->membership == NULL;
}

void fkmi_collective_leave(struct fkmi_collective *collective, bool lost)
{
	if (collective == NULL)
		return;
	if (!lost && collective->membership != NULL)
		(void)collective->device->backend->enqueue(collective->device, leave, collective);
	collective->device->collective = NULL;
	free(collective);
}

/* ---- in flight ---- */

enum { BEGINS, ENDS };

static int event_of(int64_t reduction, int which)
{
	return FKMI_WINDOW_EVENTS + 2 * (int)(reduction % MOST_IN_FLIGHT) + which;
}

/* That the one that keeps this rank waiting goes on. */
static enum fkm_status watch(struct fkmi_collective *c)
{
	const double now = fkmi_now();
	if (c->since == 0)
		c->since = now;
	int result = SUCCESS;
	FKMI_TRY(check(c->calls, c->calls->ask_error(c->membership, &result), "ncclCommGetAsyncError"));
	if (result != SUCCESS && result != IN_PROGRESS) {
		const char *text = c->calls->describe(result);
		return fkmi_fail(FKM_ERROR_COMMUNICATOR, "a reduction between devices failed: %d, %s", result,
						 text != NULL ? text : "no text");
	}
	if (c->own.seconds > 0 && now - c->since > c->own.seconds)
		return fkmi_fail(FKM_ERROR_COMMUNICATOR,
						 "waited %g seconds for the others' devices in a reduction between them", c->own.seconds);
	return FKM_OK;
}

/* Sees how far reductions have come. */
static enum fkm_status look(struct fkmi_collective *c)
{
	bool happened = true;
	while (c->ended < c->begun) {
		FKMI_TRY(c->copier->ask(c->device, event_of(c->ended, BEGINS), &happened));
		if (!happened) /* this rank's own work takes what time it takes */
			return FKM_OK;
		FKMI_TRY(c->copier->ask(c->device, event_of(c->ended, ENDS), &happened));
		if (!happened)
			return watch(c);
		c->ended++;
		c->since = 0;
	}
	return FKM_OK;
}

static void pause_after(double seconds)
{
	const struct timespec nap = {.tv_nsec = 200000};
	if (seconds < 0.02)
		sched_yield();
	else
		nanosleep(&nap, NULL);
}

/* Until at most so many are in flight, or the event has happened. */
static enum fkm_status wait_for(struct fkmi_collective *c, int64_t most, int event)
{
	const double started = fkmi_now();
	bool happened = false;
	for (;;) {
		FKMI_TRY(look(c));
		if (c->begun - c->ended <= most)
			return FKM_OK;
		if (event < FKMI_EVENTS)
			FKMI_TRY(c->copier->ask(c->device, event, &happened));
		if (happened)
			return FKM_OK;
		pause_after(fkmi_now() - started);
	}
}

static enum fkm_status wait_or_abandon(struct fkmi_collective *c, int64_t most, int event)
{
	enum fkm_status status = wait_for(c, most, event);
	if (status == FKM_ERROR_COMMUNICATOR) {
		c->in_vain = true;
		fkmi_collective_abandon(c);
	}
	return status;
}

enum fkm_status fkmi_collective_await(struct fkmi_device *device, int event)
{
	return wait_or_abandon(device->collective, 0, event);
}

/* Between two events. */
static enum fkm_status begin(struct fkmi_collective *c)
{
	FKMI_TRY(c->copier->mark(c->device, FKMI_QUEUE_STEPS, event_of(c->begun, BEGINS)));
	FKMI_TRY(c->device->backend->enqueue(c->device, reduce, c));
	FKMI_TRY(c->copier->mark(c->device, FKMI_QUEUE_STEPS, event_of(c->begun, ENDS)));
	c->begun++;
	return FKM_OK;
}

enum fkm_status fkmi_collective_reduce(struct fkmi_device *device, void *values, int64_t count, enum fkm_reduce op)
{
	struct fkmi_collective *c = device->collective;
	if (c->membership == NULL)
		return fkmi_fail(FKM_ERROR_COMMUNICATOR, "reductions between devices were abandoned");
	c->values = values;
	c->count = count;
	c->op = op;
	enum fkm_status status = wait_or_abandon(c, MOST_IN_FLIGHT - 1, FKMI_EVENTS);
	if (status == FKM_OK)
		status = begin(c);
	if (status != FKM_OK && status != FKM_ERROR_DEVICE_LOST) /* the others have begun it */
		fkmi_collective_abandon(c);
	return status;
}
