/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CUDA and HIP share beyond the steps. The libraries of both have the same functions under other names, with
 * handles that are pointers and with equal numbers for equal results, so devices, memory and modules of kernels are
 * written once (runtime_*.c), over a table of those functions and the few things that differ (struct fkmi_runtime).
 */
#ifndef FKMI_RUNTIME_H
#define FKMI_RUNTIME_H

#include "error.h"
#include "gpu.h"

/* A place in device memory: CUdeviceptr, hipDeviceptr_t. */
typedef uint64_t fkmi_runtime_pointer;

/* Member; symbol in CUDA and in HIP; parameters. Results are CUresult or hipError_t, devices are their ordinals'
 * handles. HIP's hipDeviceptr_t is a pointer, which is passed as a CUdeviceptr is. */
#define FKMI_RUNTIME_FUNCTIONS(X)                                                                                      \
	X(version, cuDriverGetVersion, hipRuntimeGetVersion, (int *version))                                               \
	X(device_count, cuDeviceGetCount, hipGetDeviceCount, (int *count))                                                 \
	X(device_get, cuDeviceGet, hipDeviceGet, (int *device, int ordinal))                                               \
	X(device_name, cuDeviceGetName, hipDeviceGetName, (char *name, int bytes, int device))                             \
	X(device_attribute, cuDeviceGetAttribute, hipDeviceGetAttribute, (int *value, int attribute, int device))          \
	X(device_memory, cuDeviceTotalMem_v2, hipDeviceTotalMem, (size_t *bytes, int device))                              \
	X(stream_create, cuStreamCreate, hipStreamCreateWithFlags, (void **stream, unsigned flags))                        \
	X(stream_destroy, cuStreamDestroy_v2, hipStreamDestroy, (void *stream))                                            \
	X(stream_wait, cuStreamSynchronize, hipStreamSynchronize, (void *stream))                                          \
	X(memory_alloc, cuMemAlloc_v2, hipMalloc, (fkmi_runtime_pointer * memory, size_t bytes))                           \
	X(memory_free, cuMemFree_v2, hipFree, (fkmi_runtime_pointer memory))                                               \
	X(memory_info, cuMemGetInfo_v2, hipMemGetInfo, (size_t *free_bytes, size_t *total_bytes))                          \
	X(copy_up, cuMemcpyHtoDAsync_v2, hipMemcpyHtoDAsync,                                                               \
	  (fkmi_runtime_pointer to, const void *from, size_t bytes, void *stream))                                         \
	X(copy_down, cuMemcpyDtoHAsync_v2, hipMemcpyDtoHAsync,                                                             \
	  (void *to, fkmi_runtime_pointer from, size_t bytes, void *stream))                                               \
	X(copy_within, cuMemcpyDtoDAsync_v2, hipMemcpyDtoDAsync,                                                           \
	  (fkmi_runtime_pointer to, fkmi_runtime_pointer from, size_t bytes, void *stream))                                \
	X(host_alloc, cuMemHostAlloc, hipHostMalloc, (void **memory, size_t bytes, unsigned flags))                        \
	X(host_free, cuMemFreeHost, hipHostFree, (void *memory))                                                           \
	X(pointer_ask, cuPointerGetAttribute, hipPointerGetAttribute,                                                      \
	  (void *value, int attribute, fkmi_runtime_pointer pointer))                                                      \
	X(event_create, cuEventCreate, hipEventCreateWithFlags, (void **event, unsigned flags))                            \
	X(event_destroy, cuEventDestroy_v2, hipEventDestroy, (void *event))                                                \
	X(event_record, cuEventRecord, hipEventRecord, (void *event, void *stream))                                        \
	X(event_wait, cuEventSynchronize, hipEventSynchronize, (void *event))                                              \
	X(event_ask, cuEventQuery, hipEventQuery, (void *event))                                                           \
	X(stream_follow, cuStreamWaitEvent, hipStreamWaitEvent, (void *stream, void *event, unsigned flags))               \
	X(fill, cuMemsetD8Async, hipMemsetD8Async,                                                                         \
	  (fkmi_runtime_pointer to, unsigned char byte, size_t bytes, void *stream))                                       \
	X(module_load, cuModuleLoadData, hipModuleLoadData, (void **module, const void *image))                            \
	X(module_unload, cuModuleUnload, hipModuleUnload, (void *module))                                                  \
	X(module_function, cuModuleGetFunction, hipModuleGetFunction, (void **function, void *module, const char *name))

