/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda_driver.h"

#include <stdio.h>

#include "symbols.h"

const struct cuda_driver *cuda_driver_open(void)
{
	static const struct symbol symbols[] = {
#define CUDA_SYMBOL(member, symbol, parameters) {#symbol, offsetof(struct cuda_driver, member)},
		CUDA_FUNCTIONS(CUDA_SYMBOL)
#undef CUDA_SYMBOL
	};
	static struct cuda_driver driver;
	const size_t count = sizeof(symbols) / sizeof(symbols[0]);
	if (!symbols_load("FKM_CUDA_LIBRARY", "libcuda.so.1", symbols, count, &driver) ||
		!cuda_ok(&driver, driver.init(0), "cuInit"))
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
