/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include "json.h"

static const char *precision_name(enum fkm_precision precision)
{
	return precision == FKM_PRECISION_EXACT ? "exact" : "fast";
}

static double rate(const struct measurement *m)
{
	return multiply_adds(m) / m->median;
}

/* Bytes of points that the passes of a fit must read at least, per second. */
static double read_rate(const struct measurement *m)
{
	return multiply_adds(m) / (double)m->shape.k * (double)dtype_bytes(m->shape.dtype) / m->median;
}

static double rechecked_share(const struct measurement *m)
{
	return (double)m->diagnosis.rechecked / ((double)m->shape.b * (double)m->shape.n * (m->iterations + 1));
}

/* The seconds that no stage accounts for. */
static double other_seconds(const struct measurement *m)
{
	const struct fkm_seconds *s = &m->diagnosis.seconds;
	return m->seconds[m->repeats / 2] - (s->check + s->copy + s->seed + s->assign + s->update + s->finish);
}

void print_table(const struct report *report, FILE *out)
{
	fprintf(out, "%s: %s, %d threads\n", report->backend, report->device, report->measurements[0].diagnosis.threads);
	if (report->peak.vectors)
		fprintf(out, "peak: %.1f G multiply-adds/s in f32 (%s), reading %.1f GB/s\n",
				report->peak.multiply_adds_per_second / 1e9, report->peak.vectors, report->peak.bytes_per_second / 1e9);
	fprintf(out, "\n%-15s %-23s %-5s %9s %9s %9s %7s %6s %6s %7s %6s %8s  %s\n", "shape", "B,N,K,d,dtype", "",
			"median s", "min", "max", "Gma/s", "peak", "GB/s", "recheck", "ties", "work MiB", "kernel");
	for (int i = 0; i < report->count; i++) {
		const struct measurement *m = &report->measurements[i];
		char dims[64], share[16] = "-";
		snprintf(dims, sizeof(dims), "%lld,%lld,%lld,%lld,%s", (long long)m->shape.b, (long long)m->shape.n,
				 (long long)m->shape.k, (long long)m->shape.d, dtype_name(m->shape.dtype));
		if (report->peak.vectors)
			snprintf(share, sizeof(share), "%.1f%%", 100 * rate(m) / report->peak.multiply_adds_per_second);
		fprintf(out, "%-15s %-23s %-5s %9.4f %9.4f %9.4f %7.1f %6s %6.1f %6.2f%% %6lld %8.1f  %s%s\n", m->shape.name,
				dims, precision_name(m->precision), m->median, m->seconds[0], m->seconds[m->repeats - 1], rate(m) / 1e9,
				share, read_rate(m) / 1e9, 100 * rechecked_share(m), (long long)m->diagnosis.exact_ties,
				(double)m->diagnosis.workspace_bytes / 0x1p20, m->diagnosis.kernel,
				m->diagnosis.fused ? " (fused)" : "");
	}
}

void print_stages(const struct report *report, FILE *out)
{
	fprintf(out, "\n%-15s %-5s %9s %9s %9s %9s %9s %9s %9s  seconds of the median fit\n", "shape", "", "check", "copy",
			"seed", "assign", "update", "finish", "other");
	for (int i = 0; i < report->count; i++) {
		const struct measurement *m = &report->measurements[i];
		const struct fkm_seconds *s = &m->diagnosis.seconds;
		fprintf(out, "%-15s %-5s %9.4f %9.4f %9.4f %9.4f %9.4f %9.4f %9.4f\n", m->shape.name,
				precision_name(m->precision), s->check, s->copy, s->seed, s->assign, s->update, s->finish,
				other_seconds(m));
	}
}

void print_checks(const struct report *report, FILE *out)
{
	fprintf(out, "\n");
	for (int i = 0; i < report->count; i++) {
		const struct measurement *m = &report->measurements[i];
		if (m->check.rows > 0)
			fprintf(out, "%-15s %-5s %lld of %lld labels differ from a search of all centroids in f64\n", m->shape.name,
					precision_name(m->precision), (long long)m->check.differing, (long long)m->check.rows);
	}
}

static void json_measurement(const struct report *report, const struct measurement *m, FILE *out)
{
	const struct fkm_diagnosis *diagnosis = &m->diagnosis;
	const struct fkm_seconds *s = &diagnosis->seconds;
	fprintf(out, "    {");
	json_shape(out, &m->shape);
	fprintf(out, ", \"precision\": \"%s\",\n", precision_name(m->precision));
	fprintf(out, "     \"iterations\": %d, \"median_seconds\": %.6g, \"seconds\": [", m->iterations, m->median);
	for (int r = 0; r < m->repeats; r++)
		fprintf(out, "%s%.6g", r ? ", " : "", m->seconds[r]);
	fprintf(out, "],\n     \"multiply_adds_per_second\": %.6g", rate(m));
	if (report->peak.vectors)
		fprintf(out, ", \"share_of_peak\": %.4g", rate(m) / report->peak.multiply_adds_per_second);
	fprintf(out, ", \"inertia\": %.17g,\n     \"rechecked\": %lld, \"exact_ties\": %lld, \"relocations\": %lld, ",
			m->inertia, (long long)diagnosis->rechecked, (long long)diagnosis->exact_ties,
			(long long)diagnosis->relocations);
	fprintf(out, "\"workspace_bytes\": %lld,\n     \"kernel\": ", (long long)diagnosis->workspace_bytes);
	json_string(out, diagnosis->kernel);
	fprintf(out, ", \"tile\": ");
	json_string(out, diagnosis->tile);
	if (m->check.rows > 0)
		fprintf(out, ", \"check\": {\"rows\": %lld, \"differing\": %lld}", (long long)m->check.rows,
				(long long)m->check.differing);
	fprintf(out, ", \"fused\": %s, \"threads\": %d,\n     \"stages\": {", diagnosis->fused ? "true" : "false",
			diagnosis->threads);
	fprintf(out,
			"\"check\": %.6g, \"copy\": %.6g, \"seed\": %.6g, \"assign\": %.6g, \"update\": %.6g, \"finish\": %.6g}}",
			s->check, s->copy, s->seed, s->assign, s->update, s->finish);
}

void write_json(const struct report *report, FILE *out)
{
	fprintf(out, "{\n");
	json_origin(out);
	fprintf(out, ",\n  \"backend\": ");
	json_string(out, report->backend);
	fprintf(out, ", \"device\": ");
	json_string(out, report->device);
	if (report->peak.vectors)
		fprintf(out,
				",\n  \"peak\": {\"multiply_adds_per_second\": %.6g, \"bytes_per_second\": %.6g, \"vectors\": \"%s\"}",
				report->peak.multiply_adds_per_second, report->peak.bytes_per_second, report->peak.vectors);
	fprintf(out, ",\n  \"fits\": [\n");
	for (int i = 0; i < report->count; i++) {
		json_measurement(report, &report->measurements[i], out);
		fprintf(out, "%s\n", i + 1 < report->count ? "," : "");
	}
	fprintf(out, "  ]\n}\n");
}
