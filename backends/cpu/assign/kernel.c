/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles of points against groups of centroids, for one instruction set; see kernel.h and certificate.h. */
#include "kernel.h"
#include "certificate.h"
#include "rows.h"
#include "simd.h"

#if defined(FKMI_ISA_AVX512)
#define ISA fkmi_cpu_isa_avx512
enum { POINTS = FKMI_CPU_AVX512_POINTS, CENTROIDS = FKMI_CPU_AVX512_CENTROIDS, BLOCK = 160 };
#elif defined(FKMI_ISA_AVX2)
#define ISA fkmi_cpu_isa_avx2
enum { POINTS = FKMI_CPU_AVX2_POINTS, CENTROIDS = FKMI_CPU_AVX2_CENTROIDS, BLOCK = 384 };
#elif defined(FKMI_ISA_SSE2)
#define ISA fkmi_cpu_isa_sse2
enum { POINTS = FKMI_CPU_SSE2_POINTS, CENTROIDS = FKMI_CPU_SSE2_CENTROIDS, BLOCK = 384 };
#else
#define ISA fkmi_cpu_isa_portable
enum { POINTS = FKMI_CPU_PORTABLE_POINTS, CENTROIDS = FKMI_CPU_PORTABLE_CENTROIDS, BLOCK = 384 };
#endif

enum { VECTORS = POINTS / LANES };

/* ---- pack ---- */

/* Points that are multiplied by r, in f64: x * r rounds as docs/semantics.md says. a holds every fourth row from
 * `first` on, in quads from dimension j. */
INLINE vfloat centre_normalised(const struct fkmi_cpu_pack *a, vfloat x, const double *r, int64_t j, int64_t count)
{
	float y[LANES];
	v_store(y, x);
	for (int i = 0; i < LANES; i++)
		y[i] = i % 4 < count ? (float)((double)y[i] * r[i / 4 * 4] * (double)a->scale - (double)a->mu[j + i % 4]) : 0;
	return v_load(y);
}

/* Four dimensions, of which count exist, of LANES rows; returns the sum of their squares. */
INLINE vfloat pack_quads(const struct fkmi_cpu_pack *a, const void *const *rows, const double *r, float *out, int64_t j,
						 int64_t count, enum fkm_dtype dtype)
{
	vfloat y[4], squares = v_set(0);
	UNROLL for (int i = 0; i < 4; i++)
	{
		y[i] = v_load_quads(rows + i, dtype, j, count);
		if (r)
			y[i] = centre_normalised(a, y[i], r + i, j, count);
	}
	v_transpose_quads(y);
	UNROLL for (int i = 0; i < 4; i++)
	{
		if (i >= count)
			break;
		if (!r)
			y[i] = v_fma(y[i], v_set(a->scale), v_set(-a->mu[j + i]));
		v_store(out + i * POINTS, y[i]);
		squares = v_fma(y[i], y[i], squares);
	}
	return squares;
}

INLINE void pack(const struct fkmi_cpu_pack *a, enum fkm_dtype dtype, bool normalised)
{
	for (int v = 0; v < VECTORS; v++) {
		const void *rows[LANES];
		double r[LANES];
		for (int i = 0; i < LANES; i++) {
			int64_t row = a->rows ? a->rows[v * LANES + i] : v * LANES + i;
			rows[i] = a->points + row * a->row_bytes;
			if (normalised)
				r[i] = a->row_scale[row];
		}
		float *out = a->x + v * LANES;
		vfloat squares = v_set(0);
		for (int64_t block = 0; block < a->d; block += a->block) {
			int64_t j = block, end = a->d - block < a->block ? a->d : block + a->block;
			vfloat sum = v_set(0);
			for (; j + 4 <= end; j += 4)
				sum += pack_quads(a, rows, normalised ? r : NULL, out + j * POINTS, j, 4, dtype);
			if (j < end)
				sum += pack_quads(a, rows, normalised ? r : NULL, out + j * POINTS, j, end - j, dtype);
			squares += sum;
		}
		v_store(a->squares + v * LANES, squares);
	}
}

static void pack_any(const struct fkmi_cpu_pack *a)
{
	switch (a->dtype) {
	case FKM_F16:
		a->row_scale ? pack(a, FKM_F16, true) : pack(a, FKM_F16, false);
		break;
	case FKM_BF16:
		a->row_scale ? pack(a, FKM_BF16, true) : pack(a, FKM_BF16, false);
		break;
	default:
		a->row_scale ? pack(a, FKM_F32, true) : pack(a, FKM_F32, false);
	}
}

