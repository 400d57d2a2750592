/* SPDX-License-Identifier: Apache-2.0 */
/* A call on all rows made by several ranks, threads of this program, each on some of the rows. */
#ifndef RANK_CALLS_H
#define RANK_CALLS_H

#include <stdint.h>

#include "flashkmeans/flashkmeans.h"

enum call { CALL_FIT, CALL_PREDICT, CALL_UPDATE, CALL_INERTIA };

/* The arguments of a call; those that its function lacks are not looked at. */
struct call_arguments {
	enum call call;
	struct fkm_array points;
	struct fkm_array centroids;
	const int32_t *labels;
	struct fkm_fit_params params;
	struct fkm_fit_result *result;
	double *inertia;
};

enum fkm_status call_alone(struct fkm_context *context, const struct call_arguments *arguments);

enum { MOST_RANKS = 16 };

/*
 * The same call with the rows dealt to the ranks by `seed`, some perhaps with none. contexts[rank] has the communicator of
 * that rank. Results (host arrays) are put together in whole->result. Not all ranks want all results; the last has the
 * callbacks. *complaint is NULL, or what is wrong beside the results: ranks that return different things, or write
 * where they must not. fkm_error_message() is that of the ranks.
 */
enum fkm_status call_ranks(struct fkm_context *const *contexts, int ranks, const struct call_arguments *whole,
						   uint64_t seed, const char **complaint);

#endif
