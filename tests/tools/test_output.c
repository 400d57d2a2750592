/* SPDX-License-Identifier: Apache-2.0 */
/* Output files: whole or not at all. And the text of numbers in JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "json.h"
#include "output.h"

static char directory[] = "/tmp/fkm-test-XXXXXX";

static int enter_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
	(void)state;
	return chdir("/") == 0 && rmdir(directory) == 0 ? 0 : -1; /* fails if a test left a file */
}

static int files_here(void)
{
	DIR *open = opendir(".");
	assert_non_null(open);
	int count = -2; /* . and .. */
	while (readdir(open))
		count++;
	closedir(open);
	return count;
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	if (!file) {
		fail_msg("%s cannot be opened", path);
		return;
	}
	fputs(text, file);
	fclose(file);
}

static void assert_text(const char *path, const char *text)
{
	char found[64] = "";
	FILE *file = fopen(path, "r");
	if (!file) {
		fail_msg("%s cannot be opened", path);
		return;
	}
	size_t length = fread(found, 1, sizeof found - 1, file);
	fclose(file);
	found[length] = 0;
	assert_string_equal(found, text);
}

static void replaced_at_once(void **state)
{
	(void)state;
	struct tool_output output;
	write_text("file", "old");
	assert_int_equal(tool_output_open("file", &output), TOOL_OK);
	assert_int_equal(files_here(), 2);
	assert_int_equal(tool_output_write(&output, "new", 3), TOOL_OK);
	assert_int_equal(tool_output_sync(&output), TOOL_OK);
	assert_text("file", "old");
	assert_int_equal(tool_output_commit(&output), TOOL_OK);
	assert_text("file", "new");
	assert_int_equal(files_here(), 1);
	tool_output_close(&output);
	unlink("file");
}

static void given_up(void **state)
{
	(void)state;
	struct tool_output output;
	assert_int_equal(tool_output_open("file", &output), TOOL_OK);
	assert_int_equal(tool_output_write(&output, "new", 3), TOOL_OK);
	tool_output_close(&output);
	tool_output_close(&output);
	assert_int_equal(files_here(), 0);
}

static void not_to_be_opened(void **state)
{
	(void)state;
	static const char *const names[] = {".", "missing/file", "missing/", "/proc/none/file"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct tool_output output;
		assert_int_equal(tool_output_open(names[i], &output), TOOL_FAILED);
		assert_null(output.name);
		assert_memory_equal(tool_failure(), names[i], strlen(names[i]));
	}
	assert_int_equal(files_here(), 0);
}

static void resolved(void **state)
{
	(void)state;
	char here[4096], expected[4200];
	assert_non_null(getcwd(here, sizeof here));
	snprintf(expected, sizeof expected, "%s/file", here);
	static const char *const names[] = {"file", "./file", "../fkm-test/../x"};
	for (int i = 0; i < 2; i++) {
		char *found = tool_resolve(names[i]);
		assert_string_equal(found, expected);
		free(found);
	}
	assert_null(tool_resolve(names[2]));
	write_text("file", "");
	assert_int_equal(symlink("file", "link"), 0);
	char *found = tool_resolve("link");
	assert_string_equal(found, expected);
	free(found);
	unlink("link");
	unlink("file");
}

/* Numbers read back to the bit; what is none is null. */
static void json_numbers(void **state)
{
	(void)state;
	static const double values[] = {0, 1, -1, 0.1, 1.0 / 3, 1e300, DBL_MAX, DBL_MIN, 5e-324, 123456789012345678.0};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct tool_json json = {0};
		tool_json_number(&json, NULL, values[i]);
		assert_true(strtod(json.text, NULL) == values[i]);
		free(json.text);
	}
	struct tool_json json = {0};
	tool_json_open(&json, NULL, '[');
	tool_json_number(&json, NULL, NAN);
	tool_json_number(&json, NULL, -INFINITY);
	tool_json_number(&json, NULL, 0.1);
	tool_json_close(&json, ']');
	assert_string_equal(json.text, "[null, null, 0.1]\n");
	free(json.text);
}

static void json_strings(void **state)
{
	(void)state;
	static const struct {
		const char *value, *text;
	} cases[] = {
		{"plain", "\"plain\""},
		{"\"\\\n\x7f", "\"\\\"\\\\\\u000a\\u007f\""},
		{"\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
		{"\xff\xc3", "\"\\ufffd\\ufffd\""},
		{"\xc0\xaf", "\"\\ufffd\\ufffd\""},
		{"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
		{NULL, "null"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tool_json json = {0};
		tool_json_string(&json, NULL, cases[i].value);
		assert_string_equal(json.text, cases[i].text);
		free(json.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(replaced_at_once), cmocka_unit_test(given_up),
									   cmocka_unit_test(not_to_be_opened), cmocka_unit_test(resolved),
									   cmocka_unit_test(json_numbers),     cmocka_unit_test(json_strings)};
	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
