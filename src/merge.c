/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collective.h"
#include "error.h"
#include "validate.h"

enum {
	MOST_VALUES = 1 << 24,   /* of one call of the communicator */
	STAGED_VALUES = 1 << 19, /* that pass through host memory at a time */
	TEXT_WORDS = 128,        /* a sentence */
};

struct fkmi_merge {
	struct fkm_communicator with;
	enum fkm_status status; /* of this call: an error that all ranks know of */
	bool broken;            /* the ranks are no longer at the same place */
	int64_t *staged;        /* [STAGED_VALUES] */
	/* How device memory is merged, which all ranks decide together at the first call. */
	enum { UNDECIDED, BY_HOST, BY_CALLER, BY_LIBRARY } way;
	struct fkmi_device *device;
	struct fkmi_collective *collective; /* BY_LIBRARY */
};

void fkm_communicator_init_size(struct fkm_communicator *communicator, size_t struct_size)
{
	const struct fkm_communicator defaults = {0};
	fkmi_init_struct(communicator, struct_size, &defaults, sizeof defaults);
}

enum fkm_status fkmi_merge_create(const struct fkm_communicator *given, struct fkmi_merge **merge)
{
	static const struct fkmi_struct type = {"fkm_communicator", sizeof *given,
											offsetof(struct fkm_communicator, seconds)};
	struct fkm_communicator known;
	*merge = NULL;
	if (given == NULL)
		return FKM_OK;
	fkm_communicator_init(&known);
	FKMI_TRY(fkmi_read_struct(&type, given, given->struct_size, &known));
	if (known.size < 1)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "communicator.size is %d; it is at least 1", (int)known.size);
	if (known.rank < 0 || known.rank >= known.size)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "communicator.rank is %d; it is 0 to %d", (int)known.rank,
						 (int)known.size - 1);
	if (!(known.seconds >= 0 && known.seconds <= 1e9))
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "communicator.seconds is %g; it is 0 to 1e9", known.seconds);
	if (known.all_reduce == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "communicator.all_reduce is NULL");
	if (known.size == 1)
		return FKM_OK;
	struct fkmi_merge *made = calloc(1, sizeof *made);
	int64_t *staged = malloc(STAGED_VALUES * sizeof *staged);
	if (made == NULL || staged == NULL) {
		free(made);
		free(staged);
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for what %d ranks exchange", (int)known.size);
	}
	made->with = known;
	made->staged = staged;
	*merge = made;
	return FKM_OK;
}

void fkmi_merge_destroy(struct fkmi_merge *merge, bool lost)
{
	if (merge == NULL)
		return;
	if (merge->broken && !lost)
		fkmi_collective_abandon(merge->collective); /* to leave may wait for the others */
	fkmi_collective_leave(merge->collective, lost);
	free(merge->staged);
	free(merge);
}

int32_t fkmi_merge_rank(const struct fkmi_merge *merge)
{
	return merge == NULL ? 0 : merge->with.rank;
}

int32_t fkmi_merge_ranks(const struct fkmi_merge *merge)
{
	return merge == NULL ? 1 : merge->with.size;
}

enum fkm_status fkmi_merge_status(const struct fkmi_merge *merge)
{
	return merge == NULL ? FKM_OK : merge->status;
}

/* ---- one exchange ---- */

/* The communicator itself failed: nothing is known of the other ranks any more. */
static enum fkm_status fail_communicator(struct fkmi_merge *merge, const char *sentence)
{
	merge->broken = true;
	merge->status = FKM_ERROR_COMMUNICATOR;
	return fkmi_fail(FKM_ERROR_COMMUNICATOR, "rank %d of %d cannot reach the others: %s", (int)merge->with.rank,
					 (int)merge->with.size, sentence[0] != '\0' ? sentence : "all_reduce failed without saying why");
}

static enum fkm_status exchange(struct fkmi_merge *merge, int64_t *values, int64_t count, enum fkm_reduce op)
{
	char sentence[512] = "";
	for (int64_t done = 0; done < count;) {
		const int64_t left = count - done, step = left < MOST_VALUES ? left : MOST_VALUES;
		const int failed = merge->with.all_reduce(merge->with.user, values + done, step, op, sentence, sizeof sentence);
		if (failed != 0)
			return fail_communicator(merge, sentence);
		done += step;
	}
	return FKM_OK;
}

/* The failure of that rank becomes everyone's. */
static enum fkm_status share_failure(struct fkmi_merge *merge, int32_t rank, enum fkm_status own)
{
	int64_t words[1 + TEXT_WORDS] = {0};
	char text[TEXT_WORDS * sizeof(int64_t)] = "";
	if (rank == merge->with.rank) {
		snprintf(text, sizeof text, "%s", fkm_error_message());
		words[0] = own;
		memcpy(words + 1, text, sizeof text);
	}
	FKMI_TRY(exchange(merge, words, 1 + TEXT_WORDS, FKM_REDUCE_SUM));
	memcpy(text, words + 1, sizeof text);
	text[sizeof text - 1] = '\0';
	merge->status = (enum fkm_status)words[0];
	return fkmi_fail(merge->status, "rank %d of %d: %s", (int)rank, (int)merge->with.size, text);
}

