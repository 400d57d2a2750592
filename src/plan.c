/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "array.h"
#include "text.h"
#include "windows.h"
#include "workspace.h"

enum verdict { LEGAL, ILLEGAL, TOO_BIG };

static int64_t memory_allowed(const struct fkmi_plan_request *request)
{
	return request->memory_bytes != 0 ? request->memory_bytes : request->limits->memory_bytes;
}

static bool is_forced(const struct fkmi_plan_request *request)
{
	return request->kernel != NULL && request->kernel[0] != '\0';
}

/* ---- cost ------------------------------------------------------------------------------------------------------ */

/* ceil(a / b) for a >= 0, b >= 1, without overflow. */
static int64_t divide_up(int64_t a, int64_t b)
{
	return a / b + (a % b != 0);
}

/*
 * Seconds of one iteration, rough: multiplying and reading overlap, but for an eighth of the shorter, and each tile of
 * points costs its overhead, and so does each chunk. All that overlaps with copies from the host, again but for an eighth
 * of the shorter. (Without that eighth all kernels would tie wherever memory is the limit.) Tiles are dealt to the units in rounds, chunk by chunk, and a ragged tile costs a whole one. In doubles, where
 * no product can overflow.
 */
static double estimate(const struct fkmi_limits *limits, const struct fkmi_problem *problem,
					   const struct fkmi_plan *plan)
{
	const struct fkmi_tile *tile = plan->tile;
	const double units = limits->units > 0 ? limits->units : 1;
	const int64_t chunks = problem->n / plan->chunk_rows, rest = problem->n % plan->chunk_rows;
	double rounds =
		(double)chunks * ceil((double)problem->b * (double)divide_up(plan->chunk_rows, tile->points) / units);
	if (rest > 0)
		rounds += ceil((double)problem->b * (double)divide_up(rest, tile->points) / units);

	double padded_k = (double)divide_up(problem->k, tile->centroids) * tile->centroids;
	double padded_d = tile->dims > 0 ? (double)divide_up(problem->d, tile->dims) * tile->dims : (double)problem->d;
	double multiply_adds = rounds * tile->points * padded_k * padded_d;
	double multiplying = multiply_adds / tile->multiply_adds_per_second;
	double bytes =
		(double)problem->b * (double)problem->n * (double)problem->d * (double)fkmi_dtype_bytes(problem->dtype);
	double reading = limits->bytes_per_second > 0 ? bytes / limits->bytes_per_second : 0;
	double seconds = fmax(multiplying, reading) + fmin(multiplying, reading) / 8 + rounds * tile->seconds_per_tile +
					 (double)divide_up(problem->n, plan->chunk_rows) * tile->seconds_per_chunk;
	const double slowest = 1e10, rate = limits->copies_per_second > 0 ? limits->copies_per_second : slowest;
	double copying = bytes / (double)problem->n * (double)plan->streamed_rows / rate;
	return fmax(seconds, copying) + fmin(seconds, copying) / 8;
}

/* ---- legality -------------------------------------------------------------------------------------------------- */

static void add_dtypes(struct fkmi_text *text, uint32_t dtypes)
{
	const char *separator = "";
	for (int dtype = FKM_F16; dtype <= FKM_F64; dtype++)
		if ((dtypes >> dtype & 1) != 0) {
			fkmi_text_add(text, "%s%s", separator, fkmi_dtype_name((enum fkm_dtype)dtype));
			separator = ", ";
		}
}

static void add_features(const struct fkmi_backend *backend, uint64_t lacking, struct fkmi_text *reason)
{
	fkmi_text_add(reason, "the device lacks");
	const char *const *names = backend->feature_names;
	for (int bit = 0; bit < 64; bit++) {
		const char *name = names != NULL && *names != NULL ? *names++ : NULL;
		if ((lacking >> bit & 1) == 0)
			continue;
		if (name != NULL)
			fkmi_text_add(reason, " %s", name);
		else
			fkmi_text_add(reason, " feature bit %d", bit);
	}
}

/* Whether a size is within [least, most]; 0 is no bound. */
static bool size_fits(const char *name, int64_t size, int64_t least, int64_t most, struct fkmi_text *reason)
{
	if (least != 0 && size < least)
		fkmi_text_add(reason, "%s = %" PRId64 " is below its least, %" PRId64, name, size, least);
	else if (most != 0 && size > most)
		fkmi_text_add(reason, "%s = %" PRId64 " is above its most, %" PRId64, name, size, most);
	else
		return true;
	return false;
}

