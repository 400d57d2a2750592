/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of the conformance suite: what they are and the data that they stand for. */
#ifndef CONFORMANCE_CASES_H
#define CONFORMANCE_CASES_H

#include <stdbool.h>
#include <stdint.h>

#include "flashkmeans/flashkmeans.h"
#include "reference.h"

enum data_kind {
	DATA_GAUSSIAN,
	DATA_BLOBS,
	DATA_EQUAL,      /* all points equal */
	DATA_INTEGER,    /* small integers: many exact ties */
	DATA_DUPLICATES, /* few distinct points, fewer than K */
	DATA_OFFSET,     /* 4096 + sigma 0.03 */
	DATA_HUGE,       /* f32, bf16: 1e38, f16: 60000 */
	DATA_TINY,       /* subnormals */
	DATA_OUTLIER,    /* one point far away */
	DATA_SCALES,     /* columns of very different scales */
	DATA_EXTREMES,   /* largest, smallest and zero values mixed */
	DATA_ZERO_ROWS,
	DATA_BISECTORS,        /* the first eight points, and points within a rounding of the planes between two of them */
	DATA_BISECTORS_OFFSET, /* the same, far from the origin */
	DATA_KINDS
};

enum weights_kind {
	WEIGHTS_NONE,
	WEIGHTS_UNIFORM,
	WEIGHTS_INTEGER, /* 0 to 3 */
	WEIGHTS_ZEROS,   /* most are zero */
	WEIGHTS_WIDE,    /* many orders of magnitude */
	WEIGHTS_LARGE,   /* around 2^499 */
	WEIGHTS_SMALL,   /* around 2^-499 */
	WEIGHTS_KINDS
};

enum start_kind { /* for FKM_INIT_CENTROIDS */
				  START_ROWS,
				  START_NOISE,
				  START_FAR, /* some so far away that they begin empty */
				  START_DUPLICATES,
				  START_KINDS
};

struct spec {
	int64_t b, n, k, d;
	enum fkm_dtype dtype;
	enum data_kind data;
	enum weights_kind weights;
	enum fkm_dtype weights_dtype;
	bool weights_shared; /* one row of weights for the batch */
	enum fkm_metric metric;
	enum fkm_init init;
	enum start_kind start;
	enum fkm_dtype start_dtype;
	bool start_shared;
	enum fkm_stop stop;
	double tol;
	int32_t max_iter;
	enum fkm_empty empty;
	int32_t n_init;
	enum fkm_dtype centroids_dtype;
	int64_t row_pad, batch_pad; /* elements between rows and between problems */
	int64_t offset;             /* elements before the first of each input, by offset_bytes */
	bool core;                  /* of the fixed list: run on every kernel, chunk and thread count */
	uint64_t seed;              /* of the data and of the fit */
	/* The drawn way to run a random case; the fixed list goes through many. */
	int threads_index, chunk_index, kernel_index;
};

/* The fixed list. Returns false past its end. */
bool spec_fixed(int64_t index, struct spec *spec);

/* Case number index of the sweep from a seed. */
void spec_random(uint64_t seed, int64_t index, struct spec *spec);

/* One line, without newline. */
void spec_print(const struct spec *spec, char *line, size_t bytes);

/* The arrays of a case. Paddings hold NaN. */
struct data {
	struct fkm_array points, weights, start; /* data NULL where the case has none */
	void *blocks[3];                         /* what they lie in */
	void *copies[3];
	size_t bytes[3];
};

void data_make(const struct spec *spec, struct data *data);
void data_free(struct data *data);
/* The name of the first input that differs from its copy, or NULL. */
const char *data_changed(const struct data *data);

/* Problem p of the batch for the reference; start must hold [k, d] and is filled for FKM_INIT_CENTROIDS. */
void data_problem(const struct spec *spec, const struct data *data, int64_t p, struct ref_problem *problem);
void data_start(const struct spec *spec, const struct data *data, int64_t p, double *start);

/* Uniform in [0, 2^64), [0, m) and [0, 1), and standard normal. */
struct source {
	uint64_t state;
};
uint64_t source_next(struct source *source);
int64_t source_below(struct source *source, int64_t m);
double source_unit(struct source *source);
double source_normal(struct source *source);

/* The finite value of the type nearest to v, stored at element i. */
void store_value(void *data, enum fkm_dtype dtype, int64_t i, double v);
size_t dtype_bytes(enum fkm_dtype dtype);

#endif
