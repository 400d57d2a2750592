/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of the steps seed_first and seed_next: greedy k-means++, section 6. A round is
 *     sums        quantised values, summed by blocks of sum_rows rows
 *     pick        a row for each trial, by the blocks' sums and then the rows of one block
 *     candidates  those rows as doubles
 *     potentials  of all trials, one pass over the points
 *     choose      the best trial becomes the round's centroid
 *     fold        its distances into the nearest ones, a second pass, which also finds the highest value
 * The values are w * nearest, or just w before there is a centroid (nearest null).
 */
#ifndef FKMI_COMMON_SEED_H
#define FKMI_COMMON_SEED_H

/* 2^g of the round; highest null: of the weights. */
FKMI_INLINE double fkmi_value_scale(FKMI_GLOBAL const int64_t *highest, FKMI_GLOBAL const int64_t *state, int64_t b,
									int64_t n_all)
{
	if (highest == 0)
		return fkmi_bits_double(state[b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]);
	return fkmi_grid_scale(fkmi_bits_double(highest[b]), fkmi_grid_bits(n_all));
}

FKMI_INLINE int64_t fkmi_quantised_value(const struct fkmi_weights *weight, FKMI_GLOBAL const double *nearest,
										 int64_t b, int64_t n, int64_t i, double scale)
{
	double v = fkmi_weight(weight, b, i);
	if (nearest != 0)
		v = v * nearest[b * n + i];
	return fkmi_rint(v * scale);
}

/* sums[b][block] of the quantised values. highest[b]: bits of the highest value, or null. */
FKMI_KERNEL fkmi_k_seed_sums(FKMI_ARG(const int32_t, active), FKMI_WEIGHTS_ARGS, FKMI_ARG(const double, nearest),
							 FKMI_ARG(const int64_t, highest), FKMI_ARG(const int64_t, state), FKMI_ARG(int64_t, sums),
							 int64_t n, int64_t n_all, int64_t sum_rows, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_WEIGHTS_MAKE(weight);
	FKMI_USE(const double, nearest);
	FKMI_USE(const int64_t, highest);
	FKMI_USE(const int64_t, state);
	FKMI_USE(int64_t, sums);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, first = (work - b * blocks) * sum_rows, end = fkmi_smaller(n, first + sum_rows);
		double scale = fkmi_value_scale(highest, state, b, n_all);
		int64_t sum = 0;
		for (int64_t i = first + fkmi_item(); i < end; i += FKMI_GROUP)
			sum += fkmi_quantised_value(&weight, nearest, b, n, i, scale);
		sum = fkmi_group_sum(buffer, sum);
		if (fkmi_item() == 0)
			sums[work] = sum;
	}
}

/* The row of each trial into rows[b][trial]. sums null: uniform. Zeroes the trials' potentials. One group per trial. Among
 * several ranks shares (else null) are the sums of each one's values, and another's row is -1. */
