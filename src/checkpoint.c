/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* The bytes are little-endian 64-bit words: those of the head, the settings, n_iter and reason [b] (and best_n_iter and
 * best_reason) as pairs of 32 bits, best_inertia [b], centroids [b, K, d], best_centroids, and a checksum of all before it. */
static const char magic[8] = "fkm-fit";
enum { FORMAT = 1 };
enum head { MAGIC, VERSION, BYTES, RUN, ITERATION, HEAD_WORDS };

/* Of fkmi_settings.values. */
enum setting {
	BATCH,
	POINTS,
	CLUSTERS,
	DIMS,
	DTYPE,
	METRIC,
	INIT,
	STOP,
	TOL,
	EMPTY,
	PRECISION,
	MAX_ITER,
	N_INIT,
	SEED,
	WEIGHTED,
	ROUNDED,
	DATA
};
_Static_assert(DATA + 1 == FKMI_SETTINGS, "every setting has a place");

static const char *const setting_names[] = {
	[BATCH] = "batch",
	[POINTS] = "number of points",
	[CLUSTERS] = "clusters",
	[DIMS] = "dims",
	[DTYPE] = "dtype",
	[METRIC] = "metric",
	[INIT] = "init",
	[STOP] = "stop",
	[TOL] = "tol",
	[EMPTY] = "empty",
	[PRECISION] = "precision",
	[MAX_ITER] = "max_iter",
	[N_INIT] = "n_init",
	[SEED] = "seed",
	[WEIGHTED] = "use of weights",
	[ROUNDED] = "rounding of centroids to f32",
	[DATA] = "data",
};

/* ---- settings ---- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
	return hash ^ hash >> 29;
}

static uint64_t bits_of(double value)
{
	uint64_t bits;
	value += 0; /* one zero: which of the two an extreme is depends on the order of rows */
	memcpy(&bits, &value, sizeof bits);
	return bits;
}

/* What a call knows of its data without another pass: extremes of columns and weights. */
static enum fkm_status hash_data(struct fkmi_work *work, uint64_t *hash)
{
	const struct fkmi_problem *p = &work->job.problem;
	const int64_t columns = p->b * p->d;
	FKMI_TRY(fkmi_work_states(work));
	for (int64_t b = 0; b < p->b; b++)
		*hash = mix(mix(*hash, bits_of(work->states[b].weight_max)), bits_of(work->states[b].weight_min));
	if (work->job.column_min.base == NULL)
		return FKM_OK;
	double *values = malloc((size_t)(2 * columns) * sizeof *values);
	if (values == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no host memory for the extremes of %lld columns",
						 (long long)columns);
	const int64_t bytes = columns * (int64_t)sizeof *values;
	enum fkm_status status = work->backend->download(work->device, values, work->job.column_min, bytes);
	if (status == FKM_OK)
		status = work->backend->download(work->device, values + columns, work->job.column_max, bytes);
	for (int64_t i = 0; i < 2 * columns && status == FKM_OK; i++)
		*hash = mix(*hash, bits_of(values[i]));
	free(values);
	return status;
}

enum fkm_status fkmi_checkpoint_settings(struct fkmi_work *work, struct fkmi_settings *settings)
{
	const struct fkmi_problem *p = &work->request.problem;
	const struct fkm_fit_params *params = &work->request.params;
	*settings = (struct fkmi_settings){{
		[BATCH] = (uint64_t)p->b,
		[POINTS] = (uint64_t)p->n_all,
		[CLUSTERS] = (uint64_t)p->k,
		[DIMS] = (uint64_t)p->d,
		[DTYPE] = (uint64_t)p->dtype,
		[METRIC] = (uint64_t)p->metric,
		[INIT] = (uint64_t)params->init,
		[STOP] = (uint64_t)params->stop,
		[TOL] = bits_of(params->tol),
		[EMPTY] = (uint64_t)p->empty,
		[PRECISION] = (uint64_t)p->precision,
		[MAX_ITER] = (uint64_t)params->max_iter,
		[N_INIT] = (uint64_t)params->n_init,
		[SEED] = params->seed,
		[WEIGHTED] = p->weighted,
		[ROUNDED] = work->request.rounds,
	}};
	return hash_data(work, &settings->values[DATA]);
}

static enum fkm_status compare_settings(const uint64_t *kept, const struct fkmi_settings *settings)
{
	for (int i = 0; i < FKMI_SETTINGS; i++) {
		const uint64_t theirs = kept[i], ours = settings->values[i];
		double tol, our_tol;
		if (theirs == ours)
			continue;
		switch ((enum setting)i) {
		case DATA:
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "resume: the checkpoint is of other points or weights");
		case TOL:
			memcpy(&tol, &theirs, sizeof tol);
			memcpy(&our_tol, &ours, sizeof our_tol);
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "resume: the checkpoint's tol is %.17g, this fit's %.17g", tol,
							 our_tol);
		default:
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "resume: the checkpoint's %s is %llu, this fit's %llu",
							 setting_names[i], (unsigned long long)theirs, (unsigned long long)ours);
		}
	}
	return FKM_OK;
}

/* ---- layout ---- */

int64_t fkmi_checkpoint_bytes(const struct fkmi_problem *p, bool later)
{
	const int64_t centroids = p->b * p->k * p->d;
	const int64_t words = HEAD_WORDS + FKMI_SETTINGS + p->b + centroids + (later ? 2 * p->b + centroids : 0) + 1;
	return words * (int64_t)sizeof(uint64_t);
}