/* The library's reductions are given up, by all ranks; the next call begins them anew. */
static void leave_library(struct fkmi_merge *merge, bool lost)
{
	if (!lost)
		fkmi_collective_abandon(merge->collective);
	fkmi_collective_leave(merge->collective, lost);
	merge->collective = NULL;
	merge->way = UNDECIDED;
}

/* What a rank tells of its failure, 0 if it has none: the greatest speaks for all. It is the lowest rank's of those that
 * did more than wait for others in a reduction, which was in vain, or else of these. */
static int64_t weigh_failure(const struct fkmi_merge *merge, enum fkm_status own)
{
	if (own == FKM_OK || own == FKM_CANCELLED)
		return 0;
	const int64_t size = merge->with.size;
	const bool in_vain = own == FKM_ERROR_COMMUNICATOR && fkmi_collective_in_vain(merge->collective);
	return size - merge->with.rank + (in_vain ? 0 : size);
}

static int32_t rank_of_failure(const struct fkmi_merge *merge, int64_t weight)
{
	const int64_t size = merge->with.size;
	return (int32_t)(size - 1 - (weight - 1) % size);
}

/* What opens every merge: whether a rank has failed, and whether all are at the same place, which `place` numbers. */
static enum fkm_status meet(struct fkmi_merge *merge, enum fkm_status own, int64_t place)
{
	enum { FAILED, HIGHEST, LOWEST, ABANDONED, WORDS };
	if (merge->status != FKM_OK)
		return merge->status;
	const int64_t failure = weigh_failure(merge, own);
	const bool lost = own == FKM_ERROR_DEVICE_LOST;
	int64_t words[WORDS] = {
		[FAILED] = failure,
		[HIGHEST] = failure > 0 ? -INT64_MAX : place,
		[LOWEST] = failure > 0 ? -INT64_MAX : -place,
		[ABANDONED] = lost || fkmi_collective_abandoned(merge->collective),
	};
	FKMI_TRY(exchange(merge, words, WORDS, FKM_REDUCE_MAX));
	if (words[ABANDONED] && merge->way == BY_LIBRARY)
		leave_library(merge, lost);
	if (words[FAILED] > 0)
		return share_failure(merge, rank_of_failure(merge, words[FAILED]), own);
	if (words[HIGHEST] == -words[LOWEST])
		return FKM_OK;
	merge->broken = true;
	merge->status = FKM_ERROR_COMMUNICATOR;
	return fkmi_fail(FKM_ERROR_COMMUNICATOR,
					 "the %d ranks of the communicator make different calls, or run on different backends",
					 (int)merge->with.size);
}

/* ---- device memory ---- */

/* All ranks join the library's communicator, or none does. */
static enum fkm_status join_library(struct fkmi_merge *merge, const struct fkmi_logger *logger)
{
	int64_t words[FKMI_COLLECTIVE_ID_WORDS + 1] = {0};
	int64_t *made = &words[FKMI_COLLECTIVE_ID_WORDS];
	if (merge->with.rank == 0)
		*made = fkmi_collective_id(merge->device, words) == FKM_OK;
	FKMI_TRY(fkmi_merge_values(merge, words, FKMI_COLLECTIVE_ID_WORDS + 1, FKM_REDUCE_SUM));
	if (*made == 0)
		return FKM_OK;
	const struct fkmi_collective_rank own = {merge->with.rank, merge->with.size, merge->with.seconds};
	int64_t joined = fkmi_collective_join(merge->device, words, &own, &merge->collective) == FKM_OK;
	if (!joined)
		fkmi_log(logger, FKM_LOG_WARNING, "ranks reduce through host memory: %s", fkm_error_message());
	FKMI_TRY(fkmi_merge_values(merge, &joined, 1, FKM_REDUCE_MIN));
	if (joined) {
		merge->way = BY_LIBRARY;
		return FKM_OK;
	}
	fkmi_collective_leave(merge->collective, false);
	merge->collective = NULL;
	return FKM_OK;
}

enum fkm_status fkmi_merge_connect(struct fkmi_merge *merge, struct fkmi_device *device,
								   const struct fkmi_logger *logger)
{
	enum { CALLER, LIBRARY, WAYS };
	if (merge == NULL || merge->way != UNDECIDED)
		return FKM_OK;
	const bool own_memory = !device->limits.host_memory && device->backend->enqueue != NULL;
	int64_t can[WAYS] = {[CALLER] = own_memory && merge->with.all_reduce_device != NULL, [LIBRARY] = own_memory};
	if (can[LIBRARY] && !can[CALLER] && fkmi_collective_find(device) != FKM_OK) {
		can[LIBRARY] = 0;
		fkmi_log(logger, FKM_LOG_INFO, "ranks reduce through host memory: %s", fkm_error_message());
	}
	FKMI_TRY(fkmi_merge_values(merge, can, WAYS, FKM_REDUCE_MIN));
	merge->device = device;
	merge->way = can[CALLER] ? BY_CALLER : BY_HOST;
	if (can[LIBRARY] && !can[CALLER])
		FKMI_TRY(join_library(merge, logger));
	static const char *const names[] = {
		[BY_HOST] = "host memory", [BY_CALLER] = "the caller's function", [BY_LIBRARY] = "the devices' library"};
	fkmi_log(logger, FKM_LOG_INFO, "rank %d of %d reduces through %s", (int)merge->with.rank, (int)merge->with.size,
			 names[merge->way]);
	return FKM_OK;
}

