/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed and written of measurements in host memory. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "measure.h"
#include "peak.h"

struct report {
	const char *backend, *device;
	struct peak peak; /* zeros where it was not measured */
	const struct measurement *measurements;
	int count;
};

/* These want at least one measurement. */
void print_table(const struct report *report, FILE *out);
void print_checks(const struct report *report, FILE *out);
void print_stages(const struct report *report, FILE *out);

void write_json(const struct report *report, FILE *out);

#endif
