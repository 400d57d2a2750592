/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[1024];

enum fkm_status fkmi_fail(enum fkm_status status, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	return status;
}

const char *fkm_error_message(void)
{
	return message;
}
