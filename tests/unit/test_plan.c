/* SPDX-License-Identifier: Apache-2.0 */
/* src/plan.c and src/plan_describe.c, with tables and limits of their own: no device is needed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "context.h"
#include "error.h"
#include "plan.h"
#include "plan_describe.h"
#include "windows.h"
#include "workspace.h"

/* ---- a backend that only plans --------------------------------------------------------------------------------- */

static struct {
	struct fkmi_tile tiles[8];
	int32_t count;
	int64_t scratch_base, scratch_per_row; /* base -1: cannot */
	int64_t fused_extra, quick_extra;      /* where fused; of the tile "quick" */
	bool fuses;
	const char *refusal; /* of the tile "quick" */
} fake;

static const struct fkmi_tile *fake_tiles(int32_t *count)
{
	*count = fake.count;
	return fake.tiles;
}

static int64_t fake_scratch(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
							const struct fkmi_plan *plan)
{
	assert_non_null(limits);
	assert_non_null(plan->tile);
	assert_in_range(plan->chunk_rows, 1, problem->n);
	if (fake.scratch_base < 0)
		return -1;
	return fake.scratch_base + fake.scratch_per_row * plan->chunk_rows + (plan->fused ? fake.fused_extra : 0) +
		   (plan->tile == &fake.tiles[1] ? fake.quick_extra : 0);
}

static bool fake_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
					   const struct fkmi_tile *tile)
{
	(void)limits;
	(void)problem;
	(void)tile;
	return fake.fuses;
}

static void fake_close(struct fkmi_device *device)
{
	(void)device;
}

static bool fake_iterates(const struct fkmi_tile *tile)
{
	return tile == &fake.tiles[1];
}

static const char *fake_refuses(const struct fkmi_limits *its_limits, const struct fkmi_problem *its_problem,
								const struct fkmi_tile *tile)
{
	assert_non_null(its_limits);
	assert_true(its_problem->d <= tile->d_max || tile->d_max == 0); /* asked last */
	return tile == &fake.tiles[1] ? fake.refusal : NULL;
}

static const struct fkmi_backend backend = {
	.name = "fake",
	.tiles = fake_tiles,
	.scratch_bytes = fake_scratch,
	.fuses = fake_fuses,
	.iterates = fake_iterates,
	.refuses = fake_refuses,
	.close = fake_close,
};

static struct fkmi_limits limits;
static struct fkmi_problem problem;
static struct fkmi_plan_request request;
static struct fkmi_plan plan;
static struct fkmi_candidates candidates;

static void add_tile(const char *name, double rate)
{
	fake.tiles[fake.count++] = (struct fkmi_tile){.name = name,
												  .dtypes = 1u << FKM_F32,
												  .points = 10,
												  .centroids = 8,
												  .multiply_adds_per_second = rate,
												  .seconds_per_tile = 1e-6};
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof fake);
	add_tile("slow", 1e9);
	add_tile("quick", 2e9);
	add_tile("middling", 1.5e9);
	limits = (struct fkmi_limits){.memory_bytes = (int64_t)1 << 30,
								  .units = 2,
								  .local_bytes = 1000,
								  .features = 0x3,
								  .fp64 = 1,
								  .bytes_per_second = 1e9};
	problem = (struct fkmi_problem){.b = 1, .n = 95, .k = 20, .d = 5, .dtype = FKM_F32, .fits = true};
	request = (struct fkmi_plan_request){.backend = &backend, .limits = &limits, .problem = &problem};
	memset(&plan, '#', sizeof plan);
	memset(&candidates, '#', sizeof candidates);
	unsetenv("FKM_KERNEL");
	return 0;
}

static void makes(const char *kernel)
{
	if (fkmi_plan_make(&request, &plan, &candidates) != FKM_OK)
		fail_msg("%s", fkm_error_message());
	assert_string_equal(plan.tile->name, kernel);
	assert_in_range(candidates.chosen, 0, candidates.count - 1);
	const struct fkmi_candidate *chosen = &candidates.items[candidates.chosen];
	assert_true(chosen->legal);
	assert_ptr_equal(chosen->tile, plan.tile);
	assert_int_equal(chosen->plan.chunk_rows, plan.chunk_rows);
	assert_true(chosen->seconds == plan.seconds);
}

