/* SPDX-License-Identifier: Apache-2.0 */
#include "report_device.h"

#include <string.h>

#include "json.h"

static const char *const precision_names[PRECISIONS] = {"exact", "fast"};

static const char *empty_name(const struct device_report *report)
{
	return report->empty == FKM_EMPTY_KEEP ? "keep" : "relocate";
}

static bool is_cuda(const struct device_report *report)
{
	return !strcmp(report->device->calls->backend, "cuda");
}

static double per_iteration(const struct device_measurement *m, double milliseconds)
{
	return milliseconds / m->iterations;
}

/* What exact costs over fast, in percent. */
static double overhead(const struct spread precisions[PRECISIONS])
{
	double fast = spread_median(&precisions[FKM_PRECISION_FAST]);
	return fast > 0 ? 100 * (spread_median(&precisions[FKM_PRECISION_EXACT]) / fast - 1) : 0;
}

static double rechecked_share(const struct device_measurement *m)
{
	return (double)m->diagnosis.rechecked / ((double)m->shape.b * (double)m->shape.n * (m->iterations + 1));
}

/* ---- tables ---- */

static void print_head(const struct device_report *report, FILE *out)
{
	const struct device *device = report->device;
	const struct ceilings *ceilings = &report->ceilings;
	fprintf(out, "%s: %s, driver %s (%s)", device->calls->backend, device->name, *device->driver ? device->driver : "?",
			device->interface);
	if (is_cuda(report))
		fprintf(out, ", kernels by nvcc %s", FKM_CUDA_TOOLKIT);
	fprintf(out, "\n");
	for (int r = 0; r < RATES; r++)
		if (ceilings->flops[r] > 0)
			fprintf(out, "%s %s %.1f TFLOP/s", r ? "," : "cuBLAS:", rate_name(r), ceilings->flops[r] / 1e12);
	if (ceilings->bytes_per_second > 0)
		fprintf(out, "%s reading %.3f TB/s", ceilings->cublas_version ? ";" : "", ceilings->bytes_per_second / 1e12);
	fprintf(out,
			"\nfirst fit of the process (%s, %d iterations): %.1f ms, of which %.1f ms the context with its code\n",
			report->measurements[0].shape.name, report->measurements[0].iterations,
			report->context_ms + report->first_ms, report->context_ms);
}

/* "12.3" or "-" */
static const char *percent(char text[16], double share)
{
	snprintf(text, 16, share > 0 ? "%.1f%%" : "-", 100 * share);
	return text;
}

static void print_times(const struct device_report *report, FILE *out)
{
	fprintf(out,
			"\nmilliseconds; fits of %d iterations per iteration, empty clusters: %s\n"
			"%-15s %-23s | %8s %8s %8s %8s %8s %8s %6s | %8s %8s %8s %8s %6s | %8s %6s %6s\n",
			report->measurements[0].iterations, empty_name(report), "shape", "B,N,K,d,dtype", "fit", "min", "max",
			"host", "plain", "fast", "cert", "assign", "min", "max", "fast", "cert", "floor", "fit", "assign");
	for (int i = 0; i < report->count; i++) {
		const struct device_measurement *m = &report->measurements[i];
		const struct spread *fit = m->fit, *assign = m->assign;
		double least = floor_seconds(&report->ceilings, &m->shape) * 1e3, median = spread_median(fit) / m->iterations;
		char dims[64], fit_share[16], assign_share[16], lowest[16] = "-";
		snprintf(dims, sizeof(dims), "%lld,%lld,%lld,%lld,%s", (long long)m->shape.b, (long long)m->shape.n,
				 (long long)m->shape.k, (long long)m->shape.d, dtype_name(m->shape.dtype));
		if (least > 0)
			snprintf(lowest, sizeof(lowest), "%.4f", least);
		fprintf(out,
				"%-15s %-23s | %8.4f %8.4f %8.4f %8.4f %8.4f %8.4f %5.1f%% | %8.4f %8.4f %8.4f %8.4f %5.1f%% | %8s %6s "
				"%6s\n",
				m->shape.name, dims, median, per_iteration(m, spread_min(fit)), per_iteration(m, spread_max(fit)),
				per_iteration(m, spread_median(&m->host[FKM_PRECISION_EXACT])),
				per_iteration(m, spread_median(&m->plain)), per_iteration(m, spread_median(&fit[FKM_PRECISION_FAST])),
				overhead(fit), spread_median(assign), spread_min(assign), spread_max(assign),
				spread_median(&assign[FKM_PRECISION_FAST]), overhead(assign), lowest,
				percent(fit_share, least / median), percent(assign_share, least / spread_median(assign)));
	}
}

