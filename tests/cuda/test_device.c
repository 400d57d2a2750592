/* SPDX-License-Identifier: Apache-2.0 */
/* The host side of the CUDA backend on a real device: what the fake driver cannot answer for. 77: there is none. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cuda.h"
#include "tests/gpu/check.h"

enum { GLOBAL_CAPTURE = 0, NON_BLOCKING = 1 };

/* What of the driver only this test uses. */
static struct {
	fkmi_cu_result (*begin_capture)(fkmi_cu_stream stream, int mode);
	fkmi_cu_result (*end_capture)(fkmi_cu_stream stream, void **graph);
	fkmi_cu_result (*instantiate)(void **executable, void *graph, unsigned long long flags);
	fkmi_cu_result (*launch)(void *executable, fkmi_cu_stream stream);
	fkmi_cu_result (*destroy_executable)(void *executable);
	fkmi_cu_result (*destroy_graph)(void *graph);
} graphs;

static void load_graphs(void)
{
	const char *path = getenv("FKM_CUDA_LIBRARY");
	void *library = dlopen(path != NULL ? path : "libcuda.so.1", RTLD_NOW);
	CHECK(library != NULL);
	static const char *const names[] = {"cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags",
										"cuGraphLaunch",           "cuGraphExecDestroy", "cuGraphDestroy"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		void *address = dlsym(library, names[i]);
		CHECK(address != NULL);
		memcpy((char *)&graphs + i * sizeof address, &address, sizeof address);
	}
}

static void pattern(unsigned char *bytes, int64_t count, unsigned seed)
{
	for (int64_t i = 0; i < count; i++)
		bytes[i] = (unsigned char)((unsigned)i * 2654435761u >> 13 ^ seed);
}

/* Uploads by every way, to places that are aligned to nothing; what lies around them stays. */
static void check_memory(struct fkmi_device *device)
{
	static const int64_t sizes[] = {1, 3, 3999, 4000, 4001, 16384, 16385, 5000001};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		const int64_t bytes = sizes[i];
		struct fkmi_ref one, two;
		unsigned char *from = malloc((size_t)bytes), *to = malloc((size_t)bytes + 6);
		CHECK(from != NULL && to != NULL);
		pattern(from, bytes, (unsigned)i);
		CHECK(device->backend->alloc(device, bytes + 6, &one) == FKM_OK);
		CHECK(device->backend->alloc(device, bytes + 6, &two) == FKM_OK);
		CHECK((uintptr_t)one.base % 256 == 0);
		CHECK(device->backend->fill(device, one, 0xEE, bytes + 6) == FKM_OK);
		CHECK(device->backend->upload(device, fkmi_ref_add(one, 3), from, bytes) == FKM_OK);
		CHECK(device->backend->copy(device, two, one, bytes + 6) == FKM_OK);
		CHECK(device->backend->download(device, to, two, bytes + 6) == FKM_OK);
		CHECK(memcmp(to + 3, from, (size_t)bytes) == 0);
		CHECK(to[0] == 0xEE && to[2] == 0xEE && to[bytes + 3] == 0xEE && to[bytes + 5] == 0xEE);
		device->backend->free(device, one);
		device->backend->free(device, two);
		free(from);
		free(to);
	}
}

/* What a graph replays is what was uploaded when it was captured, whatever became of the source since. */
static void check_capture(struct fkmi_cuda *cuda)
{
	enum { BYTES = 9000 };
	struct fkmi_device *device = &cuda->base.gpu.device;
	struct fkmi_ref one, two;
	unsigned char *from = malloc(BYTES), *to = malloc(BYTES), expected[BYTES];
	void *graph = NULL, *executable = NULL;
	CHECK(from != NULL && to != NULL);
	pattern(from, BYTES, 5);
	memcpy(expected, from, BYTES);
	CHECK(device->backend->alloc(device, BYTES, &one) == FKM_OK);
	CHECK(device->backend->alloc(device, BYTES, &two) == FKM_OK);
	CHECK(graphs.begin_capture(cuda->base.stream, GLOBAL_CAPTURE) == 0);
	CHECK(device->backend->upload(device, one, from, BYTES) == FKM_OK);
	CHECK(device->backend->fill(device, two, 1, BYTES) == FKM_OK);
	CHECK(device->backend->copy(device, two, one, BYTES - 1) == FKM_OK);
	CHECK(graphs.end_capture(cuda->base.stream, &graph) == 0);
	free(from);
	CHECK(device->backend->fill(device, two, 0, BYTES) == FKM_OK);
	CHECK(fkmi_runtime_enter(&cuda->base) == FKM_OK); /* graphs belong to a context */
	CHECK(graphs.instantiate(&executable, graph, 0) == 0);
	for (int i = 0; i < 2; i++) {
		CHECK(graphs.launch(executable, cuda->base.stream) == 0);
		CHECK(device->backend->download(device, to, two, BYTES) == FKM_OK);
		CHECK(memcmp(to, expected, BYTES - 1) == 0 && to[BYTES - 1] == 1);
		CHECK(device->backend->fill(device, one, 0, BYTES) == FKM_OK);
	}
	CHECK(graphs.destroy_executable(executable) == 0);
	CHECK(graphs.destroy_graph(graph) == 0);
	fkmi_runtime_leave(&cuda->base);
	device->backend->free(device, one);
	device->backend->free(device, two);
	free(to);
}

