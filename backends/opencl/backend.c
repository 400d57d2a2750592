/* SPDX-License-Identifier: Apache-2.0 */
/* OpenCL as a backend: its own device, memory and launches, the steps that GPUs share. */
#include "opencl.h"

static const char *const feature_names[] = {"fast groups of one item", "fast groups of many items", NULL};

static bool opencl_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
						 const struct fkmi_tile *tile)
{
	(void)limits;
	(void)problem;
	(void)tile;
	return false;
}

const struct fkmi_backend fkmi_backend_opencl = {
	.name = "opencl",
	.feature_names = feature_names,
	.list = fkmi_opencl_list,
	.open = fkmi_opencl_open,
	.close = fkmi_opencl_close,
	.tiles = fkmi_opencl_tiles,
	.scratch_bytes = fkmi_gpu_scratch_bytes,
	.fuses = opencl_fuses,
	.alloc = fkmi_opencl_alloc,
	.free = fkmi_opencl_free,
	.upload = fkmi_opencl_upload,
	.download = fkmi_opencl_download,
	.copy = fkmi_opencl_copy,
	.fill = fkmi_opencl_fill,
	.wait = fkmi_opencl_wait,
	.copier = &fkmi_opencl_copier,
	FKMI_GPU_STEPS,
};
