/* SPDX-License-Identifier: Apache-2.0 */
#include "dynload.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

#if defined(_WIN32)

bool fkmi_dynload(const struct fkmi_library *library, void *table, const char **opened, char *reason,
				  size_t reason_bytes)
{
	for (size_t i = 0; i < library->symbol_count; i++)
		memset((char *)table + library->symbols[i].offset, 0, sizeof(void *));
	if (opened != NULL)
		*opened = NULL;
	struct fkmi_text text = {.start = reason, .capacity = reason_bytes};
	fkmi_text_add(&text, "this build cannot open libraries at run time");
	return false;
}

#else

#include <dlfcn.h>

/* The path that the user set instead of the sonames, or NULL. Not honoured in a program with raised privileges. */
static const char *override_path(const struct fkmi_library *library)
{
	if (library->override_variable == NULL)
		return NULL;
#if defined(__linux__)
	const char *path = secure_getenv(library->override_variable);
#else
	const char *path = getenv(library->override_variable);
#endif
	return path == NULL || path[0] == '\0' ? NULL : path;
}

static const char *last_error(void)
{
	const char *error = dlerror();
	return error != NULL ? error : "unknown error";
}

/* Opens the first of names that opens; what failed is added to reason. *name receives the one that opened. */
static void *open_first(const char *const *names, struct fkmi_text *reason, const char **name)
{
	for (; *names != NULL; names++) {
		void *handle = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
		if (handle != NULL) {
			*name = *names;
			return handle;
		}
		fkmi_text_add(reason, "%s%s: %s", reason->length > 0 ? "; " : "", *names, last_error());
	}
	return NULL;
}

/* The first of names that the process has open already, or NULL. */
static void *find_loaded(const char *const *names, const char **name)
{
	for (; *names != NULL; names++) {
		void *handle = dlopen(*names, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
		if (handle != NULL) {
			*name = *names;
			return handle;
		}
	}
	(void)dlerror(); /* so that the misses are not taken for somebody's error */
	return NULL;
}

static void *open_library(const struct fkmi_library *library, struct fkmi_text *reason, const char **name)
{
	const char *path = override_path(library);
	if (path != NULL) {
		const char *const only[] = {path, NULL};
		void *handle = open_first(only, reason, name);
		if (handle == NULL)
			fkmi_text_add(reason, " (set by %s)", library->override_variable);
		return handle;
	}
	void *handle = library->prefer_loaded ? find_loaded(library->sonames, name) : NULL;
	return handle != NULL ? handle : open_first(library->sonames, reason, name);
}

static void set_pointer(void *table, size_t offset, void *address)
{
	memcpy((char *)table + offset, &address, sizeof address);
}

bool fkmi_dynload(const struct fkmi_library *library, void *table, const char **opened, char *reason,
				  size_t reason_bytes)
{
	struct fkmi_text text = {.start = reason, .capacity = reason_bytes};
	const char *name = NULL;
	if (reason_bytes > 0)
		reason[0] = '\0';
	if (opened != NULL)
		*opened = NULL;
	for (size_t i = 0; i < library->symbol_count; i++)
		set_pointer(table, library->symbols[i].offset, NULL);

	void *handle = open_library(library, &text, &name);
	if (handle == NULL)
		return false;
	bool complete = true;
	for (size_t i = 0; i < library->symbol_count; i++) {
		const struct fkmi_symbol *symbol = &library->symbols[i];
		void *address = dlsym(handle, symbol->name);
		set_pointer(table, symbol->offset, address);
		if (address != NULL || symbol->optional)
			continue;
		if (complete) {
			text.length = 0; /* of names tried before this one opened */
			fkmi_text_add(&text, "%s lacks ", name);
		}
		fkmi_text_add(&text, "%s%s", complete ? "" : ", ", symbol->name);
		complete = false;
	}
	if (!complete) {
		for (size_t i = 0; i < library->symbol_count; i++)
			set_pointer(table, library->symbols[i].offset, NULL);
		return false;
	}
	if (reason_bytes > 0)
		reason[0] = '\0';
	if (opened != NULL)
		*opened = name;
	return true;
}

#endif
