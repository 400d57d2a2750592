/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of the step accumulate: section 3.2 for the rows row .. row+rows-1 of every problem. Sums are integers, so
 * that the order of additions does not matter. Two ways:
 *
 *   - Few sums (FKMI_LOCAL_SUMS): each group adds a piece of the rows to sums of its own in local memory.
 *   - Otherwise there is a list of entries, each a row that is added to a cluster or taken from one: FULL has every row
 * once, DELTA has those whose label changed, once for the new cluster and once for the previous one. The list is sorted
 * by cluster (count, start, place), and an item adds a few columns of a piece of it in registers, touching memory once
 * per cluster. DELTA makes the sums anew where that takes fewer entries, which only the device knows.
 */
#ifndef FKMI_COMMON_UPDATE_H
#define FKMI_COMMON_UPDATE_H

enum {
	FKMI_LABELS_AHEAD = FKMI_PLACE_ROWS / FKMI_GROUP, /* rows of an item whose labels are read together */
	FKMI_PLACES_AHEAD = 4                             /* clusters for which it takes places together */
};

/* The label of rows i, i + FKMI_GROUP, ... and the previous one, -1 if there is none (or previous is null): where they
 * differ, the row is added to the one cluster and, from 0 up, taken from the other. Both are -1 from row `end` on. */
FKMI_INLINE void fkmi_read_labels(FKMI_GLOBAL const int32_t *labels, FKMI_GLOBAL const int32_t *previous, int64_t i,
								  int64_t end, int32_t *to, int32_t *from)
{
	FKMI_UNROLL
	for (int r = 0; r < FKMI_LABELS_AHEAD; r++, i += FKMI_GROUP) {
		to[r] = i < end ? labels[i] : -1;
		from[r] = i < end && previous != 0 ? previous[i] : -1;
	}
}

/* ---- few sums ---- */

/* Adds v to a 64-bit number whose halves lie in two arrays. */
FKMI_INLINE void fkmi_local_add64(FKMI_LOCAL int32_t *low, FKMI_LOCAL int32_t *high, int64_t at, int64_t v)
{
	uint32_t before = (uint32_t)fkmi_local_add32(&low[at], (int32_t)v), after = before + (uint32_t)v;
	int32_t carry = (int32_t)(v >> 32) + (after < before ? 1 : 0);
	if (carry != 0)
		fkmi_local_add32(&high[at], carry);
}

/* K * (d + 1) <= FKMI_LOCAL_SUMS. An item takes a row at a time, so that rows should be short. */
FKMI_KERNEL fkmi_k_local_sums(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_WEIGHTS_ARGS,
							  FKMI_ARG(const int32_t, labels), FKMI_ARG(const int32_t, previous), int64_t row,
							  int64_t rows, FKMI_ARG(const double, scale), FKMI_ARG(const int64_t, state),
							  FKMI_ARG(int64_t, sums), FKMI_ARG(int64_t, weight_sums), int32_t k_count, int64_t piece,
							  int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_POINTS_MAKE(p);
	FKMI_WEIGHTS_MAKE(weight);
	FKMI_USE(const int32_t, labels);
	FKMI_USE(const int32_t, previous);
	FKMI_USE(const double, scale);
	FKMI_USE(const int64_t, state);
	FKMI_USE(int64_t, sums);
	FKMI_USE(int64_t, weight_sums);
	FKMI_LOCAL_ARRAY(int32_t, low, FKMI_LOCAL_SUMS);
	FKMI_LOCAL_ARRAY(int32_t, high, FKMI_LOCAL_SUMS);
	/* A cluster has a sum for each column and, last, that of its weights. */
	const int item = fkmi_item(), columns = (int)d, width = columns + 1, count = k_count * width;
	FKMI_EACH(work, pieces)
	{
		const int64_t b = work / pieces, first = (work - b * pieces) * piece, end = fkmi_smaller(rows, first + piece);
		const double weight_scale = fkmi_bits_double(state[b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]);
		FKMI_GLOBAL const int32_t *label = labels + b * n + row,
								  *old = previous != 0 ? previous + b * n + row : previous;
		for (int i = item; i < count; i += FKMI_GROUP)
			low[i] = high[i] = 0;
		FKMI_BARRIER();
		for (int64_t i = first + item; i < end; i += FKMI_LABELS_AHEAD * FKMI_GROUP) {
			int32_t to[FKMI_LABELS_AHEAD], from[FKMI_LABELS_AHEAD];
			fkmi_read_labels(label, old, i, end, to, from);
			for (int r = 0; r < FKMI_LABELS_AHEAD; r++) {
				const int64_t mine = row + i + r * FKMI_GROUP;
				if (to[r] == from[r])
					continue;
				const double w = fkmi_weight(&weight, b, mine), factor = fkmi_row_factor(&p, b, mine);
				const int64_t start = fkmi_row(&p, b, mine);
				const int64_t weight_part = fkmi_rint(w * weight_scale);
				fkmi_local_add64(low, high, to[r] * width + columns, weight_part);
				if (from[r] >= 0)
					fkmi_local_add64(low, high, from[r] * width + columns, -weight_part);
				for (int j = 0; j < columns; j++) {
					const int64_t q = fkmi_rint(w * fkmi_coordinate(&p, start, factor, j) * scale[b * d + j]);
					fkmi_local_add64(low, high, to[r] * width + j, q);
					if (from[r] >= 0)
						fkmi_local_add64(low, high, from[r] * width + j, -q);
				}
			}
		}
		FKMI_BARRIER();
		for (int s = item; s < count; s += FKMI_GROUP) {
			int64_t sum = (int64_t)((uint64_t)(uint32_t)high[s] << 32 | (uint32_t)low[s]);
			int k = s / width, column = s - k * width;
			if (sum != 0 && column < columns)
				fkmi_add64(&sums[(b * k_count + k) * d + column], sum);
			else if (sum != 0)
				fkmi_add64(&weight_sums[b * k_count + k], sum);
		}
		FKMI_BARRIER();
	}
}

