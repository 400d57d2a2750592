/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sweep of the matrix-core tiles: scores of FKMI_POINTS_OF_TILE rows with all centroids, none of which reaches
 * memory.
 *
 * A wave has FKMI_WAVE_POINTS points of its own; all waves share the centroids, which come stage by stage into one of
 * two places in local memory while the other is multiplied. Points are brought once and stay in registers (STEPS
 * fragments of 16 dimensions), or, where d is large (STEPS = 0), their slabs of 32 dimensions come with those of every
 * tile of centroids. Rows in local memory are FKMI_MATRIX_PAD elements longer than what they hold.
 */
#ifndef FKMI_MATRIX_SWEEP_H
#define FKMI_MATRIX_SWEEP_H

template <int STEPS> struct fkmi_stage {
	static constexpr int DIMS = STEPS == 0 ? FKMI_MATRIX_SLAB : STEPS * FKMI_MATRIX_STEP;
	static constexpr int PITCH = DIMS + FKMI_MATRIX_PAD;
	static constexpr int CENTROIDS = FKMI_MATRIX_CENTROIDS(STEPS, FKMI_RESIDENT, FKMI_STREAMED);
	static constexpr int POINT_BYTES = STEPS == 0 ? FKMI_MATRIX_POINT_BYTES(FKMI_POINTS_OF_TILE) : 0;
	static constexpr int BYTES = FKMI_MATRIX_STAGE_BYTES(STEPS, FKMI_POINTS_OF_TILE, CENTROIDS);
	static constexpr int NORMS = POINT_BYTES + CENTROIDS * PITCH * 2; /* offset */
};

/* ---- centroids: global to local memory ---- */

/* Copies a stage's operands and halves; begin() starts, and end() is followed by a barrier. */
template <int STEPS> struct fkmi_centroid_copy {
	typedef fkmi_stage<STEPS> stage;
	static constexpr int CHUNKS = stage::DIMS / 8; /* of 16 bytes, in a row */
	static constexpr int COUNT = stage::CENTROIDS * CHUNKS, EACH = (COUNT + FKMI_GROUP - 1) / FKMI_GROUP;
#if !defined(FKMI_MATRIX_MMA)
	uint4 held[EACH], held_norms;
#endif

	static FKMI_LANE FKMI_LOCAL uint4 *place(FKMI_LOCAL char *to, int i)
	{
		return (FKMI_LOCAL uint4 *)(to + stage::POINT_BYTES + i / CHUNKS * (stage::PITCH * 2) + i % CHUNKS * 16);
	}
	static FKMI_LANE FKMI_LOCAL uint4 *norms_place(FKMI_LOCAL char *to)
	{
		return (FKMI_LOCAL uint4 *)(to + stage::NORMS) + fkmi_item();
	}
	static FKMI_LANE FKMI_GLOBAL const uint4 *source(const struct fkmi_matrix_operands *o, int32_t k, int32_t j, int i)
	{
		return (FKMI_GLOBAL const uint4 *)(o->rows + (int64_t)(k + i / CHUNKS) * o->padded_d + j + i % CHUNKS * 8);
	}

	FKMI_LANE void begin(const struct fkmi_matrix_operands *o, int32_t k, int32_t j, FKMI_LOCAL char *to)
	{
#pragma unroll
		for (int each = 0; each < EACH; each++) {
			const int i = each * FKMI_GROUP + fkmi_item();
			if (COUNT % FKMI_GROUP == 0 || i < COUNT) {
#if defined(FKMI_MATRIX_MMA)
				fkmi_copy16(place(to, i), source(o, k, j, i));
#else
				held[each] = *source(o, k, j, i);
#endif
			}
		}
		if (fkmi_item() < stage::CENTROIDS / 4) {
			FKMI_GLOBAL const uint4 *norms = (FKMI_GLOBAL const uint4 *)(o->halves + k) + fkmi_item();
#if defined(FKMI_MATRIX_MMA)
			fkmi_copy16(norms_place(to), norms);
#else
			held_norms = *norms;
#endif
		}
	}

	FKMI_LANE void end(FKMI_LOCAL char *to)
	{
#if defined(FKMI_MATRIX_MMA)
		(void)to;
		fkmi_copy_wait();
#else
#pragma unroll
		for (int each = 0; each < EACH; each++) {
			const int i = each * FKMI_GROUP + fkmi_item();
			if (COUNT % FKMI_GROUP == 0 || i < COUNT)
				*place(to, i) = held[each];
		}
		if (fkmi_item() < stage::CENTROIDS / 4)
			*norms_place(to) = held_norms;
#endif
	}
};

