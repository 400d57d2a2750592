/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the OpenCL backend share. OpenCL 1.2 is the floor; the loader is opened at run time. */
#ifndef FKMI_OPENCL_H
#define FKMI_OPENCL_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_ext.h>

#include "backends/gpu/gpu.h"
#include "error.h"
#include "registry.h"

/* ---- driver.c: the loader library ---- */

#define FKMI_OPENCL_FUNCTIONS(X)                                                                                       \
	X(clGetPlatformIDs)                                                                                                \
	X(clGetPlatformInfo)                                                                                               \
	X(clGetDeviceIDs)                                                                                                  \
	X(clGetDeviceInfo)                                                                                                 \
	X(clCreateContext)                                                                                                 \
	X(clRetainContext)                                                                                                 \
	X(clReleaseContext)                                                                                                \
	X(clGetContextInfo)                                                                                                \
	X(clCreateCommandQueue)                                                                                            \
	X(clRetainCommandQueue)                                                                                            \
	X(clReleaseCommandQueue)                                                                                           \
	X(clGetCommandQueueInfo)                                                                                           \
	X(clCreateBuffer)                                                                                                  \
	X(clReleaseMemObject)                                                                                              \
	X(clGetMemObjectInfo)                                                                                              \
	X(clEnqueueReadBuffer)                                                                                             \
	X(clEnqueueWriteBuffer)                                                                                            \
	X(clEnqueueCopyBuffer)                                                                                             \
	X(clEnqueueFillBuffer)                                                                                             \
	X(clEnqueueMapBuffer)                                                                                              \
	X(clEnqueueUnmapMemObject)                                                                                         \
	X(clEnqueueMarkerWithWaitList)                                                                                     \
	X(clEnqueueBarrierWithWaitList)                                                                                    \
	X(clWaitForEvents)                                                                                                 \
	X(clReleaseEvent)                                                                                                  \
	X(clFlush)                                                                                                         \
	X(clFinish)                                                                                                        \
	X(clCreateProgramWithSource)                                                                                       \
	X(clCreateProgramWithBinary)                                                                                       \
	X(clBuildProgram)                                                                                                  \
	X(clGetProgramBuildInfo)                                                                                           \
	X(clGetProgramInfo)                                                                                                \
	X(clReleaseProgram)                                                                                                \
	X(clCreateKernel)                                                                                                  \
	X(clReleaseKernel)                                                                                                 \
	X(clSetKernelArg)                                                                                                  \
	X(clEnqueueNDRangeKernel)

struct fkmi_opencl_driver {
#define FKMI_OPENCL_MEMBER(name) __typeof__(&name) name;
	FKMI_OPENCL_FUNCTIONS(FKMI_OPENCL_MEMBER)
#undef FKMI_OPENCL_MEMBER
};

/* The loader, opened on the first call of the process (environment FKM_OPENCL_LIBRARY: a path in place of
 * libOpenCL.so.1). FKM_ERROR_NO_DEVICE with the reason. */
enum fkm_status fkmi_opencl_driver_open(const struct fkmi_opencl_driver **driver);

/* Text of a device (CL_DEVICE_NAME, ...) or of its platform (CL_PLATFORM_NAME, ...), cut off if it is longer. */
cl_int fkmi_opencl_ask_text(const struct fkmi_opencl_driver *driver, cl_device_id id, cl_uint what, char *text,
							size_t capacity);

/* FKM_OK for CL_SUCCESS. Else fails with "<what> failed: <name> (<code>)" and FKM_ERROR_OUT_OF_MEMORY,
 * FKM_ERROR_DEVICE_LOST for a result after which nothing works, or, for any other, the status given. */
enum fkm_status fkmi_opencl_check(cl_int result, const char *what, enum fkm_status other);

/* ---- tiles.c ---- */

/* What a tile needs of a device: that groups of one item run well on it, or that groups of many do. */
enum { FKMI_OPENCL_CPU = 1, FKMI_OPENCL_GPU = 2 };

enum { FKMI_OPENCL_TILES = 4 };

