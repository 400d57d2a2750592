/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: when they are made, what they hold, and that bytes which are not one are refused. That a resumed fit gives
 * the bits of a whole one is the conformance suite's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint.h"
#include "conformance_cases.h"
#include "outputs.h"

enum { MOST_KEPT = 64 };

static struct fkm_context *context;

static const struct spec two_problems = {
	.b = 2,
	.n = 200,
	.k = 9,
	.d = 3,
	.dtype = FKM_F32,
	.data = DATA_GAUSSIAN,
	.init = FKM_INIT_RANDOM,
	.centroids_dtype = FKM_F64,
	.seed = 5,
};

/* Every checkpoint of a fit. */
struct collection {
	int32_t count;
	void *bytes[MOST_KEPT];
	size_t sizes[MOST_KEPT];
	int32_t end_at; /* ends the fit with this one; 0: never */
};

static int collect(void *user, const void *bytes, size_t size)
{
	struct collection *all = user;

	assert_int_equal((uintptr_t)bytes % 8, 0);
	assert_true(all->count < MOST_KEPT);
	all->bytes[all->count] = malloc(size);
	assert_non_null(all->bytes[all->count]);
	memcpy(all->bytes[all->count], bytes, size);
	all->sizes[all->count] = size;
	return ++all->count == all->end_at;
}

static void collection_free(struct collection *all)
{
	for (int32_t i = 0; i < all->count; i++)
		free(all->bytes[i]);
	*all = (struct collection){0};
}

struct run {
	struct data data;
	struct outputs outputs;
	struct fkm_fit_params params;
};

static void run_make(struct run *run)
{
	const struct spec *spec = &two_problems;
	data_make(spec, &run->data);
	outputs_make(&run->outputs, spec->b, spec->n, spec->k, spec->d, spec->centroids_dtype);
	fkm_fit_params_init(&run->params);
	run->params.clusters = spec->k;
	run->params.init = spec->init;
	run->params.n_init = 3;
	run->params.tol = 0;
	run->params.seed = 11;
}

static void run_free(struct run *run)
{
	outputs_free(&run->outputs);
	data_free(&run->data);
}

static enum fkm_status fit(struct run *run)
{
	return fkm_fit(context, &run->data.points, &run->params, &run->outputs.result);
}

static void keep_all(struct run *run, struct collection *all, int32_t interval)
{
	run->params.checkpoint = collect;
	run->params.checkpoint_user = all;
	run->params.checkpoint_interval = interval;
}

static void resume(struct run *run, const void *bytes, size_t size)
{
	run->params.resume = bytes;
	run->params.resume_bytes = (int64_t)size;
}

static void expect_ok(enum fkm_status status)
{
	if (status != FKM_OK)
		fail_msg("%s: %s", fkm_status_name(status), fkm_error_message());
}

/* ---- making them ---- */

/* From each checkpoint on, a fit gives the results and the checkpoints of the whole one. */
static void test_from_each(void **state)
{
	struct run whole, other;
	struct collection all = {0}, later = {0};

	(void)state;
	run_make(&whole);
	run_make(&other);
	keep_all(&whole, &all, 1);
	expect_ok(fit(&whole));
	assert_true(all.count > 10);
	for (int32_t i = 0; i < all.count; i++) {
		keep_all(&other, &later, 1);
		resume(&other, all.bytes[i], all.sizes[i]);
		outputs_poison(&other.outputs);
		expect_ok(fit(&other));
		assert_int_equal(later.count, all.count - i - 1);
		for (int32_t j = 0; j < later.count; j++) {
			assert_int_equal(later.sizes[j], all.sizes[i + 1 + j]);
			assert_memory_equal(later.bytes[j], all.bytes[i + 1 + j], later.sizes[j]);
		}
		for (int output = 0; output < OUTPUTS; output++)
			assert_memory_equal(other.outputs.blocks[output].data, whole.outputs.blocks[output].data,
								whole.outputs.blocks[output].bytes);
		collection_free(&later);
	}
	collection_free(&all);
	run_free(&whole);
	run_free(&other);
}

