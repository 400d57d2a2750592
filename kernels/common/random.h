/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counter-based random numbers, docs/semantics.md section 6: Philox 4x32-10, J. Salmon, M. Moraes, R. Dror, D. Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC'11. In the C that C11, CUDA, HIP and OpenCL C share; the including
 * file defines FKMI_INLINE and the fixed-width types.
 */
#ifndef FKMI_COMMON_RANDOM_H
#define FKMI_COMMON_RANDOM_H

enum { FKMI_PURPOSE_ROWS = 1, FKMI_PURPOSE_PLUS_PLUS = 2 };

/* The draw u of counter (index, round, run, purpose). */
FKMI_INLINE uint64_t fkmi_draw_u64(uint64_t seed, uint32_t index, uint32_t round, uint32_t run, uint32_t purpose)
{
	uint32_t c0 = index, c1 = round, c2 = run, c3 = purpose;
	uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
	for (int i = 0; i < 10; i++) {
		uint64_t p0 = (uint64_t)0xD2511F53u * c0;
		uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
		uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
		uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
		c1 = (uint32_t)p1;
		c3 = (uint32_t)p0;
		c0 = n0;
		c2 = n2;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	return ((uint64_t)c1 << 32) | c0;
}

/* below(u, m): the high 64 bits of u * m; uniform in 0 .. m-1 up to m / 2^64. */
FKMI_INLINE uint64_t fkmi_below(uint64_t u, uint64_t m)
{
	uint64_t ul = (uint32_t)u, uh = u >> 32, ml = (uint32_t)m, mh = m >> 32;
	uint64_t low = ul * ml, mid1 = uh * ml, mid2 = ul * mh;
	uint64_t carry = ((low >> 32) + (uint32_t)mid1 + (uint32_t)mid2) >> 32;
	return uh * mh + (mid1 >> 32) + (mid2 >> 32) + carry;
}

#endif
