/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the machine that the library runs on. */
#ifndef FKMI_MACHINE_H
#define FKMI_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Processors that this process may run on, at least 1. */
int fkmi_cpu_count(void);

/* Bytes of physical memory; INT64_MAX if the system does not say. */
int64_t fkmi_cpu_memory(void);

/* The processor's marketing name, or the architecture's; always 0-terminated. */
void fkmi_cpu_model(char *name, size_t bytes);

#endif
