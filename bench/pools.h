/* SPDX-License-Identifier: Apache-2.0 */
/* Standard normal values, made once for each type and uploaded once; every shape takes its points from the front. */
#ifndef BENCH_POOLS_H
#define BENCH_POOLS_H

#include "device.h"
#include "shapes.h"

struct pool {
	void *host, *device;
	int64_t count; /* elements */
};

enum { POOLS = 3 };

struct pools {
	struct pool of[POOLS]; /* f16, bf16, f32 */
};

/* How many sets of points a shape takes turns with, and how far apart they are: together they are larger than any L2
 * cache, so that a call does not find what the call before it read. */
struct copies {
	int64_t count, stride; /* stride: elements, a multiple of 256 bytes */
};
struct copies copies_of(const struct shape *shape);

/* Room for every shape, and at least `least` elements of each type. False after a sentence on standard error. */
bool pools_create(struct device *device, const struct shape *shapes, int count, int64_t least, int threads,
				  struct pools *pools);
void pools_destroy(struct device *device, struct pools *pools);

const struct pool *pool_for(const struct pools *pools, enum fkm_dtype dtype);

#endif
