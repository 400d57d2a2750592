/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks that merge: by values, by memory of devices in each way, and where one of them fails. */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "collective.h"
#include "error.h"
#include "merge.h"
#include "nccl/library.h"

enum { RANKS = 3, COUNT = 1000 };

/* ---- a device: its memory is the host's, but nobody may know ---- */

static enum fkm_status copy_up(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes)
{
	(void)device;
	memcpy(fkmi_ref_ptr(to), from, (size_t)bytes);
	return FKM_OK;
}

static _Atomic int downloads;

static enum fkm_status copy_down(struct fkmi_device *device, void *to, struct fkmi_ref from, int64_t bytes)
{
	(void)device;
	downloads++;
	memcpy(to, fkmi_ref_ptr(from), (size_t)bytes);
	return FKM_OK;
}

static enum fkm_status enqueue(struct fkmi_device *device, fkmi_enqueue_fn fn, void *context)
{
	(void)device;
	return fn(context, FAKE_NCCL_QUEUE);
}

/* Events, as far as reductions need them: each remembers whether it came behind one that hangs. */
static enum fkm_status open_events(struct fkmi_device *device)
{
	(void)device;
	return FKM_OK;
}

static enum fkm_status mark(struct fkmi_device *device, enum fkmi_queue queue, int event);
static enum fkm_status ask(struct fkmi_device *device, int event, bool *happened);
static const struct fkmi_copier events = {.open = open_events, .mark = mark, .ask = ask};

static const char *const nowhere[] = {"libfkmt-nowhere.so", NULL};
static const struct fkmi_collectives present = {"FKMT_NCCL", nowhere}, absent = {NULL, nowhere};
static const struct fkmi_backend with_library = {
	.name = "with",
	.upload = copy_up,
	.download = copy_down,
	.copier = &events,
	.enqueue = enqueue,
	.collectives = &present,
};
static const struct fkmi_backend without_library = {
	.name = "without", .upload = copy_up, .download = copy_down, .enqueue = enqueue, .collectives = &absent};

/* ---- threads ---- */

struct member {
	int rank;
	struct fkm_communicator communicator;
	struct fkmi_device device;
	struct fkmi_merge *merge;
	struct fkmi_job job;
	int64_t values[COUNT];
	bool behind[FKMI_EVENTS]; /* the event comes behind a reduction that hangs */
	double busy;              /* until when the device has other work */
	enum fkm_status (*fn)(struct member *member);
	enum fkm_status status;
	char message[1100];
};

static struct member members[RANKS];
static struct fkm_local_ranks *ranks;
static struct fake_nccl *fake;

static struct member *member_of(const struct fkmi_device *device)
{
	for (int rank = 0; rank < RANKS; rank++)
		if (&members[rank].device == device)
			return &members[rank];
	abort();
}

static enum fkm_status mark(struct fkmi_device *device, enum fkmi_queue queue, int event)
{
	struct member *member = member_of(device);
	assert_int_equal(queue, FKMI_QUEUE_STEPS);
	member->behind[event] = fake->stuck[member->rank] != 0;
	return FKM_OK;
}

static enum fkm_status ask(struct fkmi_device *device, int event, bool *happened)
{
	const struct member *member = member_of(device);
	*happened = !(member->behind[event] && fake->stuck[member->rank]) && fkmi_now() >= member->busy;
	return FKM_OK;
}

static void *run(void *argument)
{
	struct member *member = argument;
	member->status = member->fn(member);
	snprintf(member->message, sizeof(member->message), "%s", fkm_error_message());
	return NULL;
}

static void on_all(enum fkm_status (*fn)(struct member *member))
{
	pthread_t threads[RANKS];
	for (int rank = 0; rank < RANKS; rank++) {
		members[rank].fn = fn;
		assert_int_equal(pthread_create(&threads[rank], NULL, run, &members[rank]), 0);
	}
	for (int rank = 0; rank < RANKS; rank++)
		pthread_join(threads[rank], NULL);
}

