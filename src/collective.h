/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL, or RCCL, which has the same functions under the same names: reductions between devices, without the host. The
 * libraries are opened at run time. */
#ifndef FKMI_COLLECTIVE_H
#define FKMI_COLLECTIVE_H

#include "backend.h"

enum { FKMI_COLLECTIVE_ID_WORDS = 16 }; /* what rank 0 makes and all join by */

/* A rank's membership. */
struct fkmi_collective;

/* Whether the library of the device's backend can be used, with the reason if not. Thread-safe. */
enum fkm_status fkmi_collective_find(const struct fkmi_device *device);

enum fkm_status fkmi_collective_id(struct fkmi_device *device, int64_t words[FKMI_COLLECTIVE_ID_WORDS]);

/* Waits until all ranks have joined. */
enum fkm_status fkmi_collective_join(struct fkmi_device *device, const int64_t words[FKMI_COLLECTIVE_ID_WORDS],
									 int32_t rank, int32_t ranks, struct fkmi_collective **collective);

/* Of int64 in memory of the device, on its queue; does not wait. */
enum fkm_status fkmi_collective_reduce(struct fkmi_collective *collective, struct fkmi_device *device, void *values,
									   int64_t count, enum fkm_reduce op);

/* NULL is allowed. */
void fkmi_collective_leave(struct fkmi_collective *collective, struct fkmi_device *device);

#endif
