/* SPDX-License-Identifier: Apache-2.0 */
/* The shapes that are measured. */
#ifndef BENCH_SHAPES_H
#define BENCH_SHAPES_H

#include <stdbool.h>
#include <stdint.h>

#include "flashkmeans/flashkmeans.h"

struct shape {
	char name[64];
	int64_t b, n, k, d;
	enum fkm_dtype dtype;
};

/* The named shapes; *count receives how many. The first CPU_SHAPES are those that a CPU does in seconds. */
enum { CPU_SHAPES = 4 };
const struct shape *named_shapes(int *count);

/* The named shape, or NULL. */
const struct shape *find_shape(const char *name);

/* The shapes of one sweep about 1,1048576,1024,128,f16: N ('n'), K ('k') or d ('d') varies. Returns how many, 0 for
 * another axis. */
enum { MAX_SWEEP = 8 };
int sweep_shapes(char axis, struct shape swept[MAX_SWEEP]);

/* Reads "B,N,K,d,dtype", for example 1,200000,100,64,f32; false if text is not that. */
bool parse_shape(const char *text, struct shape *shape);

const char *dtype_name(enum fkm_dtype dtype);
int64_t dtype_bytes(enum fkm_dtype dtype);

#endif
