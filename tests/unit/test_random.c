/* SPDX-License-Identifier: Apache-2.0 */
/* kernels/common/random.h: known answers of Philox 4x32-10, and below() against 128-bit products. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FKMI_INLINE static inline
#include "kernels/common/random.h"

/* The known-answer vectors of the authors' Random123 distribution; a draw is words 1 and 0 of the output. */
static void test_known_answers(void **state)
{
	(void)state;
	static const struct {
		uint32_t counter[4], key[2], out[2];
	} vectors[] = {
		{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d}},
		{{UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}, {0x408f276d, 0x41c83b0e}},
		{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, {0xd16cfe09, 0x94fdcceb}},
	};
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		const uint32_t *c = vectors[i].counter;
		uint64_t seed = (uint64_t)vectors[i].key[1] << 32 | vectors[i].key[0];
		uint64_t expected = (uint64_t)vectors[i].out[1] << 32 | vectors[i].out[0];
		assert_int_equal(fkmi_draw_u64(seed, c[0], c[1], c[2], c[3]), expected);
	}
}

static void check_below(uint64_t u, uint64_t m)
{
	__extension__ typedef unsigned __int128 wide;
	uint64_t expected = (uint64_t)((wide)u * m >> 64);
	assert_int_equal(fkmi_below(u, m), expected);
	assert_true(fkmi_below(u, m) < m);
}

static void test_below_is_the_high_half_of_the_product(void **state)
{
	(void)state;
	static const uint64_t edges[] = {0,
									 1,
									 2,
									 3,
									 0x7fffffff,
									 0x80000000,
									 0xffffffff,
									 0x100000000,
									 0x100000001,
									 0x1ffffffff,
									 0x7fffffffffffffff,
									 0x8000000000000000,
									 0xffffffff00000000,
									 0xfffffffeffffffff,
									 0xfffffffffffffffe,
									 0xffffffffffffffff};
	enum { EDGES = sizeof edges / sizeof edges[0] };
	for (int i = 0; i < EDGES; i++)
		for (int j = 1; j < EDGES; j++)
			check_below(edges[i], edges[j]);
	for (uint32_t i = 0; i < 100000; i++) {
		uint64_t u = fkmi_draw_u64(1, i, 0, 0, 0), m = fkmi_draw_u64(2, i, 0, 0, 0) >> i % 64;
		check_below(u, m | 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_below_is_the_high_half_of_the_product),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