/* ---- entries by cluster ---- */

/*
 * An entry is the number of a row of the span that is added to the cluster of its label or, with the bit FKMI_TAKES,
 * taken from the cluster of its previous label. The entries of a cluster lie together; clusters lie in any order, so that
 * nothing has to wait for the counts of all clusters before.
 */
struct fkmi_entries {
	FKMI_GLOBAL const int32_t *labels, *previous; /* from the span's first row on; previous null: FULL */
	int64_t rows, count;                          /* count: of entries */
	bool all;                                     /* each row is added, none is taken */
};

#define FKMI_ENTRIES_ARGS                                                                                              \
	FKMI_ARG(const int32_t, labels), FKMI_ARG(const int32_t, previous), FKMI_ARG(int32_t, changed), int64_t n,         \
		int64_t row, int64_t rows
#define FKMI_ENTRIES_USE                                                                                               \
	FKMI_USE(const int32_t, labels);                                                                                   \
	FKMI_USE(const int32_t, previous);                                                                                 \
	FKMI_USE(int32_t, changed)
#define FKMI_ENTRIES_MAKE(e, b)                                                                                        \
	const struct fkmi_entries e =                                                                                      \
		fkmi_make_entries(labels + (b) * n + row, previous != 0 ? previous + (b) * n + row : previous,                 \
						  (uint32_t)changed[b], rows, rows == n)

/* changed: entries of DELTA. If there are more of them than rows, the sums are made anew, where the span is the whole
 * problem. */
FKMI_INLINE struct fkmi_entries fkmi_make_entries(FKMI_GLOBAL const int32_t *labels,
												  FKMI_GLOBAL const int32_t *previous, uint32_t changed, int64_t rows,
												  bool whole)
{
	const bool all = previous == 0 || (whole && changed > rows);
	const struct fkmi_entries e = {labels, previous, rows, all ? rows : changed, all};
	return e;
}

#define FKMI_TAKES ((uint32_t)1 << 31)

/*
 * counts[b][0][k] += rows of cluster k, counts[b][1][k] += its entries of DELTA, changed[b] += those of all clusters.
 * All are zero before. A group takes `piece` rows, at most 16384.
 */
