/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fkm-bench-devices: an iteration on 1, 2, 4, ... devices, each a rank with its own part of the points in its memory.
 *
 *   fkm-bench-devices [--backend cuda|cpu] [--devices N] [--weak SHAPE]... [--strong SHAPE]... [--iterations I]
 *                     [--repeat R] [--json FILE]
 *
 * SHAPE as for fkm-bench: a name or B,N,K,d,dtype. weak: N points on each device; strong: N points in all. The time of an
 * iteration is the difference between fits of 2 I and of I iterations, divided by I. With cpu a "device" is a thread.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_device.h"
#include "data.h"
#include "json.h"
#include "threads.h"

enum { MOST_DEVICES = 8, MOST_SHAPES = 8, MOST_REPEATS = 100 };

struct options {
	bool cuda;
	int devices, iterations, repeats, shape_count;
	struct {
		struct shape shape;
		bool weak;
	} shapes[MOST_SHAPES];
	const char *json;
};

/* One measurement: a shape on so many devices. */
struct trial {
	const struct options *options;
	struct shape shape; /* n: of all devices */
	int devices;
	const struct data *data; /* of at least that many rows */
	struct fkm_local_ranks *ranks;
	/* of rank 0 */
	struct spread milliseconds;
	char kernel[64], device[128];
	double inertia;
};

struct member {
	struct trial *trial;
	int rank;
	bool ok;
};

static bool ok(enum fkm_status status, const char *what)
{
	if (status != FKM_OK)
		fprintf(stderr, "fkm-bench-devices: %s: %s\n", what, fkm_error_message());
	return status == FKM_OK;
}

/* ---- a rank ---- */

/* A device and what is in its memory; on the CPU the host's arrays. */
struct place {
	struct cuda_device cuda;
	struct fkm_context *context;
	struct fkm_array points;
	void *memory[2]; /* points, labels */
};

static void leave(const struct trial *trial, struct place *place)
{
	fkm_context_destroy(place->context);
	for (int i = 0; i < 2; i++) {
		if (trial->options->cuda && place->cuda.context)
			device_free(&place->cuda.device, place->memory[i]);
		else
			free(place->memory[i]);
	}
	if (trial->options->cuda)
		cuda_device_close(&place->cuda);
}

static bool bring_points(const struct trial *trial, int64_t first, int64_t rows, struct place *place)
{
	const struct shape *shape = &trial->shape;
	const int64_t row = shape->d * dtype_bytes(shape->dtype);
	const char *from = (const char *)trial->data->points + first * row;
	place->points = fkm_array_2d(from, shape->dtype, rows, shape->d);
	if (!trial->options->cuda) {
		place->memory[1] = malloc((size_t)rows * sizeof(int32_t));
		return place->memory[1] != NULL;
	}
	place->memory[0] = device_alloc(&place->cuda.device, rows * row);
	place->memory[1] = device_alloc(&place->cuda.device, rows * (int64_t)sizeof(int32_t));
	place->points.data = place->memory[0];
	place->points.memory = FKM_MEMORY_DEVICE;
	return place->memory[0] && place->memory[1] &&
		   device_upload(&place->cuda.device, place->memory[0], from, rows * row);
}

static bool enter(const struct trial *trial, int rank, struct place *place)
{
	struct fkm_communicator communicator;
	struct fkm_context_params params;
	const int64_t n = trial->shape.n, first = n * rank / trial->devices, end = n * (rank + 1) / trial->devices;
	fkm_context_params_init(&params);
	params.backend = trial->options->cuda ? "cuda" : "cpu";
	params.device = trial->options->cuda ? rank : 0;
	params.threads = trial->options->cuda ? 0 : 1;
	if (trial->devices > 1) {
		if (!ok(fkm_local_ranks_get(trial->ranks, rank, &communicator), "rank"))
			return false;
		params.communicator = &communicator;
	}
	if (trial->options->cuda && !cuda_device_open(rank, &place->cuda))
		return false;
	return ok(fkm_context_create(&params, &place->context), "context") &&
		   bring_points(trial, first, end - first, place);
}

