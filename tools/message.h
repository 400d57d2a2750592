/* SPDX-License-Identifier: Apache-2.0 */
/* What fkm says on standard error, and its exit codes. */
#ifndef TOOL_MESSAGE_H
#define TOOL_MESSAGE_H

#include <stdbool.h>

#if defined(__GNUC__)
#define TOOL_PRINTF(string, first) __attribute__((format(printf, string, first)))
#else
#define TOOL_PRINTF(string, first)
#endif

enum tool_exit { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2, TOOL_INTERRUPTED = 130 };

/* Keeps the sentence that main() prints at the end and returns code. */
enum tool_exit tool_fail(enum tool_exit code, const char *format, ...) TOOL_PRINTF(2, 3);

/* The last sentence; "" if there is none. */
const char *tool_failure(void);

/* Prints one line, "fkm: " in front, unless quiet. */
void tool_note(const char *format, ...) TOOL_PRINTF(1, 2);
void tool_set_quiet(bool quiet);

/* Returns from the calling function if expr is not TOOL_OK. */
#define TOOL_TRY(expr)                                                                                                 \
	do {                                                                                                               \
		enum tool_exit tool_try_code_ = (expr);                                                                        \
		if (tool_try_code_ != TOOL_OK)                                                                                 \
			return tool_try_code_;                                                                                     \
	} while (0)

#endif