static void expect_all(enum fkm_status status, const char *part)
{
	for (int rank = 0; rank < RANKS; rank++) {
		if (members[rank].status != status)
			fail_msg("rank %d: %s: %s", rank, fkm_status_name(members[rank].status), members[rank].message);
		if (part && !strstr(members[rank].message, part))
			fail_msg("rank %d: the message lacks \"%s\": %s", rank, part, members[rank].message);
	}
}

static void open_ranks(const struct fkmi_backend *backend, double seconds)
{
	assert_int_equal(fkm_local_ranks_create(RANKS, seconds, &ranks), FKM_OK);
	memset(members, 0, sizeof(members));
	downloads = 0;
	for (int rank = 0; rank < RANKS; rank++) {
		struct member *member = &members[rank];
		member->rank = rank;
		member->device.backend = backend;
		assert_int_equal(fkm_local_ranks_get(ranks, rank, &member->communicator), FKM_OK);
	}
}

static void make_merges(void)
{
	for (int rank = 0; rank < RANKS; rank++) {
		assert_int_equal(fkmi_merge_create(&members[rank].communicator, &members[rank].merge), FKM_OK);
		members[rank].job.merge = members[rank].merge;
	}
}

static void close_ranks(void)
{
	for (int rank = 0; rank < RANKS; rank++)
		fkmi_merge_destroy(members[rank].merge, false);
	fkm_local_ranks_destroy(ranks);
}

/* ---- calls ---- */

static int64_t value_of(int rank, int i)
{
	return (int64_t)((uint64_t)i * 0x9E3779B97F4A7C15u >> rank) * (rank == 1 ? -1 : 1);
}

static enum fkm_status merge_memory(struct member *member, enum fkm_reduce op)
{
	const struct fkmi_ref memory = {member->values, 0};
	for (int i = 0; i < COUNT; i++)
		member->values[i] = value_of(member->rank, i);
	return fkmi_merge(&member->device, &member->job, memory, COUNT, op);
}

static int64_t expected(int i, enum fkm_reduce op)
{
	int64_t all = value_of(0, i);
	for (int rank = 1; rank < RANKS; rank++) {
		const int64_t value = value_of(rank, i);
		if (op == FKM_REDUCE_SUM)
			all = (int64_t)((uint64_t)all + (uint64_t)value);
		else if (op == FKM_REDUCE_MIN ? value < all : value > all)
			all = value;
	}
	return all;
}

static bool is_merged(const struct member *member, enum fkm_reduce op)
{
	for (int i = 0; i < COUNT; i++)
		if (member->values[i] != expected(i, op))
			return false;
	return true;
}

/* A whole call that merges in all ways. */
static enum fkm_status call(struct member *member)
{
	enum fkm_status status = fkmi_merge_begin(member->merge, FKM_OK);
	if (status == FKM_OK)
		status = fkmi_merge_connect(member->merge, &member->device, NULL);
	for (enum fkm_reduce op = FKM_REDUCE_SUM; op <= FKM_REDUCE_MAX && status == FKM_OK; op++) {
		status = merge_memory(member, op);
		if (status == FKM_OK && !is_merged(member, op))
			status = fkmi_fail(FKM_ERROR_INTERNAL, "op %d gave something else", (int)op);
	}
	return fkmi_merge_end(member->merge, fkmi_merge_settle(member->merge, status));
}

/* ---- tests ---- */

static void test_host_memory(void **state)
{
	(void)state;
	open_ranks(&without_library, 20);
	make_merges();
	on_all(call);
	expect_all(FKM_OK, NULL);
	assert_int_equal(downloads, 3 * RANKS);
	close_ranks();
}

static void test_library(void **state)
{
	(void)state;
	open_ranks(&with_library, 20);
	memset(fake, 0, sizeof(*fake));
	make_merges();
	on_all(call);
	expect_all(FKM_OK, NULL);
	on_all(call); /* joined once */
	expect_all(FKM_OK, NULL);
	assert_int_equal(downloads, 0);
	assert_int_equal(fake->calls[FAKE_NCCL_JOIN], RANKS);
	assert_int_equal(fake->calls[FAKE_NCCL_REDUCE], 2 * 3 * RANKS);
	close_ranks();
	assert_int_equal(fake->calls[FAKE_NCCL_LEAVE], RANKS);
}

