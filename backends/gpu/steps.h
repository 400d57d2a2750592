/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the common steps share: launching, and where things lie in scratch. */
#ifndef FKMI_GPU_STEPS_H
#define FKMI_GPU_STEPS_H

#include "error.h"
#include "gpu.h"
#include "merge.h"
#include "windows.h"

/* exact.h and random.h come along for the host; the kernels' own headers do not. */
#define FKMI_INLINE static inline
#include "kernels/common/exact.h"
#include "kernels/common/state.h"

/* ---- launch.c ---- */

/* A launch being put together: arguments are added in the order of the kernel's parameters. */
struct fkmi_gpu_call {
	struct fkmi_device *device;
	const struct fkmi_job *job;
	const char *kernel;
	int32_t local_bytes;
	const struct fkmi_tile *tile; /* as in struct fkmi_gpu_launch */
	int32_t count;
	struct fkmi_gpu_arg arguments[48];
};

/* Begins with the parameter `active`, which nearly all kernels have first: the job's, or that of some of its problems.
 */
struct fkmi_gpu_call fkmi_gpu_call(struct fkmi_device *device, const struct fkmi_job *job, const char *kernel);
struct fkmi_gpu_call fkmi_gpu_call_for(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref active,
									   const char *kernel);
void fkmi_gpu_add_ref(struct fkmi_gpu_call *call, struct fkmi_ref ref);
void fkmi_gpu_add_i32(struct fkmi_gpu_call *call, int64_t value);
void fkmi_gpu_add_i64(struct fkmi_gpu_call *call, int64_t value);
void fkmi_gpu_add_points(struct fkmi_gpu_call *call);                      /* FKMI_POINTS_ARGS */
void fkmi_gpu_add_weights(struct fkmi_gpu_call *call);                     /* FKMI_WEIGHTS_ARGS */
void fkmi_gpu_add_span(struct fkmi_gpu_call *call, struct fkmi_span span); /* row, rows */
/* Launches as many groups as there are pieces of work, up to a cap: kernels loop. */
enum fkm_status fkmi_gpu_run(const struct fkmi_gpu_call *call, int64_t work);
/* One item for each of `count` elements. */
enum fkm_status fkmi_gpu_run_elements(const struct fkmi_gpu_call *call, int64_t count);

/* Fills memory of the job, in order with the launches. */
enum fkm_status fkmi_gpu_fill(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes);

/* The smallest power of two from value up, at most FKMI_GROUP. */
static inline int32_t fkmi_gpu_lanes(int64_t value)
{
	int32_t lanes = 1;
	while (lanes < value && lanes < FKMI_GROUP)
		lanes *= 2;
	return lanes;
}

/* A pass over all points in a step: the call, which gives a status, at each window w of the job (windows.h). */
#define FKMI_GPU_PASS(job, w, call)                                                                                    \
	for (struct fkmi_window w = {0};;) {                                                                               \
		FKMI_TRY(fkmi_next_window(job, (job)->problem.n, &w));                                                         \
		if (w.span.rows == 0)                                                                                          \
			break;                                                                                                     \
		FKMI_TRY(call);                                                                                                \
	}

/* ---- scratch.c ---- */

/* Offsets in bytes, and sizes that go with them. Parts of different steps lie on top of each other where one step's may
 * be overwritten by the other; what prepare leaves for assign, and what accumulate needs, do not. */
struct fkmi_gpu_layout {
	/* The portable and the matrix-core tiles: what prepare leaves, and the rows that assign could not decide at once. */
	int64_t padded_k, padded_d, slots;
	int64_t mu, panels, halves, norms, norm_max, table, slot_of;
	int64_t operands, measures;                       /* in place of panels and norms: kernels/matrix/operands.h */
	int64_t list_counts, listed, thresholds, scanned; /* list_counts: of listed, then of scanned */
	/* accumulate */
	bool local_sums;
	int64_t changed, used, places, heads, zeroed_bytes; /* zeroed before each span */
	int64_t list, list_rows, head_words;                /* of each problem: places in the list, words of heads */
	bool list_over_distances;                           /* which the job has, and which are free then */
	/* relocate and finish */
	int64_t sort_size;
	int64_t due, move_count, move_rows, move_targets, move_heads, move_next, sort_keys, sort_rows, shifts;
	int64_t shown_rows, shown_targets, shown; /* several ranks: kernels/common/ranks.h */
	/* seeding */
	int32_t trials;
	int64_t sum_rows, sum_blocks;
	int64_t seed_sums, picked, candidates, potentials, highest;
	int64_t shares; /* several ranks */
	/* variances */
	int64_t center, scale, moments;
	/* distances; sort */
	int64_t largest;
	int64_t sort_rows_per_block, sort_blocks, sort_places;

	int64_t bytes; /* -1: too much, or more rows than the lists can number */
};

struct fkmi_gpu_layout fkmi_gpu_layout_make(const struct fkmi_problem *problem, const struct fkmi_plan *plan);

static inline struct fkmi_gpu_layout fkmi_gpu_layout_of(const struct fkmi_job *job)
{
	return fkmi_gpu_layout_make(&job->problem, &job->plan);
}

static inline struct fkmi_ref fkmi_gpu_scratch(const struct fkmi_job *job, int64_t offset)
{
	return fkmi_ref_add(job->scratch, offset);
}

/* ---- shared by steps ---- */

/* relocate_ranks.c: the step relocate among several ranks, once `due` says which problems have empty clusters. It moves
 * the points of the totals, so that there are no moves left for finish. */
enum fkm_status fkmi_gpu_relocate_ranks(struct fkmi_device *device, const struct fkmi_job *job,
										const struct fkmi_gpu_layout *l);

/* steps_results.c: D of the rows of those problems to their own centroids, into distances; largest (none: no inertia)
 * as in kernels/common/results.h. */
enum fkm_status fkmi_gpu_take_distances(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref active,
										struct fkmi_span span, struct fkmi_ref largest);

#endif
