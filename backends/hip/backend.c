/* SPDX-License-Identifier: Apache-2.0 */
/* HIP as a backend: what of devices and launches is its own, the rest and the steps from what GPUs share. */
#include <pthread.h>
#include <string.h>

#include "backends/gpu/assign_matrix.h"
#include "hip.h"

/* Written by scripts/embed.sh: an offload bundle, of which the runtime takes what fits the device. */
extern const unsigned char fkmi_hip_image[];

static const struct fkmi_runtime_image images[] = {{FKMI_HIP_TARGETS, fkmi_hip_image, 0, ""}};

static const struct fkmi_gpu_driver gpu_driver = {.launch = fkmi_runtime_launch_gpu};

const struct fkmi_runtime fkmi_hip_runtime = {
	.backend = &fkmi_backend_hip,
	.driver = &gpu_driver,
	.gpu_bytes = sizeof(struct fkmi_hip),
	.calls = &fkmi_hip_driver.calls,
#define NAME(member, cuda, hip, parameters) .member = #hip,
	.names = {FKMI_RUNTIME_FUNCTIONS(NAME)},
#undef NAME
	.attributes = {.units = FKMI_HIP_MULTIPROCESSOR_COUNT,
				   .max_group = FKMI_HIP_MAX_THREADS_PER_BLOCK,
				   .subgroup = FKMI_HIP_WARP_SIZE,
				   .local_bytes = FKMI_HIP_SHARED_MEMORY,
				   .memory_clock_khz = FKMI_HIP_MEMORY_CLOCK_RATE,
				   .memory_bus_bits = FKMI_HIP_MEMORY_BUS_WIDTH},
	.images = images,
	.image_count = sizeof images / sizeof images[0],
	.start = fkmi_hip_driver_start,
	.describe = fkmi_hip_describe,
	.identify = fkmi_hip_identify,
	.adopt = fkmi_hip_adopt,
	.acquire = fkmi_hip_acquire,
	.release = fkmi_hip_release,
	.enter = fkmi_hip_enter,
	.leave = fkmi_hip_leave,
	.launch = fkmi_hip_launch,
};

static enum fkm_status list(struct fkm_device_info *infos, int32_t capacity, int32_t *count)
{
	return fkmi_runtime_list(&fkmi_hip_runtime, infos, capacity, count);
}

static enum fkm_status open(const struct fkmi_open_params *params, struct fkmi_device **device)
{
	return fkmi_runtime_open(&fkmi_hip_runtime, params, device);
}

/* Rates per compute unit of MI200, MI300 and RDNA 3: guesses, at 40 % of the matrix cores' own. */
#define MFMA_TILE(id, d_least, d_most, steps)                                                                          \
	FKMI_GPU_MATRIX_TILE("mfma-", id, d_least, d_most, steps, MFMA, FKMI_HIP_MFMA, 4e11)
#define WMMA_TILE(id, d_least, d_most, steps)                                                                          \
	FKMI_GPU_MATRIX_TILE("wmma-", id, d_least, d_most, steps, WMMA, FKMI_HIP_WMMA, 2.5e11)
static const struct fkmi_tile matrix_tiles[] = {FKMI_MATRIX_SHAPES(MFMA_TILE) FKMI_MATRIX_SHAPES(WMMA_TILE)};
enum { MATRIX_TILES = sizeof matrix_tiles / sizeof matrix_tiles[0], TILES = MATRIX_TILES + 1 };
static struct fkmi_tile table[TILES];

static void fill_table(void)
{
	memcpy(table, matrix_tiles, sizeof matrix_tiles);
	table[MATRIX_TILES] = fkmi_gpu_portable_tile;
}

static const struct fkmi_tile *tiles(int32_t *count)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, fill_table);
	*count = TILES;
	return table;
}

static bool fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem, const struct fkmi_tile *tile)
{
	(void)limits;
	(void)problem;
	(void)tile;
	return false;
}

static const char *const feature_names[] = {"MFMA", "WMMA", NULL};

static const char *const rccl_sonames[] = {"librccl.so.1", NULL};
static const struct fkmi_collectives rccl = {"FKM_RCCL_LIBRARY", rccl_sonames};

const struct fkmi_backend fkmi_backend_hip = {
	.collectives = &rccl,
	.name = "hip",
	.feature_names = feature_names,
	.list = list,
	.open = open,
	.tiles = tiles,
	.scratch_bytes = fkmi_gpu_scratch_bytes,
	.fuses = fuses,
	FKMI_RUNTIME_MEMORY,
	FKMI_GPU_STEPS,
};
