/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as text. */
#ifndef FKMI_PLAN_DESCRIBE_H
#define FKMI_PLAN_DESCRIBE_H

#include "plan.h"

/*
 * Writes problem, device limits, candidates, choice and workspace as lines of text. candidates is what fkmi_plan_make
 * filled for the request; plan is its choice, NULL if there was none. At most capacity bytes including the final 0 are
 * written (text may be NULL if capacity is 0). Returns the full size, the final 0 included.
 */
size_t fkmi_plan_print(const struct fkmi_plan_request *request, const struct fkmi_plan *plan,
					   const struct fkmi_candidates *candidates, const char *device_name, char *text, size_t capacity);

#endif