static void says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static void fails(enum fkm_status status, const char *part)
{
	assert_int_equal(fkmi_plan_make(&request, &plan, &candidates), status);
	assert_int_equal(candidates.chosen, -1);
	says(fkm_error_message(), part);
	for (int32_t i = 0; i < candidates.count; i++) {
		assert_false(candidates.items[i].legal);
		assert_string_not_equal(candidates.items[i].reason, "");
	}
}

/* The tile "quick" is dropped for this reason, and the next best is taken. */
static void drops(const char *reason)
{
	makes("middling");
	assert_int_equal(candidates.count, 3);
	assert_false(candidates.items[1].legal);
	assert_string_equal(candidates.items[1].reason, reason);
	assert_string_equal(candidates.items[0].reason, "");
}

static void near_to(double value, double expected)
{
	if (!(fabs(value - expected) <= 1e-12 * expected))
		fail_msg("%.17g, expected %.17g", value, expected);
}

/* ---- choice and cost ------------------------------------------------------------------------------------------- */

static void test_takes_the_quickest(void **state)
{
	(void)state;
	makes("quick");
	assert_int_equal(candidates.count, 3);
	assert_int_equal(candidates.chosen, 1);
	assert_int_equal(plan.chunk_rows, 95);
	assert_false(plan.fused);
	assert_int_equal(plan.scratch_bytes, 0);
	assert_int_equal(candidates.items[1].workspace_bytes, fkmi_workspace_bytes(&problem, &plan));

	struct fkmi_plan alone;
	assert_int_equal(fkmi_plan_make(&request, &alone, NULL), FKM_OK);
	assert_ptr_equal(alone.tile, plan.tile);

	fake.tiles[2].multiply_adds_per_second = 2e9; /* a tie goes to the first */
	makes("quick");
}

static void test_cost(void **state)
{
	(void)state;
	/* 10 tiles of points on 2 units: 5 rounds of 10 x 24 (20, padded) x 5 multiply-adds, 1 us each. 95 x 5 x 4 bytes.
	 */
	makes("quick");
	near_to(candidates.items[0].seconds, 5 * 1200 / 1e9 + 1900 / 1e9 / 8 + 5e-6);
	near_to(candidates.items[1].seconds, 5 * 1200 / 2e9 + 1900 / 1e9 / 8 + 5e-6);
	limits.bytes_per_second = 1e8; /* reading takes longer than the arithmetic */
	makes("quick");
	near_to(plan.seconds, 1900 / 1e8 + 5 * 1200 / 2e9 / 8 + 5e-6);
	limits.bytes_per_second = 0; /* not known */
	makes("quick");
	near_to(plan.seconds, 5 * 1200 / 2e9 + 5e-6);
	/* A batch of 3: 30 tiles. */
	problem.b = 3;
	makes("quick");
	near_to(plan.seconds, 15 * 1200 / 2e9 + 15e-6);
	limits.units = 0; /* not known: one */
	makes("quick");
	near_to(plan.seconds, 30 * 1200 / 2e9 + 30e-6);
	/* Chunks of 30, 30, 30, 5: 3 tiles are 2 rounds, 1 is 1. */
	limits.units = 2;
	problem.b = 1;
	request.chunk_rows = 30;
	makes("quick");
	near_to(plan.seconds, 7 * 1200 / 2e9 + 7e-6);
	/* Four chunks. */
	fake.tiles[1].seconds_per_chunk = 1e-6;
	makes("middling");
	near_to(candidates.items[1].seconds, 7 * 1200 / 2e9 + 11e-6);
	fake.tiles[1].seconds_per_chunk = 0;
	/* Padding makes small tiles the better ones. */
	request.chunk_rows = 0;
	fake.tiles[1].centroids = 64;
	makes("middling");
	near_to(candidates.items[1].seconds, 5 * 3200 / 2e9 + 5e-6);
}

static void test_whole_iterations(void **state)
{
	(void)state;
	makes("quick");
	assert_true(plan.whole);
	assert_false(candidates.items[0].plan.whole);
	request.chunk_rows = 94;
	makes("quick");
	assert_false(plan.whole);
	request.chunk_rows = 0;
	problem.fits = false;
	makes("quick");
	assert_false(plan.whole);
}