/* Sets all members of parts but run and iteration. */
static void find_parts(void *bytes, const struct fkmi_problem *p, struct fkmi_checkpoint *parts)
{
	const bool later = parts->run > 0;
	uint64_t *words = bytes;
	int32_t *pairs = (int32_t *)(words + HEAD_WORDS + FKMI_SETTINGS);
	double *values = (double *)(pairs + (later ? 4 : 2) * p->b);
	*parts = (struct fkmi_checkpoint){.run = parts->run,
									  .iteration = parts->iteration,
									  .n_iter = pairs,
									  .reason = pairs + p->b,
									  .centroids = values + (later ? p->b : 0)};
	if (!later)
		return;
	parts->best_n_iter = pairs + 2 * p->b;
	parts->best_reason = pairs + 3 * p->b;
	parts->best_inertia = values;
	parts->best_centroids = parts->centroids + p->b * p->k * p->d;
}

static uint64_t checksum(const uint64_t *words, int64_t count)
{
	uint64_t hash = (uint64_t)count;
	for (int64_t i = 0; i < count; i++)
		hash = mix(hash, words[i]);
	return hash;
}

void fkmi_checkpoint_begin(void *bytes, const struct fkmi_problem *p, const struct fkmi_settings *settings,
						   struct fkmi_checkpoint *parts)
{
	uint64_t *words = bytes;
	memcpy(&words[MAGIC], magic, sizeof magic);
	words[VERSION] = FORMAT;
	words[BYTES] = (uint64_t)fkmi_checkpoint_bytes(p, parts->run > 0);
	words[RUN] = (uint64_t)parts->run;
	words[ITERATION] = (uint64_t)parts->iteration;
	memcpy(words + HEAD_WORDS, settings->values, sizeof settings->values);
	find_parts(bytes, p, parts);
}

void fkmi_checkpoint_seal(void *bytes)
{
	uint64_t *words = bytes;
	const int64_t last = (int64_t)(words[BYTES] / sizeof *words) - 1;
	words[last] = checksum(words, last);
}

/* ---- reading what may be anything ---- */

static enum fkm_status damaged(const char *what)
{
	return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "resume: the checkpoint is damaged: %s", what);
}

static enum fkm_status check_whole(const uint64_t *words, int64_t size)
{
	const int64_t least = (HEAD_WORDS + FKMI_SETTINGS + 1) * (int64_t)sizeof *words;
	if (size < (int64_t)sizeof magic || memcmp(words, magic, sizeof magic) != 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "resume: these %lld bytes are not a checkpoint", (long long)size);
	if (size >= 2 * (int64_t)sizeof *words && words[VERSION] != FORMAT)
		return fkmi_fail(FKM_ERROR_UNSUPPORTED, "resume: the checkpoint's format is %llu; this library reads %d",
						 (unsigned long long)words[VERSION], FORMAT);
	if (size < least || words[BYTES] != (uint64_t)size)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "resume: the checkpoint has %lld bytes where it promises %lld",
						 (long long)size, size < least ? (long long)least : (long long)words[BYTES]);
	const int64_t last = size / (int64_t)sizeof *words - 1;
	if (size % (int64_t)sizeof *words != 0 || checksum(words, last) != words[last])
		return damaged("its checksum is wrong");
	return FKM_OK;
}

static bool are_counts(const int32_t *values, int64_t count, uint64_t most)
{
	for (int64_t i = 0; i < count; i++)
		if (values[i] < 0 || (uint64_t)values[i] > most)
			return false;
	return true;
}

static bool are_reasons(const int32_t *values, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		if (values[i] <= FKM_REASON_NONE || values[i] >= FKM_REASON_CANCELLED)
			return false;
	return true;
}

static bool are_centroids(const double *values, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		if (!(fabs(values[i]) <= 0x1p200))
			return false;
	return true;
}

enum fkm_status fkmi_checkpoint_read(const void *bytes, int64_t size, const struct fkmi_problem *p,
									 const struct fkmi_settings *settings, struct fkmi_checkpoint *parts)
{
	const uint64_t *words = bytes;
	const uint64_t max_iter = settings->values[MAX_ITER];
	const int64_t centroids = p->b * p->k * p->d;
	FKMI_TRY(check_whole(words, size));
	FKMI_TRY(compare_settings(words + HEAD_WORDS, settings));
	if (words[RUN] >= settings->values[N_INIT])
		return damaged("its run is beyond the last");
	if (words[ITERATION] < 1 || words[ITERATION] > max_iter)
		return damaged("its iteration is none of the fit's");
	if (size != fkmi_checkpoint_bytes(p, words[RUN] > 0))
		return damaged("it is not of the size of its fit");
	parts->run = (int32_t)words[RUN];
	parts->iteration = (int32_t)words[ITERATION];
	find_parts((void *)(uintptr_t)bytes, p, parts);
	if (!are_counts(parts->n_iter, p->b, max_iter) || !are_reasons(parts->reason, p->b) ||
		!are_centroids(parts->centroids, centroids))
		return damaged("a value of it is none that a fit could have");
	if (parts->run > 0 && (!are_counts(parts->best_n_iter, p->b, max_iter) || !are_reasons(parts->best_reason, p->b) ||
						   !are_centroids(parts->best_centroids, centroids)))
		return damaged("a value of its best run is none that a fit could have");
	return FKM_OK;
}

int64_t fkmi_checkpoint_mark(const void *bytes, int64_t size)
{
	uint64_t last = 0;
	if (bytes == NULL)
		return 0;
	if (size >= (int64_t)sizeof last) /* of a checkpoint, its checksum */
		memcpy(&last, (const char *)bytes + size - sizeof last, sizeof last);
	return 1 + (int64_t)(mix(last, (uint64_t)size) >> 2);
}
