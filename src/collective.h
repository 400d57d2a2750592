/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NCCL, or RCCL, which has the same functions under the same names: reductions between devices, without the host. The
 * libraries are opened at run time.
 *
 * A reduction ends when all ranks have come to it, and where one of them is gone, never. So nobody waits for a device on
 * which one may be in flight without looking whether it still goes on: each stands between two events, and from the first
 * of them on, which is when this rank's own work is done, its time runs.
 */
#ifndef FKMI_COLLECTIVE_H
#define FKMI_COLLECTIVE_H

#include "backend.h"

enum { FKMI_COLLECTIVE_ID_WORDS = 16 }; /* what rank 0 makes and all join by */

/* A rank's membership. */
struct fkmi_collective;

/* Whether the library of the device's backend can be used, with the reason if not. Thread-safe. */
enum fkm_status fkmi_collective_find(const struct fkmi_device *device);

enum fkm_status fkmi_collective_id(struct fkmi_device *device, int64_t words[FKMI_COLLECTIVE_ID_WORDS]);

/* A rank, and for how many seconds a reduction may keep it waiting; 0: for ever. */
struct fkmi_collective_rank {
	int32_t rank, ranks;
	double seconds;
};

/* Waits until all ranks have joined. The device then knows of it, until it is left. */
enum fkm_status fkmi_collective_join(struct fkmi_device *device, const int64_t words[FKMI_COLLECTIVE_ID_WORDS],
									 const struct fkmi_collective_rank *rank, struct fkmi_collective **collective);

/* Of int64 in memory of the device, on its queue. Does not wait, unless many are in flight. On failure all are
 * abandoned, unless the device is lost. */
enum fkm_status fkmi_collective_reduce(struct fkmi_device *device, void *values, int64_t count, enum fkm_reduce op);

/*
 * Returns when the event has happened or no reduction is in flight (FKMI_EVENTS: in the latter case), so that the caller
 * may wait for the device. FKM_ERROR_COMMUNICATOR where one fails or takes too long: then they are abandoned. Does
 * nothing where the device has no membership.
 */
enum fkm_status fkmi_collective_await(struct fkmi_device *device, int event);
static inline enum fkm_status fkmi_collective_wait(struct fkmi_device *device, int event)
{
	return device->collective == NULL ? FKM_OK : fkmi_collective_await(device, event);
}

/* Ends what is in flight, with whatever values, and the membership, without the other ranks; the last failure's sentence
 * stays. NULL is allowed. */
void fkmi_collective_abandon(struct fkmi_collective *collective);
bool fkmi_collective_abandoned(const struct fkmi_collective *collective); /* false for NULL */
/* Abandoned because this rank waited for the others too long, or NCCL failed meanwhile; false for NULL. */
bool fkmi_collective_in_vain(const struct fkmi_collective *collective);

/* lost: the device was; what the library has goes with it. NULL is allowed. */
void fkmi_collective_leave(struct fkmi_collective *collective, bool lost);

#endif
