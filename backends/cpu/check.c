/* SPDX-License-Identifier: Apache-2.0 */
/* Setting up: finiteness, ranges of columns and weights, norms, grids and variances. */
#include "steps.h"

#include <math.h>
#include <string.h>

enum { NARROW = 64 }; /* rows shorter than this are handled several at a time */

struct fkmi_cpu_need fkmi_cpu_check_need(const struct fkmi_problem *problem)
{
	int64_t row = (problem->d + NARROW) * (int64_t)sizeof(double);
	return (struct fkmi_cpu_need){.shared_bytes = 2 * row, .part_bytes = 2 * row};
}

/* Points as lines: a row, or, where rows are short and adjacent, as many rows as fit in NARROW elements. */
struct lines {
	const struct fkmi_job *job;
	int64_t b, rows; /* of a line */
	int64_t count, width, last_width;
};

static struct lines lines_of(const struct fkmi_job *job, int64_t b)
{
	const struct fkmi_problem *p = &job->problem;
	struct lines lines = {.job = job, .b = b, .rows = 1};
	if (p->d < NARROW && job->point_row_stride == p->d && !job->row_scale.base)
		lines.rows = NARROW / p->d;
	lines.count = (p->n + lines.rows - 1) / lines.rows;
	lines.width = lines.rows * p->d;
	lines.last_width = p->n > 0 ? (p->n - (lines.count - 1) * lines.rows) * p->d : 0;
	return lines;
}

static const void *line_at(const struct lines *lines, int64_t line)
{
	return fkmi_cpu_row(lines->job, lines->b, line * lines->rows);
}

static int64_t line_width(const struct lines *lines, int64_t line)
{
	return line == lines->count - 1 ? lines->last_width : lines->width;
}

static void load_line(const struct lines *lines, int64_t line, double *out)
{
	if (lines->rows == 1)
		fkmi_cpu_load_row(lines->job, lines->b, line, out);
	else
		fkmi_cpu_convert(line_at(lines, line), lines->job->problem.dtype, line_width(lines, line), 1, out);
}

/* ---- check_points ---- */

/* Keys order the bits of floating-point numbers as integers; NaN lies beyond infinity. Taking the key twice gives the
 * bits back. */
static inline int32_t key32(int32_t bits)
{
	return bits ^ (bits >> 31 & 0x7fffffff);
}

static inline int16_t key16(int16_t bits)
{
	return (int16_t)(bits ^ (bits >> 15 & 0x7fff));
}

