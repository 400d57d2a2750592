/* SPDX-License-Identifier: Apache-2.0 */
/* The assignment tiles, for classes of devices: what the planner knows of them, and the sizes that they are built with. */
#include "opencl.h"

#define TILE(tile_name, device, rows, columns, local_kib, rate, overhead)                                              \
	{                                                                                                                  \
		.name = tile_name,                                                                                             \
		.needs = device,                                                                                               \
		.dtypes = 1u << FKM_F16 | 1u << FKM_BF16 | 1u << FKM_F32,                                                      \
		.d_max = FKMI_GPU_D_MAX,                                                                                       \
		.k_max = FKMI_GPU_K_MAX,                                                                                       \
		.points = rows,                                                                                                \
		.centroids = columns,                                                                                          \
		.local_bytes = (local_kib) << 10,                                                                              \
		.multiply_adds_per_second = rate,                                                                              \
		.seconds_per_tile = overhead,                                                                                  \
		.portable = true,                                                                                              \
	}

/* Rates are of a unit of the devices that a tile is for; elsewhere the first one is far ahead of the others.
 *
 * The more of a tile an item has in registers, the less it reads from local memory; small tiles are for few points, of
 * which large ones would not occupy the device.
 */
static const struct fkmi_tile tiles[] = {
	TILE("cpu-48x64", FKMI_OPENCL_CPU, 48, 64, 0, 2e11, 1e-7),
	TILE("64x128", 0, 64, 128, 38, 1.3e11, 2e-6),
	TILE("64x128-shallow", 0, 64, 128, 26, 1e11, 2e-6),
	TILE("32x128", 0, 32, 128, 28, 8e10, 2e-6),
};

static const struct fkmi_opencl_shape shapes[] = {
	{.group = 1, .depth = 128, .item_points = 6, .item_centroids = 64},
	{.group = 128, .depth = 16, .item_points = 8, .item_centroids = 8},
	{.group = 128, .depth = 8, .item_points = 8, .item_centroids = 8},
	{.group = 128, .depth = 16, .item_points = 4, .item_centroids = 8},
};

_Static_assert(sizeof tiles / sizeof tiles[0] == FKMI_OPENCL_TILES, "tiles");
_Static_assert(sizeof shapes / sizeof shapes[0] == FKMI_OPENCL_TILES, "shapes");

const struct fkmi_tile *fkmi_opencl_tiles(int32_t *count)
{
	*count = FKMI_OPENCL_TILES;
	return tiles;
}

int32_t fkmi_opencl_tile_index(const struct fkmi_tile *tile)
{
	return (int32_t)(tile - tiles);
}

const struct fkmi_opencl_shape *fkmi_opencl_shape_of(const struct fkmi_tile *tile)
{
	return &shapes[tile - tiles];
}
