/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON into a growing text. */
#ifndef TOOL_JSON_H
#define TOOL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tool_json {
	char *text; /* the caller frees it */
	size_t length, capacity;
	int depth;
	bool needs_comma, failed; /* failed: no memory left, the text is worthless */
};

/* key is NULL within an array and at the top. */
void tool_json_open(struct tool_json *json, const char *key, char bracket);        /* '{' or '[' */
void tool_json_close(struct tool_json *json, char bracket);                        /* '}' or ']' */
void tool_json_string(struct tool_json *json, const char *key, const char *value); /* NULL: null */
void tool_json_integer(struct tool_json *json, const char *key, int64_t value);
void tool_json_unsigned(struct tool_json *json, const char *key, uint64_t value);
void tool_json_number(struct tool_json *json, const char *key,
					  double value); /* reads back to the bit; not finite: null */
void tool_json_bool(struct tool_json *json, const char *key, bool value);

#endif
