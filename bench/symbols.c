/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool symbols_load(const char *variable, const char *usual, const struct symbol *symbols, size_t count, void *table)
{
	const char *given = getenv(variable), *path = given && *given ? given : usual;
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "fkm-bench: %s\n", dlerror());
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		void *function = dlsym(library, symbols[i].name);
		if (!function) {
			fprintf(stderr, "fkm-bench: %s lacks %s\n", path, symbols[i].name);
			return false;
		}
		memcpy((char *)table + symbols[i].offset, &function, sizeof(function));
	}
	return true;
}
