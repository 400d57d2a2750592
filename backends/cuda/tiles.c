/* SPDX-License-Identifier: Apache-2.0 */
/* The assignment kernels of the CUDA backend: which kind a tile is of, and the calls that go to it. */
#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "backends/gpu/assign_matrix.h"
#include "cuda.h"

enum { MOST_TILES = 64 };

/* Kernels with a host side of their own. */
static const struct family {
	const struct fkmi_tile *tiles;
	const int32_t *tile_count;
	/* At fkmi_cuda_native_scratch(), and at the beginning of job->scratch while assign runs (NULL: none). */
	int64_t (*scratch_bytes)(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
							 const struct fkmi_plan *plan);
	int64_t (*passing_bytes)(const struct fkmi_problem *problem, const struct fkmi_plan *plan);
	bool (*fuses)(const struct fkmi_limits *limits, const struct fkmi_problem *problem, const struct fkmi_tile *tile);
	enum fkm_status (*prepare)(struct fkmi_gpu *gpu, const struct fkmi_job *job);
	enum fkm_status (*assign)(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
							  enum fkmi_accumulate accumulate);
	/* As fkmi_backend's; NULL where there is nothing to refuse, and no such step. */
	const char *(*refuses)(const struct fkmi_limits *limits, const struct fkmi_problem *problem);
	enum fkm_status (*iterate)(struct fkmi_gpu *gpu, const struct fkmi_job *job, bool anew, int32_t count);
} families[] = {
	{fkmi_cuda_small_tiles, &fkmi_cuda_small_tile_count, fkmi_cuda_small_scratch_bytes, NULL, fkmi_cuda_small_fuses,
	 fkmi_cuda_small_prepare, fkmi_cuda_small_assign, fkmi_cuda_small_refuses, fkmi_cuda_small_iterate},
	{fkmi_cuda_sm90_tiles, &fkmi_cuda_sm90_tile_count, fkmi_cuda_sm90_scratch_bytes, fkmi_cuda_sm90_passing_bytes,
	 fkmi_cuda_sm90_fuses, fkmi_cuda_sm90_prepare, fkmi_cuda_sm90_assign, NULL, NULL},
	{fkmi_cuda_split_tiles, &fkmi_cuda_split_tile_count, fkmi_cuda_split_scratch_bytes, NULL, fkmi_cuda_split_fuses,
	 fkmi_cuda_split_prepare, fkmi_cuda_split_assign, NULL, NULL},
};
enum { FAMILIES = sizeof families / sizeof families[0] };

static struct fkmi_tile table[MOST_TILES];
static int32_t tile_count;

#define MMA_TILE(id, d_least, d_most, steps)                                                                           \
	FKMI_GPU_MATRIX_TILE("mma-", id, d_least, d_most, steps, MMA, FKMI_CUDA_SM80, 1.1e12)
static const struct fkmi_tile mma_tiles[] = {FKMI_MATRIX_SHAPES(MMA_TILE)};
enum { MMA_TILES = sizeof mma_tiles / sizeof mma_tiles[0] };

static void fill_table(void)
{
	for (int f = 0; f < FAMILIES; f++) {
		assert(tile_count + *families[f].tile_count < MOST_TILES);
		for (int32_t i = 0; i < *families[f].tile_count; i++)
			table[tile_count++] = families[f].tiles[i];
	}
	assert(tile_count + MMA_TILES < MOST_TILES);
	for (int32_t i = 0; i < MMA_TILES; i++)
		table[tile_count++] = mma_tiles[i];
	table[tile_count++] = fkmi_gpu_portable_tile;
}

/* NULL: a tile of the common steps. */
static const struct family *family_of(const struct fkmi_tile *tile)
{
	for (int f = 0; f < FAMILIES; f++)
		for (int32_t i = 0; i < *families[f].tile_count; i++)
			if (strcmp(families[f].tiles[i].name, tile->name) == 0)
				return &families[f];
	return NULL;
}

const struct fkmi_tile *fkmi_cuda_tiles(int32_t *count)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, fill_table);
	*count = tile_count;
	return table;
}

/* Of the common steps and what lies over theirs: nothing of theirs is kept from before an assign until after it. */
static int64_t shared_bytes(const struct family *family, const struct fkmi_limits *limits,
							const struct fkmi_problem *problem, const struct fkmi_plan *plan)
{
	const int64_t common = fkmi_gpu_scratch_bytes(limits, problem, plan);
	const int64_t passing = family != NULL && family->passing_bytes != NULL ? family->passing_bytes(problem, plan) : 0;
	return common < 0 || passing < 0 ? -1 : common > passing ? common : passing;
}

int64_t fkmi_cuda_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
								const struct fkmi_plan *plan)
{
	const struct family *family = family_of(plan->tile);
	int64_t shared = shared_bytes(family, limits, problem, plan);
	if (shared < 0 || family == NULL)
		return shared;
	int64_t native = family->scratch_bytes(limits, problem, plan);
	if (native < 0 || shared > INT64_MAX - FKMI_GPU_ALIGNMENT - native)
		return -1;
	return fkmi_gpu_round_up(shared, FKMI_GPU_ALIGNMENT) + native;
}

struct fkmi_ref fkmi_cuda_native_scratch(const struct fkmi_limits *limits, const struct fkmi_job *job)
{
	const struct family *family = family_of(job->plan.tile);
	return fkmi_ref_add(job->scratch,
						fkmi_gpu_round_up(shared_bytes(family, limits, &job->problem, &job->plan), FKMI_GPU_ALIGNMENT));
}

bool fkmi_cuda_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem, const struct fkmi_tile *tile)
{
	const struct family *family = family_of(tile);
	return family != NULL && family->fuses(limits, problem, tile);
}

enum fkm_status fkmi_cuda_prepare(struct fkmi_gpu *gpu, const struct fkmi_job *job)
{
	return family_of(job->plan.tile)->prepare(gpu, job);
}

enum fkm_status fkmi_cuda_assign(struct fkmi_gpu *gpu, const struct fkmi_job *job, struct fkmi_span span,
								 enum fkmi_accumulate accumulate)
{
	return family_of(job->plan.tile)->assign(gpu, job, span, accumulate);
}

const char *fkmi_cuda_refuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
							  const struct fkmi_tile *tile)
{
	const struct family *family = family_of(tile);
	return family != NULL && family->refuses != NULL ? family->refuses(limits, problem) : NULL;
}

bool fkmi_cuda_iterates(const struct fkmi_tile *tile)
{
	const struct family *family = family_of(tile);
	return family != NULL && family->iterate != NULL;
}

enum fkm_status fkmi_cuda_iterate(struct fkmi_device *device, const struct fkmi_job *job, bool anew, int32_t count)
{
	return family_of(job->plan.tile)->iterate((struct fkmi_gpu *)device, job, anew, count);
}
