/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flashkmeans: exact k-means for GPUs and CPUs.
 *
 * The result of a fit is that of Lloyd's algorithm in double precision on the data as given, the same bit for bit on
 * every backend, for any number of threads or devices, and from run to run. docs/semantics.md defines every bit.
 *
 * Conventions
 *   Shapes      Arrays are written [b, n, d]: b problems of n points in d dimensions, row-major. Strides and leading
 *               dimensions count elements, not bytes. A single problem has batch = 1.
 *   Ownership   The caller owns every pointer passed in or out. The library keeps none of them after a call returns,
 *               except those given to fkm_context_create (documented there).
 *   Waiting     With host pointers, or on the CPU backend, a call returns when its results are in place. What a call on
 *               a device queue waits for is said at the call.
 *   Threads     Different contexts may be used at the same time from different threads. One context is used by one
 *               thread at a time. After fork() the child must not use a context of the parent.
 *   Errors      Every call that can fail returns enum fkm_status. fkm_error_message() is one sentence that names the
 *               argument and the value. A failed call leaves its inputs untouched and the context usable (except after
 *               FKM_ERROR_DEVICE_LOST, when the context can only be destroyed); outputs are then unspecified. The
 *               library never prints, aborts, exits or installs handlers.
 *   Growth      Structs whose first member is struct_size are filled by their _init function before use, so that a
 *               program compiled against an older header keeps working. In pointers, sizes and strides, zero means
 *               the default; the values that _init sets are the defaults of the rest.
 */
#ifndef FLASHKMEANS_H
#define FLASHKMEANS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FKM_VERSION_MAJOR 0
#define FKM_VERSION_MINOR 1
#define FKM_VERSION_PATCH 0

#if defined(_WIN32)
#define FKM_API
#elif defined(__GNUC__)
#define FKM_API __attribute__((visibility("default")))
#else
#define FKM_API
#endif

/* ---- status --------------------------------------------------------------------------------------------------- */

enum fkm_status {
	FKM_OK = 0,
	FKM_ERROR_INVALID_ARGUMENT = 1, /* a value that no data could make right; the message names it */
	FKM_ERROR_NONFINITE = 2,        /* NaN or infinity in points or centroids; the message says where */
	FKM_ERROR_OVERFLOW = 3,         /* sizes whose product, or values whose squares, pass what can be represented */
	FKM_ERROR_OUT_OF_MEMORY = 4,    /* host or device memory, or the caller's budget or workspace */
	FKM_ERROR_UNSUPPORTED = 5,      /* valid, but not on this backend or build */
	FKM_ERROR_NO_DEVICE = 6,        /* the backend or device asked for is not there; the message lists why */
	FKM_ERROR_DEVICE_LOST = 7,      /* the device failed; destroy the context */
	FKM_ERROR_BACKEND = 8,          /* a driver call failed; the message names it and its code */
	FKM_ERROR_EMPTY_CLUSTER = 9,    /* a cluster lost its points under FKM_EMPTY_ERROR */
	FKM_CANCELLED = 10,             /* the progress callback ended the fit; the results are valid */
	FKM_ERROR_INTERNAL = 11,        /* a defect of the library */
	FKM_ERROR_COMMUNICATOR = 12     /* the communicator failed, its time ran out, or its ranks make different calls */
};

/* The name of a status, "FKM_OK" and so on; static storage, never NULL. */
FKM_API const char *fkm_status_name(enum fkm_status status);

/* The sentence of the last failed call on this thread; "" if none failed. Valid until the thread's next failing call. */
FKM_API const char *fkm_error_message(void);

/* "major.minor.patch" of the library at run time; static storage. */
FKM_API const char *fkm_version(void);

/* ---- arrays --------------------------------------------------------------------------------------------------- */

enum fkm_dtype {
	FKM_F16 = 1,  /* IEEE binary16 */
	FKM_BF16 = 2, /* bfloat16 */
	FKM_F32 = 3,
	FKM_F64 = 4 /* centroids and weights only, never points */
};