FKMI_KERNEL fkmi_k_seed_pick(FKMI_ARG(const int32_t, active), FKMI_WEIGHTS_ARGS, FKMI_ARG(const double, nearest),
							 FKMI_ARG(const int64_t, highest), FKMI_ARG(const int64_t, state),
							 FKMI_ARG(const int64_t, sums), FKMI_ARG(const int64_t, shares), int32_t rank,
							 int32_t ranks, int64_t first_row, int64_t n_all, FKMI_ARG(int64_t, rows),
							 FKMI_ARG(int64_t, potentials), uint64_t seed, int32_t run, int32_t round, int32_t trials,
							 int64_t n, int64_t sum_rows, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_WEIGHTS_MAKE(weight);
	FKMI_USE(const double, nearest);
	FKMI_USE(const int64_t, highest);
	FKMI_USE(const int64_t, state);
	FKMI_USE(const int64_t, sums);
	FKMI_USE(const int64_t, shares);
	FKMI_USE(int64_t, rows);
	FKMI_USE(int64_t, potentials);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int64_t, found, 2);
	const int item = fkmi_item();
	FKMI_EACH(work, trials)
	{
		int64_t b = work / trials, trial = work - b * trials, own = 0, before_own = 0;
		if (sums != 0)
			for (int64_t i = item; i < blocks; i += FKMI_GROUP)
				own += sums[b * blocks + i];
		own = fkmi_group_sum(buffer, own);
		int64_t total = shares != 0 ? 0 : own;
		for (int32_t other = 0; shares != 0 && other < ranks; other++) {
			before_own = other == rank ? total : before_own;
			total += shares[other * b_count + b];
		}
		uint64_t u =
			fkmi_draw_u64(seed, (uint32_t)trial, (uint32_t)round, (uint32_t)run, (uint32_t)FKMI_PURPOSE_PLUS_PLUS);
		int64_t row = (int64_t)fkmi_below(u, (uint64_t)(total > 0 ? total : n_all));
		/* The first block, then the first of its rows, whose sum with all before it is greater than the draw. */
		int64_t left = row - (total > 0 ? before_own : first_row);
		const bool mine = left >= 0 && left < (total > 0 ? own : n);
		const int64_t unknown = !mine ? 0 : total > 0 ? -1 : left;
		double scale = total > 0 ? fkmi_value_scale(highest, state, b, n_all) : 1.0;
		if (item == 0)
			found[0] = unknown;
		FKMI_BARRIER();
		for (int64_t i0 = 0; found[0] < 0; i0 += FKMI_GROUP) {
			int64_t i = i0 + item, all, value = i < blocks ? sums[b * blocks + i] : 0;
			int64_t before = fkmi_group_prefix(buffer, value, &all);
			if (before <= left && left < before + value) {
				found[0] = i;
				found[1] = left - before;
			}
			left -= all;
			FKMI_BARRIER();
		}
		int64_t block = found[0];
		left = found[1];
		FKMI_BARRIER();
		if (item == 0)
			found[0] = unknown;
		FKMI_BARRIER();
		for (int64_t i0 = block * sum_rows; found[0] < 0; i0 += FKMI_GROUP) {
			int64_t i = i0 + item, all, value = 0;
			if (i < n)
				value = fkmi_quantised_value(&weight, nearest, b, n, i, scale);
			int64_t before = fkmi_group_prefix(buffer, value, &all);
			if (before <= left && left < before + value)
				found[0] = i;
			left -= all;
			FKMI_BARRIER();
		}
		row = found[0];
		FKMI_BARRIER();
		if (item == 0) {
			rows[work] = mine ? row : -1;
			potentials[work] = 0;
		}
	}
}

/* Adds up the trials' potentials over rows row .. row+rows-1. An octet evaluates eight trials of a row at a time; lane t
 * sums up the t-th of them. */
FKMI_KERNEL fkmi_k_seed_potentials(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_WEIGHTS_ARGS,
								   FKMI_ARG(const double, nearest), FKMI_ARG(const int64_t, highest),
								   FKMI_ARG(const double, candidates), FKMI_ARG(int64_t, potentials), int32_t trials,
								   int64_t n_all, int64_t row, int64_t rows, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_WEIGHTS_MAKE(weight);
	FKMI_USE(const double, nearest);
	FKMI_USE(const int64_t, highest);
	FKMI_USE(const double, candidates);
	FKMI_USE(int64_t, potentials);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int64_t, sums, FKMI_GROUP);
	const int item = fkmi_item(), lane = item & 7;
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, block = work - b * blocks;
		double scale = fkmi_grid_scale(fkmi_bits_double(highest[b]), fkmi_grid_bits(n_all));
		for (int32_t trial = 0; trial < trials; trial += 8) {
			/* Past the last trial, the last one once more. */
			const int32_t last = trials - 1 - trial;
			FKMI_GLOBAL const double *c = candidates + (b * trials + trial) * d;
			int64_t potential = 0;
			for (int round = 0; round < FKMI_SEED_ROUNDS; round++) {
				int64_t i = row + (block * FKMI_SEED_ROUNDS + round) * FKMI_OCTETS + item / 8;
				bool mine = i < row + rows;
				double part[8], factor = mine ? fkmi_row_factor(&p, b, i) : 1.0, distance = 0;
				int64_t start = fkmi_row(&p, b, i);
#pragma unroll
				for (int t = 0; t < 8; t++)
					part[t] = 0;
				for (int64_t j = mine ? lane : d; j < d; j += 8) {
					double x = fkmi_coordinate(&p, start, factor, j);
#pragma unroll
					for (int t = 0; t < 8; t++) {
						double v = x - c[(t < last ? t : last) * d + j];
						part[t] = fma(v, v, part[t]);
					}
				}
#pragma unroll
				for (int t = 0; t < 8; t++) {
					double sum = fkmi_sum8(buffer, part[t]);
					distance = lane == t ? sum : distance;
				}
				if (mine) {
					double now = nearest[b * n + i], least = distance < now ? distance : now;
					potential += fkmi_rint(fkmi_weight(&weight, b, i) * least * scale);
				}
			}
			sums[item] = potential;
			FKMI_BARRIER();
			if (item <= last && item < 8) {
				for (int other = item + 8; other < FKMI_GROUP; other += 8)
					potential += sums[other];
				fkmi_add64(&potentials[b * trials + trial + item], potential);
			}
			FKMI_BARRIER();
		}
	}
}

