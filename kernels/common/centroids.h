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
			fkmi_lower_index(&state[b * FKMI_STATE_MEMBERS + FKMI_STATE_BAD_CENTROID], bad);
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

/* to[b][i] = point rows[b][i], or zeros where that is -1, `count` of each problem. listed: the points are only those, in
 * this order. */
FKMI_KERNEL fkmi_k_gather_rows(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, int32_t listed,
							   FKMI_ARG(const int64_t, rows), FKMI_ARG(double, to), int64_t count, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_USE(const int64_t, rows);
	FKMI_USE(double, to);
	for (int64_t i = fkmi_group() * FKMI_GROUP + fkmi_item(); i < b_count * count * d;
		 i += fkmi_groups() * FKMI_GROUP) {
		int64_t entry = i / d, b = entry / count;
		if (!active[b])
			continue;
		const int64_t row = rows[entry], start = fkmi_row(&p, b, listed ? entry - b * count : row);
		to[i] = row < 0 ? 0.0 : fkmi_coordinate(&p, start, fkmi_row_factor(&p, b, row), i - entry * d);
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
	bool listed; /* the points are only the rows of the pairs, in this order */
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

/* at: where among the points the row is. */
FKMI_INLINE int64_t fkmi_quantised_at(const struct fkmi_quantiser *q, int64_t row, int64_t at, int64_t j)
{
	double x = fkmi_coordinate(q->points, fkmi_row(q->points, q->b, at), fkmi_row_factor(q->points, q->b, row), j);
	return fkmi_rint(fkmi_weight(q->weights, q->b, row) * x * q->scale[j]);
}

FKMI_INLINE int64_t fkmi_quantised(const struct fkmi_quantiser *q, int64_t row, int64_t j)
{
	return fkmi_quantised_at(q, row, row, j);
}

FKMI_INLINE int64_t fkmi_quantised_weight(const struct fkmi_quantiser *q, int64_t row)
{
	return fkmi_rint(fkmi_weight(q->weights, q->b, row) * q->weight_scale);
}

FKMI_INLINE int64_t fkmi_quantised_move(const struct fkmi_moves *moves, const struct fkmi_quantiser *q, int64_t pair,
										int64_t j)
{
	int64_t row = moves->rows[pair];
	return j < 0 ? fkmi_quantised_weight(q, row) : fkmi_quantised_at(q, row, moves->listed ? pair : row, j);
}

/* A sum of cluster k after the moves, from the one before; j is a column, or -1 for the sum of the weights. pair is the
 * cluster's filling pair. What left an empty cluster before it was filled anew does not matter. */
FKMI_INLINE int64_t fkmi_moved_sum(const struct fkmi_moves *moves, const struct fkmi_quantiser *q, int64_t sum,
								   int64_t pair, int64_t k, int64_t j)
{
	if (pair >= 0)
		sum = fkmi_quantised_move(moves, q, pair, j);
	/* Of a pair that takes its row from the very cluster it fills, the weight goes last, the coordinates first. */
	for (int64_t i = moves->heads[k]; i >= 0; i = moves->next[i])
		if (i > pair || (i == pair && j < 0))
			sum -= fkmi_quantised_move(moves, q, i, j);
	return sum;
}

/* 2^-e from 2^e, |e| <= 1022. */
FKMI_INLINE double fkmi_inverse_power2(double power)
{
	return fkmi_bits_double(((int64_t)2046 << 52) - fkmi_double_bits(power));
}

/*
 * a / b from inverse = 1 / b, where nothing overflows or is subnormal: the first two lines after the product leave less
 * than a last place of error, from where the last two round correctly, as inverse is the nearest to 1 / b (Markstein).
 */
FKMI_INLINE double fkmi_divide(double a, double b, double inverse)
{
	double q = a * inverse;
	q = fma(fma(-b, q, a), inverse, q);
	return fma(fma(-b, q, a), inverse, q);
}

/* What an octet works on while it finishes a cluster. */
struct fkmi_finishing {
	struct fkmi_quantiser quantiser;
	struct fkmi_moves moves;
	int64_t pair, k;                 /* see fkmi_moved_sum */
	FKMI_GLOBAL const int64_t *sums; /* of the cluster */
	FKMI_GLOBAL double *centroid;
	double divisor, inverse, weight_scale;
	int64_t d;
	bool moved, cosine;
};

enum { FKMI_FINISH_AHEAD = 8 }; /* columns that a lane reads together */

/* An octet's lane: columns j, j+8, ..., `count` of them at most, go into its part of Q (norms) or of the shift, for
 * which they are made. count, norms and moved are constants. */
FKMI_INLINE double fkmi_finish_columns(const struct fkmi_finishing *f, int64_t j, int count, bool norms, bool moved,
									   double part)
{
	int64_t sum[FKMI_FINISH_AHEAD];
	double old[FKMI_FINISH_AHEAD], grid[FKMI_FINISH_AHEAD];
	FKMI_UNROLL
	for (int v = 0; v < count; v++) {
		const bool is = j + 8 * v < f->d;
		sum[v] = is ? f->sums[j + 8 * v] : 0;
		old[v] = is && !norms ? f->centroid[j + 8 * v] : 0.0;
		grid[v] = is && !norms ? f->quantiser.scale[j + 8 * v] : 1.0;
	}
	FKMI_UNROLL
	for (int v = 0; v < count; v++) {
		if (moved)
			sum[v] = fkmi_moved_sum(&f->moves, &f->quantiser, sum[v], f->pair, f->k, j + 8 * v);
		double t = (double)sum[v];
		if (!norms) {
			double c = fkmi_divide(t, f->divisor, f->inverse);
			if (!f->cosine)
				c = c * f->weight_scale * fkmi_inverse_power2(grid[v]);
			if (j + 8 * v < f->d)
				f->centroid[j + 8 * v] = c;
			t = c - old[v];
		}
		/* What lies past the last column adds 0. */
		part = fma(t, t, part);
	}
	return part;
}

FKMI_INLINE double fkmi_finish_part(const struct fkmi_finishing *f, bool norms)
{
	double part = 0;
	if (f->moved)
		for (int64_t j = fkmi_item() & 7; j < f->d; j += 8)
			part = fkmi_finish_columns(f, j, 1, norms, true, part);
	else
		for (int64_t j = fkmi_item() & 7; j < f->d; j += 8 * FKMI_FINISH_AHEAD)
			part = fkmi_finish_columns(f, j, FKMI_FINISH_AHEAD, norms, false, part);
	return part;
}

/* New centroids in place and each one's shift: an octet to each cluster. */
FKMI_KERNEL fkmi_k_finish(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, int32_t listed, FKMI_WEIGHTS_ARGS,
						  FKMI_ARG(const double, scale), FKMI_ARG(const int64_t, state), FKMI_MOVES_ARGS,
						  int32_t relocates, FKMI_ARG(const int64_t, sums), FKMI_ARG(const int64_t, weight_sums),
						  FKMI_ARG(double, centroids), FKMI_ARG(double, shifts), int32_t cosine, int64_t k_count,
						  int64_t blocks, int64_t b_count)
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
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	FKMI_EACH(work, blocks)
	{
		const int64_t b = work / blocks, k = (work - b * blocks) * FKMI_OCTETS + fkmi_item() / 8;
		const int64_t cluster = b * k_count + k;
		const bool mine = k < k_count;
		struct fkmi_finishing f = {
			{&p, &w, scale + b * d, fkmi_bits_double(state[b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]), b},
			{relocates ? move_count[b] : 0, move_rows + b * k_count, move_targets + b * k_count,
			 move_heads + b * k_count, move_next + b * k_count, listed != 0},
			-1,
			k,
			sums + cluster * d,
			centroids + cluster * d,
			1,
			1,
			1,
			0,
			false,
			cosine != 0,
		};
		int64_t weight = mine ? weight_sums[cluster] : 0;
		if (mine && f.moves.count > 0) {
			f.pair = fkmi_filling_pair(&f.moves, k);
			f.moved = f.pair >= 0 || f.moves.heads[k] >= 0;
		}
		if (f.moved)
			weight = fkmi_moved_sum(&f.moves, &f.quantiser, weight, f.pair, k, -1);
		/* A cluster of weight 0 keeps its centroid. */
		f.d = weight != 0 ? d : 0;
		f.divisor = (double)weight;
		f.weight_scale = f.quantiser.weight_scale;
		if (cosine) {
			f.divisor = sqrt(fkmi_sum8(buffer, fkmi_finish_part(&f, true)));
			f.d = f.divisor != 0 ? f.d : 0;
		}
		f.inverse = 1 / f.divisor;
		const double shift = fkmi_sum8(buffer, fkmi_finish_part(&f, false));
		if (mine && (fkmi_item() & 7) == 0)
			shifts[cluster] = shift;
	}
}

enum { FKMI_SHIFT_AHEAD = 8 }; /* shifts that an item reads together */

/* The state's shift: R8 of the clusters' shifts. One group per problem. */
FKMI_KERNEL fkmi_k_shift(FKMI_ARG(const int32_t, active), FKMI_ARG(const double, shifts), FKMI_ARG(int64_t, state),
						 int64_t k_count, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_USE(const double, shifts);
	FKMI_USE(int64_t, state);
	FKMI_LOCAL_ARRAY(double, tile, FKMI_SHIFT_AHEAD *FKMI_GROUP);
	FKMI_LOCAL_ARRAY(double, buffer, FKMI_GROUP);
	const int item = fkmi_item();
	FKMI_EACH(b, 1)
	{
		double part = 0;
		for (int64_t k0 = 0; k0 < k_count; k0 += FKMI_SHIFT_AHEAD * FKMI_GROUP) {
			for (int v = 0; v < FKMI_SHIFT_AHEAD; v++) {
				const int64_t k = k0 + v * FKMI_GROUP + item;
				tile[v * FKMI_GROUP + item] = k < k_count ? shifts[b * k_count + k] : 0.0;
			}
			FKMI_BARRIER();
			const int count = (int)fkmi_smaller(k_count - k0, FKMI_SHIFT_AHEAD * FKMI_GROUP);
			for (int i = item; item < 8 && i < count; i += 8)
				part += tile[i];
			FKMI_BARRIER();
		}
		part = fkmi_sum8(buffer, item < 8 ? part : 0.0);
		if (item == 0)
			state[b * FKMI_STATE_MEMBERS + FKMI_STATE_SHIFT] = fkmi_double_bits(part);
	}
}

#endif