enum fkm_memory {
	FKM_MEMORY_HOST = 0,  /* reachable by the CPU */
	FKM_MEMORY_DEVICE = 1 /* memory of the context's device: a device pointer, for OpenCL a cl_mem */
};

/* A view of a caller's array of shape [batch, rows, dims]. Elements of a row are adjacent. */
struct fkm_array {
	const void *data;
	enum fkm_dtype dtype;
	enum fkm_memory memory;
	int64_t offset_bytes; /* added to data (needed for cl_mem); a multiple of the element size */
	int64_t batch;        /* 1 for a single problem */
	int64_t rows;
	int64_t dims;
	int64_t row_stride;   /* elements from row to row, at least dims; 0: dims */
	int64_t batch_stride; /* elements from problem to problem, at least (rows-1) * row_stride + dims, or 0: packed */
};

/* A packed single problem [rows, dims] in host memory. */
FKM_API struct fkm_array fkm_array_2d(const void *data, enum fkm_dtype dtype, int64_t rows, int64_t dims);

/*
 * Fills *array from a DLPack tensor, so that buffers of PyTorch, CuPy, JAX or NumPy are used in place.
 * dl_tensor points to a DLTensor (dlpack.h, any version from 0.2 to 1.x: its layout has not changed); a
 * DLManagedTensor or DLManagedTensorVersioned has one as its member dl_tensor. 2 dimensions are one problem, 3 are a
 * batch. The last dimension must be contiguous; float16, bfloat16, float32 and float64 are known. The device becomes
 * FKM_MEMORY_HOST (kDLCPU, pinned and managed memory) or FKM_MEMORY_DEVICE (kDLCUDA, kDLROCM, kDLOpenCL).
 * Ownership stays with the producer, who must keep the tensor alive and have its writes finished, or ordered before the
 * context's queue, until the call that uses the array returns.
 */
FKM_API enum fkm_status fkm_array_from_dlpack(const void *dl_tensor, struct fkm_array *array);

/* ---- ranks ---------------------------------------------------------------------------------------------------- */

/*
 * A fit past one device. Every rank (a process, a thread with a device of its own, ...) has a context with a communicator
 * and makes the same calls, each on its own rows of the problems; the results have the bits of a single call on all
 * rows, rank 0's first. Which arrays are a rank's and which are everyone's:
 *   of the rank's own rows   points, weights, labels, distances, order and offsets (rows counted from the rank's first)
 *   the same on every rank   init_centroids or centroids, the other parameters, the shapes but for the number of rows;
 *                            centroids, counts, inertia, n_iter and reason of the result
 *   each rank's own affair   which results it wants, and where; workspace, kernel, chunk_rows, progress, checkpoint, the diagnosis
 * A rank may have no rows: rows = 0, data NULL. The limits that speak of the number of points mean all ranks'. The
 * progress callbacks see the numbers of all ranks; one that ends the fit ends it on all. An error on one rank ends the
 * call on all of them with the same status and sentence. Where a rank is gone, the others' call ends with
 * FKM_ERROR_COMMUNICATOR once the time is over that all_reduce waits for it; if reductions between devices were in flight,
 * their time comes before. FKM_STOP_FIXED does wait, for what ranks tell each other and for reductions between devices.
 */
enum fkm_reduce { FKM_REDUCE_SUM = 0, FKM_REDUCE_MIN = 1, FKM_REDUCE_MAX = 2 };

