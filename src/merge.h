/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ranks tell each other: a context's communicator, and the calls by which partial results become everyone's.
 *
 * All ranks make the same sequence of these calls. Each begins with a few numbers that say whether a rank has failed and
 * whether all are at the same place; where one has, the call fails on all with that rank's status and sentence, and
 * nothing is exchanged any more until the next public call. So a rank that fails anywhere just returns: it takes part in
 * one more such exchange, in fkmi_merge_end, which the others meet in whatever they merge next.
 */
#ifndef FKMI_MERGE_H
#define FKMI_MERGE_H

#include "backend.h"
#include "registry.h"

struct fkmi_merge;

/* Checks and copies the communicator given. *merge is NULL where it is NULL or of size 1, and on failure. */
enum fkm_status fkmi_merge_create(const struct fkm_communicator *given, struct fkmi_merge **merge);
/* lost: its device was. */
void fkmi_merge_destroy(struct fkmi_merge *merge, bool lost);

int32_t fkmi_merge_rank(const struct fkmi_merge *merge);
int32_t fkmi_merge_ranks(const struct fkmi_merge *merge);

/* Opens a public call; own: FKM_OK, or that with which this rank has failed already. FKM_OK where it is on all. */
enum fkm_status fkmi_merge_begin(struct fkmi_merge *merge, enum fkm_status own);

/* At the first call decides how memory of the ranks' devices is merged: by the communicator's own function, by the vendor's
 * library, or through host memory. Does nothing where merge is NULL. */
enum fkm_status fkmi_merge_connect(struct fkmi_merge *merge, struct fkmi_device *device,
								   const struct fkmi_logger *logger);

/* Waits until no reductions of the call are in flight between devices, and ends those that cannot be waited for, so that
 * their memory may go: what precedes fkmi_merge_end. Returns own, or the error of such a reduction. merge may be NULL. */
enum fkm_status fkmi_merge_settle(struct fkmi_merge *merge, enum fkm_status own);

/* Closes it; own: what the call came to on this rank (FKM_OK, FKM_CANCELLED or an error). Returns the error of all, or
 * own. */
enum fkm_status fkmi_merge_end(struct fkmi_merge *merge, enum fkm_status own);

/* values[i] of the host becomes the sum, the least or the greatest of all ranks' values[i]. */
enum fkm_status fkmi_merge_values(struct fkmi_merge *merge, int64_t *values, int64_t count, enum fkm_reduce op);

/* The same for int64 in device memory of a job; does nothing where there is one rank. To merge what one rank has and
 * the others do not, whatever its type, those fill in zeros, and the sum is taken of its bits. In order with the
 * device's queue; may wait for it. */
enum fkm_status fkmi_merge(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref memory,
						   int64_t count, enum fkm_reduce op);

/* What has come of the merges of this call so far: for steps that look after many of them. */
enum fkm_status fkmi_merge_status(const struct fkmi_merge *merge);

#endif