static bool fit(struct member *member, const struct place *place, int iterations, double *seconds)
{
	struct trial *trial = member->trial;
	const struct shape *shape = &trial->shape;
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	double inertia;
	fkm_fit_params_init(&params);
	params.clusters = shape->k;
	params.init = FKM_INIT_CENTROIDS;
	params.init_centroids = fkm_array_2d(trial->data->start, shape->dtype, shape->k, shape->d);
	params.stop = FKM_STOP_FIXED;
	params.empty = FKM_EMPTY_KEEP;
	params.max_iter = iterations;
	params.trust_finite = 1;
	fkm_fit_result_init(&result);
	result.memory = trial->options->cuda ? FKM_MEMORY_DEVICE : FKM_MEMORY_HOST;
	result.labels = place->memory[1];
	result.inertia = &inertia;
	const double before = now();
	if (!ok(fkm_fit(place->context, &place->points, &params, &result), "fit"))
		return false;
	*seconds = now() - before;
	if (member->rank > 0)
		return true;
	trial->inertia = inertia;
	snprintf(trial->kernel, sizeof(trial->kernel), "%s", result.diagnosis.kernel);
	snprintf(trial->device, sizeof(trial->device), "%s", fkm_context_device(place->context));
	return true;
}

static bool measure(struct member *member, const struct place *place)
{
	const struct options *options = member->trial->options;
	double few, many;
	if (!fit(member, place, options->iterations, &few)) /* the first one loads and warms up */
		return false;
	for (int i = 0; i < options->repeats; i++) {
		if (!fit(member, place, options->iterations, &few) || !fit(member, place, 2 * options->iterations, &many))
			return false;
		if (member->rank == 0)
			spread_add(&member->trial->milliseconds, (many - few) * 1e3 / options->iterations);
	}
	return true;
}

/* The ranks that fail let the others wait for a minute. */
static void *run_member(void *argument)
{
	struct member *member = argument;
	struct place place = {.context = NULL};
	member->ok = enter(member->trial, member->rank, &place) && measure(member, &place);
	leave(member->trial, &place);
	return NULL;
}

static bool run_trial(struct trial *trial)
{
	struct member members[MOST_DEVICES];
	pthread_t threads[MOST_DEVICES];
	bool all = true;
	if (!ok(fkm_local_ranks_create(trial->devices, 60, &trial->ranks), "ranks"))
		return false;
	for (int rank = 0; rank < trial->devices; rank++) {
		members[rank] = (struct member){.trial = trial, .rank = rank};
		if (pthread_create(&threads[rank], NULL, run_member, &members[rank]) != 0) {
			fprintf(stderr, "fkm-bench-devices: cannot start a thread\n");
			exit(1);
		}
	}
	for (int rank = 0; rank < trial->devices; rank++) {
		pthread_join(threads[rank], NULL);
		all = all && members[rank].ok;
	}
	fkm_local_ranks_destroy(trial->ranks);
	return all;
}

/* ---- shapes ---- */

static void print_trial(const struct trial *trial, bool weak, double single, bool same, FILE *json, bool first)
{
	const double median = spread_median(&trial->milliseconds);
	const double speedup = weak ? single * trial->devices / median : single / median;
	printf("%-6s %-16s %d devices  %9.4f ms per iteration  %5.2f x  %s%s\n", weak ? "weak" : "strong",
		   trial->shape.name, trial->devices, median, speedup, trial->kernel,
		   weak   ? ""
		   : same ? "  same inertia"
				  : "  OTHER INERTIA");
	fflush(stdout);
	if (!json)
		return;
	fprintf(json, "%s\n  {\"scaling\": \"%s\", \"devices\": %d, \"device\": ", first ? "" : ",",
			weak ? "weak" : "strong", trial->devices);
	json_string(json, trial->device);
	fprintf(json, ", ");
	json_shape(json, &trial->shape);
	fprintf(json, ", \"kernel\": ");
	json_string(json, trial->kernel);
	fprintf(json, ", \"iteration_ms\": ");
	json_spread(json, &trial->milliseconds, 1);
	fprintf(json, ", \"speedup\": %.4f, \"inertia\": %.17g, \"same_inertia\": %s}", speedup, trial->inertia,
			weak   ? "null"
			: same ? "true"
				   : "false");
}

