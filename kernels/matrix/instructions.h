/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions behind fragments.h, each as one function on a lane's registers. An emulator has its own in place of
 * these.
 */
#ifndef FKMI_MATRIX_INSTRUCTIONS_H
#define FKMI_MATRIX_INSTRUCTIONS_H

#if defined(__HIP__)

typedef _Float16 fkmi_half4 __attribute__((ext_vector_type(4)));
typedef _Float16 fkmi_half16 __attribute__((ext_vector_type(16)));
typedef float fkmi_float8 __attribute__((ext_vector_type(8)));
typedef float fkmi_float16 __attribute__((ext_vector_type(16)));

#if defined(FKMI_MATRIX_MFMA)
/* v_mfma_f32_32x32x8_f16: scores (32 rows x 32 columns) += a (rows) . b (columns), of 8 dimensions. */
FKMI_INLINE void fkmi_mfma_32x32x8(float (&scores)[16], const uint32_t *a, const uint32_t *b)
{
	fkmi_half4 rows, columns;
	fkmi_float16 sums;
	__builtin_memcpy(&rows, a, sizeof rows);
	__builtin_memcpy(&columns, b, sizeof columns);
	__builtin_memcpy(&sums, scores, sizeof sums);
	sums = __builtin_amdgcn_mfma_f32_32x32x8f16(rows, columns, sums, 0, 0, 0);
	__builtin_memcpy(scores, &sums, sizeof sums);
}
#else
/* v_wmma_f32_16x16x16_f16, wave32: scores (16 x 16) += a . b, of 16 dimensions. */
FKMI_INLINE void fkmi_wmma_16x16x16(float (&scores)[8], const uint32_t *a, const uint32_t *b)
{
	fkmi_half16 rows, columns;
	fkmi_float8 sums;
	__builtin_memcpy(&rows, a, sizeof rows);
	__builtin_memcpy(&columns, b, sizeof columns);
	__builtin_memcpy(&sums, scores, sizeof sums);
	sums = __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(rows, columns, sums);
	__builtin_memcpy(scores, &sums, sizeof sums);
}
#endif

#else /* CUDA, sm_80 and later */

/* ldmatrix.x4: lane l gives the address of row l % 8 of matrix l / 8, and gets of matrix i the elements 2 (l % 4), + 1
 * of row l / 4 as registers[i]. */
FKMI_INLINE void fkmi_load_matrices(uint32_t (&registers)[4], FKMI_LOCAL const uint16_t *row)
{
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
				 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
				 : "r"((uint32_t)__cvta_generic_to_shared(row))
				 : "memory");
}

/* mma.sync.m16n8k16: scores (16 rows x 8 columns) += a (rows) . b (columns), of 16 dimensions. */
FKMI_INLINE void fkmi_mma_16x8x16(float *scores, const uint32_t *a, const uint32_t *b)
{
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
				 "{%0, %1, %2, %3};"
				 : "+f"(scores[0]), "+f"(scores[1]), "+f"(scores[2]), "+f"(scores[3])
				 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* cp.async: 16 bytes from global to local memory, on their way until the item waits. */
FKMI_INLINE void fkmi_copy16(FKMI_LOCAL void *to, FKMI_GLOBAL const void *from)
{
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((uint32_t)__cvta_generic_to_shared(to)), "l"(from)
				 : "memory");
}
FKMI_INLINE void fkmi_copy_wait(void)
{
	asm volatile("cp.async.wait_all;" ::: "memory");
}

#endif

#endif
