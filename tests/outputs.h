/* SPDX-License-Identifier: Apache-2.0 */
/* Results of a call in poisoned memory between guard bytes. */
#ifndef OUTPUTS_H
#define OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flashkmeans/flashkmeans.h"

/* Memory with guards on both sides, 256-byte aligned. */
struct guarded {
	void *data;
	size_t bytes;
	void *block;
};

struct guarded guarded_make(size_t bytes); /* poisoned */
void guarded_poison(const struct guarded *guarded);
bool guarded_intact(const struct guarded *guarded);
void guarded_free(struct guarded *guarded);

enum { OUTPUTS = 9 };

/* Every output of a fit of b problems. */
struct outputs {
	struct guarded blocks[OUTPUTS]; /* labels, centroids, counts, order, offsets, distances, inertia, n_iter, reason */
	struct fkm_fit_result result;   /* points at them */
};

void outputs_make(struct outputs *outputs, int64_t b, int64_t n, int64_t k, int64_t d, enum fkm_dtype centroids_dtype);
void outputs_poison(struct outputs *outputs);
/* The name of the first output whose guards were written to, or NULL. */
const char *outputs_overrun(const struct outputs *outputs);
void outputs_free(struct outputs *outputs);

#endif
