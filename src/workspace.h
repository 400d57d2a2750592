/* SPDX-License-Identifier: Apache-2.0 */
/* How the arrays of a job share one block of device memory. */
#ifndef FKMI_WORKSPACE_H
#define FKMI_WORKSPACE_H

#include "backend.h"

/* Bytes of the job's arrays for a plan (scratch included, staging of host arrays not); -1 if that overflows. */
int64_t fkmi_workspace_bytes(const struct fkmi_problem *problem, const struct fkmi_plan *plan);

/* Points the refs of job (problem and plan set) into a block of that size, each 256-byte aligned; not labels where the
 * problem places them. */
void fkmi_workspace_place(struct fkmi_job *job, struct fkmi_ref block);

#endif
