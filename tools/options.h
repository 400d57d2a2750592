/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, checked as far as it can be without looking at a file. */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "flashkmeans/flashkmeans.h"
#include "message.h"

enum tool_command { TOOL_FIT, TOOL_PREDICT, TOOL_DEVICES, TOOL_PLAN };

enum tool_output_kind {
	TOOL_LABELS,
	TOOL_CENTROIDS,
	TOOL_ORDER,
	TOOL_OFFSETS,
	TOOL_DISTANCES,
	TOOL_JSON,
	TOOL_OUTPUTS /* how many there are */
};

enum { TOOL_DEFAULT_CLUSTERS = 8, TOOL_MOST_DEVICES = 64 };

struct tool_options {
	enum tool_command command;
	bool help;

	const char *points;     /* X */
	const char *start;      /* file of fit's --init or predict's centroids; NULL: none */
	const char *weights;    /* NULL: none */
	const char *checkpoint; /* NULL: none */
	int32_t checkpoint_every;
	bool resume;
	const char *outputs[TOOL_OUTPUTS];

	int64_t clusters; /* 0: not given */
	enum fkm_metric metric;
	enum fkm_init init;
	enum fkm_stop stop;
	enum fkm_empty empty;
	enum fkm_precision precision;
	enum fkm_dtype dtype; /* 0: not given */
	enum fkm_dtype centroids_dtype;
	int32_t max_iter;
	int32_t n_init;
	double tol;
	uint64_t seed;

	const char *backend;
	int32_t device; /* -1: that of the name, or any */
	const char *device_name;
	int32_t devices[TOOL_MOST_DEVICES];
	int32_t device_count; /* 0: one, as the two before say */
	int32_t threads;
	const char *kernel;
	int64_t chunk_rows;
	int64_t max_memory;
	double time_limit; /* seconds that a rank waits for the others; 0: for ever */
	bool quiet, verbose;

	int64_t plan_points, plan_dims, plan_batch;
	bool plan_weights;
};

/* The option by which an output is asked for, "--labels". */
const char *tool_output_option(enum tool_output_kind kind);

/* Reads the arguments after the command, argv[0] being the command itself. Returns TOOL_OK or TOOL_USAGE. */
enum tool_exit tool_options_parse(enum tool_command command, int argc, char **argv, struct tool_options *options);

#endif