/* Every fourth iteration, whatever run it is of. */
static void test_interval(void **state)
{
	struct run run;
	struct collection each = {0}, fourth = {0};

	(void)state;
	run_make(&run);
	keep_all(&run, &each, 1);
	expect_ok(fit(&run));
	keep_all(&run, &fourth, 4);
	expect_ok(fit(&run));
	assert_int_equal(fourth.count, each.count / 4);
	for (int32_t i = 0; i < fourth.count; i++) {
		assert_int_equal(fourth.sizes[i], each.sizes[4 * i + 3]);
		assert_memory_equal(fourth.bytes[i], each.bytes[4 * i + 3], fourth.sizes[i]);
	}
	collection_free(&each);
	collection_free(&fourth);
	run_free(&run);
}

static int cancel_third(void *user, const struct fkm_progress *progress)
{
	(void)progress;
	return ++*(int *)user == 3;
}

/* One more is made when progress ends the fit; it ends the fit itself; both leave valid results. */
static void test_ends(void **state)
{
	struct run run;
	struct collection all = {0}, at_end = {0};
	int calls = 0;

	(void)state;
	run_make(&run);
	all.end_at = 3;
	keep_all(&run, &all, 1);
	assert_int_equal(fit(&run), FKM_CANCELLED);
	assert_int_equal(all.count, 3);
	assert_int_equal(run.outputs.result.reason[0], FKM_REASON_CANCELLED);
	assert_int_equal(run.outputs.result.n_iter[0], 3);
	keep_all(&run, &at_end, 1000);
	run.params.progress = cancel_third;
	run.params.progress_user = &calls;
	assert_int_equal(fit(&run), FKM_CANCELLED);
	assert_int_equal(at_end.count, 1);
	assert_int_equal(at_end.sizes[0], all.sizes[2]);
	assert_memory_equal(at_end.bytes[0], all.bytes[2], all.sizes[2]);
	collection_free(&all);
	collection_free(&at_end);
	run_free(&run);
}

/* ---- refusing ---- */

static void refused(struct run *run, const void *bytes, size_t size, const char *what)
{
	resume(run, bytes, size);
	const enum fkm_status status = fit(run);
	if (status == FKM_OK)
		fail_msg("%zu bytes were taken for a checkpoint; '%s' was to be said", size, what);
	if (strncmp(fkm_error_message(), "resume: ", 8) != 0 || strstr(fkm_error_message(), what) == NULL)
		fail_msg("no '%s' in: %s", what, fkm_error_message());
}

/* A copy of the last of a fit's checkpoints, and the fit. */
static void make_one(struct run *run, struct collection *all)
{
	run_make(run);
	keep_all(run, all, 1);
	expect_ok(fit(run));
	run->params.checkpoint = NULL;
}

static void test_damage(void **state)
{
	struct run run;
	struct collection all = {0};

	(void)state;
	make_one(&run, &all);
	unsigned char *bytes = all.bytes[all.count - 1];
	const size_t size = all.sizes[all.count - 1];
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= 0x10;
		refused(&run, bytes, size, "");
		bytes[i] ^= 0x10;
	}
	for (size_t shorter = 0; shorter < size; shorter += shorter < 300 ? 1 : 97)
		refused(&run, bytes, shorter, "");
	refused(&run, "fkm-fat\0........", 16, "not a checkpoint");
	refused(&run, bytes, 0, "0 bytes are not a checkpoint");
	refused(&run, bytes, 8, "has 8 bytes where it promises");
	refused(&run, bytes, size - 8, "bytes where it promises");
	bytes[size - 1] ^= 1;
	refused(&run, bytes, size, "checksum");
	bytes[size - 1] ^= 1;
	bytes[8] = 9;
	refused(&run, bytes, size, "format is 9; this library reads 1");
	bytes[8] = 1;
	resume(&run, bytes, size);
	expect_ok(fit(&run));
	collection_free(&all);
	run_free(&run);
}

