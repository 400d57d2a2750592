/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of a library that is opened at run time. */
#ifndef BENCH_SYMBOLS_H
#define BENCH_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>

struct symbol {
	const char *name;
	size_t offset; /* of the function pointer in the table that is filled */
};

/* Opens the library that the environment variable names, else the usual one, and fills the table. False after a sentence on
 * standard error. */
bool symbols_load(const char *variable, const char *usual, const struct symbol *symbols, size_t count, void *table);

#endif
