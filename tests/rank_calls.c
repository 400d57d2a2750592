/* SPDX-License-Identifier: Apache-2.0 */
#include "rank_calls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance_cases.h"
#include "outputs.h"

enum fkm_status call_alone(struct fkm_context *context, const struct call_arguments *a)
{
	switch (a->call) {
	case CALL_FIT:
		return fkm_fit(context, &a->points, &a->params, a->result);
	case CALL_PREDICT:
		return fkm_predict(context, &a->points, &a->centroids, &a->params, a->result);
	case CALL_UPDATE:
		return fkm_update(context, &a->points, a->labels, &a->centroids, &a->params, a->result);
	case CALL_INERTIA:
		return fkm_inertia(context, &a->points, &a->centroids, a->labels, &a->params, a->inertia);
	}
	abort();
}

/* A rank's share of a call. */
struct share {
	struct fkm_context *context;
	int64_t first, rows;
	struct call_arguments arguments;
	struct outputs outputs;
	struct guarded workspace;
	int32_t *labels;
	double *inertia;
	enum fkm_status status;
	char message[1100];
};

/* ---- what a rank gets ---- */

static int ascending(const void *a, const void *b)
{
	const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
	return (left > right) - (left < right);
}

static void deal_rows(struct share *shares, int ranks, int64_t n, uint64_t seed)
{
	int64_t cuts[MOST_RANKS + 1] = {0};
	struct source source = {seed * 1000003 + (uint64_t)ranks};
	for (int rank = 1; rank < ranks; rank++)
		cuts[rank] = seed % 3 == 0 ? n * rank / ranks : source_below(&source, n + 1);
	if (seed % 7 == 1) /* the last has all, or nothing */
		for (int rank = 1; rank < ranks; rank++)
			cuts[rank] = seed % 2 ? 0 : n;
	cuts[ranks] = n;
	qsort(cuts, (size_t)ranks + 1, sizeof(cuts[0]), ascending);
	for (int rank = 0; rank < ranks; rank++) {
		shares[rank].first = cuts[rank];
		shares[rank].rows = cuts[rank + 1] - cuts[rank];
	}
}

static struct fkm_array rows_of(struct fkm_array array, const struct share *share)
{
	const int64_t row_stride = array.row_stride ? array.row_stride : array.dims;
	if (!array.data)
		return array;
	if (array.batch_stride == 0)
		array.batch_stride = array.rows * row_stride;
	array.row_stride = row_stride;
	array.offset_bytes += share->first * row_stride * (int64_t)dtype_bytes(array.dtype);
	array.rows = share->rows;
	if (share->rows == 0)
		array.data = NULL;
	return array;
}

static void share_make(struct share *share, const struct call_arguments *whole, int rank, int ranks)
{
	const int64_t b = whole->points.batch, n = whole->points.rows, d = whole->points.dims;
	const int64_t k = whole->call == CALL_FIT ? whole->params.clusters : whole->centroids.rows;
	struct call_arguments *own = &share->arguments;

	*own = *whole;
	own->points = rows_of(whole->points, share);
	own->params.weights = rows_of(whole->params.weights, share);
	if (rank < ranks - 1) {
		own->params.progress = NULL;
		own->params.checkpoint = NULL;
	}
	if (whole->labels && share->rows > 0) {
		share->labels = malloc((size_t)(b * share->rows) * sizeof(int32_t));
		if (!share->labels)
			abort();
		for (int64_t p = 0; p < b; p++)
			memcpy(share->labels + p * share->rows, whole->labels + p * n + share->first,
				   (size_t)share->rows * sizeof(int32_t));
	}
	own->labels = share->labels;
	if (whole->inertia) {
		share->inertia = calloc((size_t)b, sizeof(double));
		if (!share->inertia)
			abort();
	}
	own->inertia = share->inertia;
	if (!whole->result)
		return;
	outputs_make(&share->outputs, b, share->rows, k, d, whole->result->centroids_dtype);
	own->result = &share->outputs.result;
	if (!whole->result->distances && rank % 3 != 1)
		own->result->distances = NULL;
	if (whole->result->inertia ? rank % 2 == 1 : rank % 3 != 2)
		own->result->inertia = NULL;
	if (rank % 2 == 1) {
		own->result->centroids = NULL;
		own->result->counts = NULL;
	}
	if (whole->params.workspace) {
		if (fkm_fit_workspace(share->context, &own->points, &own->params, own->result, &own->params.workspace_bytes) !=
			FKM_OK)
			abort();
		share->workspace = guarded_make((size_t)own->params.workspace_bytes);
		own->params.workspace = share->workspace.data;
	}
}

