/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of the step relocate: which points go to which empty clusters, section 3.3. fkmi_k_finish applies it. */
#ifndef FKMI_COMMON_RELOCATE_H
#define FKMI_COMMON_RELOCATE_H

enum { FKMI_WEIGHTS_AHEAD = 8 }; /* sums of weights that an item reads together */

/* The state's empty and first_empty. due (may be null): whether the problem is active and has empty clusters, which
 * makes it active for the kernels that follow; no moves yet. One group per problem. */
FKMI_KERNEL fkmi_k_find_empty(FKMI_ARG(const int32_t, active), FKMI_ARG(const int64_t, weight_sums),
							  FKMI_ARG(int64_t, state), FKMI_ARG(int32_t, due), FKMI_ARG(int64_t, move_count),
							  int64_t k_count, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int64_t, weight_sums);
	FKMI_USE(int64_t, state);
	FKMI_USE(int32_t, due);
	FKMI_USE(int64_t, move_count);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	for (int64_t b = fkmi_group(); b < b_count; b += fkmi_groups()) {
		int64_t empty = 0, first = FKMI_NONE_YET;
		for (int64_t k0 = active[b] ? fkmi_item() : k_count; k0 < k_count; k0 += FKMI_WEIGHTS_AHEAD * FKMI_GROUP) {
			int64_t weight[FKMI_WEIGHTS_AHEAD];
			FKMI_UNROLL
			for (int v = 0; v < FKMI_WEIGHTS_AHEAD; v++)
				weight[v] = k0 + v * FKMI_GROUP < k_count ? weight_sums[b * k_count + k0 + v * FKMI_GROUP] : 1;
			FKMI_UNROLL
			for (int v = 0; v < FKMI_WEIGHTS_AHEAD; v++) {
				empty += weight[v] == 0;
				first = fkmi_smaller(first, weight[v] == 0 ? k0 + v * FKMI_GROUP : first);
			}
		}
		empty = fkmi_group_sum(buffer, empty);
		first = fkmi_group_min(buffer, first);
		if (fkmi_item() == 0) {
			if (active[b]) {
				state[b * FKMI_STATE_MEMBERS + FKMI_STATE_EMPTY] = empty;
				state[b * FKMI_STATE_MEMBERS + FKMI_STATE_FIRST_EMPTY] = empty > 0 ? first : -1;
			}
			if (due != 0) {
				due[b] = empty > 0;
				move_count[b] = 0;
			}
		}
	}
}

/* Whether point a moves before point b: far ones first, then low rows. Distances are bits of doubles from 0 up. */
FKMI_INLINE bool fkmi_moves_before(int64_t distance_a, int64_t row_a, int64_t distance_b, int64_t row_b)
{
	return distance_a > distance_b || (distance_a == distance_b && row_a < row_b);
}

/* What the first `wanted` points in order have in common. */
struct fkmi_threshold {
	int64_t distance; /* of the last of them */
	int64_t tied;     /* how many of them have that distance, */
	int64_t all_tied; /* and how many points have it */
};

/* Radix selection on the bits, a byte at a time. A whole group must call it together; histogram holds FKMI_GROUP. */
FKMI_INLINE struct fkmi_threshold fkmi_select(FKMI_LOCAL int32_t *histogram, FKMI_LOCAL int64_t *buffer,
											  FKMI_GLOBAL const int64_t *distances, int64_t n, int64_t wanted)
{
	const int item = fkmi_item();
	struct fkmi_threshold t = {0, wanted, n};
	for (int shift = 56; shift >= 0; shift -= 8) {
		histogram[item] = 0;
		FKMI_BARRIER();
		for (int64_t i = item; i < n; i += FKMI_GROUP) {
			int64_t bits = distances[i];
			/* In two steps, since no type shifts by all its bits. */
			if ((bits ^ t.distance) >> shift >> 8 == 0)
				fkmi_local_add32(&histogram[bits >> shift & 255], 1);
		}
		FKMI_BARRIER();
		if (item == 0) {
			int digit = 255;
			int64_t above = 0;
			for (; above + (uint32_t)histogram[digit] < t.tied; digit--)
				above += (uint32_t)histogram[digit];
			buffer[0] = digit;
			buffer[1] = above;
			buffer[2] = (uint32_t)histogram[digit];
		}
		FKMI_BARRIER();
		t.distance |= buffer[0] << shift;
		t.tied -= buffer[1];
		t.all_tied = buffer[2];
		FKMI_BARRIER();
	}
	return t;
}

/* Sorts keys and rows, `size` of them, a power of two, in the order of fkmi_moves_before. A whole group calls it. */
FKMI_INLINE void fkmi_sort_far(FKMI_GLOBAL int64_t *keys, FKMI_GLOBAL int64_t *rows, int64_t size)
{
	for (int64_t run = 2; run <= size; run *= 2) {
		for (int64_t step = run / 2; step > 0; step /= 2) {
			FKMI_BARRIER_ALL();
			for (int64_t i = fkmi_item(); i < size / 2; i += FKMI_GROUP) {
				int64_t a = 2 * i - (i & (step - 1)), b = a + step;
				int64_t key_a = keys[a], key_b = keys[b], row_a = rows[a], row_b = rows[b];
				if (fkmi_moves_before(key_b, row_b, key_a, row_a) == ((a & run) == 0)) {
					keys[a] = key_b;
					keys[b] = key_a;
					rows[a] = row_b;
					rows[b] = row_a;
				}
			}
		}
	}
	FKMI_BARRIER_ALL();
}

/* The first `wanted` of n points in order, by their distances, in key and row, which have room for `size`, a power of two;
 * the rest of them are -1 and 0. A whole group must call it together; histogram and buffer hold FKMI_GROUP. */
