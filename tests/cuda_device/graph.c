/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fit that nothing must wait for, captured in a CUDA graph as a whole: launched on other data, the graph gives the
 * bytes that a fit of those gives. 77: there is no device.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cuda_device.h"
#include "bench/data.h"
#include "bench/threads.h"
#include "tests/gpu/check.h"

enum { THREAD_LOCAL_CAPTURE = 1, DATA_SETS = 2 };

/* What of the driver only this test uses. */
static struct {
	int (*begin_capture)(void *stream, int mode);
	int (*end_capture)(void *stream, void **graph);
	int (*instantiate)(void **executable, void *graph, unsigned long long flags);
	int (*launch)(void *executable, void *stream);
	int (*destroy_executable)(void *executable);
	int (*destroy_graph)(void *graph);
} graphs;

static void load_graphs(void)
{
	static const char *const names[] = {"cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags",
										"cuGraphLaunch",           "cuGraphExecDestroy", "cuGraphDestroy"};
	const char *path = getenv("FKM_CUDA_LIBRARY");
	void *library = dlopen(path != NULL ? path : "libcuda.so.1", RTLD_NOW);
	CHECK(library != NULL);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		void *address = dlsym(library, names[i]);
		CHECK(address != NULL);
		memcpy((char *)&graphs + i * sizeof address, &address, sizeof address);
	}
}

struct test_case {
	struct shape shape;
	enum fkm_metric metric;
	enum fkm_empty empty;
	bool doubled; /* each centroid of the start twice: empty clusters in the first iteration */
};

static const struct test_case cases[] = {
	{{"small", 1, 5003, 130, 64, FKM_F16}, FKM_METRIC_EUCLIDEAN, FKM_EMPTY_RELOCATE, false},
	{{"empty", 3, 1009, 40, 24, FKM_F32}, FKM_METRIC_EUCLIDEAN, FKM_EMPTY_RELOCATE, true},
	{{"batch", 200, 211, 9, 20, FKM_F32}, FKM_METRIC_COSINE, FKM_EMPTY_KEEP, true},
	{{"large", 2, 60013, 300, 128, FKM_F16}, FKM_METRIC_EUCLIDEAN, FKM_EMPTY_RELOCATE, true},
	{{"deep", 1, 3001, 50, 520, FKM_BF16}, FKM_METRIC_EUCLIDEAN, FKM_EMPTY_RELOCATE, false},
};

/* A case's arrays on the device. */
struct fit {
	const struct test_case *test;
	void *points, *start, *workspace;
	int32_t *labels;
	double *centroids;
	struct fkm_array x;
	struct fkm_fit_params params;
	struct fkm_fit_result result;
};

struct bytes {
	int64_t points, start, labels, centroids;
};

static struct bytes bytes_of(const struct shape *s)
{
	const int64_t element = s->dtype == FKM_F32 ? 4 : 2;
	return (struct bytes){s->b * s->n * s->d * element, s->b * s->k * s->d * element, s->b * s->n * 4,
						  s->b * s->k * s->d * 8};
}

static struct fkm_array view(const struct shape *s, const void *data, int64_t rows)
{
	struct fkm_array array = fkm_array_2d(data, s->dtype, rows, s->d);
	array.batch = s->b;
	array.memory = FKM_MEMORY_DEVICE;
	return array;
}

static void fit_create(struct cuda_device *device, struct fkm_context *context, const struct test_case *test,
					   struct fit *f)
{
	const struct shape *s = &test->shape;
	const struct bytes bytes = bytes_of(s);
	*f = (struct fit){.test = test};
	f->points = device_alloc(&device->device, bytes.points);
	f->start = device_alloc(&device->device, bytes.start);
	f->labels = device_alloc(&device->device, bytes.labels);
	f->centroids = device_alloc(&device->device, bytes.centroids);
	f->x = view(s, f->points, s->n);
	fkm_fit_params_init(&f->params);
	fkm_fit_result_init(&f->result);
	f->params.clusters = s->k;
	f->params.metric = test->metric;
	f->params.empty = test->empty;
	f->params.init = FKM_INIT_CENTROIDS;
	f->params.init_centroids = view(s, f->start, s->k);
	f->params.stop = FKM_STOP_FIXED;
	f->params.max_iter = 7;
	f->params.trust_finite = 1;
	f->result.memory = FKM_MEMORY_DEVICE;
	f->result.labels = f->labels;
	f->result.centroids = f->centroids;
	CHECK(fkm_fit_workspace(context, &f->x, &f->params, &f->result, &f->params.workspace_bytes) == FKM_OK);
	f->params.workspace = device_alloc(&device->device, f->params.workspace_bytes);
	CHECK(f->points && f->start && f->labels && f->centroids && f->params.workspace);
}

