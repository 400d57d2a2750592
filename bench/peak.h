/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine can do at most: the denominators of the report. */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

struct peak {
	double multiply_adds_per_second; /* f32, from registers, in the widest vectors that the machine has */
	double bytes_per_second;         /* reading memory; 0 if the buffer could not be had */
	const char *vectors;             /* which: "AVX-512", ... */
};

/* Measures for about a second on the given number of threads. */
struct peak measure_peak(int threads);

/* The larger of two measurements, figure by figure: what else runs on the machine can only lower them. */
struct peak larger_peak(struct peak a, struct peak b);

#endif
