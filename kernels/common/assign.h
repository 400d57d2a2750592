/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of the steps prepare and assign that are the same for every portable tile: the operands, and scan. */
#ifndef FKMI_COMMON_ASSIGN_H
#define FKMI_COMMON_ASSIGN_H

/* ---- prepare ---- */

enum { FKMI_MEAN_SETS = FKMI_GROUP / FKMI_MEAN_COLUMNS };

/* mu = 2^p times the mean of some of the centroids, spread evenly, as far as it is near the points' range, which some
 * centroids may be far from; norm_max = 0. One group for FKMI_MEAN_COLUMNS columns. */
FKMI_KERNEL fkmi_k_filter_mean(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, centroids),
							   FKMI_ARG(const int64_t, state), FKMI_ARG(float, mu), FKMI_ARG(int32_t, norm_max),
							   int64_t k_count, int64_t d, int64_t padded_d, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, centroids);
	FKMI_USE(const int64_t, state);
	FKMI_USE(float, mu);
	FKMI_USE(int32_t, norm_max);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	const int item = fkmi_item(), set = item / FKMI_MEAN_COLUMNS;
	const int64_t samples = fkmi_smaller(k_count, FKMI_GROUP);
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, j = (work - b * blocks) * FKMI_MEAN_COLUMNS + item % FKMI_MEAN_COLUMNS;
		double sum = 0;
		for (int64_t s = j < d ? set : samples; s < samples; s += FKMI_MEAN_SETS)
			sum += centroids[(b * k_count + s * k_count / samples) * d + j];
		buffer[item] = sum;
		FKMI_BARRIER();
		if (set == 0 && j < padded_d) {
			for (int other = 1; other < FKMI_MEAN_SETS; other++)
				sum += buffer[other * FKMI_MEAN_COLUMNS + item];
			sum = sum / (double)samples * (double)fkmi_filter_scale(state, b);
			mu[b * padded_d + j] = (float)(sum < -1 ? -1 : sum > 1 ? 1 : sum);
		}
		if (item == 0 && j == 0)
			norm_max[b] = 0;
		FKMI_BARRIER();
	}
}

/* Operands of each centroid in panels of `panel` of them, by an octet, and its entry in the table of different centroids. */
FKMI_KERNEL fkmi_k_filter_operands(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, centroids),
								   FKMI_ARG(const int64_t, state), FKMI_ARG(const float, mu), FKMI_ARG(float, panels),
								   FKMI_ARG(float, halves), FKMI_ARG(float, norms), FKMI_ARG(int32_t, norm_max),
								   FKMI_ARG(int32_t, table), FKMI_ARG(int32_t, slot_of), int64_t slots, int64_t k_count,
								   int64_t panel, int64_t padded, int64_t d, int64_t padded_d, int64_t blocks,
								   int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, centroids);
	FKMI_USE(const int64_t, state);
	FKMI_USE(const float, mu);
	FKMI_USE(float, panels);
	FKMI_USE(float, halves);
	FKMI_USE(float, norms);
	FKMI_USE(int32_t, norm_max);
	FKMI_USE(int32_t, table);
	FKMI_USE(int32_t, slot_of);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int32_t, hashes, FKMI_OCTETS);
	const int lane = fkmi_item() & 7, octet = fkmi_item() / 8;
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, k = (work - b * blocks) * FKMI_OCTETS + octet;
		if (lane == 0)
			hashes[octet] = 0;
		FKMI_BARRIER();
		const bool real = k < k_count;
		const double scale = (double)fkmi_filter_scale(state, b);
		FKMI_GLOBAL const double *all = centroids + b * k_count * d;
		FKMI_GLOBAL float *to = panels + (b * padded + k - k % panel) * d + k % panel;
		double sum = 0;
		uint32_t hash = 0;
		for (int64_t j = lane; j < d; j += 8) {
			double z = 0;
			if (real) {
				z = all[k * d + j] * scale - (double)mu[b * padded_d + j];
				hash += fkmi_hash(all[k * d + j], j);
			}
			sum += z * z;
			to[j * panel] = (float)z;
		}
		sum = fkmi_sum8(buffer, sum);
		fkmi_local_add32(&hashes[octet], (int32_t)hash);
		FKMI_BARRIER();
		if (lane == 0) {
			float norm = (float)(sqrt(sum) * 1.000001);
			halves[b * padded + k] = real ? (float)(sum * 0.5) : fkmi_bits_float(0x7f800000u);
			norms[b * padded + k] = real ? norm : 0.0f;
			if (real) {
				fkmi_max32(&norm_max[b], fkmi_float_bits(norm));
				slot_of[b * k_count + k] =
					fkmi_enter(table + b * slots, slots, all, (int32_t)k, d, (uint32_t)hashes[octet]);
			}
		}
		FKMI_BARRIER();
	}
}