/* The code for this very architecture is used, not PTX that the driver translated. */
static void check_code(struct fkmi_cuda *cuda)
{
	struct fkmi_kernel_facts facts;
	struct fkmi_runtime_kernel *kernel;
	int version = 0;
	CHECK(fkmi_cuda_kernel_facts(&cuda->base.gpu.device, "fkmi_store", &facts) == FKM_OK);
	CHECK(fkmi_runtime_find(&cuda->base, "fkmi_store", &kernel) == FKM_OK);
	CHECK(cuda->driver->function_get(&version, FKMI_CU_FUNCTION_BINARY_VERSION, kernel->function) == 0);
	printf("fkmi_store: %d registers, code for sm_%d\n", facts.registers, version);
	if (cuda->base.gpu.device.limits.architecture == 900)
		CHECK(version == 90);
	CHECK(facts.spilled_bytes == 0);
}

/* On the caller's stream, whose context stays current to nobody and alive. */
static void check_stream(const struct fkmi_cuda *owner)
{
	const struct fkmi_cuda_driver *driver = owner->driver;
	fkmi_cu_context popped;
	fkmi_cu_stream stream = NULL;
	CHECK(driver->context_push(owner->context) == 0);
	CHECK(driver->calls.stream_create(&stream, NON_BLOCKING) == 0);
	CHECK(driver->context_pop(&popped) == 0);
	struct fkmi_device *device;
	CHECK(fkmi_backend_cuda.open(&(struct fkmi_open_params){.native_queue = stream}, &device) == FKM_OK);
	CHECK(((struct fkmi_cuda *)device)->base.stream == stream && !((struct fkmi_cuda *)device)->owns_context);
	check_capture((struct fkmi_cuda *)device); /* the first launch of the kernel that it uses */
	check_memory(device);
	fkmi_backend_cuda.close(device);
	CHECK(driver->context_push(owner->context) == 0);
	CHECK(driver->calls.stream_wait(stream) == 0);
	CHECK(driver->calls.stream_destroy(stream) == 0);
	CHECK(driver->context_pop(&popped) == 0);
}

/* On the streams that have no handle of their own: they are of the context that is current at the time. */
static void check_default_streams(const struct fkmi_cuda *owner)
{
	const uintptr_t legacy = 1, per_thread = 2;
	const uintptr_t streams[] = {legacy, per_thread};
	fkmi_cu_context popped;
	CHECK(owner->driver->context_push(owner->context) == 0);
	for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
		struct fkmi_device *device;
		CHECK(fkmi_backend_cuda.open(&(struct fkmi_open_params){.native_queue = (void *)streams[i]}, &device) ==
			  FKM_OK);
		check_memory(device);
		fkmi_backend_cuda.close(device);
	}
	CHECK(owner->driver->context_pop(&popped) == 0 && popped == owner->context);
}

/* Opening and closing beside another user of the device's primary context gives everything back. */
static void check_rounds(struct fkmi_cuda *owner)
{
	enum { ROUNDS = 50 };
	fkmi_cu_context popped;
	size_t before = 0, after = 0, total = 0;
	for (int i = 0; i <= ROUNDS; i++) {
		struct fkmi_device *device;
		struct fkmi_ref memory;
		CHECK(fkmi_backend_cuda.open(&(struct fkmi_open_params){.device = 0}, &device) == FKM_OK);
		CHECK(device->backend->alloc(device, 64 << 20, &memory) == FKM_OK);
		CHECK(device->backend->fill(device, memory, 1, 64 << 20) == FKM_OK);
		device->backend->free(device, memory);
		fkmi_backend_cuda.close(device);
		CHECK(owner->driver->context_push(owner->context) == 0);
		CHECK(owner->driver->calls.memory_info(i == 0 ? &before : &after, &total) == 0);
		CHECK(owner->driver->context_pop(&popped) == 0);
	}
	printf("free memory after 1 round %zu, after %d more %zu\n", before, ROUNDS, after);
	CHECK(before == after);
}

static void check_exhaustion(struct fkmi_device *device)
{
	struct fkmi_ref memory;
	CHECK(device->backend->alloc(device, device->limits.memory_bytes, &memory) == FKM_ERROR_OUT_OF_MEMORY);
	printf("%s\n", fkm_error_message());
	CHECK(device->backend->alloc(device, 1 << 20, &memory) == FKM_OK);
	CHECK(device->backend->fill(device, memory, 0, 1 << 20) == FKM_OK);
	CHECK(device->backend->wait(device) == FKM_OK);
	device->backend->free(device, memory);
}

int main(void)
{
	struct fkmi_device *device;
	enum fkm_status status = fkmi_backend_cuda.open(&(struct fkmi_open_params){.device = 0}, &device);
	const char *required = getenv("FKM_REQUIRE");
	if (status == FKM_ERROR_NO_DEVICE && (required == NULL || strstr(required, "cuda") == NULL)) {
		printf("skipped: %s\n", fkm_error_message());
		return SKIP;
	}
	CHECK(status == FKM_OK);
	struct fkmi_cuda *cuda = (struct fkmi_cuda *)device;
	struct fkm_device_info info;
	int32_t count = 0;
	CHECK(fkmi_backend_cuda.list(&info, 1, &count) == FKM_OK && count >= 1);
	printf("%s, %s, %d multiprocessors, %.1f GB, %.2f TB/s\n", info.name, info.detail, info.units,
		   (double)info.memory_bytes * 1e-9, device->limits.bytes_per_second * 1e-12);
	load_graphs();
	check_memory(device);
	check_capture(cuda);
	check_code(cuda);
	check_stream(cuda);
	check_default_streams(cuda);
	check_rounds(cuda);
	check_exhaustion(device);
	fkmi_backend_cuda.close(device);
	return 0;
}
