/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(struct tool_json *json, const char *text, size_t length)
{
	if (json->failed)
		return;
	if (json->capacity - json->length < length + 1) {
		size_t capacity = 2 * (json->capacity + length) + 1024;
		char *grown = realloc(json->text, capacity);
		if (!grown) {
			json->failed = true;
			return;
		}
		json->text = grown;
		json->capacity = capacity;
	}
	memcpy(json->text + json->length, text, length);
	json->length += length;
	json->text[json->length] = 0;
}

static void put(struct tool_json *json, const char *text)
{
	append(json, text, strlen(text));
}

/* Length of the UTF-8 sequence at text; 0 if there is none (file names may be any bytes). */
static size_t utf8_length(const unsigned char *text)
{
	size_t length = text[0] < 0x80                       ? 1
					: text[0] >= 0xc2 && text[0] <= 0xdf ? 2
					: text[0] >= 0xe0 && text[0] <= 0xef ? 3
					: text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
														 : 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates and what lies beyond U+10FFFF */
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
		(text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

static void put_quoted(struct tool_json *json, const char *value)
{
	put(json, "\"");
	for (const unsigned char *next = (const unsigned char *)value; *next;) {
		size_t length = utf8_length(next);
		if (*next == '"' || *next == '\\') {
			append(json, (char[]){'\\', (char)*next}, 2);
		} else if (*next < ' ' || *next == 127) {
			char escape[8];
			snprintf(escape, sizeof escape, "\\u%04x", *next);
			put(json, escape);
		} else if (length == 0) {
			put(json, "\\ufffd");
		} else {
			append(json, (const char *)next, length);
		}
		next += length ? length : 1;
	}
	put(json, "\"");
}

static void begin(struct tool_json *json, const char *key)
{
	if (json->needs_comma)
		put(json, ",");
	if (json->depth > 0 && key) {
		put(json, "\n");
		for (int i = 0; i < json->depth; i++)
			put(json, "  ");
		put_quoted(json, key);
		put(json, ": ");
	} else if (json->needs_comma) {
		put(json, " ");
	}
	json->needs_comma = true;
}

void tool_json_open(struct tool_json *json, const char *key, char bracket)
{
	begin(json, key);
	append(json, &bracket, 1);
	json->depth++;
	json->needs_comma = false;
}

void tool_json_close(struct tool_json *json, char bracket)
{
	json->depth--;
	if (bracket == '}') {
		put(json, "\n");
		for (int i = 0; i < json->depth; i++)
			put(json, "  ");
	}
	append(json, &bracket, 1);
	json->needs_comma = true;
	if (json->depth == 0)
		put(json, "\n");
}

void tool_json_string(struct tool_json *json, const char *key, const char *value)
{
	begin(json, key);
	if (value)
		put_quoted(json, value);
	else
		put(json, "null");
}

void tool_json_integer(struct tool_json *json, const char *key, int64_t value)
{
	char text[32];
	snprintf(text, sizeof text, "%" PRId64, value);
	begin(json, key);
	put(json, text);
}

void tool_json_unsigned(struct tool_json *json, const char *key, uint64_t value)
{
	char text[32];
	snprintf(text, sizeof text, "%" PRIu64, value);
	begin(json, key);
	put(json, text);
}

void tool_json_number(struct tool_json *json, const char *key, double value)
{
	char text[32] = "null";
	for (int digits = 15; isfinite(value) && digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	begin(json, key);
	put(json, text);
}

void tool_json_bool(struct tool_json *json, const char *key, bool value)
{
	begin(json, key);
	put(json, value ? "true" : "false");
}
