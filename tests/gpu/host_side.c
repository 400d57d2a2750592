/* SPDX-License-Identifier: Apache-2.0 */
#include "host_side.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "context.h"
#include "tests/unit/nccl/library.h"

const struct fake_cuda_setup hopper = {.devices = 2, .version = 13000, .major = 9, .memory_bytes = (size_t)1 << 30};

void expect(enum fkm_status status, enum fkm_status expected)
{
	if (status != expected)
		fail_msg("%s (%s) instead of %s", fkm_status_name(status), fkm_error_message(), fkm_status_name(expected));
}

void expect_message(const char *part)
{
	if (strstr(fkm_error_message(), part) == NULL)
		fail_msg("\"%s\" is not in: %s", part, fkm_error_message());
}

void expect_no_misuse(void)
{
	if (fake_cuda_report().misuses > 0)
		fail_msg("misuse of the driver: %s", fake_cuda_report().misuse);
}

void expect_nothing_alive(void)
{
	host_side.release_contexts();
	const struct fake_cuda_report report = fake_cuda_report();
	assert_int_equal(report.contexts, 0);
	assert_int_equal(report.streams, 0);
	assert_int_equal(report.modules, 0);
	assert_int_equal(report.blocks, 0);
	assert_int_equal(report.events, 0);
	assert_int_equal(report.host_blocks, 0);
	assert_int_equal(report.abandoned, 0);
}

enum fkm_status create(struct fkm_context **context)
{
	struct fkm_context_params params;
	fkm_context_params_init(&params);
	params.backend = host_side.backend->name;
	params.device = 0;
	return fkm_context_create(&params, context);
}

enum fkm_status open_device(const struct fkmi_open_params *params, struct fkmi_runtime_gpu **gpu)
{
	struct fkmi_device *device;
	enum fkm_status status = host_side.backend->open(params, &device);
	*gpu = (struct fkmi_runtime_gpu *)device;
	return status;
}

void test_arguments(void **state)
{
	(void)state;
	fake_cuda_reset(&hopper);
	struct fkmi_runtime_gpu *gpu;
	int other = 0;
	expect(open_device(&(struct fkmi_open_params){.device = 2}, &gpu), FKM_ERROR_NO_DEVICE);
	char sentence[64];
	snprintf(sentence, sizeof sentence, "%s device 2 does not exist; there are 2", host_side.backend->name);
	expect_message(sentence);
	expect(open_device(&(struct fkmi_open_params){.native_context = &other}, &gpu), FKM_ERROR_INVALID_ARGUMENT);
	expect_message("native_context");
	expect(open_device(&(struct fkmi_open_params){.native_queue = &other}, &gpu), FKM_ERROR_INVALID_ARGUMENT);
	expect_message("native_queue");
	expect_nothing_alive();
}

/* ---- memory ---- */

