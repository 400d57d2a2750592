/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#include "ceilings.h"
#include "measure_device.h"
#include "opencl_device.h"
#include "report_device.h"
#include "threads.h"

enum { MOST_LISTED = 128 };

bool runs_on_devices(const char *backend)
{
	return !strcmp(backend, "cuda") || !strcmp(backend, "opencl");
}

/* As the library chooses: the option, else FKM_DEVICE, an index or a part of a name or of details, else 0. */
static int device_index(const struct options *options, const char *backend)
{
	static struct fkm_device_info listed[MOST_LISTED];
	const char *given = getenv("FKM_DEVICE");
	char *end;
	int32_t count = 0;
	if (options->device >= 0 || !given || !*given)
		return options->device >= 0 ? options->device : 0;
	long index = strtol(given, &end, 10);
	if (!*end)
		return (int)index;
	if (fkm_device_list(listed, MOST_LISTED, &count) == FKM_OK)
		for (int32_t i = 0; i < count && i < MOST_LISTED; i++)
			if (!strcmp(listed[i].backend, backend) &&
				(strcasestr(listed[i].name, given) || strcasestr(listed[i].detail, given)))
				return listed[i].device;
	return MOST_LISTED; /* of which there is none */
}

/* Milliseconds that it took; what it loads or compiles is the larger part of a process's first fit. */
static bool create_context(const struct device *device, struct fkm_context **context, double *milliseconds)
{
	struct fkm_context_params params;
	fkm_context_params_init(&params);
	params.backend = device->calls->backend;
	params.native_queue = device->queue;
	double begin = now();
	bool ok = fkm_context_create(&params, context) == FKM_OK;
	*milliseconds = (now() - begin) * 1e3;
	if (!ok)
		fprintf(stderr, "fkm-bench: %s\n", fkm_error_message());
	return ok;
}

/* Measures every shape that can be; false if one could not, or labels are wrong. */
static bool measure_all(struct fkm_context *context, struct device *device, const struct pools *pools,
						const struct options *options, struct device_measurement *measurements,
						struct device_report *report)
{
	bool ok = true;
	for (int i = 0; i < options->count; i++) {
		struct device_measurement *m = &measurements[report->count];
		bool measured = measure_on_device(context, device, pools, &options->shapes[i], options, m);
		report->count += measured;
		ok = ok && measured && m->check.differing == 0 && m->predicted_otherwise == 0;
	}
	report->first_ms = report->count ? measurements[0].first_ms : 0;
	return ok;
}

/* cuda: the device, if it is one, whose ceilings are measured. */
static bool run(struct options *options, struct device *device, struct cuda_device *cuda, FILE *json)
{
	static struct device_measurement measurements[MAX_SHAPES];
	const bool ceilings = cuda && options->ceilings;
	struct pools pools = {0};
	struct fkm_context *context = NULL;
	struct device_report report = {
		.device = device, .empty = options->empty, .stages = options->stages, .measurements = measurements};
	options_default_shapes(options, false);
	bool ok = pools_create(device, options->shapes, options->count, ceilings ? ceilings_elements : 0,
						   options->threads ? options->threads : available_threads(), &pools) &&
			  create_context(device, &context, &report.context_ms) &&
			  measure_all(context, device, &pools, options, measurements, &report);
	if (context && ceilings)
		report.ceilings = measure_ceilings(cuda, &pools, options->cublas, options->seconds);
	if (report.count)
		print_device_tables(&report, stdout);
	if (context && json)
		write_device_json(&report, json);
	fkm_context_destroy(context);
	pools_destroy(device, &pools);
	return ok;
}

bool run_on_device(struct options *options, const char *backend, FILE *json)
{
	const int index = device_index(options, backend);
	bool ok;
	if (!strcmp(backend, "cuda")) {
		struct cuda_device cuda;
		ok = cuda_device_open(index, &cuda) && run(options, &cuda.device, &cuda, json);
		cuda_device_close(&cuda);
	} else {
		struct opencl_device opencl;
		ok = opencl_device_open(index, &opencl) && run(options, &opencl.device, NULL, json);
		opencl_device_close(&opencl);
	}
	return ok;
}