FKMI_KERNEL fkmi_k_count_entries(FKMI_ARG(const int32_t, active), FKMI_ENTRIES_ARGS, FKMI_ARG(int32_t, counts),
								 int64_t k_count, int64_t piece, int64_t pieces, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_ENTRIES_USE;
	FKMI_USE(int32_t, counts);
	/* Rows in the lower half of each number, entries in the upper. */
	FKMI_LOCAL_ARRAY(int32_t, found, FKMI_LOCAL_COUNTS);
	FKMI_LOCAL_ARRAY(int32_t, made, 1);
	const int item = fkmi_item();
	const bool local_counts = k_count <= FKMI_LOCAL_COUNTS, full = previous == 0;
	const int64_t local_k = local_counts ? k_count : 0;
	FKMI_EACH(work, pieces)
	{
		const int64_t b = work / pieces, first = (work - b * pieces) * piece, end = fkmi_smaller(rows, first + piece);
		FKMI_GLOBAL int32_t *count = counts + b * 2 * k_count;
		FKMI_ENTRIES_MAKE(e, b);
		for (int64_t k = item; k < local_k; k += FKMI_GROUP)
			found[k] = 0;
		if (item == 0)
			made[0] = 0;
		FKMI_BARRIER();
		int32_t mine = 0;
		for (int64_t i = first + item; i < end; i += FKMI_LABELS_AHEAD * FKMI_GROUP) {
			int32_t to[FKMI_LABELS_AHEAD], from[FKMI_LABELS_AHEAD];
			fkmi_read_labels(e.labels, e.previous, i, end, to, from);
			FKMI_UNROLL
			for (int r = 0; r < FKMI_LABELS_AHEAD; r++) {
				const bool adds = !full && to[r] != from[r], takes = adds && from[r] >= 0;
				if (to[r] >= 0 && local_counts)
					fkmi_local_add32(&found[to[r]], adds ? 0x10001 : 1);
				if (takes && local_counts)
					fkmi_local_add32(&found[from[r]], 0x10000);
				if (to[r] >= 0 && !local_counts)
					fkmi_add32(&count[to[r]], 1);
				if (adds && !local_counts)
					fkmi_add32(&count[k_count + to[r]], 1);
				if (takes && !local_counts)
					fkmi_add32(&count[k_count + from[r]], 1);
				mine += (adds ? 1 : 0) + (takes ? 1 : 0);
			}
		}
		if (mine != 0)
			fkmi_local_add32(&made[0], mine);
		FKMI_BARRIER();
		for (int64_t k = item; k < local_k; k += FKMI_GROUP) {
			const int32_t added = found[k] & 0xffff, entries = (int32_t)((uint32_t)found[k] >> 16);
			if (added != 0)
				fkmi_add32(&count[k], added);
			if (entries != 0)
				fkmi_add32(&count[k_count + k], entries);
		}
		if (item == 0 && made[0] != 0)
			fkmi_add32(&changed[b], made[0]);
		FKMI_BARRIER();
	}
}

/* Gives each cluster a part of the list: counts[b][0][k] becomes its first place, whose bit of heads[b] is set. used[b]
 * is how much of the list is given away. heads and used are zero before. */
FKMI_KERNEL fkmi_k_start_entries(FKMI_ARG(const int32_t, active), FKMI_ENTRIES_ARGS, FKMI_ARG(int32_t, counts),
								 FKMI_ARG(int32_t, used), FKMI_ARG(int32_t, heads), int64_t head_words, int64_t k_count,
								 int64_t blocks, int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_ENTRIES_USE;
	FKMI_USE(int32_t, counts);
	FKMI_USE(int32_t, used);
	FKMI_USE(int32_t, heads);
	FKMI_LOCAL_ARRAY(int64_t, buffer, FKMI_GROUP);
	FKMI_LOCAL_ARRAY(int32_t, start, 1);
	FKMI_EACH(work, blocks)
	{
		const int64_t b = work / blocks, k = (work - b * blocks) * FKMI_GROUP + fkmi_item();
		FKMI_ENTRIES_MAKE(e, b);
		FKMI_GLOBAL int32_t *count = counts + b * 2 * k_count + k;
		int64_t total;
		const int32_t mine = k >= k_count ? 0 : e.all ? count[0] : count[k_count];
		uint32_t at = (uint32_t)fkmi_group_prefix(buffer, mine, &total);
		if (fkmi_item() == 0)
			start[0] = fkmi_add32(&used[b], (int32_t)total);
		FKMI_BARRIER();
		at += (uint32_t)start[0];
		if (k < k_count)
			count[0] = (int32_t)at;
		if (mine > 0)
			fkmi_or32(&heads[b * head_words + at / 32], (int32_t)((uint32_t)1 << at % 32));
		FKMI_BARRIER();
	}
}

/* Writes the entries to their places in list[b], of list_rows each; a group takes FKMI_PLACE_ROWS rows at a time.
 * places: [b][2][K], of which [0] holds the first free place of each cluster. Where DELTA makes the sums anew, they are
 * zeroed. */
