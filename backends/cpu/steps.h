/* SPDX-License-Identifier: Apache-2.0 */
/* The steps outside assign/, and what they share. src/backend.h says what each step does. */
#ifndef FKMI_CPU_STEPS_H
#define FKMI_CPU_STEPS_H

#include "cpu.h"
#include "error.h"
#include "merge.h"

/* ---- loops that the compiler vectorises for each instruction set ---- */
#if defined(__GNUC__)
#define FKMI_CPU_INLINE static inline __attribute__((always_inline))
#else
#define FKMI_CPU_INLINE static inline
#endif

/* Defines a function that runs name##_body, which must be FKMI_CPU_INLINE and return nothing, compiled for the best
 * instruction set. parameters and arguments are in parentheses. */
#if defined(__x86_64__)
#define FKMI_CPU_DISPATCH(name, parameters, arguments)                                                                 \
	__attribute__((target("avx2,fma"))) static void name##_avx2 parameters                                             \
	{                                                                                                                  \
		name##_body arguments;                                                                                         \
	}                                                                                                                  \
	__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))) static void name##_avx512 parameters             \
	{                                                                                                                  \
		name##_body arguments;                                                                                         \
	}                                                                                                                  \
	static void name parameters                                                                                        \
	{                                                                                                                  \
		uint64_t features = fkmi_cpu_features();                                                                       \
		if (features & FKMI_CPU_AVX512)                                                                                \
			name##_avx512 arguments;                                                                                   \
		else if (features & FKMI_CPU_AVX2)                                                                             \
			name##_avx2 arguments;                                                                                     \
		else                                                                                                           \
			name##_body arguments;                                                                                     \
	}
#else
#define FKMI_CPU_DISPATCH(name, parameters, arguments)                                                                 \
	static void name parameters                                                                                        \
	{                                                                                                                  \
		name##_body arguments;                                                                                         \
	}
#endif