/* Where ranks cannot join, all go by host memory. */
static void test_no_joining(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		open_ranks(&with_library, 20);
		*fake = (struct fake_nccl){
			.fails = 1, .failing_call = i == 0 ? FAKE_NCCL_ID : FAKE_NCCL_JOIN, .failing_rank = i == 0 ? 0 : 1};
		make_merges();
		on_all(call);
		expect_all(FKM_OK, NULL);
		assert_int_equal(downloads, 3 * RANKS);
		assert_int_equal(fake->calls[FAKE_NCCL_REDUCE], 0);
		assert_int_equal(fake->calls[FAKE_NCCL_LEAVE], i == 0 ? 0 : RANKS - 1);
		close_ranks();
	}
}

/* ---- reductions that do not end ---- */

static void open_library_ranks(double seconds, double device_seconds)
{
	open_ranks(&with_library, seconds);
	memset(fake, 0, sizeof(*fake));
	for (int rank = 0; rank < RANKS; rank++)
		members[rank].communicator.seconds = device_seconds;
	make_merges();
}

/* More than may be in flight at once. */
static enum fkm_status reduce_often(struct member *member)
{
	enum fkm_status status = fkmi_merge_begin(member->merge, FKM_OK);
	if (status == FKM_OK)
		status = fkmi_merge_connect(member->merge, &member->device, NULL);
	for (int i = 0; i < 40 && status == FKM_OK; i++) {
		status = merge_memory(member, FKM_REDUCE_SUM);
		if (status == FKM_OK && !fake->hangs && !is_merged(member, FKM_REDUCE_SUM))
			status = fkmi_fail(FKM_ERROR_INTERNAL, "reduction %d gave something else", i);
	}
	return fkmi_merge_end(member->merge, fkmi_merge_settle(member->merge, status));
}

static enum fkm_status reduce_once(struct member *member)
{
	enum fkm_status status = fkmi_merge_begin(member->merge, FKM_OK);
	if (status == FKM_OK)
		status = fkmi_merge_connect(member->merge, &member->device, NULL);
	if (status == FKM_OK)
		status = merge_memory(member, FKM_REDUCE_SUM);
	return status;
}

/* Whether it is at its first reduction that all ranks come to the end, or waiting for room for one more. */
static void test_hanging_reductions(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		open_library_ranks(20, i == 0 ? 0.1 : 0);
		fake->hangs = 1;
		fake->breaks = i;
		const double started = fkmi_now();
		on_all(reduce_often);
		assert_true(fkmi_now() - started < 10);
		expect_all(FKM_ERROR_COMMUNICATOR,
				   i == 0 ? "rank 0 of 3: waited 0.1 seconds for the others' devices in a reduction between them"
						  : "rank 0 of 3: a reduction between devices failed: 6, a peer is gone");
		assert_int_equal(fake->calls[FAKE_NCCL_ABANDON], RANKS);
		fake->hangs = fake->breaks = 0;
		on_all(reduce_often); /* as members of something new */
		expect_all(FKM_OK, NULL);
		assert_int_equal(downloads, 0);
		assert_int_equal(fake->calls[FAKE_NCCL_JOIN], 2 * RANKS);
		close_ranks();
		assert_int_equal(fake->calls[FAKE_NCCL_ABANDON], RANKS);
		assert_int_equal(fake->calls[FAKE_NCCL_LEAVE], RANKS);
	}
}

/* The time of a reduction begins when this rank's own work is done. */
static void test_own_work(void **state)
{
	(void)state;
	open_library_ranks(20, 0.05);
	members[1].busy = fkmi_now() + 0.3;
	on_all(reduce_often);
	expect_all(FKM_OK, NULL);
	assert_true(fkmi_now() >= members[1].busy);
	close_ranks();
}

