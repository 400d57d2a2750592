/* SPDX-License-Identifier: Apache-2.0 */
#include "emulator.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { STACK_BYTES = 64 << 10, MOST_COPIES = 64, MOST_LANES = 64 };

enum state { READY, AT_BARRIER, WITH_OTHERS, ENDED };

struct copy {
	void *to;
	const void *from;
	int bytes;
};

/* Where some items wait for each other. */
struct meeting {
	int arrived;
	int64_t turn; /* how often all were there */
};

struct fiber {
	jmp_buf at;
	enum state state;
	const struct meeting *meeting; /* WITH_OTHERS: until it has had that turn */
	int64_t turn;
	int copy_count;
	struct copy copies[MOST_COPIES];
};

/* What the lanes of a wave do together. */
struct wave {
	struct meeting meeting;
	void (*together)(void *const *lanes);
	void *lanes[MOST_LANES];
};

alignas(256) char emulator_local[EMULATOR_LOCAL_BYTES];

/* Local arrays of kernels, see dialect.h. */
extern "C" char __start_emulated_local[] __attribute__((weak)), __stop_emulated_local[] __attribute__((weak));

static struct fiber fibers[EMULATOR_GROUP];
static struct wave waves[EMULATOR_GROUP];
static struct meeting meetings[EMULATOR_GROUP]; /* by their first item */
alignas(64) static char stacks[EMULATOR_GROUP][STACK_BYTES];
static jmp_buf scheduler;
static int running;
static int64_t group, groups;
static void (*entry)(void *);
static void *entry_argument;

static void fail(const char *what)
{
	fprintf(stderr, "emulator: %s (group %lld, item %d)\n", what, (long long)group, running);
	abort();
}

int emulator_item(void)
{
	return running;
}
int64_t emulator_group(void)
{
	return group;
}
int64_t emulator_groups(void)
{
	return groups;
}

static void give_way(enum state state)
{
	fibers[running].state = state;
	if (_setjmp(fibers[running].at) == 0)
		_longjmp(scheduler, 1);
}

static void run_fiber(void)
{
	give_way(ENDED); /* made; it goes on from here */
	for (;;) {
		entry(entry_argument);
		if (fibers[running].copy_count != 0)
			fail("copies that nobody waited for");
		give_way(ENDED);
	}
}

/* Fibers are made once; a context gives each its stack, after that jumps are enough. */
static void make_fibers(void)
{
	static ucontext_t context;
	static bool made;
	if (made)
		return;
	made = true;
	for (running = 0; running < EMULATOR_GROUP; running++) {
		getcontext(&context);
		context.uc_stack.ss_sp = stacks[running];
		context.uc_stack.ss_size = STACK_BYTES;
		context.uc_link = NULL;
		makecontext(&context, run_fiber, 0);
		if (_setjmp(scheduler) == 0)
			setcontext(&context);
	}
}

void emulator_barrier(void)
{
	give_way(AT_BARRIER);
}

/* True for the last of `count` items, which must then end the meeting; the others return when it has ended. */
static bool meet(struct meeting *meeting, int count)
{
	if (++meeting->arrived == count)
		return true;
	fibers[running].meeting = meeting;
	fibers[running].turn = meeting->turn + 1;
	give_way(WITH_OTHERS);
	return false;
}

static void end(struct meeting *meeting)
{
	meeting->arrived = 0;
	meeting->turn++;
}

void emulator_meet(int first, int count)
{
	if (running < first || running >= first + count)
		fail("an item at a meeting of others");
	if (meet(&meetings[first], count))
		end(&meetings[first]);
}

void emulator_together(void (*together)(void *const *lanes), void *mine)
{
	const int lanes = emulator_wave();
	struct wave *wave = &waves[running / lanes];
	if (wave->meeting.arrived > 0 && wave->together != together)
		fail("the lanes of a wave do different things");
	wave->together = together;
	wave->lanes[running % lanes] = mine;
	if (meet(&wave->meeting, lanes)) {
		together(wave->lanes);
		end(&wave->meeting);
	}
}

void emulator_copy_later(void *to, const void *from, int bytes)
{
	struct fiber *fiber = &fibers[running];
	if (fiber->copy_count == MOST_COPIES)
		fail("too many copies at once");
	fiber->copies[fiber->copy_count++] = {to, from, bytes};
}

void emulator_copy_now(void)
{
	struct fiber *fiber = &fibers[running];
	for (int i = 0; i < fiber->copy_count; i++)
		memcpy(fiber->copies[i].to, fiber->copies[i].from, (size_t)fiber->copies[i].bytes);
	fiber->copy_count = 0;
}

/* Lets a fiber go on until it gives way. */
static void go_on(int i)
{
	running = i;
	fibers[i].state = READY;
	if (_setjmp(scheduler) == 0)
		_longjmp(fibers[i].at, 1);
}

/* Lets every fiber that can go on do so once; false: none could. */
static bool go_round(bool backwards)
{
	bool any = false;
	for (int n = 0; n < EMULATOR_GROUP; n++) {
		const int i = backwards ? EMULATOR_GROUP - 1 - n : n;
		const struct fiber *fiber = &fibers[i];
		if (fiber->state == READY || (fiber->state == WITH_OTHERS && fiber->meeting->turn >= fiber->turn)) {
			go_on(i);
			any = true;
		}
	}
	return any;
}

static void run_group(bool backwards)
{
	if (__start_emulated_local != NULL)
		memset(__start_emulated_local, 0xff, (size_t)(__stop_emulated_local - __start_emulated_local));
	for (int i = 0; i < EMULATOR_GROUP; i++)
		fibers[i].state = READY;
	for (;;) {
		while (go_round(backwards))
			continue;
		int ended = 0, waiting = 0;
		for (int i = 0; i < EMULATOR_GROUP; i++) {
			ended += fibers[i].state == ENDED;
			waiting += fibers[i].state == AT_BARRIER;
		}
		if (ended == EMULATOR_GROUP)
			return;
		if (waiting != EMULATOR_GROUP)
			fail("a barrier or a meeting that some items never reach");
		for (int i = 0; i < EMULATOR_GROUP; i++)
			fibers[i].state = READY;
	}
}

void emulator_run(void (*item)(void *), void *argument, int64_t group_count, int32_t local_bytes)
{
	make_fibers();
	entry = item;
	entry_argument = argument;
	groups = group_count;
	if (local_bytes > EMULATOR_LOCAL_BYTES)
		fail("more local memory than there is");
	for (group = 0; group < groups; group++) {
		memset(emulator_local, 0xff, (size_t)local_bytes);
		run_group(group % 2 != 0);
	}
}
