/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Greedy k-means++, docs/semantics.md section 6. The job's labels hold each point's nearest centroid so far; the core
 * resets them before the first iteration. A round skips, without reading them, the points that no trial can be nearer
 * to: by the triangle inequality those at less than half the distance from their centroid to the nearest trial. It
 * notes which trials did come nearer, so that only the chosen one's points are read again.
 */
#include "seed_distances.h"
#include "steps.h"

#include <math.h>
#include <string.h>

enum {
	SUM_ROWS = 1024,   /* rows of one entry of the prefix sums, */
	MAX_SUMS = 1 << 12 /* unless there would be more entries than this */
};

/* 4, and more than any rounding of the distances on either side of the triangle inequality. */
static const double skip_factor = 4 * (1 + 0x1p-20);

struct part {
	double highest;
	int64_t gains[FKMI_SEED_CANDIDATES]; /* what each trial takes off the potential */
	double rows[];                       /* room for fkmi_cpu_seed_distances() */
};

static int trials_of(int64_t k)
{
	return 2 + (int)floor(log((double)k));
}

static int64_t rows_per_sum(int64_t n)
{
	int64_t rows = (n + MAX_SUMS - 1) / MAX_SUMS;
	return rows > SUM_ROWS ? rows : SUM_ROWS;
}

static int64_t sums_of(int64_t n)
{
	return (n + rows_per_sum(n) - 1) / rows_per_sum(n);
}

struct fkmi_cpu_need fkmi_cpu_seed_need(const struct fkmi_problem *problem)
{
	if (!problem->fits || problem->init != FKM_INIT_KMEANS_PLUS_PLUS)
		return (struct fkmi_cpu_need){0};
	int64_t doubles = trials_of(problem->k) * fkmi_cpu_pad8(problem->d) + problem->k;
	return (struct fkmi_cpu_need){
		.shared_bytes = (doubles + problem->ranks + sums_of(problem->n)) * 8 + problem->n * (int64_t)sizeof(uint32_t),
		.part_bytes = (int64_t)sizeof(struct part) + fkmi_cpu_seed_room(problem->d) * (int64_t)sizeof(double),
	};
}

struct seeding {
	const struct fkmi_job *job;
	int64_t b, k; /* the problem and the round */
	struct fkmi_draw draw;
	int64_t padded; /* of a row in candidates */
	int trials;
	double *candidates; /* [trials, padded] */
	double *reach;      /* [k]: D from a centroid to the nearest candidate */
	int64_t *shares;    /* [ranks]: the sum of each one's quantised values */
	int64_t *sums;      /* of the quantised values, by rows_per_sum(n) rows */
	uint32_t *nearer;   /* [n]: the trials that are nearer than nearest, a bit each */
	double *nearest;    /* [n]: D to the centroids so far */
	int32_t *owners;    /* [n]: which of them */
	double scale;       /* 2^g of the round */
	bool weights_only;  /* values are w, not w * D */
	int chosen;         /* trial */
	struct fkmi_cpu_parts parts;
};

static struct seeding begin(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b,
							struct fkmi_draw draw, int64_t k)
{
	const struct fkmi_problem *p = &job->problem;
	struct seeding seeding = {.job = job, .b = b, .k = k, .draw = draw, .padded = fkmi_cpu_pad8(p->d)};
	seeding.trials = trials_of(p->k);
	seeding.nearest = fkmi_cpu_doubles(job->distances, b * p->n);
	seeding.owners = fkmi_cpu_labels(job, b);
	seeding.parts = fkmi_cpu_split(team, fkmi_cpu_seed_need(p), p->n * p->d);
	seeding.candidates = (double *)(void *)seeding.parts.shared;
	seeding.reach = seeding.candidates + seeding.trials * seeding.padded;
	seeding.shares = (int64_t *)(void *)(seeding.reach + p->k);
	seeding.sums = seeding.shares + p->ranks;
	seeding.nearer = (uint32_t *)(void *)(seeding.sums + sums_of(p->n));
	/* What pads the rows stays zero. */
	memset(seeding.candidates, 0, (size_t)(seeding.trials * seeding.padded) * sizeof(double));
	for (int i = 0; i < seeding.parts.count; i++) {
		struct part *part = fkmi_cpu_part(&seeding.parts, i);
		memset(part, 0, sizeof *part + (size_t)fkmi_cpu_seed_room(p->d) * sizeof(double));
	}
	return seeding;
}