FKMI_INLINE void fkmi_find_farthest(FKMI_LOCAL int32_t *histogram, FKMI_LOCAL int64_t *buffer,
									FKMI_GLOBAL const int64_t *distance, FKMI_GLOBAL int64_t *key,
									FKMI_GLOBAL int64_t *row, int64_t n, int64_t wanted, int64_t size)
{
	const int item = fkmi_item();
	struct fkmi_threshold t = fkmi_select(histogram, buffer, distance, n, wanted);

	/* The points beyond the threshold, and those at it, if all of them move, in any order. */
	const bool all = t.tied == t.all_tied;
	if (item == 0)
		histogram[0] = 0;
	FKMI_BARRIER();
	for (int64_t i = item; i < n; i += FKMI_GROUP) {
		if (distance[i] > t.distance || (all && distance[i] == t.distance)) {
			int32_t at = fkmi_local_add32(&histogram[0], 1);
			key[at] = distance[i];
			row[at] = i;
		}
	}
	FKMI_BARRIER();
	int64_t taken = histogram[0];
	/* Else the lowest rows of those at it. */
	for (int64_t i0 = 0; taken < wanted; i0 += FKMI_GROUP) {
		int64_t i = i0 + item, found;
		bool tied = i < n && distance[i] == t.distance;
		int64_t at = taken + fkmi_group_prefix(buffer, tied ? 1 : 0, &found);
		if (tied && at < wanted) {
			key[at] = t.distance;
			row[at] = i;
		}
		taken += found;
	}
	for (int64_t i = wanted + item; i < size; i += FKMI_GROUP) {
		key[i] = -1;
		row[i] = 0;
	}
	fkmi_sort_far(key, row, size);
}

/*
 * The moves of problem b, which has empty clusters, from the distances of all points to their own centroids. A whole
 * group must call it together; histogram and buffer hold FKMI_GROUP. key and row: room for `size` points, the power of
 * two from K up. The arrays of the moves are the problem's own, see struct fkmi_moves.
 */
FKMI_INLINE void fkmi_find_moves(FKMI_LOCAL int32_t *histogram, FKMI_LOCAL int64_t *buffer,
								 FKMI_GLOBAL const int64_t *distance, FKMI_GLOBAL const int32_t *label,
								 FKMI_GLOBAL const int64_t *weight_sum, FKMI_GLOBAL int64_t *state,
								 FKMI_GLOBAL int64_t *key, FKMI_GLOBAL int64_t *row, FKMI_GLOBAL int64_t *move_count,
								 FKMI_GLOBAL int64_t *move_rows, FKMI_GLOBAL int32_t *targets,
								 FKMI_GLOBAL int32_t *heads, FKMI_GLOBAL int32_t *next, int64_t n, int64_t k_count,
								 int64_t size)
{
	const int item = fkmi_item();
	int64_t wanted = state[FKMI_STATE_EMPTY];
	fkmi_find_farthest(histogram, buffer, distance, key, row, n, wanted, size);
	if (key[0] == 0) /* All points lie on their centroids: none moves. */
		wanted = 0;

	int64_t taken = 0;
	for (int64_t k0 = 0; k0 < k_count; k0 += FKMI_GROUP) {
		int64_t k = k0 + item, found;
		bool empty = k < k_count && weight_sum[k] == 0;
		int64_t at = taken + fkmi_group_prefix(buffer, empty ? 1 : 0, &found);
		if (empty)
			targets[at] = (int32_t)k;
		if (k < k_count)
			heads[k] = -1;
		taken += found;
	}
	FKMI_BARRIER_ALL();
	for (int64_t i = item; i < wanted; i += FKMI_GROUP) {
		move_rows[i] = row[i];
		next[i] = fkmi_exchange32(&heads[label[row[i]]], (int32_t)i);
	}
	if (item == 0) {
		*move_count = wanted;
		state[FKMI_STATE_RELOCATED] += wanted;
	}
	FKMI_BARRIER_ALL();
}

/* The moves of each active problem, all of which have empty clusters. One group per problem; arrays are [b, n], [b, K],
 * keys and rows [b, size]. */
FKMI_KERNEL fkmi_k_choose_moves(FKMI_ARG(const int32_t, active), FKMI_ARG(const int64_t, distances),
								FKMI_ARG(const int32_t, labels), FKMI_ARG(const int64_t, weight_sums),
								FKMI_ARG(int64_t, state), FKMI_ARG(int64_t, keys), FKMI_ARG(int64_t, rows),
								FKMI_ARG(int64_t, move_count), FKMI_ARG(int64_t, move_rows),
								FKMI_ARG(int32_t, move_targets), FKMI_ARG(int32_t, move_heads),
								FKMI_ARG(int32_t, move_next), int64_t n, int64_t k_count, int64_t size, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int64_t, distances);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(const int64_t, weight_sums);
	FKMI_USE(int64_t, state);
	FKMI_USE(int64_t, keys);
	FKMI_USE(int64_t, rows);
	FKMI_USE(int64_t, move_count);
	FKMI_USE(int64_t, move_rows);
	FKMI_USE(int32_t, move_targets);
	FKMI_USE(int32_t, move_heads);
	FKMI_USE(int32_t, move_next);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int32_t, histogram, FKMI_GROUP);
	FKMI_EACH(b, 1)
	{
		fkmi_find_moves(histogram, buffer, distances + b * n, labels + b * n, weight_sums + b * k_count,
						state + b * FKMI_STATE_MEMBERS, keys + b * size, rows + b * size, &move_count[b],
						move_rows + b * k_count, move_targets + b * k_count, move_heads + b * k_count,
						move_next + b * k_count, n, k_count, size);
	}
}

#endif
