/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the CPU backend share. */
#ifndef FKMI_CPU_H
#define FKMI_CPU_H

#include "backend.h"
#include "pool.h"

#define FKMI_INLINE static inline
#include "kernels/common/exact.h"
#include "kernels/common/random.h"

/* ---- features of the machine: bits of fkmi_limits.features ---- */
enum {
	FKMI_CPU_SSE2 = 1 << 0,
	FKMI_CPU_AVX2 = 1 << 1,   /* AVX2, FMA and F16C */
	FKMI_CPU_AVX512 = 1 << 2, /* F, BW, DQ, VL */
};
/* What the machine has, capped by the environment's FKM_CPU_ISA (portable, sse2, avx2 or avx512), which is read once
 * per process, at the first call. Cheap; thread-safe. */
uint64_t fkmi_cpu_features(void);
/* FKM_ERROR_INVALID_ARGUMENT if FKM_CPU_ISA is set to anything else. */
enum fkm_status fkmi_cpu_check_isa(void);

struct fkmi_cpu {
	struct fkmi_device device; /* first */
	struct fkmi_pool *pool;
};

/* ---- points.c: exact access to points, any dtype ---- */
/* The address of row i of problem b. */
const void *fkmi_cpu_row(const struct fkmi_job *job, int64_t b, int64_t i);
/* d coordinates of a row as exact doubles, multiplied by r for cosine (job->row_scale). */
void fkmi_cpu_load_row(const struct fkmi_job *job, int64_t b, int64_t i, double *out);
/* Weight of row i of problem b; 1 without weights. */
double fkmi_cpu_weight(const struct fkmi_job *job, int64_t b, int64_t i);

/* ---- assign/isa.c: section 1, dispatched to the best instruction set ---- */
/* D(x, c) of two rows of doubles. */
double fkmi_cpu_distance(const double *x, const double *c, int64_t d);
/* Adds sign * q (section 3.2; sign +1 or -1) of a row of doubles to sums: scale[j] = 2^g_j, weight = w (1: none). */
void fkmi_cpu_accumulate_row(const double *x, double weight, const double *scale, int64_t d, int sign, int64_t *sums);

/* ---- team.c: scratch of the steps outside assign/ ---- */
/* What these steps need of the job's scratch, of which fkmi_cpu_scratch_bytes() must say at least as much. They
 * overwrite it freely: prepare() comes between any of them and the next assign(). */
int64_t fkmi_cpu_step_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem);

/* ---- assign.c: the steps prepare, assign, accumulate; tiles, scratch_bytes, fuses ---- */
const struct fkmi_tile *fkmi_cpu_tiles(int32_t *count);
int64_t fkmi_cpu_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
							   const struct fkmi_plan *plan);
bool fkmi_cpu_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem, const struct fkmi_tile *tile);
enum fkm_status fkmi_cpu_prepare(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_cpu_assign(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span,
								enum fkmi_accumulate accumulate);
enum fkm_status fkmi_cpu_accumulate(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span,
									enum fkmi_accumulate accumulate);

#endif
