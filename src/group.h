/* SPDX-License-Identifier: Apache-2.0 */
/* A context of several devices: a context for each, which are ranks of one communicator, and a thread for each during a
 * call. Rows of the caller's host arrays are dealt to them, and results of rows put together. */
#ifndef FKMI_GROUP_H
#define FKMI_GROUP_H

#include "validate.h"

struct fkmi_group;

/* Opens the devices that params names. *group is NULL where it names none, and on failure. */
enum fkm_status fkmi_group_create(const struct fkm_context_params *params, struct fkmi_group **group);
void fkmi_group_destroy(struct fkmi_group *group);

/* The context of its first device, and the names of all. */
struct fkm_context *fkmi_group_first(const struct fkmi_group *group);
const char *fkmi_group_devices(const struct fkmi_group *group);

/* A public call; what its function lacks is NULL. */
struct fkmi_group_call {
	enum fkmi_call call;
	const struct fkm_array *points;
	const struct fkm_array *centroids;
	const int32_t *labels;
	const struct fkm_fit_params *params;
	struct fkm_fit_result *result;
	double *inertia;
};

/* Makes the call on all devices. context: the one of the group. */
enum fkm_status fkmi_group_run(const struct fkm_context *context, const struct fkmi_group_call *call);

#endif
