/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of the steps distances, count and sort. */
#ifndef FKMI_COMMON_RESULTS_H
#define FKMI_COMMON_RESULTS_H

/* ---- distances ---- */

/* Raises largest[b], bits of a double, to the greatest |c_kj|. */
FKMI_KERNEL fkmi_k_centroid_max(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, centroids),
								FKMI_ARG(int64_t, largest), int64_t elements, int64_t piece, int64_t pieces,
								int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, centroids);
	FKMI_USE(int64_t, largest);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	FKMI_EACH(work, pieces)
	{
		int64_t b = work / pieces, first = (work - b * pieces) * piece, end = fkmi_smaller(elements, first + piece);
		int64_t found = 0;
		for (int64_t i = first + fkmi_item(); i < end; i += FKMI_GROUP) {
			int64_t bits = fkmi_double_bits(fabs(centroids[b * elements + i]));
			found = bits > found ? bits : found;
		}
		found = fkmi_group_max(buffer, found);
		if (fkmi_item() == 0)
			fkmi_max64(&largest[b], found);
	}
}

/*
 * D of each row of the span to its label's centroid into distances (may be null). largest not null: adds to the state's
 * inertia, on the grid that it gives.
 */
FKMI_KERNEL fkmi_k_distances(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_WEIGHTS_ARGS,
							 FKMI_ARG(const int32_t, labels), FKMI_ARG(const double, centroids),
							 FKMI_ARG(const int64_t, largest), FKMI_ARG(int64_t, state), FKMI_ARG(double, distances),
							 int64_t n_all, int64_t k_count, int64_t row, int64_t rows, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_WEIGHTS_MAKE(weight);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(const double, centroids);
	FKMI_USE(const int64_t, largest);
	FKMI_USE(int64_t, state);
	FKMI_USE(double, distances);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int64_t, sums, FKMI_GROUP);
	const int bits = fkmi_grid_bits(n_all);
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, block = work - b * blocks, high = 0, low = 0;
		FKMI_GLOBAL int64_t *s = state + b * FKMI_STATE_MEMBERS;
		double scale = 1;
		if (largest != 0) {
			double a = fmax(fkmi_bits_double(s[FKMI_STATE_POINT_MAX]), fkmi_bits_double(largest[b]));
			scale = fkmi_grid_scale(a * a * 4.0 * (double)d * fkmi_bits_double(s[FKMI_STATE_WEIGHT_MAX]), bits);
			if (block == 0 && fkmi_item() == 0)
				s[FKMI_STATE_INERTIA_SCALE] = fkmi_double_bits(scale);
		}
		for (int round = 0; round < FKMI_DISTANCE_ROUNDS; round++) {
			int64_t i = (block * FKMI_DISTANCE_ROUNDS + round) * FKMI_OCTETS + fkmi_item() / 8;
			bool mine = i < rows;
			i += row;
			double part = 0;
			if (mine)
				part = fkmi_partial_distance(&p, fkmi_row(&p, b, i), fkmi_row_factor(&p, b, i),
											 centroids + (b * k_count + labels[b * n + i]) * d);
			double value = fkmi_sum8(buffer, part);
			bool writes = mine && (fkmi_item() & 7) == 0;
			if (writes && distances != 0)
				distances[b * n + i] = value;
			if (writes && largest != 0) {
				double scaled = fkmi_weight(&weight, b, i) * value * scale;
				int64_t whole = fkmi_rint(scaled);
				high += whole;
				low += fkmi_rint((scaled - (double)whole) * fkmi_power2(bits));
			}
		}
		high = fkmi_group_sum(sums, high);
		low = fkmi_group_sum(sums, low);
		if (largest != 0 && fkmi_item() == 0) {
			fkmi_add64(&s[FKMI_STATE_INERTIA_HIGH], high);
			fkmi_add64(&s[FKMI_STATE_INERTIA_LOW], low);
		}
	}
}

/* ---- count ---- */

/* Zeroes `elements` numbers of each active problem. */
FKMI_KERNEL fkmi_k_zero(FKMI_ARG(const int32_t, active), FKMI_ARG(int64_t, to), int64_t elements, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(int64_t, to);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < b_count * elements; i += fkmi_groups() * FKMI_GROUP)
		if (active[i / elements])
			to[i] = 0;
}