/* That of one rank does not begin, so that those of the others hang, for which there is no limit. */
static void test_failing_reduction(void **state)
{
	(void)state;
	open_library_ranks(20, 0);
	fake->hangs = fake->fails = 1;
	fake->failing_call = FAKE_NCCL_REDUCE;
	fake->failing_rank = 1;
	on_all(reduce_often);
	expect_all(FKM_ERROR_COMMUNICATOR, "rank 1 of 3: ncclAllReduce failed: 3, broken on purpose");
	assert_int_equal(fake->calls[FAKE_NCCL_ABANDON], RANKS);
	fake->hangs = fake->fails = 0;
	on_all(reduce_often);
	expect_all(FKM_OK, NULL);
	close_ranks();
}

static enum fkm_status lose_device(struct member *member)
{
	enum fkm_status status = reduce_once(member);
	if (member->rank == 1)
		status = fkmi_fail(FKM_ERROR_DEVICE_LOST, "the device burns");
	return fkmi_merge_end(member->merge, fkmi_merge_settle(member->merge, status));
}

/* Those that waited for it in vain return what became of it. */
static void test_lost_device(void **state)
{
	(void)state;
	open_library_ranks(20, 0.1);
	fake->hangs = 1;
	on_all(lose_device);
	expect_all(FKM_ERROR_DEVICE_LOST, "rank 1 of 3: the device burns");
	assert_int_equal(fake->calls[FAKE_NCCL_ABANDON], RANKS - 1);
	close_ranks();
}

static enum fkm_status reduce_and_wait(struct member *member)
{
	enum fkm_status status = reduce_once(member);
	if (status == FKM_OK)
		status = fkmi_collective_wait(&member->device, FKMI_EVENTS);
	return fkmi_merge_end(member->merge, fkmi_merge_settle(member->merge, status));
}

/* With the times that communicators have: devices give up before their ranks do, which then hear of the cause. */
static void test_time_to_meet(void **state)
{
	(void)state;
	open_ranks(&with_library, 3);
	memset(fake, 0, sizeof(*fake));
	make_merges();
	fake->hangs = fake->fails = 1;
	fake->failing_call = FAKE_NCCL_REDUCE;
	fake->failing_rank = 1;
	on_all(reduce_and_wait);
	expect_all(FKM_ERROR_COMMUNICATOR, "rank 1 of 3: ncclAllReduce failed: 3, broken on purpose");
	fake->fails = 0;
	on_all(lose_device);
	expect_all(FKM_ERROR_DEVICE_LOST, "rank 1 of 3: the device burns");
	close_ranks();
}

static enum fkm_status vanish(struct member *member)
{
	enum fkm_status status = reduce_once(member);
	if (member->rank == 2)
		return status;
	return fkmi_merge_end(member->merge, fkmi_merge_settle(member->merge, status));
}

/* Killed during a reduction: the others do not wait for it for ever; a fresh communicator works. */
static void test_vanished_rank(void **state)
{
	(void)state;
	open_library_ranks(1, 0.1);
	fake->hangs = 1;
	const double started = fkmi_now();
	on_all(vanish);
	assert_true(fkmi_now() - started < 10);
	for (int rank = 0; rank < 2; rank++) {
		assert_int_equal(members[rank].status, FKM_ERROR_COMMUNICATOR);
		assert_non_null(strstr(members[rank].message, "cannot reach the others: waited 1 seconds"));
	}
	assert_int_equal(fake->calls[FAKE_NCCL_ABANDON], RANKS - 1);
	members[2].status = fkmi_merge_end(members[2].merge, FKM_OK); /* it goes, too */
	close_ranks();
	open_library_ranks(20, 0.1);
	on_all(reduce_often);
	expect_all(FKM_OK, NULL);
	close_ranks();
}

