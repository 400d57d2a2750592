/* SPDX-License-Identifier: Apache-2.0 */
/* OpenCL as a backend: its own device, memory and launches, the steps that GPUs share. */
#include "opencl.h"

static const struct fkmi_tile *opencl_tiles(int32_t *count)
{
	*count = 1;
	return &fkmi_gpu_portable_tile;
}

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
	.list = fkmi_opencl_list,
	.open = fkmi_opencl_open,
	.close = fkmi_opencl_close,
	.tiles = opencl_tiles,
	.scratch_bytes = fkmi_gpu_scratch_bytes,
	.fuses = opencl_fuses,
	.alloc = fkmi_opencl_alloc,
	.free = fkmi_opencl_free,
	.upload = fkmi_opencl_upload,
	.download = fkmi_opencl_download,
	.copy = fkmi_opencl_copy,
	.fill = fkmi_opencl_fill,
	.wait = fkmi_opencl_wait,
	.check_points = fkmi_gpu_check_points,
	.check_weights = fkmi_gpu_check_weights,
	.row_norms = fkmi_gpu_row_norms,
	.grids = fkmi_gpu_grids,
	.variances = fkmi_gpu_variances,
	.load_centroids = fkmi_gpu_load_centroids,
	.round_centroids = fkmi_gpu_round_centroids,
	.store_centroids = fkmi_gpu_store_centroids,
	.gather_centroids = fkmi_gpu_gather_centroids,
	.seed_first = fkmi_gpu_seed_first,
	.seed_next = fkmi_gpu_seed_next,
	.prepare = fkmi_gpu_prepare,
	.assign = fkmi_gpu_assign,
	.accumulate = fkmi_gpu_accumulate,
	.relocate = fkmi_gpu_relocate,
	.finish = fkmi_gpu_finish,
	.distances = fkmi_gpu_distances,
	.count = fkmi_gpu_count,
	.sort = fkmi_gpu_sort,
};