void test_memory(void **state)
{
	(void)state;
	/* Around the sizes at which an upload takes another way or another launch. */
	static const int64_t sizes[] = {1, 3, 3999, 4000, 4001, 8000, 16383, 16384, 16385, 100000};
	fake_cuda_reset(&hopper);
	struct fkmi_runtime_gpu *gpu;
	expect(open_device(&(struct fkmi_open_params){.device = 0}, &gpu), FKM_OK);
	struct fkmi_device *device = &gpu->gpu.device;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		const int64_t bytes = sizes[i];
		struct fkmi_ref one, two;
		unsigned char *from = malloc((size_t)bytes), *to = malloc((size_t)bytes);
		assert_non_null(from);
		assert_non_null(to);
		for (int64_t j = 0; j < bytes; j++)
			from[j] = (unsigned char)(j * 7 + 1);
		expect(host_side.backend->alloc(device, bytes + 5, &one), FKM_OK);
		expect(host_side.backend->alloc(device, bytes, &two), FKM_OK);
		int waits = fake_cuda_report().waits;
		expect(host_side.backend->fill(device, one, 0xEE, bytes + 5), FKM_OK);
		expect(host_side.backend->upload(device, fkmi_ref_add(one, 3), from, bytes), FKM_OK);
		expect(host_side.backend->copy(device, two, fkmi_ref_add(one, 3), bytes), FKM_OK);
		assert_int_equal(fake_cuda_report().waits - waits, bytes > 16384);
		expect(host_side.backend->download(device, to, two, bytes), FKM_OK);
		assert_memory_equal(from, to, bytes);
		unsigned char guard[2];
		expect(host_side.backend->download(device, guard, fkmi_ref_add(one, bytes + 3), 2), FKM_OK);
		assert_int_equal(guard[0], 0xEE);
		expect(host_side.backend->download(device, guard, fkmi_ref_add(one, 1), 2), FKM_OK);
		assert_int_equal(guard[1], 0xEE);
		host_side.backend->free(device, one);
		host_side.backend->free(device, two);
		free(from);
		free(to);
	}
	const struct fkmi_ref none = {0};
	expect(host_side.backend->copy(device, none, none, 0), FKM_OK);
	expect(host_side.backend->fill(device, none, 0, 0), FKM_OK);
	expect(host_side.backend->upload(device, none, "", 0), FKM_OK);
	expect(host_side.backend->download(device, NULL, none, 0), FKM_OK);
	host_side.backend->free(device, none);
	host_side.backend->close(device);
	expect_no_misuse();
	expect_nothing_alive();
}

void test_budget(void **state)
{
	(void)state;
	fake_cuda_reset(&hopper);
	struct fkmi_runtime_gpu *gpu;
	struct fkmi_ref memory;
	expect(open_device(&(struct fkmi_open_params){.memory_budget_bytes = 5000}, &gpu), FKM_OK);
	assert_int_equal(gpu->gpu.device.limits.memory_bytes, 5000);
	expect(host_side.backend->alloc(&gpu->gpu.device, 5001, &memory), FKM_ERROR_OUT_OF_MEMORY);
	expect_message("5001 bytes of device memory are needed, 5000 are the most allowed");
	assert_null(memory.base);
	expect(host_side.backend->alloc(&gpu->gpu.device, 5000, &memory), FKM_OK);
	host_side.backend->free(&gpu->gpu.device, memory);
	host_side.backend->close(&gpu->gpu.device);

	/* More than there is, whatever the budget; and what somebody else has taken. */
	expect(open_device(&(struct fkmi_open_params){.memory_budget_bytes = (int64_t)1 << 40}, &gpu), FKM_OK);
	assert_int_equal(gpu->gpu.device.limits.memory_bytes, (int64_t)1 << 30);
	expect(host_side.backend->alloc(&gpu->gpu.device, 900 << 20, &memory), FKM_OK);
	struct fkmi_ref second = memory;
	expect(host_side.backend->alloc(&gpu->gpu.device, 200 << 20, &second), FKM_ERROR_OUT_OF_MEMORY);
	expect_message("cannot allocate 209715200 bytes of device memory");
	assert_null(second.base);
	host_side.backend->free(&gpu->gpu.device, memory);
	host_side.backend->close(&gpu->gpu.device);
	expect_no_misuse();
	expect_nothing_alive();
}

/* ---- every call fails ---- */

enum { BATCH = 2, POINTS = 60, DIMS = 3, CLUSTERS = 4 };

/* What a fit may write, enough for every scenario. */
static struct {
	int32_t labels[BATCH * POINTS];
	double centroids[BATCH * CLUSTERS * DIMS];
	double distances[BATCH * POINTS], inertia[BATCH];
	int64_t counts[BATCH * CLUSTERS], order[BATCH * POINTS], offsets[BATCH * (CLUSTERS + 1)];
} outputs;

/* Random rows and a fixed number of iterations; all that a fit can do besides; that with points that stream. */
enum scenario { PLAIN, EVERYTHING, STREAMING };

