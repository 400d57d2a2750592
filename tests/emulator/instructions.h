/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matrix instructions, in place of kernels/matrix/instructions.h: operands are put together from all lanes by the
 * published maps, multiplied as matrices, and the result is dealt out to the lanes again.
 *
 * Sums are cut, not rounded, after each product, which no hardware does worse; MFMA takes subnormal operands as zeros, as
 * gfx90a does.
 */
#ifndef FKMI_MATRIX_INSTRUCTIONS_H
#define FKMI_MATRIX_INSTRUCTIONS_H

/* To f32, towards zero. */
static inline float emulated_cut(double v)
{
	return (float)fkmi_bits_double(fkmi_double_bits(v) & ~(((int64_t)1 << 29) - 1));
}

static inline float emulated_half(const void *halves, int i)
{
	return fkmi_half_to_float(((const uint16_t *)halves)[i]);
}

template <int M, int N, int K> struct emulated_product {
	float a[M][K], b[K][N], c[M][N];

	void multiply(void)
	{
		for (int m = 0; m < M; m++)
			for (int k = 0; k < K; k++)
				for (int n = 0; n < N; n++)
					c[m][n] = emulated_cut((double)c[m][n] + (double)a[m][k] * (double)b[k][n]);
	}
};

/* A lane's registers. */
struct emulated_registers {
	const uint32_t *a, *b;
	float *d;
};

static inline const struct emulated_registers &emulated_lane(void *const *lanes, int lane)
{
	return *(const struct emulated_registers *)lanes[lane];
}

static inline void emulated_call(void (*together)(void *const *lanes), float *d, const uint32_t *a, const uint32_t *b)
{
	struct emulated_registers mine = {a, b, d};
	emulator_together(together, &mine);
}

#if defined(FKMI_MATRIX_MFMA)

static inline float emulated_flushed(float v)
{
	return fabsf(v) < 6.103515625e-05f ? 0.0f : v;
}

/* V_MFMA_F32_32X32X8_F16, AMD Instinct MI300 ISA and AMD Matrix Instruction Calculator (--architecture cdna3
 * --instruction v_mfma_f32_32x32x8_f16 --register-layout):
 *   A[i][k]: lane 32 (k / 4) + i, half k % 4;   B[k][j]: lane 32 (k / 4) + j, half k % 4;
 *   D[i][j]: lane 32 (i / 4 % 2) + j, register 4 (i / 8) + i % 4. */
static inline void emulated_mfma_together(void *const *lanes)
{
	struct emulated_product<32, 32, 8> p;
	for (int i = 0; i < 32; i++)
		for (int k = 0; k < 8; k++) {
			p.a[i][k] = emulated_flushed(emulated_half(emulated_lane(lanes, 32 * (k / 4) + i).a, k % 4));
			p.b[k][i] = emulated_flushed(emulated_half(emulated_lane(lanes, 32 * (k / 4) + i).b, k % 4));
		}
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 32; j++)
			p.c[i][j] = emulated_lane(lanes, 32 * (i / 4 % 2) + j).d[4 * (i / 8) + i % 4];
	p.multiply();
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 32; j++)
			emulated_lane(lanes, 32 * (i / 4 % 2) + j).d[4 * (i / 8) + i % 4] = p.c[i][j];
}

static inline void fkmi_mfma_32x32x8(float (&scores)[16], const uint32_t *a, const uint32_t *b)
{
	emulated_call(emulated_mfma_together, scores, a, b);
}

#elif defined(FKMI_MATRIX_WMMA)

/* V_WMMA_F32_16X16X16_F16 in wave32, "RDNA3" ISA, 7.9 and the Matrix Instruction Calculator (--architecture rdna3):
 *   A[i][k]: lanes i and i + 16, half k;   B[k][j]: lanes j and j + 16, half k;
 *   D[i][j]: lane 16 (i % 2) + j, register i / 2.
 * Both copies of an operand must be the same. */
static inline void emulated_wmma_together(void *const *lanes)
{
	struct emulated_product<16, 16, 16> p;
	for (int i = 0; i < 16; i++)
		for (int k = 0; k < 16; k++) {
			const bool same = memcmp(emulated_lane(lanes, i).a, emulated_lane(lanes, i + 16).a, 32) == 0 &&
							  memcmp(emulated_lane(lanes, i).b, emulated_lane(lanes, i + 16).b, 32) == 0;
			p.a[i][k] = same ? emulated_half(emulated_lane(lanes, i).a, k) : NAN;
			p.b[k][i] = same ? emulated_half(emulated_lane(lanes, i).b, k) : NAN;
		}
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 16; j++)
			p.c[i][j] = emulated_lane(lanes, 16 * (i % 2) + j).d[i / 2];
	p.multiply();
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 16; j++)
			emulated_lane(lanes, 16 * (i % 2) + j).d[i / 2] = p.c[i][j];
}

static inline void fkmi_wmma_16x16x16(float (&scores)[8], const uint32_t *a, const uint32_t *b)
{
	emulated_call(emulated_wmma_together, scores, a, b);
}

#else

/* ldmatrix.x4, PTX ISA: lane l gives the address of row l % 8 of matrix l / 8; of matrix i it gets elements 2 (l % 4) and
 * the next, of row l / 4. */
struct emulated_load {
	const uint16_t *row;
	uint32_t *registers;
};

static inline void emulated_load_together(void *const *lanes)
{
	for (int l = 0; l < 32; l++)
		for (int i = 0; i < 4; i++)
			memcpy(((const struct emulated_load *)lanes[l])->registers + i,
				   ((const struct emulated_load *)lanes[8 * i + l / 4])->row + 2 * (l % 4), 4);
}

static inline void fkmi_load_matrices(uint32_t (&registers)[4], const uint16_t *row)
{
	struct emulated_load mine = {row, registers};
	emulator_together(emulated_load_together, &mine);
}

/* mma.m16n8k16 with f16 operands, PTX ISA, "Matrix Fragments for mma.m16n8k16"; g = lane / 4, t = lane % 4:
 *   A[i][k]: g = i % 8, t = k % 8 / 2, half k % 2 of register i / 8 + 2 (k / 8);
 *   B[k][j]: g = j, t = k % 8 / 2, half k % 2 of register k / 8;   D[i][j]: g = i % 8, t = j / 2, register 2 (i / 8) + j % 2. */
static inline void emulated_mma_together(void *const *lanes)
{
	struct emulated_product<16, 8, 16> p;
	for (int i = 0; i < 16; i++)
		for (int k = 0; k < 16; k++)
			p.a[i][k] = emulated_half(emulated_lane(lanes, i % 8 * 4 + k % 8 / 2).a + i / 8 + 2 * (k / 8), k % 2);
	for (int j = 0; j < 8; j++)
		for (int k = 0; k < 16; k++)
			p.b[k][j] = emulated_half(emulated_lane(lanes, j * 4 + k % 8 / 2).b + k / 8, k % 2);
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 8; j++)
			p.c[i][j] = emulated_lane(lanes, i % 8 * 4 + j / 2).d[2 * (i / 8) + j % 2];
	p.multiply();
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 8; j++)
			emulated_lane(lanes, i % 8 * 4 + j / 2).d[2 * (i / 8) + j % 2] = p.c[i][j];
}

static inline void fkmi_mma_16x8x16(float *scores, const uint32_t *a, const uint32_t *b)
{
	emulated_call(emulated_mma_together, scores, a, b);
}

static inline void fkmi_copy16(void *to, const void *from)
{
	emulator_copy_later(to, from, 16);
}
static inline void fkmi_copy_wait(void)
{
	emulator_copy_now();
}

#endif

#endif