struct fkmi_runtime_calls {
#define FKMI_RUNTIME_CALL(member, cuda, hip, parameters) int(*member) parameters;
	FKMI_RUNTIME_FUNCTIONS(FKMI_RUNTIME_CALL)
#undef FKMI_RUNTIME_CALL
};

struct fkmi_runtime_names {
#define FKMI_RUNTIME_NAME(member, cuda, hip, parameters) const char *member;
	FKMI_RUNTIME_FUNCTIONS(FKMI_RUNTIME_NAME)
#undef FKMI_RUNTIME_NAME
};

/* Results that are told apart. */
enum {
	FKMI_RUNTIME_SUCCESS = 0,
	FKMI_RUNTIME_OUT_OF_MEMORY = 2,
	FKMI_RUNTIME_NO_DEVICE = 100,
	FKMI_RUNTIME_NOT_FOUND = 500,
	FKMI_RUNTIME_NOT_READY = 600,
};

/* Flags and attributes, of equal numbers too. */
enum {
	FKMI_RUNTIME_STREAM_APART = 1,  /* CU_STREAM_NON_BLOCKING: in no order with the legacy default stream */
	FKMI_RUNTIME_EVENT_UNTIMED = 2, /* CU_EVENT_DISABLE_TIMING */
	FKMI_RUNTIME_HOST_POINTER = 4,  /* CU_POINTER_ATTRIBUTE_HOST_POINTER: known for pinned memory only */
};

/* Numbers of device attributes. */
struct fkmi_runtime_attributes {
	int units, max_group, subgroup, local_bytes;
	int memory_clock_khz, memory_bus_bits;
};

/* Code embedded in the library. */
struct fkmi_runtime_image {
	const char *name;
	const unsigned char *code;
	uint64_t needs;     /* feature bits without which it is not loaded */
	const char *prefix; /* of the names of its kernels: the image with the longest one that fits has a kernel */
};

/* What is asked of a device before it is opened. */
struct fkmi_runtime_facts {
	char name[128];
	char detail[128];
	int64_t memory_bytes;
	int units, max_group, subgroup, local_bytes;
	int memory_clock_khz, memory_bus_bits;
	int architecture;
	uint64_t features;
};

struct fkmi_runtime_kernel {
	char name[64];
	void *function;      /* NULL: the slot is free */
	int32_t local_bytes; /* CUDA: dynamic shared memory that it may use by now */
};

enum { FKMI_RUNTIME_IMAGES = 4, FKMI_RUNTIME_KERNEL_SLOTS = 256 };

/* An open device with a stream. Backends embed it as the first member of their own struct. */
struct fkmi_runtime_gpu {
	struct fkmi_gpu gpu; /* first */
	const struct fkmi_runtime *runtime;
	int ordinal;
	bool acquired; /* can be entered */
	void *stream;
	bool owns_stream;
	void *copies;                       /* the stream of copies from the host, or NULL, as the events */
	void *events[FKMI_EVENTS];          /* see struct fkmi_copier */
	void *compiled;                     /* code made at run time, in place of the images; NULL: none */
	void *modules[FKMI_RUNTIME_IMAGES]; /* NULL: not for this device */
	struct fkmi_runtime_kernel kernels[FKMI_RUNTIME_KERNEL_SLOTS]; /* a hash table by name */
	int32_t kernel_count;
};

struct fkmi_runtime_launch {
	const char *kernel; /* extern "C" name in any image */
	int64_t blocks;     /* 0: nothing is launched */
	int32_t threads;
	int32_t local_bytes; /* dynamic shared memory */
	void **arguments;    /* one pointer to the value of each parameter */
};

/* In which CUDA and HIP differ. */
struct fkmi_runtime {
	const struct fkmi_backend *backend;
	const struct fkmi_gpu_driver *driver;
	size_t gpu_bytes;                       /* of the struct that embeds struct fkmi_runtime_gpu */
	const struct fkmi_runtime_calls *calls; /* filled by start */
	struct fkmi_runtime_names names;
	struct fkmi_runtime_attributes attributes;
	const struct fkmi_runtime_image *images;
	int32_t image_count;

	/* Opens the library, once per process. FKM_ERROR_NO_DEVICE with the reason. */
	enum fkm_status (*start)(void);
	/* Name and text of a result; NULL where there is none. */
	void (*describe)(int result, const char **name, const char **text);
	/* Sets detail, architecture and features, also where it then fails because the device cannot be used. */
	enum fkm_status (*identify)(int device, struct fkmi_runtime_facts *facts);
	/* Takes the caller's stream and its device. Then, unless that has done so, acquire gets the device ready and sets
	 * acquired; release undoes it. */
	enum fkm_status (*adopt)(struct fkmi_runtime_gpu *gpu, const struct fkmi_open_params *params);
	enum fkm_status (*acquire)(struct fkmi_runtime_gpu *gpu);
	void (*release)(struct fkmi_runtime_gpu *gpu);
	/* The device becomes the thread's current one, and what was is given back. A result of the library. */
	int (*enter)(struct fkmi_runtime_gpu *gpu);
	void (*leave)(struct fkmi_runtime_gpu *gpu);
	enum fkm_status (*launch)(struct fkmi_runtime_gpu *gpu, const struct fkmi_runtime_launch *launch);
};