/* The trial of the lowest potential becomes centroid k; highest[b] = 0 for fold. One group per problem. */
FKMI_KERNEL fkmi_k_seed_choose(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, candidates),
							   FKMI_ARG(const int64_t, potentials), FKMI_ARG(int64_t, highest),
							   FKMI_ARG(double, centroids), int32_t trials, int64_t k, int64_t k_count, int64_t d,
							   int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, candidates);
	FKMI_USE(const int64_t, potentials);
	FKMI_USE(int64_t, highest);
	FKMI_USE(double, centroids);
	FKMI_EACH(b, 1)
	{
		int64_t best = b * trials;
		for (int64_t i = best + 1; i < (b + 1) * trials; i++)
			if (potentials[i] < potentials[best])
				best = i;
		for (int64_t j = fkmi_item(); j < d; j += FKMI_GROUP)
			centroids[(b * k_count + k) * d + j] = candidates[best * d + j];
		if (fkmi_item() == 0)
			highest[b] = 0;
	}
}

/* nearest = the smaller of itself and D to centroid k (k = 0: that D), of rows row .. row+rows-1; raises highest to the
 * values. */
FKMI_KERNEL fkmi_k_seed_fold(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_WEIGHTS_ARGS,
							 FKMI_ARG(const double, centroids), FKMI_ARG(double, nearest), FKMI_ARG(int64_t, highest),
							 int64_t k, int64_t k_count, int64_t row, int64_t rows, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_WEIGHTS_MAKE(weight);
	FKMI_USE(const double, centroids);
	FKMI_USE(double, nearest);
	FKMI_USE(int64_t, highest);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int64_t, values, FKMI_GROUP);
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, block = work - b * blocks, largest = 0;
		for (int round = 0; round < FKMI_SEED_ROUNDS; round++) {
			int64_t i = row + (block * FKMI_SEED_ROUNDS + round) * FKMI_OCTETS + fkmi_item() / 8;
			bool mine = i < row + rows;
			double part = 0;
			if (mine)
				part = fkmi_partial_distance(&p, fkmi_row(&p, b, i), fkmi_row_factor(&p, b, i),
											 centroids + (b * k_count + k) * d);
			double least = fkmi_sum8(buffer, part);
			if (mine && (fkmi_item() & 7) == 0) {
				if (k > 0 && nearest[b * n + i] < least)
					least = nearest[b * n + i];
				else
					nearest[b * n + i] = least;
				int64_t value = fkmi_double_bits(fkmi_weight(&weight, b, i) * least);
				largest = value > largest ? value : largest;
			}
		}
		largest = fkmi_group_max(values, largest);
		if (fkmi_item() == 0)
			fkmi_max64(&highest[b], largest);
	}
}

#endif