struct fkm_communicator {
	size_t struct_size;
	int32_t rank; /* 0 .. size-1 */
	int32_t size;
	void *user; /* passed to the functions */
	/* values[i], in host memory, becomes the sum (which wraps), the least or the greatest of all ranks' values[i]. Every
	 * rank calls it in the same order with the same count, 1 to 2^24, and op; it returns when all have. 0, or
	 * non-zero with a sentence in error, after which the contexts of the communicator only fail; a time limit is this
	 * function's own affair. Called on the thread that made the call. */
	int (*all_reduce)(void *user, int64_t *values, int64_t count, enum fkm_reduce op, char *error, size_t error_bytes);
	/* The same for memory of the context's device, ordered on its queue (CUstream, hipStream_t), which is given; it need
	 * not wait. NULL: the library finds its own way. */
	int (*all_reduce_device)(void *user, void *values, int64_t count, enum fkm_reduce op, void *queue, char *error,
							 size_t error_bytes);
	/* Of reductions that the library does through NCCL or RCCL: how long a rank's device, once it has come to one, waits for
	 * those of the others; 0: for ever. Then, or where NCCL reports an error, it is aborted and the call fails:
	 * all ranks meet in all_reduce, and return the error of the rank that kept the others waiting if it is there to tell,
	 * else FKM_ERROR_COMMUNICATOR. After the former the ranks work on, with a new communicator of NCCL's. To meet there
	 * it must be less than all_reduce waits, by more than the ranks' own work between two reductions takes. */
	double seconds;
};

/* Sets everything to 0 but the size. */
FKM_API void fkm_communicator_init_size(struct fkm_communicator *communicator, size_t struct_size);
static inline void fkm_communicator_init(struct fkm_communicator *communicator)
{
	fkm_communicator_init_size(communicator, sizeof *communicator);
}

/* Ranks that are threads of one process. seconds: how long a rank waits for the others in all_reduce, after which that
 * fails on all; a device waits half as long for others, before its rank meets theirs; 0: for ever. On failure *ranks is NULL. */
struct fkm_local_ranks;
FKM_API enum fkm_status fkm_local_ranks_create(int32_t size, double seconds, struct fkm_local_ranks **ranks);

/* Fills the communicator of one of the ranks, valid until they are destroyed. The size is as for the _init functions. */
FKM_API enum fkm_status fkm_local_ranks_get_size(struct fkm_local_ranks *ranks, int32_t rank,
												 struct fkm_communicator *communicator, size_t struct_size);
static inline enum fkm_status fkm_local_ranks_get(struct fkm_local_ranks *ranks, int32_t rank,
												  struct fkm_communicator *communicator)
{
	return fkm_local_ranks_get_size(ranks, rank, communicator, sizeof *communicator);
}

/* After the contexts that use them. NULL is allowed. */
FKM_API void fkm_local_ranks_destroy(struct fkm_local_ranks *ranks);

/* ---- contexts ------------------------------------------------------------------------------------------------- */

struct fkm_context;

enum fkm_log_level { FKM_LOG_ERROR = 1, FKM_LOG_WARNING = 2, FKM_LOG_INFO = 3, FKM_LOG_DEBUG = 4 };

/* One line without newline. Called on the thread that made the call. */
typedef void (*fkm_log_fn)(void *user, enum fkm_log_level level, const char *line);

struct fkm_context_params {
	size_t struct_size;
	/* "cpu", "cuda", "hip", "opencl"; NULL or "": environment FKM_BACKEND, else the first of cuda, hip, opencl (GPU), cpu
	 * that works. What was passed over, and why, is logged. Never a silent fall-back once one is named. */
	const char *backend;
	int32_t device;  /* index within the backend, see fkm_device_list; -1: FKM_DEVICE, an index or a name, else 0 */
	int32_t threads; /* CPU threads; 0: FKM_NUM_THREADS, else all that the process may use */
	/* The most memory to allocate on the device; 0: what it has. Of points in host memory that leave no room, as many
	 * rows stay as fit, and the others are streamed: they come anew in each pass over the points, from pinned memory
	 * directly, from any other through some 32 MiB of pinned memory of the library's. */
	int64_t memory_budget_bytes;
	/* The caller's stream or queue (CUstream, hipStream_t, cl_command_queue) and, for OpenCL, its cl_context. Work is put
	 * on it in order. They stay the caller's and must outlive the context. NULL: the library makes its own. */
	void *native_queue;
	void *native_context;
	fkm_log_fn log; /* NULL: silent */
	void *log_user;
	enum fkm_log_level log_level; /* the most talkative level wanted; default FKM_LOG_WARNING */
	/* Instead of device: a part of the name or the detail that fkm_device_list gives, capital letters or not; the first
	 * such device of the backend. NULL or "": none. Not for a native queue or context, which has its devices. */
	const char *device_name;
	/* Makes the context one rank of several: fkm_fit, fkm_predict, fkm_update and fkm_inertia become calls of all
	 * ranks, see above. Copied; what its user is must outlive the context. NULL, or a size of 1: none. */
	const struct fkm_communicator *communicator;
	/* Instead of device: the indices of several devices of the backend, among which a call deals the rows of its points.
	 * Results have the bits of one device. Such a context takes host arrays, and no workspace, native queue or
	 * communicator; memory_budget_bytes and threads are each device's. Copied. NULL and 0: one device. */
	const int32_t *devices;
	int32_t device_count;
	/* Of several devices: how long one waits for the others before the call fails, as in fkm_local_ranks_create; more than
	 * twice what one may take for its part of an iteration longer than another. 0: for ever. */
	double devices_seconds;
};

