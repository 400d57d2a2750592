/* SPDX-License-Identifier: Apache-2.0 */
/* src/dynload.c, on small libraries of its own (dynload/), whose paths come through the environment. */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dynload.h"

#define OVERRIDE "FKMT_LIBRARY"

static const char *first, *second, *lacking;

struct table {
	void *before; /* not a symbol: must stay as it is */
	int (*value)(void);
	const char *(*name)(void);
};

static const struct fkmi_symbol both[] = {
	{"fkmt_value", offsetof(struct table, value), false},
	{"fkmt_name_v2", offsetof(struct table, name), false},
};

static const struct fkmi_symbol name_optional[] = {
	{"fkmt_value", offsetof(struct table, value), false},
	{"fkmt_name_v2", offsetof(struct table, name), true},
};

static struct fkmi_library library_of(const char *const *sonames, const struct fkmi_symbol *symbols)
{
	return (struct fkmi_library){
		.override_variable = OVERRIDE, .sonames = sonames, .symbols = symbols, .symbol_count = 2};
}

static int some_value(void)
{
	return -1;
}

static const char *some_name(void)
{
	return "";
}

static struct table poisoned(void)
{
	return (struct table){.before = &first, .value = some_value, .name = some_name};
}

static void opens(const struct fkmi_library *library, const char *file, int value)
{
	struct table table = poisoned();
	const char *opened = "";
	char reason[1024] = "poison";
	if (!fkmi_dynload(library, &table, &opened, reason, sizeof reason))
		fail_msg("%s", reason);
	assert_string_equal(opened, file);
	assert_string_equal(reason, "");
	assert_ptr_equal(table.before, &first);
	assert_int_equal(table.value(), value);
	if (value != 3)
		assert_string_equal(table.name(), "a name");
	else
		assert_null(table.name);
}

static void fails(const struct fkmi_library *library, char *reason, size_t bytes)
{
	struct table table = poisoned();
	const char *opened = "poison";
	assert_false(fkmi_dynload(library, &table, &opened, reason, bytes));
	assert_null(opened);
	assert_ptr_equal(table.before, &first);
	assert_null(table.value);
	assert_null(table.name);
}

