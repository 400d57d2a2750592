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
