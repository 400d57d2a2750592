/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_device [N K d]: the OpenCL backend on real devices: what is the caller's, every kernel, and several devices in one
 * process, with the results of the cpu backend to the bit. With a shape, only in the caller's buffers. 77: no device.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/opencl.h"
#include "tests/gpu/check.h"

enum { MOST_DEVICES = 8, LEAD = 512, TAIL = 64, OUTPUTS = 6, KINDS = 2, ALIGNMENT = 256 };

static int64_t n = 3000, k = 70, d = 19;
static float *points;
static const struct fkmi_opencl_driver *driver;

/* What a fit gives: labels, centroids, counts, order, offsets, distances. */
struct results {
	void *output[OUTPUTS];
};

static struct results expected[KINDS], results;

static int64_t bytes_of(int output)
{
	const int64_t bytes[OUTPUTS] = {n * 4, k * d * 8, k * 8, n * 8, (k + 1) * 8, n * 8};
	return bytes[output];
}

static struct fkm_context *create(const char *backend, int32_t device, cl_command_queue queue, cl_context context)
{
	struct fkm_context_params params;
	struct fkm_context *created;
	fkm_context_params_init(&params);
	params.backend = backend;
	params.device = device;
	params.native_queue = queue;
	params.native_context = context;
	CHECK(fkm_context_create(&params, &created) == FKM_OK);
	return created;
}

/* Of the first kind, a fit that a device does without waiting; of the second one, all that it can do besides. */
static void set_params(int kind, void *const output[OUTPUTS], struct fkm_fit_params *params,
					   struct fkm_fit_result *result)
{
	fkm_fit_params_init(params);
	fkm_fit_result_init(result);
	params->clusters = k;
	params->init = kind == 0 ? FKM_INIT_RANDOM : FKM_INIT_KMEANS_PLUS_PLUS;
	params->stop = kind == 0 ? FKM_STOP_FIXED : FKM_STOP_RELATIVE;
	params->metric = kind == 0 ? FKM_METRIC_EUCLIDEAN : FKM_METRIC_COSINE;
	params->max_iter = 3;
	params->seed = 3;
	result->labels = output[0];
	result->centroids = output[1];
	if (kind == 0)
		return;
	result->counts = output[2];
	result->order = output[3];
	result->offsets = output[4];
	result->distances = output[5];
}

static void make_results(struct results *made)
{
	for (int i = 0; i < OUTPUTS; i++) {
		made->output[i] = malloc((size_t)bytes_of(i));
		CHECK(made->output[i] != NULL);
	}
}

static void free_results(struct results *made)
{
	for (int i = 0; i < OUTPUTS; i++)
		free(made->output[i]);
}

static void fit_on_host(struct fkm_context *context, int kind, struct results *to)
{
	struct fkm_array array = fkm_array_2d(points, FKM_F32, n, d);
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	set_params(kind, to->output, &params, &result);
	CHECK(fkm_fit(context, &array, &params, &result) == FKM_OK);
}

static void compare(int kind)
{
	for (int i = 0; i < (kind == 0 ? 2 : OUTPUTS); i++)
		CHECK(memcmp(results.output[i], expected[kind].output[i], (size_t)bytes_of(i)) == 0);
}

/* ---- the caller's buffers ---- */

/* Written as a whole, which simulators of devices want before they follow what happens to its parts. */
static cl_mem make_buffer(cl_context context, cl_command_queue queue, size_t bytes)
{
	cl_int result;
	cl_mem buffer = driver->clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, NULL, &result);
	CHECK(result == CL_SUCCESS);
	void *poison = malloc(bytes);
	CHECK(poison != NULL);
	memset(poison, 0xEE, bytes);
	CHECK(driver->clEnqueueWriteBuffer(queue, buffer, CL_TRUE, 0, bytes, poison, 0, NULL, NULL) == CL_SUCCESS);
	free(poison);
	return buffer;
}

static void read_buffer(cl_command_queue queue, cl_mem buffer, void *to, size_t bytes)
{
	unsigned char tail[TAIL];
	CHECK(driver->clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, bytes, to, 0, NULL, NULL) == CL_SUCCESS);
	CHECK(driver->clEnqueueReadBuffer(queue, buffer, CL_TRUE, bytes, TAIL, tail, 0, NULL, NULL) == CL_SUCCESS);
	for (int i = 0; i < TAIL; i++)
		CHECK(tail[i] == 0xEE);
}

