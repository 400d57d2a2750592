/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);
	return value && value[0];
}

/* The backend whose devices are to be shared: the one that is named, else the first that has a GPU for certain. */
static const char *find_backend(const struct fkm_context_params *params, const struct fkm_device_info *infos,
								int32_t count)
{
	if (params->backend && params->backend[0])
		return params->backend;
	if (is_set("FKM_BACKEND"))
		return getenv("FKM_BACKEND");
	for (int32_t i = 0; i < count; i++)
		if (!infos[i].problem[0] && (strcmp(infos[i].backend, "cuda") == 0 || strcmp(infos[i].backend, "hip") == 0))
			return infos[i].backend;
	return "";
}

static void choose_device(const struct tool_ranks *ranks, const struct fkm_device_info *infos, int32_t count,
						  struct fkm_context_params *params)
{
	const char *backend = find_backend(params, infos, count);
	int32_t usable = 0;
	for (int32_t i = 0; i < count; i++)
		usable += strcmp(infos[i].backend, backend) == 0 && !infos[i].problem[0];
	if (usable < 2) /* whatever goes wrong with the only one is for the library to tell */
		return;
	int32_t turn = ranks->local_rank % usable;
	for (int32_t i = 0; i < count; i++) {
		if (strcmp(infos[i].backend, backend) != 0 || infos[i].problem[0] || turn-- > 0)
			continue;
		params->backend = strcmp(backend, "cuda") == 0 ? "cuda" : strcmp(backend, "hip") == 0 ? "hip" : params->backend;
		params->device = infos[i].device;
		return;
	}
}

static enum tool_exit share_devices(const struct tool_ranks *ranks, struct fkm_context_params *params)
{
	int32_t count = 0;
	enum fkm_status status = fkm_device_list(NULL, 0, &count);
	struct fkm_device_info *infos = calloc((size_t)count + 1, sizeof *infos);
	if (!infos)
		return tool_fail(TOOL_FAILED, "no memory left to list %d devices", (int)count);
	const int32_t capacity = count;
	if (status == FKM_OK)
		status = fkm_device_list(infos, capacity, &count);
	if (status == FKM_OK)
		choose_device(ranks, infos, count < capacity ? count : capacity, params);
	free(infos);
	return status == FKM_OK ? TOOL_OK : tool_fail(TOOL_FAILED, "%s", fkm_error_message());
}

static void share_processors(const struct tool_ranks *ranks, struct fkm_context_params *params)
{
	const long all = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
	cpu_set_t allowed;
	if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) < all)
		return;
#endif
	params->threads = all > ranks->local_size ? (int32_t)(all / ranks->local_size) : 1;
}

enum tool_exit tool_share_machine(const struct tool_ranks *ranks, struct fkm_context_params *params)
{
	const bool named = params->device_name && params->device_name[0];
	if (params->threads == 0 && !is_set("FKM_NUM_THREADS"))
		share_processors(ranks, params);
	if (params->device >= 0 || params->device_count > 0 || named || is_set("FKM_DEVICE"))
		return TOOL_OK;
	return share_devices(ranks, params);
}