FKMI_KERNEL fkmi_k_place_entries(FKMI_ARG(const int32_t, active), FKMI_ENTRIES_ARGS, FKMI_ARG(int32_t, places),
								 FKMI_ARG(uint32_t, list), int64_t list_rows, FKMI_ARG(int64_t, sums),
								 FKMI_ARG(int64_t, weight_sums), int64_t k_count, int64_t d, int64_t pieces,
								 int64_t b_count)
{
	FKMI_USE(const int32_t, active);
	FKMI_ENTRIES_USE;
	FKMI_USE(int32_t, places);
	FKMI_USE(uint32_t, list);
	FKMI_USE(int64_t, sums);
	FKMI_USE(int64_t, weight_sums);
	FKMI_LOCAL_ARRAY(int32_t, found, FKMI_LOCAL_COUNTS);
	const int item = fkmi_item();
	const bool local_counts = k_count <= FKMI_LOCAL_COUNTS;
	const int64_t elements = k_count * d, share = (elements + pieces - 1) / pieces;
	FKMI_EACH(work, pieces)
	{
		const int64_t b = work / pieces, part = work - b * pieces, first = part * FKMI_PLACE_ROWS + item;
		FKMI_GLOBAL int32_t *place = places + b * 2 * k_count;
		FKMI_ENTRIES_MAKE(e, b);
		const int64_t zero_end = e.all && previous != 0 ? fkmi_smaller(elements, (part + 1) * share) : 0;
		for (int64_t j = part * share + item; j < zero_end; j += FKMI_GROUP) {
			sums[b * elements + j] = 0;
			if (j < k_count)
				weight_sums[b * k_count + j] = 0;
		}
		const int local_k = local_counts && e.count > 0 ? (int)k_count : 0;
		for (int k = item; k < local_k; k += FKMI_GROUP)
			found[k] = 0;
		FKMI_BARRIER();
		int32_t to[FKMI_LABELS_AHEAD], from[FKMI_LABELS_AHEAD], to_place[FKMI_LABELS_AHEAD],
			from_place[FKMI_LABELS_AHEAD];
		fkmi_read_labels(e.labels, e.all ? 0 : e.previous, first, e.count > 0 ? rows : 0, to, from);
		FKMI_UNROLL
		for (int r = 0; r < FKMI_LABELS_AHEAD; r++) {
			const bool adds = to[r] != from[r], takes = adds && from[r] >= 0;
			to_place[r] = from_place[r] = 0;
			if (adds)
				to_place[r] = local_counts ? fkmi_local_add32(&found[to[r]], 1) : fkmi_add32(&place[to[r]], 1);
			if (takes)
				from_place[r] = local_counts ? fkmi_local_add32(&found[from[r]], 1) : fkmi_add32(&place[from[r]], 1);
		}
		FKMI_BARRIER();
		/* The group takes places for all its entries of a cluster at once; several clusters are on their way together.
		 */
		for (int k0 = item; k0 < local_k; k0 += FKMI_PLACES_AHEAD * FKMI_GROUP) {
			int32_t start[FKMI_PLACES_AHEAD];
			FKMI_UNROLL
			for (int v = 0; v < FKMI_PLACES_AHEAD; v++) {
				const int k = k0 + v * FKMI_GROUP;
				start[v] = k < local_k && found[k] != 0 ? fkmi_add32(&place[k], found[k]) : 0;
			}
			FKMI_UNROLL
			for (int v = 0; v < FKMI_PLACES_AHEAD; v++)
				if (k0 + v * FKMI_GROUP < local_k)
					found[k0 + v * FKMI_GROUP] = start[v];
		}
		FKMI_BARRIER();
		FKMI_GLOBAL uint32_t *entry = list + b * list_rows;
		FKMI_UNROLL
		for (int r = 0; r < FKMI_LABELS_AHEAD; r++) {
			const uint32_t number = (uint32_t)(first + r * FKMI_GROUP);
			const bool adds = to[r] != from[r], takes = adds && from[r] >= 0;
			if (adds)
				entry[(uint32_t)((local_counts ? found[to[r]] : 0) + to_place[r])] = number;
			if (takes)
				entry[(uint32_t)((local_counts ? found[from[r]] : 0) + from_place[r])] = number | FKMI_TAKES;
		}
		FKMI_BARRIER();
	}
}

/* ---- sums of the entries ---- */