/* Sets the defaults. The size is the caller's, so that a program keeps working with a library whose struct has grown. */
FKM_API void fkm_context_params_init_size(struct fkm_context_params *params, size_t struct_size);
static inline void fkm_context_params_init(struct fkm_context_params *params)
{
	fkm_context_params_init_size(params, sizeof *params);
}

/* params may be NULL for all defaults. On failure *context is NULL. */
FKM_API enum fkm_status fkm_context_create(const struct fkm_context_params *params, struct fkm_context **context);

/* Waits for the context's own work and frees everything. NULL is allowed. */
FKM_API void fkm_context_destroy(struct fkm_context *context);

/* The backend that the context runs on ("cpu", ...) and its device's name; valid as long as the context. */
FKM_API const char *fkm_context_backend(const struct fkm_context *context);
FKM_API const char *fkm_context_device(const struct fkm_context *context);

struct fkm_device_info {
	char backend[16];
	int32_t device; /* index within the backend */
	char name[128];
	int64_t memory_bytes;
	int32_t units;     /* multiprocessors, compute units, or CPU threads */
	char detail[128];  /* instruction sets, architecture, driver version */
	char problem[256]; /* "" if the device can be used; else why not */
	int64_t reserved[4];
};

/*
 * Lists every device of every backend of this build, and one entry with device = -1 and a reason for a backend that
 * has none. Writes up to capacity entries (infos may be NULL if capacity is 0) and sets *count to how many there are.
 */
FKM_API enum fkm_status fkm_device_list(struct fkm_device_info *infos, int32_t capacity, int32_t *count);

/* ---- fit ------------------------------------------------------------------------------------------------------ */

enum fkm_metric {
	FKM_METRIC_EUCLIDEAN = 0, /* squared Euclidean distance */
	FKM_METRIC_COSINE = 1     /* spherical k-means: points and means normalised; distances are |x/|x| - c|^2 */
};
enum fkm_init {
	FKM_INIT_KMEANS_PLUS_PLUS = 0, /* greedy, 2 + floor(ln K) trials (Arthur & Vassilvitskii 2007; as scikit-learn) */
	FKM_INIT_RANDOM = 1,           /* distinct random rows */
	FKM_INIT_CENTROIDS = 2         /* the caller's */
};
enum fkm_stop {
	FKM_STOP_RELATIVE = 0, /* unchanged labels, or shift <= tol * mean variance of the columns */
	FKM_STOP_ABSOLUTE = 1, /* unchanged labels, or shift <= tol */
	FKM_STOP_FIXED = 2     /* max_iter iterations with no test; on a device nothing waits for the host */
};
enum fkm_empty {
	FKM_EMPTY_RELOCATE = 0, /* to the points farthest from their centroids, as scikit-learn */
	FKM_EMPTY_KEEP = 1,     /* keep the previous centroid */
	FKM_EMPTY_ERROR = 2     /* fail with FKM_ERROR_EMPTY_CLUSTER */
};
enum fkm_precision {
	FKM_PRECISION_EXACT = 0, /* the double-precision label, certified */
	FKM_PRECISION_FAST = 1   /* the filter's own argmin: for measuring what the certificate costs */
};