static void print_facts(const struct device_report *report, FILE *out)
{
	fprintf(out, "\n%-15s %8s %6s %9s %8s %7s %6s %6s %-20s %5s %6s  %s\n", "shape", "recheck", "ties", "work MiB",
			"B/point", "copies", "fits", "moved", "labels differing", "regs", "spills", "kernel, tile");
	for (int i = 0; i < report->count; i++) {
		const struct device_measurement *m = &report->measurements[i];
		const struct fkm_diagnosis *diagnosis = &m->diagnosis;
		char checked[64] = "-";
		if (m->check.rows > 0)
			snprintf(checked, sizeof(checked), "%lld of %lld, %lld", (long long)m->check.differing,
					 (long long)m->check.rows, (long long)m->predicted_otherwise);
		fprintf(out, "%-15s %7.3f%% %6lld %9.1f %8.2f %7lld %6d %6lld %-20s %5d %6d  %s, %s%s\n", m->shape.name,
				100 * rechecked_share(m), (long long)diagnosis->exact_ties, (double)diagnosis->workspace_bytes / 0x1p20,
				m->workspace_bytes_per_point, (long long)m->copies, m->fit[0].count, (long long)diagnosis->relocations,
				checked, diagnosis->registers, diagnosis->spilled_bytes, diagnosis->kernel, diagnosis->tile,
				diagnosis->fused ? ", fused" : "");
	}
}

/* From fits of 0, 1 and all iterations. */
static double later_iteration(const struct device_measurement *m)
{
	if (m->iterations == 1)
		return 0;
	return (spread_median(&m->fit[FKM_PRECISION_EXACT]) - spread_median(&m->one_iteration)) / (m->iterations - 1);
}

static double first_iteration(const struct device_measurement *m)
{
	return spread_median(&m->one_iteration) - spread_median(&m->no_iteration);
}

/* From zeroing the sums to new centroids: a call of fkm_update less one that ends where this begins. 0: that is less than
 * such calls differ by. */
static double update_alone(const struct device_measurement *m)
{
	const double milliseconds = spread_median(&m->update) - spread_median(&m->refused_update);
	return milliseconds > 0 ? milliseconds : 0;
}

/* One reading of the points per update. */
static double update_tb_per_second(const struct device_measurement *m)
{
	const struct shape *s = &m->shape;
	const double bytes = (double)s->b * (double)s->n * (double)s->d * (double)dtype_bytes(s->dtype);
	return update_alone(m) > 0 ? bytes / update_alone(m) / 1e9 : 0;
}

static void print_stages(const struct device_report *report, FILE *out)
{
	fprintf(out, "\n%-15s %16s %16s %16s | %16s %8s  milliseconds of an exact fit; fkm_update less its checks\n",
			"shape", "start and labels", "first iteration", "each later one", "update", "TB/s");
	for (int i = 0; i < report->count; i++) {
		const struct device_measurement *m = &report->measurements[i];
		fprintf(out, "%-15s %16.4f %16.4f %16.4f | %16.4f %8.3f\n", m->shape.name, spread_median(&m->no_iteration),
				first_iteration(m), later_iteration(m), update_alone(m), update_tb_per_second(m));
	}
}

void print_device_tables(const struct device_report *report, FILE *out)
{
	print_head(report, out);
	print_times(report, out);
	print_facts(report, out);
	if (report->stages)
		print_stages(report, out);
}

/* ---- JSON ---- */