enum {
	FKMI_SUM_COLUMNS = 8,                 /* of an item: the most elements in FKMI_SUM_BYTES */
	FKMI_SUM_STAGE = FKMI_SUM_COLUMNS + 1 /* odd, so that neighbours' numbers lie in different banks */
};

/* What a kernel that sums is given. */
struct fkmi_sum_call {
	struct fkmi_points points;
	struct fkmi_weights weights;
	FKMI_GLOBAL const int32_t *active, *labels, *previous, *changed;
	FKMI_GLOBAL const double *scale;
	FKMI_GLOBAL const int64_t *state;
	FKMI_GLOBAL const uint32_t *list, *heads; /* heads: the bits of the first entries of clusters */
	FKMI_GLOBAL int64_t *sums, *weight_sums;
	FKMI_LOCAL int64_t *stage; /* of FKMI_SUM_STAGE for each item in lockstep */
	int64_t row, rows, list_rows, head_words, k_count, column_blocks, pieces, b_count;
	int32_t lanes, read_bytes;
};

/* What one item of it works on. */
struct fkmi_summing {
	const struct fkmi_sum_call *call;
	FKMI_GLOBAL const uint32_t *list, *heads; /* from the piece's first entry on */
	FKMI_GLOBAL const char *data;             /* the item's columns of the span's first row */
	int64_t b, column;
	int32_t count, columns, read_bytes; /* entries of the piece, columns of the item, bytes of a read */
};

/*
 * An item's sums of a cluster. A number v is rounded by adding it to rounder = 1.5 * 2^52 / scale: the last bits of the
 * sum's are then rint(v * scale), for |v * scale| <= 2^51. bits is the sum of such bits, modulo 2^64, of so many rows.
 */
struct fkmi_cluster_sum {
	double rounder[FKMI_SUM_COLUMNS];
	uint64_t bits[FKMI_SUM_COLUMNS];
	int64_t weight;
	int32_t cluster, rows, taken; /* taken: of the rows; only if all weights are 1, and then there is no weight */
};

/* What is read of a row: the item's columns, and what they are multiplied by. */
struct fkmi_row_part {
	uint32_t words[FKMI_SUM_BYTES / 4];
	double factor, w;
};

FKMI_INLINE double fkmi_rounder(double scale)
{
	return 6755399441055744.0 * fkmi_bits_double(((int64_t)2046 << 52) - fkmi_double_bits(scale));
}

FKMI_INLINE uint32_t fkmi_entry_row(uint32_t entry)
{
	return entry & ~FKMI_TAKES;
}

/* Zeros past the last column. dtype is a constant, and so is plain: all is 1 that rows are multiplied by, and an item
 * has all its columns, which one read gets. */
FKMI_INLINE void fkmi_read_part(const struct fkmi_summing *s, uint32_t entry, struct fkmi_row_part *part, int32_t dtype,
								bool plain)
{
	const int element = dtype == FKMI_TYPE_F32 ? 4 : 2;
	const uint64_t row_bytes = (uint64_t)(s->call->points.row_stride * element);
	FKMI_GLOBAL const char *from = s->data + fkmi_entry_row(entry) * row_bytes;
	if (plain || s->read_bytes == 16) {
		const uint4 read = *(FKMI_GLOBAL const uint4 *)from;
		part->words[0] = read.x;
		part->words[1] = read.y;
		part->words[2] = read.z;
		part->words[3] = read.w;
	} else {
		for (int v = 0; v < 4; v++)
			part->words[v] = 0;
		FKMI_UNROLL
		for (int v = 0; v < 4 && s->read_bytes == 8; v += 2) {
			if (4 * v < s->columns * element) {
				const uint2 read = *(FKMI_GLOBAL const uint2 *)(from + 4 * v);
				part->words[v] = read.x;
				part->words[v + 1] = read.y;
			}
		}
		FKMI_UNROLL
		for (int v = 0; v < 4 && s->read_bytes == 4; v++)
			if (v < s->columns)
				part->words[v] = ((FKMI_GLOBAL const uint32_t *)from)[v];
		FKMI_UNROLL
		for (int v = 0; v < 8 && s->read_bytes == 2; v++)
			if (v < s->columns)
				part->words[v / 2] |= (uint32_t)((FKMI_GLOBAL const uint16_t *)from)[v] << v % 2 * 16;
	}
	part->factor = plain ? 1 : fkmi_row_factor(&s->call->points, s->b, s->call->row + fkmi_entry_row(entry));
	part->w = plain ? 1 : fkmi_weight(&s->call->weights, s->b, s->call->row + fkmi_entry_row(entry));
}