static void test_forced_kernel(void **state)
{
	(void)state;
	request.kernel = "slow";
	makes("slow");
	assert_string_equal(candidates.items[1].reason, "the kernel slow was asked for");
	request.kernel = "";
	makes("quick");
	request.kernel = "fast";
	fails(FKM_ERROR_INVALID_ARGUMENT, "kernel is \"fast\"; backend fake has slow, quick, middling");
	request.kernel = "slow";
	fake.tiles[0].d_min = 8;
	fails(FKM_ERROR_UNSUPPORTED, "no kernel of backend fake can do this: slow: d = 5 is below its least, 8");
	assert_null(strstr(fkm_error_message(), "quick"));
}

/* ---- reasons --------------------------------------------------------------------------------------------------- */

static void test_reasons(void **state)
{
	(void)state;
	struct fkmi_tile *quick = &fake.tiles[1];
	const struct fkmi_tile original = *quick;
	quick->needs = 0x6;
	drops("the device lacks feature bit 2");
	*quick = original;
	quick->needs = 0x3;
	makes("quick");
	*quick = original;
	quick->dtypes = 1u << FKM_F16 | 1u << FKM_BF16;
	drops("points are f32, the kernel takes f16, bf16");
	*quick = original;
	quick->local_bytes = 2560;
	drops("needs local memory of 2.5 KiB, the device has 1000 bytes");
	quick->local_bytes = 1000;
	makes("quick");

	*quick = original;
	quick->d_min = 6;
	drops("d = 5 is below its least, 6");
	quick->d_min = quick->d_max = 5;
	makes("quick");
	quick->d_min = 0;
	quick->d_max = 4;
	drops("d = 5 is above its most, 4");
	*quick = original;
	quick->k_min = 21;
	drops("k = 20 is below its least, 21");
	quick->k_min = quick->k_max = 20;
	makes("quick");
	quick->k_min = 0;
	quick->k_max = 19;
	drops("k = 20 is above its most, 19");
	*quick = original;
	fake.refusal = "it is tired";
	drops("it is tired");
	fake.refusal = NULL;
	makes("quick");
}

