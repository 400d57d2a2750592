/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FlashAssign for matrix cores that work on registers: NVIDIA's mma.sync, AMD's MFMA and WMMA. The filter sweeps all
 * centroids and keeps the best and the second score of each row, and writes the label where the second one is below the
 * threshold (certificate.h); else it lists the row, and the recheck, which is the same sweep over listed rows, gathers
 * every centroid that reaches the threshold and decides by D in f64. Rows with too many candidates, or out of the
 * filter's range, go to fkmi_k_scan. The lists are those of kernels/common/assign.h.
 */
#ifndef FKMI_MATRIX_KERNELS_H
#define FKMI_MATRIX_KERNELS_H

#include "kernels/common/dialect.h"
#include "kernels/common/exact.h"
#include "kernels/common/points.h"
#include "kernels/common/certificate.h"
#include "kernels/common/rows.h"

#include "fragments.h"
#include "certificate.h"
#include "operands.h"
#include "sweep.h"

/* Row fkmi_item() of the tile, if there is one: its best centroid, that score and the second. The group calls it
 * together. */
FKMI_INLINE void fkmi_matrix_results(const struct fkmi_best_taker *taker, FKMI_LOCAL char *local, float *best,
									 float *second, int32_t *label)
{
	const int item = fkmi_item(), lane = item % FKMI_WAVE, count = FKMI_LANE_SHARERS * FKMI_POINTS_OF_TILE;
	FKMI_LOCAL float *bests = (FKMI_LOCAL float *)local, *seconds = bests + count;
	FKMI_LOCAL int32_t *labels = (FKMI_LOCAL int32_t *)(seconds + count);
#pragma unroll
	for (int f = 0; f < FKMI_WAVE_FRAGMENTS; f++)
#pragma unroll
		for (int p = 0; p < FKMI_LANE_POINTS; p++) {
			const struct fkmi_best *s = &taker->points[f][p];
			const int row = item / FKMI_WAVE * FKMI_WAVE_POINTS + f * FKMI_FRAGMENT_POINTS + fkmi_lane_point(lane, p);
			const int place = fkmi_lane_sharer(lane) * FKMI_POINTS_OF_TILE + row;
			const int i = s->kept[0] == s->best ? 0 : s->kept[1] == s->best ? 1 : s->kept[2] == s->best ? 2 : 3;
			const float low = FKMI_MIN(s->kept[0], s->kept[1]), high = FKMI_MAX(s->kept[0], s->kept[1]);
			const float other_low = FKMI_MIN(s->kept[2], s->kept[3]), other_high = FKMI_MAX(s->kept[2], s->kept[3]);
			bests[place] = s->best;
			seconds[place] = FKMI_MAX(s->second, FKMI_MAX(FKMI_MIN(high, other_high), FKMI_MAX(low, other_low)));
			labels[place] = s->group + fkmi_group_first(lane, 0) + fkmi_group_place(i);
		}
	FKMI_BARRIER();
	const int row = item % FKMI_POINTS_OF_TILE;
	*best = bests[row];
	*second = seconds[row];
	*label = labels[row];
	for (int sharer = 1; sharer < FKMI_LANE_SHARERS; sharer++) {
		const int place = sharer * FKMI_POINTS_OF_TILE + row;
		const float s = bests[place];
		*second = FKMI_MAX(FKMI_MAX(*second, seconds[place]), FKMI_MIN(*best, s));
		if (s > *best || (s == *best && labels[place] < *label))
			*label = labels[place];
		*best = FKMI_MAX(*best, s);
	}
	FKMI_BARRIER();
}

#define FKMI_MATRIX_FILTER_ARGS                                                                                        \
	FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_MATRIX_OPERANDS_ARGS, FKMI_ARG(int32_t, labels),           \
		FKMI_ARG(int32_t, previous), FKMI_ARG(int64_t, counters), FKMI_ARG(int32_t, listed),                           \
		FKMI_ARG(int32_t, listed_count), FKMI_ARG(float, thresholds), FKMI_ARG(int32_t, scanned),                      \
		FKMI_ARG(int32_t, scanned_count), int32_t wide, int32_t fast, int64_t row, int64_t rows, int64_t tiles,        \
		int64_t b_count

