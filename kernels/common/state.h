/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that host and kernels share. The host asserts that they are those of src/backend.h and flashkmeans.h. */
#ifndef FKMI_COMMON_STATE_H
#define FKMI_COMMON_STATE_H

/* The members of struct fkmi_state, each of 8 bytes. */
enum {
	FKMI_STATE_BAD_POINT,
	FKMI_STATE_BAD_WEIGHT,
	FKMI_STATE_BAD_CENTROID,
	FKMI_STATE_BAD_LABEL,
	FKMI_STATE_CHANGED,
	FKMI_STATE_RECHECKED,
	FKMI_STATE_TIES,
	FKMI_STATE_RELOCATED,
	FKMI_STATE_EMPTY,
	FKMI_STATE_FIRST_EMPTY,
	FKMI_STATE_SHIFT,
	FKMI_STATE_WEIGHT_MAX,
	FKMI_STATE_WEIGHT_MIN,
	FKMI_STATE_POINT_MAX,
	FKMI_STATE_WEIGHT_SCALE,
	FKMI_STATE_INERTIA_HIGH,
	FKMI_STATE_INERTIA_LOW,
	FKMI_STATE_INERTIA_SCALE,
	FKMI_STATE_MEETINGS,
	FKMI_STATE_MEMBERS
};

enum { FKMI_TYPE_F16 = 1, FKMI_TYPE_BF16 = 2, FKMI_TYPE_F32 = 3, FKMI_TYPE_F64 = 4 };

/* Items of a group. */
#if !defined(FKMI_GROUP)
#define FKMI_GROUP 256
#endif

/*
 * The portable tile, kernels/common/tile.h: points and centroids of a tile, dimensions of a slab in local memory, and the
 * part of the tile that an item has in registers, by which FKMI_GROUP is the tile's points times its centroids over the
 * item's. A program may be compiled with other numbers; the host takes those of its struct fkmi_tile.
 */
#if !defined(FKMI_TILE_POINTS)
#define FKMI_TILE_POINTS 64
#define FKMI_TILE_CENTROIDS 64
#define FKMI_TILE_DEPTH 16
#define FKMI_ITEM_POINTS 4
#define FKMI_ITEM_CENTROIDS 4
#endif

/* Shapes of tiles, limits of local memory, and work per item, by which the host sizes scratch and grids. */
enum {
	FKMI_OCTETS = (FKMI_GROUP + 7) / 8, /* rows that a group takes at a time where eight items share one */
	FKMI_PADDED_DIMS = 16,              /* d is padded to a multiple of it for the portable tile; slabs are no deeper */
	FKMI_CANDIDATES = 8,                /* of a listed row, before it is given up to the scan */
	FKMI_MEAN_COLUMNS = 32,             /* of a group that averages centroids */
	FKMI_DISTANCE_ROUNDS = 8,           /* rows that an octet takes for one sum of the inertia */
	FKMI_SEED_ROUNDS = 8,               /* rows that an octet takes for one sum of a potential */
	FKMI_SUM_BYTES = 16,                /* of a row that an item sums */
	FKMI_PLACE_ROWS = 8 * FKMI_GROUP,   /* of a group that places entries */
	FKMI_SUM_LEAST = 32,                /* entries that an item sums at least: a power of two from 32 up */
	FKMI_SORT_ROWS = 8192,              /* of a group that counts or places labels */
	FKMI_LOCAL_SUMS = 3072,             /* int64 sums that one group keeps for itself, */
	FKMI_LOCAL_COLUMNS = 16,            /* of so many columns at most */
	FKMI_LOCAL_COUNTS = 4096,           /* int32 counters, likewise */
	FKMI_SHOWN_MOVES = 64,              /* that ranks show each other at a time, */
	FKMI_SHOWN_EXTRA = 2                /* with so many numbers beside the coordinates */
};

#endif