/* ---- runtime_device.c ---- */

/* FKM_OK for a result of 0. Else fails with "<what> failed: <name> (<code>), <text>" and FKM_ERROR_OUT_OF_MEMORY,
 * FKM_ERROR_DEVICE_LOST for a result after which the device is useless, or, for any other, the status given. */
enum fkm_status fkmi_runtime_check(const struct fkmi_runtime *runtime, int result, const char *what,
								   enum fkm_status other);
/* Calls a function of the table and checks its result by its name. */
#define FKMI_RUNTIME_DO(runtime, other, member, ...)                                                                   \
	fkmi_runtime_check(runtime, (runtime)->calls->member(__VA_ARGS__), (runtime)->names.member, other)

/* fkmi_backend.list, open and close. */
enum fkm_status fkmi_runtime_list(const struct fkmi_runtime *runtime, struct fkm_device_info *infos, int32_t capacity,
								  int32_t *count);
enum fkm_status fkmi_runtime_open(const struct fkmi_runtime *runtime, const struct fkmi_open_params *params,
								  struct fkmi_device **device);
void fkmi_runtime_close(struct fkmi_device *device);

/* Every call that needs a current device stands between the two, so that the caller's own is left alone. They do not
 * nest. */
enum fkm_status fkmi_runtime_enter(struct fkmi_runtime_gpu *gpu);
void fkmi_runtime_leave(struct fkmi_runtime_gpu *gpu);

/* ---- runtime_memory.c: as in backend.h. fill, copy and uploads of up to 16 KiB neither wait nor refer to host memory
 * later, so a stream capture takes them; longer uploads and every download wait for the stream. ---- */
enum fkm_status fkmi_runtime_alloc(struct fkmi_device *device, int64_t bytes, struct fkmi_ref *memory);
void fkmi_runtime_free(struct fkmi_device *device, struct fkmi_ref memory);
enum fkm_status fkmi_runtime_upload(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes);
enum fkm_status fkmi_runtime_download(struct fkmi_device *device, void *to, struct fkmi_ref from, int64_t bytes);
enum fkm_status fkmi_runtime_copy(struct fkmi_device *device, struct fkmi_ref to, struct fkmi_ref from, int64_t bytes);
enum fkm_status fkmi_runtime_fill(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes);
enum fkm_status fkmi_runtime_wait(struct fkmi_device *device);
enum fkm_status fkmi_runtime_enqueue(struct fkmi_device *device, fkmi_enqueue_fn fn, void *context);

/* The same, as initialisers of a struct fkmi_backend. */
#define FKMI_RUNTIME_MEMORY                                                                                            \
	.close = fkmi_runtime_close, .alloc = fkmi_runtime_alloc, .free = fkmi_runtime_free,                               \
	.upload = fkmi_runtime_upload, .download = fkmi_runtime_download, .copy = fkmi_runtime_copy,                       \
	.fill = fkmi_runtime_fill, .wait = fkmi_runtime_wait, .enqueue = fkmi_runtime_enqueue,                             \
	.copier = &fkmi_runtime_copier

/* ---- runtime_copies.c ---- */

extern const struct fkmi_copier fkmi_runtime_copier;
/* Waits for the copies and undoes what opening the copier did; between enter and leave. */
void fkmi_runtime_close_copies(struct fkmi_runtime_gpu *gpu);

/* ---- runtime_modules.c ---- */

/* Loads the images that suit the device, and unloads what was loaded, also after a failure; both between enter and
 * leave. */
enum fkm_status fkmi_runtime_load(struct fkmi_runtime_gpu *gpu);
void fkmi_runtime_unload(struct fkmi_runtime_gpu *gpu);
/* Looks a kernel up once and keeps it; between enter and leave. */
enum fkm_status fkmi_runtime_find(struct fkmi_runtime_gpu *gpu, const char *name, struct fkmi_runtime_kernel **found);
/* fkmi_gpu_driver.launch. */
enum fkm_status fkmi_runtime_launch_gpu(struct fkmi_gpu *device, const struct fkmi_gpu_launch *launch);

#endif
