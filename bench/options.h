/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>

#include "shapes.h"

enum { MAX_SHAPES = 64, MAX_REPEATS = 100, PRECISIONS = 2 /* of enum fkm_precision */ };

struct options {
	const char *backend, *json, *cublas; /* NULL: not given */
	int device;                          /* -1: not given */
	int threads;                         /* 0: all */
	int iterations, repeats;
	double seconds; /* of measuring per shape; on devices */
	enum fkm_empty empty;
	bool stages, ceilings;
	int64_t check_rows;
	struct shape shapes[MAX_SHAPES];
	int count;
};

/* Ends the program where the options say so, or are wrong. */
void options_parse(int argc, char **argv, struct options *options);

/* Where no shape was asked for: those for CPUs, or all others. */
void options_default_shapes(struct options *options, bool cpu);

#endif
