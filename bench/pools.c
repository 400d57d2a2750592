/* SPDX-License-Identifier: Apache-2.0 */
#include "pools.h"

#include <stdio.h>
#include <stdlib.h>

#include "data.h"

enum { LEAST_BYTES = 256 << 20, MOST_COPIES = 256, ALIGNMENT = 256 };

const struct pool *pool_for(const struct pools *pools, enum fkm_dtype dtype)
{
	return &pools->of[dtype - FKM_F16];
}

struct copies copies_of(const struct shape *shape)
{
	int64_t element = dtype_bytes(shape->dtype), bytes = shape->b * shape->n * shape->d * element;
	bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	int64_t count = (LEAST_BYTES + bytes - 1) / bytes;
	return (struct copies){count < MOST_COPIES ? count : MOST_COPIES, bytes / element};
}

static bool create(struct device *device, enum fkm_dtype dtype, int threads, struct pool *pool)
{
	int64_t bytes = pool->count * dtype_bytes(dtype);
	fprintf(stderr, "making %.2f GB of %s data\n", (double)bytes / 1e9, dtype_name(dtype));
	pool->host = malloc((size_t)bytes);
	if (!pool->host) {
		fprintf(stderr, "fkm-bench: no memory for %lld bytes of data\n", (long long)bytes);
		return false;
	}
	data_fill(pool->host, dtype, pool->count, threads);
	pool->device = device_alloc(device, bytes);
	return pool->device && device_upload(device, pool->device, pool->host, bytes);
}

bool pools_create(struct device *device, const struct shape *shapes, int count, int64_t least, int threads,
				  struct pools *pools)
{
	*pools = (struct pools){0};
	for (int i = 0; i < POOLS; i++)
		pools->of[i].count = least;
	for (int i = 0; i < count; i++) {
		struct pool *pool = &pools->of[shapes[i].dtype - FKM_F16];
		struct copies copies = copies_of(&shapes[i]);
		if (pool->count < copies.count * copies.stride)
			pool->count = copies.count * copies.stride;
	}
	for (int i = 0; i < POOLS; i++) {
		if (pools->of[i].count > 0 && !create(device, FKM_F16 + i, threads, &pools->of[i])) {
			pools_destroy(device, pools);
			return false;
		}
	}
	return true;
}

void pools_destroy(struct device *device, struct pools *pools)
{
	for (int i = 0; i < POOLS; i++) {
		device_free(device, pools->of[i].device);
		free(pools->of[i].host);
	}
	*pools = (struct pools){0};
}
