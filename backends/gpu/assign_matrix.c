/* SPDX-License-Identifier: Apache-2.0 */
#include "assign_matrix.h"

#include <string.h>

#define SHAPE(id, d_least, d_most, steps)                                                                              \
	{#id, "fkmi_k_matrix_filter_" #id, "fkmi_k_matrix_recheck_" #id, FKMI_MATRIX_STEP * (steps)},
static const struct fkmi_gpu_matrix_shape shapes[] = {FKMI_MATRIX_SHAPES(SHAPE)};

const struct fkmi_gpu_matrix_shape *fkmi_gpu_matrix_shape(const struct fkmi_tile *tile)
{
	static const char *const prefixes[] = {"mma-", "mfma-", "wmma-"};
	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
		const size_t length = strlen(prefixes[i]);
		if (strncmp(tile->name, prefixes[i], length) != 0)
			continue;
		for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
			if (strcmp(tile->name + length, shapes[s].name) == 0)
				return &shapes[s];
	}
	return NULL;
}
