/* SPDX-License-Identifier: Apache-2.0 */
#include "seed.h"

#include <stdlib.h>

#include "error.h"
#include "merge.h"

#define FKMI_INLINE static inline
#include "kernels/common/random.h"

/* The entries of the shuffled list 0 .. n-1 that differ from their index: an open-addressing table. */
struct sparse_list {
	int64_t *keys; /* -1: free */
	int64_t *values;
	uint64_t mask;
};

/* Where index is, or where it would go. */
static uint64_t find_slot(const struct sparse_list *list, int64_t index)
{
	uint64_t slot = (uint64_t)index * 0x9E3779B97F4A7C15u >> 20 & list->mask;
	while (list->keys[slot] != -1 && list->keys[slot] != index)
		slot = (slot + 1) & list->mask;
	return slot;
}

static int64_t get(const struct sparse_list *list, int64_t index)
{
	uint64_t slot = find_slot(list, index);
	return list->keys[slot] == -1 ? index : list->values[slot];
}

static void set(struct sparse_list *list, int64_t index, int64_t value)
{
	uint64_t slot = find_slot(list, index);
	list->keys[slot] = index;
	list->values[slot] = value;
}

enum fkm_status fkmi_random_rows(uint64_t seed, uint32_t run, int64_t n, int64_t k, int64_t *rows)
{
	/* One entry per draw: half full at most. */
	uint64_t slots = 16;
	while (slots < 2 * (uint64_t)k)
		slots *= 2;
	struct sparse_list list = {malloc(slots * sizeof(int64_t)), malloc(slots * sizeof(int64_t)), slots - 1};
	if (list.keys == NULL || list.values == NULL) {
		free(list.keys);
		free(list.values);
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory to draw %lld rows", (long long)k);
	}
	for (uint64_t slot = 0; slot < slots; slot++)
		list.keys[slot] = -1;
	for (int64_t i = 0; i < k; i++) {
		uint64_t u = fkmi_draw_u64(seed, (uint32_t)i, 0, run, FKMI_PURPOSE_ROWS);
		int64_t j = i + (int64_t)fkmi_below(u, (uint64_t)(n - i));
		rows[i] = get(&list, j);
		set(&list, j, get(&list, i)); /* entry i is not looked at again */
	}
	free(list.keys);
	free(list.values);
	return FKM_OK;
}

static enum fkm_status seed_random(struct fkmi_work *work, uint32_t run)
{
	const struct fkmi_problem *p = &work->request.problem;
	const int64_t bytes = p->k * (int64_t)sizeof(int64_t);
	int64_t *rows = malloc((size_t)bytes);
	if (rows == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory to draw %lld rows", (long long)p->k);
	enum fkm_status status = fkmi_random_rows(work->request.params.seed, run, p->n_all, p->k, rows);
	for (int64_t i = 0; i < p->k && status == FKM_OK; i++) {
		rows[i] -= work->job.first_row;
		if (rows[i] < 0 || rows[i] >= p->n)
			rows[i] = -1; /* another rank's */
	}
	for (int64_t b = 0; b < p->b && status == FKM_OK; b++)
		status = work->backend->upload(work->device, fkmi_ref_add(work->rows, b * bytes), rows, bytes);
	free(rows);
	FKMI_TRY(status);
	FKMI_TRY(work->backend->gather_centroids(work->device, &work->job, work->rows));
	return fkmi_merge(work->device, &work->job, work->job.centroids, p->b * p->k * p->d, FKM_REDUCE_SUM);
}

static enum fkm_status seed_plus_plus(struct fkmi_work *work, uint32_t run)
{
	const struct fkmi_draw draw = {work->request.params.seed, run};
	FKMI_TRY(work->backend->seed_first(work->device, &work->job, draw));
	for (int64_t k = 1; k < work->request.problem.k; k++)
		FKMI_TRY(work->backend->seed_next(work->device, &work->job, draw, k));
	return FKM_OK;
}

enum fkm_status fkmi_seed(struct fkmi_work *work, int32_t run)
{
	switch (work->request.params.init) {
	case FKM_INIT_CENTROIDS:
		return fkmi_work_load_start(work);
	case FKM_INIT_RANDOM:
		return seed_random(work, (uint32_t)run);
	case FKM_INIT_KMEANS_PLUS_PLUS:
		return seed_plus_plus(work, (uint32_t)run);
	}
	return fkmi_fail(FKM_ERROR_INTERNAL, "init is %d", (int)work->request.params.init);
}