/* ---- values and picks ---- */

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* v of at most FKMI_SEED_BLOCK rows, in place or in room. */
static const double *values_of(const struct seeding *seeding, int64_t row, int64_t rows, double *room)
{
	if (!seeding->job->weights.base)
		return seeding->nearest + row;
	for (int64_t i = 0; i < rows; i++) {
		double weight = fkmi_cpu_weight(seeding->job, seeding->b, row + i);
		room[i] = seeding->weights_only ? weight : weight * seeding->nearest[row + i];
	}
	return room;
}

FKMI_CPU_INLINE void raise_body(const double *restrict values, int64_t rows, double *highest)
{
	double high = *highest;
	for (int64_t i = 0; i < rows; i++)
		high = values[i] > high ? values[i] : high;
	*highest = high;
}
FKMI_CPU_DISPATCH(raise, (const double *values, int64_t rows, double *highest), (values, rows, highest))

FKMI_CPU_INLINE void add_quantised_body(const double *restrict values, int64_t rows, double scale, int64_t *sum)
{
	int64_t local = 0;
	for (int64_t i = 0; i < rows; i++)
		local += fkmi_cpu_rint(values[i] * scale);
	*sum += local;
}
FKMI_CPU_DISPATCH(add_quantised, (const double *values, int64_t rows, double scale, int64_t *sum),
				  (values, rows, scale, sum))

static void find_highest(void *context, int part_index, int64_t begin, int64_t end)
{
	const struct seeding *seeding = context;
	struct part *part = fkmi_cpu_part(&seeding->parts, part_index);
	double room[FKMI_SEED_BLOCK];
	for (int64_t row = begin; row < end; row += FKMI_SEED_BLOCK) {
		int64_t rows = smaller(FKMI_SEED_BLOCK, end - row);
		raise(values_of(seeding, row, rows, room), rows, &part->highest);
	}
}

static int64_t sum_quantised(const struct seeding *seeding, int64_t begin, int64_t end)
{
	double room[FKMI_SEED_BLOCK];
	int64_t sum = 0;
	for (int64_t row = begin; row < end; row += FKMI_SEED_BLOCK) {
		int64_t rows = smaller(FKMI_SEED_BLOCK, end - row);
		add_quantised(values_of(seeding, row, rows, room), rows, seeding->scale, &sum);
	}
	return sum;
}

static void fill_sums(void *context, int part, int64_t begin, int64_t end)
{
	const struct seeding *seeding = context;
	int64_t n = seeding->job->problem.n, rows = rows_per_sum(n);
	(void)part;
	for (int64_t i = begin; i < end; i++)
		seeding->sums[i] = sum_quantised(seeding, i * rows, smaller(n, (i + 1) * rows));
}

/* Quantises the values on a grid of that scale, and sums them up over all ranks. */
static enum fkm_status quantise(const struct fkmi_cpu_team *team, struct seeding *seeding, double scale, int64_t *total)
{
	const struct fkmi_job *job = seeding->job;
	const int32_t ranks = job->problem.ranks;
	int64_t n = job->problem.n, sum = 0;
	seeding->scale = scale;
	fkmi_cpu_run(team, seeding->parts.count, sums_of(n), 1 + fkmi_cpu_grain(4) / rows_per_sum(n), fill_sums, seeding);
	for (int64_t i = 0; i < sums_of(n); i++)
		sum += seeding->sums[i];
	memset(seeding->shares, 0, (size_t)ranks * sizeof *seeding->shares);
	seeding->shares[job->rank] = sum;
	FKMI_TRY(fkmi_cpu_merge(job, seeding->shares, ranks, FKM_REDUCE_SUM));
	*total = 0;
	for (int32_t rank = 0; rank < ranks; rank++)
		*total += seeding->shares[rank];
	return FKM_OK;
}

/* The lowest row whose prefix sum is greater than threshold, which is less than the sum. Some row even where
 * trust_finite let in points that are not finite, whose sums are nonsense. */
