/* SPDX-License-Identifier: Apache-2.0 */
#include "npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char magic[] = "\x93NUMPY";
enum { MAGIC_BYTES = 6 };

/* The header text that is left to parse; next never passes end. */
struct cursor {
	const char *name, *next, *end;
};

static enum tool_exit malformed(const struct cursor *cursor, const char *what)
{
	return tool_fail(TOOL_FAILED, "%s: its .npy header %s", cursor->name, what);
}

static void skip_space(struct cursor *cursor)
{
	while (cursor->next < cursor->end && (*cursor->next == ' ' || *cursor->next == '\t' || *cursor->next == '\n'))
		cursor->next++;
}

/* Takes the character, after any space, if it is next. */
static bool take(struct cursor *cursor, char character)
{
	skip_space(cursor);
	if (cursor->next == cursor->end || *cursor->next != character)
		return false;
	cursor->next++;
	return true;
}

static bool take_word(struct cursor *cursor, const char *word)
{
	size_t length = strlen(word);
	skip_space(cursor);
	if ((size_t)(cursor->end - cursor->next) < length || memcmp(cursor->next, word, length) != 0)
		return false;
	cursor->next += length;
	return true;
}

/* A quoted string without escapes, of less than capacity characters. */
static bool take_string(struct cursor *cursor, char *text, size_t capacity)
{
	char quote = '\'';
	if (!take(cursor, quote)) {
		quote = '"';
		if (!take(cursor, quote))
			return false;
	}
	size_t length = 0;
	while (cursor->next < cursor->end && *cursor->next != quote && length + 1 < capacity) {
		if (*cursor->next < ' ' || *cursor->next > '~' || *cursor->next == '\\')
			return false;
		text[length++] = *cursor->next++;
	}
	text[length] = 0;
	return take(cursor, quote);
}

static enum tool_exit parse_type(struct cursor *cursor, struct tool_array *array)
{
	static const struct {
		const char *name;
		enum tool_element element;
	} types[] = {{"f2", TOOL_F2}, {"f4", TOOL_F4}, {"f8", TOOL_F8}, {"i1", TOOL_I1}, {"u1", TOOL_U1}};

	char text[32];
	skip_space(cursor);
	if (cursor->next < cursor->end && *cursor->next == '[')
		return tool_fail(TOOL_FAILED, "%s: holds records; only f2, f4, f8, i1 and u1 can be read", cursor->name);
	if (!take_string(cursor, text, sizeof text) || strlen(text) < 2)
		return malformed(cursor, "has a malformed 'descr'");
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (strcmp(text + 1, types[i].name) != 0 || !strchr("<=|>", text[0]))
			continue;
		array->element = types[i].element;
		size_t bytes = tool_element_bytes(array->element);
		if (text[0] == '>' && bytes > 1)
			return tool_fail(TOOL_FAILED, "%s: holds big-endian numbers ('%s'); little-endian ones are needed",
							 cursor->name, text);
		if (text[0] == '|' && bytes > 1)
			break;
		return TOOL_OK;
	}
	return tool_fail(TOOL_FAILED, "%s: holds type '%s'; only f2, f4, f8, i1 and u1 can be read", cursor->name, text);
}

static enum tool_exit parse_order(struct cursor *cursor, struct tool_array *array)
{
	array->fortran = take_word(cursor, "True");
	if (!array->fortran && !take_word(cursor, "False"))
		return malformed(cursor, "has a 'fortran_order' that is neither True nor False");
	return TOOL_OK;
}

static enum tool_exit parse_dimension(struct cursor *cursor, int64_t *dimension)
{
	int64_t value = 0;
	const char *start = cursor->next;
	for (; cursor->next < cursor->end && *cursor->next >= '0' && *cursor->next <= '9'; cursor->next++) {
		int digit = *cursor->next - '0';
		if (value > (INT64_MAX - digit) / 10)
			return malformed(cursor, "has a 'shape' too large to be true");
		value = value * 10 + digit;
	}
	if (cursor->next == start)
		return malformed(cursor, "has a malformed 'shape'");
	if (cursor->next < cursor->end && *cursor->next == 'L') /* written by Python 2 */
		cursor->next++;
	*dimension = value;
	return TOOL_OK;
}

static enum tool_exit parse_shape(struct cursor *cursor, struct tool_array *array)
{
	if (!take(cursor, '('))
		return malformed(cursor, "has a malformed 'shape'");
	bool comma = false;
	while (!take(cursor, ')')) {
		if (array->dims > 0 && !comma)
			return malformed(cursor, "has a malformed 'shape'");
		if (array->dims == 3)
			return tool_fail(TOOL_FAILED, "%s: has more than 3 dimensions", cursor->name);
		TOOL_TRY(parse_dimension(cursor, &array->shape[array->dims]));
		array->dims++;
		comma = take(cursor, ',');
	}
	if (array->dims == 1 && !comma)
		return malformed(cursor, "has a malformed 'shape'");
	if (array->dims == 0)
		return tool_fail(TOOL_FAILED, "%s: holds a single number, not an array", cursor->name);
	return TOOL_OK;
}

