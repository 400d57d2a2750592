/* SPDX-License-Identifier: Apache-2.0 */
/* The assignment kernels of the CUDA backend, and what they need: pure functions, called before memory exists. */
#include <assert.h>
#include <pthread.h>

#include "cuda.h"

enum { MOST_TILES = 32, ALIGNMENT = 256 };

static struct fkmi_tile table[MOST_TILES];
static int32_t tile_count;

static void fill_table(void)
{
	assert(fkmi_cuda_sm90_tile_count < MOST_TILES);
	for (int32_t i = 0; i < fkmi_cuda_sm90_tile_count; i++)
		table[tile_count++] = fkmi_cuda_sm90_tiles[i];
	table[tile_count++] = fkmi_gpu_portable_tile;
}

const struct fkmi_tile *fkmi_cuda_tiles(int32_t *count)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, fill_table);
	*count = tile_count;
	return table;
}

static int64_t round_up(int64_t bytes)
{
	return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool is_native(const struct fkmi_tile *tile)
{
	return (tile->needs & FKMI_CUDA_SM90) != 0;
}

int64_t fkmi_cuda_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
								const struct fkmi_plan *plan)
{
	int64_t common = fkmi_gpu_scratch_bytes(limits, problem, plan);
	if (common < 0 || !is_native(plan->tile))
		return common;
	int64_t native = fkmi_cuda_sm90_scratch_bytes(limits, problem, plan);
	if (native < 0 || common > INT64_MAX - ALIGNMENT - native)
		return -1;
	return round_up(common) + native;
}

struct fkmi_ref fkmi_cuda_native_scratch(const struct fkmi_limits *limits, const struct fkmi_job *job)
{
	return fkmi_ref_add(job->scratch, round_up(fkmi_gpu_scratch_bytes(limits, &job->problem, &job->plan)));
}

bool fkmi_cuda_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem, const struct fkmi_tile *tile)
{
	return is_native(tile) && fkmi_cuda_sm90_fuses(limits, problem, tile);
}
