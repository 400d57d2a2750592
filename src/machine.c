/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int fkmi_cpu_count(void)
{
#if defined(__linux__)
	/* A set of fixed size fails on machines with more processors than it holds, so grow it. */
	for (int capacity = CPU_SETSIZE; capacity <= 1 << 20; capacity *= 4) {
		cpu_set_t *set = CPU_ALLOC((size_t)capacity);
		if (!set)
			break;
		size_t bytes = CPU_ALLOC_SIZE((size_t)capacity);
		int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
		CPU_FREE(set);
		if (count > 0)
			return count;
	}
#endif
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (int)online : 1;
}

int64_t fkmi_cpu_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	return pages > 0 && page > 0 ? (int64_t)pages * page : INT64_MAX;
}

void fkmi_cpu_model(char *name, size_t bytes)
{
#if defined(__aarch64__)
	snprintf(name, bytes, "arm64 CPU");
#elif defined(__x86_64__)
	snprintf(name, bytes, "x86-64 CPU");
#else
	snprintf(name, bytes, "CPU");
#endif
	FILE *file = fopen("/proc/cpuinfo", "re");
	if (!file)
		return;
	char line[256];
	while (fgets(line, sizeof line, file)) {
		if (strncmp(line, "model name", 10) != 0)
			continue;
		const char *value = strchr(line, ':');
		if (value) {
			value += 1 + strspn(value + 1, " \t");
			snprintf(name, bytes, "%.*s", (int)strcspn(value, "\n"), value);
		}
		break;
	}
	fclose(file);
}
