/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

static const char *reason_name(int32_t reason)
{
	static const char *const names[] = {
		[FKM_REASON_NONE] = "none",         [FKM_REASON_UNCHANGED] = "unchanged", [FKM_REASON_SHIFT] = "shift",
		[FKM_REASON_MAX_ITER] = "max_iter", [FKM_REASON_FIXED] = "fixed",         [FKM_REASON_CANCELLED] = "cancelled"};
	return reason >= 0 && reason < (int32_t)(sizeof names / sizeof *names) ? names[reason] : "unknown";
}

static const char *reason_sentence(int32_t reason)
{
	static const char *const sentences[] = {[FKM_REASON_NONE] = "",
											[FKM_REASON_UNCHANGED] = ", labels unchanged",
											[FKM_REASON_SHIFT] = ", shift within the tolerance",
											[FKM_REASON_MAX_ITER] = ", the most allowed",
											[FKM_REASON_FIXED] = ", as asked",
											[FKM_REASON_CANCELLED] = ", interrupted"};
	return reason >= 0 && reason < (int32_t)(sizeof sentences / sizeof *sentences) ? sentences[reason] : "";
}

static const char *metric_name(enum fkm_metric metric)
{
	return metric == FKM_METRIC_COSINE ? "cosine" : "euclidean";
}

static const char *precision_name(enum fkm_precision precision)
{
	return precision == FKM_PRECISION_FAST ? "fast" : "exact";
}

static const char *init_name(const struct tool_run *run)
{
	static const char *const names[] = {[FKM_INIT_KMEANS_PLUS_PLUS] = "k-means++", [FKM_INIT_RANDOM] = "random"};
	return run->params.init == FKM_INIT_CENTROIDS ? run->start.file.name : names[run->params.init];
}

void tool_format_bytes(char *text, size_t size, int64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
	if (bytes < 1024) {
		snprintf(text, size, "%" PRId64 " bytes", bytes);
		return;
	}
	double value = (double)bytes / 1024;
	int unit = 0;
	for (; value >= 1023.5 && unit < 4; unit++)
		value /= 1024;
	snprintf(text, size, "%.*f %s", value < 10 ? 1 : 0, value, units[unit]);
}

/* ---- table ---- */

static void cluster_sizes(const struct tool_run *run, int64_t *smallest, int64_t *largest)
{
	*smallest = INT64_MAX;
	*largest = 0;
	for (int64_t i = 0; i < run->b * run->k; i++) {
		int64_t count = run->result.counts[i];
		*smallest = count < *smallest ? count : *smallest;
		*largest = count > *largest ? count : *largest;
	}
}

static void print_iterations(const struct tool_run *run, FILE *stream)
{
	const struct fkm_fit_result *result = &run->result;
	if (!result->n_iter)
		return;
	if (run->b == 1) {
		fprintf(stream, "iterations   %" PRId32 "%s\n", result->n_iter[0], reason_sentence(result->reason[0]));
		return;
	}
	int32_t least = INT32_MAX, most = 0;
	for (int64_t i = 0; i < run->b; i++) {
		least = result->n_iter[i] < least ? result->n_iter[i] : least;
		most = result->n_iter[i] > most ? result->n_iter[i] : most;
	}
	fprintf(stream, "iterations   %" PRId32, least);
	if (most > least)
		fprintf(stream, " to %" PRId32, most);
	fputc('\n', stream);
}

static void print_seconds(const struct fkm_seconds *seconds, FILE *stream)
{
	const struct {
		const char *name;
		double seconds;
	} stages[] = {{"check", seconds->check},   {"copy", seconds->copy},     {"seed", seconds->seed},
				  {"assign", seconds->assign}, {"update", seconds->update}, {"finish", seconds->finish}};
	fprintf(stream, "seconds      %.3g", seconds->total);
	const char *before = " (";
	for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
		if (stages[i].seconds <= seconds->total / 1000) /* for the JSON report */
			continue;
		fprintf(stream, "%s%s %.3g", before, stages[i].name, stages[i].seconds);
		before = ", ";
	}
	fprintf(stream, "%s\n", before[0] == ',' ? ")" : "");
}

void tool_report_table(const struct tool_run *run, FILE *stream)
{
	const struct fkm_diagnosis *diagnosis = &run->result.diagnosis;
	const struct fkm_array *points = &run->points.matrix.array;
	enum tool_element element = run->points.file.array.element;
	int64_t smallest, largest;
	char workspace[32];
	cluster_sizes(run, &smallest, &largest);
	tool_format_bytes(workspace, sizeof workspace, diagnosis->workspace_bytes);

	fprintf(stream, "points       ");
	if (run->points.file.array.dims == 3)
		fprintf(stream, "%" PRId64 " problems of ", run->b);
	fprintf(stream, "%" PRId64 " x %" PRId64 ", %s", run->n, run->d, tool_dtype_name(points->dtype));
	if (tool_exact_dtype(element) != points->dtype || element == TOOL_I1 || element == TOOL_U1)
		fprintf(stream, " (%s %s)", tool_dtype_holds(points->dtype, element) ? "exact from" : "rounded from",
				tool_element_name(element));
	fprintf(stream, "\nclusters     %" PRId64 " of %" PRId64 " to %" PRId64 " points, %" PRId64 " empty\n", run->k,
			smallest, largest, diagnosis->empty_clusters);
	if (run->b == 1) {
		print_iterations(run, stream);
		fprintf(stream, "inertia      %.10g\n", run->result.inertia[0]);
	} else {
		double sum = 0;
		for (int64_t i = 0; i < run->b; i++)
			sum += run->result.inertia[i];
		print_iterations(run, stream);
		fprintf(stream, "inertia      %.10g in all\n", sum);
	}
	fprintf(stream, "rechecked    %" PRId64 " rows in double precision, %" PRId64 " exact ties\n", diagnosis->rechecked,
			diagnosis->exact_ties);
	if (diagnosis->relocations > 0)
		fprintf(stream, "relocations  %" PRId64 "\n", diagnosis->relocations);
	fprintf(stream, "backend      %s: %s", fkm_context_backend(run->context), fkm_context_device(run->context));
	if (diagnosis->threads > 0)
		fprintf(stream, ", %" PRId32 " thread%s", diagnosis->threads, diagnosis->threads == 1 ? "" : "s");
	if (run->ranks->size > 1)
		fprintf(stream, "; %" PRId32 " processes", run->ranks->size);
	fprintf(stream, "\nkernel       %s, tile %s\nworkspace    %s\n", diagnosis->kernel, diagnosis->tile, workspace);
	print_seconds(&diagnosis->seconds, stream);
}

