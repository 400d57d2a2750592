/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CUDA, HIP and OpenCL share: every step of the vtable as a sequence of kernel launches, written once (steps*.c),
 * over the few things in which their drivers differ (struct fkmi_gpu_driver). A backend supplies a driver, memory
 * functions and, where it has them, assignment kernels of its own; its struct fkmi_backend takes the steps from here.
 *
 * The kernels behind the names are in kernels/common/, in the C that the three languages share.
 */
#ifndef FKMI_GPU_H
#define FKMI_GPU_H

#include "backend.h"

struct fkmi_gpu;

/* ---- sizes ---- */

static inline int64_t fkmi_gpu_divide_up(int64_t a, int64_t b)
{
	return a / b + (a % b != 0);
}

static inline int64_t fkmi_gpu_round_up(int64_t a, int64_t b)
{
	return fkmi_gpu_divide_up(a, b) * b;
}

static inline int64_t fkmi_gpu_least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

enum { FKMI_GPU_ALIGNMENT = 256 }; /* bytes, of each part of scratch */

/* Takes rows x columns elements of that many bytes, none of them negative, at *end, which moves behind them; returns where
 * they begin. -1, and *end is -1 from then on, if it overflows. */
int64_t fkmi_gpu_take(int64_t *end, int64_t rows, int64_t columns, int64_t element);

/* ---- launches ---- */

/* One kernel argument: a plain value, or a place in device memory (a pointer, or a cl_mem and an offset). */
struct fkmi_gpu_arg {
	enum { FKMI_GPU_VALUE, FKMI_GPU_REF } kind;
	uint32_t bytes; /* of a value: 4 or 8 */
	union {
		int32_t i32;
		int64_t i64;
		uint64_t u64;
		struct fkmi_ref ref; /* base NULL: a null pointer */
	} value;
};

static inline struct fkmi_gpu_arg fkmi_gpu_i32(int32_t value)
{
	return (struct fkmi_gpu_arg){FKMI_GPU_VALUE, 4, {.i32 = value}};
}
static inline struct fkmi_gpu_arg fkmi_gpu_i64(int64_t value)
{
	return (struct fkmi_gpu_arg){FKMI_GPU_VALUE, 8, {.i64 = value}};
}
static inline struct fkmi_gpu_arg fkmi_gpu_place(struct fkmi_ref ref)
{
	return (struct fkmi_gpu_arg){FKMI_GPU_REF, 0, {.ref = ref}};
}

struct fkmi_gpu_launch {
	const char *kernel;  /* name in the module; drivers look it up once and keep it */
	int64_t groups;      /* work groups (one dimension; kernels loop, so it may be capped at INT32_MAX) */
	int32_t group;       /* work items per group */
	int32_t local_bytes; /* dynamic local (shared) memory */
	int32_t argument_count;
	const struct fkmi_gpu_arg *arguments;
	const struct fkmi_tile *tile; /* whose kernel it is, which may have groups of another size; NULL: all tiles' */
};

struct fkmi_gpu_driver {
	/* Enqueues a kernel; does not wait. FKM_ERROR_BACKEND, or FKM_ERROR_DEVICE_LOST, naming the kernel and the code. */
	enum fkm_status (*launch)(struct fkmi_gpu *gpu, const struct fkmi_gpu_launch *launch);
	/* Assignment by a kernel of the backend's own (plan.tile->needs says which): prepare and the filter pass. NULL
	 * where the backend has only the portable tile. */
	enum fkm_status (*prepare_native)(struct fkmi_gpu *gpu, const struct fkmi_job *job);
	enum fkm_status (*assign_native)(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
									 enum fkmi_accumulate accumulate);
	/* Whether memory that is a handle begins at a multiple of 16 bytes. NULL: memory is pointers. */
	bool (*is_aligned)(const struct fkmi_gpu *gpu, void *handle);
};

/* An open GPU; backends embed it as the first member of their own struct. */
struct fkmi_gpu {
	struct fkmi_device device;
	const struct fkmi_gpu_driver *driver;
};

/* Whether rows of points can be read `elements` (4 or 8) at a time. */
bool fkmi_gpu_reads_wide(const struct fkmi_device *device, const struct fkmi_job *job, int64_t elements);

/* The steps, for struct fkmi_backend of each GPU backend. */
enum fkm_status fkmi_gpu_check_points(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_gpu_check_weights(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_gpu_row_norms(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_gpu_grids(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_gpu_variances(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_gpu_load_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref from,
										enum fkm_dtype dtype, int64_t row_stride, int64_t batch_stride);
enum fkm_status fkmi_gpu_round_centroids(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_gpu_store_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref to,
										 enum fkm_dtype dtype);
enum fkm_status fkmi_gpu_gather_centroids(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref rows);
enum fkm_status fkmi_gpu_seed_first(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_draw draw);
enum fkm_status fkmi_gpu_seed_next(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_draw draw,
								   int64_t k);
enum fkm_status fkmi_gpu_prepare(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_gpu_assign(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span,
								enum fkmi_accumulate accumulate);
enum fkm_status fkmi_gpu_accumulate(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span,
									enum fkmi_accumulate accumulate);
enum fkm_status fkmi_gpu_relocate(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_gpu_finish(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_gpu_distances(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span);
enum fkm_status fkmi_gpu_count(struct fkmi_device *device, const struct fkmi_job *job);
enum fkm_status fkmi_gpu_sort(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref order,
							  struct fkmi_ref offsets);

/* The same, as initialisers of a struct fkmi_backend. */
#define FKMI_GPU_STEPS                                                                                                 \
	.check_points = fkmi_gpu_check_points, .check_weights = fkmi_gpu_check_weights, .row_norms = fkmi_gpu_row_norms,   \
	.grids = fkmi_gpu_grids, .variances = fkmi_gpu_variances, .load_centroids = fkmi_gpu_load_centroids,               \
	.round_centroids = fkmi_gpu_round_centroids, .store_centroids = fkmi_gpu_store_centroids,                          \
	.gather_centroids = fkmi_gpu_gather_centroids, .seed_first = fkmi_gpu_seed_first, .seed_next = fkmi_gpu_seed_next, \
	.prepare = fkmi_gpu_prepare, .assign = fkmi_gpu_assign, .accumulate = fkmi_gpu_accumulate,                         \
	.relocate = fkmi_gpu_relocate, .finish = fkmi_gpu_finish, .distances = fkmi_gpu_distances,                         \
	.count = fkmi_gpu_count, .sort = fkmi_gpu_sort

/* Of an iteration by steps, for ranking: some twenty launches. */
#define FKMI_GPU_SECONDS_PER_CHUNK 50e-6

/* The entry in a backend's tile table of the tile that every module of kernels/common/kernels.h has, and the bytes of
 * scratch that the steps need. */
extern const struct fkmi_tile fkmi_gpu_portable_tile;
enum { FKMI_GPU_D_MAX = INT32_MAX - 1024, FKMI_GPU_K_MAX = INT32_MAX - 1024 }; /* leave room for padding */
int64_t fkmi_gpu_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
							   const struct fkmi_plan *plan);

#endif
