/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The assignment step on a real CUDA device, by itself: labels, previous labels and counters against a brute-force f64
 * evaluation on the device, and times of prepare and assign, exact and by the filter alone. For each case one line of JSON.
 *
 *     cuda_device_assign [check|time|NAME of a case]
 *
 * 0: all labels are right; 1: some are not, or a call failed; 77: no device.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/cuda/cuda.h"
#include "plan.h"
#include "tests/gpu/check.h"
#include "workspace.h"

extern const unsigned char fkmi_test_image_check[];

struct test_case {
	const char *name;
	int64_t b, n, k, d;
	enum fkm_dtype dtype;
	int data, centroids;  /* kinds of check.cu */
	int64_t rows_checked; /* at least; 0: all */
	bool timed;
	enum fkm_metric metric;
	const char *kernel;      /* NULL: the planner's choice */
	int64_t padding, offset; /* elements behind each row, and before the first */
	int64_t chunk_rows;
};

static const struct test_case cases[] = {
	/* small first: each shape, ragged */
	{.name = "d128", .b = 2, .n = 1000, .k = 300, .d = 128, .dtype = FKM_F16},
	{.name = "d128-one-tile", .b = 1, .n = 64, .k = 5, .d = 128, .dtype = FKM_F16},
	{.name = "d64", .b = 3, .n = 3000, .k = 257, .d = 64, .dtype = FKM_F16, .centroids = 1},
	{.name = "d64-ring", .b = 3, .n = 3000, .k = 257, .d = 64, .dtype = FKM_F16, .centroids = 1, .kernel = "sm90-d64"},
	{.name = "d32-ring", .b = 1, .n = 5000, .k = 1000, .d = 32, .dtype = FKM_BF16, .kernel = "sm90-d32"},
	{.name = "d16-ring", .b = 1, .n = 5000, .k = 1000, .d = 16, .dtype = FKM_F16, .kernel = "sm90-d16"},
	{.name = "d128-two-tiles", .b = 2, .n = 1000, .k = 200, .d = 128, .dtype = FKM_F16, .kernel = "sm90-d128_fewer"},
	{.name = "d128-three-tiles", .b = 2, .n = 1000, .k = 384, .d = 128, .dtype = FKM_F16, .kernel = "sm90-d128_few"},
	{.name = "d72", .b = 1, .n = 5001, .k = 129, .d = 72, .dtype = FKM_F16, .data = 1},
	{.name = "d16", .b = 1, .n = 5000, .k = 1000, .d = 16, .dtype = FKM_F16},
	{.name = "d8", .b = 5, .n = 777, .k = 33, .d = 8, .dtype = FKM_F16},
	{.name = "d32", .b = 1, .n = 5000, .k = 1000, .d = 32, .dtype = FKM_BF16},
	{.name = "d256", .b = 2, .n = 2000, .k = 500, .d = 256, .dtype = FKM_F16, .data = 1, .centroids = 1},
	{.name = "d136", .b = 1, .n = 2000, .k = 500, .d = 136, .dtype = FKM_F16},
	{.name = "d384", .b = 1, .n = 3000, .k = 500, .d = 384, .dtype = FKM_BF16},
	{.name = "d512", .b = 1, .n = 3000, .k = 700, .d = 512, .dtype = FKM_F16, .data = 2},
	{.name = "d768", .b = 2, .n = 1500, .k = 300, .d = 768, .dtype = FKM_F16},
	{.name = "d1000", .b = 1, .n = 3000, .k = 513, .d = 1000, .dtype = FKM_BF16, .data = 1},
	{.name = "bf16", .b = 2, .n = 5000, .k = 1000, .d = 128, .dtype = FKM_BF16, .centroids = 1},
	{.name = "bf16-offset", .b = 1, .n = 5000, .k = 1000, .d = 128, .dtype = FKM_BF16, .data = 5},
	{.name = "duplicates", .b = 1, .n = 9000, .k = 1000, .d = 128, .dtype = FKM_F16, .centroids = 2},
	{.name = "ties", .b = 1, .n = 9000, .k = 1000, .d = 16, .dtype = FKM_F16, .data = 3, .centroids = 3},
	{.name = "ties-d128", .b = 1, .n = 9000, .k = 200, .d = 128, .dtype = FKM_F16, .data = 3, .centroids = 3},
	/* what lists of candidates do not hold: of a lane, of all rows, and more rows than are listed for the scan */
	{.name = "crowded", .b = 2, .n = 3000, .k = 600, .d = 128, .dtype = FKM_F16, .centroids = 4},
	{.name = "crowded-few", .b = 1, .n = 300, .k = 900, .d = 768, .dtype = FKM_BF16, .centroids = 4},
	{.name = "many-ties",
	 .b = 1,
	 .n = 150000,
	 .k = 1000,
	 .d = 24,
	 .dtype = FKM_F16,
	 .data = 3,
	 .centroids = 3,
	 .rows_checked = 5000},
	{.name = "outliers", .b = 1, .n = 20000, .k = 500, .d = 64, .dtype = FKM_F32, .data = 4, .centroids = 3},
	{.name = "chunks", .b = 2, .n = 5000, .k = 300, .d = 128, .dtype = FKM_F16, .chunk_rows = 1300},
	{.name = "strides", .b = 2, .n = 3000, .k = 300, .d = 128, .dtype = FKM_F16, .padding = 8, .offset = 8},
	{.name = "unaligned", .b = 2, .n = 3000, .k = 300, .d = 128, .dtype = FKM_F16, .padding = 3, .offset = 1},
	{.name = "unaligned-d768", .b = 1, .n = 1000, .k = 300, .d = 768, .dtype = FKM_BF16, .padding = 1, .offset = 1},
	{.name = "f32", .b = 2, .n = 5000, .k = 500, .d = 128, .dtype = FKM_F32, .data = 5},
	{.name = "f32-d3", .b = 1, .n = 20000, .k = 256, .d = 3, .dtype = FKM_F32},
	{.name = "f32-d100", .b = 1, .n = 5000, .k = 300, .d = 100, .dtype = FKM_F32, .centroids = 1},
	{.name = "f32-d700", .b = 1, .n = 3000, .k = 300, .d = 700, .dtype = FKM_F32},
	{.name = "f16-d20-copied", .b = 1, .n = 5000, .k = 300, .d = 20, .dtype = FKM_F16},
	{.name = "split-d1", .b = 2, .n = 9000, .k = 300, .d = 1, .dtype = FKM_F32, .kernel = "split-d4"},
	{.name = "split-d2", .b = 2, .n = 9000, .k = 13, .d = 2, .dtype = FKM_F16, .kernel = "split-d4", .centroids = 1},
	{.name = "split-ties",
	 .b = 2,
	 .n = 9000,
	 .k = 60,
	 .d = 3,
	 .dtype = FKM_F32,
	 .kernel = "split-d4",
	 .data = 3,
	 .centroids = 3},
	{.name = "split-copies",
	 .b = 2,
	 .n = 9000,
	 .k = 500,
	 .d = 4,
	 .dtype = FKM_F32,
	 .centroids = 2,
	 .kernel = "split-d4"},
	{.name = "split-many",
	 .b = 2,
	 .n = 3000,
	 .k = 5000,
	 .d = 3,
	 .dtype = FKM_F32,
	 .kernel = "split-d4",
	 .centroids = 1},
	{.name = "split-padded", .b = 3, .n = 5000, .k = 77, .d = 5, .dtype = FKM_BF16, .kernel = "split-d8"},
	{.name = "split-offset",
	 .b = 1,
	 .n = 30000,
	 .k = 256,
	 .d = 8,
	 .dtype = FKM_F32,
	 .data = 5,
	 .padding = 3,
	 .offset = 1,
	 .kernel = "split-d8"},
	{.name = "split-outliers",
	 .b = 1,
	 .n = 30000,
	 .k = 500,
	 .d = 7,
	 .dtype = FKM_F32,
	 .data = 4,
	 .centroids = 3,
	 .kernel = "split-d8"},
	{.name = "split-chunks",
	 .b = 3,
	 .n = 5000,
	 .k = 4000,
	 .d = 8,
	 .dtype = FKM_F16,
	 .chunk_rows = 1300,
	 .kernel = "split-d8"},
	{.name = "split-cosine",
	 .b = 2,
	 .n = 9000,
	 .k = 300,
	 .d = 6,
	 .dtype = FKM_F32,
	 .metric = FKM_METRIC_COSINE,
	 .kernel = "split-d8"},
	{.name = "cosine-f16", .b = 2, .n = 5000, .k = 300, .d = 128, .dtype = FKM_F16, .metric = FKM_METRIC_COSINE},
	{.name = "cosine-f32",
	 .b = 1,
	 .n = 5000,
	 .k = 300,
	 .d = 50,
	 .dtype = FKM_F32,
	 .metric = FKM_METRIC_COSINE,
	 .data = 1},
	{.name = "many-problems", .b = 3000, .n = 40, .k = 7, .d = 64, .dtype = FKM_F16},
	{.name = "k-70000", .b = 1, .n = 2000, .k = 70000, .d = 64, .dtype = FKM_F16, .rows_checked = 500},
	{.name = "d128-many", .b = 1, .n = 3000, .k = 20000, .d = 128, .dtype = FKM_F16, .rows_checked = 1000},
	{.name = "d128-many-ties",
	 .b = 1,
	 .n = 20000,
	 .k = 13000,
	 .d = 72,
	 .dtype = FKM_F16,
	 .data = 3,
	 .centroids = 3,
	 .rows_checked = 500},
	/* the shapes of interest */
	{.name = "paper-b32",
	 .b = 32,
	 .n = 65536,
	 .k = 1024,
	 .d = 128,
	 .dtype = FKM_F16,
	 .rows_checked = 8192,
	 .timed = true},
	{.name = "paper-b32-k100",
	 .b = 32,
	 .n = 131072,
	 .k = 100,
	 .d = 128,
	 .dtype = FKM_F16,
	 .rows_checked = 8192,
	 .timed = true},
	{.name = "paper-1m-8k",
	 .b = 1,
	 .n = 1048576,
	 .k = 8192,
	 .d = 128,
	 .dtype = FKM_F16,
	 .rows_checked = 2048,
	 .timed = true},
	{.name = "ivf-64k",
	 .b = 1,
	 .n = 1048576,
	 .k = 65536,
	 .d = 128,
	 .dtype = FKM_F16,
	 .rows_checked = 512,
	 .timed = true},
	{.name = "d64-shape",
	 .b = 8,
	 .n = 131072,
	 .k = 1024,
	 .d = 64,
	 .dtype = FKM_F16,
	 .rows_checked = 8192,
	 .timed = true},
	{.name = "d256-shape",
	 .b = 1,
	 .n = 1048576,
	 .k = 4096,
	 .d = 256,
	 .dtype = FKM_F16,
	 .rows_checked = 2048,
	 .timed = true},
	{.name = "d512-shape",
	 .b = 1,
	 .n = 1048576,
	 .k = 4096,
	 .d = 512,
	 .dtype = FKM_F16,
	 .rows_checked = 1024,
	 .timed = true},
	{.name = "embed-1k",
	 .b = 1,
	 .n = 262144,
	 .k = 4096,
	 .d = 1024,
	 .dtype = FKM_BF16,
	 .rows_checked = 512,
	 .timed = true},
	{.name = "f32-1m-1k",
	 .b = 1,
	 .n = 1048576,
	 .k = 1024,
	 .d = 128,
	 .dtype = FKM_F32,
	 .rows_checked = 8192,
	 .timed = true},
	{.name = "f32-embed",
	 .b = 1,
	 .n = 262144,
	 .k = 4096,
	 .d = 768,
	 .dtype = FKM_F32,
	 .rows_checked = 512,
	 .timed = true},
	{.name = "colour", .b = 1, .n = 8388608, .k = 256, .d = 3, .dtype = FKM_F32, .rows_checked = 8192, .timed = true},
	{.name = "pq-subspace",
	 .b = 16,
	 .n = 262144,
	 .k = 256,
	 .d = 8,
	 .dtype = FKM_F32,
	 .rows_checked = 8192,
	 .timed = true},
	{.name = "online-mid", .b = 1, .n = 32768, .k = 256, .d = 128, .dtype = FKM_F16, .timed = true},
	{.name = "online-small", .b = 1, .n = 8192, .k = 256, .d = 64, .dtype = FKM_F16, .timed = true},
};