static void test_none_legal(void **state)
{
	(void)state;
	problem.dtype = FKM_F16;
	fails(FKM_ERROR_UNSUPPORTED, "slow: points are f16, the kernel takes f32; quick: points are f16");
	problem.dtype = FKM_F32;
	limits.fp64 = 0;
	fails(FKM_ERROR_UNSUPPORTED, "the device lacks double precision");
	limits.fp64 = 1;
	fake.scratch_base = -1;
	fails(FKM_ERROR_UNSUPPORTED, "its scratch memory cannot hold this shape");
	fake.count = 0;
	fails(FKM_ERROR_UNSUPPORTED, "it has none");
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static int64_t workspace_with(int64_t chunk_rows)
{
	struct fkmi_plan trial = {.tile = &fake.tiles[1], .chunk_rows = chunk_rows};
	trial.scratch_bytes = fake_scratch(&limits, &problem, &trial);
	return fkmi_workspace_bytes(&problem, &trial) + request.extra_bytes;
}

static void test_chunks_fit_the_memory(void **state)
{
	(void)state;
	fake.scratch_per_row = 1000;
	request.extra_bytes = 12345;
	const int64_t least = workspace_with(1), most = workspace_with(95);
	int64_t seen = 0;
	for (int64_t memory = least - 300; memory < most + 300; memory += 97) {
		request.memory_bytes = memory;
		int64_t rows = 95;
		while (rows > 0 && workspace_with(rows) > memory)
			rows--;
		if (rows == 0) {
			fails(FKM_ERROR_OUT_OF_MEMORY, "bytes is needed");
			continue;
		}
		if (rows > 10 && rows < 95)
			rows -= rows % 10;
		makes("quick");
		assert_int_equal(plan.chunk_rows, rows);
		assert_int_equal(plan.scratch_bytes, 1000 * rows);
		assert_int_equal(candidates.items[1].workspace_bytes, workspace_with(rows));
		seen |= (int64_t)1 << (rows < 62 ? rows : 62);
	}
	assert_true((seen >> 1 & 1) && (seen >> 10 & 1) && (seen >> 20 & 1) && (seen >> 62 & 1));

	request.memory_bytes = most;
	makes("quick");
	assert_int_equal(plan.chunk_rows, 95);
	request.memory_bytes = most - 1;
	makes("quick");
	assert_int_equal(plan.chunk_rows, 90);
}

/* ---- points that do not fit ------------------------------------------------------------------------------------ */

static int64_t bytes_with(int64_t chunk_rows, int64_t streamed_rows)
{
	const struct fkmi_plan p = {.tile = &fake.tiles[0],
								.chunk_rows = chunk_rows,
								.streamed_rows = streamed_rows,
								.scratch_bytes = fake.scratch_base + fake.scratch_per_row * chunk_rows};
	return fkmi_workspace_bytes(&problem, &p) + fkmi_points_bytes(&problem, &p, request.row_bytes);
}

/* As many rows stay as there is room for beside two windows; none stream where all fit. */
static void test_streams_what_does_not_fit(void **state)
{
	(void)state;
	static const struct fkmi_copier copier;
	struct fkmi_backend streaming = backend;
	streaming.copier = &copier;
	request.backend = &streaming;
	problem.n = 4000;
	request.row_bytes = 20;
	fake.tiles[1].d_min = 8; /* which runs whole iterations */
	const int64_t all = bytes_with(4000, 0), least = bytes_with(1, 4000);
	int64_t streamed = 0, windows = 0;
	for (int64_t memory = least - 600; memory < all + 600; memory += 333) {
		request.memory_bytes = memory;
		if (memory < least) {
			fails(FKM_ERROR_OUT_OF_MEMORY, "bytes is needed");
			continue;
		}
		makes("middling");
		assert_int_equal(plan.streamed_rows > 0, memory < all);
		assert_true(bytes_with(plan.chunk_rows, plan.streamed_rows) <= memory);
		assert_int_equal(candidates.items[2].workspace_bytes, bytes_with(plan.chunk_rows, plan.streamed_rows));
		if (plan.streamed_rows > 0 && plan.streamed_rows < 4000)
			assert_true(bytes_with(plan.chunk_rows, plan.streamed_rows - 1) > memory);
		streamed += plan.streamed_rows > 0;
		windows += plan.chunk_rows > 100;
	}
	assert_true(streamed > 100 && windows > 10);

	/* In windows of the number asked for. */
	request.memory_bytes = all - 1;
	request.chunk_rows = 37;
	makes("middling");
	assert_int_equal(plan.chunk_rows, 37);
	assert_true(plan.streamed_rows > 0);
	request.chunk_rows = 3000;
	fails(FKM_ERROR_OUT_OF_MEMORY, "in chunks of 3000 rows");
	request.chunk_rows = 0;
	/* Not a kernel that runs whole iterations, and not without copies beside the steps, or of points that are there. */
	fake.tiles[0].d_min = fake.tiles[2].d_min = 8;
	fake.tiles[1].d_min = 0;
	fails(FKM_ERROR_OUT_OF_MEMORY, "kernel quick");
	fake.tiles[0].d_min = fake.tiles[2].d_min = 0;
	streaming.copier = NULL;
	fails(FKM_ERROR_OUT_OF_MEMORY, "bytes is needed");
	streaming.copier = &copier;
	request.row_bytes = 0;
	makes("quick");
	assert_int_equal(plan.streamed_rows, 0);
}

/* Copies and steps overlap: what takes longer, and an eighth of the other. */
static void test_cost_of_streaming(void **state)
{
	(void)state;
	static const struct fkmi_copier copier;
	struct fkmi_backend streaming = backend;
	streaming.copier = &copier;
	request.backend = &streaming;
	request.row_bytes = 20;
	problem.n = 4000;
	fake.tiles[1].d_min = 8;
	request.chunk_rows = 100;
	makes("middling");
	assert_int_equal(plan.streamed_rows, 0);
	const double resident = plan.seconds;
	request.memory_bytes = bytes_with(100, 4000);
	limits.copies_per_second = 80000 / (4 * resident);
	makes("middling");
	assert_int_equal(plan.streamed_rows, 4000);
	near_to(plan.seconds, 4 * resident + resident / 8);
	limits.copies_per_second = 80000 / (resident / 4);
	makes("middling");
	near_to(plan.seconds, resident + resident / 32);
}

static void test_out_of_memory(void **state)
{
	(void)state;
	char expected[256];
	fake.scratch_base = 12 * ((int64_t)1 << 30);
	fake.scratch_per_row = 1000;
	limits.memory_bytes = 4 * ((int64_t)1 << 30);
	snprintf(expected, sizeof expected,
			 "a workspace of %lld bytes is needed, but 4294967296 are allowed (kernel slow: workspace of 12.0 GiB "
			 "passes the budget of 4.0 GiB even in chunks of 1 row)",
			 (long long)workspace_with(1));
	fails(FKM_ERROR_OUT_OF_MEMORY, expected);
	assert_int_equal(candidates.items[0].workspace_bytes, workspace_with(1));
	/* Other reasons of other kernels do not hide it; with them alone it is not memory. */
	fake.tiles[0].d_min = 8;
	fails(FKM_ERROR_OUT_OF_MEMORY, "kernel quick");
	fake.tiles[1].d_min = fake.tiles[2].d_min = 8;
	fails(FKM_ERROR_UNSUPPORTED, "d = 5");
}

static void test_one_lacks_memory(void **state)
{
	(void)state;
	fake.quick_extra = 1 << 20;
	request.memory_bytes = 1 << 20;
	makes("middling");
	assert_false(candidates.items[1].legal);
	says(candidates.items[1].reason, "passes the budget of 1.0 MiB even in chunks of 1 row");
	request.memory_bytes = 100; /* the error names the least that would do */
	fails(FKM_ERROR_OUT_OF_MEMORY, "kernel slow");
	fake.tiles[0].d_min = fake.tiles[2].d_min = 8;
	fails(FKM_ERROR_OUT_OF_MEMORY, "kernel quick");
}

static void test_limits_of_memory(void **state)
{
	(void)state;
	fake.scratch_per_row = 1000;
	const int64_t most = workspace_with(95);
	limits.memory_bytes = most; /* used when the request sets none */
	makes("quick");
	assert_int_equal(plan.chunk_rows, 95);
	limits.memory_bytes = most - 1;
	makes("quick");
	assert_int_equal(plan.chunk_rows, 90);
	request.memory_bytes = most;
	makes("quick");
	assert_int_equal(plan.chunk_rows, 95);
	limits.max_buffer_bytes = workspace_with(40); /* the workspace is one buffer */
	makes("quick");
	assert_int_equal(plan.chunk_rows, 40);
	limits.max_buffer_bytes = 100;
	fails(FKM_ERROR_OUT_OF_MEMORY, "passes the largest buffer of 100 bytes");
	limits.max_buffer_bytes = most;
	limits.memory_bytes = request.memory_bytes = 0;
	fails(FKM_ERROR_OUT_OF_MEMORY, "but 0 are allowed");
}

static void test_forced_chunks(void **state)
{
	(void)state;
	fake.scratch_per_row = 1000;
	request.chunk_rows = 7;
	makes("quick");
	assert_int_equal(plan.chunk_rows, 7);
	assert_int_equal(plan.scratch_bytes, 7000);
	request.chunk_rows = 1000;
	makes("quick");
	assert_int_equal(plan.chunk_rows, 95);
	request.chunk_rows = 50;
	request.memory_bytes = workspace_with(50) - 1;
	fails(FKM_ERROR_OUT_OF_MEMORY, " in chunks of 50 rows");
	assert_null(strstr(fkm_error_message(), "even"));
}

static void test_fused(void **state)
{
	(void)state;
	fake.fuses = true;
	fake.fused_extra = 100000;
	makes("quick");
	assert_true(plan.fused);
	assert_int_equal(plan.scratch_bytes, 100000);
	request.memory_bytes = workspace_with(95); /* not fused */
	makes("quick");
	assert_false(plan.fused);
	assert_int_equal(plan.scratch_bytes, 0);
	assert_int_equal(plan.chunk_rows, 95);
	request.memory_bytes = 0;
	problem.fits = false; /* a predict has no sums */
	makes("quick");
	assert_false(plan.fused);
}

static void test_sizes_that_overflow(void **state)
{
	(void)state;
	fake.scratch_base = INT64_MAX;
	request.extra_bytes = INT64_MAX;
	request.memory_bytes = INT64_MAX - 1;
	fails(FKM_ERROR_OUT_OF_MEMORY, "a workspace of 9223372036854775807 bytes is needed");
	fake.scratch_base = 0;
	fails(FKM_ERROR_OUT_OF_MEMORY, "a workspace of 9223372036854775807 bytes is needed");
	request.extra_bytes = 0;
	request.memory_bytes = INT64_MAX;
	problem = (struct fkmi_problem){.b = 1, .n = (int64_t)1 << 56, .k = 1, .d = (int64_t)1 << 56, .dtype = FKM_F32};
	makes("quick");
	assert_true(isfinite(plan.seconds) && plan.seconds > 1e20);
}

/* ---- the text -------------------------------------------------------------------------------------------------- */

static char *print(enum fkm_status status)
{
	static char text[8192];
	size_t size =
		fkmi_plan_print(&request, status == FKM_OK ? &plan : NULL, &candidates, "Thing 9000", text, sizeof text);
	assert_int_equal(size, strlen(text) + 1);
	return text;
}

static void test_text(void **state)
{
	(void)state;
	fake.tiles[1].d_min = 8;
	fake.fuses = true;
	fake.scratch_base = 300;
	request.chunk_rows = 30;
	request.extra_bytes = 512;
	makes("middling");
	const char *text = print(FKM_OK);
	says(text, "problem    [1, 95, 5] f32, 20 clusters, Euclidean, exact\n");
	says(text, "device     fake, Thing 9000\n");
	says(text, "memory 1.0 GiB");
	says(text, "2 units");
	says(text, "features 0x3");
	says(text, "  quick        10 x 8      dropped: d = 5 is below its least, 8\n");
	says(text, "* middling     10 x 8      12.8 us, workspace ");
	says(text, "choice     middling, tiles of 10 points x 8 centroids, 12.8 us per iteration\n");
	says(text, "chunks     4 of 30 rows\n");
	says(text, "fused: made in the assignment pass");
	says(text, "    staging        512 bytes\n");
	says(text, "    column_max ");
	assert_null(strstr(text, "row_scale"));
	assert_null(strstr(text, "previous"));
	problem.metric = FKM_METRIC_COSINE;
	problem.weighted = true;
	fake.fuses = false;
	makes("middling");
	text = print(FKM_OK);
	says(text, "f32, weighted, 20 clusters, cosine");
	says(text, "    row_scale ");
	says(text, "    previous ");
	says(text, "not fused");
	assert_null(strstr(text, "column_max"));
	request.kernel = "none such";
	assert_int_equal(fkmi_plan_make(&request, &plan, &candidates), FKM_ERROR_INVALID_ARGUMENT);
	text = print(FKM_ERROR_INVALID_ARGUMENT);
	says(text, "dropped: the kernel none such was asked for\n");
	says(text, "choice     none\n");
	assert_null(strstr(text, "workspace  "));
}

/* Every array of the workspace is listed: the lines add up to the whole, and no line holds two arrays. */
static void test_text_adds_up(void **state)
{
	(void)state;
	problem.n = 20;
	problem.k = 3;
	problem.d = 2;
	fake.scratch_base = 300;
	request.extra_bytes = 256;
	for (int variant = 0; variant < 8; variant++) {
		problem.metric = (variant & 1) != 0 ? FKM_METRIC_COSINE : FKM_METRIC_EUCLIDEAN;
		problem.fits = (variant & 2) == 0;
		problem.wants_distances = (variant & 4) != 0;
		makes("quick");
		const char *line = strstr(print(FKM_OK), "workspace  ");
		assert_non_null(line);
		long long sum = 0, bytes;
		while ((line = strchr(line, '\n') + 1)[0] != '\0') {
			char name[32];
			assert_int_equal(sscanf(line, " %31s %lld bytes", name, &bytes), 2);
			assert_int_equal(bytes, strcmp(name, "scratch") == 0 ? 512 : 256);
			sum += bytes;
		}
		assert_int_equal(sum, candidates.items[1].workspace_bytes);
	}
}

static void test_text_is_cut(void **state)
{
	(void)state;
	makes("quick");
	const char *whole = print(FKM_OK);
	const size_t size = strlen(whole) + 1;
	char text[64];
	assert_int_equal(fkmi_plan_print(&request, &plan, &candidates, "Thing 9000", NULL, 0), size);
	for (size_t capacity = 1; capacity < sizeof text; capacity++) {
		memset(text, '#', sizeof text);
		assert_int_equal(fkmi_plan_print(&request, &plan, &candidates, "Thing 9000", text, capacity), size);
		assert_int_equal(strlen(text), capacity - 1);
		assert_memory_equal(text, whole, capacity - 1);
		assert_int_equal(text[capacity], '#');
	}
}

static void test_public_call(void **state)
{
	(void)state;
	struct fkmi_device device = {.backend = &backend, .limits = limits, .name = "Thing 9000"};
	device.limits.host_memory = 1;
	struct fkm_context *context;
	assert_int_equal(fkmi_context_adopt(&device, &context), FKM_OK);
	struct fkm_fit_params params;
	fkm_fit_params_init(&params);
	params.clusters = 20;
	struct fkm_array points = fkm_array_2d(NULL, FKM_F32, 95, 5); /* the data are not read */
	char text[8192], small[10];
	size_t needed = 0;
	assert_int_equal(fkm_plan_describe(context, &points, &params, text, sizeof text, &needed), FKM_OK);
	assert_int_equal(needed, strlen(text) + 1);
	says(text, "choice     quick");
	assert_null(strstr(text, "staging"));
	assert_int_equal(fkm_plan_describe(context, &points, &params, small, sizeof small, NULL), FKM_OK);
	assert_string_equal(small, "problem  ");
	assert_int_equal(fkm_plan_describe(context, &points, &params, NULL, 0, &needed), FKM_OK);
	assert_int_equal(needed, strlen(text) + 1);
	assert_int_equal(fkm_plan_describe(context, &points, &params, NULL, 5, &needed), FKM_ERROR_INVALID_ARGUMENT);

	/* Host points must be copied to a device with memory of its own: 95 x 5 x 4 bytes, 256-byte aligned. */
	context->device->limits.host_memory = 0;
	assert_int_equal(fkm_plan_describe(context, &points, &params, text, sizeof text, NULL), FKM_OK);
	says(text, "points         2.0 KiB");

	params.kernel = "slow";
	setenv("FKM_KERNEL", "middling", 1);
	assert_int_equal(fkm_plan_describe(context, &points, &params, text, sizeof text, NULL), FKM_OK);
	says(text, "choice     slow");
	params.kernel = NULL;
	assert_int_equal(fkm_plan_describe(context, &points, &params, text, sizeof text, NULL), FKM_OK);
	says(text, "choice     middling");
	unsetenv("FKM_KERNEL");

	/* Where nothing is legal the text still says why. */
	context->memory_budget_bytes = 4096;
	assert_int_equal(fkm_plan_describe(context, &points, &params, text, sizeof text, NULL), FKM_ERROR_OUT_OF_MEMORY);
	says(text, "allowed 4.0 KiB");
	says(text, "passes the budget of 4.0 KiB");
	says(text, "choice     none");
	params.clusters = 96;
	assert_int_equal(fkm_plan_describe(context, &points, &params, text, sizeof text, NULL), FKM_ERROR_INVALID_ARGUMENT);
	assert_int_equal(fkm_plan_describe(NULL, &points, &params, text, sizeof text, NULL), FKM_ERROR_INVALID_ARGUMENT);
	fkm_context_destroy(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_takes_the_quickest, setup),
		cmocka_unit_test_setup(test_cost, setup),
		cmocka_unit_test_setup(test_whole_iterations, setup),
		cmocka_unit_test_setup(test_forced_kernel, setup),
		cmocka_unit_test_setup(test_reasons, setup),
		cmocka_unit_test_setup(test_none_legal, setup),
		cmocka_unit_test_setup(test_chunks_fit_the_memory, setup),
		cmocka_unit_test_setup(test_streams_what_does_not_fit, setup),
		cmocka_unit_test_setup(test_cost_of_streaming, setup),
		cmocka_unit_test_setup(test_out_of_memory, setup),
		cmocka_unit_test_setup(test_one_lacks_memory, setup),
		cmocka_unit_test_setup(test_limits_of_memory, setup),
		cmocka_unit_test_setup(test_forced_chunks, setup),
		cmocka_unit_test_setup(test_fused, setup),
		cmocka_unit_test_setup(test_sizes_that_overflow, setup),
		cmocka_unit_test_setup(test_text, setup),
		cmocka_unit_test_setup(test_text_adds_up, setup),
		cmocka_unit_test_setup(test_text_is_cut, setup),
		cmocka_unit_test_setup(test_public_call, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