/* ---- JSON ---- */

static void write_seconds(struct tool_json *json, const struct fkm_seconds *seconds)
{
	tool_json_open(json, "seconds", '{');
	tool_json_number(json, "check", seconds->check);
	tool_json_number(json, "copy", seconds->copy);
	tool_json_number(json, "seed", seconds->seed);
	tool_json_number(json, "assign", seconds->assign);
	tool_json_number(json, "update", seconds->update);
	tool_json_number(json, "finish", seconds->finish);
	tool_json_number(json, "total", seconds->total);
	tool_json_close(json, '}');
}

/* The results that each problem has: single values for a 2-d input, arrays for a batch. */
static void write_per_problem(struct tool_json *json, const struct tool_run *run)
{
	const struct fkm_fit_result *result = &run->result;
	if (run->points.file.array.dims < 3) {
		if (result->n_iter) {
			tool_json_integer(json, "n_iter", result->n_iter[0]);
			tool_json_string(json, "stop_reason", reason_name(result->reason[0]));
		}
		tool_json_number(json, "inertia", result->inertia[0]);
		return;
	}
	if (result->n_iter) {
		tool_json_open(json, "n_iter", '[');
		for (int64_t i = 0; i < run->b; i++)
			tool_json_integer(json, NULL, result->n_iter[i]);
		tool_json_close(json, ']');
		tool_json_open(json, "stop_reason", '[');
		for (int64_t i = 0; i < run->b; i++)
			tool_json_string(json, NULL, reason_name(result->reason[i]));
		tool_json_close(json, ']');
	}
	tool_json_open(json, "inertia", '[');
	for (int64_t i = 0; i < run->b; i++)
		tool_json_number(json, NULL, result->inertia[i]);
	tool_json_close(json, ']');
}

enum tool_exit tool_report_json(const struct tool_run *run, struct tool_output *output)
{
	const struct fkm_diagnosis *diagnosis = &run->result.diagnosis;
	bool fits = run->options->command == TOOL_FIT;
	struct tool_json json = {0};

	tool_json_open(&json, NULL, '{');
	tool_json_string(&json, "command", fits ? "fit" : "predict");
	tool_json_string(&json, "version", fkm_version());
	tool_json_string(&json, "input", run->points.file.name);
	tool_json_string(&json, "input_type", tool_element_name(run->points.file.array.element));
	tool_json_string(&json, "backend", fkm_context_backend(run->context));
	tool_json_string(&json, "device", fkm_context_device(run->context));
	tool_json_integer(&json, "threads", diagnosis->threads);
	tool_json_integer(&json, "ranks", run->ranks->size);
	tool_json_string(&json, "kernel", diagnosis->kernel);
	tool_json_string(&json, "tile", diagnosis->tile);
	tool_json_bool(&json, "fused", diagnosis->fused != 0);
	tool_json_integer(&json, "b", run->b);
	tool_json_integer(&json, "n", run->n);
	tool_json_integer(&json, "k", run->k);
	tool_json_integer(&json, "d", run->d);
	tool_json_string(&json, "dtype", tool_dtype_name(run->points.matrix.array.dtype));
	tool_json_string(&json, "metric", metric_name(run->params.metric));
	tool_json_string(&json, "precision", precision_name(run->params.precision));
	tool_json_bool(&json, "weighted", run->weights.file.name != NULL);
	if (fits) {
		tool_json_string(&json, "init", init_name(run));
		tool_json_integer(&json, "n_init", run->params.n_init);
		tool_json_unsigned(&json, "seed", run->params.seed);
		static const char *const stop_rules[] = {"relative", "absolute", "fixed"};
		static const char *const empty_policies[] = {"relocate", "keep", "error"};
		tool_json_string(&json, "stop", stop_rules[run->params.stop]);
		tool_json_string(&json, "empty", empty_policies[run->params.empty]);
		tool_json_number(&json, "tol", run->params.tol);
		tool_json_integer(&json, "max_iter", run->params.max_iter);
		tool_json_bool(&json, "interrupted", run->interrupted);
	}
	write_per_problem(&json, run);
	tool_json_integer(&json, "rechecked", diagnosis->rechecked);
	tool_json_integer(&json, "exact_ties", diagnosis->exact_ties);
	if (fits)
		tool_json_integer(&json, "relocations", diagnosis->relocations);
	tool_json_integer(&json, "empty_clusters", diagnosis->empty_clusters);
	tool_json_integer(&json, "workspace_bytes", diagnosis->workspace_bytes);
	write_seconds(&json, &diagnosis->seconds);
	tool_json_close(&json, '}');

	enum tool_exit code = json.failed ? tool_fail(TOOL_FAILED, "%s: no memory left to write it", output->name)
									  : tool_output_write(output, json.text, json.length);
	free(json.text);
	return code;
}