/* Points at an offset, results in buffers, and a workspace, all of them the caller's; by a kernel that the device may not
 * have. */
static void fit_in_buffers(struct fkm_context *fkm, cl_context context, cl_command_queue queue, int kind,
						   const char *kernel)
{
	const size_t point_bytes = (size_t)(n * d) * sizeof(float);
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	cl_mem x = make_buffer(context, queue, LEAD + point_bytes + TAIL);
	void *output[OUTPUTS];
	for (int i = 0; i < OUTPUTS; i++)
		output[i] = make_buffer(context, queue, (size_t)bytes_of(i) + TAIL);
	CHECK(driver->clEnqueueWriteBuffer(queue, x, CL_TRUE, LEAD, point_bytes, points, 0, NULL, NULL) == CL_SUCCESS);
	struct fkm_array array = fkm_array_2d(x, FKM_F32, n, d);
	array.memory = FKM_MEMORY_DEVICE;
	array.offset_bytes = LEAD;
	set_params(kind, output, &params, &result);
	result.memory = FKM_MEMORY_DEVICE;
	params.trust_finite = kind == 0;
	params.kernel = kernel;
	enum fkm_status status = fkm_fit_workspace(fkm, &array, &params, &result, &params.workspace_bytes);
	if (status == FKM_OK) {
		cl_mem workspace = make_buffer(context, queue, (size_t)params.workspace_bytes + TAIL);
		params.workspace = workspace;
		CHECK(fkm_fit(fkm, &array, &params, &result) == FKM_OK);
		for (int i = 0; i < OUTPUTS; i++)
			read_buffer(queue, output[i], results.output[i], (size_t)bytes_of(i));
		compare(kind);
		CHECK(driver->clReleaseMemObject(workspace) == CL_SUCCESS);
	}
	CHECK(status == FKM_OK || status == FKM_ERROR_UNSUPPORTED);
	CHECK(driver->clReleaseMemObject(x) == CL_SUCCESS);
	for (int i = 0; i < OUTPUTS; i++)
		CHECK(driver->clReleaseMemObject(output[i]) == CL_SUCCESS);
}

/* Rows that could be read 16 bytes at a time if the host memory that the buffer is did not begin in between. */
static void fit_in_host_memory(struct fkm_context *fkm, cl_context context, cl_command_queue queue)
{
	const int64_t stride = (d + 3) / 4 * 4;
	const size_t bytes = (size_t)(n * stride) * sizeof(float);
	unsigned char *memory = aligned_alloc(ALIGNMENT, (bytes / ALIGNMENT + 2) * ALIGNMENT);
	CHECK(memory != NULL);
	memset(memory, 0, (bytes / ALIGNMENT + 2) * ALIGNMENT);
	float *rows = (float *)memory + 1;
	for (int64_t i = 0; i < n; i++)
		memcpy(rows + i * stride, points + i * d, (size_t)d * sizeof(float));
	cl_int made;
	cl_mem x = driver->clCreateBuffer(context, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, bytes, rows, &made);
	CHECK(made == CL_SUCCESS);
	struct fkm_array array = fkm_array_2d(x, FKM_F32, n, d);
	array.memory = FKM_MEMORY_DEVICE;
	array.row_stride = stride;
	for (int kind = 0; kind < KINDS; kind++) {
		struct fkm_fit_params params;
		struct fkm_fit_result result;
		set_params(kind, results.output, &params, &result);
		CHECK(fkm_fit(fkm, &array, &params, &result) == FKM_OK);
		compare(kind);
	}
	CHECK(driver->clFinish(queue) == CL_SUCCESS);
	CHECK(driver->clReleaseMemObject(x) == CL_SUCCESS);
	free(memory);
}

