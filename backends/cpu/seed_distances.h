/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FKMI_CPU_SEED_DISTANCES_H
#define FKMI_CPU_SEED_DISTANCES_H

#include "cpu.h"

enum {
	FKMI_SEED_BLOCK = 64,      /* rows; a multiple of 4 */
	FKMI_SEED_CANDIDATES = 24, /* 2 + floor(ln 2^31) is 23 */
};

/* Doubles that fkmi_cpu_seed_distances() needs for points of d dimensions; zeroed before the first call. */
int64_t fkmi_cpu_seed_room(int64_t d);

/* out[c][i] = D of section 1 from row rows[i] of problem b to candidate c. At most FKMI_SEED_BLOCK rows, ascending, and
 * FKMI_SEED_CANDIDATES candidates, which are padded with zeros to a multiple of 8 dimensions. */
void fkmi_cpu_seed_distances(const struct fkmi_job *job, int64_t b, const int64_t *rows, int row_count,
							 const double *candidates, int candidate_count, double *room,
							 double (*out)[FKMI_SEED_BLOCK]);

#endif
