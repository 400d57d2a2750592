/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "assign_matrix.h"
#include "steps.h"

enum { ALIGNMENT = 256 };

const struct fkmi_tile fkmi_gpu_portable_tile = {
	.name = "portable",
	.kernel = "fkmi_k_filter",
	.dtypes = 1u << FKM_F16 | 1u << FKM_BF16 | 1u << FKM_F32,
	.d_max = FKMI_GPU_D_MAX,
	.k_max = FKMI_GPU_K_MAX,
	.points = FKMI_TILE_POINTS,
	.centroids = FKMI_TILE_CENTROIDS,
	.dims = FKMI_TILE_DEPTH,
	.local_bytes = 30 << 10,
	.multiply_adds_per_second = 1e11,
	.seconds_per_tile = 5e-6,
	.seconds_per_chunk = FKMI_GPU_SECONDS_PER_CHUNK,
	.portable = true,
};

/* Where the next part goes. */
struct walk {
	int64_t offset; /* -1 after an overflow */
};

/* Takes rows x columns elements; no factor is negative. */
static int64_t take(struct walk *walk, int64_t rows, int64_t columns, int64_t element)
{
	const int64_t most = INT64_MAX / 4;
	if (walk->offset < 0)
		return -1;
	if (columns > most / element || (columns > 0 && rows > (most - walk->offset) / (columns * element))) {
		walk->offset = -1;
		return -1;
	}
	const int64_t offset = walk->offset;
	walk->offset += (rows * columns * element + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	return offset;
}

static void place_tile(struct fkmi_gpu_layout *l, struct walk *walk, const struct fkmi_problem *p,
					   const struct fkmi_tile *tile, int64_t rows)
{
	const struct fkmi_gpu_matrix_shape *matrix = fkmi_gpu_matrix_shape(tile);
	const int64_t centroids = matrix != NULL ? FKMI_MATRIX_MOST_CENTROIDS : tile->centroids;
	const int64_t dims = matrix != NULL ? FKMI_MATRIX_SLAB : FKMI_PADDED_DIMS;
	l->padded_k = fkmi_gpu_divide_up(p->k, centroids) * centroids;
	l->padded_d = matrix != NULL && matrix->padded_d != 0 ? matrix->padded_d : fkmi_gpu_divide_up(p->d, dims) * dims;
	l->slots = 1;
	while (l->slots < 2 * p->k)
		l->slots *= 2;
	l->mu = take(walk, p->b, l->padded_d, sizeof(float));
	if (matrix != NULL) {
		l->operands = take(walk, p->b * l->padded_k, l->padded_d, sizeof(uint16_t));
		l->measures = take(walk, p->b, FKMI_MEASURES, sizeof(int32_t));
	} else {
		l->panels = take(walk, p->b * p->d, l->padded_k, sizeof(float));
		l->norms = take(walk, p->b, l->padded_k, sizeof(float));
	}
	l->halves = take(walk, p->b, l->padded_k, sizeof(float));
	l->norm_max = take(walk, p->b, 1, sizeof(int32_t));
	l->table = take(walk, p->b, l->slots, sizeof(int32_t));
	l->slot_of = take(walk, p->b, p->k, sizeof(int32_t));
	l->list_counts = take(walk, p->b, 2, sizeof(int32_t));
	l->listed = take(walk, p->b, rows, sizeof(int32_t));
	l->thresholds = take(walk, p->b, rows, sizeof(float));
	l->scanned = take(walk, p->b, rows, sizeof(int32_t));
}

static void place_accumulate(struct fkmi_gpu_layout *l, struct walk *walk, const struct fkmi_problem *p, int64_t rows)
{
	l->local_sums = p->d <= FKMI_LOCAL_COLUMNS && p->k <= FKMI_LOCAL_SUMS / (p->d + 1);
	if (!p->fits || l->local_sums)
		return;
	/* A part of the rows cannot make the sums anew, however many of them change clusters. */
	l->list_rows = fkmi_gpu_divide_up(rows < p->n ? 2 * rows : rows, 4) * 4;
	l->head_words = fkmi_gpu_divide_up(l->list_rows, 32);
	l->changed = take(walk, p->b, 1, sizeof(int32_t));
	l->used = take(walk, p->b, 1, sizeof(int32_t));
	l->places = take(walk, p->b * 2, p->k, sizeof(int32_t));
	l->heads = take(walk, p->b, l->head_words, sizeof(int32_t));
	l->zeroed_bytes = walk->offset - l->changed;
	l->list_over_distances = fkmi_has_distances(p) && l->list_rows <= 2 * p->n;
	if (!l->list_over_distances)
		l->list = take(walk, p->b, l->list_rows, sizeof(int32_t));
}

static void place_update(struct fkmi_gpu_layout *l, struct walk *walk, const struct fkmi_problem *p)
{
	if (!p->fits)
		return;
	l->shifts = take(walk, p->b, p->k, sizeof(double));
	l->sort_size = 1;
	while (l->sort_size < p->k)
		l->sort_size *= 2;
	if (p->empty != FKM_EMPTY_RELOCATE)
		return;
	l->due = take(walk, p->b, 1, sizeof(int32_t));
	l->move_count = take(walk, p->b, 1, sizeof(int64_t));
	l->move_rows = take(walk, p->b, p->k, sizeof(int64_t));
	l->move_targets = take(walk, p->b, p->k, sizeof(int32_t));
	l->move_heads = take(walk, p->b, p->k, sizeof(int32_t));
	l->move_next = take(walk, p->b, p->k, sizeof(int32_t));
	l->sort_keys = take(walk, p->b, l->sort_size, sizeof(int64_t));
	l->sort_rows = take(walk, p->b, l->sort_size, sizeof(int64_t));
}

static void place_seed(struct fkmi_gpu_layout *l, struct walk *walk, const struct fkmi_problem *p)
{
	enum { LEAST_SUM_ROWS = 1024 };
	if (!p->fits || p->init != FKM_INIT_KMEANS_PLUS_PLUS)
		return;
	l->trials = 2 + (int32_t)floor(log((double)p->k));
	/* About as many rows in a block as there are blocks: a pick looks through both. */
	l->sum_rows = LEAST_SUM_ROWS;
	while (l->sum_rows < p->n / l->sum_rows)
		l->sum_rows *= 2;
	l->sum_blocks = fkmi_gpu_divide_up(p->n, l->sum_rows);
	l->seed_sums = take(walk, p->b, l->sum_blocks, sizeof(int64_t));
	l->candidates = take(walk, p->b * l->trials, p->d, sizeof(double));
	l->potentials = take(walk, p->b, l->trials, sizeof(int64_t));
	l->highest = take(walk, p->b, 1, sizeof(int64_t));
}

static void place_setup(struct fkmi_gpu_layout *l, struct walk *walk, const struct fkmi_problem *p)
{
	l->center = take(walk, p->b, p->d, sizeof(double));
	l->scale = take(walk, p->b, p->d, sizeof(double));
	l->moments = take(walk, p->b, p->d, sizeof(int64_t));
}

static void place_results(struct fkmi_gpu_layout *l, struct walk *walk, const struct fkmi_problem *p)
{
	enum { MOST_BLOCKS = 1024 };
	/* Counters of all blocks take no more than 4 bytes a row and a cluster. */
	l->sort_rows_per_block = FKMI_SORT_ROWS;
	if (l->sort_rows_per_block < p->k)
		l->sort_rows_per_block = p->k;
	if (l->sort_rows_per_block < p->n / MOST_BLOCKS + 1)
		l->sort_rows_per_block = p->n / MOST_BLOCKS + 1;
	l->sort_blocks = fkmi_gpu_divide_up(p->n, l->sort_rows_per_block);
	l->largest = take(walk, p->b, 1, sizeof(int64_t));
	l->sort_places = take(walk, p->b * l->sort_blocks, p->k, sizeof(int32_t));
}

/* Places a step's parts over those of the steps before it. */
#define PLACE_OVER(place)                                                                                              \
	do {                                                                                                               \
		struct walk walk_over_ = fixed;                                                                                \
		place(&l, &walk_over_, problem);                                                                               \
		if (end.offset >= 0)                                                                                           \
			end.offset = walk_over_.offset < 0 || walk_over_.offset > end.offset ? walk_over_.offset : end.offset;     \
	} while (0)

struct fkmi_gpu_layout fkmi_gpu_layout_make(const struct fkmi_problem *problem, const struct fkmi_plan *plan)
{
	struct fkmi_gpu_layout l = {0};
	struct walk fixed = {0};
	const int64_t rows = plan->chunk_rows < problem->n ? plan->chunk_rows : problem->n;
	if (problem->n > INT32_MAX || problem->k > FKMI_GPU_K_MAX || problem->d > FKMI_GPU_D_MAX)
		fixed.offset = -1;
	if (plan->tile->portable || fkmi_gpu_matrix_shape(plan->tile) != NULL)
		place_tile(&l, &fixed, problem, plan->tile, rows);
	struct walk end = fixed;
	place_accumulate(&l, &end, problem, rows);
	PLACE_OVER(place_update);
	PLACE_OVER(place_seed);
	PLACE_OVER(place_setup);
	PLACE_OVER(place_results);
	l.bytes = end.offset;
	return l;
}

int64_t fkmi_gpu_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
							   const struct fkmi_plan *plan)
{
	(void)limits;
	return fkmi_gpu_layout_make(problem, plan).bytes;
}