/* The communicator's own function for device memory: here the one for host memory. */
static int reduce_device(void *user, void *values, int64_t count, enum fkm_reduce op, void *queue, char *error,
						 size_t error_bytes)
{
	struct member *member = user;
	if (queue != FAKE_NCCL_QUEUE) {
		snprintf(error, error_bytes, "not the queue");
		return 1;
	}
	if (member->values[0] == 42) {
		snprintf(error, error_bytes, "the link is down");
		return 1;
	}
	struct fkm_communicator plain;
	return fkm_local_ranks_get(ranks, member->rank, &plain) != FKM_OK ||
		   plain.all_reduce(plain.user, values, count, op, error, error_bytes) != 0;
}

static int reduce_host(void *user, int64_t *values, int64_t count, enum fkm_reduce op, char *error, size_t error_bytes)
{
	struct member *member = user;
	struct fkm_communicator plain;
	return fkm_local_ranks_get(ranks, member->rank, &plain) != FKM_OK ||
		   plain.all_reduce(plain.user, values, count, op, error, error_bytes) != 0;
}

static enum fkm_status fail_on_device(struct member *member)
{
	const struct fkmi_ref memory = {member->values, 0};
	member->values[0] = 42;
	enum fkm_status status = fkmi_merge_begin(member->merge, FKM_OK);
	if (status == FKM_OK)
		status = fkmi_merge(&member->device, &member->job, memory, COUNT, FKM_REDUCE_SUM);
	return fkmi_merge_end(member->merge, status);
}

static void test_callers_function(void **state)
{
	(void)state;
	open_ranks(&with_library, 20);
	memset(fake, 0, sizeof(*fake));
	for (int rank = 0; rank < RANKS; rank++) {
		members[rank].communicator.user = &members[rank];
		members[rank].communicator.all_reduce = reduce_host;
		members[rank].communicator.all_reduce_device = reduce_device;
	}
	make_merges();
	on_all(call);
	expect_all(FKM_OK, NULL);
	assert_int_equal(downloads, 0);
	assert_int_equal(fake->calls[FAKE_NCCL_JOIN], 0);
	on_all(fail_on_device);
	expect_all(FKM_ERROR_COMMUNICATOR, "the link is down");
	on_all(call);
	expect_all(FKM_ERROR_COMMUNICATOR, "failed in an earlier call");
	close_ranks();
}

static enum fkm_status fail_alone(struct member *member)
{
	enum fkm_status status = fkmi_merge_begin(member->merge, FKM_OK);
	if (status == FKM_OK && member->rank == 2)
		status = fkmi_fail(FKM_ERROR_NONFINITE, "something of rank two's");
	int64_t value = member->rank;
	if (status == FKM_OK)
		status = fkmi_merge_values(member->merge, &value, 1, FKM_REDUCE_SUM);
	return fkmi_merge_end(member->merge, status);
}

static enum fkm_status fail_at_the_end(struct member *member)
{
	enum fkm_status status = fkmi_merge_begin(member->merge, FKM_OK);
	if (status == FKM_OK && member->rank < 2)
		status = fkmi_fail(member->rank == 0 ? FKM_CANCELLED : FKM_ERROR_BACKEND, "of rank %d", member->rank);
	return fkmi_merge_end(member->merge, status);
}

static enum fkm_status fail_at_once(struct member *member)
{
	enum fkm_status status =
		fkmi_merge_begin(member->merge, member->rank > 0 ? fkmi_fail(FKM_ERROR_OVERFLOW, "early") : FKM_OK);
	return fkmi_merge_end(member->merge, status);
}

static void test_failing_rank(void **state)
{
	(void)state;
	open_ranks(&without_library, 20);
	make_merges();
	on_all(fail_alone);
	expect_all(FKM_ERROR_NONFINITE, "rank 2 of 3: something of rank two's");
	on_all(fail_at_the_end);
	expect_all(FKM_ERROR_BACKEND, "rank 1 of 3: of rank 1");
	on_all(fail_at_once);
	expect_all(FKM_ERROR_OVERFLOW, "rank 1 of 3: early");
	on_all(call);
	expect_all(FKM_OK, NULL);
	close_ranks();
}