/* Column v of what was read of a row. */
FKMI_INLINE double fkmi_column(const uint32_t *words, int v, int32_t dtype)
{
	if (dtype == FKMI_TYPE_F32)
		return (double)fkmi_bits_float(words[v]);
	if (dtype == FKMI_TYPE_F16)
		return (double)fkmi_half_to_float((uint16_t)(words[v / 2] >> v % 2 * 16));
	return (double)fkmi_bits_float(v % 2 != 0 ? words[v / 2] & 0xffff0000u : words[v / 2] << 16);
}

/* Adds the rows, `count` of them, of which those in takes are taken. */
FKMI_INLINE void fkmi_add_parts(struct fkmi_cluster_sum *c, const struct fkmi_row_part *part, int count, uint32_t takes,
								double weight_scale, int32_t dtype, bool plain)
{
	for (int r = 0; r < count; r++) {
		const double sign = fkmi_bits_double((int64_t)((uint64_t)(0x3ff00000u | (takes >> r & 1) << 31) << 32));
		for (int v = 0; v < FKMI_SUM_BYTES / (dtype == FKMI_TYPE_F32 ? 4 : 2); v++) {
			const double x = fkmi_column(part[r].words, v, dtype), value = plain ? x : part[r].w * (x * part[r].factor);
			c->bits[v] += (uint64_t)fkmi_double_bits(fma(value, sign, c->rounder[v]));
		}
		if (!plain)
			c->weight += fkmi_rint(part[r].w * weight_scale * sign);
		else
			c->taken += (int32_t)(takes >> r & 1);
	}
	c->rows += count;
}

/*
 * Adds the sums of the cluster to memory and zeroes them. Items in lockstep that share the entries exchange sums first,
 * so that neighbours add to neighbouring places: memory takes those together.
 */
FKMI_INLINE void fkmi_flush_sums(const struct fkmi_summing *s, struct fkmi_cluster_sum *c, int32_t dtype, bool plain)
{
	const int each = FKMI_SUM_BYTES / (dtype == FKMI_TYPE_F32 ? 4 : 2);
	const int sharing = s->call->lanes < FKMI_LOCKSTEP ? s->call->lanes : FKMI_LOCKSTEP;
	const int lane = fkmi_item() & (sharing - 1), first = fkmi_item() - lane;
	const int64_t cluster = s->b * s->call->k_count + c->cluster, left = s->call->points.d - s->column + lane * each;
	const int columns = (int)fkmi_smaller(sharing * each, left), present = (columns + each - 1) / each;
	FKMI_GLOBAL int64_t *to = s->call->sums + cluster * s->call->points.d + s->column - lane * each;
	FKMI_LOCAL int64_t *stage = s->call->stage + first * FKMI_SUM_STAGE;
	fkmi_meet(first, present);
	for (int v = 0; v < each; v++) {
		/* Each row brought the rounder's bits, of which the lower half is 0. */
		const uint32_t high = (uint32_t)(fkmi_double_bits(c->rounder[v]) >> 32) * (uint32_t)c->rows;
		const int64_t sum = (int64_t)(c->bits[v] - ((uint64_t)high << 32));
		if (FKMI_LOCKSTEP > 1)
			stage[lane * FKMI_SUM_STAGE + v] = sum;
		else if (v < s->columns)
			fkmi_add64(&to[v], sum);
		c->bits[v] = 0;
	}
	fkmi_meet(first, present);
	if (FKMI_LOCKSTEP > 1)
		for (int j = lane; j < columns; j += present)
			fkmi_add64(&to[j], stage[j / each * FKMI_SUM_STAGE + j % each]);
	if (s->column == 0)
		fkmi_add64(&s->call->weight_sums[cluster], plain ? c->rows - 2 * c->taken : c->weight);
	c->weight = 0;
	c->rows = 0;
	c->taken = 0;
}

/* Four entries from `at` on; past the end of the piece, the last one again. */
FKMI_INLINE void fkmi_load_entries(const struct fkmi_summing *s, int32_t at, uint32_t *entry)
{
	if (at + 4 <= s->count) {
		const uint4 read = *(FKMI_GLOBAL const uint4 *)(s->list + at);
		entry[0] = read.x;
		entry[1] = read.y;
		entry[2] = read.z;
		entry[3] = read.w;
	} else {
		for (int r = 0; r < 4; r++)
			entry[r] = s->list[at + r < s->count ? at + r : s->count - 1];
	}
}

