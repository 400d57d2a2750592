/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix cores as the sweep sees them: fragments of 16 dimensions of points and of centroids in a wave's registers, and
 * the scores of all their pairs.
 *
 * A lane holds scores of FKMI_LANE_POINTS points; FKMI_LANE_SHARERS lanes have scores of the same points. Of each of
 * them it has FKMI_LANE_GROUPS groups of four scores, whose centroids are fkmi_group_first() + fkmi_group_place(i),
 * ascending in i.
 *
 *   mma.sync (NVIDIA, sm_80 and later), PTX ISA, "Matrix Fragments for mma.m16n8k16": points are rows, centroids
 *   columns. Accumulator 2 h + e of a 16 x 8 product is row lane / 4 + 8 h, column 2 (lane % 4) + e.
 *
 *   MFMA (gfx90a, gfx942), AMD "MI200" and "MI300" ISA, v_mfma_f32_32x32x8_f16, and the Matrix Instruction Calculator:
 *   A: lane l has row l % 32, dimensions 4 (l / 32) .. + 3; B: column l % 32, likewise; accumulator i is row 8 (i / 4) +
 *   4 (l / 32) + i % 4, column l % 32. Centroids are rows, so that a lane has one point. Both operands may permute their
 *   dimensions alike: a lane takes eight neighbouring ones by one read, for two instructions.
 *
 *   WMMA (gfx11), AMD "RDNA3" ISA, 7.9, wave32: A: lanes l and l + 16 both have row l, all 16 dimensions; B: column,
 *   likewise; accumulator i is row 2 i + l / 16, column l % 16. Centroids are rows.
 */
#ifndef FKMI_MATRIX_FRAGMENTS_H
#define FKMI_MATRIX_FRAGMENTS_H

#include "shape.h"

#if !defined(FKMI_MATRIX_MMA) && !defined(FKMI_MATRIX_MFMA) && !defined(FKMI_MATRIX_WMMA)
#if defined(__gfx90a__) || defined(__gfx942__)
#define FKMI_MATRIX_MFMA
#elif defined(__GFX11__)
#define FKMI_MATRIX_WMMA
#else
#define FKMI_MATRIX_MMA
#endif
#endif

#include "instructions.h"

#if defined(FKMI_MATRIX_MMA)

enum {
	FKMI_WAVE = 32,
	FKMI_FRAGMENT_POINTS = 16,
	FKMI_FRAGMENT_CENTROIDS = 16,
	FKMI_LANE_POINTS = 2,
	FKMI_LANE_GROUPS = 1,
	FKMI_LANE_SHARERS = 4,
#if defined(FKMI_MATRIX_STAND_IN) /* the tiles of MFMA */
	FKMI_BLOCK = 2,
	FKMI_POINTS_OF_TILE = FKMI_MATRIX_MFMA_POINTS,
	FKMI_RESIDENT = FKMI_MATRIX_MFMA_RESIDENT,
	FKMI_STREAMED = FKMI_MATRIX_MFMA_STREAMED
#else
	FKMI_BLOCK = 4, /* centroid fragments that are multiplied before their scores are looked at */
	FKMI_POINTS_OF_TILE = FKMI_MATRIX_MMA_POINTS,
	FKMI_RESIDENT = FKMI_MATRIX_MMA_RESIDENT,
	FKMI_STREAMED = FKMI_MATRIX_MMA_STREAMED
#endif
};

struct fkmi_point_fragment {
	uint32_t a[4];
};
struct fkmi_centroid_fragment {
	uint32_t b[4];
};
struct fkmi_scores {
	float v[8]; /* two products of 16 points x 8 centroids */
};

/* rows: of local memory, `pitch` elements apart. */
FKMI_INLINE void fkmi_load_points(struct fkmi_point_fragment *f, FKMI_LOCAL const uint16_t *rows, int pitch, int lane)
{
	fkmi_load_matrices(f->a, rows + (lane & 15) * pitch + (lane >> 4) * 8);
}

FKMI_INLINE void fkmi_load_centroids(struct fkmi_centroid_fragment *f, FKMI_LOCAL const uint16_t *rows, int pitch,
									 int lane)
{
	fkmi_load_matrices(f->b, rows + ((lane & 7) + (lane >> 4) * 8) * pitch + (lane >> 3 & 1) * 8);
}

FKMI_INLINE void fkmi_multiply_add(struct fkmi_scores *s, const struct fkmi_centroid_fragment *c,
								   const struct fkmi_point_fragment *p)
{
	fkmi_mma_16x8x16(s->v, p->a, c->b);
	fkmi_mma_16x8x16(s->v + 4, p->a, c->b + 2);
}

FKMI_INLINE int fkmi_lane_point(int lane, int p)
{
	return lane / 4 + 8 * p;
}
FKMI_INLINE int fkmi_lane_sharer(int lane)
{
	return lane % 4;
}
FKMI_INLINE int fkmi_group_first(int lane, int group)
{
	(void)group;
	return 2 * (lane % 4);
}
FKMI_INLINE int fkmi_group_place(int i)
{
	return i / 2 * 8 + i % 2;
}
FKMI_INLINE float *fkmi_score(struct fkmi_scores *s, int p, int group, int i)
{
	(void)group;
	return &s->v[i / 2 * 4 + 2 * p + i % 2];
}

#elif defined(FKMI_MATRIX_MFMA)

