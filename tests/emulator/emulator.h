/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GPU on the CPU: runs work groups of kernels item by item, each item a fiber that gives way at barriers and where the
 * lanes of its wave must act together. Groups run one after the other, in odd groups the last item first, so that whatever
 * a barrier fails to order is seen in one order or the other. Local memory is filled with NaN before each group.
 */
#ifndef EMULATOR_H
#define EMULATOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- kernels.cpp ---- */

/* Runs all groups of a kernel. values: its arguments, each in the first bytes of eight. False: no such kernel. */
bool emulator_launch(const char *kernel, int64_t groups, int32_t local_bytes, const uint64_t *values, int32_t count);
int emulator_wave(void); /* lanes of a wave */

/* ---- fibers.cpp ---- */

enum { EMULATOR_GROUP = 256, EMULATOR_LOCAL_BYTES = 160 << 10 };

void emulator_run(void (*item)(void *), void *argument, int64_t groups, int32_t local_bytes);

/* Of the running item. */
int emulator_item(void);
int64_t emulator_group(void);
int64_t emulator_groups(void);
void emulator_barrier(void);
void emulator_meet(int first, int count); /* a barrier of those items */

/* All lanes of a wave call it, each with a place of its own; the last of them calls together() on all places. */
void emulator_together(void (*together)(void *const *lanes), void *mine);
/* A copy that happens when the item waits for it. */
void emulator_copy_later(void *to, const void *from, int bytes);
void emulator_copy_now(void);

extern char emulator_local[EMULATOR_LOCAL_BYTES]; /* of the running group */

#ifdef __cplusplus
}
#endif

#endif
