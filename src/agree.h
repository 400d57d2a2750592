/* SPDX-License-Identifier: Apache-2.0 */
/* What opens a call of several ranks. */
#ifndef FKMI_AGREE_H
#define FKMI_AGREE_H

#include "merge.h"
#include "validate.h"

/*
 * Sees that all ranks make the same call and sets what only all of them know: of the problem n_all and weighted; first_row,
 * watched, kept, wants_inertia and rounds. status: what this rank's own check of its arguments came to; on failure *request
 * need not be filled. Does nothing but pass status on where merge is NULL.
 */
enum fkm_status fkmi_agree(struct fkmi_merge *merge, enum fkmi_call call, struct fkmi_request *request,
						   enum fkm_status status);

#endif
