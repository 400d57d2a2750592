/* SPDX-License-Identifier: Apache-2.0 */
/* What both kinds of warpgroups of an assignment kernel know: its shape, its shared memory and its work. */
#ifndef FKMI_CUDA_SHAPE_CUH
#define FKMI_CUDA_SHAPE_CUH

#include "kernels/cuda/sm90.h"

enum {
	WARPGROUP = 128,
	MULTIPLIERS = 2, /* warpgroups */
	FINISHERS = 2,   /* warps */
	SLICE = 64,      /* dimensions in a row of 128 bytes */
	SLICE_STEPS = SLICE / 16,
	BLOCK_ROWS = 64,                /* of a wgmma */
	BLOCK_BYTES = BLOCK_ROWS * 128, /* of a slice */
	RESULT_SLOTS = 2,
	FINISH_STATE_BYTES = 48,                              /* of a finishing warp, */
	FINISH_QUEUE = 160,                                   /* rows that wait, */
	FINISH_BYTES = FKMI_SM90_FINISH_BYTES,                /* and all its shared memory */
	CANDIDATE_LIST_BYTES = 2 * FKMI_SM90_LANE_CANDIDATES, /* of a row, for each of four lanes */
};

/*
 * Points stay in registers: CHUNKS chunks of STEPS groups of 16 dimensions, of BLOCKS x 64 points for each warpgroup. A
 * stage of the ring is a chunk of 128 centroids or of 128 points. ORDER: when one warpgroup lets the other issue its
 * multiplications; 0: they do not wait for each other, 1: after issuing its own, 2: after they are done. RARE: for large K.
 */
template <int STEPS_, int CHUNKS_, int BLOCKS_, int STAGES_, int ORDER_, bool RARE_ = false> struct resident_shape {
	static constexpr bool STREAMS = false, RARE = RARE_;
	static constexpr int STEPS = STEPS_, CHUNKS = CHUNKS_, BLOCKS = BLOCKS_, STAGES = STAGES_, ORDER = ORDER_;
	static constexpr int COLUMNS = 128, POINTS = MULTIPLIERS * BLOCKS * BLOCK_ROWS;
	static constexpr int SLICES = (STEPS + SLICE_STEPS - 1) / SLICE_STEPS;
	static constexpr int POINT_BYTES = 0, STAGE_BYTES = COLUMNS * SLICES * 128;
	/* Of a thread that moves data and of one that multiplies. */
	static constexpr bool CROWDED = BLOCKS == 2 && STEPS > 4;
	static constexpr int MOVER_REGISTERS = CROWDED ? 40 : 56, REGISTERS = CROWDED ? 232 : 224;
	/* There are no registers to find out whether rows need be measured: all are. */
	static constexpr bool MEASURES = CROWDED || CHUNKS > 3;
};

/* Points go through the ring with the centroids: a stage is a slice of 128 points and 256 centroids. */
template <int STAGES_> struct streamed_shape {
	static constexpr bool STREAMS = true, RARE = false;
	static constexpr int STEPS = SLICE_STEPS, BLOCKS = 1, STAGES = STAGES_;
	static constexpr int COLUMNS = 256, POINTS = MULTIPLIERS * BLOCK_ROWS;
	static constexpr int SLICES = 1;
	static constexpr int POINT_BYTES = POINTS * 128, STAGE_BYTES = POINT_BYTES + COLUMNS * 128;
	static constexpr int MOVER_REGISTERS = 56, REGISTERS = 224;
};

/* Offsets in shared memory. */
template <class SHAPE, bool RECHECKS> struct shared_layout {
	static constexpr int NORMS = SHAPE::STAGES * SHAPE::STAGE_BYTES;
	static constexpr int RESULTS = NORMS + SHAPE::STAGES * SHAPE::COLUMNS * 4;
	static constexpr int RESULT_BYTES = SHAPE::POINTS * (RECHECKS ? 4 * CANDIDATE_LIST_BYTES : 16);
	static constexpr int FULL = RESULTS + (RECHECKS ? 1 : RESULT_SLOTS) * RESULT_BYTES;
	static constexpr int EMPTY = FULL + SHAPE::STAGES * 8;
	static constexpr int RESULT_FULL = EMPTY + SHAPE::STAGES * 8;
	static constexpr int RESULT_EMPTY = RESULT_FULL + RESULT_SLOTS * 8;
	static constexpr int FINISH = (RESULT_EMPTY + RESULT_SLOTS * 8 + 15) / 16 * 16; /* of the finishing warps */
	static constexpr int BYTES = RECHECKS ? RESULT_EMPTY + RESULT_SLOTS * 8 : FINISH + FINISHERS * FINISH_BYTES;
};

/* A place in the ring. */
template <int STAGES> struct ring_place {
	uint32_t stage, parity;
	__device__ __forceinline__ void advance(void)
	{
		if (++stage == STAGES) {
			stage = 0;
			parity ^= 1;
		}
	}
};

/* ---- what there is to do ---- */

/* A tile of rows of problem b, and the tiles of centroids first .. last-1. */
struct work_item {
	int b, tile, first, last;

	/* The column after the last. */
	template <int COLUMNS, bool RECHECKS> __device__ __forceinline__ int end(const struct fkmi_sm90_assign &a) const
	{
		return (RECHECKS ? last : a.centroid_tiles) * COLUMNS;
	}
};

template <class SHAPE, bool RECHECKS> struct work_list {
	int tiles, shares, per_share; /* of a recheck */

	__device__ __forceinline__ work_list(const struct fkmi_sm90_assign &a)
	{
		if (!RECHECKS)
			return;
		/* Few rows: their centroids are shared out, so that all blocks have something to do. */
		const int most = FKMI_SM90_SMALL_INDEX / SHAPE::COLUMNS;
		tiles = a.row_starts[a.b];
		shares = (a.centroid_tiles + most - 1) / most;
		while (2 * shares <= a.centroid_tiles && tiles * shares < 4 * (int)gridDim.x)
			shares *= 2;
		per_share = (a.centroid_tiles + shares - 1) / shares;
	}

	__device__ __forceinline__ int count(const struct fkmi_sm90_assign &a) const
	{
		return RECHECKS ? tiles * shares : a.b * a.tiles;
	}

	/* The problem of item i, not for a recheck. */
	__device__ __forceinline__ int problem(const struct fkmi_sm90_assign &a, int i) const
	{
		return (int)((uint32_t)i / (uint32_t)a.tiles);
	}

	/* False: nothing to do for item i. */
	__device__ __forceinline__ bool get(const struct fkmi_sm90_assign &a, int i, struct work_item &item) const
	{
		if (!RECHECKS) {
			item.b = problem(a, i);
			item.tile = i - item.b * a.tiles;
			item.first = 0;
			item.last = a.centroid_tiles;
			return __ldg(&a.active[item.b]) != 0;
		}
		const int tile = (int)((uint32_t)i / (uint32_t)shares);
		int low = 0, high = a.b; /* row_starts[low] <= tile < row_starts[high] */
		while (high - low > 1) {
			const int middle = (low + high) / 2;
			if (__ldg(&a.row_starts[middle]) <= tile)
				low = middle;
			else
				high = middle;
		}
		item.b = low;
		item.tile = tile - __ldg(&a.row_starts[low]);
		item.first = (i - tile * shares) * per_share;
		item.last = min(item.first + per_share, a.centroid_tiles);
		return item.first < item.last;
	}
};

#endif
