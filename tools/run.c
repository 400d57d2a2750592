/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "parts.h"
#include "report.h"
#include "share.h"
#include "signals.h"

/* ---- inputs ---- */

static enum tool_exit read_points(struct tool_run *run)
{
	struct tool_input *points = &run->points;
	TOOL_TRY(tool_file_open(run->options->points, &points->file));
	enum tool_element element = points->file.array.element;
	enum fkm_dtype exact = tool_exact_dtype(element);
	enum fkm_dtype dtype = run->options->dtype ? run->options->dtype : exact == FKM_F64 ? FKM_F32 : exact;
	if (!tool_dtype_holds(dtype, element))
		tool_note("%s holds %s; its values are rounded to %s", points->file.name, tool_element_name(element),
				  tool_dtype_name(dtype));
	TOOL_TRY(tool_matrix_make(&points->file, TOOL_MATRIX, dtype, run->ranks, &points->matrix));
	run->b = points->matrix.array.batch;
	run->n = points->matrix.all_rows;
	run->rows = points->matrix.rows;
	run->d = points->matrix.array.dims;
	return TOOL_OK;
}

/* That an array of so many problems fits the points: b or 1, the latter for all. */
static enum tool_exit check_batch(const struct tool_run *run, const struct tool_input *input)
{
	int64_t batch = input->matrix.array.batch;
	if (batch == run->b || batch == 1)
		return TOOL_OK;
	return tool_fail(TOOL_FAILED, "%s: has %" PRId64 " problems, but %s has %" PRId64, input->file.name, batch,
					 run->points.file.name, run->b);
}

static enum tool_exit read_start(struct tool_run *run)
{
	struct tool_input *start = &run->start;
	TOOL_TRY(tool_file_open(run->options->start, &start->file));
	TOOL_TRY(
		tool_matrix_make(&start->file, TOOL_MATRIX, tool_exact_dtype(start->file.array.element), NULL, &start->matrix));
	const struct fkm_array *array = &start->matrix.array;
	if (array->dims != run->d)
		return tool_fail(TOOL_FAILED, "%s: has rows of %" PRId64 " dimensions, but the points of %s have %" PRId64,
						 start->file.name, array->dims, run->points.file.name, run->d);
	if (run->options->clusters && array->rows != run->options->clusters)
		return tool_fail(TOOL_FAILED, "%s: has %" PRId64 " rows, but -k is %" PRId64, start->file.name, array->rows,
						 run->options->clusters);
	return check_batch(run, start);
}

static enum tool_exit read_weights(struct tool_run *run)
{
	struct tool_input *weights = &run->weights;
	TOOL_TRY(tool_file_open(run->options->weights, &weights->file));
	enum tool_element element = weights->file.array.element;
	if (element != TOOL_F4 && element != TOOL_F8)
		return tool_fail(TOOL_FAILED, "%s: holds type %s; weights are f4 or f8", weights->file.name,
						 tool_element_name(element));
	TOOL_TRY(tool_matrix_make(&weights->file, TOOL_COLUMN, tool_exact_dtype(element), run->ranks, &weights->matrix));
	if (weights->matrix.all_rows != run->n)
		return tool_fail(TOOL_FAILED, "%s: has %" PRId64 " weights, but %s has %" PRId64 " points", weights->file.name,
						 weights->matrix.all_rows, run->points.file.name, run->n);
	return check_batch(run, weights);
}

static enum tool_exit choose_clusters(struct tool_run *run)
{
	const struct tool_options *options = run->options;
	bool is_default = !options->start && !options->clusters;
	run->k = options->start ? run->start.matrix.array.rows : is_default ? TOOL_DEFAULT_CLUSTERS : options->clusters;
	if (options->command == TOOL_FIT && run->k > run->n) {
		if (options->start)
			return tool_fail(TOOL_FAILED, "%s: has %" PRId64 " rows, more than the %" PRId64 " points of %s",
							 run->start.file.name, run->k, run->n, run->points.file.name);
		return tool_fail(TOOL_FAILED, "%s: %" PRId64 " clusters%s are more than its %" PRId64 " points",
						 run->points.file.name, run->k, is_default ? " (-k is not given)" : "", run->n);
	}
	if (is_default)
		tool_note("-k is not given: %d clusters", TOOL_DEFAULT_CLUSTERS);
	return TOOL_OK;
}

