/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer: any bytes as a checkpoint. The first byte says how much of its frame is made right, so that what lies behind
 * it is reached. One that is taken has all of its parts within its bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const void *memory, size_t bytes)
{
	static volatile unsigned char sink;
	for (size_t i = 0; i < bytes; i++)
		sink = ((const unsigned char *)memory)[i];
	(void)sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	const int frame = data[0] % 3;
	const bool later = data[0] & 128;
	const struct fkmi_problem p = {.b = 1 + data[1] % 3, .n = 9, .k = 1 + data[1] / 3 % 3, .d = 1 + data[1] / 9 % 3};
	struct fkmi_settings settings;
	for (int i = 0; i < FKMI_SETTINGS; i++)
		settings.values[i] = 3; /* so are the most iterations and the runs */
	size -= 2;
	const size_t whole = (size_t)fkmi_checkpoint_bytes(&p, later);
	const size_t bytes = frame == 0 ? size : whole;
	/* Room of just that size, so that a byte beyond is seen. */
	uint64_t *words = calloc(1, bytes + (bytes == 0));
	if (words == NULL)
		return 0;
	memcpy(words, data + 2, size < bytes ? size : bytes);
	if (frame > 0) {
		struct fkmi_checkpoint parts = {.run = later ? (int32_t)(words[3] % 4) : 0, .iteration = (int32_t)words[4]};
		const size_t needed = (size_t)fkmi_checkpoint_bytes(&p, parts.run > 0);
		if (needed <= bytes)
			fkmi_checkpoint_begin(words, &p, &settings, &parts);
		if (needed <= bytes && frame > 1)
			fkmi_checkpoint_seal(words);
	}
	struct fkmi_checkpoint parts;
	if (fkmi_checkpoint_read(words, (int64_t)bytes, &p, &settings, &parts) == FKM_OK) {
		const size_t b = (size_t)p.b, centroids = b * (size_t)(p.k * p.d) * sizeof(double);
		if (parts.run < 0 || parts.run > 2 || parts.iteration < 1 || parts.iteration > 3)
			abort();
		touch(parts.n_iter, b * sizeof(int32_t));
		touch(parts.reason, b * sizeof(int32_t));
		touch(parts.centroids, centroids);
		if (parts.run > 0) {
			touch(parts.best_n_iter, b * sizeof(int32_t));
			touch(parts.best_reason, b * sizeof(int32_t));
			touch(parts.best_inertia, b * sizeof(double));
			touch(parts.best_centroids, centroids);
		}
	}
	free(words);
	return 0;
}
