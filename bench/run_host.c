/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <string.h>

#include "measure.h"
#include "peak.h"
#include "report.h"
#include "threads.h"

/* Measures every shape that can be; false if one could not, or labels are wrong. */
static bool measure_all(struct fkm_context *context, struct options *options, FILE *json)
{
	static struct measurement measurements[MAX_SHAPES * PRECISIONS];
	bool cpu = !strcmp(fkm_context_backend(context), "cpu"), ok = true;
	int threads = options->threads ? options->threads : available_threads();
	struct report report = {
		.backend = fkm_context_backend(context), .device = fkm_context_device(context), .measurements = measurements};
	options_default_shapes(options, cpu);
	if (cpu)
		report.peak = measure_peak(threads);
	for (int i = 0; i < options->count; i++) {
		struct measurement *m = &measurements[report.count];
		bool measured = measure(context, &options->shapes[i], options, m);
		report.count += measured ? PRECISIONS : 0;
		ok = ok && measured && m[FKM_PRECISION_EXACT].check.differing == 0;
	}
	if (cpu)
		report.peak = larger_peak(report.peak, measure_peak(threads));
	if (report.count)
		print_table(&report, stdout);
	if (report.count && options->check_rows > 0)
		print_checks(&report, stdout);
	if (report.count && options->stages)
		print_stages(&report, stdout);
	if (json)
		write_json(&report, json);
	return ok;
}

bool run_on_host(struct options *options, FILE *json)
{
	struct fkm_context_params params;
	struct fkm_context *context;
	fkm_context_params_init(&params);
	params.backend = options->backend;
	params.device = options->device;
	params.threads = options->threads;
	bool ok = fkm_context_create(&params, &context) == FKM_OK;
	if (ok)
		ok = measure_all(context, options, json);
	else
		fprintf(stderr, "fkm-bench: %s\n", fkm_error_message());
	fkm_context_destroy(context);
	return ok;
}