enum fkm_stop_reason {
	FKM_REASON_NONE = 0,
	FKM_REASON_UNCHANGED = 1,
	FKM_REASON_SHIFT = 2,
	FKM_REASON_MAX_ITER = 3,
	FKM_REASON_FIXED = 4,
	FKM_REASON_CANCELLED = 5
};

/* What the progress callback sees after an iteration; totals are over the problems of the batch still running. */
struct fkm_progress {
	int32_t run;       /* 0 .. n_init-1 */
	int32_t iteration; /* from 1 */
	int32_t max_iter;
	int64_t active;    /* problems that have not stopped */
	int64_t changed;   /* labels that changed */
	double shift;      /* largest of the problems' squared centroid shifts */
	double threshold;  /* shift at which the problem with the largest shift stops; 0: only when labels are unchanged */
	int64_t relocated; /* centroids relocated */
	int64_t rechecked; /* points whose label needed f64 */
	double seconds;    /* this iteration */
	double inertia;    /* of the assignment just made, where known; NaN in this version */
	int64_t rows_done; /* of each problem in this iteration: less than rows only within it, see progress_within */
	int64_t rows;      /* of each problem, of this rank */
	int64_t reserved[2];
};

/* Non-zero ends the fit after this iteration, with valid results and status FKM_CANCELLED. Called on the caller's
 * thread; it must return (no longjmp, no exception) and not use the context. Setting it makes each iteration wait. */
typedef int (*fkm_progress_fn)(void *user, const struct fkm_progress *progress);

/*
 * Receives the state of a fit in progress as bytes to keep: given to fkm_fit as resume, with the same points and params,
 * they continue it to the same bits as if it had never been interrupted, on any backend (FKM_PRECISION_FAST: on the same one)
 * and any number of devices or ranks. They hold what the generator of random numbers needs, and a checksum. bytes is valid
 * during the call, 8-byte aligned, and the same on every rank. Rules and non-zero as for fkm_progress_fn.
 */
typedef int (*fkm_checkpoint_fn)(void *user, const void *bytes, size_t size);

struct fkm_fit_params {
	size_t struct_size;
	int64_t clusters; /* K, 1 <= K <= n, K < 2^31 */
	enum fkm_metric metric;
	enum fkm_init init;
	struct fkm_array init_centroids; /* [b, K, d], or [1, K, d] for all problems; any dtype; FKM_INIT_CENTROIDS only */
	struct fkm_array weights; /* data NULL: none. [b, n, 1] or [1, n, 1] for all; F32 or F64; >= 0; row_stride 1 */
	int32_t max_iter;         /* default 300; 0: assign to the start and stop */
	double tol;               /* default 1e-4; >= 0 */
	enum fkm_stop stop;
	enum fkm_empty empty;
	int32_t n_init; /* default 1 */
	uint64_t seed;
	enum fkm_precision precision;
	/* Tuning and testing: results never depend on these. */
	const char
		*kernel; /* name of an assignment kernel of fkm_plan_describe; NULL: FKM_KERNEL, else the planner's choice */
	int64_t chunk_rows;   /* points handled at a time; 0: the planner's choice */
	int32_t trust_finite; /* 1: skip the check for NaN and infinity; with such data results are then undefined */
	void *workspace; /* caller-owned memory of the context's device, 256-byte aligned; NULL: the library allocates */
	int64_t workspace_bytes; /* what fkm_fit_workspace says; with less, points are handled in chunks or streamed */
	fkm_progress_fn progress;
	void *progress_user;
	/* 1: progress is also called within an iteration, where points are handled in chunks or stream from the host, with
	 * what is known then: run, iteration, active, rows_done (a chunk or two behind) and seconds. Ending the fit there
	 * leaves that iteration undone: results are those of the iterations before it. Ignored among several ranks. */
	int32_t progress_within;
	/* fkm_fit only. Called after each checkpoint_interval iterations (at least 1; default 10), counted over the runs of
	 * n_init, and, when progress ends the fit after one, after that; it makes each iteration wait. The device keeps a second
	 * copy of the centroids for it. */
	fkm_checkpoint_fn checkpoint;
	void *checkpoint_user;
	/* What checkpoint was given, 8-byte aligned, in host memory; NULL: begin at the beginning. Bytes that are damaged, or of a
	 * fit whose shape, params or (as far as the extremes of columns and weights tell) data differ, are refused. n_iter counts
	 * from the beginning; the diagnosis tells of this call alone. */
	const void *resume;
	int64_t resume_bytes;
	int32_t checkpoint_interval;
};