static int64_t pick(const struct seeding *seeding, uint64_t threshold)
{
	int64_t entry = 0, n = seeding->job->problem.n;
	for (; entry < sums_of(n) - 1 && (uint64_t)seeding->sums[entry] <= threshold; entry++)
		threshold -= (uint64_t)seeding->sums[entry];
	int64_t row = entry * rows_per_sum(n);
	for (; row < n - 1; row++) {
		uint64_t value = (uint64_t)sum_quantised(seeding, row, row + 1);
		if (value > threshold)
			break;
		threshold -= value;
	}
	return row;
}

static int64_t draw_below(const struct seeding *seeding, int trial, int64_t limit)
{
	uint64_t u = fkmi_draw_u64(seeding->draw.seed, (uint32_t)trial, (uint32_t)seeding->k, seeding->draw.run,
							   FKMI_PURPOSE_PLUS_PLUS);
	return (int64_t)fkmi_below(u, (uint64_t)limit);
}

/* ---- trials ---- */

static void find_reach(void *context, int part, int64_t begin, int64_t end)
{
	const struct seeding *seeding = context;
	const struct fkmi_problem *p = &seeding->job->problem;
	const double *centroids = fkmi_cpu_doubles(seeding->job->centroids, seeding->b * p->k * p->d);
	(void)part;
	for (int64_t k = begin; k < end; k++) {
		seeding->reach[k] = INFINITY;
		for (int trial = 0; trial < seeding->trials; trial++) {
			const double *candidate = seeding->candidates + trial * seeding->padded;
			seeding->reach[k] = fmin(seeding->reach[k], fkmi_cpu_distance(centroids + k * p->d, candidate, p->d));
		}
	}
}

FKMI_CPU_INLINE void compare_body(const double *restrict nearest, const double *restrict distances,
								  const double *restrict weights, double scale, int64_t rows, int trial,
								  uint32_t *restrict nearer, int64_t *gain)
{
	int64_t sum = 0;
	for (int64_t i = 0; i < rows; i++) {
		double closest = distances[i] < nearest[i] ? distances[i] : nearest[i];
		sum += fkmi_cpu_rint(weights[i] * nearest[i] * scale) - fkmi_cpu_rint(weights[i] * closest * scale);
		nearer[i] |= (uint32_t)(distances[i] < nearest[i]) << trial;
	}
	*gain += sum;
}
FKMI_CPU_DISPATCH(compare,
				  (const double *nearest, const double *distances, const double *weights, double scale, int64_t rows,
				   int trial, uint32_t *nearer, int64_t *gain),
				  (nearest, distances, weights, scale, rows, trial, nearer, gain))

/* Rows to evaluate together. */
struct block {
	int64_t rows[FKMI_SEED_BLOCK];
	int count;
};

static void evaluate(const struct seeding *seeding, const struct block *block, struct part *part, int first_trial,
					 int trials, double (*distances)[FKMI_SEED_BLOCK])
{
	fkmi_cpu_seed_distances(seeding->job, seeding->b, block->rows, block->count,
							seeding->candidates + first_trial * seeding->padded, trials, part->rows, distances);
}

static void try_block(const struct seeding *seeding, struct block *block, struct part *part)
{
	double distances[FKMI_SEED_CANDIDATES][FKMI_SEED_BLOCK], nearest[FKMI_SEED_BLOCK], weights[FKMI_SEED_BLOCK];
	uint32_t nearer[FKMI_SEED_BLOCK] = {0};
	evaluate(seeding, block, part, 0, seeding->trials, distances);
	for (int i = 0; i < block->count; i++) {
		nearest[i] = seeding->nearest[block->rows[i]];
		weights[i] = fkmi_cpu_weight(seeding->job, seeding->b, block->rows[i]);
	}
	for (int trial = 0; trial < seeding->trials; trial++)
		compare(nearest, distances[trial], weights, seeding->scale, block->count, trial, nearer, &part->gains[trial]);
	for (int i = 0; i < block->count; i++)
		seeding->nearer[block->rows[i]] = nearer[i];
	block->count = 0;
}

