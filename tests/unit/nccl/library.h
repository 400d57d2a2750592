/* SPDX-License-Identifier: Apache-2.0 */
/* The test's side of the fake NCCL. */
#ifndef FAKE_NCCL_H
#define FAKE_NCCL_H

enum fake_nccl_call {
	FAKE_NCCL_ID,
	FAKE_NCCL_JOIN,
	FAKE_NCCL_REDUCE,
	FAKE_NCCL_ABANDON,
	FAKE_NCCL_LEAVE,
	FAKE_NCCL_CALLS
};
enum { FAKE_NCCL_RANKS = 8 };

struct fake_nccl {
	int ranks; /* of the last that joined */
	int alone; /* 1: only one of them is there; the others' values change nothing */
	int calls[FAKE_NCCL_CALLS];
	int fails; /* 1: the calls named next do, on that rank */
	enum fake_nccl_call failing_call;
	int failing_rank;
	int hangs;                  /* 1: reductions do not end */
	int breaks;                 /* 1: and the library says that they failed */
	int stuck[FAKE_NCCL_RANKS]; /* 1: one of that rank's has not ended */
};

struct fake_nccl *fake_nccl(void);

/* What stands for the queue of a device. */
#define FAKE_NCCL_QUEUE ((void *)0x51)

#endif
