/* SPDX-License-Identifier: Apache-2.0 */
/* Exact access to points and weights of any type. */
#include "steps.h"

#include <string.h>

static float bits_to_float(uint32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof value);
	return value;
}

/* Without branches, so that the loops below vectorise: binary16's exponent is moved to binary32's by a multiplication,
 * which also normalises subnormals. */
static inline float half_to_float(uint16_t half)
{
	uint32_t magnitude = half & 0x7fffu;
	float value = bits_to_float(magnitude << 13) * 0x1p112f;
	float special = bits_to_float(magnitude << 13 | 0x7f800000u);
	value = magnitude >= 0x7c00u ? special : value;
	return half & 0x8000u ? -value : value;
}

static inline float bfloat_to_float(uint16_t bfloat)
{
	return bits_to_float((uint32_t)bfloat << 16);
}

FKMI_CPU_INLINE void convert_body(const void *from, enum fkm_dtype dtype, int64_t d, double scale, double *restrict out)
{
	const uint16_t *restrict narrow = from;
	const float *restrict single = from;
	const double *restrict wide = from;
	switch (dtype) {
	case FKM_F16:
		for (int64_t j = 0; j < d; j++)
			out[j] = (double)half_to_float(narrow[j]) * scale;
		break;
	case FKM_BF16:
		for (int64_t j = 0; j < d; j++)
			out[j] = (double)bfloat_to_float(narrow[j]) * scale;
		break;
	case FKM_F32:
		for (int64_t j = 0; j < d; j++)
			out[j] = (double)single[j] * scale;
		break;
	case FKM_F64:
		for (int64_t j = 0; j < d; j++)
			out[j] = wide[j] * scale;
		break;
	}
}

FKMI_CPU_DISPATCH(convert, (const void *from, enum fkm_dtype dtype, int64_t d, double scale, double *out),
				  (from, dtype, d, scale, out))

void fkmi_cpu_convert(const void *from, enum fkm_dtype dtype, int64_t d, double scale, double *out)
{
	convert(from, dtype, d, scale, out);
}

const void *fkmi_cpu_row(const struct fkmi_job *job, int64_t b, int64_t i)
{
	int64_t element = job->problem.dtype == FKM_F32 ? 4 : 2;
	int64_t index = b * job->point_batch_stride + i * job->point_row_stride;
	return (const char *)fkmi_ref_ptr(job->points) + index * element;
}

void fkmi_cpu_load_row(const struct fkmi_job *job, int64_t b, int64_t i, double *out)
{
	fkmi_cpu_convert(fkmi_cpu_row(job, b, i), job->problem.dtype, job->problem.d, fkmi_cpu_row_scale(job, b, i), out);
}

double fkmi_cpu_weight(const struct fkmi_job *job, int64_t b, int64_t i)
{
	if (!job->weights.base)
		return 1;
	int64_t index = b * job->weights_batch_stride + i;
	if (job->weights_dtype == FKM_F32)
		return (double)((const float *)fkmi_ref_ptr(job->weights))[index];
	return *fkmi_cpu_doubles(job->weights, index);
}