/* ---- check.c ---- */
enum fkm_status fkmi_cpu_check_points(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_cpu_check_weights(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_cpu_row_norms(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_cpu_grids(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_cpu_variances(struct fkmi_device *device, const struct fkmi_job *job);

/* ---- centroids.c ---- */
enum fkm_status fkmi_cpu_load_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref from,
										enum fkm_dtype dtype, int64_t row_stride, int64_t batch_stride);
enum fkm_status fkmi_cpu_round_centroids(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_cpu_store_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref to,
										 enum fkm_dtype dtype);
enum fkm_status fkmi_cpu_gather_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref rows);
enum fkm_status fkmi_cpu_finish(struct fkmi_device *device, const struct fkmi_job *job);

/* ---- seed.c, relocate.c, results.c ---- */
enum fkm_status fkmi_cpu_seed_first(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_draw draw);
enum fkm_status fkmi_cpu_seed_next(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_draw draw,
								   int64_t k);
enum fkm_status fkmi_cpu_relocate(struct fkmi_device *device, const struct fkmi_job *job);
/* Sets the state's empty and first_empty. */
void fkmi_cpu_find_empty(const struct fkmi_job *job, int64_t b);
enum fkm_status fkmi_cpu_distances(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span);
enum fkm_status fkmi_cpu_count_labels(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_cpu_sort(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref order,
							  struct fkmi_ref offsets);

/* ---- memory of the steps ---- */
/* The most that one step needs of the scratch for a single worker: shared by the workers on a problem, and of each. */
struct fkmi_cpu_need {
	int64_t shared_bytes, part_bytes;
};
struct fkmi_cpu_need fkmi_cpu_check_need(const struct fkmi_problem *problem);
struct fkmi_cpu_need fkmi_cpu_centroids_need(const struct fkmi_problem *problem);
struct fkmi_cpu_need fkmi_cpu_seed_need(const struct fkmi_problem *problem);
struct fkmi_cpu_need fkmi_cpu_relocate_need(const struct fkmi_problem *problem);
struct fkmi_cpu_need fkmi_cpu_results_need(const struct fkmi_problem *problem);

/* ---- team.c: the workers of one problem ---- */
/*
 * A step is written for one problem. Its passes over rows run on a team: the whole pool where one problem keeps the
 * pool busy; a single thread where the pool works on many problems at once.
 */
struct fkmi_cpu_team {
	struct fkmi_pool *pool; /* NULL: the calling thread alone */
	char *scratch;          /* the team's own part of the job's */
	int64_t scratch_bytes;
};

/* Calls fn for each active problem. work: about how many simple operations one problem is. need: what fn asks of its
 * team's scratch. */
typedef void (*fkmi_cpu_problem_fn)(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b,
									void *context);
void fkmi_cpu_each_problem(struct fkmi_device *device, const struct fkmi_job *job, int64_t work,
						   struct fkmi_cpu_need need, fkmi_cpu_problem_fn fn, void *context);

/* The same where fn merges: problems in turn and in order, if there are several ranks. What came of the merges; after
 * one that failed fn just returns. */
enum fkm_status fkmi_cpu_each_merged(struct fkmi_device *device, const struct fkmi_job *job, int64_t work,
									 struct fkmi_cpu_need need, fkmi_cpu_problem_fn fn, void *context);
/* fkmi_merge() of host memory. */
static inline enum fkm_status fkmi_cpu_merge(const struct fkmi_job *job, void *values, int64_t count,
											 enum fkm_reduce op)
{
	return job->merge == NULL ? FKM_OK : fkmi_merge_values(job->merge, values, count, op);
}

/* Scratch of a team: one shared block, then a block for each worker. */
struct fkmi_cpu_parts {
	int count;
	char *shared, *first;
	int64_t part_bytes;
};
/* As many parts as the team's threads, its scratch and the work call for. */
struct fkmi_cpu_parts fkmi_cpu_split(const struct fkmi_cpu_team *team, struct fkmi_cpu_need need, int64_t work);
static inline void *fkmi_cpu_part(const struct fkmi_cpu_parts *parts, int part)
{
	return parts->first + part * parts->part_bytes;
}

/* Splits 0 .. count-1 into ranges of at most grain, and calls fn for each on some worker with its part, in no order. */
typedef void (*fkmi_cpu_range_fn)(void *context, int part, int64_t begin, int64_t end);
void fkmi_cpu_run(const struct fkmi_cpu_team *team, int parts, int64_t count, int64_t grain, fkmi_cpu_range_fn fn,
				  void *context);

/* Rows of a range for points of d dimensions: enough work to be worth taking, small enough to share evenly. */
int64_t fkmi_cpu_grain(int64_t d);

/* ---- points.c: more of it ---- */
/* d coordinates as exact doubles, times scale. */
void fkmi_cpu_convert(const void *from, enum fkm_dtype dtype, int64_t d, double scale, double *out);

/* r of section 1; 1 for the Euclidean metric. */
static inline double fkmi_cpu_row_scale(const struct fkmi_job *job, int64_t b, int64_t i)
{
	return job->row_scale.base ? ((const double *)fkmi_ref_ptr(job->row_scale))[b * job->problem.n + i] : 1;
}

/* ---- results.c: more of it ---- */
struct fkmi_cpu_limbs {
	int64_t high, low; /* H and T of section 5 */
};
/* D of each row of the span to its label's centroid into distances, where the job has them; sum: of w * D on the grid
 * of that scale. */
void fkmi_cpu_take_distances(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b,
							 struct fkmi_span span, double scale, struct fkmi_cpu_limbs *sum);

/* d rounded up, so that rows padded with zeros can be summed eight at a time: zeros do not change R8. */
static inline int64_t fkmi_cpu_pad8(int64_t d)
{
	return (d + 7) / 8 * 8;
}

/* rint(value) for |value| <= 2^51, in a form that vectorises without AVX-512. */
static inline int64_t fkmi_cpu_rint(double value)
{
	union {
		double value;
		uint64_t bits;
	} u, magic = {.value = 6755399441055744.0}; /* 1.5 * 2^52: the sum's last bit is worth 1 */
	u.value = value + magic.value;
	return (int64_t)(u.bits - magic.bits);
}

static inline struct fkmi_state *fkmi_cpu_state(const struct fkmi_job *job, int64_t b)
{
	return (struct fkmi_state *)fkmi_ref_ptr(job->state) + b;
}
static inline double *fkmi_cpu_doubles(struct fkmi_ref ref, int64_t index)
{
	return (double *)fkmi_ref_ptr(ref) + index;
}
static inline int64_t *fkmi_cpu_int64s(struct fkmi_ref ref, int64_t index)
{
	return (int64_t *)fkmi_ref_ptr(ref) + index;
}
static inline int32_t *fkmi_cpu_labels(const struct fkmi_job *job, int64_t b)
{
	return (int32_t *)fkmi_ref_ptr(job->labels) + b * job->problem.n;
}

#endif
