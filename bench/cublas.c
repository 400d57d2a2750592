/* SPDX-License-Identifier: Apache-2.0 */
#include "cublas.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static void *open_library(const char *path)
{
	static const char *const sonames[] = {"libcublas.so.13", "libcublas.so.12"};
	void *library = NULL;
	if (path)
		return dlopen(path, RTLD_NOW | RTLD_LOCAL);
	for (int i = 0; i < 2 && !library; i++)
		library = dlopen(sonames[i], RTLD_NOW | RTLD_LOCAL);
	return library;
}

static bool find(void *library, const char *symbol, void *function)
{
	void *found = dlsym(library, symbol);
	memcpy(function, &found, sizeof(found));
	if (!found)
		fprintf(stderr, "fkm-bench: cuBLAS lacks %s\n", symbol);
	return found != NULL;
}

bool cublas_open(const char *path, void *stream, struct cublas *cublas)
{
	int (*create)(void **handle), (*set_stream)(void *handle, void *stream), (*get_version)(void *handle, int *version);
	*cublas = (struct cublas){0};
	void *library = open_library(path), *handle = NULL;
	if (!library) {
		fprintf(stderr, "fkm-bench: %s\n", dlerror());
		return false;
	}
	if (!find(library, "cublasCreate_v2", &create) || !find(library, "cublasSetStream_v2", &set_stream) ||
		!find(library, "cublasGetVersion_v2", &get_version) || !find(library, "cublasDestroy_v2", &cublas->destroy) ||
		!find(library, "cublasGemmEx", &cublas->gemm))
		return false;
	int result = create(&handle);
	if (result) {
		fprintf(stderr, "fkm-bench: cublasCreate failed: %d\n", result);
		return false;
	}
	cublas->handle = handle;
	if (!set_stream(handle, stream) && !get_version(handle, &cublas->version))
		return true;
	fprintf(stderr, "fkm-bench: cuBLAS takes no stream\n");
	cublas_close(cublas);
	return false;
}

void cublas_close(struct cublas *cublas)
{
	if (cublas->handle)
		cublas->destroy(cublas->handle);
	*cublas = (struct cublas){0};
}

int cublas_multiply(const struct cublas *cublas, int size, int type, int compute, const void *a, const void *b, void *c)
{
	enum { AS_IT_IS = 0, DEFAULT_ALGORITHM = -1 };
	const float one = 1, zero = 0;
	return cublas->gemm(cublas->handle, AS_IT_IS, AS_IT_IS, size, size, size, &one, a, type, size, b, type, size, &zero,
						c, type, size, compute, DEFAULT_ALGORITHM);
}
