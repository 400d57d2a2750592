/* SPDX-License-Identifier: Apache-2.0 */
/* What the conformance suite runs on: contexts of one backend, for each number of threads and each rank. */
#ifndef FKM_TESTS_CONFORMANCE_CONTEXTS_H
#define FKM_TESTS_CONFORMANCE_CONTEXTS_H

#include <stdint.h>

#include "flashkmeans/flashkmeans.h"
#include "rank_calls.h"

enum { THREAD_COUNTS = 3, MOST_KERNELS = 64 };

extern const int32_t thread_counts[THREAD_COUNTS];

struct suite_contexts {
	/* To be filled before suite_open(). */
	int ranks;        /* at least 1 */
	int device_count; /* of each context; 0: one, in the usual way */

	struct fkm_local_ranks *groups[THREAD_COUNTS]; /* NULL: one rank */
	struct fkm_context *contexts[THREAD_COUNTS][MOST_RANKS];
	const char *kernels[MOST_KERNELS]; /* those of the backend */
	int kernel_count;
};

/* Creates the contexts. Ends the program where that fails: with 77, and a line that says why, if the backend of this name has
 * no device here and FKM_REQUIRE (a list like cpu,opencl) does not name it; else with 1. */
void suite_open(struct suite_contexts *suite, const char *name);

void suite_close(struct suite_contexts *suite);

/* The memory that each rank's context of a number of threads may use; 0: all. */
void suite_set_budget(struct suite_contexts *suite, int threads_index, int64_t bytes);

#endif
