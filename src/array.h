/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about arrays: element types and the layout of DLPack's tensor. */
#ifndef FKMI_ARRAY_H
#define FKMI_ARRAY_H

#include "flashkmeans/flashkmeans.h"

/* Bytes of an element; 0 for a value that is no dtype. */
int64_t fkmi_dtype_bytes(enum fkm_dtype dtype);

/* "f16", "bf16", "f32", "f64"; "unknown" for a value that is no dtype. Static storage. */
const char *fkmi_dtype_name(enum fkm_dtype dtype);

/* DLTensor of the DLPack ABI, versions 0.2 to 1.x. tests/unit/test_array.c holds it against dlpack.h. */
struct fkmi_dl_tensor {
	void *data;
	int32_t device_type;
	int32_t device_id;
	int32_t ndim;
	uint8_t type_code;
	uint8_t type_bits;
	uint16_t type_lanes;
	int64_t *shape;
	int64_t *strides; /* in elements; NULL: packed row-major */
	uint64_t byte_offset;
};

#endif
