/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of the steps load_centroids, round_centroids, store_centroids, gather_centroids and finish. */
#ifndef FKMI_COMMON_CENTROIDS_H
#define FKMI_COMMON_CENTROIDS_H

/* centroids = from, exactly; normalised for cosine; the state's bad_centroid is lowered to the first bad element. */
FKMI_KERNEL fkmi_k_load_centroids(FKMI_ARG(const int32_t, active), FKMI_ARG(const char, from), int32_t dtype,
								  int64_t row_stride, int64_t batch_stride, FKMI_ARG(double, centroids),
								  FKMI_ARG(int64_t, state), int32_t cosine, int64_t k_count, int64_t d, int64_t blocks,
								  int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const char, from);
	FKMI_USE(double, centroids);
	FKMI_USE(int64_t, state);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	const int lane = fkmi_item() & 7;
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, k = (work - b * blocks) * FKMI_OCTETS + fkmi_item() / 8;
		int64_t row = b * batch_stride + k * row_stride, bad = FKMI_NONE_YET;
		double q = 0;
		for (int64_t j = k < k_count ? lane : d; j < d; j += 8) {
			double c = fkmi_load_double(from, dtype, row + j);
			if (!(fabs(c) <= 1606938044258990275541962092341162602522202993782792835301376.0)) /* 2^200 */
				bad = fkmi_smaller(bad, k * d + j);
			q = fma(c, c, q);
		}
		if (bad != FKMI_NONE_YET)
			fkmi_min64(&state[b * FKMI_STATE_MEMBERS + FKMI_STATE_BAD_CENTROID], bad);
		q = fkmi_sum8(buffer, q);
		double r = 1;
		if (cosine && !(fabs(q - 1) <= 1e-6))
			r = q == 0 ? 0.0 : 1.0 / sqrt(q);
		for (int64_t j = k < k_count ? lane : d; j < d; j += 8)
			centroids[(b * k_count + k) * d + j] = fkmi_load_double(from, dtype, row + j) * r;
	}
}

/* Rounds to f32 in place, numbers beyond its range to the largest finite one. */
FKMI_KERNEL fkmi_k_round_centroids(FKMI_ARG(const int32_t, active), FKMI_ARG(double, centroids), int64_t elements,
								   int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(double, centroids);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < b_count * elements; i += fkmi_groups() * FKMI_GROUP)
		if (active[i / elements])
			centroids[i] = (double)(float)fmax(-3.4028234663852886e38, fmin(centroids[i], 3.4028234663852886e38));
}

/* Writes f32 copies. */
FKMI_KERNEL fkmi_k_store_centroids(FKMI_ARG(const double, centroids), FKMI_ARG(float, to), int64_t count)
{
	FKMI_USE(const double, centroids);
	FKMI_USE(float, to);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < count; i += fkmi_groups() * FKMI_GROUP)
		to[i] = (float)centroids[i];
}

/* Centroid k = point rows[b][k]. */
FKMI_KERNEL fkmi_k_gather_centroids(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_ARG(const int64_t, rows),
									FKMI_ARG(double, centroids), int64_t k_count, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_USE(const int64_t, rows);
	FKMI_USE(double, centroids);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < b_count * k_count * d;
		 i += fkmi_groups() * FKMI_GROUP) {
		int64_t cluster = i / d, b = cluster / k_count, row = rows[cluster];
		if (!active[b])
			continue;
		centroids[i] = fkmi_coordinate(&p, fkmi_row(&p, b, row), fkmi_row_factor(&p, b, row), i - cluster * d);
	}
}

/* ---- finish ---- */

/*
 * The points that relocate moves (section 3.3), which are applied here, while means are taken, and nowhere else: sums
 * stay those of the labels. Pair i moves row rows[i] to cluster targets[i]; targets ascend. The pairs whose row leaves
 * cluster k are heads[k], next[heads[k]], ..., until -1. All of one problem.
 */
struct fkmi_moves {
	int64_t count;
	FKMI_GLOBAL const int64_t *rows;
	FKMI_GLOBAL const int32_t *targets, *heads, *next;
};

#define FKMI_MOVES_ARGS                                                                                                \
	FKMI_ARG(const int64_t, move_count), FKMI_ARG(const int64_t, move_rows), FKMI_ARG(const int32_t, move_targets),    \
		FKMI_ARG(const int32_t, move_heads), FKMI_ARG(const int32_t, move_next)