/* ---- points: global memory to operands in local memory ---- */

enum {
	FKMI_BRING_PIECES = FKMI_MATRIX_SLAB / FKMI_BRINGS,        /* items that share a row of a slab */
	FKMI_BRING_STRIDE = FKMI_GROUP / FKMI_BRING_PIECES,        /* rows between an item's */
	FKMI_BRING_ROWS = FKMI_POINTS_OF_TILE / FKMI_BRING_STRIDE, /* of an item */
};

/* An item's rows, its eight dimensions of each of them on the way, and what it knows of |X^|^2 and of the rounding. */
struct fkmi_bringer {
	struct fkmi_brought from[FKMI_BRING_ROWS];
	uint32_t raw[FKMI_BRING_ROWS][FKMI_BRINGS];
	float squares[FKMI_BRING_ROWS], residual[FKMI_BRING_ROWS];
};

/* Of row fkmi_item() of the tile, if there is one: |X^|^2, and |2^12 (X^ - X)|^2. */
struct fkmi_measured {
	float squares, residual;
};

FKMI_INLINE int fkmi_bring_row(int i)
{
	return fkmi_item() / FKMI_BRING_PIECES + i * FKMI_BRING_STRIDE;
}

FKMI_INLINE int fkmi_bring_piece(void)
{
	return fkmi_item() % FKMI_BRING_PIECES * FKMI_BRINGS;
}

FKMI_INLINE void fkmi_bringer_fetch(struct fkmi_bringer *bringer, int32_t j, int32_t d)
{
#pragma unroll
	for (int i = 0; i < FKMI_BRING_ROWS; i++)
		fkmi_fetch(&bringer->from[i], j + fkmi_bring_piece(), d, bringer->raw[i]);
}

/* Makes operands of dimensions j .. of what was fetched; measures: adds to squares and residual. */
FKMI_INLINE void fkmi_bringer_put(struct fkmi_bringer *bringer, const struct fkmi_matrix_operands *o, int32_t j,
								  FKMI_LOCAL char *to, bool measures)
{
	const int piece = fkmi_bring_piece();
	float nu[FKMI_BRINGS], m[FKMI_BRINGS];
#pragma unroll
	for (int e = 0; e < FKMI_BRINGS; e++) {
		const float mu = o->shifts || measures ? o->mu[j + piece + e] : 0.0f;
		nu[e] = o->shifts ? mu : 0.0f;
		m[e] = o->shifts ? 0.0f : mu * FKMI_MATRIX_UNIT;
	}
#pragma unroll
	for (int i = 0; i < FKMI_BRING_ROWS; i++) {
		const struct fkmi_brought *from = &bringer->from[i];
		uint32_t operands[FKMI_BRINGS / 2];
		if (o->half_scale != 0) {
#pragma unroll
			for (int e = 0; e < FKMI_BRINGS / 2; e++)
				operands[e] = fkmi_multiply_halves(bringer->raw[i][e], o->half_scale);
		} else {
			float y[FKMI_BRINGS];
			fkmi_decode8(from->points.dtype, bringer->raw[i], y);
			if (from->points.row_scale != 0) {
#pragma unroll
				for (int e = 0; e < FKMI_BRINGS; e++)
					y[e] = (float)((double)y[e] * from->factor * (double)o->scale - (double)nu[e]) * FKMI_MATRIX_UNIT;
			} else {
#pragma unroll
				for (int e = 0; e < FKMI_BRINGS; e++)
					y[e] = FKMI_MULTIPLY_ADD(y[e], o->scale, -nu[e]) * FKMI_MATRIX_UNIT;
			}
#pragma unroll
			for (int e = 0; e < FKMI_BRINGS; e += 2) {
				operands[e / 2] = fkmi_floats_to_halves(y[e], y[e + 1]);
				if (measures) {
					const float low = y[e] - fkmi_half_to_float((uint16_t)operands[e / 2]);
					const float high = y[e + 1] - fkmi_half_to_float((uint16_t)(operands[e / 2] >> 16));
					bringer->residual[i] =
						FKMI_MULTIPLY_ADD(low, low, FKMI_MULTIPLY_ADD(high, high, bringer->residual[i]));
				}
			}
		}
		if (measures) {
#pragma unroll
			for (int e = 0; e < FKMI_BRINGS; e += 2) {
				const float low = fkmi_half_to_float((uint16_t)operands[e / 2]) - m[e];
				const float high = fkmi_half_to_float((uint16_t)(operands[e / 2] >> 16)) - m[e + 1];
				bringer->squares[i] = FKMI_MULTIPLY_ADD(low, low, FKMI_MULTIPLY_ADD(high, high, bringer->squares[i]));
			}
		}
		uint4 eight;
		eight.x = operands[0];
		eight.y = operands[1];
		eight.z = operands[2];
		eight.w = operands[3];
		*(FKMI_LOCAL uint4 *)(to + (fkmi_bring_row(i) * (FKMI_MATRIX_SLAB + FKMI_MATRIX_PAD) + piece) * 2) = eight;
	}
}