/* Sizes of a tile that only its program knows: FKMI_GROUP and so on of kernels/common/state.h. */
struct fkmi_opencl_shape {
	int32_t group, depth, item_points, item_centroids;
};

const struct fkmi_tile *fkmi_opencl_tiles(int32_t *count);
int32_t fkmi_opencl_tile_index(const struct fkmi_tile *tile);
const struct fkmi_opencl_shape *fkmi_opencl_shape_of(const struct fkmi_tile *tile);

/* ---- devices ---- */

struct fkmi_opencl_kernel {
	const char *name;             /* static storage */
	const struct fkmi_tile *tile; /* whose it is; NULL: of the steps */
	cl_kernel kernel;
};

enum { FKMI_OPENCL_MOST_KERNELS = 96 };

struct fkmi_opencl_buffer {
	cl_mem buffer;
	struct fkmi_opencl_buffer *next;
};

/* Host memory that copies read. */
struct fkmi_opencl_block {
	cl_mem buffer;
	void *memory;
	struct fkmi_opencl_block *next;
};

/* An open OpenCL device: a context, an in-order queue and the kernels. */
struct fkmi_opencl {
	struct fkmi_gpu gpu; /* first */
	const struct fkmi_opencl_driver *driver;
	cl_device_id id;
	int32_t lockstep;   /* FKMI_LOCKSTEP of kernels/common/dialect.h */
	cl_context context; /* retained, or NULL, as the next two */
	cl_command_queue queue;
	cl_program steps;
	cl_program tiles[FKMI_OPENCL_TILES]; /* NULL: not needed so far */
	struct fkmi_opencl_buffer *buffers;  /* that nobody has freed: a lost device's */
	cl_command_queue copies;             /* of copies from the host, or NULL, as the events: see struct fkmi_copier */
	cl_event events[FKMI_EVENTS];
	struct fkmi_opencl_block *blocks; /* that nobody has freed */
	struct fkmi_logger logger;
	struct fkmi_opencl_kernel kernels[FKMI_OPENCL_MOST_KERNELS];
	int32_t kernel_count;
};

/* device.c */
enum fkm_status fkmi_opencl_list(struct fkm_device_info *infos, int32_t capacity, int32_t *count);
enum fkm_status fkmi_opencl_open(const struct fkmi_open_params *params, struct fkmi_device **device);
void fkmi_opencl_close(struct fkmi_device *device);

/* program.c: FKM_ERROR_BACKEND with the compiler's log. How long it took is logged. */
enum fkm_status fkmi_opencl_build_steps(struct fkmi_opencl *opencl);
enum fkm_status fkmi_opencl_build_tile(struct fkmi_opencl *opencl, const struct fkmi_tile *tile);
void fkmi_opencl_release_programs(struct fkmi_opencl *opencl);

/* launch.c */
extern const struct fkmi_gpu_driver fkmi_opencl_gpu_driver;

/* memory.c: as in backend.h; whether a buffer begins at a multiple of 16 bytes. */
bool fkmi_opencl_is_aligned(const struct fkmi_gpu *gpu, void *buffer);
enum fkm_status fkmi_opencl_alloc(struct fkmi_device *device, int64_t bytes, struct fkmi_ref *memory);
void fkmi_opencl_free(struct fkmi_device *device, struct fkmi_ref memory);
void fkmi_opencl_free_all(struct fkmi_opencl *opencl);
enum fkm_status fkmi_opencl_upload(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes);
enum fkm_status fkmi_opencl_download(struct fkmi_device *device, void *to, struct fkmi_ref from, int64_t bytes);
enum fkm_status fkmi_opencl_copy(struct fkmi_device *device, struct fkmi_ref to, struct fkmi_ref from, int64_t bytes);
enum fkm_status fkmi_opencl_fill(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes);
enum fkm_status fkmi_opencl_wait(struct fkmi_device *device);

/* copies.c */
extern const struct fkmi_copier fkmi_opencl_copier;
void fkmi_opencl_close_copies(struct fkmi_opencl *opencl);

#endif
