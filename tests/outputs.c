/* SPDX-License-Identifier: Apache-2.0 */
#include "outputs.h"

#include <stdlib.h>
#include <string.h>

enum { GUARD = 256, GUARD_BYTE = 0xA5, POISON_BYTE = 0xCB };

static size_t padded(size_t bytes)
{
	return (bytes + GUARD - 1) / GUARD * GUARD;
}

struct guarded guarded_make(size_t bytes)
{
	struct guarded guarded = {.bytes = bytes, .block = aligned_alloc(GUARD, padded(bytes) + 2 * GUARD)};

	if (!guarded.block)
		abort();
	memset(guarded.block, GUARD_BYTE, padded(bytes) + 2 * GUARD);
	guarded.data = (char *)guarded.block + GUARD;
	guarded_poison(&guarded);
	return guarded;
}

void guarded_poison(const struct guarded *guarded)
{
	memset(guarded->data, POISON_BYTE, guarded->bytes);
}

bool guarded_intact(const struct guarded *guarded)
{
	const unsigned char *before = guarded->block, *data = guarded->data;

	for (size_t i = 0; i < GUARD; i++)
		if (before[i] != GUARD_BYTE)
			return false;
	for (size_t i = guarded->bytes; i < padded(guarded->bytes) + GUARD; i++)
		if (data[i] != GUARD_BYTE)
			return false;
	return true;
}

void guarded_free(struct guarded *guarded)
{
	free(guarded->block);
	*guarded = (struct guarded){0};
}

void outputs_make(struct outputs *outputs, int64_t b, int64_t n, int64_t k, int64_t d, enum fkm_dtype centroids_dtype)
{
	struct fkm_fit_result *result = &outputs->result;
	const int64_t bytes[OUTPUTS] = {4 * b * n,
									(centroids_dtype == FKM_F32 ? 4 : 8) * b * k * d,
									8 * b * k,
									8 * b * n,
									8 * b * (k + 1),
									8 * b * n,
									8 * b,
									4 * b,
									4 * b};

	for (int i = 0; i < OUTPUTS; i++)
		outputs->blocks[i] = guarded_make((size_t)bytes[i]);
	fkm_fit_result_init(result);
	result->labels = outputs->blocks[0].data;
	result->centroids = outputs->blocks[1].data;
	result->centroids_dtype = centroids_dtype;
	result->counts = outputs->blocks[2].data;
	result->order = outputs->blocks[3].data;
	result->offsets = outputs->blocks[4].data;
	result->distances = outputs->blocks[5].data;
	result->inertia = outputs->blocks[6].data;
	result->n_iter = outputs->blocks[7].data;
	result->reason = outputs->blocks[8].data;
}

void outputs_poison(struct outputs *outputs)
{
	for (int i = 0; i < OUTPUTS; i++)
		guarded_poison(&outputs->blocks[i]);
}

const char *outputs_overrun(const struct outputs *outputs)
{
	static const char *const names[OUTPUTS] = {"labels",    "centroids", "counts", "order", "offsets",
											   "distances", "inertia",   "n_iter", "reason"};

	for (int i = 0; i < OUTPUTS; i++)
		if (!guarded_intact(&outputs->blocks[i]))
			return names[i];
	return NULL;
}

void outputs_free(struct outputs *outputs)
{
	for (int i = 0; i < OUTPUTS; i++)
		guarded_free(&outputs->blocks[i]);
}