static enum fkm_status differ(struct member *member)
{
	int64_t values[2] = {0};
	enum fkm_status status = fkmi_merge_begin(member->merge, FKM_OK);
	if (status == FKM_OK)
		status = fkmi_merge_values(member->merge, values, member->rank == 1 ? 2 : 1, FKM_REDUCE_SUM);
	return fkmi_merge_end(member->merge, status);
}

static void test_different_calls(void **state)
{
	(void)state;
	open_ranks(&without_library, 20);
	make_merges();
	on_all(differ);
	expect_all(FKM_ERROR_COMMUNICATOR, "different calls");
	close_ranks();
}

static enum fkm_status stay_away(struct member *member)
{
	return member->rank == 1 ? FKM_ERROR_COMMUNICATOR : call(member);
}

static void test_absent_rank(void **state)
{
	(void)state;
	open_ranks(&without_library, 0.1);
	make_merges();
	on_all(stay_away);
	assert_non_null(strstr(members[0].message, "waited 0.1 seconds"));
	expect_all(FKM_ERROR_COMMUNICATOR, NULL);
	members[1].rank = 1;
	assert_int_equal(call(&members[1]), FKM_ERROR_COMMUNICATOR); /* late, and at once */
	close_ranks();
}

static void test_communicators(void **state)
{
	struct fkm_communicator communicator;
	struct fkmi_merge *merge;
	(void)state;
	assert_int_equal(fkm_local_ranks_create(2, 0, &ranks), FKM_OK);
	assert_int_equal(fkm_local_ranks_get(ranks, 2, &communicator), FKM_ERROR_INVALID_ARGUMENT);
	assert_int_equal(fkm_local_ranks_get(ranks, 1, &communicator), FKM_OK);
	communicator.rank = 2;
	assert_int_equal(fkmi_merge_create(&communicator, &merge), FKM_ERROR_INVALID_ARGUMENT);
	assert_non_null(strstr(fkm_error_message(), "communicator.rank is 2"));
	communicator.rank = 0;
	communicator.all_reduce = NULL;
	assert_int_equal(fkmi_merge_create(&communicator, &merge), FKM_ERROR_INVALID_ARGUMENT);
	communicator.size = 0;
	assert_int_equal(fkmi_merge_create(&communicator, &merge), FKM_ERROR_INVALID_ARGUMENT);
	fkm_local_ranks_destroy(ranks);
	assert_int_equal(fkm_local_ranks_create(0, 0, &ranks), FKM_ERROR_INVALID_ARGUMENT);
	assert_int_equal(fkm_local_ranks_create(1, -1, &ranks), FKM_ERROR_INVALID_ARGUMENT);
	assert_int_equal(fkm_local_ranks_create(1, 0, &ranks), FKM_OK);
	assert_int_equal(fkm_local_ranks_get(ranks, 0, &communicator), FKM_OK);
	assert_int_equal(fkmi_merge_create(&communicator, &merge), FKM_OK);
	assert_null(merge); /* the only rank */
	fkm_local_ranks_destroy(ranks);
}

static int open_fake(void **state)
{
	void *library = dlopen(getenv("FKMT_NCCL"), RTLD_NOW);
	struct fake_nccl *(*find)(void) = NULL;
	void *symbol = library ? dlsym(library, "fake_nccl") : NULL;
	(void)state;
	memcpy(&find, &symbol, sizeof(find));
	fake = find ? find() : NULL;
	return fake ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_memory),   cmocka_unit_test(test_library),
		cmocka_unit_test(test_no_joining),    cmocka_unit_test(test_failing_reduction),
		cmocka_unit_test(test_time_to_meet),  cmocka_unit_test(test_hanging_reductions),
		cmocka_unit_test(test_own_work),      cmocka_unit_test(test_lost_device),
		cmocka_unit_test(test_vanished_rank), cmocka_unit_test(test_callers_function),
		cmocka_unit_test(test_failing_rank),  cmocka_unit_test(test_different_calls),
		cmocka_unit_test(test_absent_rank),   cmocka_unit_test(test_communicators),
	};
	return cmocka_run_group_tests_name("merge", tests, open_fake, NULL);
}