/* Sums over the items that brought a row's pieces. The group calls it together, and after a barrier. */
FKMI_INLINE struct fkmi_measured fkmi_bringer_sum(const struct fkmi_bringer *bringer, FKMI_LOCAL char *local)
{
	FKMI_LOCAL float *sums = (FKMI_LOCAL float *)local;
	struct fkmi_measured measured = {0, 0};
#pragma unroll
	for (int i = 0; i < FKMI_BRING_ROWS; i++) {
		const int place = fkmi_item() % FKMI_BRING_PIECES * FKMI_POINTS_OF_TILE + fkmi_bring_row(i);
		sums[place] = bringer->squares[i];
		sums[FKMI_BRING_PIECES * FKMI_POINTS_OF_TILE + place] = bringer->residual[i];
	}
	FKMI_BARRIER();
	for (int part = 0; part < FKMI_BRING_PIECES && fkmi_item() < FKMI_POINTS_OF_TILE; part++) {
		measured.squares += sums[part * FKMI_POINTS_OF_TILE + fkmi_item()];
		measured.residual += sums[(FKMI_BRING_PIECES + part) * FKMI_POINTS_OF_TILE + fkmi_item()];
	}
	FKMI_BARRIER();
	measured.squares *= 1.0f / (FKMI_MATRIX_UNIT * FKMI_MATRIX_UNIT);
	return measured;
}

/* ---- scores ---- */

/* Of a lane's point: the best score and the greatest of the others. The four scores of the group that has the best are
 * kept, so that its place there need only be found once. */
struct fkmi_best {
	float best, second; /* second: without the kept group's other three */
	float kept[4];
	int32_t group; /* its first centroid, without the lane's own part */
};

/* What a lane does with the scores of its points: keeps the best, or lists all from a threshold on. */
struct fkmi_best_taker {
	struct fkmi_best points[FKMI_WAVE_FRAGMENTS][FKMI_LANE_POINTS];

	FKMI_LANE void clear(void)
	{
#pragma unroll
		for (int f = 0; f < FKMI_WAVE_FRAGMENTS; f++)
#pragma unroll
			for (int p = 0; p < FKMI_LANE_POINTS; p++) {
				struct fkmi_best *s = &points[f][p];
				s->best = s->second = -fkmi_bits_float(0x7f800000u);
				s->kept[0] = s->kept[1] = s->kept[2] = s->kept[3] = s->best;
				s->group = 0;
			}
	}