#define FKMI_MOVES_USE                                                                                                 \
	FKMI_USE(const int64_t, move_count);                                                                               \
	FKMI_USE(const int64_t, move_rows);                                                                                \
	FKMI_USE(const int32_t, move_targets);                                                                             \
	FKMI_USE(const int32_t, move_heads);                                                                               \
	FKMI_USE(const int32_t, move_next)

/* The pair that fills cluster k, or -1. */
FKMI_INLINE int64_t fkmi_filling_pair(const struct fkmi_moves *moves, int64_t k)
{
	int64_t low = 0, high = moves->count;
	while (low < high) {
		int64_t middle = (low + high) / 2;
		if (moves->targets[middle] < k)
			low = middle + 1;
		else
			high = middle;
	}
	return low < moves->count && moves->targets[low] == k ? low : -1;
}

/* What quantises a row, section 3.2. */
struct fkmi_quantiser {
	const struct fkmi_points *points;
	const struct fkmi_weights *weights;
	FKMI_GLOBAL const double *scale; /* of the problem's columns */
	double weight_scale;
	int64_t b;
};

FKMI_INLINE int64_t fkmi_quantised(const struct fkmi_quantiser *q, int64_t row, int64_t j)
{
	double x = fkmi_coordinate(q->points, fkmi_row(q->points, q->b, row), fkmi_row_factor(q->points, q->b, row), j);
	return fkmi_rint(fkmi_weight(q->weights, q->b, row) * x * q->scale[j]);
}

FKMI_INLINE int64_t fkmi_quantised_weight(const struct fkmi_quantiser *q, int64_t row)
{
	return fkmi_rint(fkmi_weight(q->weights, q->b, row) * q->weight_scale);
}

/* A sum of cluster k after the moves, from the one before; j is a column, or -1 for the sum of the weights. pair is the
 * cluster's filling pair. What left an empty cluster before it was filled anew does not matter. */
FKMI_INLINE int64_t fkmi_moved_sum(const struct fkmi_moves *moves, const struct fkmi_quantiser *q, int64_t sum,
								   int64_t pair, int64_t k, int64_t j)
{
	if (pair >= 0)
		sum = j < 0 ? fkmi_quantised_weight(q, moves->rows[pair]) : fkmi_quantised(q, moves->rows[pair], j);
	/* Of a pair that takes its row from the very cluster it fills, the weight goes last, the coordinates first. */
	for (int64_t i = moves->heads[k]; i >= 0; i = moves->next[i])
		if (i > pair || (i == pair && j < 0))
			sum -= j < 0 ? fkmi_quantised_weight(q, moves->rows[i]) : fkmi_quantised(q, moves->rows[i], j);
	return sum;
}

/* 2^-e from 2^e, |e| <= 1022. */
FKMI_INLINE double fkmi_inverse_power2(double power)
{
	return fkmi_bits_double(((int64_t)2046 << 52) - fkmi_double_bits(power));
}

/* A row for each cluster of a group, each 8 longer than it must be, so that octets read from different banks. */
enum { FKMI_FINISH_TILE = FKMI_GROUP * FKMI_FINISH_COLUMNS + 8 * FKMI_OCTETS };

/*
 * New centroids in place and each one's shift. `lanes` items, a power of two from 8 to FKMI_FINISH_LANES, share a
 * cluster; what is summed in eight ways (section 1) goes through a tile of columns in local memory to octets of items.
 */
