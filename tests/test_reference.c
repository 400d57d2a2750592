/* SPDX-License-Identifier: Apache-2.0 */
/* The reference itself, on what can be worked out by hand or is published. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reference.h"

/* Known answers of Philox 4x32-10 from its authors: all zeros, all ones, digits of pi. */
static void test_philox(void **state)
{
	(void)state;
	assert_true(ref_draw(0, 0, 0, 0, 0) == 0xe169c58d6627e8d5u);
	assert_true(ref_draw(UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX) == 0x41c83b0e408f276du);
	assert_true(ref_draw(0x299f31d0a4093822u, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344) == 0x94fdccebd16cfe09u);
}

static void test_values(void **state)
{
	const uint16_t half[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x8000};
	const double expected[] = {1, -2, 65504, 0x1p-24, 0x1p-14, -0.0};
	const uint16_t brain[] = {0x3f80, 0xc000, 0x7f7f, 0x0001};
	const double expected_brain[] = {1, -2, 0x1.fep127, 0x1p-133};

	(void)state;
	for (int i = 0; i < 6; i++) {
		double value = ref_value(half, FKM_F16, i);
		assert_memory_equal(&value, &expected[i], sizeof(value));
	}
	for (int i = 0; i < 4; i++)
		assert_true(ref_value(brain, FKM_BF16, i) == expected_brain[i]);
	assert_true(isnan(ref_value((const uint16_t[]){0x7e00}, FKM_F16, 0)));
	assert_true(isinf(ref_value((const uint16_t[]){0xff80}, FKM_BF16, 0)));
}

/* Small squares that count only when they are added to each other first. */
static void test_distance(void **state)
{
	const double e = 0x1p-27, zero[25] = {0};
	const double pairs[8] = {1, 0, 0, 0, e, e, e, e};
	const double lanes[25] = {[0] = e, [1] = 1, [8] = e, [16] = e, [24] = e};

	(void)state;
	assert_true(ref_distance(pairs, zero, 8) == 1 + 0x1p-52);
	assert_true(ref_distance(lanes, zero, 25) == 1 + 0x1p-52);
	const double y[1] = {1 + 0x1p-30}, c[1] = {0x1p-31}; /* the square is rounded once, with the sum */
	assert_true(ref_distance(y, c, 1) == fma(y[0] - c[0], y[0] - c[0], 0));
}

static const struct ref_options options = {
	.init = FKM_INIT_CENTROIDS, .max_iter = 10, .n_init = 1, .centroids_dtype = FKM_F64};

/* Six points on a line, two clusters, by hand. */
static void test_fit(void **state)
{
	const float x[6] = {0, 1, 2, 8, 9, 10};
	const double start[2] = {0, 10};
	const struct ref_problem problem = {
		.n = 6, .k = 2, .d = 1, .points = x, .dtype = FKM_F32, .row_stride = 1, .metric = FKM_METRIC_EUCLIDEAN};
	struct ref_options o = options;
	struct ref_result result;

	(void)state;
	o.start = start;
	ref_fit(&problem, &o, &result);
	assert_true(result.centroids[0] == 1 && result.centroids[1] == 9);
	assert_true(result.inertia == 4);
	assert_int_equal(result.n_iter, 2);
	assert_int_equal(result.reason, FKM_REASON_UNCHANGED);
	assert_int_equal(result.counts[0], 3);
	assert_int_equal(result.offsets[2], 6);
	assert_true(result.distances[3] == 1);
	ref_result_free(&result);

	o.stop = FKM_STOP_ABSOLUTE;
	o.tol = 2; /* the first shift is 1 + 1 */
	ref_fit(&problem, &o, &result);
	assert_int_equal(result.n_iter, 1);
	assert_int_equal(result.reason, FKM_REASON_SHIFT);
	ref_result_free(&result);

	o.stop = FKM_STOP_RELATIVE; /* the variance is 16 + 2/3 */
	o.tol = 0.11;
	ref_fit(&problem, &o, &result);
	assert_true(fabs(result.threshold - 0.11 * 50 / 3) < 1e-12);
	assert_int_equal(result.n_iter, 2);
	ref_result_free(&result);
}

/* The farthest point founds the empty cluster and leaves its old one. */
static void test_relocation(void **state)
{
	const float x[4] = {0, 2, 4, 30};
	const double start[3] = {1, 100, 200};
	const struct ref_problem problem = {.n = 4, .k = 3, .d = 1, .points = x, .dtype = FKM_F32, .row_stride = 1};
	struct ref_options o = options;
	struct ref_result result;

	(void)state;
	o.start = start;
	o.max_iter = 1;
	ref_fit(&problem, &o, &result);
	assert_int_equal(result.relocated, 2);
	assert_true(result.centroids[1] == 30); /* the farthest to the lowest empty cluster */
	assert_true(result.centroids[2] == 4);
	assert_true(result.centroids[0] == 1);
	ref_result_free(&result);
	o.empty = FKM_EMPTY_ERROR;
	ref_fit(&problem, &o, &result);
	assert_int_equal(result.empty_cluster, 1);
	ref_result_free(&result);
	o.empty = FKM_EMPTY_KEEP;
	ref_fit(&problem, &o, &result);
	assert_true(result.centroids[0] == 9 && result.centroids[1] == 100 && result.centroids[2] == 200);
	ref_result_free(&result);
}

static void test_weights_and_cosine(void **state)
{
	const float x[4] = {1, 0, 3, 4}, w[2] = {3, 1}, line[2] = {0, 8};
	const double start[2] = {5, 5}, one[1] = {1};
	struct ref_problem problem = {.n = 2,
								  .k = 1,
								  .d = 1,
								  .points = line,
								  .dtype = FKM_F32,
								  .row_stride = 1,
								  .weights = w,
								  .weights_dtype = FKM_F32};
	struct ref_options o = options;
	struct ref_result result;

	(void)state;
	o.start = one;
	ref_fit(&problem, &o, &result);
	assert_true(result.centroids[0] == 2);
	assert_true(result.inertia == 3 * 4 + 36);
	ref_result_free(&result);

	problem = (struct ref_problem){
		.n = 2, .k = 1, .d = 2, .points = x, .dtype = FKM_F32, .row_stride = 2, .metric = FKM_METRIC_COSINE};
	o.start = start;
	ref_fit(&problem, &o, &result); /* (1, 0) and (0.6, 0.8): the mean points along (2, 1) */
	assert_true(fabs(result.centroids[0] - 2 / sqrt(5)) < 1e-12);
	assert_true(fabs(result.centroids[1] - 1 / sqrt(5)) < 1e-12);
	ref_result_free(&result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_philox), cmocka_unit_test(test_values),     cmocka_unit_test(test_distance),
		cmocka_unit_test(test_fit),    cmocka_unit_test(test_relocation), cmocka_unit_test(test_weights_and_cosine),
	};

	return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
