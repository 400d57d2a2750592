/* SPDX-License-Identifier: Apache-2.0 */
#include "shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What nvcc made of the kernels; without nvcc, something that the fake driver takes for it. */
extern const unsigned char fkm_shim_image[];

enum {
	MOST_DEVICES = 16,
	INVALID_VALUE = 1,
	NO_DEVICE = 100,
	INVALID_DEVICE = 101,
	NO_BINARY = 209,
	FREE_BYTES = 48 << 10
};

static struct fkmi_cuda_driver cuda;
static bool loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fkmi_cu_context contexts[MOST_DEVICES];
static _Thread_local int current;

#if defined(SHIM_ROCM5)
enum { DEFAULT_VERSION = 50221153 };
#else
enum { DEFAULT_VERSION = 60342134 };
#endif

/* ---- the driver below ---- */

static void load_once(void)
{
#define SYMBOL(member, symbol, parameters) {#symbol, offsetof(struct fkmi_cuda_driver, member)},
#define CALL(member, symbol, hip, parameters) SYMBOL(calls.member, symbol, parameters)
	static const struct {
		const char *name;
		size_t offset;
	} symbols[] = {FKMI_CUDA_FUNCTIONS(SYMBOL) FKMI_RUNTIME_FUNCTIONS(CALL)};
#undef CALL
#undef SYMBOL
	const char *path = getenv("FKM_CUDA_LIBRARY");
	void *library = dlopen(path != NULL ? path : "libcuda.so.1", RTLD_NOW);
	if (library == NULL)
		return;
	for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
		void *address = dlsym(library, symbols[i].name);
		if (address == NULL)
			return;
		memcpy((char *)&cuda + symbols[i].offset, &address, sizeof address);
	}
	loaded = true;
}

static int start(void)
{
	pthread_once(&once, load_once);
	return loaded ? cuda.init(0) : NO_DEVICE;
}

static int context_of(int device, fkmi_cu_context *context)
{
	int result = 0;
	if (device < 0 || device >= MOST_DEVICES)
		return INVALID_DEVICE;
	pthread_mutex_lock(&lock);
	if (contexts[device] == NULL) {
		fkmi_cu_context made = NULL;
		result = cuda.primary_retain(&made, device);
		if (result == 0)
			contexts[device] = made;
	}
	*context = contexts[device];
	pthread_mutex_unlock(&lock);
	return result;
}

void shim_release_contexts(void)
{
	for (int i = 0; i < MOST_DEVICES; i++) {
		if (contexts[i] != NULL)
			cuda.primary_release(i);
		contexts[i] = NULL;
	}
	current = 0;
}

static int enter(void)
{
	fkmi_cu_context context = NULL;
	int result = context_of(current, &context);
	return result != 0 ? result : cuda.context_push(context);
}

static int leave(int result)
{
	fkmi_cu_context popped;
	cuda.context_pop(&popped);
	return result;
}

/* A call with the current device's context current. */
#define WITHIN(call)                                                                                                   \
	do {                                                                                                               \
		int result_ = enter();                                                                                         \
		return result_ != 0 ? result_ : leave(call);                                                                   \
	} while (0)

/* ---- devices ---- */

int hipRuntimeGetVersion(int *version)
{
	const char *claimed = getenv("SHIM_VERSION");
	*version = claimed != NULL ? atoi(claimed) : DEFAULT_VERSION;
	return 0;
}

const char *hipGetErrorName(int result)
{
	const char *name = NULL;
	return cuda.error_name != NULL && cuda.error_name(result, &name) == 0 ? name : "hipErrorUnknown";
}

const char *hipGetErrorString(int result)
{
	const char *text = NULL;
	return cuda.error_string != NULL && cuda.error_string(result, &text) == 0 ? text : "unknown error";
}

int hipGetDeviceCount(int *count)
{
	int result = start();
	*count = 0;
	return result != 0 ? result : cuda.calls.device_count(count);
}

int hipDeviceGet(int *device, int ordinal)
{
	return cuda.calls.device_get(device, ordinal);
}

int hipDeviceGetName(char *name, int bytes, int device)
{
	return cuda.calls.device_name(name, bytes, device);
}

int hipDeviceTotalMem(size_t *bytes, int device)
{
	return cuda.calls.device_memory(bytes, device);
}

int hipDeviceGetAttribute(int *value, int attribute, int device)
{
	static const int numbers[][2] = {
		{FKMI_HIP_MAX_THREADS_PER_BLOCK, FKMI_CU_MAX_THREADS_PER_BLOCK},
		{FKMI_HIP_MEMORY_BUS_WIDTH, FKMI_CU_MEMORY_BUS_WIDTH},
		{FKMI_HIP_MEMORY_CLOCK_RATE, FKMI_CU_MEMORY_CLOCK_RATE},
		{FKMI_HIP_MULTIPROCESSOR_COUNT, FKMI_CU_MULTIPROCESSOR_COUNT},
		{FKMI_HIP_WARP_SIZE, FKMI_CU_WARP_SIZE},
	};
	if (attribute == FKMI_HIP_SHARED_MEMORY) {
		*value = 64 << 10;
		return 0;
	}
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (numbers[i][0] == attribute)
			return cuda.calls.device_attribute(value, numbers[i][1], device);
	return INVALID_VALUE;
}