static void try_range(void *context, int part_index, int64_t begin, int64_t end)
{
	const struct seeding *seeding = context;
	struct part *part = fkmi_cpu_part(&seeding->parts, part_index);
	struct block block = {.count = 0};
	for (int64_t row = begin; row < end; row++) {
		seeding->nearer[row] = 0;
		if (seeding->nearest[row] * skip_factor <= seeding->reach[seeding->owners[row]])
			continue;
		block.rows[block.count++] = row;
		if (block.count == FKMI_SEED_BLOCK)
			try_block(seeding, &block, part);
	}
	if (block.count > 0)
		try_block(seeding, &block, part);
}

/* ---- the chosen one ---- */

static void join_block(const struct seeding *seeding, struct block *block, struct part *part)
{
	double distances[1][FKMI_SEED_BLOCK];
	evaluate(seeding, block, part, seeding->chosen, 1, distances);
	for (int i = 0; i < block->count; i++) {
		seeding->nearest[block->rows[i]] = distances[0][i];
		seeding->owners[block->rows[i]] = (int32_t)seeding->k;
	}
	block->count = 0;
}

static void join_range(void *context, int part_index, int64_t begin, int64_t end)
{
	const struct seeding *seeding = context;
	struct part *part = fkmi_cpu_part(&seeding->parts, part_index);
	struct block block = {.count = 0};
	for (int64_t row = begin; row < end; row++) {
		if (seeding->k > 0 && !(seeding->nearer[row] >> seeding->chosen & 1))
			continue;
		block.rows[block.count++] = row;
		if (block.count == FKMI_SEED_BLOCK)
			join_block(seeding, &block, part);
	}
	if (block.count > 0)
		join_block(seeding, &block, part);
}

static void each_range(const struct fkmi_cpu_team *team, struct seeding *seeding, int trials, fkmi_cpu_range_fn fn)
{
	const struct fkmi_problem *p = &seeding->job->problem;
	int64_t grain = (1 + fkmi_cpu_grain(p->d * trials) / FKMI_SEED_BLOCK) * FKMI_SEED_BLOCK;
	fkmi_cpu_run(team, seeding->parts.count, p->n, grain, fn, seeding);
}

/* Makes a candidate centroid k of the problem. */
static void set_centroid(const struct seeding *seeding, int trial)
{
	const struct fkmi_problem *p = &seeding->job->problem;
	memcpy(fkmi_cpu_doubles(seeding->job->centroids, (seeding->b * p->k + seeding->k) * p->d),
		   seeding->candidates + trial * seeding->padded, (size_t)p->d * sizeof(double));
}

/* A row of this rank. */
static void load_candidate(struct seeding *seeding, int trial, int64_t row)
{
	fkmi_cpu_load_row(seeding->job, seeding->b, row, seeding->candidates + trial * seeding->padded);
}

/* The next two leave zeros where the row is another rank's. */

static void load_drawn(struct seeding *seeding)
{
	const int64_t row = draw_below(seeding, 0, seeding->job->problem.n_all) - seeding->job->first_row;
	if (row >= 0 && row < seeding->job->problem.n)
		load_candidate(seeding, 0, row);
}

static void load_picked(struct seeding *seeding, int trial, int64_t total)
{
	const int32_t rank = seeding->job->rank;
	int64_t threshold = draw_below(seeding, trial, total);
	for (int32_t other = 0; other < rank; other++)
		threshold -= seeding->shares[other];
	/* A rank alone has all rows, also where the sum is nonsense. */
	if (seeding->job->merge == NULL || (threshold >= 0 && threshold < seeding->shares[rank]))
		load_candidate(seeding, trial, pick(seeding, (uint64_t)threshold));
}

static enum fkm_status share_candidates(struct seeding *seeding, int count)
{
	return fkmi_cpu_merge(seeding->job, seeding->candidates, count * seeding->padded, FKM_REDUCE_SUM);
}

/* ---- steps ---- */

