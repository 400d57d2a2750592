/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "assign_matrix.h"
#include "steps.h"

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

int64_t fkmi_gpu_take(int64_t *end, int64_t rows, int64_t columns, int64_t element)
{
	const int64_t most = INT64_MAX / 4;
	if (*end < 0)
		return -1;
	if (columns > most / element || (columns > 0 && rows > (most - *end) / (columns * element))) {
		*end = -1;
		return -1;
	}
	const int64_t offset = *end;
	*end += fkmi_gpu_round_up(rows * columns * element, FKMI_GPU_ALIGNMENT);
	return offset;
}

static void place_tile(struct fkmi_gpu_layout *l, int64_t *end, const struct fkmi_problem *p,
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
	l->mu = fkmi_gpu_take(end, p->b, l->padded_d, sizeof(float));
	if (matrix != NULL) {
		l->operands = fkmi_gpu_take(end, p->b * l->padded_k, l->padded_d, sizeof(uint16_t));
		l->measures = fkmi_gpu_take(end, p->b, FKMI_MEASURES, sizeof(int32_t));
	} else {
		l->panels = fkmi_gpu_take(end, p->b * p->d, l->padded_k, sizeof(float));
		l->norms = fkmi_gpu_take(end, p->b, l->padded_k, sizeof(float));
	}
	l->halves = fkmi_gpu_take(end, p->b, l->padded_k, sizeof(float));
	l->norm_max = fkmi_gpu_take(end, p->b, 1, sizeof(int32_t));
	l->table = fkmi_gpu_take(end, p->b, l->slots, sizeof(int32_t));
	l->slot_of = fkmi_gpu_take(end, p->b, p->k, sizeof(int32_t));
	l->list_counts = fkmi_gpu_take(end, p->b, 2, sizeof(int32_t));
	l->listed = fkmi_gpu_take(end, p->b, rows, sizeof(int32_t));
	l->thresholds = fkmi_gpu_take(end, p->b, rows, sizeof(float));
	l->scanned = fkmi_gpu_take(end, p->b, rows, sizeof(int32_t));
}

static void place_accumulate(struct fkmi_gpu_layout *l, int64_t *end, const struct fkmi_problem *p, int64_t rows)
{
	l->local_sums = p->d <= FKMI_LOCAL_COLUMNS && p->k <= FKMI_LOCAL_SUMS / (p->d + 1);
	if (!p->fits || l->local_sums)
		return;
	/* A part of the rows cannot make the sums anew, however many of them change clusters. */
	l->list_rows = fkmi_gpu_divide_up(rows < p->n ? 2 * rows : rows, 4) * 4;
	l->head_words = fkmi_gpu_divide_up(l->list_rows, 32);
	l->changed = fkmi_gpu_take(end, p->b, 1, sizeof(int32_t));
	l->used = fkmi_gpu_take(end, p->b, 1, sizeof(int32_t));
	l->places = fkmi_gpu_take(end, p->b * 2, p->k, sizeof(int32_t));
	l->heads = fkmi_gpu_take(end, p->b, l->head_words, sizeof(int32_t));
	l->zeroed_bytes = *end - l->changed;
	l->list_over_distances = fkmi_has_distances(p) && l->list_rows <= 2 * p->n;
	if (!l->list_over_distances)
		l->list = fkmi_gpu_take(end, p->b, l->list_rows, sizeof(int32_t));
}

static void place_update(struct fkmi_gpu_layout *l, int64_t *end, const struct fkmi_problem *p)
{
	if (!p->fits)
		return;
	l->shifts = fkmi_gpu_take(end, p->b, p->k, sizeof(double));
	l->sort_size = 1;
	while (l->sort_size < p->k)
		l->sort_size *= 2;
	if (p->empty != FKM_EMPTY_RELOCATE)
		return;
	l->due = fkmi_gpu_take(end, p->b, 1, sizeof(int32_t));
	l->move_count = fkmi_gpu_take(end, p->b, 1, sizeof(int64_t));
	l->move_rows = fkmi_gpu_take(end, p->b, p->k, sizeof(int64_t));
	l->move_targets = fkmi_gpu_take(end, p->b, p->k, sizeof(int32_t));
	l->move_heads = fkmi_gpu_take(end, p->b, p->k, sizeof(int32_t));
	l->move_next = fkmi_gpu_take(end, p->b, p->k, sizeof(int32_t));
	l->sort_keys = fkmi_gpu_take(end, p->b, l->sort_size, sizeof(int64_t));
	l->sort_rows = fkmi_gpu_take(end, p->b, l->sort_size, sizeof(int64_t));
	if (p->ranks < 2)
		return;
	l->shown_rows = fkmi_gpu_take(end, FKMI_SHOWN_MOVES, 1, sizeof(int64_t));
	l->shown_targets = fkmi_gpu_take(end, FKMI_SHOWN_MOVES, 1, sizeof(int64_t));
	l->shown = fkmi_gpu_take(end, FKMI_SHOWN_MOVES, p->d + FKMI_SHOWN_EXTRA, sizeof(int64_t));
}