/* Reads the rows of four entries; returns which of them take. */
FKMI_INLINE uint32_t fkmi_read_parts(const struct fkmi_summing *s, const uint32_t *entry, struct fkmi_row_part *part,
									 int32_t dtype, bool plain)
{
	uint32_t takes = 0;
	for (int r = 0; r < 4; r++) {
		fkmi_read_part(s, entry[r], &part[r], dtype, plain);
		takes |= (entry[r] & FKMI_TAKES) >> (31 - r);
	}
	return takes;
}

/* Entries go through in fours, of which as many are on their way as registers hold. */
FKMI_INLINE void fkmi_sum_piece(const struct fkmi_summing *s, int32_t dtype, bool plain)
{
	enum { MOST = 2 }; /* 4 * MOST divides 32 */
	const int fours = plain ? MOST : 1;
	const double weight_scale =
		plain ? 1 : fkmi_bits_double(s->call->state[s->b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]);
	struct fkmi_cluster_sum c;
	for (int v = 0; v < FKMI_SUM_COLUMNS; v++) {
		c.rounder[v] = fkmi_rounder(v < s->columns ? s->call->scale[s->b * s->call->points.d + s->column + v] : 1.0);
		c.bits[v] = 0;
	}
	c.weight = c.cluster = c.rows = c.taken = 0;
	uint32_t entry[4], next[MOST][4], takes[MOST];
	struct fkmi_row_part part[MOST][4];
	for (int f = 0; f < fours; f++) {
		fkmi_load_entries(s, 4 * f, entry);
		takes[f] = fkmi_read_parts(s, entry, part[f], dtype, plain);
	}
	for (int f = 0; f < fours; f++)
		fkmi_load_entries(s, 4 * (fours + f), next[f]);
	/* The first entry of a piece begins a cluster as far as this item is concerned. */
	uint32_t heads = s->heads[0] | 1;
	for (int32_t at0 = 0; at0 < s->count; at0 += 4 * fours) {
		const int32_t after = at0 + 4 * fours;
		const uint32_t next_heads = after < s->count ? s->heads[after / 32] : 0;
		FKMI_UNROLL
		for (int f = 0; f < fours; f++) {
			const int32_t at = at0 + 4 * f;
			const uint32_t begins = heads >> at % 32 & 15;
			if (begins == 0 && at + 4 <= s->count) {
				fkmi_add_parts(&c, part[f], 4, takes[f], weight_scale, dtype, plain);
			} else {
				FKMI_UNROLL
				for (int r = 0; r < 4; r++) {
					if (at + r < s->count) {
						if ((begins >> r & 1) != 0) {
							if (c.rows > 0)
								fkmi_flush_sums(s, &c, dtype, plain);
							const int64_t row =
								s->b * s->call->points.n + s->call->row + fkmi_entry_row(s->list[at + r]);
							c.cluster = ((takes[f] >> r & 1) != 0 ? s->call->previous : s->call->labels)[row];
						}
						fkmi_add_parts(&c, &part[f][r], 1, takes[f] >> r, weight_scale, dtype, plain);
					}
				}
			}
			takes[f] = fkmi_read_parts(s, next[f], part[f], dtype, plain);
			fkmi_load_entries(s, at + 8 * fours, next[f]);
		}
		heads = next_heads;
	}
	fkmi_flush_sums(s, &c, dtype, plain);
}

