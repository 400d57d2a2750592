/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backend is: a static struct fkmi_backend of function pointers, listed in src/registry.c.
 *
 * To add one: make backends/<name>/, fill the struct, add a line to src/registry.c and backends/<name>/meson.build.
 * Run the conformance suite with FKM_BACKEND=<name>; it compares every bit with docs/semantics.md, which defines what
 * each step below computes ("section n" is a section of that page).
 *
 * Rules for steps
 *   - The core has validated everything: a step asserts, it does not check arguments again.
 *   - A step neither allocates nor waits for the device. It may enqueue; the core calls wait() where it needs results.
 *     On the CPU backend a step simply does the work.
 *   - Of a backend with a copier, steps without a span reach points through windows.h, which may wait.
 *   - Memory comes from the job. Everything is zeroed or written before it is read, by whom is said at the member.
 *   - A step returns FKM_OK or fkmi_fail(...) with a sentence. After FKM_ERROR_DEVICE_LOST only close() is called.
 *   - Steps work on all problems b with active[b] != 0, and must not touch the arrays of the others.
 *   - Where there are several ranks, a step that needs the others' part of a result calls fkmi_merge() (merge.h), which
 *     may wait: all ranks run the same steps in the same order. Afterwards every rank computes the same.
 */
#ifndef FKMI_BACKEND_H
#define FKMI_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flashkmeans/flashkmeans.h"

/* A place in device memory. base is a host or device pointer, or a cl_mem. A zero struct is "none". */
struct fkmi_ref {
	void *base;
	int64_t offset; /* bytes */
};

static inline struct fkmi_ref fkmi_ref_add(struct fkmi_ref ref, int64_t bytes)
{
	ref.offset += bytes;
	return ref;
}

static inline void *fkmi_ref_ptr(struct fkmi_ref ref) /* for backends whose memory is pointers */
{
	return ref.base == NULL ? NULL : (char *)ref.base + ref.offset;
}

/* Facts about an open device that the planner uses. 0 means "cannot" or "none". */
struct fkmi_limits {
	int64_t memory_bytes;     /* what may be allocated: the device's, or the caller's budget */
	int64_t max_buffer_bytes; /* largest single allocation */
	int32_t units;            /* threads, multiprocessors, compute units */
	int32_t vector_bytes;     /* CPU: width of the widest vector instruction in use */
	int64_t local_bytes;      /* shared or local memory per group */
	int32_t max_group;        /* work items per group */
	int32_t subgroup;         /* warp, wave or subgroup width */
	int32_t architecture;     /* 900 for sm_90, 942 for gfx942, ...; 0 where it does not apply */
	uint64_t features;        /* bits of the backend's own, matched against fkmi_tile.needs */
	int32_t fp64;             /* 1: IEEE double with fma */
	int32_t host_memory;      /* 1: device memory is host memory, so host arrays are used in place */
	int32_t handles;          /* 1: a place in device memory is a handle (cl_mem) and an offset, no address */
	int32_t restores_sums;    /* 1: after a relocation finish() takes the moves back out of sums and weight_sums; 0: the
							   * core looks at every iteration and asks for FULL after a relocation */
	double bytes_per_second;  /* rough, for ranking */
	double copies_per_second; /* bytes from pinned host memory, rough, for ranking; backends with copies */
};

/* One assignment kernel that the planner may choose. */
struct fkmi_tile {
	const char *name;     /* unique within the backend; fkm_fit_params.kernel forces it */
	const char *kernel;   /* the main kernel in the device's code, for kernel_facts; may be NULL */
	uint64_t needs;       /* feature bits that must be present */
	uint32_t dtypes;      /* bit 1 << enum fkm_dtype */
	int64_t d_min, d_max; /* 0: no bound */
	int64_t k_min, k_max;
	int32_t points, centroids; /* tile size */
	int32_t dims;              /* the kernel works on a multiple of these; 0: on d itself */
	int64_t local_bytes;
	double multiply_adds_per_second; /* per unit, rough, inner loop only: for ranking */
	double seconds_per_tile;         /* overhead per tile of points, rough */
	double seconds_per_chunk;        /* overhead per chunk: launches, waits, rough */
	uint32_t unranged;               /* of dtypes: reads these points without knowing their range */
	bool portable; /* of the backends that share backends/gpu: it takes the operands of kernels/common/filter.h */
};