static void fit_free(struct cuda_device *device, struct fit *f)
{
	device_free(&device->device, f->points);
	device_free(&device->device, f->start);
	device_free(&device->device, f->labels);
	device_free(&device->device, f->centroids);
	device_free(&device->device, f->params.workspace);
}

static void upload_data(struct cuda_device *device, const struct fit *f, int set)
{
	const struct shape *s = &f->test->shape;
	const struct bytes bytes = bytes_of(s);
	const int64_t values = s->b * s->n * s->d, cluster = bytes.start / (s->b * s->k);
	float *normal = malloc((size_t)(DATA_SETS * values) * sizeof(float));
	void *points = malloc((size_t)bytes.points);
	char *start = malloc((size_t)bytes.start);
	CHECK(normal && points && start);
	data_fill(normal, FKM_F32, DATA_SETS * values, available_threads());
	for (int64_t i = 0; i < values; i++)
		data_store(points, s->dtype, i, normal[set * values + i]);
	data_start(s, points, start);
	for (int64_t k = 1; f->test->doubled && k < s->b * s->k; k += 2)
		memcpy(start + k * cluster, start + (k - 1) * cluster, (size_t)cluster);
	CHECK(device_upload(&device->device, f->points, points, bytes.points));
	CHECK(device_upload(&device->device, f->start, start, bytes.start));
	/* What a fit leaves out must not be right by chance. */
	memset(points, 0xA5, (size_t)bytes.points);
	CHECK(bytes.points >= bytes.labels && device_upload(&device->device, f->labels, points, bytes.labels));
	free(normal);
	free(points);
	free(start);
}

struct outcome {
	int32_t *labels;
	double *centroids;
};

static struct outcome download(struct cuda_device *device, const struct fit *f)
{
	const struct bytes bytes = bytes_of(&f->test->shape);
	const struct outcome o = {malloc((size_t)bytes.labels), malloc((size_t)bytes.centroids)};
	CHECK(o.labels && o.centroids && device_download(&device->device, o.labels, f->labels, bytes.labels) &&
		  device_download(&device->device, o.centroids, f->centroids, bytes.centroids));
	return o;
}

static bool equal(const struct shape *s, const struct outcome *a, const struct outcome *b)
{
	const struct bytes bytes = bytes_of(s);
	return memcmp(a->labels, b->labels, (size_t)bytes.labels) == 0 &&
		   memcmp(a->centroids, b->centroids, (size_t)bytes.centroids) == 0;
}

/* Captured before anything else of its kind has run: what kernels are looked up and prepared is part of it. */
static bool check_case(struct cuda_device *device, struct fkm_context *context, const struct test_case *test)
{
	struct fit f;
	void *graph, *executable;
	bool same = true;
	fit_create(device, context, test, &f);
	CHECK(graphs.begin_capture(device->device.queue, THREAD_LOCAL_CAPTURE) == 0);
	CHECK(fkm_fit(context, &f.x, &f.params, &f.result) == FKM_OK);
	CHECK(graphs.end_capture(device->device.queue, &graph) == 0 && graph != NULL);
	CHECK(graphs.instantiate(&executable, graph, 0) == 0);
	for (int set = 0; set < DATA_SETS; set++) {
		upload_data(device, &f, set);
		CHECK(fkm_fit(context, &f.x, &f.params, &f.result) == FKM_OK);
		struct outcome expected = download(device, &f);
		upload_data(device, &f, set);
		CHECK(graphs.launch(executable, device->device.queue) == 0);
		struct outcome got = download(device, &f);
		same = same && equal(&test->shape, &got, &expected);
		free(expected.labels);
		free(expected.centroids);
		free(got.labels);
		free(got.centroids);
	}
	CHECK(graphs.destroy_executable(executable) == 0 && graphs.destroy_graph(graph) == 0);
	printf("%-10s %-20s a graph gives %s bytes\n", test->shape.name, f.result.diagnosis.kernel,
		   same ? "the same" : "OTHER");
	fit_free(device, &f);
	return same;
}

int main(void)
{
	struct cuda_device device;
	struct fkm_context_params params;
	struct fkm_context *context;
	bool same = true;
	if (!cuda_device_open(0, &device))
		return SKIP;
	load_graphs();
	fkm_context_params_init(&params);
	params.backend = "cuda";
	params.native_queue = device.device.queue;
	CHECK(fkm_context_create(&params, &context) == FKM_OK);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		same = check_case(&device, context, &cases[i]) && same;
	fkm_context_destroy(context);
	cuda_device_close(&device);
	return !same;
}
