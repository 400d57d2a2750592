/* SPDX-License-Identifier: Apache-2.0 */
#include "ceilings.h"

#include <stdio.h>

#include "cublas.h"
#include "threads.h"

enum { WARM_UPS = 3, LEAST_RUNS = 5 };

/* Reads `bytes`, a multiple of 64 times the threads of the grid, 16 at a time; writes only if the exclusive or of all words
 * that a thread read is one certain value, so that nothing can be left out. */
static const char read_kernel[] = ".version 7.0\n"
								  ".target sm_80\n"
								  ".address_size 64\n"
								  ".visible .entry read(.param .u64 from, .param .u64 bytes, .param .u64 to)\n"
								  "{\n"
								  ".reg .pred %p;\n"
								  ".reg .b32 %i, %n, %a<5>, %x<16>;\n"
								  ".reg .b64 %from, %end, %to, %step, %at;\n"
								  "ld.param.u64 %from, [from];\n"
								  "ld.param.u64 %end, [bytes];\n"
								  "ld.param.u64 %to, [to];\n"
								  "cvta.to.global.u64 %from, %from;\n"
								  "cvta.to.global.u64 %to, %to;\n"
								  "add.u64 %end, %end, %from;\n"
								  "mov.u32 %i, %ctaid.x;\n"
								  "mov.u32 %n, %ntid.x;\n"
								  "mov.u32 %a0, %tid.x;\n"
								  "mad.lo.u32 %i, %i, %n, %a0;\n"
								  "mul.wide.u32 %at, %i, 16;\n"
								  "add.u64 %from, %from, %at;\n"
								  "mov.u32 %i, %nctaid.x;\n"
								  "mul.lo.u32 %i, %i, %n;\n"
								  "mul.wide.u32 %step, %i, 16;\n"
								  "mov.u32 %a0, 0;\n"
								  "next:\n"
								  "ld.global.nc.v4.u32 {%x0, %x1, %x2, %x3}, [%from];\n"
								  "add.u64 %at, %from, %step;\n"
								  "ld.global.nc.v4.u32 {%x4, %x5, %x6, %x7}, [%at];\n"
								  "add.u64 %at, %at, %step;\n"
								  "ld.global.nc.v4.u32 {%x8, %x9, %x10, %x11}, [%at];\n"
								  "add.u64 %at, %at, %step;\n"
								  "ld.global.nc.v4.u32 {%x12, %x13, %x14, %x15}, [%at];\n"
								  "add.u64 %from, %at, %step;\n"
								  "xor.b32 %a1, %x0, %x1;\n"
								  "xor.b32 %a2, %x2, %x3;\n"
								  "xor.b32 %a3, %x4, %x5;\n"
								  "xor.b32 %a4, %x6, %x7;\n"
								  "xor.b32 %a1, %a1, %x8;\n"
								  "xor.b32 %a2, %a2, %x9;\n"
								  "xor.b32 %a3, %a3, %x10;\n"
								  "xor.b32 %a4, %a4, %x11;\n"
								  "xor.b32 %a1, %a1, %x12;\n"
								  "xor.b32 %a2, %a2, %x13;\n"
								  "xor.b32 %a3, %a3, %x14;\n"
								  "xor.b32 %a4, %a4, %x15;\n"
								  "xor.b32 %a1, %a1, %a2;\n"
								  "xor.b32 %a3, %a3, %a4;\n"
								  "xor.b32 %a0, %a0, %a1;\n"
								  "xor.b32 %a0, %a0, %a3;\n"
								  "setp.lt.u64 %p, %from, %end;\n"
								  "@%p bra next;\n"
								  "setp.eq.u32 %p, %a0, 0x9e3779b9;\n"
								  "@%p st.global.u32 [%to], %a0;\n"
								  "ret;\n"
								  "}\n";

static const struct {
	const char *name;
	enum fkm_dtype dtype;
	int type, compute;
} rates[RATES] = {
	[RATE_F16] = {"f16", FKM_F16, CUBLAS_TYPE_F16, CUBLAS_COMPUTE_F32},
	[RATE_BF16] = {"bf16", FKM_BF16, CUBLAS_TYPE_BF16, CUBLAS_COMPUTE_F32},
	[RATE_TF32] = {"tf32", FKM_F32, CUBLAS_TYPE_F32, CUBLAS_COMPUTE_TF32},
	[RATE_F32] = {"f32", FKM_F32, CUBLAS_TYPE_F32, CUBLAS_COMPUTE_F32},
};

const char *rate_name(enum matrix_rate rate)
{
	return rates[rate].name;
}

struct work {
	struct cuda_device *device;
	const struct cublas *cublas;
	const struct pool *pool;
	enum matrix_rate rate;
	void *product;
	void *kernel;
	cuda_pointer from, to;
	uint64_t bytes;
};

static bool multiply(const struct work *work)
{
	const char *a = work->pool->device, *b = a + ceilings_elements / 2 * dtype_bytes(rates[work->rate].dtype);
	int result = cublas_multiply(work->cublas, MATRIX_SIZE, rates[work->rate].type, rates[work->rate].compute, a, b,
								 work->product);
	if (result)
		fprintf(stderr, "fkm-bench: cublasGemmEx in %s failed: %d\n", rates[work->rate].name, result);
	return result == 0;
}

enum { READ_THREADS = 512, READ_GROUPS_PER_UNIT = 4 };

