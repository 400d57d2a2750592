/* SPDX-License-Identifier: Apache-2.0 */
/* Appending to a text of limited size. */
#ifndef FKMI_TEXT_H
#define FKMI_TEXT_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"

/* A text that is cut at capacity - 1 bytes and always ends with 0 (unless capacity is 0), while length goes on counting
 * what the whole text would take. */
struct fkmi_text {
	char *start; /* may be NULL if capacity is 0 */
	size_t capacity;
	size_t length; /* without the final 0 */
};

static inline void fkmi_text_add(struct fkmi_text *text, const char *format, ...) FKMI_PRINTF(2, 3);

static inline void fkmi_text_add(struct fkmi_text *text, const char *format, ...)
{
	size_t used = text->length < text->capacity ? text->length : text->capacity;
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(used < text->capacity ? text->start + used : NULL, text->capacity - used, format, arguments);
	va_end(arguments);
	if (length > 0)
		text->length += (size_t)length;
}

/* "12 bytes", "1.5 KiB", "4.0 GiB". */
static inline void fkmi_text_add_bytes(struct fkmi_text *text, int64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	if (bytes < 1024) {
		fkmi_text_add(text, "%lld %s", (long long)bytes, bytes == 1 ? "byte" : "bytes");
		return;
	}
	double value = (double)bytes / 1024;
	int unit = 0;
	while (value >= 1023.95 && unit < 5) {
		value /= 1024;
		unit++;
	}
	fkmi_text_add(text, "%.1f %s", value, units[unit]);
}

#endif
