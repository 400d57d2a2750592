/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the assignment kernels have in common, whatever computes their scores: reading rows, telling different centroids
 * apart, and what becomes of a row after the filter: it is decided, or it goes to a list: listed, with its threshold,
 * for a recheck that gathers candidates and decides among them by D in f64, or scanned.
 */
#ifndef FKMI_COMMON_ROWS_H
#define FKMI_COMMON_ROWS_H

/* ---- centroids ---- */

/* 2^p: brings the largest coordinate of the points to about 1. */
FKMI_INLINE float fkmi_filter_scale(FKMI_GLOBAL const int64_t *state, int64_t b)
{
	int p = -fkmi_exponent(fkmi_bits_double(state[b * FKMI_STATE_MEMBERS + FKMI_STATE_POINT_MAX]));
	p = p < -126 ? -126 : p > 126 ? 126 : p;
	return (float)fkmi_power2(p);
}

/* Hash of a coordinate; the sum over a row's is the row's. Zeros of both signs are equal. */
FKMI_INLINE uint32_t fkmi_hash(double c, int64_t j)
{
	uint64_t bits = c == 0 ? 0 : (uint64_t)fkmi_double_bits(c);
	bits = (bits ^ (uint64_t)j * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
	bits = (bits ^ bits >> 32) * 0xD6E8FEB86659FD93u;
	return (uint32_t)(bits >> 32);
}

FKMI_INLINE bool fkmi_same_row(FKMI_GLOBAL const double *a, FKMI_GLOBAL const double *b, int64_t d)
{
	for (int64_t j = 0; j < d; j++)
		if (a[j] != b[j])
			return false;
	return true;
}

/* Enters centroid k of `all` into a problem's table of different centroids and returns its slot: open addressing, `slots`
 * (a power of two), -1: free. Equal centroids meet in one slot, which keeps the lowest of them. */
FKMI_INLINE int32_t fkmi_enter(FKMI_GLOBAL int32_t *table, int64_t slots, FKMI_GLOBAL const double *all, int32_t k,
							   int64_t d, uint32_t hash)
{
	int64_t slot = hash & (slots - 1);
	for (;; slot = (slot + 1) & (slots - 1)) {
		int32_t other = fkmi_compare_exchange32(&table[slot], -1, k);
		if (other == -1)
			break;
		if (fkmi_same_row(all + other * d, all + k * d, d)) {
			fkmi_min32(&table[slot], k);
			break;
		}
	}
	return (int32_t)slot;
}

/* ---- reading rows ---- */

/* A row whose coordinates an item brings to local memory. */
struct fkmi_brought {
	struct fkmi_points points;
	int64_t row; /* index of the row's first element; -1: past the last row */
	double factor;
	bool wide; /* eight elements may be read at once */
};

enum { FKMI_BRINGS = 8 }; /* coordinates, at a time */

/* i: the row, or -1. */
FKMI_INLINE struct fkmi_brought fkmi_bring(const struct fkmi_points *p, int64_t b, int64_t i, int32_t wide)
{
	struct fkmi_brought from = {*p, -1, 1, wide != 0};
	if (i >= 0) {
		from.row = fkmi_row(p, b, i);
		from.factor = fkmi_row_factor(p, b, i);
	}
	return from;
}

/* Reads coordinates j .. j+7 as bits; zeros past d. */
FKMI_INLINE void fkmi_fetch(const struct fkmi_brought *from, int32_t j, int32_t d, uint32_t *raw)
{
	fkmi_fetch8(&from->points, from->row + j, from->row < 0 ? 0 : d - j, from->wide, raw);
}

/* ---- after the filter ---- */

/* What becomes of a row. */
enum { FKMI_ROW_NONE, FKMI_ROW_DECIDED, FKMI_ROW_LISTED, FKMI_ROW_SCANNED };

struct fkmi_settled {
	int32_t label;   /* if decided */
	float threshold; /* if listed */
	int32_t fate;
};

/* Rows of a span, [b, rows], and how many there are, [b]. */
struct fkmi_lists {
	FKMI_GLOBAL int32_t *listed;
	FKMI_GLOBAL float *thresholds; /* of listed */
	FKMI_GLOBAL int32_t *scanned, *listed_count, *scanned_count;
};

enum { FKMI_SETTLE_COUNTS = 5 }; /* changed, listed, scanned; where the last two go */

/* Gives each item's row, number i of the span, its label or its place in a list, and counts. A whole group must call it
 * together, and after a barrier. labels and previous (or null): the span's first row is at index start. */
FKMI_INLINE void fkmi_settle(const struct fkmi_settled *settled, const struct fkmi_lists *lists,
							 FKMI_LOCAL int32_t *counts, FKMI_GLOBAL int64_t *counters, FKMI_GLOBAL int32_t *labels,
							 FKMI_GLOBAL int32_t *previous, int64_t b, int64_t start, int64_t i, int64_t rows)
{
	const int item = fkmi_item();
	int32_t place = 0;
	if (item < 3)
		counts[item] = 0;
	FKMI_BARRIER();
	if (settled->fate != FKMI_ROW_NONE) {
		const int32_t before = labels[start + i];
		if (previous != 0)
			previous[start + i] = before;
		if (settled->fate == FKMI_ROW_DECIDED) {
			labels[start + i] = settled->label;
			if (before != settled->label)
				fkmi_local_add32(&counts[0], 1);
		} else {
			place = fkmi_local_add32(&counts[settled->fate == FKMI_ROW_LISTED ? 1 : 2], 1);
		}
	}
	FKMI_BARRIER();
	if (item == 0) {
		FKMI_GLOBAL int64_t *s = counters + b * FKMI_STATE_MEMBERS;
		if (counts[0] > 0)
			fkmi_add64(&s[FKMI_STATE_CHANGED], counts[0]);
		if (counts[1] + counts[2] > 0)
			fkmi_add64(&s[FKMI_STATE_RECHECKED], counts[1] + counts[2]);
		counts[3] = counts[1] > 0 ? fkmi_add32(&lists->listed_count[b], counts[1]) : 0;
		counts[4] = counts[2] > 0 ? fkmi_add32(&lists->scanned_count[b], counts[2]) : 0;
	}
	FKMI_BARRIER();
	if (settled->fate == FKMI_ROW_LISTED) {
		lists->listed[b * rows + counts[3] + place] = (int32_t)i;
		lists->thresholds[b * rows + counts[3] + place] = settled->threshold;
	}
	if (settled->fate == FKMI_ROW_SCANNED)
		lists->scanned[b * rows + counts[4] + place] = (int32_t)i;
	FKMI_BARRIER();
}

/* ---- recheck ---- */

/* Where candidates go, FKMI_CANDIDATES of each of a tile's rows; more are counted. */
struct fkmi_gathered {
	FKMI_LOCAL int32_t *candidates, *counts;
	FKMI_LOCAL const float *thresholds;
};

/* What f64 finds of a row: the nearest centroid, lowest index first, and whether another one is as near. */
struct fkmi_verdict {
	double distance;
	int32_t label; /* -1: nothing yet */
	int32_t tie;
};

FKMI_INLINE void fkmi_consider(struct fkmi_verdict *v, double distance, int32_t k)
{
	if (v->label < 0 || distance < v->distance) {
		v->distance = distance;
		v->label = k;
		v->tie = 0;
	} else if (distance == v->distance) {
		v->label = k < v->label ? k : v->label;
		v->tie = 1;
	}
}

/* Writes a decided row's label, and counts. */
FKMI_INLINE void fkmi_decide(FKMI_GLOBAL int32_t *label, FKMI_GLOBAL int64_t *state, struct fkmi_verdict v)
{
	int32_t before = *label;
	*label = v.label;
	if (before != v.label)
		fkmi_add64(&state[FKMI_STATE_CHANGED], 1);
	if (v.tie)
		fkmi_add64(&state[FKMI_STATE_TIES], 1);
}

/* Decides the first `count` of a tile's listed rows, of at most `points`, by the candidates gathered of them; those with
 * too many, or none, go to the list of scanned rows. A whole group must call it together, and after a barrier. */
FKMI_INLINE void fkmi_decide_candidates(const struct fkmi_points *p, FKMI_GLOBAL const double *centroids,
										int64_t k_count, FKMI_GLOBAL int32_t *labels, FKMI_GLOBAL int64_t *counters,
										const struct fkmi_gathered *gathered, const struct fkmi_lists *lists,
										FKMI_GLOBAL const int32_t *listed, int64_t count, int points,
										FKMI_LOCAL double *buffer, int64_t b, int64_t row, int64_t rows)
{
	const int item = fkmi_item();
	for (int round = 0; round < points / FKMI_OCTETS; round++) {
		int r = round * FKMI_OCTETS + item / 8;
		bool mine = r < count;
		int64_t i = mine ? row + listed[r] : 0;
		int32_t found = mine ? gathered->counts[r] : 0;
		struct fkmi_verdict verdict = {0, -1, 0};
		for (int c = 0; c < FKMI_CANDIDATES; c++) {
			bool has = c < found && found <= FKMI_CANDIDATES;
			int32_t k = has ? gathered->candidates[r * FKMI_CANDIDATES + c] : 0;
			double part = 0;
			if (has)
				part = fkmi_partial_distance(p, fkmi_row(p, b, i), fkmi_row_factor(p, b, i),
											 centroids + (b * k_count + k) * p->d);
			part = fkmi_sum8(buffer, part);
			if (has)
				fkmi_consider(&verdict, part, k);
		}
		if (mine && (item & 7) == 0) {
			if (verdict.label >= 0)
				fkmi_decide(&labels[b * p->n + i], counters + b * FKMI_STATE_MEMBERS, verdict);
			else
				lists->scanned[b * rows + fkmi_add32(&lists->scanned_count[b], 1)] = (int32_t)(i - row);
		}
	}
}

/* As fkmi_next, for the tiles of `points` rows that have listed rows. */
FKMI_INLINE int64_t fkmi_next_listed(FKMI_GLOBAL const int32_t *active, FKMI_GLOBAL const int32_t *count, int64_t work,
									 int64_t tiles, int32_t points, int64_t b_count)
{
	while (work < b_count * tiles && (!active[work / tiles] || work % tiles * points >= count[work / tiles]))
		work += fkmi_groups();
	return work;
}

#endif