/* The shape and kind of a job: what the planner decides from. */
struct fkmi_problem {
	int64_t b, n, k, d; /* n: the rows of this rank, also 0 where there are several */
	int64_t n_all;      /* the rows of all ranks, by which grids are chosen and rows are drawn */
	int32_t ranks;
	enum fkm_dtype dtype;
	enum fkm_metric metric;
	enum fkm_precision precision;
	enum fkm_empty empty;
	enum fkm_init init;
	bool weighted;
	bool fits;            /* false: predict only, no sums */
	bool wants_distances; /* keep per-point distances at the end */
	bool places_labels;   /* labels are made in the caller's memory */
	bool unranged;        /* check_points is left out; no step needs column_min, column_max or point_max but grids */
};

/* Whether its jobs have distances. */
static inline bool fkmi_has_distances(const struct fkmi_problem *p)
{
	return p->wants_distances || (p->fits && (p->init == FKM_INIT_KMEANS_PLUS_PLUS || p->empty == FKM_EMPTY_RELOCATE));
}

struct fkmi_plan {
	const struct fkmi_tile *tile;
	int64_t chunk_rows;    /* rows of each problem per call of a step with a span */
	int64_t streamed_rows; /* of each problem, the last ones: they come in windows of chunk_rows (windows.h) */
	bool fused;            /* assign() also makes the sums */
	bool whole;            /* iterate() takes the place of the steps of an iteration */
	int64_t scratch_bytes; /* of the backend, see scratch_bytes() */
	double seconds;        /* estimate of one iteration */
};

/* Per-problem scalars in device memory, [b]. The core sets them at the start of a call (to 0, indices to -1, but for
 * what is said at a member) and downloads them. Counters that a step "adds" to grow over the whole call; the core takes
 * differences. */
struct fkmi_state {
	int64_t bad_point;                 /* check_points: lowest i * d + j that is not finite, or -1 */
	int64_t bad_weight;                /* check_weights: lowest row that is negative or not finite, or -1 */
	int64_t bad_centroid;              /* load_centroids: lowest k * d + j not finite or beyond 2^200, or -1 */
	int64_t bad_label;                 /* count: lowest row whose label is outside 0 .. K-1, or -1 */
	int64_t changed;                   /* assign adds: rows whose label differs from the one that stood there */
	int64_t rechecked;                 /* assign adds: rows evaluated in f64 */
	int64_t ties;                      /* assign adds: rows whose smallest D two different centroids share */
	int64_t relocated;                 /* relocate adds */
	int64_t empty;                     /* finish: clusters with W = 0 before relocation */
	int64_t first_empty;               /* finish: the lowest of them, or -1 */
	double shift;                      /* finish: section 3.5 */
	double weight_max;                 /* check_weights raises: wmax; the core sets 1 without weights */
	double weight_min;                 /* check_weights lowers; the core sets infinity with weights */
	double point_max;                  /* grids: max |x_ij| of the problem (1 for cosine) */
	double weight_scale;               /* grids: 2^gw (1 without weights) */
	int64_t inertia_high, inertia_low; /* distances adds: section 5's H and T */
	double inertia_scale;              /* distances: 2^g of section 5 */
	int64_t meetings;                  /* the backend's: groups of a kernel that wait for each other */
};

struct fkmi_merge;   /* merge.h */
struct fkmi_windows; /* windows.h */

/* All arrays of one call. Refs are into workspace or the caller's memory. */
struct fkmi_job {
	struct fkmi_problem problem;
	struct fkmi_plan plan;

	/* problem.dtype [b, n, d], read-only. With windows it is none: a step goes through them, and gets jobs whose points
	 * have the rows of one, each where it would be if all were there. */
	struct fkmi_ref points;
	int64_t point_row_stride, point_batch_stride;
	struct fkmi_windows *windows; /* NULL: all points are there */
	struct fkmi_ref weights;      /* weights_dtype [b or 1, n] or none, read-only */
	enum fkm_dtype weights_dtype;
	int64_t weights_batch_stride; /* 0: shared by all problems */