static void json_times(const struct device_report *report, const struct device_measurement *m, FILE *out)
{
	for (int p = 0; p < PRECISIONS; p++) {
		fprintf(out, "     \"%s\": {\"fit_ms_per_iteration\": ", precision_names[p]);
		json_spread(out, &m->fit[p], 1.0 / m->iterations);
		fprintf(out, ",\n      \"host_ms_per_iteration\": ");
		json_spread(out, &m->host[p], 1.0 / m->iterations);
		fprintf(out, ",\n      \"assign_ms\": ");
		json_spread(out, &m->assign[p], 1);
		fprintf(out, "},\n");
	}
	fprintf(out, "     \"plain_ms_per_iteration\": ");
	json_spread(out, &m->plain, 1.0 / m->iterations);
	fprintf(out, ",\n     \"certificate_percent\": {\"fit\": %.4g, \"assign\": %.4g},\n", overhead(m->fit),
			overhead(m->assign));
	double least = floor_seconds(&report->ceilings, &m->shape) * 1e3;
	if (least > 0)
		fprintf(out,
				"     \"floor_ms\": {\"multiply_adds\": %.6g, \"reading\": %.6g}, \"share_of_floor\": {\"fit\": %.4g, "
				"\"assign\": %.4g},\n",
				floor_multiply_adds(&report->ceilings, &m->shape) * 1e3,
				floor_reading(&report->ceilings, &m->shape) * 1e3, least * m->iterations / spread_median(m->fit),
				least / spread_median(m->assign));
	if (report->stages) {
		fprintf(
			out,
			"     \"stages_ms\": {\"start_and_labels\": %.6g, \"first_iteration\": %.6g, \"later_iteration\": %.6g, "
			"\"update\": %.6g},\n     \"update_tb_s\": %.4g,\n     \"update_call_ms\": ",
			spread_median(&m->no_iteration), first_iteration(m), later_iteration(m), update_alone(m),
			update_tb_per_second(m));
		json_spread(out, &m->update, 1);
		fprintf(out, ", \"refused_update_call_ms\": ");
		json_spread(out, &m->refused_update, 1);
		fprintf(out, ",\n");
	}
}

static void json_facts(const struct device_measurement *m, FILE *out)
{
	const struct fkm_diagnosis *diagnosis = &m->diagnosis;
	fprintf(out,
			"     \"rechecked\": %lld, \"rechecked_share\": %.4g, \"exact_ties\": %lld, \"relocations\": %lld, "
			"\"empty_clusters\": %lld,\n"
			"     \"workspace_bytes\": %lld, \"workspace_bytes_per_point\": %.4g, \"copies\": %lld,\n",
			(long long)diagnosis->rechecked, rechecked_share(m), (long long)diagnosis->exact_ties,
			(long long)diagnosis->relocations, (long long)diagnosis->empty_clusters,
			(long long)diagnosis->workspace_bytes, m->workspace_bytes_per_point, (long long)m->copies);
	if (m->check.rows > 0)
		fprintf(out, "     \"check\": {\"rows\": %lld, \"differing\": %lld, \"predicted_otherwise\": %lld},\n",
				(long long)m->check.rows, (long long)m->check.differing, (long long)m->predicted_otherwise);
	fprintf(out, "     \"kernel\": ");
	json_string(out, diagnosis->kernel);
	fprintf(out, ", \"tile\": ");
	json_string(out, diagnosis->tile);
	fprintf(out, ", \"fused\": %s, \"registers\": %d, \"spilled_bytes\": %d}", diagnosis->fused ? "true" : "false",
			diagnosis->registers, diagnosis->spilled_bytes);
}

static void json_ceilings(const struct ceilings *ceilings, FILE *out)
{
	fprintf(out, "  \"ceilings\": {\"cublas_version\": %d", ceilings->cublas_version);
	for (int r = 0; r < RATES; r++)
		if (ceilings->flops[r] > 0)
			fprintf(out, ", \"matmul_%s_tflops\": %.5g", rate_name(r), ceilings->flops[r] / 1e12);
	if (ceilings->bytes_per_second > 0)
		fprintf(out, ", \"read_tb_s\": %.5g", ceilings->bytes_per_second / 1e12);
	fprintf(out, "},\n");
}

void write_device_json(const struct device_report *report, FILE *out)
{
	const struct device *device = report->device;
	fprintf(out, "{\n");
	json_origin(out);
	fprintf(out, ",\n  \"backend\": \"%s\", ", device->calls->backend);
	if (is_cuda(report))
		fprintf(out, "\"toolkit\": \"%s\", ", FKM_CUDA_TOOLKIT);
	fprintf(out, "\"device\": ");
	json_string(out, device->name);
	fprintf(out, ", \"driver\": ");
	json_string(out, device->driver);
	fprintf(out, ", \"interface\": ");
	json_string(out, device->interface);
	fprintf(out, ",\n");
	json_ceilings(&report->ceilings, out);
	fprintf(out, "  \"empty\": \"%s\", \"first_fit_ms\": {\"context\": %.5g, \"fit\": %.5g},\n  \"shapes\": [\n",
			empty_name(report), report->context_ms, report->first_ms);
	for (int i = 0; i < report->count; i++) {
		const struct device_measurement *m = &report->measurements[i];
		fprintf(out, "    {");
		json_shape(out, &m->shape);
		fprintf(out, ", \"iterations\": %d,\n", m->iterations);
		json_times(report, m, out);
		json_facts(m, out);
		fprintf(out, "%s\n", i + 1 < report->count ? "," : "");
	}
	fprintf(out, "  ]\n}\n");
}