/* Everything but memory. */
static bool shape_fits(const struct fkmi_plan_request *request, const struct fkmi_tile *tile, struct fkmi_text *reason)
{
	const struct fkmi_problem *problem = request->problem;
	const struct fkmi_limits *limits = request->limits;
	const uint64_t lacking = tile->needs & ~limits->features;
	if (is_forced(request) && strcmp(request->kernel, tile->name) != 0) {
		fkmi_text_add(reason, "the kernel %.64s was asked for", request->kernel);
	} else if (limits->fp64 == 0) {
		fkmi_text_add(reason, "the device lacks double precision");
	} else if (lacking != 0) {
		add_features(request->backend, lacking, reason);
	} else if ((tile->dtypes >> problem->dtype & 1) == 0) {
		fkmi_text_add(reason, "points are %s, the kernel takes ", fkmi_dtype_name(problem->dtype));
		add_dtypes(reason, tile->dtypes);
	} else if (tile->local_bytes > limits->local_bytes) {
		fkmi_text_add(reason, "needs local memory of ");
		fkmi_text_add_bytes(reason, tile->local_bytes);
		fkmi_text_add(reason, ", the device has ");
		fkmi_text_add_bytes(reason, limits->local_bytes);
	} else if (size_fits("d", problem->d, tile->d_min, tile->d_max, reason) &&
			   size_fits("k", problem->k, tile->k_min, tile->k_max, reason)) {
		const struct fkmi_backend *backend = request->backend;
		const char *refusal = backend->refuses != NULL ? backend->refuses(limits, problem, tile) : NULL;
		if (refusal == NULL)
			return true;
		fkmi_text_add(reason, "%s", refusal);
	}
	return false;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* Sets the plan's scratch_bytes and the workspace, INT64_MAX if that overflows; false if the backend cannot. */
static bool size_plan(const struct fkmi_plan_request *request, struct fkmi_plan *plan, int64_t *workspace_bytes)
{
	plan->scratch_bytes = request->backend->scratch_bytes(request->limits, request->problem, plan);
	*workspace_bytes = INT64_MAX;
	if (plan->scratch_bytes < 0)
		return false;
	const int64_t bytes = fkmi_workspace_bytes(request->problem, plan);
	const int64_t points = fkmi_points_bytes(request->problem, plan, request->row_bytes);
	if (bytes >= 0 && points >= 0 && bytes <= INT64_MAX - request->extra_bytes - points)
		*workspace_bytes = bytes + request->extra_bytes + points;
	return true;
}

/* The workspace is one allocation; a device that states no largest one (0) has none of its own. */
static int64_t workspace_allowed(const struct fkmi_plan_request *request)
{
	const int64_t allowed = memory_allowed(request), buffer = request->limits->max_buffer_bytes;
	return buffer != 0 && buffer < allowed ? buffer : allowed;
}

static bool plan_fits(const struct fkmi_plan_request *request, struct fkmi_plan *plan, int64_t *workspace_bytes)
{
	return size_plan(request, plan, workspace_bytes) && *workspace_bytes <= workspace_allowed(request);
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Rows, in whole tiles if that is at least one. */
static int64_t whole_tiles(int64_t rows, const struct fkmi_tile *tile)
{
	return rows > tile->points ? rows - rows % tile->points : rows;
}

/*
 * Chooses chunk_rows and sizes the plan: the forced number, or all rows, or, where memory forbids that, the most that
 * fit, in whole tiles if that is at least one. scratch_bytes must not fall as chunk_rows grows.
 */
static enum verdict choose_chunk(const struct fkmi_plan_request *request, struct fkmi_plan *plan,
								 int64_t *workspace_bytes)
{
	const int64_t n = request->problem->n;
	const bool forced = request->chunk_rows != 0;
	plan->chunk_rows = forced && request->chunk_rows < n ? request->chunk_rows : n;
	if (plan_fits(request, plan, workspace_bytes))
		return LEGAL;
	if (!forced) {
		int64_t fits = 0, fails = n;
		while (fails - fits > 1) {
			plan->chunk_rows = fits + (fails - fits) / 2;
			if (plan_fits(request, plan, workspace_bytes))
				fits = plan->chunk_rows;
			else
				fails = plan->chunk_rows;
		}
		plan->chunk_rows = whole_tiles(fits, plan->tile);
		if (fits > 0 && plan_fits(request, plan, workspace_bytes))
			return LEGAL;
		plan->chunk_rows = 1;
	}
	return size_plan(request, plan, workspace_bytes) ? TOO_BIG : ILLEGAL;
}

/*
 * The same where the last rows of each problem stream: a window is a chunk, of the forced number of rows, or else as
 * large as pays, but two of them take at most half of the room for points, of which the rows that stay get the rest.
 */
static enum verdict choose_windows(const struct fkmi_plan_request *request, struct fkmi_plan *plan,
								   int64_t *workspace_bytes)
{
	enum { WINDOW_BYTES = 128 << 20, LEAST_WINDOWS = 16 };
	const int64_t n = request->problem->n, allowed = workspace_allowed(request);
	const bool forced = request->chunk_rows != 0;
	plan->chunk_rows = request->chunk_rows;
	if (!forced) {
		plan->chunk_rows = least(WINDOW_BYTES / request->row_bytes, n / LEAST_WINDOWS);
		plan->chunk_rows = whole_tiles(plan->chunk_rows > 0 ? plan->chunk_rows : 1, plan->tile);
	}
	plan->chunk_rows = least(plan->chunk_rows, n);
	for (;;) {
		plan->streamed_rows = n;
		if (!size_plan(request, plan, workspace_bytes))
			return ILLEGAL;
		const int64_t room = allowed - *workspace_bytes, window = plan->chunk_rows * request->row_bytes;
		if (room >= 2 * window || (room >= 0 && (forced || plan->chunk_rows == 1))) {
			plan->streamed_rows = n - least(room / request->row_bytes, n - 1);
			/* Parts begin at multiples of so many bytes. */
			while (!plan_fits(request, plan, workspace_bytes))
				plan->streamed_rows++;
			return LEGAL;
		}
		if (forced || plan->chunk_rows == 1)
			return TOO_BIG;
		plan->chunk_rows = whole_tiles(plan->chunk_rows / 2, plan->tile);
	}
}

/* Rows that stay where memory is best used: all of them, or those that leave room for windows of others. */
static enum verdict choose_rows(const struct fkmi_plan_request *request, struct fkmi_plan *plan,
								int64_t *workspace_bytes)
{
	const bool whole = request->backend->iterates != NULL && request->backend->iterates(plan->tile);
	struct fkmi_plan streaming = *plan;
	int64_t streaming_bytes;
	enum verdict verdict = choose_chunk(request, plan, workspace_bytes);
	const bool squeezed = verdict == TOO_BIG || (request->chunk_rows == 0 && plan->chunk_rows < request->problem->n);
	if (verdict == ILLEGAL || !squeezed || request->backend->copier == NULL || request->row_bytes == 0 || whole)
		return verdict;
	if (choose_windows(request, &streaming, &streaming_bytes) != LEGAL) {
		if (verdict == TOO_BIG && streaming_bytes < *workspace_bytes)
			*workspace_bytes = streaming_bytes;
		return verdict;
	}
	if (verdict == LEGAL &&
		estimate(request->limits, request->problem, plan) <= estimate(request->limits, request->problem, &streaming))
		return LEGAL;
	*plan = streaming;
	*workspace_bytes = streaming_bytes;
	return LEGAL;
}

static enum verdict fit_memory(const struct fkmi_plan_request *request, struct fkmi_plan *plan,
							   int64_t *workspace_bytes, struct fkmi_text *reason)
{
	plan->fused = request->problem->fits && request->backend->fuses(request->limits, request->problem, plan->tile);
	enum verdict verdict = choose_rows(request, plan, workspace_bytes);
	if (verdict != LEGAL && plan->fused) { /* separate sums may need less */
		plan->fused = false;
		verdict = choose_rows(request, plan, workspace_bytes);
	}
	if (verdict == ILLEGAL)
		fkmi_text_add(reason, "its scratch memory cannot hold this shape");
	if (verdict == TOO_BIG) {
		const bool by_buffer = workspace_allowed(request) < memory_allowed(request);
		fkmi_text_add(reason, "workspace of ");
		fkmi_text_add_bytes(reason, *workspace_bytes);
		fkmi_text_add(reason, " passes the %s of ", by_buffer ? "largest buffer" : "budget");
		fkmi_text_add_bytes(reason, workspace_allowed(request));
		fkmi_text_add(reason, "%s in chunks of %" PRId64 " %s", request->chunk_rows == 0 ? " even" : "",
					  plan->chunk_rows, plan->chunk_rows == 1 ? "row" : "rows");
	}
	return verdict;
}

/* ---- the plan -------------------------------------------------------------------------------------------------- */

static enum verdict judge(const struct fkmi_plan_request *request, const struct fkmi_tile *tile,
						  struct fkmi_candidate *candidate)
{
	*candidate = (struct fkmi_candidate){.tile = tile, .plan.tile = tile};
	struct fkmi_text reason = {.start = candidate->reason, .capacity = sizeof candidate->reason};
	if (!shape_fits(request, tile, &reason))
		return ILLEGAL;
	enum verdict verdict = fit_memory(request, &candidate->plan, &candidate->workspace_bytes, &reason);
	if (verdict == LEGAL) {
		candidate->legal = true;
		candidate->plan.whole = request->problem->fits && request->problem->ranks < 2 &&
								candidate->plan.chunk_rows == request->problem->n &&
								request->backend->iterates != NULL && request->backend->iterates(tile);
		candidate->seconds = estimate(request->limits, request->problem, &candidate->plan);
		candidate->plan.seconds = candidate->seconds;
	}
	return verdict;
}

static enum fkm_status fail_unknown(const struct fkmi_plan_request *request, const struct fkmi_tile *tiles,
									int32_t count)
{
	char names[768];
	struct fkmi_text text = {.start = names, .capacity = sizeof names};
	for (int32_t i = 0; i < count; i++)
		fkmi_text_add(&text, "%s%s", i == 0 ? "" : ", ", tiles[i].name);
	return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "kernel is \"%.64s\"; backend %s has %s", request->kernel,
					 request->backend->name, count == 0 ? "none" : names);
}

static enum fkm_status fail_unsupported(const struct fkmi_plan_request *request,
										const struct fkmi_candidates *candidates)
{
	char reasons[896];
	struct fkmi_text text = {.start = reasons, .capacity = sizeof reasons};
	for (int32_t i = 0; i < candidates->count; i++) {
		const struct fkmi_candidate *candidate = &candidates->items[i];
		if (is_forced(request) && strcmp(request->kernel, candidate->tile->name) != 0)
			continue;
		fkmi_text_add(&text, "%s%s: %s", text.length == 0 ? "" : "; ", candidate->tile->name, candidate->reason);
	}
	return fkmi_fail(FKM_ERROR_UNSUPPORTED, "no kernel of backend %s can do this: %s", request->backend->name,
					 text.length == 0 ? "it has none" : reasons);
}

enum fkm_status fkmi_plan_make(const struct fkmi_plan_request *request, struct fkmi_plan *plan,
							   struct fkmi_candidates *candidates)
{
	struct fkmi_candidates own;
	if (candidates == NULL)
		candidates = &own;
	int32_t count;
	const struct fkmi_tile *tiles = request->backend->tiles(&count);
	assert(count <= FKMI_MAX_CANDIDATES);
	candidates->count = count;
	candidates->chosen = -1;

	bool named = !is_forced(request);
	const struct fkmi_candidate *smallest = NULL; /* of those that only lack memory */
	for (int32_t i = 0; i < count; i++) {
		struct fkmi_candidate *candidate = &candidates->items[i];
		enum verdict verdict = judge(request, &tiles[i], candidate);
		if (!named && strcmp(request->kernel, tiles[i].name) == 0)
			named = true;
		if (verdict == TOO_BIG && (smallest == NULL || candidate->workspace_bytes < smallest->workspace_bytes))
			smallest = candidate;
		if (verdict == LEGAL &&
			(candidates->chosen < 0 || candidate->seconds < candidates->items[candidates->chosen].seconds))
			candidates->chosen = i;
	}
	if (!named)
		return fail_unknown(request, tiles, count);
	if (candidates->chosen < 0 && smallest != NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY,
						 "a workspace of %" PRId64 " bytes is needed, but %" PRId64 " are allowed (kernel %s: %s)",
						 smallest->workspace_bytes, workspace_allowed(request), smallest->tile->name, smallest->reason);
	if (candidates->chosen < 0)
		return fail_unsupported(request, candidates);
	*plan = candidates->items[candidates->chosen].plan;
	return FKM_OK;
}