static enum fkm_status fit(struct fkm_context *context, enum scenario scenario)
{
	static float points[BATCH * POINTS * DIMS];
	static double weights[BATCH * POINTS];
	for (int i = 0; i < BATCH * POINTS * DIMS; i++)
		points[i] = (float)(i % 17);
	for (int i = 0; i < BATCH * POINTS; i++)
		weights[i] = 1 + i % 3;
	struct fkm_array array = fkm_array_2d(points, FKM_F32, POINTS, DIMS);
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	fkm_fit_params_init(&params);
	fkm_fit_result_init(&result);
	params.clusters = CLUSTERS;
	params.max_iter = 3;
	result.labels = outputs.labels;
	result.centroids = outputs.centroids;
	if (scenario != PLAIN) {
		array.batch = BATCH;
		params.metric = FKM_METRIC_COSINE;
		params.n_init = 2;
		params.weights = fkm_array_2d(weights, FKM_F64, POINTS, 1);
		params.weights.batch = BATCH;
		params.trust_finite = 1; /* no kernel runs that would find the range of the weights */
		params.chunk_rows = 40;
		result.distances = outputs.distances;
		result.inertia = outputs.inertia;
		result.counts = outputs.counts;
		result.order = outputs.order;
		result.offsets = outputs.offsets;
	} else {
		params.init = FKM_INIT_RANDOM;
		params.stop = FKM_STOP_FIXED;
		params.empty = FKM_EMPTY_KEEP;
	}
	if (scenario == STREAMING) {
		int64_t bytes = 0;
		params.chunk_rows = 7;
		params.kernel = "portable";
		enum fkm_status planned = fkm_fit_workspace(context, &array, &params, &result, &bytes);
		if (planned != FKM_OK) /* a lost context */
			return planned;
		context->memory_budget_bytes = bytes - (int64_t)sizeof points / 2;
	}
	enum fkm_status status = fkm_fit(context, &array, &params, &result);
	context->memory_budget_bytes = 0;
	if (status == FKM_OK)
		assert_int_equal(result.diagnosis.streamed_rows > 0, scenario == STREAMING);
	return status;
}

/* Failures that there is nobody to tell of: in giving back (before which copies are waited for), or in asking how much is
 * free and what is pinned. */
static bool is_silent(const char *function)
{
	static const char *const silent[] = {"cuCtxPopCurrent_v2", "cuMemFree_v2",      "cuStreamDestroy_v2",
										 "cuModuleUnload",     "cuMemGetInfo_v2",   "cuDevicePrimaryCtxRelease_v2",
										 "cuEventDestroy_v2",  "cuMemFreeHost",     "cuPointerGetAttribute",
										 "cuEventRecord",      "cuEventSynchronize"};
	for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++)
		if (strcmp(function, silent[i]) == 0)
			return true;
	return false;
}

/* After a failed fit: a lost context says so without asking the driver, any other works again. */
static void use_again(struct fkm_context *context, enum scenario scenario, enum fkm_status status)
{
	int calls = fake_cuda_report().calls;
	if (status == FKM_ERROR_DEVICE_LOST) {
		expect(fit(context, scenario), FKM_ERROR_DEVICE_LOST);
		expect_message("lost");
		assert_int_equal(fake_cuda_report().calls, calls);
	} else {
		expect(fit(context, scenario), FKM_OK);
	}
}

/* What was current before a call still is. */
static void expect_current(fkmi_cu_context context)
{
	assert_ptr_equal(fake_cuda_current(), context);
	assert_int_equal(host_side.chosen_device(), 1);
}