	struct fkmi_ref active;       /* int32 [b], written by the core */
	struct fkmi_ref state;        /* struct fkmi_state [b] */
	struct fkmi_ref column_min;   /* f64 [b, d]; before grids its order keys. Euclidean only, else none */
	struct fkmi_ref column_max;   /* f64 [b, d], likewise */
	struct fkmi_ref column_scale; /* f64 [b, d]; grids: 2^g_j */
	struct fkmi_ref variance;     /* f64 [b, d]; variances; none unless a relative tolerance needs it */
	struct fkmi_ref row_scale;    /* f64 [b, n]; row_norms: r of section 1; cosine only, else none */
	struct fkmi_ref centroids;    /* f64 [b, K, d]: the current ones */
	struct fkmi_ref sums;         /* int64 [b, K, d]: S of the rank's rows */
	struct fkmi_ref weight_sums;  /* int64 [b, K]: W of the rank's rows */
	/* S and W of all rows, from which relocate and finish work: where there is one rank, sums and weight_sums themselves;
	 * else arrays of their own, which the core fills before. */
	struct fkmi_ref total_sums, total_weights;
	struct fkmi_ref labels;   /* int32 [b, n]; the core fills with -1 after seeding, which may use it as scratch */
	struct fkmi_ref previous; /* int32 [b, n]; assign stores the label it replaces, unless plan.fused (then none) */
	/* f64 [b, n]; seeding, relocation, distances() when wanted; else none: fkmi_has_distances. Scratch of assign
	 * and accumulate. */
	struct fkmi_ref distances;
	struct fkmi_ref counts;  /* int64 [b, K]; count() */
	struct fkmi_ref scratch; /* plan.scratch_bytes of the backend's own; keeps its contents between steps of a job */

	/* Several ranks (problem.ranks > 1) */
	struct fkmi_merge *merge; /* merge.h; NULL: the only rank */
	int32_t rank;
	int64_t first_row; /* of this rank among all ranks' rows of a problem */
};

/* Rows row .. row+rows-1 of every problem. */
struct fkmi_span {
	int64_t row, rows;
};

enum fkmi_accumulate {
	FKMI_ACCUMULATE_NONE = 0,
	FKMI_ACCUMULATE_FULL = 1, /* add every row to sums and weight_sums, which the core has zeroed */
	FKMI_ACCUMULATE_DELTA = 2 /* move the rows whose label changed; a previous label of -1 only adds */
};

struct fkmi_draw { /* a random stream of section 6 */
	uint64_t seed;
	uint32_t run;
};

struct fkmi_logger; /* registry.h */

struct fkmi_open_params {
	int32_t device;
	const char *device_name; /* a part of the name or detail of the device, in place of the index, which the registry
							  * finds; NULL: none */
	int32_t threads;
	int64_t memory_budget_bytes;
	void *native_queue, *native_context;
	const struct fkmi_logger *logger; /* of the open call alone; NULL: none */
	bool automatic;                   /* nobody named the backend: refuse devices that another backend serves better */
};

struct fkmi_kernel_facts { /* per work item */
	int32_t registers;
	int32_t spilled_bytes; /* of memory that stands in for registers */
};

struct fkmi_collective; /* collective.h */

/* An open device; backends embed it as the first member of their own struct. */
struct fkmi_device {
	const struct fkmi_backend *backend;
	struct fkmi_limits limits;
	char name[128];
	/* NULL: no ranks reduce on it. Else whatever waits for it calls fkmi_collective_wait() first: a reduction may never
	 * end. */
	struct fkmi_collective *collective;
};

/* A library with NCCL's functions, see struct fkmi_library of dynload.h. */
struct fkmi_collectives {
	const char *override_variable;
	const char *const *sonames;
};

typedef enum fkm_status (*fkmi_enqueue_fn)(void *context, void *queue);

/* Where things are enqueued: what steps do, and copies beside them. */
enum fkmi_queue { FKMI_QUEUE_STEPS = 0, FKMI_QUEUE_COPIES = 1 };
/* Events of windows, and of reductions between devices. */
enum { FKMI_WINDOW_EVENTS = 16, FKMI_REDUCTION_EVENTS = 16, FKMI_EVENTS = FKMI_WINDOW_EVENTS + FKMI_REDUCTION_EVENTS };