	FKMI_LANE void take(int f, int p, const float (&v)[4], int32_t k, int lane, int group)
	{
		struct fkmi_best *s = &points[f][p];
		const float most = FKMI_MAX(FKMI_MAX(v[0], v[1]), FKMI_MAX(v[2], v[3]));
		const bool better = most > s->best;
		(void)lane;
		s->second = FKMI_MAX(s->second, FKMI_MIN(most, s->best));
		s->best = FKMI_MAX(s->best, most);
		if (better) {
			s->group = k + fkmi_group_first(0, group);
#pragma unroll
			for (int i = 0; i < 4; i++)
				s->kept[i] = v[i];
		}
	}
};

struct fkmi_list_taker {
	FKMI_LOCAL int32_t *candidates, *counts;
	float thresholds[FKMI_WAVE_FRAGMENTS][FKMI_LANE_POINTS];

	FKMI_LANE void take(int f, int p, const float (&v)[4], int32_t k, int lane, int group)
	{
		const float threshold = thresholds[f][p];
		if (!(FKMI_MAX(FKMI_MAX(v[0], v[1]), FKMI_MAX(v[2], v[3])) >= threshold))
			return;
		const int row =
			fkmi_item() / FKMI_WAVE * FKMI_WAVE_POINTS + f * FKMI_FRAGMENT_POINTS + fkmi_lane_point(lane, p);
		for (int i = 0; i < 4; i++) {
			if (!(v[i] >= threshold))
				continue;
			const int32_t place = fkmi_local_add32(&counts[row], 1);
			if (place < FKMI_CANDIDATES)
				candidates[row * FKMI_CANDIDATES + place] = k + fkmi_group_first(lane, group) + fkmi_group_place(i);
		}
	}
};

/* The scores of centroids k .. of one fragment with all the wave's points: from -h on, and what becomes of them. */
FKMI_INLINE void fkmi_start_scores(struct fkmi_scores (&scores)[FKMI_WAVE_FRAGMENTS], FKMI_LOCAL const float *halves,
								   int lane)
{
#pragma unroll
	for (int group = 0; group < FKMI_LANE_GROUPS; group++)
#pragma unroll
		for (int i = 0; i < 4; i++) {
			const float start = -halves[fkmi_group_first(lane, group) + fkmi_group_place(i)];
#pragma unroll
			for (int f = 0; f < FKMI_WAVE_FRAGMENTS; f++)
#pragma unroll
				for (int p = 0; p < FKMI_LANE_POINTS; p++)
					*fkmi_score(&scores[f], p, group, i) = start;
		}
}

template <class TAKER>
FKMI_INLINE void fkmi_take_scores(TAKER &taker, struct fkmi_scores (&scores)[FKMI_WAVE_FRAGMENTS], int32_t k, int lane)
{
#pragma unroll
	for (int f = 0; f < FKMI_WAVE_FRAGMENTS; f++)
#pragma unroll
		for (int p = 0; p < FKMI_LANE_POINTS; p++)
#pragma unroll
			for (int group = 0; group < FKMI_LANE_GROUPS; group++) {
				const float v[4] = {*fkmi_score(&scores[f], p, group, 0), *fkmi_score(&scores[f], p, group, 1),
									*fkmi_score(&scores[f], p, group, 2), *fkmi_score(&scores[f], p, group, 3)};
				taker.take(f, p, v, k, lane, group);
			}
}

/* ---- the sweep ---- */

