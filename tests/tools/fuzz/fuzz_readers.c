/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer target: any bytes as a .npy, .fvecs or .bvecs file, converted to any type. The first byte chooses. */
#include <stddef.h>
#include <stdint.h>

#include "convert.h"
#include "npy.h"
#include "vecs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum fkm_dtype dtypes[] = {FKM_F16, FKM_BF16, FKM_F32, FKM_F64};
	if (size == 0)
		return 0;
	struct tool_file file = {.name = "input"};
	enum tool_exit code;
	switch (data[0] % 3) {
	case 0:
		code = tool_npy_parse(file.name, data + 1, size - 1, &file.array);
		break;
	case 1:
		code = tool_vecs_parse(file.name, data + 1, size - 1, TOOL_F4, &file.array);
		break;
	default:
		code = tool_vecs_parse(file.name, data + 1, size - 1, TOOL_U1, &file.array);
		break;
	}
	if (code != TOOL_OK)
		return 0;
	struct tool_matrix matrix;
	enum tool_layout layout = data[0] & 128 ? TOOL_COLUMN : TOOL_MATRIX;
	if (tool_matrix_make(&file, layout, dtypes[data[0] / 3 % 4], NULL, &matrix) == TOOL_OK)
		tool_matrix_free(&matrix);
	return 0;
}