/* ---- sweep ---- */

INLINE void multiply_add(vfloat score[CENTROIDS][VECTORS], const float *restrict x, const float *restrict z,
						 int64_t dims)
{
	for (int64_t j = 0; j < dims; j++, x += POINTS, z += CENTROIDS) {
		vfloat y[VECTORS];
		UNROLL for (int v = 0; v < VECTORS; v++)
		{
			y[v] = v_load(x + v * LANES);
		}
		UNROLL for (int c = 0; c < CENTROIDS; c++)
		{
			vfloat coordinate = v_set(z[c]);
			UNROLL for (int v = 0; v < VECTORS; v++)
			{
				score[c][v] = v_fma(y[v], coordinate, score[c][v]);
			}
		}
	}
}

INLINE void keep_best(const struct fkmi_cpu_sweep *a, vfloat score[CENTROIDS][VECTORS], int32_t position, bool two)
{
	UNROLL for (int v = 0; v < VECTORS; v++)
	{
		vfloat best = v_set(-INFINITY), second = best;
		vint at = v_set_int(0);
		if (position > 0) {
			best = v_load(a->best + v * LANES);
			second = v_load(a->second + v * LANES);
			at = v_load_int(a->at + v * LANES);
		}
		UNROLL for (int c = 0; c < CENTROIDS; c++)
		{
			vfloat s = score[c][v];
			at = v_choose_int(v_greater(s, best), v_set_int(position + c), at);
			if (two)
				second = v_max(second, v_min(s, best));
			best = v_max(s, best);
		}
		v_store(a->best + v * LANES, best);
		if (two)
			v_store(a->second + v * LANES, second);
		v_store_int(a->at + v * LANES, at);
	}
}

static void list_candidates(const struct fkmi_cpu_sweep *a, uint64_t lanes, int first, int32_t position)
{
	for (int i = first; lanes; i++, lanes >>= 1) {
		if (!(lanes & 1))
			continue;
		if (a->found[i] < FKMI_CPU_CANDIDATES)
			a->candidates[i][a->found[i]] = position;
		a->found[i]++;
	}
}

INLINE void gather(const struct fkmi_cpu_sweep *a, vfloat score[CENTROIDS][VECTORS], int32_t position)
{
	UNROLL for (int c = 0; c < CENTROIDS; c++)
	{
		UNROLL for (int v = 0; v < VECTORS; v++)
		{
			uint64_t lanes = v_bits(v_at_least(score[c][v], v_load(a->threshold + v * LANES)));
			if (lanes)
				list_candidates(a, lanes, v * LANES, position + c);
		}
	}
}

INLINE void prefetch(const char *p, int64_t bytes)
{
	for (int64_t i = 0; i < bytes; i += 64)
		__builtin_prefetch(p + i, 0, 2);
}

INLINE void sweep(const struct fkmi_cpu_sweep *a, enum fkmi_cpu_sweep_kind kind)
{
	for (int32_t g = 0; g < a->groups; g++) {
		vfloat score[CENTROIDS][VECTORS];
		UNROLL for (int c = 0; c < CENTROIDS; c++)
		{
			vfloat start = v_set(a->first ? -a->halves[g * CENTROIDS + c] : 0);
			UNROLL for (int v = 0; v < VECTORS; v++)
			{
				score[c][v] = start;
			}
		}
		multiply_add(score, a->x, a->panels + g * a->group_stride, a->dims);
		prefetch(a->ahead + g * a->ahead_bytes, a->ahead_bytes);
		if (!a->first) {
			UNROLL for (int c = 0; c < CENTROIDS; c++)
			{
				UNROLL for (int v = 0; v < VECTORS; v++)
				{
					score[c][v] += v_load(a->partial + (g * CENTROIDS + c) * POINTS + v * LANES);
				}
			}
		}
		int32_t position = a->first_centroid + g * CENTROIDS;
		if (!a->last) {
			UNROLL for (int c = 0; c < CENTROIDS; c++)
			{
				UNROLL for (int v = 0; v < VECTORS; v++)
				{
					v_store(a->partial + (g * CENTROIDS + c) * POINTS + v * LANES, score[c][v]);
				}
			}
		} else if (kind == FKMI_CPU_SWEEP_GATHER) {
			gather(a, score, position);
		} else {
			keep_best(a, score, position, kind == FKMI_CPU_SWEEP_TWO);
		}
	}
}