static unsigned read_groups(const struct cuda_device *device)
{
	return (unsigned)(device->units * READ_GROUPS_PER_UNIT);
}

static bool read(const struct work *work)
{
	const struct cuda_driver *driver = work->device->driver;
	cuda_pointer from = work->from, to = work->to;
	uint64_t bytes = work->bytes;
	void *arguments[] = {&from, &bytes, &to};
	return cuda_ok(driver,
				   driver->launch(work->kernel, read_groups(work->device), 1, 1, READ_THREADS, 1, 1, 0,
								  work->device->device.queue, arguments, NULL),
				   "cuLaunchKernel");
}

/* Median seconds of a function that enqueues; 0 if it fails. */
static double median_seconds(const struct work *work, bool (*function)(const struct work *), double budget)
{
	struct spread spread = {0};
	double begin = 0;
	for (int i = 0; i < WARM_UPS + LEAST_RUNS || (now() - begin < budget && spread.count < MAX_SAMPLES); i++) {
		double milliseconds;
		if (!device_start(&work->device->device) || !function(work) ||
			!device_stop(&work->device->device, &milliseconds))
			return 0;
		if (i < WARM_UPS)
			begin = now();
		else
			spread_add(&spread, milliseconds / 1e3);
	}
	return spread_median(&spread);
}

static void measure_matrices(struct work *work, const struct pools *pools, double budget, struct ceilings *ceilings)
{
	work->product = device_alloc(&work->device->device, ceilings_elements / 2 * (int64_t)sizeof(float));
	for (int r = 0; work->product && r < RATES; r++) {
		work->rate = r;
		work->pool = pool_for(pools, rates[r].dtype);
		double seconds = median_seconds(work, multiply, budget);
		if (seconds > 0)
			ceilings->flops[r] = 2.0 * MATRIX_SIZE * MATRIX_SIZE * MATRIX_SIZE / seconds;
	}
	device_free(&work->device->device, work->product);
}

/* Copies of the f32 pool, end to end. */
static bool fill_buffer(struct work *work, const struct pools *pools)
{
	const struct cuda_driver *driver = work->device->driver;
	const struct pool *pool = pool_for(pools, FKM_F32);
	uint64_t pool_bytes = (uint64_t)pool->count * sizeof(float);
	for (uint64_t done = 0; done < work->bytes; done += pool_bytes) {
		uint64_t left = work->bytes - done, part = left < pool_bytes ? left : pool_bytes;
		if (!cuda_ok(driver,
					 driver->copy_within(work->from + done, (cuda_pointer)(uintptr_t)pool->device, part,
										 work->device->device.queue),
					 "cuMemcpyDtoDAsync"))
			return false;
	}
	return true;
}

static double measure_reading(struct work *work, const struct pools *pools, double budget)
{
	const struct cuda_driver *driver = work->device->driver;
	const uint64_t round = 64ULL * READ_THREADS * read_groups(work->device);
	void *module, *buffer, *kernel;
	double seconds = 0;
	work->bytes = (4ULL << 30) / round * round;
	if (!cuda_ok(driver, driver->module_load(&module, read_kernel), "cuModuleLoadData"))
		return 0;
	buffer = device_alloc(&work->device->device, (int64_t)work->bytes + (int64_t)sizeof(uint32_t));
	work->from = (cuda_pointer)(uintptr_t)buffer;
	work->to = work->from + work->bytes;
	if (buffer && fill_buffer(work, pools) &&
		cuda_ok(driver, driver->module_function(&kernel, module, "read"), "cuModuleGetFunction")) {
		work->kernel = kernel;
		seconds = median_seconds(work, read, budget);
	}
	device_free(&work->device->device, buffer);
	driver->module_unload(module);
	return seconds > 0 ? (double)work->bytes / seconds : 0;
}

struct ceilings measure_ceilings(struct cuda_device *device, const struct pools *pools, const char *cublas,
								 double seconds)
{
	struct ceilings ceilings = {.cublas_version = 0};
	struct cublas library;
	struct work work = {.device = device, .cublas = &library};
	ceilings.bytes_per_second = measure_reading(&work, pools, seconds);
	if (cublas_open(cublas, device->device.queue, &library)) {
		ceilings.cublas_version = library.version;
		measure_matrices(&work, pools, seconds, &ceilings);
		cublas_close(&library);
	}
	return ceilings;
}

double floor_multiply_adds(const struct ceilings *ceilings, const struct shape *shape)
{
	double rate = ceilings->flops[shape->dtype == FKM_BF16 ? RATE_BF16 : RATE_F16];
	double flop = 2.0 * (double)shape->b * (double)shape->n * (double)shape->k * (double)shape->d;
	return rate > 0 ? flop / rate : 0;
}

double floor_reading(const struct ceilings *ceilings, const struct shape *shape)
{
	double bytes = (double)shape->b * (double)shape->n * (double)shape->d * (double)dtype_bytes(shape->dtype);
	return ceilings->bytes_per_second > 0 ? bytes / ceilings->bytes_per_second : 0;
}

double floor_seconds(const struct ceilings *ceilings, const struct shape *shape)
{
	double multiply_adds = floor_multiply_adds(ceilings, shape), reading = floor_reading(ceilings, shape);
	if (multiply_adds == 0 || reading == 0)
		return 0;
	return multiply_adds > reading ? multiply_adds : reading;
}