enum {
	FKMI_WAVE = 64,
	FKMI_FRAGMENT_POINTS = 32,
	FKMI_FRAGMENT_CENTROIDS = 32,
	FKMI_LANE_POINTS = 1,
	FKMI_LANE_GROUPS = 4,
	FKMI_LANE_SHARERS = 2,
	FKMI_BLOCK = 1,
	FKMI_POINTS_OF_TILE = FKMI_MATRIX_MFMA_POINTS,
	FKMI_RESIDENT = FKMI_MATRIX_MFMA_RESIDENT,
	FKMI_STREAMED = FKMI_MATRIX_MFMA_STREAMED
};

struct fkmi_point_fragment {
	uint32_t b[4];
};
struct fkmi_centroid_fragment {
	uint32_t a[4];
};
struct fkmi_scores {
	float v[16];
};

FKMI_INLINE void fkmi_load_row(uint32_t *to, FKMI_LOCAL const uint16_t *rows, int pitch, int lane)
{
	const uint4 eight = *(FKMI_LOCAL const uint4 *)(rows + (lane & 31) * pitch + (lane >> 5) * 8);
	to[0] = eight.x;
	to[1] = eight.y;
	to[2] = eight.z;
	to[3] = eight.w;
}

FKMI_INLINE void fkmi_load_points(struct fkmi_point_fragment *f, FKMI_LOCAL const uint16_t *rows, int pitch, int lane)
{
	fkmi_load_row(f->b, rows, pitch, lane);
}

FKMI_INLINE void fkmi_load_centroids(struct fkmi_centroid_fragment *f, FKMI_LOCAL const uint16_t *rows, int pitch,
									 int lane)
{
	fkmi_load_row(f->a, rows, pitch, lane);
}

FKMI_INLINE void fkmi_multiply_add(struct fkmi_scores *s, const struct fkmi_centroid_fragment *c,
								   const struct fkmi_point_fragment *p)
{
	fkmi_mfma_32x32x8(s->v, c->a, p->b);
	fkmi_mfma_32x32x8(s->v, c->a + 2, p->b + 2);
}

FKMI_INLINE int fkmi_lane_point(int lane, int p)
{
	(void)p;
	return lane % 32;
}
FKMI_INLINE int fkmi_lane_sharer(int lane)
{
	return lane / 32;
}
FKMI_INLINE int fkmi_group_first(int lane, int group)
{
	return 8 * group + 4 * (lane / 32);
}
FKMI_INLINE int fkmi_group_place(int i)
{
	return i;
}
FKMI_INLINE float *fkmi_score(struct fkmi_scores *s, int p, int group, int i)
{
	(void)p;
	return &s->v[4 * group + i];
}

#else

enum {
	FKMI_WAVE = 32,
	FKMI_FRAGMENT_POINTS = 16,
	FKMI_FRAGMENT_CENTROIDS = 16,
	FKMI_LANE_POINTS = 1,
	FKMI_LANE_GROUPS = 2,
	FKMI_LANE_SHARERS = 2,
	FKMI_BLOCK = 2,
	FKMI_POINTS_OF_TILE = FKMI_MATRIX_WMMA_POINTS,
	FKMI_RESIDENT = FKMI_MATRIX_WMMA_RESIDENT,
	FKMI_STREAMED = FKMI_MATRIX_WMMA_STREAMED
};

struct fkmi_point_fragment {
	uint32_t b[8];
};
struct fkmi_centroid_fragment {
	uint32_t a[8];
};
struct fkmi_scores {
	float v[8];
};

/* Both halves of the wave have all of the fragment. */
FKMI_INLINE void fkmi_load_row(uint32_t *to, FKMI_LOCAL const uint16_t *rows, int pitch, int lane)
{
	FKMI_LOCAL const uint4 *row = (FKMI_LOCAL const uint4 *)(rows + (lane & 15) * pitch);
	for (int half = 0; half < 2; half++) {
		const uint4 eight = row[half];
		to[4 * half] = eight.x;
		to[4 * half + 1] = eight.y;
		to[4 * half + 2] = eight.z;
		to[4 * half + 3] = eight.w;
	}
}

FKMI_INLINE void fkmi_load_points(struct fkmi_point_fragment *f, FKMI_LOCAL const uint16_t *rows, int pitch, int lane)
{
	fkmi_load_row(f->b, rows, pitch, lane);
}

FKMI_INLINE void fkmi_load_centroids(struct fkmi_centroid_fragment *f, FKMI_LOCAL const uint16_t *rows, int pitch,
									 int lane)
{
	fkmi_load_row(f->a, rows, pitch, lane);
}

FKMI_INLINE void fkmi_multiply_add(struct fkmi_scores *s, const struct fkmi_centroid_fragment *c,
								   const struct fkmi_point_fragment *p)
{
	fkmi_wmma_16x16x16(s->v, c->a, p->b);
}

FKMI_INLINE int fkmi_lane_point(int lane, int p)
{
	(void)p;
	return lane % 16;
}
FKMI_INLINE int fkmi_lane_sharer(int lane)
{
	return lane / 16;
}
FKMI_INLINE int fkmi_group_first(int lane, int group)
{
	return 8 * group + lane / 16;
}
FKMI_INLINE int fkmi_group_place(int i)
{
	return 2 * i;
}
FKMI_INLINE float *fkmi_score(struct fkmi_scores *s, int p, int group, int i)
{
	(void)p;
	return &s->v[4 * group + i];
}

#endif

enum {
	FKMI_WAVE_FRAGMENTS = FKMI_POINTS_OF_TILE / (FKMI_GROUP / FKMI_WAVE) / FKMI_FRAGMENT_POINTS,
	FKMI_WAVE_POINTS = FKMI_WAVE_FRAGMENTS * FKMI_FRAGMENT_POINTS
};

#endif