static void seed_first(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	const struct fkmi_draw *draw = context;
	struct seeding seeding = begin(team, job, b, *draw, 0);
	if (job->problem.weighted) {
		int64_t total;
		seeding.weights_only = true;
		if (quantise(team, &seeding, fkmi_cpu_state(job, b)->weight_scale, &total) != FKM_OK)
			return;
		load_picked(&seeding, 0, total);
	} else {
		load_drawn(&seeding);
	}
	if (share_candidates(&seeding, 1) != FKM_OK)
		return;
	set_centroid(&seeding, 0);
	each_range(team, &seeding, 1, join_range);
}

/* Chooses the trial whose candidate leaves the lowest potential. */
static enum fkm_status choose_trial(const struct fkmi_cpu_team *team, struct seeding *seeding)
{
	const struct fkmi_problem *p = &seeding->job->problem;
	fkmi_cpu_run(team, seeding->parts.count, seeding->k, fkmi_cpu_grain(p->d * seeding->trials), find_reach, seeding);
	each_range(team, seeding, seeding->trials, try_range);
	int64_t gains[FKMI_SEED_CANDIDATES] = {0}, best = -1;
	for (int trial = 0; trial < seeding->trials; trial++)
		for (int part = 0; part < seeding->parts.count; part++)
			gains[trial] += ((const struct part *)fkmi_cpu_part(&seeding->parts, part))->gains[trial];
	FKMI_TRY(fkmi_cpu_merge(seeding->job, gains, seeding->trials, FKM_REDUCE_SUM));
	seeding->chosen = 0;
	for (int trial = 0; trial < seeding->trials; trial++) {
		if (gains[trial] > best) {
			best = gains[trial];
			seeding->chosen = trial;
		}
	}
	return FKM_OK;
}

/* The highest value of all ranks. */
static enum fkm_status share_highest(const struct fkmi_cpu_team *team, struct seeding *seeding, double *highest)
{
	int64_t bits; /* in the order of numbers from 0 up */
	fkmi_cpu_run(team, seeding->parts.count, seeding->job->problem.n, fkmi_cpu_grain(4), find_highest, seeding);
	*highest = 0;
	for (int part = 0; part < seeding->parts.count; part++)
		*highest = fmax(*highest, ((const struct part *)fkmi_cpu_part(&seeding->parts, part))->highest);
	memcpy(&bits, highest, sizeof bits);
	FKMI_TRY(fkmi_cpu_merge(seeding->job, &bits, 1, FKM_REDUCE_MAX));
	memcpy(highest, &bits, sizeof bits);
	return FKM_OK;
}

struct round {
	struct fkmi_draw draw;
	int64_t k;
};

static void seed_next(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	const struct round *round = context;
	const struct fkmi_problem *p = &job->problem;
	struct seeding seeding = begin(team, job, b, round->draw, round->k);
	double highest;
	int64_t total;
	if (share_highest(team, &seeding, &highest) != FKM_OK ||
		quantise(team, &seeding, fkmi_grid_scale(highest, fkmi_grid_bits(p->n_all)), &total) != FKM_OK)
		return;
	/* Every point of weight is on a centroid: all potentials are and stay 0, and the first trial wins. */
	if (total == 0) {
		load_drawn(&seeding);
		if (share_candidates(&seeding, 1) == FKM_OK)
			set_centroid(&seeding, 0);
		return;
	}
	for (int trial = 0; trial < seeding.trials; trial++)
		load_picked(&seeding, trial, total);
	if (share_candidates(&seeding, seeding.trials) != FKM_OK || choose_trial(team, &seeding) != FKM_OK)
		return;
	set_centroid(&seeding, seeding.chosen);
	each_range(team, &seeding, 1, join_range);
}

static enum fkm_status each_problem(struct fkmi_device *device, const struct fkmi_job *job, fkmi_cpu_problem_fn fn,
									void *context)
{
	const struct fkmi_problem *p = &job->problem;
	return fkmi_cpu_each_merged(device, job, p->n * p->d * 4, fkmi_cpu_seed_need(p), fn, context);
}

enum fkm_status fkmi_cpu_seed_first(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_draw draw)
{
	return each_problem(device, job, seed_first, &draw);
}

enum fkm_status fkmi_cpu_seed_next(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_draw draw,
								   int64_t k)
{
	struct round round = {draw, k};
	return each_problem(device, job, seed_next, &round);
}