/* Takes the centroids that equal an earlier one out of the filter, and marks them with a slot of -1. */
FKMI_KERNEL fkmi_k_filter_unique(FKMI_ARG(const int32_t, active), FKMI_ARG(const int32_t, table),
								 FKMI_ARG(int32_t, slot_of), FKMI_ARG(float, halves), int64_t slots, int64_t k_count,
								 int64_t padded, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const int32_t, table);
	FKMI_USE(int32_t, slot_of);
	FKMI_USE(float, halves);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < b_count * k_count; i += fkmi_groups() * FKMI_GROUP) {
		int64_t b = i / k_count, k = i - b * k_count;
		if (!active[b] || table[b * slots + slot_of[i]] == (int32_t)k)
			continue;
		halves[b * padded + k] = fkmi_bits_float(0x7f800000u);
		slot_of[i] = -1;
	}
}

/* ---- scan ---- */

/* Decides the rows of scanned by all different centroids; `groups` groups share those of a problem. */
FKMI_KERNEL fkmi_k_scan(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_ARG(const int32_t, slot_of),
						FKMI_ARG(const double, centroids), FKMI_ARG(int32_t, labels), FKMI_ARG(int64_t, counters),
						FKMI_ARG(const int32_t, scanned), FKMI_ARG(const int32_t, scanned_count), int64_t k_count,
						int64_t row, int64_t rows, int64_t groups, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_USE(const int32_t, slot_of);
	FKMI_USE(const double, centroids);
	FKMI_USE(int32_t, labels);
	FKMI_USE(int64_t, counters);
	FKMI_USE(const int32_t, scanned);
	FKMI_USE(const int32_t, scanned_count);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int32_t, found, FKMI_OCTETS);
	FKMI_LOCAL_ARRAY(int32_t, ties, FKMI_OCTETS);
	const int item = fkmi_item(), octet = item / 8;
	FKMI_EACH(work, groups)
	{
		int64_t b = work / groups;
		for (int64_t entry = work - b * groups; entry < scanned_count[b]; entry += groups) {
			int64_t i = row + scanned[b * rows + entry], start = fkmi_row(&p, b, i);
			double factor = fkmi_row_factor(&p, b, i);
			struct fkmi_verdict verdict = {0, -1, 0};
			for (int64_t k0 = 0; k0 < k_count; k0 += FKMI_OCTETS) {
				int64_t k = k0 + octet;
				bool unique = k < k_count && slot_of[b * k_count + k] >= 0;
				double part = 0;
				if (unique)
					part = fkmi_partial_distance(&p, start, factor, centroids + (b * k_count + k) * d);
				part = fkmi_sum8(buffer, part);
				if (unique)
					fkmi_consider(&verdict, part, (int32_t)k);
			}
			if ((item & 7) == 0) {
				buffer[octet] = verdict.distance;
				found[octet] = verdict.label;
				ties[octet] = verdict.tie;
			}
			FKMI_BARRIER();
			if (item == 0) {
				for (int other = 1; other < FKMI_OCTETS; other++) {
					if (found[other] < 0)
						continue;
					int32_t tie = ties[other] && buffer[other] <= verdict.distance;
					fkmi_consider(&verdict, buffer[other], found[other]);
					verdict.tie |= tie;
				}
				fkmi_decide(&labels[b * n + i], counters + b * FKMI_STATE_MEMBERS, verdict);
			}
			FKMI_BARRIER();
		}
	}
}

#endif