/* All numbers of devices for one shape. False if something failed, or if results differ. */
static bool run_shape(const struct options *options, int index, FILE *json, bool *first)
{
	const bool weak = options->shapes[index].weak;
	struct shape whole = options->shapes[index].shape;
	struct data data;
	double single = 0, inertia = 0;
	bool good = true;
	if (weak)
		whole.n *= options->devices;
	if (!data_create(&whole, available_threads(), &data)) {
		fprintf(stderr, "fkm-bench-devices: no memory for %s\n", whole.name);
		return false;
	}
	for (int devices = 1; devices <= options->devices && good; devices *= 2) {
		struct trial trial = {
			.options = options, .shape = options->shapes[index].shape, .devices = devices, .data = &data};
		if (weak)
			trial.shape.n *= devices;
		good = run_trial(&trial);
		if (!good)
			break;
		if (devices == 1) {
			single = spread_median(&trial.milliseconds);
			inertia = trial.inertia;
		}
		const bool same = trial.inertia == inertia;
		print_trial(&trial, weak, single, same, json, *first);
		*first = false;
		good = weak || same;
	}
	data_destroy(&data);
	return good;
}

/* ---- options ---- */

static bool take_shape(struct options *options, const char *text, bool weak)
{
	const struct shape *named = find_shape(text);
	struct shape shape;
	if (options->shape_count == MOST_SHAPES || (!named && !parse_shape(text, &shape)))
		return false;
	shape = named ? *named : shape;
	options->shapes[options->shape_count].shape = shape;
	options->shapes[options->shape_count++].weak = weak;
	return shape.b == 1;
}

static bool take_number(const char *text, int most, int *number)
{
	char *end;
	const long value = strtol(text, &end, 10);
	*number = (int)value;
	return *end == '\0' && value >= 1 && value <= most;
}

static bool read_options(int argc, char **argv, struct options *options)
{
	bool good = argc % 2 == 1;
	for (int i = 1; i + 1 < argc && good; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];
		if (strcmp(name, "--backend") == 0) {
			options->cuda = strcmp(value, "cuda") == 0;
			good = options->cuda || strcmp(value, "cpu") == 0;
		} else if (strcmp(name, "--devices") == 0) {
			good = take_number(value, MOST_DEVICES, &options->devices);
		} else if (strcmp(name, "--iterations") == 0) {
			good = take_number(value, 10000, &options->iterations);
		} else if (strcmp(name, "--repeat") == 0) {
			good = take_number(value, MOST_REPEATS, &options->repeats);
		} else if (strcmp(name, "--weak") == 0 || strcmp(name, "--strong") == 0) {
			good = take_shape(options, value, name[2] == 'w');
		} else if (strcmp(name, "--json") == 0) {
			options->json = value;
		} else {
			good = false;
		}
		if (!good)
			fprintf(stderr, "fkm-bench-devices: %s %s\n", name, value);
	}
	if (!good)
		fprintf(stderr,
				"usage: fkm-bench-devices [--backend cuda|cpu] [--devices N] [--weak SHAPE]... [--strong SHAPE]...\n"
				"                         [--iterations I] [--repeat R] [--json FILE]\n"
				"SHAPE: a name that fkm-bench knows, or 1,N,K,d,dtype\n");
	return good;
}

int main(int argc, char **argv)
{
	struct options options = {.cuda = true, .devices = 2, .iterations = 20, .repeats = 5};
	bool good = true, first = true;
	if (!read_options(argc, argv, &options))
		return 2;
	if (options.shape_count == 0) {
		take_shape(&options, "paper-8m-1k", true);
		take_shape(&options, "ivf-64k", false);
	}
	FILE *json = options.json ? fopen(options.json, "w") : NULL;
	if (options.json && !json) {
		perror(options.json);
		return 1;
	}
	if (json) {
		fprintf(json, "{");
		json_origin(json);
		fprintf(json, ", \"results\": [");
	}
	for (int i = 0; i < options.shape_count; i++)
		good = run_shape(&options, i, json, &first) && good;
	if (json) {
		fprintf(json, "\n]}\n");
		fclose(json);
	}
	return good ? 0 : 1;
}
