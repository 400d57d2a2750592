/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "report.h"

static void print_device(const struct fkm_device_info *info)
{
	char memory[32];
	if (info->device < 0) {
		printf("%-8s  -  %s\n", info->backend, info->problem);
		return;
	}
	tool_format_bytes(memory, sizeof memory, info->memory_bytes);
	printf("%-8s %2" PRId32 "  %s, %s, %" PRId32 " units", info->backend, info->device, info->name, memory,
		   info->units);
	if (info->detail[0])
		printf(", %s", info->detail);
	if (info->problem[0])
		printf("; cannot be used: %s", info->problem);
	putchar('\n');
}

enum tool_exit tool_devices(const struct tool_options *options, struct tool_ranks *ranks)
{
	(void)options;
	if (ranks->rank > 0)
		return TOOL_OK;
	int32_t count = 0, capacity = 0;
	struct fkm_device_info *infos = NULL;
	enum fkm_status status = fkm_device_list(NULL, 0, &count);
	if (status == FKM_OK && count > 0) {
		capacity = count;
		infos = calloc((size_t)capacity, sizeof *infos);
		if (!infos)
			return tool_fail(TOOL_FAILED, "no memory left to list %" PRId32 " devices", capacity);
		status = fkm_device_list(infos, capacity, &count);
	}
	for (int32_t i = 0; status == FKM_OK && i < count && i < capacity; i++)
		print_device(&infos[i]);
	free(infos);
	return status == FKM_OK ? TOOL_OK : tool_fail(TOOL_FAILED, "%s", fkm_error_message());
}