/* Points in registers. */
template <int STEPS, class TAKER>
FKMI_INLINE void fkmi_sweep_resident(struct fkmi_bringer *bringer, const struct fkmi_matrix_operands *o,
									 FKMI_LOCAL char *local, TAKER &taker, bool measures,
									 struct fkmi_measured &measured)
{
	typedef fkmi_stage<STEPS> stage;
	constexpr int SLAB_STEPS = FKMI_MATRIX_SLAB / FKMI_MATRIX_STEP, SLAB_PITCH = FKMI_MATRIX_SLAB + FKMI_MATRIX_PAD;
	const int lane = fkmi_item() % FKMI_WAVE, first = fkmi_item() / FKMI_WAVE * FKMI_WAVE_POINTS;
	struct fkmi_point_fragment points[FKMI_WAVE_FRAGMENTS][STEPS];
	/* One copy of the code, which is long, for all slabs; each is fetched a turn before it is put. */
#pragma unroll 1
	for (int step = -SLAB_STEPS; step < STEPS; step += SLAB_STEPS) {
		const int32_t j = step * FKMI_MATRIX_STEP;
		if (step >= 0)
			fkmi_bringer_put(bringer, o, j, local, measures);
		if (step + SLAB_STEPS < STEPS)
			fkmi_bringer_fetch(bringer, j + FKMI_MATRIX_SLAB, o->d);
		FKMI_BARRIER();
		FKMI_LOCAL const uint16_t *rows = (FKMI_LOCAL const uint16_t *)local + first * SLAB_PITCH;
#pragma unroll
		for (int s = 0; s < STEPS; s++)
			if (s / SLAB_STEPS * SLAB_STEPS == step) {
#pragma unroll
				for (int f = 0; f < FKMI_WAVE_FRAGMENTS; f++)
					fkmi_load_points(&points[f][s],
									 rows + f * FKMI_FRAGMENT_POINTS * SLAB_PITCH + s % SLAB_STEPS * FKMI_MATRIX_STEP,
									 SLAB_PITCH, lane);
			}
		FKMI_BARRIER();
	}

	if (measures)
		measured = fkmi_bringer_sum(bringer, local);

	struct fkmi_centroid_copy<STEPS> copy;
	FKMI_LOCAL char *here = local, *next = local + stage::BYTES;
	copy.begin(o, 0, 0, here);
	copy.end(here);
	FKMI_BARRIER();
#pragma unroll 1
	for (int32_t k = 0; k < o->padded_k; k += stage::CENTROIDS) {
		const bool more = k + stage::CENTROIDS < o->padded_k;
		if (more)
			copy.begin(o, k + stage::CENTROIDS, 0, next);
		FKMI_LOCAL const uint16_t *rows = (FKMI_LOCAL const uint16_t *)here;
		FKMI_LOCAL const float *halves = (FKMI_LOCAL const float *)(here + stage::NORMS);
#pragma unroll 1
		for (int c = 0; c < stage::CENTROIDS; c += FKMI_BLOCK * FKMI_FRAGMENT_CENTROIDS) {
			struct fkmi_scores scores[FKMI_BLOCK][FKMI_WAVE_FRAGMENTS];
#pragma unroll
			for (int block = 0; block < FKMI_BLOCK; block++)
				fkmi_start_scores(scores[block], halves + c + block * FKMI_FRAGMENT_CENTROIDS, lane);
#pragma unroll
			for (int step = 0; step < STEPS; step++)
#pragma unroll
				for (int block = 0; block < FKMI_BLOCK; block++) {
					struct fkmi_centroid_fragment centroids;
					fkmi_load_centroids(&centroids,
										rows + (c + block * FKMI_FRAGMENT_CENTROIDS) * stage::PITCH +
											step * FKMI_MATRIX_STEP,
										stage::PITCH, lane);
#pragma unroll
					for (int f = 0; f < FKMI_WAVE_FRAGMENTS; f++)
						fkmi_multiply_add(&scores[block][f], &centroids, &points[f][step]);
				}
#pragma unroll
			for (int block = 0; block < FKMI_BLOCK; block++)
				fkmi_take_scores(taker, scores[block], k + c + block * FKMI_FRAGMENT_CENTROIDS, lane);
		}
		if (more)
			copy.end(next);
		FKMI_BARRIER();
		FKMI_LOCAL char *other = here;
		here = next;
		next = other;
	}
}