/* As fkmi_k_filter. */
template <int STEPS> FKMI_INLINE void fkmi_matrix_filter(FKMI_MATRIX_FILTER_ARGS)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_MATRIX_OPERANDS_USE;
	FKMI_USE(int32_t, labels);
	FKMI_USE(int32_t, previous);
	FKMI_USE(int64_t, counters);
	FKMI_USE(int32_t, listed);
	FKMI_USE(int32_t, listed_count);
	FKMI_USE(float, thresholds);
	FKMI_USE(int32_t, scanned);
	FKMI_USE(int32_t, scanned_count);
	FKMI_DYNAMIC_LOCAL(local);
	FKMI_LOCAL_ARRAY(int32_t, counts, FKMI_SETTLE_COUNTS);
	const int item = fkmi_item();
	FKMI_EACH(work, tiles)
	{
		const int64_t b = work / tiles, first = (work - b * tiles) * FKMI_POINTS_OF_TILE;
		FKMI_MATRIX_OPERANDS_MAKE(made, b);
		struct fkmi_bringer bringer;
		struct fkmi_best_taker taker;
		struct fkmi_measured measured = {0, 0};
		float best, second;
		int32_t label;
		for (int i = 0; i < FKMI_BRING_ROWS; i++) {
			const int64_t r = first + fkmi_bring_row(i);
			bringer.from[i] = fkmi_bring(&p, b, r < rows ? row + r : -1, wide);
		}
		taker.clear();
		fkmi_matrix_sweep<STEPS>(&bringer, &made, local, taker, !fast, measured);
		fkmi_matrix_results(&taker, local, &best, &second, &label);

		const struct fkmi_matrix_bounds bounds = fkmi_matrix_bounds_make(measures + b * FKMI_MEASURES, d);
		struct fkmi_settled settled = {label, 0, FKMI_ROW_NONE};
		if (item < FKMI_POINTS_OF_TILE && first + item < rows) {
			if (!fast && made.usable)
				settled.threshold = fkmi_matrix_threshold(&bounds, best, measured.squares, measured.residual);
			if (fast || (made.usable && second < settled.threshold))
				settled.fate = FKMI_ROW_DECIDED;
			else
				settled.fate = made.usable ? FKMI_ROW_LISTED : FKMI_ROW_SCANNED;
		}
		const struct fkmi_lists lists = {listed, thresholds, scanned, listed_count, scanned_count};
		fkmi_settle(&settled, &lists, counts, counters, labels, previous, b, b * n + row, first + item, rows);
	}
}

#define FKMI_MATRIX_RECHECK_ARGS                                                                                       \
	FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_MATRIX_OPERANDS_ARGS, FKMI_ARG(const double, centroids),   \
		FKMI_ARG(int32_t, labels), FKMI_ARG(int64_t, counters), FKMI_ARG(const int32_t, listed),                       \
		FKMI_ARG(const int32_t, listed_count), FKMI_ARG(const float, thresholds), FKMI_ARG(int32_t, scanned),          \
		FKMI_ARG(int32_t, scanned_count), int32_t wide, int64_t row, int64_t rows, int64_t tiles, int64_t b_count

