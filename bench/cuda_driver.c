/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda_driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool load(struct cuda_driver *driver)
{
	static const struct {
		const char *symbol;
		size_t offset;
	} functions[] = {
#define CUDA_SYMBOL(member, symbol, parameters) {#symbol, offsetof(struct cuda_driver, member)},
		CUDA_FUNCTIONS(CUDA_SYMBOL)
#undef CUDA_SYMBOL
	};
	const char *path = getenv("FKM_CUDA_LIBRARY");
	void *library = dlopen(path && *path ? path : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "fkm-bench: %s\n", dlerror());
		return false;
	}
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(library, functions[i].symbol);
		if (!function) {
			fprintf(stderr, "fkm-bench: the CUDA driver lacks %s\n", functions[i].symbol);
			return false;
		}
		memcpy((char *)driver + functions[i].offset, &function, sizeof(function));
	}
	return true;
}

const struct cuda_driver *cuda_driver_open(void)
{
	static struct cuda_driver driver;
	if (!load(&driver) || !cuda_ok(&driver, driver.init(0), "cuInit"))
		return NULL;
	return &driver;
}

bool cuda_ok(const struct cuda_driver *driver, int result, const char *what)
{
	if (result == 0)
		return true;
	const char *name = NULL;
	if (driver->error_name(result, &name) || !name)
		name = "an unknown error";
	fprintf(stderr, "fkm-bench: %s failed: %s (%d)\n", what, name, result);
	return false;
}