/* How a device takes in host memory while steps run. Nothing but wait and open waits for the device. */
struct fkmi_copier {
	/* Makes the queue of copies and the events, unless the device has them; close() of the backend undoes it. */
	enum fkm_status (*open)(struct fkmi_device *device);
	/* Host memory from which copies run by themselves, 256-byte aligned; *memory is NULL on failure. */
	enum fkm_status (*host_alloc)(struct fkmi_device *device, int64_t bytes, void **memory);
	void (*host_free)(struct fkmi_device *device, void *memory);
	/* Whether memory of the caller's is such memory. */
	bool (*is_pinned)(struct fkmi_device *device, const void *memory, int64_t bytes);
	/* Enqueues a copy, on the queue of copies. The source stays as it is until the copy is done. */
	enum fkm_status (*copy)(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes);
	/* Event 0 .. FKMI_EVENTS-1 happens when everything enqueued on the queue so far is done; follow: what is enqueued
	 * from now on begins after the event; wait: the host does. Nothing follows an event that was never marked. */
	enum fkm_status (*mark)(struct fkmi_device *device, enum fkmi_queue queue, int event);
	enum fkm_status (*follow)(struct fkmi_device *device, enum fkmi_queue queue, int event);
	enum fkm_status (*wait)(struct fkmi_device *device, int event);
	/* Whether an event that was marked has happened. Of backends with collectives. */
	enum fkm_status (*ask)(struct fkmi_device *device, int event, bool *happened);
};

struct fkmi_backend {
	const char *name;
	const char *const
		*feature_names; /* of the bits of fkmi_limits.features, lowest first, NULL-terminated; may be NULL */

	/* Appends up to capacity infos and sets *count to how many there are (an unusable backend gives one entry with
	 * device -1 and problem set). May load drivers; must not print or leave anything allocated. Thread-safe. */
	enum fkm_status (*list)(struct fkm_device_info *infos, int32_t capacity, int32_t *count);
	/* Opens device params->device; FKM_ERROR_NO_DEVICE with the reason if it cannot be used. Thread-safe. */
	enum fkm_status (*open)(const struct fkmi_open_params *params, struct fkmi_device **device);
	void (*close)(struct fkmi_device *device);

	/* Planning: pure functions of what they are given; called before any memory exists. */
	const struct fkmi_tile *(*tiles)(int32_t *count);
	int64_t (*scratch_bytes)(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
							 const struct fkmi_plan *plan); /* plan->tile, chunk_rows and fused are set; -1: cannot */
	bool (*fuses)(const struct fkmi_limits *limits, const struct fkmi_problem *problem, const struct fkmi_tile *tile);
	/* Whether the step iterate() exists for a tile, where one chunk takes all rows. May be NULL. */
	bool (*iterates)(const struct fkmi_tile *tile);
	/* Why a tile cannot take a problem that its own numbers allow, a phrase; NULL: it can. May be NULL. */
	const char *(*refuses)(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
						   const struct fkmi_tile *tile);

	/* What the compiler made of a tile's kernel. Optional. */
	enum fkm_status (*kernel_facts)(struct fkmi_device *device, const char *kernel, struct fkmi_kernel_facts *facts);

	/* Memory. alloc gives 256-byte aligned memory or FKM_ERROR_OUT_OF_MEMORY naming the bytes. upload may return before
	 * the device has the bytes, but the host source may be reused at once. download returns with the bytes in place. */
	enum fkm_status (*alloc)(struct fkmi_device *device, int64_t bytes, struct fkmi_ref *memory);
	void (*free)(struct fkmi_device *device, struct fkmi_ref memory);
	enum fkm_status (*upload)(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes);
	enum fkm_status (*download)(struct fkmi_device *device, void *to, struct fkmi_ref from, int64_t bytes);
	enum fkm_status (*copy)(struct fkmi_device *device, struct fkmi_ref to, struct fkmi_ref from, int64_t bytes);
	enum fkm_status (*fill)(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes);
	enum fkm_status (*wait)(struct fkmi_device *device); /* until everything enqueued is done */
	/* NULL: none; then points that come from the host must all fit. Else steps go through windows (windows.h). */
	const struct fkmi_copier *copier;

	/* Optional, for reductions between devices whose memory is addresses: what reduces (which needs a copier, for its
	 * events), and a call of fn with the device current and the queue (CUstream, hipStream_t) that its work goes on;
	 * returns what fn does. */
	const struct fkmi_collectives *collectives;
	enum fkm_status (*enqueue)(struct fkmi_device *device, fkmi_enqueue_fn fn, void *context);