FKMI_KERNEL fkmi_k_finish(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_WEIGHTS_ARGS,
						  FKMI_ARG(const double, scale), FKMI_ARG(const int64_t, state), FKMI_MOVES_ARGS,
						  int32_t relocates, FKMI_ARG(const int64_t, sums), FKMI_ARG(const int64_t, weight_sums),
						  FKMI_ARG(double, centroids), FKMI_ARG(double, shifts), int32_t cosine, int64_t k_count,
						  int32_t lanes, int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_WEIGHTS_MAKE(w);
	FKMI_USE(const double, scale);
	FKMI_USE(const int64_t, state);
	FKMI_MOVES_USE;
	FKMI_USE(const int64_t, sums);
	FKMI_USE(const int64_t, weight_sums);
	FKMI_USE(double, centroids);
	FKMI_USE(double, shifts);
	FKMI_LOCAL_ARRAY(double, tile, FKMI_FINISH_TILE);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(double, norms, FKMI_OCTETS);
	const int item = fkmi_item(), lane = item & (lanes - 1), clusters = FKMI_GROUP / lanes;
	const int width = lanes * FKMI_FINISH_COLUMNS, own_row = item / lanes * (width + 8);
	const int octet = item / 8, octet_row = octet * (width + 8);
	FKMI_EACH(work, blocks)
	{
		int64_t b = work / blocks, k0 = (work - b * blocks) * clusters, k = k0 + item / lanes;
		bool mine = k < k_count;
		double weight_scale = fkmi_bits_double(state[b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]);
		struct fkmi_quantiser q = {&p, &w, scale + b * d, weight_scale, b};
		struct fkmi_moves moves = {relocates ? move_count[b] : 0, move_rows + b * k_count, move_targets + b * k_count,
								   move_heads + b * k_count, move_next + b * k_count};
		bool moved = mine && moves.count > 0;
		int64_t pair = moved ? fkmi_filling_pair(&moves, k) : -1, weight = 0;
		moved = moved && (pair >= 0 || moves.heads[k] >= 0);
		if (mine)
			weight = weight_sums[b * k_count + k];
		if (moved)
			weight = fkmi_moved_sum(&moves, &q, weight, pair, k, -1);
		FKMI_GLOBAL const int64_t *sum = sums + (b * k_count + k) * d;
		FKMI_GLOBAL double *c = centroids + (b * k_count + k) * d;
		bool keeps = weight == 0;
		double norm = 0;
		/* Cosine takes the norms of the sums first. */
		for (int takes_norms = cosine ? 1 : 0; takes_norms >= 0; takes_norms--) {
			double part = 0;
			for (int64_t j0 = 0; j0 < d; j0 += width) {
				int64_t s[FKMI_FINISH_COLUMNS];
				double old[FKMI_FINISH_COLUMNS], grid[FKMI_FINISH_COLUMNS];
				for (int v = 0; v < FKMI_FINISH_COLUMNS; v++) {
					int64_t j = keeps ? d : j0 + v * lanes + lane;
					s[v] = j < d ? sum[j] : 0;
					old[v] = j < d ? c[j] : 0.0;
					grid[v] = j < d ? q.scale[j] : 1.0;
				}
				/* Rare, and long: through the tile, to keep it out of what is unrolled. */
				for (int64_t j = moved && !keeps ? lane : width; j < width && j0 + j < d; j += lanes)
					tile[own_row + j] = (double)fkmi_moved_sum(&moves, &q, sum[j0 + j], pair, k, j0 + j);
				for (int v = 0; v < FKMI_FINISH_COLUMNS; v++) {
					int64_t j = keeps ? d : j0 + v * lanes + lane;
					double t = 0;
					if (j < d) {
						double m = moved ? tile[own_row + v * lanes + lane] : (double)s[v];
						if (takes_norms) {
							t = m;
						} else {
							m = cosine ? m / norm : m / (double)weight * weight_scale * fkmi_inverse_power2(grid[v]);
							t = m - old[v];
							c[j] = m;
						}
					}
					tile[own_row + v * lanes + lane] = t;
				}
				FKMI_BARRIER();
				for (int i = octet < clusters ? item & 7 : width; i < width; i += 8) {
					double t = tile[octet_row + i];
					part = fma(t, t, part);
				}
				FKMI_BARRIER();
			}
			part = fkmi_sum8(buffer, part);
			bool tells = octet < clusters && (item & 7) == 0;
			if (takes_norms) {
				if (tells)
					norms[octet] = sqrt(part);
				FKMI_BARRIER();
				norm = norms[item / lanes];
				keeps = keeps || norm == 0;
			} else if (tells && k0 + octet < k_count) {
				shifts[b * k_count + k0 + octet] = part;
			}
		}
	}
}

/* The state's shift: R8 of the clusters' shifts. One group per problem. */
FKMI_KERNEL fkmi_k_shift(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, shifts), FKMI_ARG(int64_t, state),
						 int64_t k_count, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, shifts);
	FKMI_USE(int64_t, state);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	const int item = fkmi_item();
	FKMI_EACH(b, 1)
	{
		double part = 0;
		for (int64_t k0 = 0; k0 < k_count; k0 += FKMI_GROUP) {
			buffer[item] = k0 + item < k_count ? shifts[b * k_count + k0 + item] : 0.0;
			FKMI_BARRIER();
			for (int i = item; item < 8 && i < FKMI_GROUP; i += 8)
				part += buffer[i];
			FKMI_BARRIER();
		}
		part = fkmi_sum8(buffer, item < 8 ? part : 0.0);
		if (item == 0)
			state[b * FKMI_STATE_MEMBERS + FKMI_STATE_SHIFT] = fkmi_double_bits(part);
	}
}

#endif