/* Sets the defaults. The size is the caller's, so that a program keeps working with a library whose struct has grown. */
FKM_API void fkm_fit_params_init_size(struct fkm_fit_params *params, size_t struct_size);
static inline void fkm_fit_params_init(struct fkm_fit_params *params)
{
	fkm_fit_params_init_size(params, sizeof *params);
}

/* Wall-clock seconds per stage, where the backend measures them. */
struct fkm_seconds {
	double check; /* validation pass, row norms, variances */
	double copy;  /* between host and device */
	double seed;
	double assign; /* includes the sums when the kernel fuses them */
	double update;
	double finish; /* final assignment, distances, inertia, inverted lists */
	double total;
};

struct fkm_diagnosis {
	int64_t rechecked;       /* point-assignments that the filter could not decide, over all iterations */
	int64_t exact_ties;      /* point-assignments whose smallest distance two different centroids share, to the bit */
	int64_t relocations;     /* centroids relocated */
	int64_t workspace_bytes; /* device memory used, the caller's arrays not counted */
	int64_t empty_clusters;  /* clusters without a point in the result, over the batch */
	char kernel[64];         /* assignment kernel that ran */
	char tile[64];           /* its tile, "points x centroids" */
	int32_t fused;           /* 1: sums were made in the assignment pass */
	int32_t threads;         /* CPU threads used; 0 on a device */
	struct fkm_seconds seconds;
	int32_t registers;     /* per work item of the assignment kernel, where the device's driver tells; else 0 */
	int32_t spilled_bytes; /* per work item: memory that stands in for registers */
	int64_t streamed_rows; /* of each problem: those that came from host memory anew in each pass over the points */
	int64_t reserved[6];
};

/* Results. The caller points the members it wants at its own memory, NULL for those it does not want. All arrays are
 * packed, and all in host memory or all in the memory of the context's device, except those said to be host arrays. They
 * may overlap neither each other nor an input. A call ignores the members that it does not fill. */
struct fkm_fit_result {
	size_t struct_size;
	enum fkm_memory memory;         /* where labels, centroids, counts, order, offsets and distances are */
	int32_t *labels;                /* [b, n] */
	void *centroids;                /* [b, K, d] in centroids_dtype */
	enum fkm_dtype centroids_dtype; /* F32 or F64; default F64 */
	int64_t *counts;                /* [b, K] points per cluster */
	int64_t *order;                 /* [b, n] row numbers sorted by label, ascending within a label: inverted lists */
	int64_t *offsets;               /* [b, K+1] cluster k of problem p is order[p*n + offsets[k]] up to offsets[k+1] */
	double *distances;              /* [b, n] squared distance to the point's centroid */
	double *inertia;                /* [b], host: sum of w * distance */
	int32_t *n_iter;                /* [b], host */
	int32_t *reason;                /* [b], host: enum fkm_stop_reason */
	struct fkm_diagnosis diagnosis; /* always filled */
};

/* Sets the defaults. The size is the caller's, so that a program keeps working with a library whose struct has grown. */
FKM_API void fkm_fit_result_init_size(struct fkm_fit_result *result, size_t struct_size);
static inline void fkm_fit_result_init(struct fkm_fit_result *result)
{
	fkm_fit_result_init_size(result, sizeof *result);
}