/* Points slab by slab. */
template <class TAKER>
FKMI_INLINE void fkmi_sweep_streamed(struct fkmi_bringer *bringer, const struct fkmi_matrix_operands *o,
									 FKMI_LOCAL char *local, TAKER &taker, bool measures,
									 struct fkmi_measured &measured)
{
	typedef fkmi_stage<0> stage;
	constexpr int BLOCKS = stage::CENTROIDS / FKMI_FRAGMENT_CENTROIDS;
	const int lane = fkmi_item() % FKMI_WAVE, first = fkmi_item() / FKMI_WAVE * FKMI_WAVE_POINTS;
	struct fkmi_centroid_copy<0> copy;
	struct fkmi_scores scores[BLOCKS][FKMI_WAVE_FRAGMENTS];
	FKMI_LOCAL char *here = local + stage::BYTES, *next = local;
	/* The first turn only brings what the second multiplies, so that there is one copy of the code, which is long. */
	int32_t k = 0, j = 0, next_k = 0, next_j = 0;
	bool brought = false;
#pragma unroll 1
	for (;;) {
		const bool more = next_k < o->padded_k;
		if (more) {
			fkmi_bringer_fetch(bringer, next_j, o->d);
			copy.begin(o, next_k, next_j, next);
		}
		if (brought) {
			FKMI_LOCAL const uint16_t *x = (FKMI_LOCAL const uint16_t *)here;
			FKMI_LOCAL const uint16_t *c = (FKMI_LOCAL const uint16_t *)(here + stage::POINT_BYTES);
			if (j == 0) {
#pragma unroll
				for (int block = 0; block < BLOCKS; block++)
					fkmi_start_scores(scores[block],
									  (FKMI_LOCAL const float *)(here + stage::NORMS) + block * FKMI_FRAGMENT_CENTROIDS,
									  lane);
			}
#pragma unroll
			for (int step = 0; step < FKMI_MATRIX_SLAB; step += FKMI_MATRIX_STEP) {
				struct fkmi_point_fragment points[FKMI_WAVE_FRAGMENTS];
#pragma unroll
				for (int f = 0; f < FKMI_WAVE_FRAGMENTS; f++)
					fkmi_load_points(&points[f], x + (first + f * FKMI_FRAGMENT_POINTS) * stage::PITCH + step,
									 stage::PITCH, lane);
#pragma unroll
				for (int block = 0; block < BLOCKS; block++) {
					struct fkmi_centroid_fragment centroids;
					fkmi_load_centroids(&centroids, c + block * FKMI_FRAGMENT_CENTROIDS * stage::PITCH + step,
										stage::PITCH, lane);
#pragma unroll
					for (int f = 0; f < FKMI_WAVE_FRAGMENTS; f++)
						fkmi_multiply_add(&scores[block][f], &centroids, &points[f]);
				}
			}
		}
		if (more) {
			fkmi_bringer_put(bringer, o, next_j, next, measures && next_k == 0);
			copy.end(next);
		}
		FKMI_BARRIER();
		if (brought && j + FKMI_MATRIX_SLAB >= o->padded_d) {
#pragma unroll
			for (int block = 0; block < BLOCKS; block++)
				fkmi_take_scores(taker, scores[block], k + block * FKMI_FRAGMENT_CENTROIDS, lane);
		}
		if (!more)
			break;
		brought = true;
		k = next_k;
		j = next_j;
		next_j += FKMI_MATRIX_SLAB;
		if (next_j >= o->padded_d) {
			next_j = 0;
			next_k += stage::CENTROIDS;
		}
		FKMI_LOCAL char *other = here;
		here = next;
		next = other;
	}
	FKMI_BARRIER();
	if (measures)
		measured = fkmi_bringer_sum(bringer, local);
}

/* measures: gives measured. */
template <int STEPS, class TAKER>
FKMI_INLINE void fkmi_matrix_sweep(struct fkmi_bringer *bringer, const struct fkmi_matrix_operands *o,
								   FKMI_LOCAL char *local, TAKER &taker, bool measures, struct fkmi_measured &measured)
{
#pragma unroll
	for (int i = 0; i < FKMI_BRING_ROWS; i++)
		bringer->squares[i] = bringer->residual[i] = 0;
	if constexpr (STEPS != 0)
		fkmi_sweep_resident<STEPS>(bringer, o, local, taker, measures, measured);
	else
		fkmi_sweep_streamed(bringer, o, local, taker, measures, measured);
}

#endif