/* As fkmi_k_recheck. */
template <int STEPS> FKMI_INLINE void fkmi_matrix_recheck(FKMI_MATRIX_RECHECK_ARGS)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_MATRIX_OPERANDS_USE;
	FKMI_USE(const double, centroids);
	FKMI_USE(int32_t, labels);
	FKMI_USE(int64_t, counters);
	FKMI_USE(const int32_t, listed);
	FKMI_USE(const int32_t, listed_count);
	FKMI_USE(const float, thresholds);
	FKMI_USE(int32_t, scanned);
	FKMI_USE(int32_t, scanned_count);
	FKMI_DYNAMIC_LOCAL(local);
	FKMI_LOCAL float *limits =
		(FKMI_LOCAL float *)(local + FKMI_MATRIX_SWEEP_BYTES(STEPS, FKMI_POINTS_OF_TILE, fkmi_stage<STEPS>::CENTROIDS));
	FKMI_LOCAL int32_t *found_count = (FKMI_LOCAL int32_t *)(limits + FKMI_POINTS_OF_TILE);
	FKMI_LOCAL int32_t *candidates = found_count + FKMI_POINTS_OF_TILE;
	const int item = fkmi_item(), lane = item % FKMI_WAVE;
	for (int64_t work = fkmi_next_listed(active, listed_count, fkmi_group(), tiles, FKMI_POINTS_OF_TILE, b_count);
		 work < b_count * tiles;
		 work = fkmi_next_listed(active, listed_count, work + fkmi_groups(), tiles, FKMI_POINTS_OF_TILE, b_count)) {
		const int64_t b = work / tiles, first = (work - b * tiles) * FKMI_POINTS_OF_TILE, count = listed_count[b];
		FKMI_MATRIX_OPERANDS_MAKE(made, b);
		struct fkmi_bringer bringer;
		for (int i = 0; i < FKMI_BRING_ROWS; i++) {
			const int64_t entry = first + fkmi_bring_row(i);
			bringer.from[i] = fkmi_bring(&p, b, entry < count ? row + listed[b * rows + entry] : -1, wide);
		}
		if (item < FKMI_POINTS_OF_TILE) {
			found_count[item] = 0;
			/* Rows past the last one have no candidates. */
			limits[item] = first + item < count ? thresholds[b * rows + first + item] : fkmi_bits_float(0x7f800000u);
		}
		FKMI_BARRIER();
		struct fkmi_list_taker taker;
		struct fkmi_measured unused;
		taker.candidates = candidates;
		taker.counts = found_count;
#pragma unroll
		for (int f = 0; f < FKMI_WAVE_FRAGMENTS; f++)
#pragma unroll
			for (int point = 0; point < FKMI_LANE_POINTS; point++)
				taker.thresholds[f][point] = limits[item / FKMI_WAVE * FKMI_WAVE_POINTS + f * FKMI_FRAGMENT_POINTS +
													fkmi_lane_point(lane, point)];
		fkmi_matrix_sweep<STEPS>(&bringer, &made, local, taker, false, unused);

		const struct fkmi_gathered gathered = {candidates, found_count, limits};
		const struct fkmi_lists rest = {0, 0, scanned, 0, scanned_count};
		fkmi_decide_candidates(&p, centroids, k_count, labels, counters, &gathered, &rest, listed + b * rows + first,
							   count - first, FKMI_POINTS_OF_TILE, (FKMI_LOCAL double *)local, b, row, rows);
		FKMI_BARRIER();
	}
}

#define FKMI_MATRIX_POINTS_NAMES points_base, row_scale_base, row_stride, batch_stride, n, d, dtype
#define FKMI_MATRIX_OPERANDS_NAMES                                                                                     \
	state_base, mu_base, operands_base, halves_base, measures_base, k_count, padded_k, padded_d

#define FKMI_MATRIX_KERNELS(name, d_least, d_most, steps)                                                              \
	FKMI_KERNEL fkmi_k_matrix_filter_##name(FKMI_MATRIX_FILTER_ARGS)                                                   \
	{                                                                                                                  \
		fkmi_matrix_filter<steps>(active_base, FKMI_MATRIX_POINTS_NAMES, FKMI_MATRIX_OPERANDS_NAMES, labels_base,      \
								  previous_base, counters_base, listed_base, listed_count_base, thresholds_base,       \
								  scanned_base, scanned_count_base, wide, fast, row, rows, tiles, b_count);            \
	}                                                                                                                  \
	FKMI_KERNEL fkmi_k_matrix_recheck_##name(FKMI_MATRIX_RECHECK_ARGS)                                                 \
	{                                                                                                                  \
		fkmi_matrix_recheck<steps>(active_base, FKMI_MATRIX_POINTS_NAMES, FKMI_MATRIX_OPERANDS_NAMES, centroids_base,  \
								   labels_base, counters_base, listed_base, listed_count_base, thresholds_base,        \
								   scanned_base, scanned_count_base, wide, row, rows, tiles, b_count);                 \
	}
FKMI_MATRIX_SHAPES(FKMI_MATRIX_KERNELS)

#endif