static void check_callers(int32_t device, bool several)
{
	struct fkmi_device *opened;
	CHECK(fkmi_backend_opencl.open(&(struct fkmi_open_params){.device = device}, &opened) == FKM_OK);
	const cl_device_id id = ((struct fkmi_opencl *)opened)->id;
	fkmi_backend_opencl.close(opened);

	cl_int result;
	cl_context context = driver->clCreateContext(NULL, 1, &id, NULL, NULL, &result);
	CHECK(result == CL_SUCCESS);
	cl_command_queue queue = driver->clCreateCommandQueue(context, id, 0, &result);
	CHECK(result == CL_SUCCESS);
	struct fkm_context *fkm = create("opencl", -1, queue, NULL);
	int32_t tiles;
	const struct fkmi_tile *tile = fkmi_backend_opencl.tiles(&tiles);
	for (int32_t i = 0; i < tiles; i++)
		for (int kind = 0; kind < KINDS; kind++)
			fit_in_buffers(fkm, context, queue, kind, tile[i].name);
	fit_in_host_memory(fkm, context, queue);
	fkm_context_destroy(fkm);

	/* A queue of the library's own in the caller's context; both stay usable afterwards. */
	fkm = create("opencl", 0, NULL, context);
	if (several) {
		fit_on_host(fkm, 0, &results);
		compare(0);
	}
	fkm_context_destroy(fkm);
	cl_mem buffer = make_buffer(context, queue, TAIL);
	CHECK(driver->clFinish(queue) == CL_SUCCESS);
	CHECK(driver->clReleaseMemObject(buffer) == CL_SUCCESS);
	CHECK(driver->clReleaseCommandQueue(queue) == CL_SUCCESS);
	CHECK(driver->clReleaseContext(context) == CL_SUCCESS);
}

/* ---- several devices ---- */

static void check_several(const int32_t *devices, int32_t count)
{
	struct fkm_context *contexts[MOST_DEVICES];
	for (int32_t i = 0; i < count; i++)
		contexts[i] = create("opencl", devices[i], NULL, NULL);
	for (int kind = 0; kind < KINDS; kind++) {
		for (int32_t i = 0; i < count; i++) {
			for (int output = 0; output < OUTPUTS; output++)
				memset(results.output[output], 0xEE, (size_t)bytes_of(output));
			fit_on_host(contexts[i], kind, &results);
			compare(kind);
		}
	}
	for (int32_t i = 0; i < count; i++)
		fkm_context_destroy(contexts[i]);
}

int main(int argc, char **argv)
{
	const bool small = argc == 4;
	if (small) {
		n = atoi(argv[1]);
		k = atoi(argv[2]);
		d = atoi(argv[3]);
	}
	struct fkm_device_info infos[MOST_DEVICES];
	int32_t count = 0, devices[MOST_DEVICES], usable = 0;
	CHECK(fkmi_backend_opencl.list(infos, MOST_DEVICES, &count) == FKM_OK);
	for (int32_t i = 0; i < count && i < MOST_DEVICES; i++) {
		printf("%s (%s): %s\n", infos[i].name, infos[i].detail, infos[i].problem[0] ? infos[i].problem : "usable");
		if (infos[i].problem[0] == '\0')
			devices[usable++] = infos[i].device;
	}
	const char *required = getenv("FKM_REQUIRE");
	if (usable == 0 && (required == NULL || strstr(required, "opencl") == NULL))
		return SKIP;
	CHECK(usable > 0);
	CHECK(fkmi_opencl_driver_open(&driver) == FKM_OK);
	points = malloc((size_t)(n * d) * sizeof(float));
	CHECK(points != NULL);
	for (int64_t i = 0; i < n * d; i++)
		points[i] = (float)((unsigned)i * 2654435761u >> 8) * 0x1p-24f;
	make_results(&results);
	struct fkm_context *cpu = create("cpu", -1, NULL, NULL);
	for (int kind = 0; kind < KINDS; kind++) {
		make_results(&expected[kind]);
		fit_on_host(cpu, kind, &expected[kind]);
	}
	fkm_context_destroy(cpu);
	for (int32_t i = 0; i < usable; i++)
		check_callers(devices[i], !small);
	if (!small)
		check_several(devices, usable);
	for (int kind = 0; kind < KINDS; kind++)
		free_results(&expected[kind]);
	free_results(&results);
	free(points);
	return 0;
}
