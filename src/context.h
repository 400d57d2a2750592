/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FKMI_CONTEXT_H
#define FKMI_CONTEXT_H

#include "backend.h"
#include "registry.h"

struct fkmi_group; /* group.h */

struct fkm_context {
	struct fkmi_device *device;
	struct fkmi_logger logger;
	int64_t memory_budget_bytes; /* 0: the device's */
	int threads;                 /* for the host's part of the work */
	bool lost;                   /* after FKM_ERROR_DEVICE_LOST */
	struct fkmi_merge *merge;    /* NULL: no other ranks */
	struct fkmi_group *group;    /* NULL: one device. Else `device` is the first one's, and belongs to the group */
};

/* A context around an open device, whose ownership it takes (also on failure: then the device is closed). */
enum fkm_status fkmi_context_adopt(struct fkmi_device *device, struct fkm_context **context);

/* Makes it a rank of a communicator (NULL: none). */
enum fkm_status fkmi_context_join(struct fkm_context *context, const struct fkm_communicator *communicator);

/* FKM_OK, or the error of a NULL or lost context. */
enum fkm_status fkmi_context_check(const struct fkm_context *context);

#endif