/* Adds the labels of all rows to counts; the state's bad_label is lowered to the first row with an impossible one. */
FKMI_KERNEL fkmi_k_count_labels(FKMI_ARG(const int32_t, active), FKMI_ARG(const int32_t, labels),
								FKMI_ARG(int64_t, counts), FKMI_ARG(int64_t, state), int64_t n, int64_t k_count,
								int64_t piece, int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(int64_t, counts);
	FKMI_USE(int64_t, state);
	FKMI_LOCAL_ARRAY(int32_t, found, FKMI_LOCAL_COUNTS);
	const int item = fkmi_item();
	const bool local_counts = k_count <= FKMI_LOCAL_COUNTS;
	const int64_t local_k = local_counts ? k_count : 0;
	FKMI_EACH(work, pieces)
	{
		int64_t b = work / pieces, first = (work - b * pieces) * piece, bad = FKMI_NONE_YET;
		int64_t end = fkmi_smaller(n, first + piece);
		for (int64_t k = item; k < local_k; k += FKMI_GROUP)
			found[k] = 0;
		FKMI_BARRIER();
		for (int64_t i = first + item; i < end; i += FKMI_GROUP) {
			int64_t label = labels[b * n + i];
			if (label < 0 || label >= k_count)
				bad = fkmi_smaller(bad, i);
			else if (local_counts)
				fkmi_local_add32(&found[label], 1);
			else
				fkmi_add64(&counts[b * k_count + label], 1);
		}
		FKMI_BARRIER();
		for (int64_t k = item; k < local_k; k += FKMI_GROUP)
			if (found[k] != 0)
				fkmi_add64(&counts[b * k_count + k], found[k]);
		if (bad != FKMI_NONE_YET)
			fkmi_lower_index(&state[b * FKMI_STATE_MEMBERS + FKMI_STATE_BAD_LABEL], bad);
		FKMI_BARRIER();
	}
}

/* ---- sort ---- */

/* offsets[0 .. K] = sums of the counts before each. One group per problem. */
FKMI_KERNEL fkmi_k_offsets(FKMI_ARG(const int32_t, active), FKMI_ARG(const int64_t, counts), FKMI_ARG(int64_t, offsets),
						   int64_t k_count, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int64_t, counts);
	FKMI_USE(int64_t, offsets);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	FKMI_EACH(b, 1)
	{
		int64_t before = 0;
		for (int64_t k0 = 0; k0 <= k_count; k0 += FKMI_GROUP) {
			int64_t k = k0 + fkmi_item(), total;
			int64_t sum = before + fkmi_group_prefix(buffer, k < k_count ? counts[b * k_count + k] : 0, &total);
			if (k <= k_count)
				offsets[b * (k_count + 1) + k] = sum;
			before += total;
		}
	}
}

/* places[b][block][k] += rows of the block with label k; zero before. */
FKMI_KERNEL fkmi_k_sort_count(FKMI_ARG(const int32_t, active), FKMI_ARG(const int32_t, labels),
							  FKMI_ARG(int32_t, places), int64_t n, int64_t k_count, int64_t block_rows, int64_t blocks,
							  int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(int32_t, places);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < b_count * n; i += fkmi_groups() * FKMI_GROUP) {
		int64_t b = i / n;
		if (active[b])
			fkmi_add32(&places[(b * blocks + (i - b * n) / block_rows) * k_count + labels[i]], 1);
	}
}

/* Counts become places: of each block's first row of each label within the label's list. */
FKMI_KERNEL fkmi_k_sort_starts(FKMI_ARG(const int32_t, active), FKMI_ARG(int32_t, places), int64_t k_count,
							   int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(int32_t, places);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < b_count * k_count; i += fkmi_groups() * FKMI_GROUP) {
		int64_t b = i / k_count, k = i - b * k_count;
		int32_t before = 0;
		if (!active[b])
			continue;
		for (int64_t block = 0; block < blocks; block++) {
			FKMI_GLOBAL int32_t *place = &places[(b * blocks + block) * k_count + k];
			int32_t count = *place;
			*place = before;
			before += count;
		}
	}
}

/* Writes the rows to their places in order, block by block: rows of a label stay in order. */
FKMI_KERNEL fkmi_k_sort_place(FKMI_ARG(const int32_t, active), FKMI_ARG(const int32_t, labels),
							  FKMI_ARG(int32_t, places), FKMI_ARG(const int64_t, offsets), FKMI_ARG(int64_t, order),
							  int64_t n, int64_t k_count, int64_t block_rows, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(int32_t, places);
	FKMI_USE(const int64_t, offsets);
	FKMI_USE(int64_t, order);
	FKMI_LOCAL_ARRAY(int32_t, near, FKMI_GROUP);
	const int item = fkmi_item();
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, first = (work - b * blocks) * block_rows, end = fkmi_smaller(n, first + block_rows);
		for (int64_t i0 = first; i0 < end; i0 += FKMI_GROUP) {
			int64_t i = i0 + item;
			int32_t label = i < end ? labels[b * n + i] : -1, before = 0, after = 0;
			near[item] = label;
			FKMI_BARRIER();
			for (int other = 0; other < FKMI_GROUP; other++) {
				if (near[other] == label) {
					before += other < item;
					after += other > item;
				}
			}
			int32_t place = 0;
			if (label >= 0)
				place = places[work * k_count + label];
			FKMI_BARRIER_ALL();
			if (label >= 0) {
				order[b * n + offsets[b * (k_count + 1) + label] + place + before] = i;
				if (after == 0)
					places[work * k_count + label] = place + before + 1;
			}
			FKMI_BARRIER_ALL();
		}
	}
}

#endif