static void says(const char *reason, const char *part)
{
	if (strstr(reason, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", reason, part);
}

/* First in the list: a library once opened stays. */
static void test_prefers_what_is_loaded(void **state)
{
	(void)state;
	const char *const names[] = {first, second, NULL};
	struct fkmi_library library = library_of(names, both);
	library.prefer_loaded = true;
	assert_non_null(dlopen(second, RTLD_NOW | RTLD_LOCAL));
	opens(&library, second, 2);
	assert_null(dlopen(first, RTLD_NOW | RTLD_NOLOAD)); /* the look-up opened nothing */
	library.prefer_loaded = false;
	opens(&library, first, 1);
	library.prefer_loaded = true;
	opens(&library, first, 1);
}

static void test_opens_unloaded_with_preference(void **state)
{
	(void)state;
	const char *const names[] = {"libfkmt-none.so.1", lacking, NULL};
	struct fkmi_library library = library_of(names, name_optional);
	library.prefer_loaded = true;
	assert_null(dlopen(lacking, RTLD_NOW | RTLD_NOLOAD));
	opens(&library, lacking, 3);
}

static void test_takes_the_first_that_opens(void **state)
{
	(void)state;
	const char *const names[] = {"libfkmt-none.so.7", "libfkmt-none.so.6", second, first, NULL};
	struct fkmi_library library = library_of(names, both);
	opens(&library, second, 2);
	library.override_variable = NULL;
	opens(&library, second, 2);
}

static void test_stays_local(void **state)
{
	(void)state;
	assert_null(dlsym(RTLD_DEFAULT, "fkmt_value"));
}

static void test_names_every_file(void **state)
{
	(void)state;
	const char *const names[] = {"libfkmt-none.so.7", "/nowhere/libfkmt-none.so", NULL};
	struct fkmi_library library = library_of(names, both);
	char reason[1024];
	fails(&library, reason, sizeof reason);
	says(reason, "libfkmt-none.so.7: ");
	says(reason, "; /nowhere/libfkmt-none.so: ");
	says(reason, "No such file");
}

static void test_names_every_missing_symbol(void **state)
{
	(void)state;
	const char *const names[] = {"libfkmt-none.so.7", lacking, first, NULL};
	static const struct fkmi_symbol symbols[] = {
		{"fkmt_first_missing", offsetof(struct table, value), false},
		{"fkmt_name_v2", offsetof(struct table, name), false},
	};
	struct fkmi_library library = library_of(names, symbols);
	char reason[1024], expected[1024];
	fails(&library, reason, sizeof reason);
	snprintf(expected, sizeof expected, "%s lacks fkmt_first_missing, fkmt_name_v2", lacking);
	assert_string_equal(reason, expected);

	library.symbols = both; /* the first symbol is there, and must be taken back */
	fails(&library, reason, sizeof reason);
	snprintf(expected, sizeof expected, "%s lacks fkmt_name_v2", lacking);
	assert_string_equal(reason, expected);
}

static void test_optional_symbols(void **state)
{
	(void)state;
	const char *const names[] = {lacking, NULL}, *const full[] = {first, NULL};
	struct fkmi_library library = library_of(names, name_optional);
	opens(&library, lacking, 3);
	library.sonames = full;
	opens(&library, first, 1);
}

static void test_override(void **state)
{
	(void)state;
	const char *const names[] = {first, NULL};
	struct fkmi_library library = library_of(names, both);
	library.prefer_loaded = true;
	char reason[1024];
	setenv(OVERRIDE, second, 1);
	opens(&library, second, 2);
	setenv(OVERRIDE, "/nowhere/override.so", 1);
	fails(&library, reason, sizeof reason); /* no way back to the sonames */
	says(reason, "/nowhere/override.so: ");
	says(reason, OVERRIDE);
	assert_null(strstr(reason, first));
	setenv(OVERRIDE, "", 1);
	opens(&library, first, 1);
	unsetenv(OVERRIDE);
	opens(&library, first, 1);
}

static void test_short_reasons(void **state)
{
	(void)state;
	const char *const names[] = {"libfkmt-none.so.7", NULL};
	struct fkmi_library library = library_of(names, both);
	char reason[16];
	memset(reason, '#', sizeof reason);
	fails(&library, reason, 8);
	assert_string_equal(reason, "libfkmt");
	assert_int_equal(reason[8], '#');
	fails(&library, NULL, 0);
	struct table table;
	const char *const good[] = {first, NULL};
	library.sonames = good;
	assert_true(fkmi_dynload(&library, &table, NULL, NULL, 0));
}

static void *load_many(void *failures)
{
	const char *const names[] = {"libfkmt-none.so.7", first, NULL};
	const char *const none[] = {"libfkmt-none.so.8", NULL};
	struct fkmi_library library = library_of(names, both), missing = library_of(none, both);
	for (int i = 0; i < 200; i++) {
		struct table table;
		char reason[256];
		if (!fkmi_dynload(&library, &table, NULL, reason, sizeof reason) || table.value() != 1)
			++*(int *)failures;
		if (fkmi_dynload(&missing, &table, NULL, reason, sizeof reason) ||
			strncmp(reason, "libfkmt-none.so.8: ", 19) != 0)
			++*(int *)failures;
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	enum { THREADS = 4 };
	pthread_t threads[THREADS];
	int failures[THREADS] = {0};
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, load_many, &failures[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(failures[i], 0);
	}
}

int main(void)
{
	first = getenv("FKMT_FIRST");
	second = getenv("FKMT_SECOND");
	lacking = getenv("FKMT_LACKING");
	if (first == NULL || second == NULL || lacking == NULL) {
		fputs("FKMT_FIRST, FKMT_SECOND and FKMT_LACKING name the libraries of tests/unit/dynload\n", stderr);
		return 1;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefers_what_is_loaded),
		cmocka_unit_test(test_opens_unloaded_with_preference),
		cmocka_unit_test(test_takes_the_first_that_opens),
		cmocka_unit_test(test_stays_local),
		cmocka_unit_test(test_names_every_file),
		cmocka_unit_test(test_names_every_missing_symbol),
		cmocka_unit_test(test_optional_symbols),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_short_reasons),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
