/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU as a device: listing, opening, memory, and the table of its steps. */
#include "cpu.h"
#include "error.h"
#include "machine.h"
#include "steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256 };

static int vector_bytes(uint64_t features)
{
	if (features & FKMI_CPU_AVX512)
		return 64;
	return features & FKMI_CPU_AVX2 ? 32 : 16;
}

static const char *instruction_set(uint64_t features)
{
	if (features & FKMI_CPU_AVX512)
		return "AVX-512";
	if (features & FKMI_CPU_AVX2)
		return "AVX2";
	return features & FKMI_CPU_SSE2 ? "SSE2" : "portable";
}

static enum fkm_status cpu_list(struct fkm_device_info *infos, int32_t capacity, int32_t *count)
{
	*count = 1;
	if (capacity < 1)
		return FKM_OK;
	*infos = (struct fkm_device_info){.backend = "cpu", .memory_bytes = fkmi_cpu_memory(), .units = fkmi_cpu_count()};
	fkmi_cpu_model(infos->name, sizeof infos->name);
	snprintf(infos->detail, sizeof infos->detail, "%s", instruction_set(fkmi_cpu_features()));
	return FKM_OK;
}

static enum fkm_status check_open(const struct fkmi_open_params *params)
{
	if (params->device != 0 && params->device != -1)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "cpu device %" PRId32 " does not exist; the only one is 0",
						 params->device);
	if (params->native_queue || params->native_context)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s must be NULL: the cpu backend has no queues",
						 params->native_queue ? "native_queue" : "native_context");
	return fkmi_cpu_check_isa();
}

static enum fkm_status cpu_open(const struct fkmi_open_params *params, struct fkmi_device **device)
{
	*device = NULL;
	FKMI_TRY(check_open(params));
	struct fkmi_cpu *cpu = calloc(1, sizeof *cpu);
	if (!cpu)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for a device of %zu bytes", sizeof *cpu);
	enum fkm_status status = fkmi_pool_create(params->threads > 0 ? params->threads : fkmi_cpu_count(), &cpu->pool);
	if (status != FKM_OK) {
		free(cpu);
		return status;
	}
	int64_t memory = params->memory_budget_bytes > 0 ? params->memory_budget_bytes : fkmi_cpu_memory();
	uint64_t features = fkmi_cpu_features();
	cpu->device.backend = &fkmi_backend_cpu;
	cpu->device.limits = (struct fkmi_limits){
		.memory_bytes = memory,
		.max_buffer_bytes = memory,
		.units = fkmi_pool_threads(cpu->pool),
		.vector_bytes = vector_bytes(features),
		.max_group = 1,
		.subgroup = 1,
		.features = features,
		.fp64 = 1,
		.host_memory = 1,
		.bytes_per_second = 1e10,
	};
	fkmi_cpu_model(cpu->device.name, sizeof cpu->device.name);
	*device = &cpu->device;
	return FKM_OK;
}

static void cpu_close(struct fkmi_device *device)
{
	struct fkmi_cpu *cpu = (struct fkmi_cpu *)device;
	fkmi_pool_destroy(cpu->pool);
	free(cpu);
}

static enum fkm_status cpu_alloc(struct fkmi_device *device, int64_t bytes, struct fkmi_ref *memory)
{
	(void)device;
	*memory = (struct fkmi_ref){0};
	if (bytes <= INT64_MAX - ALIGNMENT) {
		size_t rounded = ((size_t)bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
		memory->base = aligned_alloc(ALIGNMENT, rounded ? rounded : ALIGNMENT);
	}
	if (!memory->base)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "cannot allocate %" PRId64 " bytes of memory", bytes);
	return FKM_OK;
}

static void cpu_free(struct fkmi_device *device, struct fkmi_ref memory)
{
	(void)device;
	free(memory.base);
}

static enum fkm_status cpu_upload(struct fkmi_device *device, struct fkmi_ref to, const void *from, int64_t bytes)
{
	(void)device;
	memmove(fkmi_ref_ptr(to), from, (size_t)bytes);
	return FKM_OK;
}

static enum fkm_status cpu_download(struct fkmi_device *device, void *to, struct fkmi_ref from, int64_t bytes)
{
	(void)device;
	memmove(to, fkmi_ref_ptr(from), (size_t)bytes);
	return FKM_OK;
}

static enum fkm_status cpu_copy(struct fkmi_device *device, struct fkmi_ref to, struct fkmi_ref from, int64_t bytes)
{
	return cpu_upload(device, to, fkmi_ref_ptr(from), bytes);
}

static enum fkm_status cpu_fill(struct fkmi_device *device, struct fkmi_ref to, int byte, int64_t bytes)
{
	(void)device;
	memset(fkmi_ref_ptr(to), byte, (size_t)bytes);
	return FKM_OK;
}

static enum fkm_status cpu_wait(struct fkmi_device *device)
{
	(void)device;
	return FKM_OK;
}

static const char *const feature_names[] = {"SSE2", "AVX2", "AVX-512", NULL};

const struct fkmi_backend fkmi_backend_cpu = {
	.name = "cpu",
	.feature_names = feature_names,
	.list = cpu_list,
	.open = cpu_open,
	.close = cpu_close,
	.tiles = fkmi_cpu_tiles,
	.scratch_bytes = fkmi_cpu_scratch_bytes,
	.fuses = fkmi_cpu_fuses,
	.alloc = cpu_alloc,
	.free = cpu_free,
	.upload = cpu_upload,
	.download = cpu_download,
	.copy = cpu_copy,
	.fill = cpu_fill,
	.wait = cpu_wait,
	.check_points = fkmi_cpu_check_points,
	.check_weights = fkmi_cpu_check_weights,
	.row_norms = fkmi_cpu_row_norms,
	.grids = fkmi_cpu_grids,
	.variances = fkmi_cpu_variances,
	.load_centroids = fkmi_cpu_load_centroids,
	.round_centroids = fkmi_cpu_round_centroids,
	.store_centroids = fkmi_cpu_store_centroids,
	.gather_centroids = fkmi_cpu_gather_centroids,
	.seed_first = fkmi_cpu_seed_first,
	.seed_next = fkmi_cpu_seed_next,
	.prepare = fkmi_cpu_prepare,
	.assign = fkmi_cpu_assign,
	.accumulate = fkmi_cpu_accumulate,
	.relocate = fkmi_cpu_relocate,
	.finish = fkmi_cpu_finish,
	.distances = fkmi_cpu_distances,
	.count = fkmi_cpu_count_labels,
	.sort = fkmi_cpu_sort,
};
