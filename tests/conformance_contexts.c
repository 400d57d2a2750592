/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance_contexts.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "registry.h"

const int32_t thread_counts[THREAD_COUNTS] = {1, 2, 7};

static bool named_in(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = list; at && (at = strstr(at, name)); at += length)
		if ((at == list || at[-1] == ',') && (at[length] == 0 || at[length] == ','))
			return true;
	return false;
}

static int32_t devices_of(const char *name)
{
	struct fkm_device_info infos[64];
	int32_t count = 0, devices = 0;

	if (fkm_device_list(infos, 64, &count) != FKM_OK)
		return 0;
	for (int32_t i = 0; i < count && i < 64; i++)
		devices += strcmp(infos[i].backend, name) == 0 && infos[i].device >= 0;
	return devices;
}

/* Those of one number of threads. */
static enum fkm_status open_contexts(struct suite_contexts *suite, const char *name, int index)
{
	const int ranks = suite->ranks, device_count = suite->device_count;
	const int32_t devices = ranks > 1 || device_count > 0 ? devices_of(name) : 1;
	int32_t indices[MOST_RANKS];
	struct fkm_context_params params;
	struct fkm_communicator communicator;

	fkm_context_params_init(&params);
	params.backend = name;
	params.threads = thread_counts[index];
	for (int i = 0; i < device_count; i++)
		indices[i] = devices > 0 ? i % devices : 0;
	if (device_count > 0) {
		params.devices = indices;
		params.device_count = device_count;
	}
	if (ranks > 1 || device_count > 0)
		params.threads = 1 + index % 2;
	if (ranks > 1) {
		if (fkm_local_ranks_create(ranks, 120, &suite->groups[index]) != FKM_OK)
			abort();
		params.communicator = &communicator;
	}
	for (int rank = 0; rank < ranks; rank++) {
		if (ranks > 1 && fkm_local_ranks_get(suite->groups[index], rank, &communicator) != FKM_OK)
			abort();
		if (ranks > 1 && devices > 1)
			params.device = rank % devices;
		enum fkm_status status = fkm_context_create(&params, &suite->contexts[index][rank]);
		if (status != FKM_OK)
			return status;
	}
	return FKM_OK;
}

void suite_open(struct suite_contexts *suite, const char *name)
{
	int32_t backend_count, tile_count = 0;
	const struct fkmi_backend *const *backends = fkmi_registry(&backend_count);

	for (int i = 0; i < THREAD_COUNTS; i++) {
		enum fkm_status status = open_contexts(suite, name, i);
		if (status != FKM_OK) {
			bool skip = status == FKM_ERROR_NO_DEVICE && !named_in(getenv("FKM_REQUIRE"), name);
			printf("%s: %s\n", skip ? "skipped" : "FAIL", fkm_error_message());
			exit(skip ? 77 : 1);
		}
	}
	for (int32_t i = 0; i < backend_count; i++)
		if (strcmp(backends[i]->name, name) == 0) {
			const struct fkmi_tile *tiles = backends[i]->tiles(&tile_count);
			for (int32_t tile = 0; tile < tile_count && suite->kernel_count < MOST_KERNELS; tile++)
				suite->kernels[suite->kernel_count++] = tiles[tile].name;
		}
}

void suite_close(struct suite_contexts *suite)
{
	for (int i = 0; i < THREAD_COUNTS; i++) {
		for (int rank = 0; rank < suite->ranks; rank++)
			fkm_context_destroy(suite->contexts[i][rank]);
		fkm_local_ranks_destroy(suite->groups[i]);
	}
}

void suite_set_budget(struct suite_contexts *suite, int threads_index, int64_t bytes)
{
	for (int rank = 0; rank < suite->ranks; rank++)
		suite->contexts[threads_index][rank]->memory_budget_bytes = bytes;
}
