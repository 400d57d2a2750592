/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <stdlib.h>

#include "ceilings.h"
#include "measure_device.h"
#include "report_device.h"
#include "threads.h"

static int device_index(const struct options *options)
{
	const char *given = getenv("FKM_DEVICE");
	return options->device >= 0 ? options->device : given && *given ? (int)strtol(given, NULL, 10) : 0;
}

/* Milliseconds that it took; what it loads is the larger part of a process's first fit. */
static bool create_context(const struct cuda_device *device, struct fkm_context **context, double *milliseconds)
{
	struct fkm_context_params params;
	fkm_context_params_init(&params);
	params.backend = "cuda";
	params.native_queue = device->stream;
	double begin = now();
	bool ok = fkm_context_create(&params, context) == FKM_OK;
	*milliseconds = (now() - begin) * 1e3;
	if (!ok)
		fprintf(stderr, "fkm-bench: %s\n", fkm_error_message());
	return ok;
}

/* Measures every shape that can be; false if one could not, or labels are wrong. */
static bool measure_all(struct fkm_context *context, struct cuda_device *device, const struct pools *pools,
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
	if (options->ceilings)
		report->ceilings = measure_ceilings(device, pools, options->cublas, options->seconds);
	return ok;
}

bool run_on_cuda(struct options *options, FILE *json)
{
	static struct device_measurement measurements[MAX_SHAPES];
	struct cuda_device device;
	struct pools pools = {0};
	struct fkm_context *context = NULL;
	struct device_report report = {
		.device = &device, .empty = options->empty, .stages = options->stages, .measurements = measurements};
	options_default_shapes(options, false);
	bool ok = cuda_device_open(device_index(options), &device) &&
			  pools_create(&device, options->shapes, options->count, options->ceilings ? ceilings_elements : 0,
						   options->threads ? options->threads : available_threads(), &pools) &&
			  create_context(&device, &context, &report.context_ms) &&
			  measure_all(context, &device, &pools, options, measurements, &report);
	if (report.count)
		print_device_tables(&report, stdout);
	if (context && json)
		write_device_json(&report, json);
	fkm_context_destroy(context);
	if (device.driver)
		pools_destroy(&device, &pools);
	if (device.driver)
		cuda_device_close(&device);
	return ok;
}