FKMI_INLINE void fkmi_sum_entries(const struct fkmi_sum_call *a, int32_t dtype, bool plain)
{
	const struct fkmi_points *p = &a->points;
	const int lanes = a->lanes, element = dtype == FKMI_TYPE_F32 ? 4 : 2, each = FKMI_SUM_BYTES / element;
	const int64_t of_problem = a->pieces * a->column_blocks, sets = FKMI_GROUP / lanes;
	for (int64_t work = fkmi_group() * sets + fkmi_item() / lanes; work < a->b_count * of_problem;
		 work += fkmi_groups() * sets) {
		const int64_t b = work / of_problem, part = work - b * of_problem, place = part / a->column_blocks;
		const int64_t column = ((part - place * a->column_blocks) * lanes + (fkmi_item() & (lanes - 1))) * each;
		const bool all = a->previous == 0 || (a->rows == p->n && (uint32_t)a->changed[b] > a->rows);
		const int64_t entries = all ? a->rows : (uint32_t)a->changed[b];
		/* Few entries are divided among as many items, down to where starting takes longer than adding. */
		const int64_t share = (entries + a->pieces - 1) / a->pieces;
		const int64_t piece = (share + FKMI_SUM_LEAST - 1) & -FKMI_SUM_LEAST, begin = place * piece;
		if (!a->active[b] || column >= p->d || begin >= entries)
			continue;
		const int32_t columns = (int32_t)fkmi_smaller(each, p->d - column);
		const struct fkmi_summing s = {
			a,
			a->list + b * a->list_rows + begin,
			a->heads + b * a->head_words + begin / 32,
			p->data + (fkmi_row(p, b, a->row) + column) * element,
			b,
			column,
			(int32_t)fkmi_smaller(entries - begin, piece),
			columns,
			columns * element % a->read_bytes == 0 ? a->read_bytes : element,
		};
		fkmi_sum_piece(&s, dtype, plain);
	}
}

/*
 * Adds the entries to sums and weight_sums. `lanes` items, a power of two, take neighbouring FKMI_SUM_BYTES of the rows
 * of a piece of the list; column_blocks times as many cover a row. Rows may be read read_bytes at a time, 16, 8 or an
 * element's; plain (see fkmi_read_part): 16 of them.
 */
#define FKMI_DEFINE_SUM(name, type, plain)                                                                             \
	FKMI_KERNEL_ABREAST(2)                                                                                             \
	name(FKMI_ARG(const int32_t, active), FKMI_POINTS_ARGS, FKMI_WEIGHTS_ARGS, FKMI_ARG(const int32_t, labels),        \
		 FKMI_ARG(const int32_t, previous), FKMI_ARG(const int32_t, changed), int64_t row, int64_t rows,               \
		 FKMI_ARG(const double, scale), FKMI_ARG(const int64_t, state), FKMI_ARG(const uint32_t, list),                \
		 int64_t list_rows, FKMI_ARG(const uint32_t, heads), int64_t head_words, FKMI_ARG(int64_t, sums),              \
		 FKMI_ARG(int64_t, weight_sums), int32_t read_bytes, int64_t k_count, int32_t lanes, int64_t column_blocks,    \
		 int64_t pieces, int64_t b_count)                                                                              \
	{                                                                                                                  \
		FKMI_USE(const int32_t, active);                                                                               \
		FKMI_POINTS_MAKE(p);                                                                                           \
		FKMI_WEIGHTS_MAKE(w);                                                                                          \
		FKMI_USE(const int32_t, labels);                                                                               \
		FKMI_USE(const int32_t, previous);                                                                             \
		FKMI_USE(const int32_t, changed);                                                                              \
		FKMI_USE(const double, scale);                                                                                 \
		FKMI_USE(const int64_t, state);                                                                                \
		FKMI_USE(const uint32_t, list);                                                                                \
		FKMI_USE(const uint32_t, heads);                                                                               \
		FKMI_USE(int64_t, sums);                                                                                       \
		FKMI_USE(int64_t, weight_sums);                                                                                \
		FKMI_LOCAL_ARRAY(int64_t, stage, FKMI_LOCKSTEP > 1 ? FKMI_GROUP * FKMI_SUM_STAGE : 1);                         \
		const struct fkmi_sum_call call = {p,     w,         active,     labels,  previous,      changed, scale,       \
										   state, list,      heads,      sums,    weight_sums,   stage,   row,         \
										   rows,  list_rows, head_words, k_count, column_blocks, pieces,  b_count,     \
										   lanes, read_bytes};                                                         \
		fkmi_sum_entries(&call, type, plain);                                                                          \
	}

FKMI_DEFINE_SUM(fkmi_k_sum_f16, FKMI_TYPE_F16, true)
FKMI_DEFINE_SUM(fkmi_k_sum_bf16, FKMI_TYPE_BF16, true)
FKMI_DEFINE_SUM(fkmi_k_sum_f32, FKMI_TYPE_F32, true)
FKMI_DEFINE_SUM(fkmi_k_sum_any_f16, FKMI_TYPE_F16, false)
FKMI_DEFINE_SUM(fkmi_k_sum_any_bf16, FKMI_TYPE_BF16, false)
FKMI_DEFINE_SUM(fkmi_k_sum_any_f32, FKMI_TYPE_F32, false)

#endif
