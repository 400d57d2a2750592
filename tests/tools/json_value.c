/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_value FILE [KEY] checks that the file is one JSON object and nothing else, and prints the text of the value that
 * its top level has for KEY. Exits with 1 if the file is no JSON, with 2 if the key is missing or there twice.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *next;
static const char *wanted, *found, *found_end;
static int matches;

static bool value(int depth);

static void space(void)
{
	while (*next == ' ' || *next == '\n' || *next == '\t' || *next == '\r')
		next++;
}

static bool take(const char *text)
{
	space();
	size_t length = strlen(text);
	if (strncmp(next, text, length) != 0)
		return false;
	next += length;
	return true;
}

static bool string(void)
{
	if (!take("\""))
		return false;
	for (; *next != '"'; next++) {
		if ((unsigned char)*next < ' ')
			return false;
		if (*next != '\\')
			continue;
		next++;
		if (*next == 'u') {
			for (int i = 0; i < 4; i++)
				if (!isxdigit((unsigned char)*++next))
					return false;
		} else if (!*next || !strchr("\"\\/bfnrt", *next)) {
			return false;
		}
	}
	next++;
	return true;
}

static bool digits(void)
{
	if (!isdigit((unsigned char)*next))
		return false;
	while (isdigit((unsigned char)*next))
		next++;
	return true;
}

static bool number(void)
{
	if (*next == '-')
		next++;
	bool leading_zero = *next == '0' && isdigit((unsigned char)next[1]);
	if (leading_zero || !digits())
		return false;
	if (*next == '.') {
		next++;
		if (!digits())
			return false;
	}
	if (*next == 'e' || *next == 'E') {
		next++;
		if (*next == '+' || *next == '-')
			next++;
		if (!digits())
			return false;
	}
	return true;
}

static bool member(int depth)
{
	space();
	const char *key = next + 1;
	if (!string())
		return false;
	size_t length = (size_t)(next - 1 - key);
	if (!take(":"))
		return false;
	space();
	const char *start = next;
	if (!value(depth))
		return false;
	if (depth == 1 && wanted && strlen(wanted) == length && strncmp(wanted, key, length) == 0) {
		matches++;
		found = start;
		found_end = next;
	}
	return true;
}

static bool value(int depth)
{
	if (take("{")) {
		if (take("}"))
			return true;
		do {
			if (!member(depth + 1))
				return false;
		} while (take(","));
		return take("}");
	}
	if (take("[")) {
		if (take("]"))
			return true;
		do {
			if (!value(depth + 1))
				return false;
		} while (take(","));
		return take("]");
	}
	if (*next == '"')
		return string();
	return take("true") || take("false") || take("null") || number();
}

int main(int argc, char **argv)
{
	static char text[1 << 20];
	FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
	if (!file)
		return 1;
	size_t length = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	next = text;
	wanted = argc > 2 ? argv[2] : NULL;
	if (strlen(text) != length || !take("{"))
		return 1;
	next = text;
	if (!value(0))
		return 1;
	space();
	if (*next)
		return 1;
	if (wanted && matches != 1)
		return 2;
	if (wanted)
		printf("%.*s\n", (int)(found_end - found), found);
	return 0;
}