/* That every process can read it. */
static enum tool_exit check_shared(const char *name)
{
	struct stat status;
	if (!name || (stat(name, &status) != 0 && strcmp(name, "-") != 0)) /* which opening it will tell */
		return TOOL_OK;
	if (strcmp(name, "-") == 0 || !S_ISREG(status.st_mode))
		return tool_fail(TOOL_FAILED, "%s: is no file that several processes can read", name);
	return TOOL_OK;
}

static enum tool_exit read_inputs(struct tool_run *run)
{
	const struct tool_options *options = run->options;
	const char *const names[] = {options->points, options->start, options->weights};
	for (int i = 0; i < 3 && run->ranks->size > 1; i++)
		TOOL_TRY(check_shared(names[i]));
	TOOL_TRY(read_points(run));
	if (options->start)
		TOOL_TRY(read_start(run));
	if (options->weights)
		TOOL_TRY(read_weights(run));
	return choose_clusters(run);
}

/* ---- outputs ---- */

/* Results of which each rank has those of its rows. */
static bool is_shared(enum tool_output_kind kind)
{
	return kind == TOOL_LABELS || kind == TOOL_ORDER || kind == TOOL_DISTANCES;
}

static enum tool_exit open_outputs(struct tool_run *run)
{
	for (int i = 0; i < TOOL_OUTPUTS && run->ranks->rank == 0; i++) {
		struct tool_output *output = &run->outputs[i];
		if (!run->options->outputs[i])
			continue;
		TOOL_TRY(tool_output_open(run->options->outputs[i], output));
		if (run->ranks->size > 1 && is_shared((enum tool_output_kind)i) && !output->temporary)
			return tool_fail(TOOL_FAILED, "%s: is no file that several processes can write", output->name);
	}
	return TOOL_OK;
}

/* ---- the library ---- */

static void print_log(void *user, enum fkm_log_level level, const char *line)
{
	(void)user;
	tool_note(level == FKM_LOG_WARNING ? "warning: %s" : "%s", line);
}

enum tool_exit tool_open_context(const struct tool_options *options, const struct tool_ranks *ranks,
								 struct fkm_context **context)
{
	struct fkm_context_params params;
	fkm_context_params_init(&params);
	params.backend = options->backend;
	params.device = options->device;
	params.device_name = options->device_name;
	params.devices = options->device_count > 0 ? options->devices : NULL;
	params.devices_seconds = options->time_limit;
	params.device_count = options->device_count;
	params.threads = options->threads;
	params.memory_budget_bytes = options->max_memory;
	params.communicator = ranks->communicator;
	if (ranks->local_size > 1)
		TOOL_TRY(tool_share_machine(ranks, &params));
	params.log = print_log;
	params.log_level = options->verbose ? FKM_LOG_INFO : FKM_LOG_WARNING;
	if (fkm_context_create(&params, context) != FKM_OK)
		return tool_fail(TOOL_FAILED, "%s", fkm_error_message());
	tool_signals_install(); /* again: drivers install handlers of their own (LLVM's, in OpenCL for CPUs) */
	return TOOL_OK;
}

static void fill_params(struct tool_run *run)
{
	const struct tool_options *options = run->options;
	struct fkm_fit_params *params = &run->params;
	fkm_fit_params_init(params);
	params->clusters = run->k;
	params->metric = options->metric;
	params->init = options->init;
	if (options->command == TOOL_FIT)
		params->init_centroids = run->start.matrix.array;
	params->weights = run->weights.matrix.array;
	params->max_iter = options->max_iter;
	params->tol = options->tol;
	params->stop = options->stop;
	params->empty = options->empty;
	params->n_init = options->start ? 1 : options->n_init; /* from one start they would all be the same */
	params->seed = options->seed;
	params->precision = options->precision;
	params->kernel = options->kernel;
	params->chunk_rows = options->chunk_rows;
	tool_checkpoint_fill(&run->checkpoint, options, params);
}

/* An array of count x each elements for the results; NULL if that is more than memory can hold. */
static void *allocate(int64_t count, int64_t each, size_t element_bytes)
{
	if (each == 0) /* of a rank without rows */
		each = 1;
	if (count > INT64_MAX / each || (uint64_t)(count * each) > SIZE_MAX / element_bytes)
		return NULL;
	return calloc((size_t)(count * each), element_bytes);
}

