/* SPDX-License-Identifier: Apache-2.0 */
/* Repeated measurements of one thing. */
#ifndef BENCH_SPREAD_H
#define BENCH_SPREAD_H

enum { MAX_SAMPLES = 400 };

struct spread {
	int count;
	double values[MAX_SAMPLES]; /* ascending */
};

/* Beyond MAX_SAMPLES nothing is added. */
void spread_add(struct spread *spread, double value);

/* These want at least one value. */
double spread_median(const struct spread *spread);
double spread_min(const struct spread *spread);
double spread_max(const struct spread *spread);

#endif