/* On a GPU, only the default fits the kernels: mma.sync stands in for MFMA, in tiles of its size. */
static const char *target(void)
{
	const char *claimed = getenv("SHIM_TARGET");
	return claimed != NULL ? claimed : "gfx90a:sramecc+:xnack-";
}

/* Around the name is what must not be read. */
static int fill_properties(void *properties, int place, size_t bytes)
{
	memset(properties, 0x5A, bytes);
	memset((char *)properties + place, 0, 256);
	strncpy((char *)properties + place, target(), 255);
	return 0;
}

#if !defined(SHIM_ROCM5)
int hipGetDevicePropertiesR0600(void *properties, int device)
{
	(void)device;
	return fill_properties(properties, 1160, 1472);
}
#endif

int hipGetDeviceProperties(void *properties, int device)
{
	(void)device;
	return fill_properties(properties, 396, 792);
}

int hipGetDevice(int *device)
{
	*device = current;
	return 0;
}

int hipSetDevice(int device)
{
	fkmi_cu_context context;
	int result = context_of(device, &context);
	if (result == 0)
		current = device;
	return result;
}

/* ---- streams ---- */

int hipStreamCreateWithFlags(void **stream, unsigned flags)
{
	WITHIN(cuda.calls.stream_create(stream, flags));
}

int hipStreamDestroy(void *stream)
{
	WITHIN(cuda.calls.stream_destroy(stream));
}

int hipStreamSynchronize(void *stream)
{
	WITHIN(cuda.calls.stream_wait(stream));
}

static int stream_device(void *stream, int *device)
{
	fkmi_cu_context context = NULL;
	int result = cuda.stream_context(stream, &context);
	if (result == 0)
		result = cuda.context_push(context);
	return result != 0 ? result : leave(cuda.context_device(device));
}

int hipGetStreamDeviceId(void *stream)
{
	int device = -1;
	return stream_device(stream, &device) == 0 ? device : -1;
}

#if !defined(SHIM_ROCM5)
int hipStreamGetDevice(void *stream, int *device)
{
	return stream_device(stream, device);
}
#endif

/* ---- memory ---- */

int hipMalloc(fkmi_runtime_pointer *memory, size_t bytes)
{
	WITHIN(cuda.calls.memory_alloc(memory, bytes));
}

int hipFree(fkmi_runtime_pointer memory)
{
	WITHIN(cuda.calls.memory_free(memory));
}

int hipMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
	WITHIN(cuda.calls.memory_info(free_bytes, total_bytes));
}

int hipMemcpyHtoDAsync(fkmi_runtime_pointer to, const void *from, size_t bytes, void *stream)
{
	WITHIN(cuda.calls.copy_up(to, from, bytes, stream));
}

int hipMemcpyDtoHAsync(void *to, fkmi_runtime_pointer from, size_t bytes, void *stream)
{
	WITHIN(cuda.calls.copy_down(to, from, bytes, stream));
}

int hipMemcpyDtoDAsync(fkmi_runtime_pointer to, fkmi_runtime_pointer from, size_t bytes, void *stream)
{
	WITHIN(cuda.calls.copy_within(to, from, bytes, stream));
}

int hipMemsetD8Async(fkmi_runtime_pointer to, unsigned char byte, size_t bytes, void *stream)
{
	WITHIN(cuda.calls.fill(to, byte, bytes, stream));
}

int hipHostMalloc(void **memory, size_t bytes, unsigned flags)
{
	WITHIN(cuda.calls.host_alloc(memory, bytes, flags));
}

int hipHostFree(void *memory)
{
	WITHIN(cuda.calls.host_free(memory));
}

int hipPointerGetAttribute(void *value, int attribute, fkmi_runtime_pointer pointer)
{
	WITHIN(cuda.calls.pointer_ask(value, attribute, pointer));
}

int hipEventCreateWithFlags(void **event, unsigned flags)
{
	WITHIN(cuda.calls.event_create(event, flags));
}

int hipEventDestroy(void *event)
{
	WITHIN(cuda.calls.event_destroy(event));
}

int hipEventRecord(void *event, void *stream)
{
	WITHIN(cuda.calls.event_record(event, stream));
}

int hipEventSynchronize(void *event)
{
	WITHIN(cuda.calls.event_wait(event));
}

int hipEventQuery(void *event)
{
	WITHIN(cuda.calls.event_ask(event));
}

int hipStreamWaitEvent(void *stream, void *event, unsigned flags)
{
	WITHIN(cuda.calls.stream_follow(stream, event, flags));
}

/* ---- code ---- */

static uint64_t number_at(const unsigned char *bytes)
{
	uint64_t number;
	memcpy(&number, bytes, sizeof number);
	return number;
}

