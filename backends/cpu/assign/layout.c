/* SPDX-License-Identifier: Apache-2.0 */
#include "assign.h"

enum {
	PANEL_BYTES = 256 << 10, /* of a panel's block, and of the tiles swept together: half of a common L2 cache each */
	SWEPT_POINTS = 256,      /* most points of the tiles swept together */
	PRIVATE_BYTES = 64 << 20 /* most memory for the private sums of all threads */
};

static int64_t divide_up(int64_t a, int64_t b)
{
	return (a + b - 1) / b;
}

static int64_t round_up(int64_t a, int64_t b)
{
	return divide_up(a, b) * b;
}

static int64_t limit(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* Returns the place of bytes in a part that has *size so far. */
static int64_t place(int64_t *size, int64_t bytes)
{
	int64_t at = *size;
	*size += round_up(bytes, 64);
	return at;
}

static bool keeps_private_sums(const struct fkmi_problem *problem, int32_t threads)
{
	return problem->fits && (double)problem->k * ((double)problem->d + 1) * 8 * threads <= PRIVATE_BYTES;
}

static bool overflows(const struct fkmi_problem *problem, int32_t threads)
{
	double k = (double)problem->k + 64, d = (double)problem->d + 64;
	return (double)problem->b * (k * (4 * d + 64) + 12 * d) + threads * (k * 8 * d + 4096 * d) > 0x1p62;
}

struct fkmi_cpu_layout fkmi_cpu_layout_make(const struct fkmi_problem *problem, const struct fkmi_tile *tile,
											int32_t threads)
{
	struct fkmi_cpu_layout layout = {.bytes = -1};
	if (overflows(problem, threads))
		return layout;
	int64_t d = problem->d, k = problem->k, points = tile->points, padded = round_up(k, tile->centroids);

	layout.blocks = divide_up(d, fkmi_cpu_isa_of(tile)->block);
	layout.block = divide_up(d, layout.blocks);
	layout.panel = limit(PANEL_BYTES / (4 * layout.block * tile->centroids), 1, padded / tile->centroids);
	layout.tiles = limit(PANEL_BYTES / (4 * points * d), 1, SWEPT_POINTS / points);
	layout.private_sums = keeps_private_sums(problem, threads);

	int64_t *size = &layout.problem_bytes;
	layout.filter = place(size, sizeof(struct fkmi_cpu_filter));
	layout.mu = place(size, 4 * d);
	layout.panels = place(size, 4 * padded * d);
	layout.halves = place(size, 4 * padded);
	layout.norms = place(size, 4 * padded);
	layout.index = place(size, 4 * padded);
	layout.middle = place(size, 8 * d);
	layout.key = place(size, 8 * k);
	for (layout.table_size = 2; layout.table_size < 2 * k;)
		layout.table_size *= 2;
	layout.table = place(size, 4 * layout.table_size);

	size = &layout.thread_bytes;
	int64_t swept = layout.tiles * points;
	layout.x = place(size, 4 * swept * d);
	layout.squares = place(size, 4 * swept);
	layout.best = place(size, 4 * swept);
	layout.second = place(size, 4 * swept);
	layout.at = place(size, 4 * swept);
	layout.partial = place(size, layout.blocks > 1 ? 4 * swept * layout.panel * tile->centroids : 0);
	layout.candidates = place(size, 4 * points * FKMI_CPU_CANDIDATES);
	layout.row = place(size, 8 * d);
	if (problem->fits) {
		layout.quantised = place(size, 8 * d);
		layout.sums = place(size, layout.private_sums ? 8 * k * d : 0);
		layout.weight_sums = place(size, layout.private_sums ? 8 * k : 0);
		layout.touched = place(size, layout.private_sums ? k : 0);
	}

	layout.threads = problem->b * layout.problem_bytes;
	layout.bytes = layout.threads + threads * layout.thread_bytes;
	return layout;
}

struct fkmi_cpu_operands fkmi_cpu_operands_of(const struct fkmi_job *job, const struct fkmi_cpu_layout *layout,
											  int64_t b)
{
	char *part = (char *)fkmi_ref_ptr(job->scratch) + b * layout->problem_bytes;
	return (struct fkmi_cpu_operands){
		.filter = (void *)(part + layout->filter),
		.mu = (void *)(part + layout->mu),
		.panels = (void *)(part + layout->panels),
		.halves = (void *)(part + layout->halves),
		.norms = (void *)(part + layout->norms),
		.index = (void *)(part + layout->index),
		.middle = (void *)(part + layout->middle),
		.key = (void *)(part + layout->key),
		.table = (void *)(part + layout->table),
	};
}

char *fkmi_cpu_thread_part(const struct fkmi_job *job, const struct fkmi_cpu_layout *layout, int thread)
{
	return (char *)fkmi_ref_ptr(job->scratch) + layout->threads + thread * layout->thread_bytes;
}

int64_t fkmi_cpu_scratch_bytes(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
							   const struct fkmi_plan *plan)
{
	int64_t bytes = fkmi_cpu_layout_make(problem, plan->tile, limits->units).bytes;
	int64_t others = fkmi_cpu_step_scratch_bytes(limits, problem);
	return bytes < 0 || others < 0 ? -1 : bytes > others ? bytes : others;
}

bool fkmi_cpu_fuses(const struct fkmi_limits *limits, const struct fkmi_problem *problem, const struct fkmi_tile *tile)
{
	/* Sums that are too large for a copy per thread are added to atomically, which is as well done while the row is
	 * in the cache. */
	(void)limits;
	(void)tile;
	return problem->fits;
}