static enum tool_exit make_results(struct tool_run *run)
{
	const char *const *wanted = run->options->outputs;
	struct fkm_fit_result *result = &run->result;
	bool fits = run->options->command == TOOL_FIT;
	bool lists = wanted[TOOL_ORDER] || wanted[TOOL_OFFSETS];
	int64_t centroid_values = run->k > INT64_MAX / run->d ? INT64_MAX : run->k * run->d;
	bool good = true;

	fkm_fit_result_init(result);
	result->centroids_dtype = run->options->centroids_dtype;
	good &= (result->inertia = allocate(run->b, 1, sizeof *result->inertia)) != NULL;
	good &= (result->counts = allocate(run->b, run->k, sizeof *result->counts)) != NULL;
	good &= !fits || (result->n_iter = allocate(run->b, 1, sizeof *result->n_iter)) != NULL;
	good &= !fits || (result->reason = allocate(run->b, 1, sizeof *result->reason)) != NULL;
	if (wanted[TOOL_LABELS])
		good &= (result->labels = allocate(run->b, run->rows.count, sizeof *result->labels)) != NULL;
	if (wanted[TOOL_CENTROIDS])
		good &= (result->centroids = allocate(run->b, centroid_values, sizeof(double))) != NULL;
	if (lists)
		good &= (result->order = allocate(run->b, run->rows.count, sizeof *result->order)) != NULL;
	if (lists)
		good &= (result->offsets = allocate(run->b, run->k + 1, sizeof *result->offsets)) != NULL;
	if (wanted[TOOL_DISTANCES])
		good &= (result->distances = allocate(run->b, run->rows.count, sizeof *result->distances)) != NULL;
	return good ? TOOL_OK : tool_fail(TOOL_FAILED, "no memory left for the results");
}

/* Without "rank R of S: ", which the library puts before what failed on one of several. */
static const char *skip_rank(const char *sentence)
{
	int rank, ranks, length = 0;
	return sscanf(sentence, "rank %d of %d: %n", &rank, &ranks, &length) == 2 ? sentence + length : sentence;
}

enum tool_exit tool_run_failed(struct tool_run *run, enum fkm_status status)
{
	/* How the library's sentences begin that speak of an input. */
	const struct {
		const char *argument;
		const struct tool_file *file;
	} arguments[] = {{"points", &run->points.file},
					 {"weights", &run->weights.file},
					 {"the largest of weights", &run->weights.file},
					 {"centroids", &run->start.file},
					 {"init_centroids", &run->start.file},
					 {"resume", &run->checkpoint.from}};
	const char *sentence = fkm_error_message(), *own = skip_rank(sentence);
	if (status == FKM_ERROR_COMMUNICATOR)
		run->ranks->broken = true;
	for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++)
		if (arguments[i].file->name && strncmp(own, arguments[i].argument, strlen(arguments[i].argument)) == 0)
			return tool_fail(TOOL_FAILED, "%s: %s", arguments[i].file->name, own);
	return tool_fail(TOOL_FAILED, "%s", sentence);
}

/* ---- the whole ---- */

/* What each rank does by itself before any computing. */
static enum tool_exit open_files(struct tool_run *run)
{
	TOOL_TRY(open_outputs(run));
	TOOL_TRY(tool_checkpoint_open(&run->checkpoint, run->options));
	return read_inputs(run);
}

static enum tool_exit open_library(struct tool_run *run)
{
	TOOL_TRY(tool_open_context(run->options, run->ranks, &run->context));
	fill_params(run);
	return make_results(run);
}

enum tool_exit tool_run_open(struct tool_run *run, const struct tool_options *options, struct tool_ranks *ranks)
{
	*run = (struct tool_run){.options = options, .ranks = ranks};
	TOOL_TRY(tool_ranks_agree(ranks, open_files(run)));
	return tool_ranks_agree(ranks, open_library(run));
}

