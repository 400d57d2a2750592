/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed and written of a device's measurements. */
#ifndef BENCH_REPORT_DEVICE_H
#define BENCH_REPORT_DEVICE_H

#include <stdio.h>

#include "ceilings.h"
#include "device.h"
#include "measure_device.h"

struct device_report {
	const struct device *device;
	struct ceilings ceilings;    /* zeros where they were not measured */
	double context_ms, first_ms; /* making the context, which loads the code, and the first fit */
	enum fkm_empty empty;
	bool stages;
	const struct device_measurement *measurements;
	int count;
};

/* Wants at least one measurement. */
void print_device_tables(const struct device_report *report, FILE *out);

void write_device_json(const struct device_report *report, FILE *out);

#endif
