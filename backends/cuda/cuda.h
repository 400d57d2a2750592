/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the CUDA backend share. */
#ifndef FKMI_CUDA_H
#define FKMI_CUDA_H

#include "driver.h"

/* Bits of fkmi_limits.features, for fkmi_tile.needs. */
enum {
	FKMI_CUDA_SM80 = 1 << 0, /* compute capability 8.0 or later: mma.sync, cp.async */
	FKMI_CUDA_SM90 = 1 << 1, /* exactly 9.0: wgmma and TMA (sm_90a code runs nowhere else) */
};

/* The code embedded in the library. */
enum fkmi_cuda_image { FKMI_CUDA_IMAGE_COMMON, FKMI_CUDA_IMAGE_MATRIX, FKMI_CUDA_IMAGE_SM90, FKMI_CUDA_IMAGES };

/* An open CUDA device: a context and a stream. */
struct fkmi_cuda {
	struct fkmi_runtime_gpu base; /* first */
	const struct fkmi_cuda_driver *driver;
	fkmi_cu_context context; /* the device's primary context, or the one of the caller's stream */
	bool owns_context;       /* retained */
};

/* ---- backend.c ---- */
extern const struct fkmi_runtime fkmi_cuda_runtime;

static inline enum fkm_status fkmi_cuda_check(fkmi_cu_result result, const char *what, enum fkm_status other)
{
	return fkmi_runtime_check(&fkmi_cuda_runtime, result, what, other);
}

/* ---- device.c: members of fkmi_cuda_runtime ---- */
enum fkm_status fkmi_cuda_identify(fkmi_cu_device device, struct fkmi_runtime_facts *facts);
enum fkm_status fkmi_cuda_adopt(struct fkmi_runtime_gpu *gpu, const struct fkmi_open_params *params);
enum fkm_status fkmi_cuda_acquire(struct fkmi_runtime_gpu *gpu);
void fkmi_cuda_release(struct fkmi_runtime_gpu *gpu);
fkmi_cu_result fkmi_cuda_enter(struct fkmi_runtime_gpu *gpu);
void fkmi_cuda_leave(struct fkmi_runtime_gpu *gpu);

/* ---- launch.c ---- */
struct fkmi_cuda_launch {
	const char *kernel; /* extern "C" name in any image */
	int64_t blocks;     /* 0: nothing is launched */
	int32_t threads;
	int32_t local_bytes; /* dynamic shared memory; the kernel's limit is raised as needed */
	int32_t cluster;     /* blocks per cluster; 0: none */
	bool together;       /* all blocks are resident at once, so that they may wait for each other, or it fails */
	bool overlap;        /* may start before its predecessor ends: the kernel itself waits (griddepcontrol.wait) */
	void **arguments;    /* one pointer to the value of each parameter */
};
enum fkm_status fkmi_cuda_launch(struct fkmi_cuda *cuda, const struct fkmi_cuda_launch *launch);
/* The same without what only CUDA has: fkmi_runtime.launch. */
enum fkm_status fkmi_cuda_launch_plain(struct fkmi_runtime_gpu *gpu, const struct fkmi_runtime_launch *launch);

/* fkmi_backend.kernel_facts */
enum fkm_status fkmi_cuda_kernel_facts(struct fkmi_device *device, const char *kernel, struct fkmi_kernel_facts *facts);

/* Row-major matrices for the bulk tensor copy engine: strides are multiples of 16 bytes, the address is 16-byte
 * aligned. A copy moves a box of box_rows x box_columns of one matrix, at coordinates (column, row, matrix); beyond the
 * edges of that matrix come zeros. type, swizzle and promotion are constants of driver.h. A pure function of its
 * arguments. */
struct fkmi_cuda_matrices {
	fkmi_cu_pointer address;
	uint64_t count, rows, columns;
	uint64_t stride_bytes, row_stride_bytes; /* from matrix to matrix, from row to row */
	uint32_t box_rows, box_columns;
	int type, swizzle, l2_promotion;
};
enum fkm_status fkmi_cuda_tensor_map(struct fkmi_cuda *cuda, const struct fkmi_cuda_matrices *matrices,
									 struct fkmi_cu_tensor_map *map);

/* ---- tiles.c: planning, and the steps by kernels of the backend's own ---- */
const struct fkmi_tile *fkmi_cuda_tiles(int32_t *count);
int64_t fkmi_cuda_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
								const struct fkmi_plan *plan);
bool fkmi_cuda_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
					 const struct fkmi_tile *tile);
const char *fkmi_cuda_refuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
							  const struct fkmi_tile *tile);
bool fkmi_cuda_iterates(const struct fkmi_tile *tile);
enum fkm_status fkmi_cuda_prepare(struct fkmi_gpu *gpu, const struct fkmi_job *job);
enum fkm_status fkmi_cuda_assign(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
								 enum fkmi_accumulate accumulate);
enum fkm_status fkmi_cuda_iterate(struct fkmi_device *device, const struct fkmi_job *job, bool anew, int32_t count);
/* Where the scratch of a backend's own kernels begins in job->scratch: behind that of the common steps, but for what is
 * used only while assign runs, which lies over theirs. */
struct fkmi_ref fkmi_cuda_native_scratch(const struct fkmi_limits *limits, const struct fkmi_job *job);

/* ---- assign_sm90.c: FlashAssign, for tiles that need FKMI_CUDA_SM90 ---- */
extern const struct fkmi_tile fkmi_cuda_sm90_tiles[];
extern const int32_t fkmi_cuda_sm90_tile_count;
/* Bytes at fkmi_cuda_native_scratch(), and of those used only while assign runs; -1: cannot. */
int64_t fkmi_cuda_sm90_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
									 const struct fkmi_plan *plan);
int64_t fkmi_cuda_sm90_passing_bytes(const struct fkmi_problem *problem, const struct fkmi_plan *plan);
bool fkmi_cuda_sm90_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
						  const struct fkmi_tile *tile);
enum fkm_status fkmi_cuda_sm90_prepare(struct fkmi_gpu *gpu, const struct fkmi_job *job);
enum fkm_status fkmi_cuda_sm90_assign(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
									  enum fkmi_accumulate accumulate);

/* ---- assign_split.c: the same for few dimensions ---- */
extern const struct fkmi_tile fkmi_cuda_split_tiles[];
extern const int32_t fkmi_cuda_split_tile_count;
int64_t fkmi_cuda_split_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
									  const struct fkmi_plan *plan);
bool fkmi_cuda_split_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
						   const struct fkmi_tile *tile);
enum fkm_status fkmi_cuda_split_prepare(struct fkmi_gpu *gpu, const struct fkmi_job *job);
enum fkm_status fkmi_cuda_split_assign(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
									   enum fkmi_accumulate accumulate);

/* ---- small.c: whole iterations of small problems ---- */
extern const struct fkmi_tile fkmi_cuda_small_tiles[];
extern const int32_t fkmi_cuda_small_tile_count;
const char *fkmi_cuda_small_refuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem);
int64_t fkmi_cuda_small_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
									  const struct fkmi_plan *plan);
bool fkmi_cuda_small_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
						   const struct fkmi_tile *tile);
enum fkm_status fkmi_cuda_small_prepare(struct fkmi_gpu *gpu, const struct fkmi_job *job);
enum fkm_status fkmi_cuda_small_assign(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
									   enum fkmi_accumulate accumulate);
enum fkm_status fkmi_cuda_small_iterate(struct fkmi_gpu *gpu, const struct fkmi_job *job, bool anew, int32_t count);

#endif