static struct fkmi_cuda *cuda;
static fkmi_cu_module module;

static void launch_test(const char *kernel, uint32_t blocks, void **arguments)
{
	fkmi_cu_function function = NULL;
	CHECK(fkmi_runtime_enter(&cuda->base) == FKM_OK);
	CHECK(cuda->driver->calls.module_function(&function, module, kernel) == FKMI_CU_SUCCESS);
	const struct fkmi_cu_launch_config config = {
		.grid = {blocks, 1, 1}, .block = {256, 1, 1}, .stream = cuda->base.stream};
	CHECK(cuda->driver->launch(&config, function, arguments, NULL) == FKMI_CU_SUCCESS);
	fkmi_runtime_leave(&cuda->base);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void assign(const struct fkmi_job *job)
{
	const struct fkmi_backend *backend = cuda->base.gpu.device.backend;
	CHECK(backend->prepare(&cuda->base.gpu.device, job) == FKM_OK);
	for (int64_t row = 0; row < job->problem.n; row += job->plan.chunk_rows) {
		int64_t rest = job->problem.n - row, rows = rest < job->plan.chunk_rows ? rest : job->plan.chunk_rows;
		CHECK(backend->assign(&cuda->base.gpu.device, job, (struct fkmi_span){row, rows}, FKMI_ACCUMULATE_NONE) ==
			  FKM_OK);
	}
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Milliseconds of prepare and assign: the median of batches. */
static double time_assign(const struct fkmi_job *job)
{
	enum { BATCHES = 7 };
	struct fkmi_device *device = &cuda->base.gpu.device;
	double times[BATCHES];
	assign(job);
	CHECK(device->backend->wait(device) == FKM_OK);
	double start = now();
	assign(job);
	CHECK(device->backend->wait(device) == FKM_OK);
	int repeats = (int)(0.03 / (now() - start)) + 2;
	if (repeats > 200)
		repeats = 200;
	for (int i = 0; i < BATCHES; i++) {
		start = now();
		for (int r = 0; r < repeats; r++)
			assign(job);
		CHECK(device->backend->wait(device) == FKM_OK);
		times[i] = (now() - start) / repeats * 1e3;
	}
	qsort(times, BATCHES, sizeof times[0], compare);
	return times[BATCHES / 2];
}

static bool check(const struct fkmi_job *job, const struct test_case *c, int32_t expect, uint64_t (*found)[5])
{
	struct fkmi_device *device = &cuda->base.gpu.device;
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_ref counts;
	CHECK(device->backend->alloc(device, sizeof *found, &counts) == FKM_OK);
	CHECK(device->backend->fill(device, counts, 0, sizeof *found) == FKM_OK);
	void *data = fkmi_ref_ptr(job->points), *centroids = fkmi_ref_ptr(job->centroids),
		 *labels = fkmi_ref_ptr(job->labels);
	void *scale = job->row_scale.base ? fkmi_ref_ptr(job->row_scale) : NULL, *counters = fkmi_ref_ptr(counts);
	void *previous = fkmi_ref_ptr(job->previous);
	int dtype = p->dtype, d = (int)p->d;
	int64_t b = p->b, n = p->n, k = p->k, row_stride = job->point_row_stride, batch_stride = job->point_batch_stride;
	int64_t step = c->rows_checked > 0 ? b * n / c->rows_checked : 1;
	step = step > 1 ? step | 1 : 1; /* odd: all places in a tile */
	launch_test("check_labels", 2048,
				(void *[]){&data, &scale, &dtype, &b, &n, &row_stride, &batch_stride, &k, &d, &centroids, &labels,
						   &previous, &expect, &step, &counters});
	CHECK(device->backend->download(device, *found, counts, sizeof *found) == FKM_OK);
	device->backend->free(device, counts);
	return (*found)[0] == 0 && (*found)[1] == 0;
}

static void sum_states(const struct fkmi_job *job, int64_t *changed, int64_t *rechecked, int64_t *ties)
{
	struct fkmi_device *device = &cuda->base.gpu.device;
	const int64_t bytes = job->problem.b * (int64_t)sizeof(struct fkmi_state);
	struct fkmi_state *states = malloc((size_t)bytes);
	CHECK(states != NULL);
	CHECK(device->backend->download(device, states, job->state, bytes) == FKM_OK);
	*changed = *rechecked = *ties = 0;
	for (int64_t b = 0; b < job->problem.b; b++) {
		*changed += states[b].changed;
		*rechecked += states[b].rechecked;
		*ties += states[b].ties;
	}
	free(states);
}

static void set_up(struct fkmi_job *job, const struct test_case *c)
{
	struct fkmi_device *device = &cuda->base.gpu.device;
	const struct fkmi_backend *backend = device->backend;
	const struct fkmi_problem *p = &job->problem;
	int32_t *active = malloc((size_t)p->b * sizeof *active);
	struct fkmi_state *states = calloc((size_t)p->b, sizeof *states);
	CHECK(active != NULL && states != NULL);
	for (int64_t b = 0; b < p->b; b++) {
		active[b] = 1;
		states[b] = (struct fkmi_state){.bad_point = -1,
										.bad_weight = -1,
										.bad_centroid = -1,
										.bad_label = -1,
										.first_empty = -1,
										.weight_max = 1,
										.weight_min = 1};
	}
	CHECK(backend->upload(device, job->active, active, p->b * (int64_t)sizeof *active) == FKM_OK);
	CHECK(backend->upload(device, job->state, states, p->b * (int64_t)sizeof *states) == FKM_OK);
	CHECK(backend->fill(device, job->labels, 0xff, p->b * p->n * (int64_t)sizeof(int32_t)) == FKM_OK);
	free(active);
	free(states);
	int dtype = p->dtype, d = (int)p->d, kind = c->data;
	int64_t rows = p->b * p->n, b = p->b, n = p->n, k = p->k;
	int64_t row_stride = job->point_row_stride, batch_stride = job->point_batch_stride;
	uint64_t seed = 12345;
	void *data = fkmi_ref_ptr(job->points), *centroids = fkmi_ref_ptr(job->centroids);
	launch_test("make_points", 4096,
				(void *[]){&data, &dtype, &rows, &n, &row_stride, &batch_stride, &d, &kind, &seed});
	CHECK(backend->check_points(device, job) == FKM_OK);
	if (p->metric == FKM_METRIC_COSINE)
		CHECK(backend->row_norms(device, job) == FKM_OK);
	CHECK(backend->grids(device, job) == FKM_OK);
	void *scale = job->row_scale.base ? fkmi_ref_ptr(job->row_scale) : NULL;
	kind = c->centroids;
	launch_test(
		"make_centroids", 4096,
		(void *[]){&centroids, &data, &scale, &dtype, &b, &n, &row_stride, &batch_stride, &k, &d, &kind, &seed});
	CHECK(backend->wait(device) == FKM_OK);
}

static bool run(const struct test_case *c)
{
	struct fkmi_device *device = &cuda->base.gpu.device;
	const struct fkmi_backend *backend = device->backend;
	struct fkmi_job job = {.problem = {.b = c->b,
									   .n = c->n,
									   .k = c->k,
									   .d = c->d,
									   .dtype = c->dtype,
									   .metric = c->metric,
									   .empty = FKM_EMPTY_KEEP,
									   .init = FKM_INIT_CENTROIDS,
									   .fits = true}};
	const struct fkmi_plan_request request = {.backend = backend,
											  .limits = &device->limits,
											  .problem = &job.problem,
											  .kernel = c->kernel,
											  .chunk_rows = c->chunk_rows};
	CHECK(fkmi_plan_make(&request, &job.plan, NULL) == FKM_OK);
	CHECK(job.plan.tile->needs != 0);
	job.plan.fused = false; /* previous labels are looked at, too */
	struct fkmi_ref block, points;
	const int64_t bytes = fkmi_workspace_bytes(&job.problem, &job.plan);
	CHECK(backend->alloc(device, bytes, &block) == FKM_OK);
	fkmi_workspace_place(&job, block);
	CHECK(backend->fill(device, block, 0x7e, bytes) == FKM_OK);
	const int64_t element = c->dtype == FKM_F32 ? 4 : 2;
	job.point_row_stride = c->d + c->padding;
	job.point_batch_stride = c->n * job.point_row_stride;
	CHECK(backend->alloc(device, (c->offset + c->b * job.point_batch_stride) * element, &points) == FKM_OK);
	job.points = fkmi_ref_add(points, c->offset * element);
	set_up(&job, c);

	uint64_t found[5], again[5];
	int64_t changed, rechecked, ties, changed_again, rechecked_again, ties_again;
	assign(&job);
	bool right = check(&job, c, -1, &found);
	sum_states(&job, &changed, &rechecked, &ties);
	assign(&job);
	bool stable = check(&job, c, 0, &again);
	sum_states(&job, &changed_again, &rechecked_again, &ties_again);
	/* The second filter knows more than the first, but counters that were not cleared would give three times as many. */
	const bool counted = changed == c->b * c->n && changed_again == changed && rechecked_again >= rechecked &&
						 2 * rechecked_again <= 5 * rechecked && ties_again == 2 * ties;
	printf("{\"case\": \"%s\", \"kernel\": \"%s\", \"wrong\": %" PRIu64 ", \"wrong_previous\": %" PRIu64
		   ", \"wrong_again\": %" PRIu64 ", \"counters\": %s, \"changed\": %" PRId64
		   ", \"rechecked_percent\": [%.3f, %.3f], \"ties\": %" PRId64,
		   c->name, job.plan.tile->name, found[0], found[1] + again[1], again[0], counted ? "true" : "false", changed,
		   100.0 * (double)rechecked / (double)(c->b * c->n),
		   100.0 * (double)(rechecked_again - rechecked) / (double)(c->b * c->n), ties);
	if (found[0] != 0)
		printf(", \"first_wrong\": [%" PRIu64 ", %" PRId64 ", %" PRIu64 "]", found[2], (int64_t)found[3], found[4]);
	if (c->timed) {
		const double exact = time_assign(&job);
		job.problem.precision = FKM_PRECISION_FAST;
		const double fast = time_assign(&job);
		job.problem.precision = FKM_PRECISION_EXACT;
		assign(&job);
		const bool still = check(&job, c, -2, &again);
		right = right && still;
		const double work = 2.0 * (double)(c->b * c->n) * (double)c->k * (double)c->d;
		printf(", \"exact_ms\": %.4f, \"fast_ms\": %.4f, \"exact_tflops\": %.1f, \"fast_tflops\": %.1f, "
			   "\"wrong_after\": %" PRIu64,
			   exact, fast, work / exact * 1e-9, work / fast * 1e-9, again[0]);
	}
	printf("}\n");
	fflush(stdout);
	backend->free(device, points);
	backend->free(device, block);
	return right && stable && counted;
}

static bool wanted(const struct test_case *c, const char *what)
{
	return what == NULL || strcmp(what, c->name) == 0 || strcmp(what, c->timed ? "time" : "check") == 0;
}

int main(int argc, char **argv)
{
	struct fkmi_device *device;
	const struct fkmi_open_params params = {.native_queue = NULL};
	if (fkmi_backend_cuda.open(&params, &device) != FKM_OK) {
		printf("skipped: %s\n", fkm_error_message());
		return SKIP;
	}
	cuda = (struct fkmi_cuda *)device;
	if ((device->limits.features & FKMI_CUDA_SM90) == 0) {
		printf("skipped: %s is not of compute capability 9.0\n", device->name);
		return SKIP;
	}
	CHECK(fkmi_runtime_enter(&cuda->base) == FKM_OK);
	CHECK(cuda->driver->calls.module_load(&module, fkmi_test_image_check) == FKMI_CU_SUCCESS);
	fkmi_runtime_leave(&cuda->base);
	int failed = 0;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (wanted(&cases[i], argc > 1 ? argv[1] : NULL) && !run(&cases[i])) {
			printf("FAILED: %s\n", cases[i].name);
			failed++;
		}
	printf("%d failed\n", failed);
	fkmi_backend_cuda.close(device);
	return failed != 0;
}