static enum tool_exit write_results(struct tool_run *run)
{
	const struct fkm_fit_result *result = &run->result;
	bool wide = result->centroids_dtype == FKM_F64;
	const struct {
		enum tool_output_kind kind;
		const char *type;
		size_t bytes;
		int64_t rows, columns; /* per problem; columns 0: none */
		const void *data;
	} arrays[] = {
		{TOOL_LABELS, "<i4", 4, run->n, 0, result->labels},
		{TOOL_CENTROIDS, wide ? "<f8" : "<f4", wide ? 8 : 4, run->k, run->d, result->centroids},
		{TOOL_ORDER, "<i8", 8, run->n, 0, result->order},
		{TOOL_OFFSETS, "<i8", 8, run->k + 1, 0, result->offsets},
		{TOOL_DISTANCES, "<f8", 8, run->n, 0, result->distances},
	};
	bool is_batch = run->points.file.array.dims == 3;
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
		struct tool_output *output = &run->outputs[arrays[i].kind];
		int64_t shape[3] = {run->b, arrays[i].rows, arrays[i].columns};
		int dims = arrays[i].columns ? 3 : 2;
		if (output->name && (run->ranks->size == 1 || !is_shared(arrays[i].kind)))
			TOOL_TRY(tool_output_npy(output, arrays[i].type, arrays[i].bytes, is_batch ? dims : dims - 1,
									 is_batch ? shape : shape + 1, arrays[i].data));
	}
	return run->outputs[TOOL_JSON].name ? tool_report_json(run, &run->outputs[TOOL_JSON]) : TOOL_OK;
}

/* What all ranks write. */
static enum tool_exit write_parts(struct tool_run *run)
{
	const char *const *names = run->options->outputs;
	struct fkm_fit_result *result = &run->result;
	struct tool_parts parts = {
		.b = run->b, .n = run->n, .is_batch = run->points.file.array.dims == 3, .rows = run->rows};
	for (int i = 0; i < TOOL_OUTPUTS; i++)
		if (names[i] && is_shared((enum tool_output_kind)i))
			TOOL_TRY(tool_ranks_agree(run->ranks, tool_parts_join(run->ranks, &run->outputs[i], names[i])));
	if (names[TOOL_LABELS]) {
		parts.type = "<i4";
		parts.bytes = 4;
		TOOL_TRY(tool_parts_rows(run->ranks, &run->outputs[TOOL_LABELS], &parts, result->labels));
	}
	if (names[TOOL_DISTANCES]) {
		parts.type = "<f8";
		parts.bytes = 8;
		TOOL_TRY(tool_parts_rows(run->ranks, &run->outputs[TOOL_DISTANCES], &parts, result->distances));
	}
	parts.type = "<i8";
	parts.bytes = 8;
	if (!result->order)
		return TOOL_OK;
	return tool_parts_lists(run->ranks, &run->outputs[TOOL_ORDER], &parts, run->k, result->counts,
							names[TOOL_ORDER] ? result->order : NULL, result->offsets);
}

static enum tool_exit sync_outputs(struct tool_run *run)
{
	for (int i = 0; i < TOOL_OUTPUTS; i++)
		TOOL_TRY(tool_output_sync(&run->outputs[i]));
	return TOOL_OK;
}

static enum tool_exit commit_outputs(struct tool_run *run)
{
	for (int i = 0; i < TOOL_OUTPUTS; i++)
		TOOL_TRY(tool_output_commit(&run->outputs[i]));
	return TOOL_OK;
}

enum tool_exit tool_run_finish(struct tool_run *run)
{
	if (run->ranks->size > 1)
		TOOL_TRY(write_parts(run));
	TOOL_TRY(tool_ranks_agree(run->ranks, run->ranks->rank == 0 ? write_results(run) : TOOL_OK));
	TOOL_TRY(tool_ranks_agree(run->ranks, sync_outputs(run)));
	TOOL_TRY(tool_ranks_agree(run->ranks, commit_outputs(run)));
	bool stdout_is_taken = false;
	for (int i = 0; i < TOOL_OUTPUTS; i++)
		stdout_is_taken |= run->options->outputs[i] && strcmp(run->options->outputs[i], "-") == 0;
	if (!stdout_is_taken && run->ranks->rank == 0)
		tool_report_table(run, stdout);
	return TOOL_OK;
}

static void close_input(struct tool_input *input)
{
	tool_matrix_free(&input->matrix);
	tool_file_close(&input->file);
}

void tool_run_close(struct tool_run *run)
{
	fkm_context_destroy(run->context);
	free(run->result.labels);
	free(run->result.centroids);
	free(run->result.counts);
	free(run->result.order);
	free(run->result.offsets);
	free(run->result.distances);
	free(run->result.inertia);
	free(run->result.n_iter);
	free(run->result.reason);
	close_input(&run->points);
	close_input(&run->start);
	close_input(&run->weights);
	tool_checkpoint_close(&run->checkpoint);
	for (int i = 0; i < TOOL_OUTPUTS; i++)
		tool_output_close(&run->outputs[i]);
	*run = (struct tool_run){0};
}