/* As the runtime looks: an offload bundle in whole pages, with an ELF object for the processor of the target. */
static bool fits(const unsigned char *image)
{
	static const char magic[] = "__CLANG_OFFLOAD_BUNDLE__", prefix[] = "hipv4-amdgcn-amd-amdhsa--";
	const size_t processor = strcspn(target(), ":");
	if ((uintptr_t)image % 4096 != 0 || memcmp(image, magic, sizeof magic - 1) != 0)
		return false;
	const uint64_t count = number_at(image + sizeof magic - 1);
	const unsigned char *entry = image + sizeof magic - 1 + 8;
	for (uint64_t i = 0; i < count; i++) {
		const uint64_t offset = number_at(entry), bytes = number_at(entry + 8), length = number_at(entry + 16);
		const char *id = (const char *)entry + 24;
		entry += 24 + length;
		if (length == sizeof prefix - 1 + processor && memcmp(id, prefix, sizeof prefix - 1) == 0 &&
			memcmp(id + sizeof prefix - 1, target(), processor) == 0)
			return offset % 4096 == 0 && bytes > 4 && memcmp(image + offset, "\177ELF", 4) == 0;
	}
	return false;
}

static const char compiled[] = "what the shim's compiler makes";

int hipModuleLoadData(void **module, const void *image)
{
	if (memcmp(image, compiled, 4) != 0 && !fits(image))
		return NO_BINARY;
	WITHIN(cuda.calls.module_load(module, fkm_shim_image));
}

int hipModuleUnload(void *module)
{
	WITHIN(cuda.calls.module_unload(module));
}

int hipModuleGetFunction(void **function, void *module, const char *name)
{
	WITHIN(cuda.calls.module_function(function, module, name));
}

static int launch(const struct fkmi_cu_launch_config *config, void *function, void **arguments)
{
	int result = config->shared_bytes <= FREE_BYTES
					 ? 0
					 : cuda.function_set(function, FKMI_CU_FUNCTION_MAX_DYNAMIC_SHARED, (int)config->shared_bytes);
	return result != 0 ? result : cuda.launch(config, function, arguments, NULL);
}

int hipModuleLaunchKernel(void *function, unsigned blocks, unsigned blocks_y, unsigned blocks_z, unsigned threads,
						  unsigned threads_y, unsigned threads_z, unsigned shared_bytes, void *stream, void **arguments,
						  void **extra)
{
	const struct fkmi_cu_launch_config config = {
		.grid = {blocks, blocks_y, blocks_z},
		.block = {threads, threads_y, threads_z},
		.shared_bytes = shared_bytes,
		.stream = stream,
	};
	/* Of what the hardware it stands for allows. */
	if (extra != NULL || (uint64_t)blocks * threads > UINT32_MAX || shared_bytes > 64 << 10)
		return INVALID_VALUE;
	WITHIN(launch(&config, function, arguments));
}

/* ---- hipRTC ---- */

SHIM_EXPORT int hiprtcCreateProgram(void **program, const char *source, const char *name, int headers,
									const char *const *texts, const char *const *names);
SHIM_EXPORT int hiprtcDestroyProgram(void **program);
SHIM_EXPORT int hiprtcCompileProgram(void *program, int count, const char *const *options);
SHIM_EXPORT int hiprtcGetProgramLogSize(void *program, size_t *bytes);
SHIM_EXPORT int hiprtcGetProgramLog(void *program, char *log);
SHIM_EXPORT int hiprtcGetCodeSize(void *program, size_t *bytes);
SHIM_EXPORT int hiprtcGetCode(void *program, char *code);

int hiprtcCreateProgram(void **program, const char *source, const char *name, int headers, const char *const *texts,
						const char *const *names)
{
	(void)name, (void)texts, (void)names;
	*program = headers == 0 && strstr(source, "fkmi_store(") != NULL ? malloc(1) : NULL;
	return *program != NULL ? 0 : INVALID_VALUE;
}

int hiprtcDestroyProgram(void **program)
{
	free(*program);
	*program = NULL;
	return 0;
}

/* Compiles for gfx10 and later. */
int hiprtcCompileProgram(void *program, int count, const char *const *options)
{
	(void)program;
	for (int i = 0; i < count; i++)
		if (strncmp(options[i], "--offload-arch=gfx1", 19) == 0)
			return 0;
	return 6;
}

int hiprtcGetProgramLogSize(void *program, size_t *bytes)
{
	(void)program;
	*bytes = sizeof "unknown target CPU";
	return 0;
}

int hiprtcGetProgramLog(void *program, char *log)
{
	(void)program;
	memcpy(log, "unknown target CPU", sizeof "unknown target CPU");
	return 0;
}

int hiprtcGetCodeSize(void *program, size_t *bytes)
{
	(void)program;
	*bytes = sizeof compiled;
	return 0;
}

int hiprtcGetCode(void *program, char *code)
{
	(void)program;
	memcpy(code, compiled, sizeof compiled);
	return 0;
}