static void share_free(struct share *share)
{
	if (share->arguments.result)
		outputs_free(&share->outputs);
	guarded_free(&share->workspace);
	free(share->labels);
	free(share->inertia);
}

/* ---- the call ---- */

static void *run(void *argument)
{
	struct share *share = argument;
	share->status = call_alone(share->context, &share->arguments);
	snprintf(share->message, sizeof(share->message), "%s", fkm_error_message());
	return NULL;
}

static void run_all(struct share *shares, int ranks)
{
	pthread_t threads[MOST_RANKS];
	for (int rank = 1; rank < ranks; rank++)
		if (pthread_create(&threads[rank], NULL, run, &shares[rank]) != 0)
			abort();
	run(&shares[0]);
	for (int rank = 1; rank < ranks; rank++)
		pthread_join(threads[rank], NULL);
}

/* ---- what comes out ---- */

static const char *complain(const struct share *shares, int ranks)
{
	static char text[2400];
	const struct share *first = &shares[0];
	for (int rank = 0; rank < ranks; rank++) {
		const struct share *share = &shares[rank];
		const char *overrun = share->arguments.result ? outputs_overrun(&share->outputs) : NULL;
		if (overrun || (share->workspace.block && !guarded_intact(&share->workspace))) {
			snprintf(text, sizeof(text), "rank %d wrote outside of %s", rank, overrun ? overrun : "its workspace");
			return text;
		}
		if (share->status != first->status || (share->status != FKM_OK && share->status != FKM_CANCELLED &&
											   strcmp(share->message, first->message) != 0)) {
			snprintf(text, sizeof(text), "rank 0 returns %s: %s; rank %d %s: %s", fkm_status_name(first->status),
					 first->message, rank, fkm_status_name(share->status), share->message);
			return text;
		}
	}
	return NULL;
}

static bool differs(const void *a, const void *b, int64_t bytes)
{
	return a && b && memcmp(a, b, (size_t)bytes) != 0;
}

/* The results that are the same on all ranks. */
static const char *compare_ranks(const struct share *shares, int ranks, int64_t k, int64_t d)
{
	static char text[128];
	const int64_t b = shares->arguments.points.batch;
	const struct fkm_fit_result *first = shares->arguments.result;
	for (int rank = 1; rank < ranks; rank++) {
		const struct fkm_fit_result *own = shares[rank].arguments.result;
		const int64_t size = first->centroids_dtype == FKM_F32 ? 4 : 8;
		const char *what = NULL;
		if (shares->arguments.call <= CALL_UPDATE && differs(own->centroids, first->centroids, b * k * d * size))
			what = "centroids";
		else if (differs(own->counts, first->counts, b * k * 8))
			what = "counts";
		else if (differs(own->inertia, first->inertia, b * 8))
			what = "inertia";
		else if (differs(own->n_iter, first->n_iter, b * 4) || differs(own->reason, first->reason, b * 4))
			what = "n_iter or reason";
		else if (own->diagnosis.relocations != first->diagnosis.relocations ||
				 own->diagnosis.rechecked != first->diagnosis.rechecked ||
				 own->diagnosis.empty_clusters != first->diagnosis.empty_clusters)
			what = "diagnosis";
		if (what) {
			snprintf(text, sizeof(text), "%s of rank %d are not those of rank 0", what, rank);
			return text;
		}
	}
	return NULL;
}

