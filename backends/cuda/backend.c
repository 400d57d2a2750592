/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA as a backend: what of devices and launches is its own, the rest and the steps from what GPUs share. */
#include "cuda.h"

/* Written by scripts/embed.sh: fat binaries, of which the driver takes what fits the device. */
extern const unsigned char fkmi_cuda_image_common[];
extern const unsigned char fkmi_cuda_image_matrix[];
extern const unsigned char fkmi_cuda_image_sm90[];

static const struct fkmi_runtime_image images[FKMI_CUDA_IMAGES] = {
	[FKMI_CUDA_IMAGE_COMMON] = {"common", fkmi_cuda_image_common, 0, ""},
	[FKMI_CUDA_IMAGE_MATRIX] = {"sm_80", fkmi_cuda_image_matrix, FKMI_CUDA_SM80, "fkmi_k_matrix_"},
	[FKMI_CUDA_IMAGE_SM90] = {"sm_90a", fkmi_cuda_image_sm90, FKMI_CUDA_SM90, "fkmi_sm90_"},
};

static const struct fkmi_gpu_driver gpu_driver = {
	.launch = fkmi_runtime_launch_gpu,
	.prepare_native = fkmi_cuda_prepare,
	.assign_native = fkmi_cuda_assign,
};

const struct fkmi_runtime fkmi_cuda_runtime = {
	.backend = &fkmi_backend_cuda,
	.driver = &gpu_driver,
	.gpu_bytes = sizeof(struct fkmi_cuda),
	.calls = &fkmi_cuda_driver.calls,
#define NAME(member, cuda, hip, parameters) .member = #cuda,
	.names = {FKMI_RUNTIME_FUNCTIONS(NAME)},
#undef NAME
	.attributes = {.units = FKMI_CU_MULTIPROCESSOR_COUNT,
				   .max_group = FKMI_CU_MAX_THREADS_PER_BLOCK,
				   .subgroup = FKMI_CU_WARP_SIZE,
				   .local_bytes = FKMI_CU_SHARED_MEMORY_OPTIN,
				   .memory_clock_khz = FKMI_CU_MEMORY_CLOCK_RATE,
				   .memory_bus_bits = FKMI_CU_MEMORY_BUS_WIDTH},
	.images = images,
	.image_count = FKMI_CUDA_IMAGES,
	.start = fkmi_cuda_driver_start,
	.describe = fkmi_cuda_describe,
	.identify = fkmi_cuda_identify,
	.adopt = fkmi_cuda_adopt,
	.acquire = fkmi_cuda_acquire,
	.release = fkmi_cuda_release,
	.enter = fkmi_cuda_enter,
	.leave = fkmi_cuda_leave,
	.launch = fkmi_cuda_launch_plain,
};

static enum fkm_status list(struct fkm_device_info *infos, int32_t capacity, int32_t *count)
{
	return fkmi_runtime_list(&fkmi_cuda_runtime, infos, capacity, count);
}

static enum fkm_status open(const struct fkmi_open_params *params, struct fkmi_device **device)
{
	return fkmi_runtime_open(&fkmi_cuda_runtime, params, device);
}

static const char *const feature_names[] = {"sm_80", "sm_90a", NULL};

static const char *const nccl_sonames[] = {"libnccl.so.2", NULL};
static const struct fkmi_collectives nccl = {"FKM_NCCL_LIBRARY", nccl_sonames};

const struct fkmi_backend fkmi_backend_cuda = {
	.name = "cuda",
	.feature_names = feature_names,
	.list = list,
	.open = open,
	.tiles = fkmi_cuda_tiles,
	.scratch_bytes = fkmi_cuda_scratch_bytes,
	.fuses = fkmi_cuda_fuses,
	.refuses = fkmi_cuda_refuses,
	.iterates = fkmi_cuda_iterates,
	.iterate = fkmi_cuda_iterate,
	.kernel_facts = fkmi_cuda_kernel_facts,
	.collectives = &nccl,
	FKMI_RUNTIME_MEMORY,
	FKMI_GPU_STEPS,
};
