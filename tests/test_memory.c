/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th host allocation or thread creation fails, for every n: linked with --wrap, see meson.build. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conformance_cases.h"
#include "flashkmeans/flashkmeans.h"
#include "outputs.h"

static atomic_llong attempts, fail_at; /* counted from 1 while fail_at is not 0 */

static bool fails(void)
{
	return fail_at && ++attempts == fail_at;
}

/* What the linker makes of the library's calls. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
	return fails() ? 12 : __real_posix_memalign(memory, alignment, size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
	return fails() ? 11 : __real_pthread_create(thread, attributes, start, argument);
}

/* Runs call until it has no allocation left to fail; returns how many failed. */
static int64_t sweep(enum fkm_status (*call)(void *), void *argument)
{
	for (int64_t n = 1;; n++) {
		attempts = 0;
		fail_at = n;
		enum fkm_status status = call(argument);
		bool reached = attempts >= n;
		fail_at = 0;
		if (!reached) {
			assert_int_equal(status, FKM_OK);
			return n - 1;
		}
		if (status != FKM_OK && status != FKM_ERROR_OUT_OF_MEMORY)
			fail_msg("allocation %d: %s: %s", (int)n, fkm_status_name(status), fkm_error_message());
		if (status != FKM_OK)
			assert_true(strlen(fkm_error_message()) > 0);
	}
}

static enum fkm_status create_and_destroy(void *argument)
{
	struct fkm_context_params params;
	struct fkm_context *context;

	(void)argument;
	fkm_context_params_init(&params);
	params.backend = "cpu";
	params.threads = 3;
	enum fkm_status status = fkm_context_create(&params, &context);
	assert_true((status == FKM_OK) == (context != NULL));
	fkm_context_destroy(context);
	return status;
}

static const int32_t devices[] = {0, 0};

static enum fkm_status create_and_destroy_several(void *argument)
{
	struct fkm_context_params params;
	struct fkm_context *context;

	(void)argument;
	fkm_context_params_init(&params);
	params.backend = "cpu";
	params.threads = 1;
	params.devices = devices;
	params.device_count = 2;
	enum fkm_status status = fkm_context_create(&params, &context);
	assert_true((status == FKM_OK) == (context != NULL));
	fkm_context_destroy(context);
	return status;
}

static void test_context(void **state)
{
	(void)state;
	assert_true(sweep(create_and_destroy_several, NULL) >= 8); /* each context, device and exchange, and the whole */
	assert_true(sweep(create_and_destroy, NULL) >= 3);         /* the context, the device, two threads */
}

static enum fkm_status list(void *argument)
{
	int32_t count;

	(void)argument;
	return fkm_device_list(NULL, 0, &count);
}

static void test_device_list(void **state)
{
	(void)state;
	sweep(list, NULL);
}

struct work {
	struct fkm_context *context;
	struct data data;
	struct outputs outputs;
	struct fkm_fit_params params;
	int32_t labels[40];
	uint64_t kept[256]; /* a checkpoint */
	size_t kept_bytes;
};

static enum fkm_status fit(void *argument)
{
	struct work *work = argument;

	return fkm_fit(work->context, &work->data.points, &work->params, &work->outputs.result);
}

static int keep(void *user, const void *bytes, size_t size)
{
	struct work *work = user;

	assert_true(size <= sizeof(work->kept));
	memcpy(work->kept, bytes, size);
	work->kept_bytes = size;
	return 0;
}

/* A fit that keeps its checkpoints, and one that continues from the last. */
static enum fkm_status fit_twice(void *argument)
{
	struct work *work = argument;
	struct fkm_fit_params params = work->params;

	params.checkpoint = keep;
	params.checkpoint_user = work;
	params.checkpoint_interval = 1;
	enum fkm_status status = fkm_fit(work->context, &work->data.points, &params, &work->outputs.result);
	if (status != FKM_OK)
		return status;
	params.resume = work->kept;
	params.resume_bytes = (int64_t)work->kept_bytes;
	return fkm_fit(work->context, &work->data.points, &params, &work->outputs.result);
}

static enum fkm_status predict(void *argument)
{
	struct work *work = argument;

	return fkm_predict(work->context, &work->data.points, &work->data.start, NULL, &work->outputs.result);
}

static enum fkm_status update(void *argument)
{
	struct work *work = argument;

	return fkm_update(work->context, &work->data.points, work->labels, &work->data.start, NULL, &work->outputs.result);
}

static enum fkm_status inertia(void *argument)
{
	struct work *work = argument;
	double total;

	return fkm_inertia(work->context, &work->data.points, &work->data.start, work->labels, NULL, &total);
}

static enum fkm_status describe(void *argument)
{
	struct work *work = argument;
	char text[64];

	return fkm_plan_describe(work->context, &work->data.points, &work->params, text, sizeof(text), NULL);
}

/* On a context of that many devices; 0: of one, as usual. */
static void sweep_calls(int32_t device_count)
{
	static const struct spec spec = {.b = 1,
									 .n = 40,
									 .k = 4,
									 .d = 3,
									 .dtype = FKM_F32,
									 .init = FKM_INIT_CENTROIDS,
									 .start_dtype = FKM_F64,
									 .seed = 3};
	enum fkm_status (*const calls[])(void *) = {fit, fit_twice, predict, update, inertia, describe};
	struct work work = {0};
	struct fkm_context_params params;
	int32_t labels[40];

	fkm_context_params_init(&params);
	params.backend = "cpu";
	params.threads = 2;
	params.devices = device_count > 0 ? devices : NULL;
	params.device_count = device_count;
	assert_int_equal(fkm_context_create(&params, &work.context), FKM_OK);
	data_make(&spec, &work.data);
	outputs_make(&work.outputs, 1, spec.n, spec.k, spec.d, FKM_F64);
	fkm_fit_params_init(&work.params);
	work.params.clusters = spec.k;
	work.params.init = FKM_INIT_CENTROIDS;
	work.params.init_centroids = work.data.start;
	assert_int_equal(fit(&work), FKM_OK);
	memcpy(labels, work.outputs.result.labels, sizeof(labels));
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		int64_t failed = sweep(calls[i], &work);
		if (calls[i] != describe)
			assert_true(failed >= 1); /* the workspace at least */
		assert_null(outputs_overrun(&work.outputs));
		assert_null(data_changed(&work.data));
	}
	outputs_poison(&work.outputs);
	assert_int_equal(fit(&work), FKM_OK);
	assert_memory_equal(labels, work.outputs.result.labels, sizeof(labels));
	outputs_free(&work.outputs);
	data_free(&work.data);
	fkm_context_destroy(work.context);
}

static void test_calls(void **state)
{
	(void)state;
	sweep_calls(0);
	sweep_calls(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_device_list),
		cmocka_unit_test(test_calls),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