/* Opens, fits and closes with the n-th call failing; false: there were fewer calls. */
static bool fail_at(int n, enum scenario scenario, fkmi_cu_result result, bool stays, enum fkm_status expected)
{
	struct fake_cuda_setup setup = hopper;
	fake_cuda_reset(&setup);
	fkmi_cu_context mine;
	assert_int_equal(cuDevicePrimaryCtxRetain(&mine, 1), 0);
	assert_int_equal(cuCtxPushCurrent_v2(mine), 0);
	host_side.choose_device(1);
	setup.fail_call = n;
	setup.fail_result = result;
	setup.fail_on = stays;
	fake_cuda_arm(&setup);

	struct fkm_context *context = NULL;
	enum fkm_status status = create(&context);
	expect_current(mine);
	if (status == FKM_OK) {
		status = fit(context, scenario);
		expect_current(mine);
	} else {
		assert_null(context);
	}
	const struct fake_cuda_report report = fake_cuda_report();
	if (status != FKM_OK) {
		char code[32];
		snprintf(code, sizeof code, "(%d)", result);
		expect(status, expected);
		if (result != FKMI_CU_OUT_OF_MEMORY || strstr(fkm_error_message(), "bytes of device memory") == NULL)
			expect_message(code);
		assert_non_null(report.failed);
	} else if (report.failed != NULL && !is_silent(report.failed)) {
		/* the way in to give memory back */
		assert_string_equal(report.failed, "cuCtxPushCurrent_v2");
	}
	if (context != NULL && status != FKM_OK)
		use_again(context, scenario, status);
	fkm_context_destroy(context);
	expect_current(mine);
	host_side.release_contexts();
	expect_no_misuse();
	const struct fake_cuda_report after = fake_cuda_report();
	assert_int_equal(after.contexts, 1);
	assert_int_equal(after.streams, 0);
	assert_int_equal(after.modules, 0);
	assert_int_equal(after.blocks, 0);
	assert_int_equal(after.events, 0);
	assert_int_equal(after.host_blocks, 0);
	/* What cannot be reached any more goes with its context; and so does the memory of a lost device, see backend.h. */
	if (after.failed == NULL || (!stays && strcmp(after.failed, "cuCtxPushCurrent_v2") != 0))
		assert_int_equal(after.abandoned, status == FKM_ERROR_DEVICE_LOST ? after.abandoned_blocks : 0);
	return after.failed != NULL;
}

static void fail_everywhere(enum scenario scenario)
{
	static const struct {
		fkmi_cu_result result;
		bool stays;
		enum fkm_status status;
	} cases[] = {
		{2, false, FKM_ERROR_OUT_OF_MEMORY}, {700, false, FKM_ERROR_DEVICE_LOST}, {700, true, FKM_ERROR_DEVICE_LOST},
		{719, false, FKM_ERROR_DEVICE_LOST}, {719, true, FKM_ERROR_DEVICE_LOST},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int n = 1;
		while (fail_at(n, scenario, cases[i].result, cases[i].stays, cases[i].status))
			n++;
		assert_true(n > 100); /* calls of an open, a fit and a close */
	}
	fake_cuda_reset(&hopper);
}

void test_failures(void **state)
{
	(void)state;
	fail_everywhere(PLAIN);
}

void test_failures_of_everything(void **state)
{
	(void)state;
	fail_everywhere(EVERYTHING);
}

void test_failures_of_streaming(void **state)
{
	(void)state;
	fail_everywhere(STREAMING);
}

/* ---- reductions between devices that never end ---- */

/* A rank whose only other one has no points, so that values stay as they are. */
struct pair {
	const struct fake_nccl *nccl;
	bool dies; /* in the first reduction that hangs */
};

static int reduce_with_other(void *user, int64_t *values, int64_t count, enum fkm_reduce op, char *error,
							 size_t error_bytes)
{
	const struct pair *pair = user;
	(void)values, (void)count, (void)op;
	snprintf(error, error_bytes, "nobody answers");
	return pair->dies && (pair->nccl->stuck[0] || pair->nccl->calls[FAKE_NCCL_ABANDON] > 0);
}