/*
 * Lloyd's algorithm on points [b, n, d], F16, BF16 or F32. Problems of a batch are independent: each gives the bits
 * that it gives alone. Returns FKM_OK, FKM_CANCELLED (results valid), or an error.
 *
 * Waiting: on return all results are in place, except where nothing asks for it: FKM_STOP_FIXED with FKM_EMPTY_KEEP or
 * FKM_EMPTY_RELOCATE, trust_finite = 1, n_init = 1, no progress callback, a workspace of the caller's, and no results in
 * host memory but n_iter and reason. Such a call only enqueues on a device's queue; its results are ordered there, and the
 * counters of the diagnosis are 0. fkm_predict is the same with trust_finite = 1.
 */
FKM_API enum fkm_status fkm_fit(struct fkm_context *context, const struct fkm_array *points,
								const struct fkm_fit_params *params, struct fkm_fit_result *result);

/* Bytes of workspace that fkm_fit needs for these arguments (points->data may be NULL; so may the outputs' pointers be
 * any non-NULL value for those wanted). */
FKM_API enum fkm_status fkm_fit_workspace(struct fkm_context *context, const struct fkm_array *points,
										  const struct fkm_fit_params *params, const struct fkm_fit_result *result,
										  int64_t *bytes);

/* ---- pieces --------------------------------------------------------------------------------------------------- */

/* Labels and distances of points under given centroids; of params, the members metric, precision, weights, kernel,
 * chunk_rows, trust_finite and workspace are used; NULL: defaults. centroids: [b, K, d] or [1, K, d], any dtype. Of result,
 * labels, distances, counts, order, offsets, inertia and diagnosis are filled. K may exceed n. */
FKM_API enum fkm_status fkm_predict(struct fkm_context *context, const struct fkm_array *points,
									const struct fkm_array *centroids, const struct fkm_fit_params *params,
									struct fkm_fit_result *result);

/* New centroids from labels [b, n] (each in 0 .. K-1, in the memory kind of the points; checked): one update of section 3
 * of docs/semantics.md. previous [b, K, d] or [1, K, d] is what an empty cluster keeps, and what relocation measures
 * distance from; its shape gives K. Of params: metric, weights, empty, trust_finite, workspace. Of result, centroids and
 * counts are filled, and n_iter, if set, receives 0. */
FKM_API enum fkm_status fkm_update(struct fkm_context *context, const struct fkm_array *points, const int32_t *labels,
								   const struct fkm_array *previous, const struct fkm_fit_params *params,
								   struct fkm_fit_result *result);

/* Sum of w * D(point, centroid of its label) for each problem into inertia[b] (host). Labels as for fkm_update. */
FKM_API enum fkm_status fkm_inertia(struct fkm_context *context, const struct fkm_array *points,
									const struct fkm_array *centroids, const int32_t *labels,
									const struct fkm_fit_params *params, double *inertia);

/* Bytes of workspace that fkm_predict and fkm_update need for these arguments, as fkm_fit_workspace; fkm_inertia needs
 * what fkm_predict needs with result NULL. */
FKM_API enum fkm_status fkm_predict_workspace(struct fkm_context *context, const struct fkm_array *points,
											  const struct fkm_array *centroids, const struct fkm_fit_params *params,
											  const struct fkm_fit_result *result, int64_t *bytes);
FKM_API enum fkm_status fkm_update_workspace(struct fkm_context *context, const struct fkm_array *points,
											 const struct fkm_array *previous, const struct fkm_fit_params *params,
											 const struct fkm_fit_result *result, int64_t *bytes);

/* ---- plans ---------------------------------------------------------------------------------------------------- */

/*
 * Writes, as text, how a fit of this shape would run: device limits, every candidate kernel with its estimated cost or
 * the reason why it was dropped, the choice, chunking and the workspace. Nothing is run and points->data is not read.
 * At most capacity bytes including the final 0 are written; *needed (may be NULL) receives the full size.
 */
FKM_API enum fkm_status fkm_plan_describe(struct fkm_context *context, const struct fkm_array *points,
										  const struct fkm_fit_params *params, char *text, size_t capacity,
										  size_t *needed);

#ifdef __cplusplus
}
#endif

#endif