/* Narrows low[j] .. high[j] to hold the keys of column j of four lines. */
#define DEFINE_RANGE(bits)                                                                                             \
	FKMI_CPU_INLINE void range##bits##_body(const int##bits##_t *const line[4], int64_t width,                         \
											int##bits##_t *restrict low, int##bits##_t *restrict high)                 \
	{                                                                                                                  \
		const int##bits##_t *l0 = line[0], *l1 = line[1], *l2 = line[2], *l3 = line[3];                                \
		for (int64_t j = 0; j < width; j++) {                                                                          \
			int##bits##_t a = key##bits(l0[j]), b = key##bits(l1[j]), c = key##bits(l2[j]), d = key##bits(l3[j]);      \
			int##bits##_t ab_low = a < b ? a : b, cd_low = c < d ? c : d;                                              \
			int##bits##_t ab_high = a < b ? b : a, cd_high = c < d ? d : c;                                            \
			int##bits##_t all_low = ab_low < cd_low ? ab_low : cd_low;                                                 \
			int##bits##_t all_high = ab_high < cd_high ? cd_high : ab_high;                                            \
			low[j] = low[j] < all_low ? low[j] : all_low;                                                              \
			high[j] = high[j] < all_high ? all_high : high[j];                                                         \
		}                                                                                                              \
	}                                                                                                                  \
	FKMI_CPU_DISPATCH(range##bits,                                                                                     \
					  (const int##bits##_t *const line[4], int64_t width, int##bits##_t *low, int##bits##_t *high),    \
					  (line, width, low, high))                                                                        \
	static void add_lines##bits(const struct lines *lines, int64_t begin, int64_t end, void *part)                     \
	{                                                                                                                  \
		int##bits##_t *low = part, *high = low + lines->width;                                                         \
		for (int64_t i = begin; i < end;) {                                                                            \
			int64_t width = line_width(lines, i), step = i + 4 < end ? 4 : 1;                                          \
			const int##bits##_t *line[4];                                                                              \
			for (int r = 0; r < 4; r++)                                                                                \
				line[r] = line_at(lines, step == 4 ? i + r : i);                                                       \
			range##bits(line, width, low, high);                                                                       \
			i += step;                                                                                                 \
		}                                                                                                              \
	}                                                                                                                  \
	static void clear##bits(const struct lines *lines, void *part)                                                     \
	{                                                                                                                  \
		int##bits##_t *low = part, *high = low + lines->width;                                                         \
		for (int64_t j = 0; j < lines->width; j++) {                                                                   \
			low[j] = INT##bits##_MAX;                                                                                  \
			high[j] = INT##bits##_MIN;                                                                                 \
		}                                                                                                              \
	}                                                                                                                  \
	static int32_t key_at##bits(const struct lines *lines, const void *part, bool highest, int64_t j)                  \
	{                                                                                                                  \
		return ((const int##bits##_t *)part)[highest ? lines->width + j : j];                                          \
	}

DEFINE_RANGE(32)
DEFINE_RANGE(16)

struct ranges {
	struct lines lines;
	struct fkmi_cpu_parts parts;
};

static void add_range(void *context, int part, int64_t begin, int64_t end)
{
	struct ranges *ranges = context;
	void *keys = fkmi_cpu_part(&ranges->parts, part);
	if (ranges->lines.job->problem.dtype == FKM_F32)
		add_lines32(&ranges->lines, begin, end, keys);
	else
		add_lines16(&ranges->lines, begin, end, keys);
}

/* The lowest or highest key of column j over all parts and all rows of a line. */
static int32_t column_key(const struct ranges *ranges, bool highest, int64_t j)
{
	const struct lines *lines = &ranges->lines;
	const struct fkmi_problem *p = &lines->job->problem;
	int32_t best = highest ? INT32_MIN : INT32_MAX;
	for (int part = 0; part < ranges->parts.count; part++) {
		const void *keys = fkmi_cpu_part(&ranges->parts, part);
		for (int64_t column = j; column < lines->width; column += p->d) {
			int32_t key =
				p->dtype == FKM_F32 ? key_at32(lines, keys, highest, column) : key_at16(lines, keys, highest, column);
			if (highest ? key > best : key < best)
				best = key;
		}
	}
	return best;
}

static int32_t infinity_key(enum fkm_dtype dtype)
{
	if (dtype == FKM_F32)
		return 0x7f800000;
	return dtype == FKM_F16 ? 0x7c00 : 0x7f80;
}

/* The order key of the double with that key. */
static int64_t column_order(enum fkm_dtype dtype, int32_t key)
{
	double value;
	int64_t bits;
	int32_t single = key32(key);
	int16_t narrow = key16((int16_t)key);
	fkmi_cpu_convert(dtype == FKM_F32 ? (const void *)&single : (const void *)&narrow, dtype, 1, 1, &value);
	memcpy(&bits, &value, sizeof bits);
	return fkmi_order_key(bits);
}

/* Known to exist. */
static int64_t first_nonfinite(const struct fkmi_job *job, int64_t b, double *row)
{
	const struct fkmi_problem *p = &job->problem;
	for (int64_t i = 0; i < p->n; i++) {
		fkmi_cpu_convert(fkmi_cpu_row(job, b, i), p->dtype, p->d, 1, row);
		for (int64_t j = 0; j < p->d; j++)
			if (!isfinite(row[j]))
				return i * p->d + j;
	}
	return -1;
}

static void check_points(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	(void)context;
	const struct fkmi_problem *p = &job->problem;
	struct ranges ranges = {.lines = lines_of(job, b)};
	ranges.parts = fkmi_cpu_split(team, fkmi_cpu_check_need(p), p->n * p->d / 4);
	for (int part = 0; part < ranges.parts.count; part++) {
		if (p->dtype == FKM_F32)
			clear32(&ranges.lines, fkmi_cpu_part(&ranges.parts, part));
		else
			clear16(&ranges.lines, fkmi_cpu_part(&ranges.parts, part));
	}
	int64_t grain = 4 * fkmi_cpu_grain(ranges.lines.width);
	fkmi_cpu_run(team, ranges.parts.count, ranges.lines.count, grain, add_range, &ranges);
	int32_t infinity = infinity_key(p->dtype);
	bool finite = true;
	for (int64_t j = 0; j < p->d; j++) {
		int32_t low = column_key(&ranges, false, j), high = column_key(&ranges, true, j);
		finite = finite && ((low >= -infinity && high < infinity) || p->n == 0);
		if (!job->column_min.base)
			continue;
		*fkmi_cpu_int64s(job->column_min, b * p->d + j) = p->n > 0 ? column_order(p->dtype, low) : INT64_MAX;
		*fkmi_cpu_int64s(job->column_max, b * p->d + j) = p->n > 0 ? column_order(p->dtype, high) : -INT64_MAX;
	}
	fkmi_cpu_state(job, b)->bad_point = finite ? -1 : first_nonfinite(job, b, (double *)(void *)ranges.parts.shared);
}

enum fkm_status fkmi_cpu_check_points(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	fkmi_cpu_each_problem(device, job, p->n * p->d / 4, fkmi_cpu_check_need(p), check_points, NULL);
	return FKM_OK;
}

/* ---- check_weights ---- */

struct weights {
	const struct fkmi_job *job;
	int64_t b;
	struct fkmi_cpu_parts parts;
};

struct weight_range {
	double low, high;
	int64_t bad; /* INT64_MAX: none */
};

static void add_weights(void *context, int part, int64_t begin, int64_t end)
{
	struct weights *weights = context;
	struct weight_range *range = fkmi_cpu_part(&weights->parts, part);
	for (int64_t i = begin; i < end; i++) {
		double w = fkmi_cpu_weight(weights->job, weights->b, i);
		range->low = w < range->low ? w : range->low;
		range->high = w > range->high ? w : range->high;
		if (!(w >= 0 && w <= 0x1.fffffffffffffp1023) && i < range->bad)
			range->bad = i;
	}
}

static void check_weights(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	(void)context;
	const struct fkmi_problem *p = &job->problem;
	struct weights weights = {.job = job, .b = b, .parts = fkmi_cpu_split(team, fkmi_cpu_check_need(p), p->n)};
	struct weight_range all = {.low = INFINITY, .high = 0, .bad = INT64_MAX};
	for (int part = 0; part < weights.parts.count; part++)
		*(struct weight_range *)fkmi_cpu_part(&weights.parts, part) = all;
	fkmi_cpu_run(team, weights.parts.count, p->n, fkmi_cpu_grain(4), add_weights, &weights);
	for (int part = 0; part < weights.parts.count; part++) {
		const struct weight_range *range = fkmi_cpu_part(&weights.parts, part);
		all.low = range->low < all.low ? range->low : all.low;
		all.high = range->high > all.high ? range->high : all.high;
		all.bad = range->bad < all.bad ? range->bad : all.bad;
	}
	struct fkmi_state *state = fkmi_cpu_state(job, b);
	state->weight_min = all.low;
	state->weight_max = all.high;
	state->bad_weight = all.bad == INT64_MAX ? -1 : all.bad;
}

enum fkm_status fkmi_cpu_check_weights(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	fkmi_cpu_each_problem(device, job, p->n, fkmi_cpu_check_need(p), check_weights, NULL);
	return FKM_OK;
}

/* ---- row_norms ---- */

struct norms {
	const struct fkmi_job *job;
	int64_t b;
	const double *zeros;
	struct fkmi_cpu_parts parts;
};

static void take_norms(void *context, int part, int64_t begin, int64_t end)
{
	struct norms *norms = context;
	const struct fkmi_problem *p = &norms->job->problem;
	double *row = fkmi_cpu_part(&norms->parts, part);
	double *scale = fkmi_cpu_doubles(norms->job->row_scale, norms->b * p->n);
	for (int64_t i = begin; i < end; i++) {
		fkmi_cpu_convert(fkmi_cpu_row(norms->job, norms->b, i), p->dtype, p->d, 1, row);
		double q = fkmi_cpu_distance(row, norms->zeros, p->d);
		scale[i] = q == 0 ? 0 : 1 / sqrt(q);
	}
}

static void row_norms(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	(void)context;
	const struct fkmi_problem *p = &job->problem;
	struct norms norms = {.job = job, .b = b, .parts = fkmi_cpu_split(team, fkmi_cpu_check_need(p), p->n * p->d)};
	norms.zeros = memset(norms.parts.shared, 0, (size_t)p->d * sizeof(double));
	fkmi_cpu_run(team, norms.parts.count, p->n, fkmi_cpu_grain(p->d), take_norms, &norms);
}

enum fkm_status fkmi_cpu_row_norms(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	fkmi_cpu_each_problem(device, job, p->n * p->d, fkmi_cpu_check_need(p), row_norms, NULL);
	return FKM_OK;
}

/* ---- grids ---- */

/* A double takes the place of its order key. */
static void open_key(struct fkmi_ref keys, int64_t index)
{
	const int64_t bits = fkmi_order_key(*fkmi_cpu_int64s(keys, index));
	memcpy(fkmi_cpu_doubles(keys, index), &bits, sizeof bits);
}

/* a_j of section 2. */
static double column_magnitude(const struct fkmi_job *job, int64_t b, int64_t j)
{
	if (!job->column_min.base)
		return 1;
	int64_t index = b * job->problem.d + j;
	return fmax(fabs(*fkmi_cpu_doubles(job->column_min, index)), fabs(*fkmi_cpu_doubles(job->column_max, index)));
}

static void grids(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	(void)team;
	(void)context;
	const struct fkmi_problem *p = &job->problem;
	struct fkmi_state *state = fkmi_cpu_state(job, b);
	int bits = fkmi_grid_bits(p->n_all);
	/* Products with f16 numbers are exact on this grid; a finer one would only cost range. */
	bool capped = p->dtype == FKM_F16 && p->metric == FKM_METRIC_EUCLIDEAN && !p->weighted;
	state->point_max = 0;
	for (int64_t j = 0; j < p->d; j++) {
		if (job->column_min.base) {
			open_key(job->column_min, b * p->d + j);
			open_key(job->column_max, b * p->d + j);
		}
		double a = column_magnitude(job, b, j), scale = fkmi_grid_scale(a * state->weight_max, bits);
		*fkmi_cpu_doubles(job->column_scale, b * p->d + j) = capped ? fmin(scale, 0x1p24) : scale;
		state->point_max = fmax(state->point_max, a);
	}
	state->weight_scale = p->weighted ? fkmi_grid_scale(state->weight_max, bits) : 1;
}

enum fkm_status fkmi_cpu_grids(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_cpu_need none = {0};
	fkmi_cpu_each_problem(device, job, 4 * job->problem.d, none, grids, NULL);
	return FKM_OK;
}

/* ---- variances ---- */

struct moments {
	struct lines lines;
	struct fkmi_cpu_parts parts;
	double *center, *scale; /* of each element of a line */
	bool squares;           /* sums of squared deviations from center, not of values */
};

FKMI_CPU_INLINE void add_values_body(const double *restrict line, int64_t width, const double *restrict scale,
									 int64_t *restrict sums)
{
	for (int64_t j = 0; j < width; j++)
		sums[j] += fkmi_cpu_rint(line[j] * scale[j]);
}
FKMI_CPU_DISPATCH(add_values, (const double *line, int64_t width, const double *scale, int64_t *sums),
				  (line, width, scale, sums))

FKMI_CPU_INLINE void add_squares_body(const double *restrict line, int64_t width, const double *restrict center,
									  const double *restrict scale, int64_t *restrict sums)
{
	for (int64_t j = 0; j < width; j++)
		sums[j] += fkmi_cpu_rint((line[j] - center[j]) * (line[j] - center[j]) * scale[j]);
}
FKMI_CPU_DISPATCH(add_squares,
				  (const double *line, int64_t width, const double *center, const double *scale, int64_t *sums),
				  (line, width, center, scale, sums))

static void add_moments(void *context, int part, int64_t begin, int64_t end)
{
	struct moments *moments = context;
	int64_t *sums = fkmi_cpu_part(&moments->parts, part);
	double *line = (double *)(sums + moments->lines.width);
	for (int64_t i = begin; i < end; i++) {
		int64_t width = line_width(&moments->lines, i);
		load_line(&moments->lines, i, line);
		if (moments->squares)
			add_squares(line, width, moments->center, moments->scale, sums);
		else
			add_values(line, width, moments->scale, sums);
	}
}

/* The problem's variance[j] = the mean over all ranks' rows of what moments sums in column j. */
static enum fkm_status take_means(const struct fkmi_cpu_team *team, struct moments *moments)
{
	const struct lines *lines = &moments->lines;
	const struct fkmi_problem *p = &lines->job->problem;
	int64_t *sums = fkmi_cpu_int64s(lines->job->variance, lines->b * p->d);
	double *means = fkmi_cpu_doubles(lines->job->variance, lines->b * p->d);
	for (int part = 0; part < moments->parts.count; part++)
		memset(fkmi_cpu_part(&moments->parts, part), 0, (size_t)lines->width * sizeof(int64_t));
	fkmi_cpu_run(team, moments->parts.count, lines->count, fkmi_cpu_grain(lines->width), add_moments, moments);
	for (int64_t j = 0; j < p->d; j++) {
		int64_t sum = 0;
		for (int part = 0; part < moments->parts.count; part++)
			for (int64_t column = j; column < lines->width; column += p->d)
				sum += ((const int64_t *)fkmi_cpu_part(&moments->parts, part))[column];
		sums[j] = sum;
	}
	FKMI_TRY(fkmi_cpu_merge(lines->job, sums, p->d, FKM_REDUCE_SUM));
	for (int64_t j = 0; j < p->d; j++)
		means[j] = (double)sums[j] * (1 / moments->scale[j]) / (double)p->n_all;
	return FKM_OK;
}

static double spread(const struct fkmi_job *job, int64_t b, int64_t j, double mean)
{
	if (!job->column_min.base)
		return 2;
	int64_t index = b * job->problem.d + j;
	return fmax(fabs(*fkmi_cpu_doubles(job->column_max, index) - mean),
				fabs(*fkmi_cpu_doubles(job->column_min, index) - mean));
}

static void variances(const struct fkmi_cpu_team *team, const struct fkmi_job *job, int64_t b, void *context)
{
	(void)context;
	const struct fkmi_problem *p = &job->problem;
	const double *means = fkmi_cpu_doubles(job->variance, b * p->d); /* until the variance is known */
	int bits = fkmi_grid_bits(p->n_all);
	struct moments moments = {.lines = lines_of(job, b)};
	int64_t width = moments.lines.width;
	moments.parts = fkmi_cpu_split(team, fkmi_cpu_check_need(p), p->n * p->d);
	moments.scale = (double *)(void *)moments.parts.shared;
	moments.center = moments.scale + width;
	for (int64_t j = 0; j < width; j++)
		moments.scale[j] = fkmi_grid_scale(column_magnitude(job, b, j % p->d), bits);
	if (take_means(team, &moments) != FKM_OK)
		return;
	for (int64_t j = 0; j < width; j++) {
		double mean = means[j % p->d], e = spread(job, b, j % p->d, mean);
		moments.center[j] = mean;
		moments.scale[j] = fkmi_grid_scale(e * e, bits);
	}
	moments.squares = true;
	(void)take_means(team, &moments);
}

enum fkm_status fkmi_cpu_variances(struct fkmi_device *device, const struct fkmi_job *job)
{
	const struct fkmi_problem *p = &job->problem;
	return fkmi_cpu_each_merged(device, job, 4 * p->n * p->d, fkmi_cpu_check_need(p), variances, NULL);
}