static void gather_rows(const struct share *shares, int ranks, const struct call_arguments *whole)
{
	const int64_t b = whole->points.batch, n = whole->points.rows;
	struct fkm_fit_result *result = whole->result;
	for (int rank = 0; rank < ranks; rank++) {
		const struct share *share = &shares[rank];
		const struct fkm_fit_result *own = share->arguments.result;
		for (int64_t p = 0; p < b; p++) {
			if (result->labels)
				memcpy(result->labels + p * n + share->first, own->labels + p * share->rows,
					   (size_t)share->rows * sizeof(int32_t));
			if (result->distances)
				memcpy(result->distances + p * n + share->first, own->distances + p * share->rows,
					   (size_t)share->rows * sizeof(double));
		}
	}
}

static void gather_lists(const struct share *shares, int ranks, const struct call_arguments *whole, int64_t k)
{
	const int64_t b = whole->points.batch, n = whole->points.rows;
	struct fkm_fit_result *result = whole->result;
	for (int64_t p = 0; p < b && result->order; p++) {
		int64_t at = 0, *offsets = result->offsets + p * (k + 1);
		for (int64_t cluster = 0; cluster < k; cluster++) {
			offsets[cluster] = at;
			for (int rank = 0; rank < ranks; rank++) {
				const struct fkm_fit_result *own = shares[rank].arguments.result;
				const int64_t *ends = own->offsets + p * (k + 1) + cluster;
				for (int64_t i = ends[0]; i < ends[1] && at < n; i++)
					result->order[p * n + at++] = own->order[p * shares[rank].rows + i] + shares[rank].first;
			}
		}
		offsets[k] = at;
	}
}

static void gather(const struct share *shares, int ranks, const struct call_arguments *whole, int64_t k, int64_t d)
{
	const int64_t b = whole->points.batch, size = whole->result->centroids_dtype == FKM_F32 ? 4 : 8;
	const struct fkm_fit_result *first = shares->arguments.result;
	struct fkm_fit_result *result = whole->result;
	const struct {
		void *to;
		const void *from;
		int64_t bytes;
	} same[] = {
		{result->centroids, first->centroids, b * k * d * size},
		{result->counts, first->counts, b * k * 8},
		{result->inertia, first->inertia, b * 8},
		{result->n_iter, first->n_iter, b * 4},
		{result->reason, first->reason, b * 4},
	};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (same[i].to)
			memcpy(same[i].to, same[i].from, (size_t)same[i].bytes);
	result->diagnosis = first->diagnosis;
	if (whole->call == CALL_UPDATE)
		return;
	gather_rows(shares, ranks, whole);
	gather_lists(shares, ranks, whole, k);
}

enum fkm_status call_ranks(struct fkm_context *const *contexts, int ranks, const struct call_arguments *whole,
						   uint64_t seed, const char **complaint)
{
	const int64_t d = whole->points.dims;
	const int64_t k = whole->call == CALL_FIT ? whole->params.clusters : whole->centroids.rows;
	struct share shares[MOST_RANKS] = {{0}};

	deal_rows(shares, ranks, whole->points.rows, seed);
	for (int rank = 0; rank < ranks; rank++) {
		shares[rank].context = contexts[rank];
		share_make(&shares[rank], whole, rank, ranks);
	}
	run_all(shares, ranks);
	const enum fkm_status status = shares[0].status;
	*complaint = complain(shares, ranks);
	if (!*complaint && status == FKM_OK && whole->result)
		*complaint = compare_ranks(shares, ranks, k, d);
	for (int rank = 1; rank < ranks && !*complaint && status == FKM_OK && whole->inertia; rank++)
		if (memcmp(shares[rank].inertia, shares[0].inertia, (size_t)whole->points.batch * sizeof(double)) != 0)
			*complaint = "the ranks return different inertias";
	if (!*complaint && status == FKM_OK && whole->result)
		gather(shares, ranks, whole, k, d);
	if (!*complaint && status == FKM_OK && whole->inertia)
		memcpy(whole->inertia, shares[0].inertia, (size_t)whole->points.batch * sizeof(double));
	for (int rank = 0; rank < ranks; rank++)
		share_free(&shares[rank]);
	return status;
}
