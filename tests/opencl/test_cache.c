/* SPDX-License-Identifier: Apache-2.0 */
/* Built programs between processes, which are contexts here: what is taken, and that nothing wrong is believed. */
#include "common.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROGRAMS = 2 }; /* of a fit: the steps and a tile */

static char root[64], directory[128];

/* ---- files ---- */

static bool is_ours(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Does something to every file of the cache; how many there are. */
static int each_file(void (*act)(const char *path))
{
	int count = 0;
	DIR *open = opendir(directory);
	for (struct dirent *entry; open != NULL && (entry = readdir(open)) != NULL;) {
		char path[512];
		snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
		if (!is_ours(entry))
			continue;
		count++;
		if (act != NULL)
			act(path);
	}
	if (open != NULL)
		closedir(open);
	return count;
}

static void change(const char *path, long from_end, int whence)
{
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	fseek(file, from_end, whence);
	int c = fgetc(file);
	fseek(file, from_end, whence);
	fputc(c ^ 1, file);
	fclose(file);
}

static void change_first(const char *path)
{
	change(path, 0, SEEK_SET);
}

static void change_key(const char *path)
{
	change(path, 1000, SEEK_SET);
}

static void change_last(const char *path)
{
	change(path, -1, SEEK_END);
}

static void lengthen(const char *path)
{
	FILE *file = fopen(path, "ab");
	assert_non_null(file);
	fputc(0, file);
	fclose(file);
}

static void shorten(const char *path)
{
	struct stat status;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(truncate(path, status.st_size - 1), 0);
}

static void cut(const char *path)
{
	assert_int_equal(truncate(path, 10), 0);
}

static void empty(const char *path)
{
	assert_int_equal(truncate(path, 0), 0);
}

static void make_pipe(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void make_directory(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void discard(const char *path)
{
	if (unlink(path) != 0)
		assert_int_equal(rmdir(path), 0);
}

/* ---- a process ---- */

static void expect_programs(const struct fake_opencl_setup *setup, int32_t device, int compiled, int loaded)
{
	struct fkm_context *context;
	fake_opencl_reset(setup);
	expect(create(device, &context), FKM_OK);
	expect(fit(context, PLAIN), FKM_OK);
	fkm_context_destroy(context);
	assert_int_equal(fake_opencl_report().compiled, compiled);
	assert_int_equal(fake_opencl_report().loaded, loaded);
	expect_clean();
}

static int begin(void **state)
{
	(void)state;
	each_file(discard);
	rmdir(directory);
	setenv("XDG_CACHE_HOME", root, 1);
	unsetenv("FKM_OPENCL_CACHE");
	return 0;
}

/* ---- tests ---- */

static void test_hit(void **state)
{
	(void)state;
	struct stat status;
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	assert_int_equal(each_file(NULL), PROGRAMS);
	assert_int_equal(stat(directory, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	expect_programs(&two_devices, 0, 0, PROGRAMS);
	assert_int_equal(each_file(NULL), PROGRAMS);
}

/* Another device, another driver: other programs, beside those. */
static void test_key(void **state)
{
	(void)state;
	struct fake_opencl_setup setup = two_devices;
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	expect_programs(&two_devices, 1, PROGRAMS, 0);
	setup.device[1].driver = "1.1";
	expect_programs(&setup, 0, PROGRAMS, 0);
	setup.device[1].name = "Other GPU";
	expect_programs(&setup, 0, PROGRAMS, 0);
	assert_int_equal(each_file(NULL), 4 * PROGRAMS);
	expect_programs(&two_devices, 0, 0, PROGRAMS);
	expect_programs(&two_devices, 1, 0, PROGRAMS);
	expect_programs(&setup, 0, 0, PROGRAMS);
}

/* Of the same device, built with other options: the program of the steps, which says whether warps meet. */
static void test_options(void **state)
{
	(void)state;
	struct fake_opencl_setup setup = two_devices;
	setup.device[1].vendor = "NVIDIA";
	setup.device[1].warp = 32;
	setup.device[1].capability = 6;
	expect_programs(&setup, 0, PROGRAMS, 0);
	setup.device[1].capability = 9;
	expect_programs(&setup, 0, 1, PROGRAMS - 1);
	expect_programs(&setup, 0, 0, PROGRAMS);
}

static void test_corrupt(void **state)
{
	(void)state;
	void (*const acts[])(const char *) = {change_first, change_key, change_last, lengthen, shorten,
										  cut,          empty,      make_pipe,   discard};
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
		assert_int_equal(each_file(acts[i]), PROGRAMS);
		expect_programs(&two_devices, 0, PROGRAMS, 0);
		expect_programs(&two_devices, 0, 0, PROGRAMS); /* and it is whole again */
	}
	assert_int_equal(each_file(make_directory), PROGRAMS);
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	assert_int_equal(each_file(NULL), PROGRAMS); /* nothing that was begun is left */
}

static void test_refused(void **state)
{
	(void)state;
	struct fake_opencl_setup setup = two_devices;
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	setup.refuses_binaries = true;
	expect_programs(&setup, 0, PROGRAMS, 0);
	expect_programs(&two_devices, 0, 0, PROGRAMS);
}

static void test_unwritable(void **state)
{
	(void)state;
	setenv("XDG_CACHE_HOME", "/dev/null", 1);
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	setenv("XDG_CACHE_HOME", "/dev/full/below", 1);
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	assert_int_equal(each_file(NULL), 0);
}

static void test_places(void **state)
{
	(void)state;
	char *home = strdup(getenv("HOME") != NULL ? getenv("HOME") : "");
	char below[128];
	setenv("FKM_OPENCL_CACHE", "0", 1);
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	assert_int_equal(access(directory, F_OK), -1);
	unsetenv("FKM_OPENCL_CACHE");

	/* Neither a place that depends on the current directory, nor none. */
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", "", 1);
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	assert_int_equal(access("relative", F_OK), -1);

	setenv("HOME", root, 1);
	expect_programs(&two_devices, 0, PROGRAMS, 0);
	expect_programs(&two_devices, 0, 0, PROGRAMS);
	setenv("HOME", home, 1);
	free(home);
	snprintf(below, sizeof below, "%s/.cache/flashkmeans", root);
	strcpy(directory, below);
	assert_int_equal(each_file(discard), PROGRAMS);
	assert_int_equal(rmdir(directory), 0);
	snprintf(below, sizeof below, "%s/.cache", root);
	assert_int_equal(rmdir(below), 0);
	snprintf(directory, sizeof directory, "%s/flashkmeans", root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_hit, begin),     cmocka_unit_test_setup(test_key, begin),
		cmocka_unit_test_setup(test_options, begin), cmocka_unit_test_setup(test_corrupt, begin),
		cmocka_unit_test_setup(test_refused, begin), cmocka_unit_test_setup(test_unwritable, begin),
		cmocka_unit_test_setup(test_places, begin),
	};
	snprintf(root, sizeof root, "/tmp/fkm-cache-XXXXXX");
	if (mkdtemp(root) == NULL)
		return 1;
	snprintf(directory, sizeof directory, "%s/flashkmeans", root);
	const int failed = cmocka_run_group_tests_name("opencl cache", tests, NULL, NULL);
	begin(NULL);
	rmdir(root);
	return failed;
}