static void sweep_any(const struct fkmi_cpu_sweep *a, enum fkmi_cpu_sweep_kind kind)
{
	switch (kind) {
	case FKMI_CPU_SWEEP_BEST:
		sweep(a, FKMI_CPU_SWEEP_BEST);
		break;
	case FKMI_CPU_SWEEP_TWO:
		sweep(a, FKMI_CPU_SWEEP_TWO);
		break;
	case FKMI_CPU_SWEEP_GATHER:
		sweep(a, FKMI_CPU_SWEEP_GATHER);
		break;
	}
}

/* ---- certify ---- */

/* E(Y, Z) of certificate.h. */
INLINE vfloat score_error(vfloat relative, vfloat y, vfloat z)
{
	return relative * (z * (y + z * v_set(0.5f))) + v_set(FKMI_CPU_TINY) * (v_set(1) + y + z);
}

static uint64_t certify(const struct fkmi_cpu_certify *a)
{
	vfloat relative = v_set(a->bound.relative), distance = v_set(a->bound.distance), norm_max = v_set(a->norm_max);
	vfloat y2[VECTORS], y[VECTORS];
	uint64_t certain = 0;
	/* First with the largest norm throughout, which is enough for most tiles. */
	UNROLL for (int v = 0; v < VECTORS; v++)
	{
		vfloat squares = v_load(a->squares + v * LANES);
		y2[v] = squares * v_set(1.02f) + v_set(FKMI_CPU_TINY);
		y[v] = v_sqrt(y2[v]);
		vfloat reach = y[v] + norm_max;
		vfloat margin = score_error(relative, y[v], norm_max) * v_set(2) + distance * (reach * reach);
		vfloat threshold = v_load(a->best + v * LANES) - margin;
		certain |= (v_bits(v_greater(threshold, v_load(a->second + v * LANES))) &
					v_bits(v_greater(v_set(FKMI_CPU_SQUARES_LIMIT), squares)))
				   << v * LANES;
	}
	uint64_t all = POINTS == 64 ? ~(uint64_t)0 : ((uint64_t)1 << POINTS % 64) - 1;
	if (certain == all)
		return 0;

	certain = 0;
	for (int v = 0; v < VECTORS; v++) {
		float norms[LANES], thresholds[LANES];
		for (int i = 0; i < LANES; i++)
			norms[i] = a->norms[a->at[v * LANES + i]];
		vfloat z = v_load(norms), best = v_load(a->best + v * LANES);
		vfloat magnitude = v_max(best, -best);
		vfloat error = score_error(relative, y[v], z);
		vfloat r2 = y2[v] - best * v_set(2) + error * v_set(2) + v_set(0x1p-20f) * (y2[v] + magnitude);
		r2 = v_max(r2, v_set(0));
		vfloat z_winner = v_min(norm_max, (y[v] + v_sqrt(r2)) * v_set(1.001f));
		vfloat threshold = best - (error + score_error(relative, y[v], z_winner) + distance * r2);
		v_store(thresholds, threshold);
		uint64_t usable = v_bits(v_greater(v_set(FKMI_CPU_SQUARES_LIMIT), v_load(a->squares + v * LANES)));
		certain |= (v_bits(v_greater(threshold, v_load(a->second + v * LANES))) & usable) << v * LANES;
		for (int i = 0; i < LANES; i++)
			a->threshold[v * LANES + i] = usable >> i & 1 ? thresholds[i] : NAN;
	}
	return all & ~certain;
}

static uint64_t relabel(const int32_t *at, const int32_t *index, int32_t *labels, int32_t *old)
{
	int32_t mapped[POINTS];
	if (index) {
		for (int i = 0; i < POINTS; i++)
			mapped[i] = index[at[i]];
		at = mapped;
	}
	uint64_t changed = 0;
	UNROLL for (int v = 0; v < VECTORS; v++)
	{
		vint label = v_load_int(at + v * LANES), former = v_load_int(labels + v * LANES);
		v_store_int(old + v * LANES, former);
		v_store_int(labels + v * LANES, label);
		changed |= v_bits(v_differs(label, former)) << v * LANES;
	}
	return changed;
}

const struct fkmi_cpu_isa ISA = {
	.points = POINTS,
	.centroids = CENTROIDS,
	.block = BLOCK,
	.pack = pack_any,
	.sweep = sweep_any,
	.certify = certify,
	.relabel = relabel,
	.centre = centre,
	.nearest = nearest,
	.distance = distance,
	.accumulate_row = accumulate_row,
	.quantise = quantise,
	.add = add,
	.subtract = subtract,
};