static void test_other_fits(void **state)
{
	struct run run;
	struct collection all = {0};

	(void)state;
	make_one(&run, &all);
	const void *bytes = all.bytes[2];
	const size_t size = all.sizes[2];
	const struct fkm_fit_params params = run.params;
	run.params.seed = 12;
	refused(&run, bytes, size, "checkpoint's seed is 11, this fit's 12");
	run.params = params;
	run.params.tol = 0.5;
	refused(&run, bytes, size, "checkpoint's tol is 0, this fit's 0.5");
	run.params = params;
	run.params.clusters = 8;
	refused(&run, bytes, size, "checkpoint's clusters is 9, this fit's 8");
	run.params = params;
	run.params.max_iter = 299;
	refused(&run, bytes, size, "max_iter");
	run.params = params;
	run.params.empty = FKM_EMPTY_KEEP;
	refused(&run, bytes, size, "empty");
	run.params = params;
	((float *)run.data.blocks[0])[0] = 1e3f;
	refused(&run, bytes, size, "other points");
	collection_free(&all);
	run_free(&run);
}

/* Written by somebody who can compute a checksum. */
static void test_forged(void **state)
{
	struct run run;
	struct collection all = {0};

	(void)state;
	make_one(&run, &all);
	uint64_t *words = all.bytes[all.count - 1];
	const size_t size = all.sizes[all.count - 1];
	const struct fkmi_problem p = {.b = two_problems.b, .n = two_problems.n, .k = two_problems.k, .d = two_problems.d};
	struct fkmi_settings settings;
	memcpy(&settings, words + 5, sizeof settings);
	struct fkmi_checkpoint parts;
	assert_int_equal(fkmi_checkpoint_read(words, (int64_t)size, &p, &settings, &parts), FKM_OK);
	assert_int_equal(parts.run, 2);

	struct {
		void *place;
		uint64_t value;
		size_t bytes;
		const char *what;
	} forgeries[] = {
		{&words[3], 3, 8, "run"},
		{&words[3], UINT64_MAX, 8, "run"},
		{&words[3], 0, 8, "size"},
		{&words[4], 0, 8, "iteration"},
		{&words[4], 301, 8, "iteration"},
		{parts.n_iter + 1, (uint64_t)-1, 4, "a value"},
		{parts.n_iter + 1, 301, 4, "a value"},
		{parts.reason, 77, 4, "a value"},
		{parts.reason, FKM_REASON_CANCELLED, 4, "a value"},
		{parts.centroids + 53, 0x7ff8000000000000, 8, "a value"},
		{parts.best_reason, 0, 4, "best run"},
		{parts.best_centroids, 0xfff0000000000000, 8, "best run"},
	};
	for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++) {
		uint64_t before;
		memcpy(&before, forgeries[i].place, forgeries[i].bytes);
		memcpy(forgeries[i].place, &forgeries[i].value, forgeries[i].bytes);
		fkmi_checkpoint_seal(words);
		refused(&run, words, size, forgeries[i].what);
		memcpy(forgeries[i].place, &before, forgeries[i].bytes);
	}
	fkmi_checkpoint_seal(words);
	expect_ok(fit(&run));
	collection_free(&all);
	run_free(&run);
}

static void test_arguments(void **state)
{
	struct run run;
	uint64_t words[4] = {0};

	(void)state;
	run_make(&run);
	assert_int_equal(run.params.checkpoint_interval, 10);
	run.params.checkpoint_interval = 0;
	assert_int_equal(fit(&run), FKM_ERROR_INVALID_ARGUMENT);
	assert_non_null(strstr(fkm_error_message(), "checkpoint_interval is 0"));
	run.params.checkpoint_interval = 1;
	resume(&run, (char *)words + 4, 8);
	assert_int_equal(fit(&run), FKM_ERROR_INVALID_ARGUMENT);
	assert_non_null(strstr(fkm_error_message(), "not aligned to 8 bytes"));
	resume(&run, words, (size_t)-1);
	assert_int_equal(fit(&run), FKM_ERROR_INVALID_ARGUMENT);
	assert_non_null(strstr(fkm_error_message(), "resume_bytes is -1"));
	run_free(&run);
}

static int set_up(void **state)
{
	struct fkm_context_params params;
	(void)state;
	fkm_context_params_init(&params);
	params.backend = "cpu";
	params.threads = 2;
	return fkm_context_create(&params, &context) != FKM_OK;
}

static int tear_down(void **state)
{
	(void)state;
	fkm_context_destroy(context);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_each), cmocka_unit_test(test_interval),   cmocka_unit_test(test_ends),
		cmocka_unit_test(test_damage),    cmocka_unit_test(test_other_fits), cmocka_unit_test(test_forged),
		cmocka_unit_test(test_arguments),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
