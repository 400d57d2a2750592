/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parity with scikit-learn: every case of fixtures/cases.txt (made by make_fixtures.py) must give its labels and number
 * of iterations, and its inertia and centroids to 1e-9.
 *
 * Usage: parity FOLDER. The backend is that of FKM_BACKEND, cpu without it. Exits 77 if it has no device here, unless
 * FKM_REQUIRE (a list like cpu,opencl) names it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flashkmeans/flashkmeans.h"

enum { MAX_CASES = 64, NAME_BYTES = 64, FILE_BYTES = 1 << 18, SKIP = 77 };

struct parity_case {
	double tol, inertia;
	int max_iter, n_iter;
	char name[NAME_BYTES], points[NAME_BYTES], start[NAME_BYTES], weights[NAME_BYTES];
	char labels[NAME_BYTES], centroids[NAME_BYTES];
};

/* A .npy file: version 1, C order, little-endian f4 or f8, or u1, of one or two dimensions. */
struct npy {
	char type[3]; /* "f4", "f8" or "u1" */
	int64_t rows, columns;
	const void *data;
};

enum role { POINTS, START, WEIGHTS, LABELS, CENTROIDS, ROLES };

static const char *folder;
static struct fkm_context *context;

/* The size of a file of up to capacity bytes, read into buffer; 0 if it cannot be read or is larger. */
static size_t read_file(const char *name, unsigned char *buffer, size_t capacity)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "rb");
	if (!file)
		return 0;
	size_t size = fread(buffer, 1, capacity, file);
	bool whole = size < capacity && !ferror(file);
	fclose(file);
	return whole ? size : 0;
}

/* The array stays valid until the next one of its role is read. */
static struct npy read_npy(enum role role, const char *name)
{
	_Alignas(64) static unsigned char files[ROLES][FILE_BYTES]; /* numpy aligns the data to 64 in its file */
	const unsigned char *file = files[role];
	size_t size = read_file(name, files[role], FILE_BYTES);
	if (size < 10)
		fail_msg("cannot read %s/%s", folder, name);
	assert_memory_equal(file, "\x93NUMPY\x01\x00", 8);
	size_t start = 10 + (file[8] | (size_t)file[9] << 8);
	assert_true(start < size);

	struct npy array;
	long long rows, columns = 1;
	int fields =
		sscanf((const char *)file + 10, "{'descr': '%*c%2[a-z0-9]', 'fortran_order': False, 'shape': (%lld, %lld",
			   array.type, &rows, &columns);
	assert_true(fields >= 2);
	array.rows = rows;
	array.columns = columns;
	array.data = file + start;
	assert_int_equal(size - start, rows * columns * (array.type[1] - '0'));
	return array;
}

static struct fkm_array view(const struct npy *array)
{
	return fkm_array_2d(array->data, strcmp(array->type, "f4") ? FKM_F64 : FKM_F32, array->rows, array->columns);
}

static double column_range(const struct npy *points, int64_t j)
{
	const float *x = points->data;
	double low = DBL_MAX, high = -DBL_MAX;
	for (int64_t i = 0; i < points->rows; i++) {
		low = fmin(low, x[i * points->columns + j]);
		high = fmax(high, x[i * points->columns + j]);
	}
	return high - low;
}

static void check_results(const struct parity_case *expected, const struct npy *points, const int32_t *labels,
						  int32_t n_iter, double inertia, const double *centroids)
{
	struct npy wanted_labels = read_npy(LABELS, expected->labels),
			   wanted_centroids = read_npy(CENTROIDS, expected->centroids);
	const uint8_t *wanted_label = wanted_labels.data;
	const double *wanted_centroid = wanted_centroids.data;
	assert_int_equal(wanted_labels.rows, points->rows);

	assert_int_equal(n_iter, expected->n_iter);
	for (int64_t i = 0; i < points->rows; i++)
		if (labels[i] != wanted_label[i])
			fail_msg("row %lld: label %d, scikit-learn's %d", (long long)i, (int)labels[i], wanted_label[i]);
	if (!(fabs(inertia - expected->inertia) <= 1e-9 * expected->inertia))
		fail_msg("inertia %.17g, scikit-learn's %.17g", inertia, expected->inertia);
	/* Relative to the spread of the column, so that an offset of the data does not loosen the test. */
	for (int64_t j = 0; j < points->columns; j++) {
		double range = column_range(points, j);
		for (int64_t k = 0; k < wanted_centroids.rows; k++) {
			double ours = centroids[k * points->columns + j], theirs = wanted_centroid[k * points->columns + j];
			if (!(fabs(ours - theirs) <= 1e-9 * range))
				fail_msg("centroid %lld, column %lld: %.17g, scikit-learn's %.17g", (long long)k, (long long)j, ours,
						 theirs);
		}
	}
}

