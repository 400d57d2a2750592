/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA as a backend: its own device, memory and launches, the steps that GPUs share. */
#include "cuda.h"

const struct fkmi_gpu_driver fkmi_cuda_gpu_driver = {
	.launch = fkmi_cuda_launch_gpu,
	.prepare_native = fkmi_cuda_sm90_prepare,
	.assign_native = fkmi_cuda_sm90_assign,
};

static const char *const feature_names[] = {"sm_80", "sm_90a", NULL};

const struct fkmi_backend fkmi_backend_cuda = {
	.name = "cuda",
	.feature_names = feature_names,
	.list = fkmi_cuda_list,
	.open = fkmi_cuda_open,
	.close = fkmi_cuda_close,
	.tiles = fkmi_cuda_tiles,
	.scratch_bytes = fkmi_cuda_scratch_bytes,
	.fuses = fkmi_cuda_fuses,
	.alloc = fkmi_cuda_alloc,
	.free = fkmi_cuda_free,
	.upload = fkmi_cuda_upload,
	.download = fkmi_cuda_download,
	.copy = fkmi_cuda_copy,
	.fill = fkmi_cuda_fill,
	.wait = fkmi_cuda_wait,
	FKMI_GPU_STEPS,
};
