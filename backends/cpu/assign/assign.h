/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps prepare, assign and accumulate share. */
#ifndef FKMI_CPU_ASSIGN_H
#define FKMI_CPU_ASSIGN_H

#include "kernel.h"

#include <stdatomic.h>

/* Position of the lowest bit set; mask is not 0. */
static inline int fkmi_cpu_lowest_bit(uint64_t mask)
{
	return __builtin_ctzll(mask);
}

/* ---- layout.c: the scratch of these steps ---- */

/* Sizes, and offsets in bytes. */
struct fkmi_cpu_layout {
	int64_t block, blocks; /* of dimensions */
	int64_t panel;         /* groups of centroids that are swept before the next block */
	int64_t tiles;         /* that are swept together */
	bool private_sums;     /* each thread has sums of its own */

	/* in a problem's part; the first problem's is at 0 */
	int64_t filter, mu, panels, halves, norms, index, middle, key, table;
	int64_t table_size; /* a power of two */
	int64_t problem_bytes;

	/* in a thread's part; the first thread's is at `threads` */
	int64_t x, squares, best, second, at, partial, candidates, row, quantised, sums, weight_sums, touched;
	int64_t thread_bytes, threads;

	int64_t bytes; /* of all; -1 if that overflows */
};

struct fkmi_cpu_layout fkmi_cpu_layout_make(const struct fkmi_problem *problem, const struct fkmi_tile *tile,
											int32_t threads);

/* What prepare leaves for assign, of one problem. */
struct fkmi_cpu_filter {
	double scale;   /* 2^p */
	float norm_max; /* largest norm of a centroid, rounded up */
	int32_t unique; /* centroids that differ from all before them; only these are in the panels, in ascending order */
	int32_t off;    /* 1: the numbers are out of the filter's range, so every row is scanned in f64 */
};

/* One problem's part. */
struct fkmi_cpu_operands {
	struct fkmi_cpu_filter *filter;
	float *mu;      /* [d] */
	float *panels;  /* see kernel.h */
	float *halves;  /* half the squared norms; infinity for what only fills the last group */
	float *norms;   /* rounded up; 0 for that */
	int32_t *index; /* of each position in the panels: k */
	double *middle; /* [d]: mu before scaling and rounding */
	uint64_t *key;  /* [K] */
	int32_t *table; /* [table_size] */
};

struct fkmi_cpu_operands fkmi_cpu_operands_of(const struct fkmi_job *job, const struct fkmi_cpu_layout *layout,
											  int64_t b);
char *fkmi_cpu_thread_part(const struct fkmi_job *job, const struct fkmi_cpu_layout *layout, int thread);

/* ---- items.c: sharing out rows ---- */

/* A span of all problems, cut into items that threads take in ascending order. */
struct fkmi_cpu_items {
	_Atomic int64_t next;
	int64_t count, grain, per_problem;
	int64_t first, rows, item_rows;
};

struct fkmi_cpu_item {
	int64_t b, row, rows;
};

/* The rows of an item are a multiple of granule (but for a problem's last) and at most `most`. */
void fkmi_cpu_items_init(struct fkmi_cpu_items *items, const struct fkmi_problem *problem, struct fkmi_span span,
						 int threads, int64_t granule, int64_t most);
/* Takes the next items: begin <= i < end. False when there are none left. */
bool fkmi_cpu_items_take(struct fkmi_cpu_items *items, int64_t *begin, int64_t *end);
struct fkmi_cpu_item fkmi_cpu_items_get(const struct fkmi_cpu_items *items, int64_t i);

/* ---- accumulate.c: one thread's part in the sums of one problem ---- */

struct fkmi_cpu_sums {
	const struct fkmi_job *job;
	const struct fkmi_cpu_isa *isa;
	int64_t b;
	enum { FKMI_CPU_SUMS_OWNED, FKMI_CPU_SUMS_PRIVATE, FKMI_CPU_SUMS_SHARED } mode;
	const char *points;
	int64_t row_bytes;
	const double *scale;         /* [d]: 2^g */
	int64_t *sums, *weight_sums; /* the job's, or the thread's own */
	uint8_t *touched;            /* [K], private: clusters whose sums are in use; the others hold garbage */
	int64_t *quantised;          /* [d] */
};

/* owned: no other thread adds to problem b. */
void fkmi_cpu_sums_begin(struct fkmi_cpu_sums *sums, const struct fkmi_job *job, const struct fkmi_cpu_layout *layout,
						 const struct fkmi_cpu_isa *isa, char *thread_part, int64_t b, bool owned);
/* Moves row i from one cluster to another; from -1: none. */
void fkmi_cpu_sums_move(struct fkmi_cpu_sums *sums, int64_t i, int32_t from, int32_t to);
/* Adds what the thread holds to the job's sums. */
void fkmi_cpu_sums_end(struct fkmi_cpu_sums *sums);

/* ---- assign.c and recheck.c: one thread's work on one problem ---- */

struct fkmi_cpu_worker {
	/* the same throughout */
	const struct fkmi_job *job;
	const struct fkmi_cpu_isa *isa;
	const struct fkmi_cpu_layout *layout;
	enum fkmi_accumulate accumulate;
	struct fkmi_cpu_bound bound;
	int64_t row_bytes;
	char *part; /* of the scratch */
	/* of the problem */
	int64_t b; /* -1: none */
	struct fkmi_cpu_operands operands;
	const char *points;
	const int32_t *index; /* NULL: position k is centroid k */
	int32_t *labels, *previous;
	struct fkmi_cpu_sums sums;
	int64_t changed, rechecked, ties;
	/* rows that wait for their recheck */
	int32_t waiting;
	struct {
		int64_t row;
		float threshold;
		int32_t former; /* label */
	} queue[2 * FKMI_CPU_MAX_POINTS];
};

/* Packs rows as tile number t of the worker: first, first + 1, ..., or, if rows is not NULL, those. */
void fkmi_cpu_pack_rows(struct fkmi_cpu_worker *w, int64_t t, int64_t first, const int64_t *rows);
/* Sweeps tiles 0 .. tiles-1 of the worker over all centroids; prototype has what the kind needs of the members from
 * best on. */
void fkmi_cpu_sweep_tiles(struct fkmi_cpu_worker *w, int64_t tiles, enum fkmi_cpu_sweep_kind kind,
						  const struct fkmi_cpu_sweep *prototype);
/* Row i had label former and has label now: counts and accumulates. */
void fkmi_cpu_label_row(struct fkmi_cpu_worker *w, int64_t i, int32_t former, int32_t now);

/* Decides row i, which had label former, among all centroids in f64. */
void fkmi_cpu_scan_row(struct fkmi_cpu_worker *w, int64_t i, int32_t former);
/* Decides rows that wait: all, or as many as make full tiles. */
void fkmi_cpu_recheck(struct fkmi_cpu_worker *w, bool all);

#endif
