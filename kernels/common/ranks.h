/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels that only several ranks need. What ranks merge are int64 that are added up: where one rank has something and
 * the others do not, those write zeros.
 */
#ifndef FKMI_COMMON_RANKS_H
#define FKMI_COMMON_RANKS_H

/* shares[rank][b] = the sum of the blocks' sums; 0 for the other ranks. One group per problem. */
FKMI_KERNEL fkmi_k_seed_share(FKMI_ARG(const int32_t, active), FKMI_ARG(const int64_t, sums), FKMI_ARG(int64_t, shares),
							  int32_t rank, int32_t ranks, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int64_t, sums);
	FKMI_USE(int64_t, shares);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	FKMI_EACH(b, 1)
	{
		int64_t sum = 0;
		for (int64_t i = fkmi_item(); i < blocks; i += FKMI_GROUP)
			sum += sums[b * blocks + i];
		sum = fkmi_group_sum(buffer, sum);
		for (int32_t other = fkmi_item(); other < ranks; other += FKMI_GROUP)
			shares[other * b_count + b] = other == rank ? sum : 0;
	}
}

/* The farthest of this rank's points of each active problem, as many as there are empty clusters or, if those are fewer,
 * points: bits of distances and rows among all ranks', in order, then -1. Arrays are [b, n] and [b, size]. One group per
 * problem. */
FKMI_KERNEL fkmi_k_farthest(FKMI_ARG(const int32_t, active), FKMI_ARG(const int64_t, distances),
							FKMI_ARG(const int64_t, state), FKMI_ARG(int64_t, keys), FKMI_ARG(int64_t, rows),
							int64_t first_row, int64_t n, int64_t size, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int64_t, distances);
	FKMI_USE(const int64_t, state);
	FKMI_USE(int64_t, keys);
	FKMI_USE(int64_t, rows);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int32_t, histogram, FKMI_GROUP);
	FKMI_EACH(b, 1)
	{
		const int64_t wanted = fkmi_smaller(n, state[b * FKMI_STATE_MEMBERS + FKMI_STATE_EMPTY]);
		fkmi_find_farthest(histogram, buffer, distances + b * n, keys + b * size, rows + b * size, n, wanted, size);
		for (int64_t i = fkmi_item(); i < wanted; i += FKMI_GROUP)
			rows[b * size + i] += first_row;
	}
}

/* What moves with rows of problem b, for all ranks to see: their label, quantised weight and coordinates, [count, 2 + d];
 * zeros for a row of -1. listed: the points are only those, in this order. */
FKMI_KERNEL fkmi_k_show_moves(FKMI_POINTS_ARGS, int32_t listed, FKMI_WEIGHTS_ARGS, FKMI_ARG(const int32_t, labels),
							  FKMI_ARG(const double, scale), FKMI_ARG(const int64_t, state),
							  FKMI_ARG(const int64_t, rows), FKMI_ARG(int64_t, shown), int64_t b, int64_t count)
{
	FKMI_POINTS_MAKE(p);
	FKMI_WEIGHTS_MAKE(w);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(const double, scale);
	FKMI_USE(const int64_t, state);
	FKMI_USE(const int64_t, rows);
	FKMI_USE(int64_t, shown);
	const struct fkmi_quantiser q = {&p, &w, scale + b * d,
									 fkmi_bits_double(state[b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]), b};
	const int64_t width = FKMI_SHOWN_EXTRA + d;
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < count * width; i += fkmi_groups() * FKMI_GROUP) {
		const int64_t move = i / width, at = i - move * width, row = rows[move];
		int64_t value = 0;
		if (row >= 0)
			value = at == 0   ? labels[b * n + row]
					: at == 1 ? fkmi_quantised_weight(&q, row)
							  : fkmi_quantised_at(&q, row, listed ? move : row, at - FKMI_SHOWN_EXTRA);
		shown[i] = value;
	}
}

/* Moves them, one after the other, to clusters targets[i] of problem b. One group. */
FKMI_KERNEL fkmi_k_apply_moves(FKMI_ARG(const int64_t, shown), FKMI_ARG(const int64_t, targets),
							   FKMI_ARG(int64_t, sums), FKMI_ARG(int64_t, weight_sums), FKMI_ARG(int64_t, state),
							   int64_t b, int64_t count, int64_t k_count, int64_t d)
{
	FKMI_USE(const int64_t, shown);
	FKMI_USE(const int64_t, targets);
	FKMI_USE(int64_t, sums);
	FKMI_USE(int64_t, weight_sums);
	FKMI_USE(int64_t, state);
	if (fkmi_group() > 0)
		return;
	for (int64_t i = 0; i < count; i++) {
		FKMI_GLOBAL const int64_t *move = shown + i * (FKMI_SHOWN_EXTRA + d);
		const int64_t donor = b * k_count + move[0], target = b * k_count + targets[i];
		/* A column is always the same item's. */
		for (int64_t j = fkmi_item(); j < d; j += FKMI_GROUP) {
			sums[donor * d + j] -= move[FKMI_SHOWN_EXTRA + j];
			sums[target * d + j] = move[FKMI_SHOWN_EXTRA + j];
		}
		if (fkmi_item() == 0) {
			weight_sums[target] = move[1];
			weight_sums[donor] -= move[1];
		}
	}
	if (fkmi_item() == 0)
		state[b * FKMI_STATE_MEMBERS + FKMI_STATE_RELOCATED] += count;
}

#endif