static void test_case(void **state)
{
	const struct parity_case *expected = *state;
	struct npy points = read_npy(POINTS, expected->points), start = read_npy(START, expected->start), weights;

	struct fkm_fit_params params;
	fkm_fit_params_init(&params);
	params.clusters = start.rows;
	params.init = FKM_INIT_CENTROIDS;
	params.init_centroids = view(&start);
	params.max_iter = expected->max_iter;
	params.tol = expected->tol;
	if (strcmp(expected->weights, "-")) {
		weights = read_npy(WEIGHTS, expected->weights);
		params.weights = view(&weights);
	}

	int32_t *labels = calloc((size_t)points.rows, sizeof(*labels));
	double *centroids = calloc((size_t)(start.rows * start.columns), sizeof(*centroids));
	assert_non_null(labels);
	assert_non_null(centroids);
	double inertia = NAN;
	int32_t n_iter = -1;
	struct fkm_fit_result result;
	fkm_fit_result_init(&result);
	result.labels = labels;
	result.centroids = centroids;
	result.centroids_dtype = FKM_F64;
	result.inertia = &inertia;
	result.n_iter = &n_iter;

	struct fkm_array x = view(&points);
	if (fkm_fit(context, &x, &params, &result) != FKM_OK)
		fail_msg("fkm_fit: %s", fkm_error_message());
	check_results(expected, &points, labels, n_iter, inertia, centroids);

	free(labels);
	free(centroids);
}

/* Reads cases.txt; returns how many cases it has, 0 if it cannot be read or a line is malformed. */
static int read_cases(struct parity_case *cases)
{
	char path[4096], line[1024];
	snprintf(path, sizeof(path), "%s/cases.txt", folder);
	FILE *file = fopen(path, "r");
	if (!file)
		return 0;
	int count = 0;
	while (fgets(line, sizeof(line), file)) {
		if (line[0] == '#')
			continue;
		struct parity_case *c = &cases[count];
		if (count == MAX_CASES ||
			sscanf(line, "%63s %63s %63s %63s %d %la %d %la %63s %63s", c->name, c->points, c->start, c->weights,
				   &c->max_iter, &c->tol, &c->n_iter, &c->inertia, c->labels, c->centroids) != 10) {
			count = 0;
			break;
		}
		count++;
	}
	fclose(file);
	return count;
}

int main(int argc, char **argv)
{
	static struct parity_case cases[MAX_CASES];
	struct CMUnitTest tests[MAX_CASES];
	if (argc != 2) {
		fprintf(stderr, "usage: parity FOLDER\n");
		return 2;
	}
	folder = argv[1];
	int count = read_cases(cases);
	if (count == 0) {
		fprintf(stderr, "parity: cannot read the cases of %s\n", folder);
		return 1;
	}
	for (int i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest){.name = cases[i].name, .test_func = test_case, .initial_state = &cases[i]};

	struct fkm_context_params params;
	fkm_context_params_init(&params);
	params.backend = getenv("FKM_BACKEND") ? getenv("FKM_BACKEND") : "cpu";
	enum fkm_status status = fkm_context_create(&params, &context);
	if (status != FKM_OK) {
		const char *required = getenv("FKM_REQUIRE");
		fprintf(stderr, "parity: %s\n", fkm_error_message());
		return status == FKM_ERROR_NO_DEVICE && !(required && strstr(required, params.backend)) ? SKIP : 1;
	}
	int failed = _cmocka_run_group_tests("parity", tests, (size_t)count, NULL, NULL);
	fkm_context_destroy(context);
	return failed != 0;
}
