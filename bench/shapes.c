/* SPDX-License-Identifier: Apache-2.0 */
#include "shapes.h"

#include <stdio.h>
#include <string.h>

static const struct shape shapes[] = {
	/* For CPUs. */
	{"cpu-100", 1, 200000, 100, 64, FKM_F32},
	{"cpu-1k", 1, 100000, 1000, 128, FKM_F32},
	{"cpu-colour", 1, 1000000, 16, 3, FKM_F32},
	{"cpu-embed", 1, 20000, 256, 768, FKM_F32},
	/* For GPUs. */
	{"paper-b32", 32, 65536, 1024, 128, FKM_F16},
	{"paper-b32-k100", 32, 131072, 100, 128, FKM_F16},
	{"svg2", 32, 75600, 1000, 128, FKM_F16},
	{"paper-1m-8k", 1, 1048576, 8192, 128, FKM_F16},
	{"paper-8m-1k", 1, 8388608, 1024, 128, FKM_F16},
	{"ivf-64k", 1, 1048576, 65536, 128, FKM_F16},
	{"embed-1k", 1, 262144, 4096, 1024, FKM_BF16},
	{"d512", 1, 1048576, 4096, 512, FKM_F16},
	{"d64", 8, 131072, 1024, 64, FKM_F16},
	{"online-small", 1, 8192, 256, 64, FKM_F16},
	{"online-mid", 1, 32768, 256, 128, FKM_F16},
	{"colour", 1, 8388608, 256, 3, FKM_F32},
	{"f32-1m-1k", 1, 1048576, 1024, 128, FKM_F32},
	{"f32-embed", 1, 262144, 4096, 768, FKM_F32},
	{"pq-subspace", 16, 262144, 256, 8, FKM_F32},
};

enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

const struct shape *named_shapes(int *count)
{
	*count = SHAPES;
	return shapes;
}

const struct shape *find_shape(const char *name)
{
	for (int i = 0; i < SHAPES; i++)
		if (!strcmp(shapes[i].name, name))
			return &shapes[i];
	return NULL;
}

int sweep_shapes(char axis, struct shape swept[MAX_SWEEP])
{
	static const struct {
		char axis;
		int64_t values[MAX_SWEEP]; /* ended by 0 where there are fewer */
	} sweeps[] = {
		{'n', {8192, 32768, 131072, 524288, 2097152, 8388608}},
		{'k', {16, 64, 256, 1024, 4096, 16384, 65536}},
		{'d', {8, 16, 32, 64, 128, 256, 512, 1024}},
	};
	int count = 0;
	for (size_t i = 0; i < sizeof(sweeps) / sizeof(sweeps[0]); i++) {
		for (; sweeps[i].axis == axis && count < MAX_SWEEP && sweeps[i].values[count] > 0; count++) {
			int64_t n = 1048576, k = 1024, d = 128;
			*(axis == 'n' ? &n : axis == 'k' ? &k : &d) = sweeps[i].values[count];
			swept[count] = (struct shape){.b = 1, .n = n, .k = k, .d = d, .dtype = FKM_F16};
			snprintf(swept[count].name, sizeof(swept[count].name), "1,%lld,%lld,%lld,f16", (long long)n, (long long)k,
					 (long long)d);
		}
	}
	return count;
}

bool parse_shape(const char *text, struct shape *shape)
{
	long long b, n, k, d;
	char dtype[8];
	int used = 0;
	if (sscanf(text, "%lld,%lld,%lld,%lld,%7[a-z0-9]%n", &b, &n, &k, &d, dtype, &used) != 5 || text[used])
		return false;
	const long long most = 1LL << 40; /* keeps every product below in range: what is larger fits no machine */
	if (b < 1 || n < 1 || k < 1 || d < 1 || b > most || n > most || k > n || d > most || b > most / n ||
		b * n > most / d)
		return false;
	*shape = (struct shape){.b = b, .n = n, .k = k, .d = d};
	snprintf(shape->name, sizeof(shape->name), "%s", text);
	for (enum fkm_dtype t = FKM_F16; t <= FKM_F32; t++)
		if (!strcmp(dtype_name(t), dtype))
			shape->dtype = t;
	return shape->dtype != 0;
}

const char *dtype_name(enum fkm_dtype dtype)
{
	switch (dtype) {
	case FKM_F16:
		return "f16";
	case FKM_BF16:
		return "bf16";
	case FKM_F32:
		return "f32";
	case FKM_F64:
		return "f64";
	}
	return "?";
}

int64_t dtype_bytes(enum fkm_dtype dtype)
{
	return dtype == FKM_F64 ? 8 : dtype == FKM_F32 ? 4 : 2;
}