	/* Setting up: once per call. */
	/* bad_point; column_min and column_max (where the job has them) as order keys: int64 that are in the order of the
	 * doubles, fkmi_order_key() of their bits. Without rows, the greatest and the least int64 but one (its negative). */
	enum fkm_status (*check_points)(struct fkmi_device *, const struct fkmi_job *);
	enum fkm_status (*check_weights)(struct fkmi_device *, const struct fkmi_job *);
	enum fkm_status (*row_norms)(struct fkmi_device *, const struct fkmi_job *); /* cosine */
	enum fkm_status (*grids)(struct fkmi_device *, const struct fkmi_job *);     /* section 2; column_min, _max */
	enum fkm_status (*variances)(struct fkmi_device *, const struct fkmi_job *); /* section 4; uses scratch */

	/* Centroids. */
	/* Converts from[b or 1, K, d] (strides in elements, batch_stride 0: shared) into centroids; cosine: normalises. */
	enum fkm_status (*load_centroids)(struct fkmi_device *, const struct fkmi_job *, struct fkmi_ref from,
									  enum fkm_dtype dtype, int64_t row_stride, int64_t batch_stride);
	/* Rounds centroids to f32 in place (they stay f64 values), those beyond its range to the largest finite value. */
	enum fkm_status (*round_centroids)(struct fkmi_device *, const struct fkmi_job *);
	/* Writes centroids as F32 or F64, packed [b, K, d], whatever active says. */
	enum fkm_status (*store_centroids)(struct fkmi_device *, const struct fkmi_job *, struct fkmi_ref to,
									   enum fkm_dtype dtype);
	/* Centroid k of each problem = point rows[b][k] (int64 [b, K], device memory), or zeros for a row of -1. */
	enum fkm_status (*gather_centroids)(struct fkmi_device *, const struct fkmi_job *, struct fkmi_ref rows);
	/* Greedy k-means++, section 6: seed_first makes centroid 0 and distances, seed_next centroid k of round k >= 1. */
	enum fkm_status (*seed_first)(struct fkmi_device *, const struct fkmi_job *, struct fkmi_draw draw);
	enum fkm_status (*seed_next)(struct fkmi_device *, const struct fkmi_job *, struct fkmi_draw draw, int64_t k);

	/* One iteration: prepare, then assign (and accumulate, unless fused) over spans, relocate, finish. */
	/* The filter's operands from the current centroids, into scratch. Before the first assign after a change of them.
	 */
	enum fkm_status (*prepare)(struct fkmi_device *, const struct fkmi_job *);
	/* labels (and previous); counters of the state. accumulate is NONE unless plan.fused. */
	enum fkm_status (*assign)(struct fkmi_device *, const struct fkmi_job *, struct fkmi_span,
							  enum fkmi_accumulate accumulate);
	/* sums and weight_sums from labels (and previous); not called when plan.fused, except by fkm_update with FULL. */
	enum fkm_status (*accumulate)(struct fkmi_device *, const struct fkmi_job *, struct fkmi_span,
								  enum fkmi_accumulate accumulate);
	/* Empty clusters, section 3.3, policy RELOCATE; does nothing where no W is 0. Sets empty and first_empty. Uses
	 * distances as scratch. Where it moved a point, sums are no longer those of the labels: see limits.restores_sums.
	 */
	enum fkm_status (*relocate)(struct fkmi_device *, const struct fkmi_job *);
	/* New centroids in place, shift; sets empty and first_empty unless relocate did (policy RELOCATE). */
	enum fkm_status (*finish)(struct fkmi_device *, const struct fkmi_job *);

	/* Where plan.whole: `count` iterations, all that the steps above do in each. anew: whatever labels and sums hold,
	 * labels count as -1 and sums as 0; else the sums are those of the labels. The state is left as by the last
	 * iteration. */
	enum fkm_status (*iterate)(struct fkmi_device *, const struct fkmi_job *, bool anew, int32_t count);

	/* Results. */
	enum fkm_status (*distances)(struct fkmi_device *, const struct fkmi_job *, struct fkmi_span);
	enum fkm_status (*count)(struct fkmi_device *, const struct fkmi_job *); /* counts; bad_label */
	/* Inverted lists, after count: order int64 [b, n], offsets int64 [b, K+1]. */
	enum fkm_status (*sort)(struct fkmi_device *, const struct fkmi_job *, struct fkmi_ref order,
							struct fkmi_ref offsets);
};

extern const struct fkmi_backend fkmi_backend_cpu, fkmi_backend_cuda, fkmi_backend_hip, fkmi_backend_opencl;

#endif