/* The dictionary; padding of spaces and a newline may follow. */
static enum tool_exit parse_dictionary(struct cursor *cursor, struct tool_array *array)
{
	static const struct {
		const char *key;
		enum tool_exit (*parse)(struct cursor *, struct tool_array *);
	} members[] = {{"descr", parse_type}, {"fortran_order", parse_order}, {"shape", parse_shape}};
	enum { MEMBERS = sizeof members / sizeof *members };

	bool seen[MEMBERS] = {false};
	if (!take(cursor, '{'))
		return malformed(cursor, "is not a dictionary");
	for (bool comma = true; !take(cursor, '}');) {
		char key[32];
		if (!comma || !take_string(cursor, key, sizeof key) || !take(cursor, ':'))
			return malformed(cursor, "is not a dictionary");
		int i = 0;
		while (i < MEMBERS && strcmp(key, members[i].key) != 0)
			i++;
		if (i == MEMBERS || seen[i])
			return tool_fail(TOOL_FAILED, "%s: its .npy header has %s '%s'", cursor->name,
							 i == MEMBERS ? "an unknown member" : "twice", key);
		seen[i] = true;
		TOOL_TRY(members[i].parse(cursor, array));
		comma = take(cursor, ',');
	}
	for (int i = 0; i < MEMBERS; i++)
		if (!seen[i])
			return tool_fail(TOOL_FAILED, "%s: its .npy header lacks '%s'", cursor->name, members[i].key);
	skip_space(cursor);
	return cursor->next == cursor->end ? TOOL_OK : malformed(cursor, "has something after the dictionary");
}

/* Bytes of the array's elements; false if it has none or they pass an int64_t. */
static bool data_bytes(const struct tool_array *array, int64_t *bytes)
{
	*bytes = (int64_t)tool_element_bytes(array->element);
	for (int i = 0; i < array->dims; i++) {
		if (array->shape[i] == 0 || *bytes > INT64_MAX / array->shape[i])
			return false;
		*bytes *= array->shape[i];
	}
	return true;
}

bool tool_npy_begins(const void *bytes, size_t size)
{
	return size >= MAGIC_BYTES && memcmp(bytes, magic, MAGIC_BYTES) == 0;
}

enum tool_exit tool_npy_parse(const char *name, const void *bytes, size_t size, struct tool_array *array)
{
	const unsigned char *start = bytes;
	*array = (struct tool_array){0};
	if (!tool_npy_begins(bytes, size))
		return tool_fail(TOOL_FAILED, "%s: is not a .npy file", name);
	if (size < MAGIC_BYTES + 2)
		return tool_fail(TOOL_FAILED, "%s: ends within its .npy header", name);
	int major = start[MAGIC_BYTES], minor = start[MAGIC_BYTES + 1];
	if (major < 1 || major > 3 || minor != 0)
		return tool_fail(TOOL_FAILED, "%s: is of .npy version %d.%d; 1.0, 2.0 and 3.0 are known", name, major, minor);

	size_t length_bytes = major == 1 ? 2 : 4, header_bytes = 0;
	size_t prefix = MAGIC_BYTES + 2 + length_bytes;
	if (size < prefix)
		return tool_fail(TOOL_FAILED, "%s: ends within its .npy header", name);
	for (size_t i = 0; i < length_bytes; i++)
		header_bytes |= (size_t)start[MAGIC_BYTES + 2 + i] << (8 * i);
	if (header_bytes > size - prefix)
		return tool_fail(TOOL_FAILED, "%s: ends within its .npy header", name);

	struct cursor cursor = {name, (const char *)start + prefix, (const char *)start + prefix + header_bytes};
	TOOL_TRY(parse_dictionary(&cursor, array));
	for (int i = 0; i < array->dims; i++)
		if (array->shape[i] == 0)
			return tool_fail(TOOL_FAILED, "%s: holds nothing: dimension %d of its shape is 0", name, i);
	int64_t needed, held = (int64_t)(size - prefix - header_bytes);
	if (!data_bytes(array, &needed))
		return malformed(&cursor, "has a 'shape' too large to be true");
	if (held != needed)
		return tool_fail(TOOL_FAILED, "%s: %s: its header promises %" PRId64 " bytes of data, but it holds %" PRId64,
						 name, held < needed ? "is truncated" : "has something after its array", needed, held);
	array->row_bytes = array->shape[array->dims - 1] * (int64_t)tool_element_bytes(array->element);
	array->data = start + prefix + header_bytes;
	return TOOL_OK;
}

void tool_npy_header(char header[TOOL_NPY_HEADER_BYTES], const char *type, int dims, const int64_t *shape)
{
	enum { PREFIX = MAGIC_BYTES + 4, LENGTH = TOOL_NPY_HEADER_BYTES - PREFIX };
	char text[LENGTH + 1];
	int length = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
	for (int i = 0; i < dims; i++)
		length +=
			snprintf(text + length, sizeof text - (size_t)length, i == 0 ? "%" PRId64 "," : " %" PRId64 ",", shape[i]);
	if (dims > 1) /* (2, 3), but (2,) */
		length--;
	length += snprintf(text + length, sizeof text - (size_t)length, "), }");
	memcpy(header, magic, MAGIC_BYTES);
	memcpy(header + MAGIC_BYTES, (char[]){1, 0, LENGTH, 0}, 4);
	memset(header + PREFIX, ' ', LENGTH);
	memcpy(header + PREFIX, text, (size_t)length);
	header[TOOL_NPY_HEADER_BYTES - 1] = '\n';
}
