/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: building them from the embedded source, or taking them from the cache. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "clock.h"
#include "opencl.h"

/* Written by scripts/bundle_kernels.py from kernels/common/kernels.h and kernels/opencl/tile.h. */
extern const char fkmi_opencl_steps_source[], fkmi_opencl_tile_source[];
extern const size_t fkmi_opencl_steps_source_bytes, fkmi_opencl_tile_source_bytes;

/* A program being made. */
struct build {
	struct fkmi_opencl *opencl;
	const char *what; /* for messages */
	const char *source;
	size_t source_bytes;
	const char *options;
	cl_program program; /* NULL until it is made */
};

/* ---- the cache ---- */

/* All that a binary depends on, for free(); NULL: it cannot be had, and nothing is kept. */
static char *make_key(const struct build *build, size_t *bytes)
{
	const struct fkmi_opencl *opencl = build->opencl;
	static const cl_uint facts[] = {CL_PLATFORM_NAME, CL_PLATFORM_VERSION, CL_DEVICE_NAME, CL_DEVICE_VERSION,
									CL_DRIVER_VERSION};
	enum { FACTS = sizeof facts / sizeof facts[0], FACT_BYTES = 512 };
	const size_t capacity = build->source_bytes + strlen(build->options) + (FACTS + 1) * FACT_BYTES;
	char *key = malloc(capacity), fact[FACT_BYTES];
	if (key == NULL)
		return NULL;
	size_t length = 0;
	for (size_t i = 0; i < FACTS; i++) {
		if (fkmi_opencl_ask_text(opencl->driver, opencl->id, facts[i], fact, sizeof fact) != CL_SUCCESS) {
			free(key);
			return NULL;
		}
		length += (size_t)snprintf(key + length, capacity - length, "%s\n", fact);
	}
	length += (size_t)snprintf(key + length, capacity - length, "%s\n", build->options);
	memcpy(key + length, build->source, build->source_bytes);
	*bytes = length + build->source_bytes;
	return key;
}

/* A program of a binary from the cache, built; NULL: there is none, or the driver does not want it. */
static cl_program load(const struct build *build, const char *key, size_t key_bytes)
{
	const struct fkmi_opencl *opencl = build->opencl;
	const struct fkmi_opencl_driver *driver = opencl->driver;
	size_t bytes = 0;
	unsigned char *binary = fkmi_opencl_cache_load(key, key_bytes, &bytes);
	if (binary == NULL)
		return NULL;
	const unsigned char *binaries[] = {binary};
	cl_int result, of_binary;
	cl_program program =
		driver->clCreateProgramWithBinary(opencl->context, 1, &opencl->id, &bytes, binaries, &of_binary, &result);
	free(binary);
	if (result != CL_SUCCESS)
		return NULL;
	if (driver->clBuildProgram(program, 1, &opencl->id, build->options, NULL, NULL) == CL_SUCCESS)
		return program;
	driver->clReleaseProgram(program);
	return NULL;
}

/* A context of the caller's may have several devices, and then a program a binary for each: those are not kept. */
static void keep(const struct build *build, const char *key, size_t key_bytes)
{
	const struct fkmi_opencl_driver *driver = build->opencl->driver;
	cl_uint devices = 0;
	size_t bytes = 0;
	if (driver->clGetProgramInfo(build->program, CL_PROGRAM_NUM_DEVICES, sizeof devices, &devices, NULL) !=
			CL_SUCCESS ||
		devices != 1 ||
		driver->clGetProgramInfo(build->program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) != CL_SUCCESS ||
		bytes == 0)
		return;
	unsigned char *binary = malloc(bytes), *binaries[] = {binary};
	if (binary == NULL)
		return;
	if (driver->clGetProgramInfo(build->program, CL_PROGRAM_BINARIES, sizeof binaries, binaries, NULL) == CL_SUCCESS)
		fkmi_opencl_cache_store(key, key_bytes, binary, bytes);
	free(binary);
}

/* ---- building ---- */

static enum fkm_status fail_build(const struct build *build, cl_int result)
{
	const struct fkmi_opencl *opencl = build->opencl;
	const struct fkmi_opencl_driver *driver = opencl->driver;
	size_t bytes = 0;
	char *log = NULL;
	if (driver->clGetProgramBuildInfo(build->program, opencl->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) == CL_SUCCESS)
		log = calloc(bytes + 1, 1);
	if (log != NULL &&
		driver->clGetProgramBuildInfo(build->program, opencl->id, CL_PROGRAM_BUILD_LOG, bytes, log, NULL) != CL_SUCCESS)
		log[0] = '\0';
	char what[128];
	snprintf(what, sizeof what, "building %s (clBuildProgram)", build->what);
	enum fkm_status status = fkmi_opencl_check(result, what, FKM_ERROR_BACKEND);
	/* Exhausted memory and a lost device say nothing in a log. */
	if (status == FKM_ERROR_BACKEND)
		status = fkmi_fail(status, "%s does not compile for %s (clBuildProgram: %d): %s", build->what,
						   opencl->gpu.device.name, (int)result, log != NULL ? log : "no log");
	free(log);
	return status;
}

