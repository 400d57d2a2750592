/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring all shapes and reporting them. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include <stdio.h>

#include "options.h"

/* With arrays in host memory, on any backend, or in the memory of a device of that backend, one that runs_on_devices. json
 * may be NULL. False if something could not be measured or written, after a sentence on standard error. */
bool run_on_host(struct options *options, FILE *json);
bool run_on_device(struct options *options, const char *backend, FILE *json);
bool runs_on_devices(const char *backend);

#endif
