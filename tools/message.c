/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <stdarg.h>
#include <stdio.h>

static char sentence[1024];
static bool is_quiet;

enum tool_exit tool_fail(enum tool_exit code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	return code;
}

const char *tool_failure(void)
{
	return sentence;
}

void tool_note(const char *format, ...)
{
	if (is_quiet)
		return;
	va_list arguments;
	va_start(arguments, format);
	fputs("fkm: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

void tool_set_quiet(bool quiet)
{
	is_quiet = quiet;
}
