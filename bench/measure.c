/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data.h"
#include "threads.h"

struct run {
	struct fkm_context *context;
	struct fkm_array points;
	struct fkm_fit_params params;
	struct fkm_fit_result result;
};

double multiply_adds(const struct measurement *m)
{
	const struct shape *s = &m->shape;
	return (double)s->b * (double)s->n * (double)s->k * (double)s->d * (m->iterations + 1);
}

static struct fkm_array view(const void *data, const struct shape *shape, int64_t rows)
{
	struct fkm_array array = fkm_array_2d(data, shape->dtype, rows, shape->d);
	array.batch = shape->b;
	return array;
}

static int64_t available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	long long kib = 0;
	char line[256];
	while (file && fgets(line, sizeof(line), file) && sscanf(line, "MemAvailable: %lld", &kib) != 1)
		;
	if (file)
		fclose(file);
	return kib ? kib << 10 : (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* Bytes of the arrays and of the fit's workspace, which is an estimate: a device has memory of its own. */
static bool fits_memory(struct run *run, const struct shape *shape)
{
	int64_t workspace = 0;
	if (fkm_fit_workspace(run->context, &run->points, &run->params, &run->result, &workspace) != FKM_OK) {
		fprintf(stderr, "fkm-bench: %s: %s\n", shape->name, fkm_error_message());
		return false;
	}
	if (strcmp(fkm_context_backend(run->context), "cpu"))
		workspace = 0;
	double needed =
		(double)shape->b * (double)(shape->n + shape->k) * (double)shape->d * (double)dtype_bytes(shape->dtype) +
		(double)shape->b * ((double)shape->n * 4 + (double)shape->k * (double)shape->d * 4) + (double)workspace;
	double available = (double)available_bytes();
	if (needed <= available)
		return true;
	fprintf(stderr, "fkm-bench: %s needs %.1f GiB of memory, %.1f GiB are available\n", shape->name, needed / 0x1p30,
			available / 0x1p30);
	return false;
}

static bool fit_once(struct run *run, struct measurement *m, const char *label, double *seconds)
{
	static const char *const precisions[PRECISIONS] = {"exact", "fast"};
	run->params.precision = m->precision;
	double start = now();
	enum fkm_status status = fkm_fit(run->context, &run->points, &run->params, &run->result);
	*seconds = now() - start;
	if (status != FKM_OK) {
		fprintf(stderr, "fkm-bench: %s: %s\n", m->shape.name, fkm_error_message());
		return false;
	}
	m->inertia = run->result.inertia[0];
	fprintf(stderr, "%s %s %s: %.3f s\n", m->shape.name, precisions[m->precision], label, *seconds);
	return true;
}

/* Puts a time and its diagnosis into the ascending lists. */
static void insert(struct measurement *m, struct fkm_diagnosis *diagnoses, double seconds,
				   const struct fkm_diagnosis *diagnosis)
{
	int i = m->repeats++;
	for (; i > 0 && m->seconds[i - 1] > seconds; i--) {
		m->seconds[i] = m->seconds[i - 1];
		diagnoses[i] = diagnoses[i - 1];
	}
	m->seconds[i] = seconds;
	diagnoses[i] = *diagnosis;
}

/* The precisions take turns, so that a change of the machine's speed meets both. */
static bool fit_all(struct run *run, int repeats, struct measurement *measurements)
{
	static struct fkm_diagnosis diagnoses[PRECISIONS][MAX_REPEATS];
	for (int repeat = 0; repeat <= repeats; repeat++) {
		for (int p = 0; p < PRECISIONS; p++) {
			char label[32];
			double seconds;
			snprintf(label, sizeof(label), repeat ? "%d of %d" : "warm-up", repeat, repeats);
			if (!fit_once(run, &measurements[p], label, &seconds))
				return false;
			if (repeat > 0)
				insert(&measurements[p], diagnoses[p], seconds, &run->result.diagnosis);
		}
	}
	for (int p = 0; p < PRECISIONS; p++) {
		struct measurement *m = &measurements[p];
		m->median = (m->seconds[(repeats - 1) / 2] + m->seconds[repeats / 2]) / 2;
		m->diagnosis = diagnoses[p][repeats / 2];
	}
	return true;
}

/* The labels of one more exact fit, held against the definition. */
static bool check(struct run *run, const struct options *options, struct measurement *m)
{
	double seconds;
	return fit_once(run, m, "check", &seconds) &&
		   check_labels(&m->shape, run->points.data, run->result.centroids, run->result.labels, options->check_rows,
						options->threads ? options->threads : available_threads(), &m->check);
}

bool measure(struct fkm_context *context, const struct shape *shape, const struct options *options,
			 struct measurement *measurements)
{
	static int32_t anything; /* stands for the outputs while memory is estimated */
	struct run run = {.context = context, .points = view(NULL, shape, shape->n)};
	fkm_fit_params_init(&run.params);
	run.params.clusters = shape->k;
	run.params.init = FKM_INIT_CENTROIDS;
	run.params.init_centroids = view(&anything, shape, shape->k);
	run.params.stop = FKM_STOP_FIXED;
	run.params.max_iter = options->iterations;
	run.params.empty = options->empty;
	fkm_fit_result_init(&run.result);
	run.result.labels = &anything;
	run.result.centroids = &anything;
	run.result.centroids_dtype = FKM_F32;
	if (!fits_memory(&run, shape))
		return false;
	for (int p = 0; p < PRECISIONS; p++)
		measurements[p] = (struct measurement){.shape = *shape, .precision = p, .iterations = options->iterations};

	fprintf(stderr, "%s: making data\n", shape->name);
	struct data data;
	bool ok = data_create(shape, available_threads(), &data);
	run.result.labels = malloc((size_t)(shape->b * shape->n) * sizeof(int32_t));
	run.result.centroids = malloc((size_t)(shape->b * shape->k * shape->d) * sizeof(float));
	run.result.inertia = malloc((size_t)shape->b * sizeof(double));
	if (ok && run.result.labels && run.result.centroids && run.result.inertia) {
		run.points.data = data.points;
		run.params.init_centroids.data = data.start;
		ok = fit_all(&run, options->repeats, measurements);
		if (ok && options->check_rows > 0)
			ok = check(&run, options, &measurements[FKM_PRECISION_EXACT]);
	} else {
		fprintf(stderr, "fkm-bench: %s: out of memory\n", shape->name);
		ok = false;
	}
	free(run.result.labels);
	free(run.result.centroids);
	free(run.result.inertia);
	data_destroy(&data);
	return ok;
}
