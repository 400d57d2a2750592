/* SPDX-License-Identifier: Apache-2.0 */
/* Starting centroids, docs/semantics.md section 6. */
#ifndef FKMI_SEED_H
#define FKMI_SEED_H

#include "job.h"

/* Makes the centroids that run (0 .. n_init-1) of the fit starts from. */
enum fkm_status fkmi_seed(struct fkmi_work *work, int32_t run);

/* k distinct row numbers out of n, in drawn order. Exposed for tests. */
enum fkm_status fkmi_random_rows(uint64_t seed, uint32_t run, int64_t n, int64_t k, int64_t *rows);

#endif