static void place_seed(struct fkmi_gpu_layout *l, int64_t *end, const struct fkmi_problem *p)
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
	l->seed_sums = fkmi_gpu_take(end, p->b, l->sum_blocks, sizeof(int64_t));
	l->picked = fkmi_gpu_take(end, p->b, l->trials, sizeof(int64_t));
	l->candidates = fkmi_gpu_take(end, p->b * l->trials, p->d, sizeof(double));
	l->potentials = fkmi_gpu_take(end, p->b, l->trials, sizeof(int64_t));
	l->highest = fkmi_gpu_take(end, p->b, 1, sizeof(int64_t));
	if (p->ranks > 1)
		l->shares = fkmi_gpu_take(end, p->b, p->ranks, sizeof(int64_t));
}

static void place_setup(struct fkmi_gpu_layout *l, int64_t *end, const struct fkmi_problem *p)
{
	l->center = fkmi_gpu_take(end, p->b, p->d, sizeof(double));
	l->scale = fkmi_gpu_take(end, p->b, p->d, sizeof(double));
	l->moments = fkmi_gpu_take(end, p->b, p->d, sizeof(int64_t));
}

static void place_results(struct fkmi_gpu_layout *l, int64_t *end, const struct fkmi_problem *p)
{
	enum { MOST_BLOCKS = 1024 };
	/* Counters of all blocks take no more than 4 bytes a row and a cluster. */
	l->sort_rows_per_block = FKMI_SORT_ROWS;
	if (l->sort_rows_per_block < p->k)
		l->sort_rows_per_block = p->k;
	if (l->sort_rows_per_block < p->n / MOST_BLOCKS + 1)
		l->sort_rows_per_block = p->n / MOST_BLOCKS + 1;
	l->sort_blocks = fkmi_gpu_divide_up(p->n, l->sort_rows_per_block);
	l->largest = fkmi_gpu_take(end, p->b, 1, sizeof(int64_t));
	l->sort_places = fkmi_gpu_take(end, p->b * l->sort_blocks, p->k, sizeof(int32_t));
}

/* Places a step's parts over those of the steps before it. */
#define PLACE_OVER(place)                                                                                              \
	do {                                                                                                               \
		int64_t over_ = fixed;                                                                                         \
		place(&l, &over_, problem);                                                                                    \
		if (end >= 0)                                                                                                  \
			end = over_ < 0 || over_ > end ? over_ : end;                                                              \
	} while (0)

struct fkmi_gpu_layout fkmi_gpu_layout_make(const struct fkmi_problem *problem, const struct fkmi_plan *plan)
{
	struct fkmi_gpu_layout l = {0};
	int64_t fixed = 0;
	const int64_t rows = plan->chunk_rows < problem->n ? plan->chunk_rows : problem->n;
	if (problem->n > INT32_MAX || problem->k > FKMI_GPU_K_MAX || problem->d > FKMI_GPU_D_MAX)
		fixed = -1;
	if (plan->tile->portable || fkmi_gpu_matrix_shape(plan->tile) != NULL)
		place_tile(&l, &fixed, problem, plan->tile, rows);
	int64_t end = fixed;
	place_accumulate(&l, &end, problem, rows);
	PLACE_OVER(place_update);
	PLACE_OVER(place_seed);
	PLACE_OVER(place_setup);
	PLACE_OVER(place_results);
	l.bytes = end;
	return l;
}

int64_t fkmi_gpu_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
							   const struct fkmi_plan *plan)
{
	(void)limits;
	return fkmi_gpu_layout_make(problem, plan).bytes;
}