static enum fkm_status compile(struct build *build)
{
	const struct fkmi_opencl *opencl = build->opencl;
	const struct fkmi_opencl_driver *driver = opencl->driver;
	cl_int result;
	build->program =
		driver->clCreateProgramWithSource(opencl->context, 1, &build->source, &build->source_bytes, &result);
	if (result != CL_SUCCESS)
		build->program = NULL;
	FKMI_TRY(fkmi_opencl_check(result, "clCreateProgramWithSource", FKM_ERROR_BACKEND));
	result = driver->clBuildProgram(build->program, 1, &opencl->id, build->options, NULL, NULL);
	if (result == CL_SUCCESS)
		return FKM_OK;
	enum fkm_status status = fail_build(build, result);
	driver->clReleaseProgram(build->program);
	build->program = NULL;
	return status;
}

static enum fkm_status make_program(struct build *build)
{
	const double begin = fkmi_now();
	size_t key_bytes = 0;
	char *key = make_key(build, &key_bytes);
	enum fkm_status status = FKM_OK;
	build->program = key != NULL ? load(build, key, key_bytes) : NULL;
	const bool loaded = build->program != NULL;
	if (!loaded)
		status = compile(build);
	if (!loaded && status == FKM_OK && key != NULL)
		keep(build, key, key_bytes);
	free(key);
	if (status == FKM_OK)
		fkmi_log(&build->opencl->logger, FKM_LOG_INFO, "%s %s in %.3f s", build->what,
				 loaded ? "taken from the cache" : "built", fkmi_now() - begin);
	return status;
}

/* Never -cl-fast-relaxed-math or -cl-mad-enable: results are defined to the bit. */
#define OPTIONS "-cl-std=CL1.2"

enum fkm_status fkmi_opencl_build_steps(struct fkmi_opencl *opencl)
{
	char options[64];
	snprintf(options, sizeof options, OPTIONS " -DFKMI_TILE_APART%s",
			 opencl->lockstep == 32 ? " -DFKMI_LOCKSTEP=32" : "");
	struct build build = {
		.opencl = opencl,
		.what = "the program of the steps",
		.source = fkmi_opencl_steps_source,
		.source_bytes = fkmi_opencl_steps_source_bytes,
		.options = options,
	};
	enum fkm_status status = make_program(&build);
	opencl->steps = build.program;
	return status;
}

enum fkm_status fkmi_opencl_build_tile(struct fkmi_opencl *opencl, const struct fkmi_tile *tile)
{
	const struct fkmi_opencl_shape *shape = fkmi_opencl_shape_of(tile);
	char options[384], what[64];
	snprintf(options, sizeof options,
			 OPTIONS " -DFKMI_GROUP=%d -DFKMI_TILE_POINTS=%d -DFKMI_TILE_CENTROIDS=%d -DFKMI_TILE_DEPTH=%d"
					 " -DFKMI_ITEM_POINTS=%d -DFKMI_ITEM_CENTROIDS=%d%s",
			 shape->group, tile->points, tile->centroids, shape->depth, shape->item_points, shape->item_centroids,
			 (tile->needs & FKMI_OPENCL_CPU) != 0 ? " -DFKMI_TILE_OF_A_CPU" : "");
	snprintf(what, sizeof what, "the program of tile %s", tile->name);
	struct build build = {
		.opencl = opencl,
		.what = what,
		.source = fkmi_opencl_tile_source,
		.source_bytes = fkmi_opencl_tile_source_bytes,
		.options = options,
	};
	enum fkm_status status = make_program(&build);
	opencl->tiles[fkmi_opencl_tile_index(tile)] = build.program;
	return status;
}

void fkmi_opencl_release_programs(struct fkmi_opencl *opencl)
{
	for (int32_t i = 0; i < opencl->kernel_count; i++)
		opencl->driver->clReleaseKernel(opencl->kernels[i].kernel);
	opencl->kernel_count = 0;
	for (int32_t i = 0; i < FKMI_OPENCL_TILES; i++)
		if (opencl->tiles[i] != NULL)
			opencl->driver->clReleaseProgram(opencl->tiles[i]);
	if (opencl->steps != NULL)
		opencl->driver->clReleaseProgram(opencl->steps);
}