static struct fkm_context *create_rank(struct pair *pair, double seconds)
{
	struct fkm_communicator communicator;
	struct fkm_context_params params;
	struct fkm_context *context;
	fkm_communicator_init(&communicator);
	communicator.size = 2;
	communicator.user = pair;
	communicator.all_reduce = reduce_with_other;
	communicator.seconds = seconds;
	fkm_context_params_init(&params);
	params.backend = host_side.backend->name;
	params.device = 0;
	params.communicator = &communicator;
	expect(fkm_context_create(&params, &context), FKM_OK);
	return context;
}

static struct fake_nccl *open_fake_nccl(void)
{
	const char *path = getenv(host_side.backend->collectives->override_variable);
	void *library = path != NULL ? dlopen(path, RTLD_NOW) : NULL;
	void *symbol = library != NULL ? dlsym(library, "fake_nccl") : NULL;
	struct fake_nccl *(*find)(void) = NULL;
	memcpy(&find, &symbol, sizeof find);
	assert_true(find != NULL);
	return find();
}

/* What is known first of a reduction that hangs: that its time is over, that the library reports a failure, that the
 * other rank does not answer any more. */
enum sign { LATE, REPORTED, SILENT };

/* The fake driver complains of whatever waits for the device, or gives memory back, before the reduction is aborted. */
static void hang(struct fake_nccl *nccl, enum scenario scenario, enum sign sign)
{
	static const char *const sentences[] = {
		[LATE] = "rank 0 of 2: waited 0.05 seconds for the others' devices in a reduction between them",
		[REPORTED] = "rank 0 of 2: a reduction between devices failed: 6, a peer is gone",
		[SILENT] = "rank 0 of 2 cannot reach the others: nobody answers",
	};
	struct pair pair = {.nccl = nccl, .dies = sign == SILENT};
	struct fake_cuda_setup setup = hopper;
	setup.stuck = &nccl->stuck[0];
	setup.zeroed = true; /* no kernel says that clusters are empty, nor how many */
	fake_cuda_reset(&setup);
	memset(nccl, 0, sizeof *nccl);
	nccl->alone = 1;
	struct fkm_context *context = create_rank(&pair, sign == REPORTED ? 0 : 0.05);
	expect(fit(context, scenario), FKM_OK);
	assert_int_equal(nccl->calls[FAKE_NCCL_JOIN], 1);
	assert_true(nccl->calls[FAKE_NCCL_REDUCE] > 0);

	nccl->hangs = 1;
	nccl->breaks = sign == REPORTED;
	const double started = fkmi_now();
	expect(fit(context, scenario), FKM_ERROR_COMMUNICATOR);
	expect_message(sentences[sign]);
	assert_true(fkmi_now() - started < 5);
	assert_int_equal(nccl->calls[FAKE_NCCL_ABANDON], 1);
	nccl->hangs = nccl->breaks = 0;
	if (sign == SILENT) {
		expect(fit(context, scenario), FKM_ERROR_COMMUNICATOR);
		fkm_context_destroy(context);
		pair = (struct pair){.nccl = nccl};
		context = create_rank(&pair, 0);
	}
	expect(fit(context, scenario), FKM_OK);
	fkm_context_destroy(context);
	assert_int_equal(nccl->calls[FAKE_NCCL_JOIN], 2);
	assert_int_equal(nccl->calls[FAKE_NCCL_ABANDON], 1);
	assert_int_equal(nccl->calls[FAKE_NCCL_LEAVE], 1);
	expect_no_misuse();
	expect_nothing_alive();
}

void test_hanging_reductions(void **state)
{
	(void)state;
	struct fake_nccl *nccl = open_fake_nccl();
	for (enum scenario scenario = PLAIN; scenario <= STREAMING; scenario++)
		for (enum sign sign = LATE; sign <= SILENT; sign++)
			hang(nccl, scenario, sign);
}