/* ---- calls ---- */

enum { PLACE_BEGIN, PLACE_END, PLACE_MERGE };

enum fkm_status fkmi_merge_begin(struct fkmi_merge *merge, enum fkm_status own)
{
	if (merge->broken)
		return fkmi_fail(FKM_ERROR_COMMUNICATOR, "the communicator failed in an earlier call");
	merge->status = FKM_OK;
	return meet(merge, own, PLACE_BEGIN);
}

/* After a failure, whose sentence stays. */
static enum fkm_status wait_quietly(const struct fkmi_merge *merge, enum fkm_status own)
{
	char sentence[1024];
	snprintf(sentence, sizeof sentence, "%s", fkm_error_message());
	return fkmi_collective_wait(merge->device, FKMI_EVENTS) == FKM_OK ? own : fkmi_fail(own, "%s", sentence);
}

enum fkm_status fkmi_merge_settle(struct fkmi_merge *merge, enum fkm_status own)
{
	if (merge == NULL || merge->collective == NULL || own == FKM_ERROR_DEVICE_LOST)
		return own;
	if (merge->broken)
		fkmi_collective_abandon(merge->collective);
	if (own != FKM_OK && own != FKM_CANCELLED)
		return wait_quietly(merge, own);
	FKMI_TRY(fkmi_collective_wait(merge->device, FKMI_EVENTS));
	return own;
}

enum fkm_status fkmi_merge_end(struct fkmi_merge *merge, enum fkm_status own)
{
	if (merge->broken || merge->status != FKM_OK)
		return own; /* which is that error */
	FKMI_TRY(meet(merge, own, PLACE_END));
	return own;
}

static enum fkm_status meet_to_merge(struct fkmi_merge *merge, int64_t count, enum fkm_reduce op)
{
	return meet(merge, FKM_OK, PLACE_MERGE + count * 4 + op);
}

enum fkm_status fkmi_merge_values(struct fkmi_merge *merge, int64_t *values, int64_t count, enum fkm_reduce op)
{
	FKMI_TRY(meet_to_merge(merge, count, op));
	return exchange(merge, values, count, op);
}

/* For the caller's function, with the device current. */
struct request {
	struct fkmi_merge *merge;
	void *values;
	int64_t count;
	enum fkm_reduce op;
};

static enum fkm_status ask_caller(void *context, void *queue)
{
	const struct request *r = context;
	const struct fkm_communicator *with = &r->merge->with;
	char sentence[512] = "";
	if (with->all_reduce_device(with->user, r->values, r->count, r->op, queue, sentence, sizeof sentence) != 0)
		return fail_communicator(r->merge, sentence);
	return FKM_OK;
}

static enum fkm_status merge_on_device(struct fkmi_merge *merge, struct fkmi_device *device, int64_t *values,
									   int64_t count, enum fkm_reduce op)
{
	for (int64_t done = 0, step; done < count; done += step) {
		step = count - done < MOST_VALUES ? count - done : MOST_VALUES;
		FKMI_TRY(meet_to_merge(merge, step, op));
		struct request request = {merge, values + done, step, op};
		if (merge->way == BY_CALLER) {
			FKMI_TRY(device->backend->enqueue(device, ask_caller, &request));
			continue;
		}
		FKMI_TRY(fkmi_collective_reduce(device, values + done, step, op));
	}
	return FKM_OK;
}

static enum fkm_status merge_staged(struct fkmi_merge *merge, struct fkmi_device *device, struct fkmi_ref memory,
									int64_t count, enum fkm_reduce op)
{
	for (int64_t done = 0, step; done < count; done += step) {
		step = count - done < STAGED_VALUES ? count - done : STAGED_VALUES;
		const struct fkmi_ref place = fkmi_ref_add(memory, done * (int64_t)sizeof(int64_t));
		const int64_t bytes = step * (int64_t)sizeof(int64_t);
		FKMI_TRY(device->backend->download(device, merge->staged, place, bytes));
		FKMI_TRY(fkmi_merge_values(merge, merge->staged, step, op));
		FKMI_TRY(device->backend->upload(device, place, merge->staged, bytes));
	}
	return FKM_OK;
}

enum fkm_status fkmi_merge(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref memory,
						   int64_t count, enum fkm_reduce op)
{
	struct fkmi_merge *merge = job->merge;
	if (merge == NULL)
		return FKM_OK;
	if (device->limits.host_memory)
		return fkmi_merge_values(merge, fkmi_ref_ptr(memory), count, op);
	if (merge->way == BY_HOST || merge->way == UNDECIDED)
		return merge_staged(merge, device, memory, count, op);
	return merge_on_device(merge, device, fkmi_ref_ptr(memory), count, op);
}
