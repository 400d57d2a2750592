/* SPDX-License-Identifier: Apache-2.0 */
/* Opening driver libraries at run time. Nothing needs a driver to start; an opened library is never closed, because
 * drivers leave threads and exit handlers behind. */
#ifndef FKMI_DYNLOAD_H
#define FKMI_DYNLOAD_H

#include <stdbool.h>
#include <stddef.h>

/* One symbol of a library, by its exact versioned name ("cuMemAlloc_v2"), and where its address goes. */
struct fkmi_symbol {
	const char *name;
	size_t offset; /* of the function pointer in the caller's table */
	bool optional; /* the pointer stays NULL if the library lacks it */
};

struct fkmi_library {
	const char *override_variable; /* environment variable with a path that replaces sonames; may be NULL */
	const char *const *sonames;    /* NULL-terminated, preferred first */
	bool
		prefer_loaded; /* first look for one that the process has already opened (RTLD_NOLOAD), whichever its version */
	const struct fkmi_symbol *symbols;
	size_t symbol_count;
};

/* Opens the library and fills table. On failure returns false with a sentence in reason that names every file tried and
 * why, or every missing symbol, and table is all NULL. opened (may be NULL) receives the soname or path used, which
 * points into sonames or the environment: copy it. */
bool fkmi_dynload(const struct fkmi_library *library, void *table, const char **opened, char *reason,
				  size_t reason_bytes);

#endif
