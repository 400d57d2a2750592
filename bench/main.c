/* SPDX-License-Identifier: Apache-2.0 */
/* fkm-bench: times whole fits of fixed shapes on made data. See usage below. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "peak.h"
#include "report.h"
#include "shapes.h"
#include "threads.h"

enum { MAX_SHAPES = 64, EXIT_USAGE = 2 };

static const char usage[] =
	"usage: fkm-bench [option]...\n"
	"Times whole fits of standard normal points from random rows, exact and fast in turn, first fit excluded.\n"
	"\n"
	"  --name NAME            a named shape; may be repeated (--list shows them)\n"
	"  --shape B,N,K,d,DTYPE  any other shape, DTYPE f16, bf16 or f32; may be repeated\n"
	"                         without either: the cpu shapes on the CPU, all others on a device\n"
	"  --backend NAME         cpu, cuda, hip or opencl; default: FKM_BACKEND, else the first that works\n"
	"  --threads T            CPU threads; default: all\n"
	"  --iterations I         per fit; default 20\n"
	"  --repeat R             fits of each kind; default 5\n"
	"  --stages               also print the seconds of each stage\n"
	"  --json FILE            also write everything to FILE\n"
	"  --list                 print the named shapes and end\n"
	"  --help                 print this and end\n"
	"\n"
	"Gma/s: f32 multiply-adds of all point-centroid pairs of the iterations and the final labels, over the median;\n"
	"peak: its share of what this CPU does in registers; GB/s: one reading of the points per pass; recheck: share of\n"
	"the point assignments that needed f64.\n";

struct options {
	const char *backend, *json;
	int threads, iterations, repeats;
	bool stages;
	struct shape shapes[MAX_SHAPES];
	int count;
};

static void usage_error(const char *option, const char *value, const char *problem)
{
	fprintf(stderr, "fkm-bench: --%s %s: %s (see --help)\n", option, value, problem);
	exit(EXIT_USAGE);
}

static int parse_int(const char *option, const char *text, int low, int high)
{
	char *end, problem[64];
	errno = 0;
	long value = strtol(text, &end, 10);
	if (end == text || *end || errno || value < low || value > high) {
		snprintf(problem, sizeof(problem), "must be a number from %d to %d", low, high);
		usage_error(option, text, problem);
	}
	return (int)value;
}

static void list_shapes(void)
{
	int count;
	const struct shape *shapes = named_shapes(&count);
	for (int i = 0; i < count; i++)
		printf("%-15s %lld,%lld,%lld,%lld,%s\n", shapes[i].name, (long long)shapes[i].b, (long long)shapes[i].n,
			   (long long)shapes[i].k, (long long)shapes[i].d, dtype_name(shapes[i].dtype));
}

static void add_shape(struct options *options, const char *option, const char *text)
{
	const struct shape *named = find_shape(text);
	struct shape parsed;
	if (options->count == MAX_SHAPES)
		usage_error(option, text, "too many shapes");
	if (!strcmp(option, "name")) {
		if (!named)
			usage_error(option, text, "no such shape, --list shows them");
		parsed = *named;
	} else if (!parse_shape(text, &parsed)) {
		usage_error(option, text, "must be B,N,K,d,DTYPE with K <= N and DTYPE f16, bf16 or f32");
	}
	options->shapes[options->count++] = parsed;
}

static void parse_options(int argc, char **argv, struct options *options)
{
	enum { BACKEND = 1, THREADS, SHAPE, NAME, ITERATIONS, REPEAT, STAGES, JSON, LIST, HELP };
	static const struct option longs[] = {
		{"backend", required_argument, NULL, BACKEND},
		{"threads", required_argument, NULL, THREADS},
		{"shape", required_argument, NULL, SHAPE},
		{"name", required_argument, NULL, NAME},
		{"iterations", required_argument, NULL, ITERATIONS},
		{"repeat", required_argument, NULL, REPEAT},
		{"stages", no_argument, NULL, STAGES},
		{"json", required_argument, NULL, JSON},
		{"list", no_argument, NULL, LIST},
		{"help", no_argument, NULL, HELP},
		{0},
	};
	*options = (struct options){.iterations = 20, .repeats = 5};
	int option, index;
	while ((option = getopt_long(argc, argv, "", longs, &index)) != -1) {
		switch (option) {
		case BACKEND:
			options->backend = optarg;
			break;
		case THREADS:
			options->threads = parse_int("threads", optarg, 1, 1024);
			break;
		case SHAPE:
		case NAME:
			add_shape(options, longs[index].name, optarg);
			break;
		case ITERATIONS:
			options->iterations = parse_int("iterations", optarg, 1, 1000000);
			break;
		case REPEAT:
			options->repeats = parse_int("repeat", optarg, 1, MAX_REPEATS);
			break;
		case STAGES:
			options->stages = true;
			break;
		case JSON:
			options->json = optarg;
			break;
		case LIST:
			list_shapes();
			exit(EXIT_SUCCESS);
		case HELP:
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		default:
			exit(EXIT_USAGE);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "fkm-bench: unexpected argument %s (see --help)\n", argv[optind]);
		exit(EXIT_USAGE);
	}
}

static void default_shapes(struct options *options, bool cpu)
{
	int count;
	const struct shape *shapes = named_shapes(&count);
	for (int i = cpu ? 0 : CPU_SHAPES; i < (cpu ? CPU_SHAPES : count); i++)
		options->shapes[options->count++] = shapes[i];
}

static bool write_report(const struct options *options, const struct report *report, FILE *json)
{
	if (report->count)
		print_table(report, stdout);
	if (report->count && options->stages)
		print_stages(report, stdout);
	if (json)
		write_json(report, json);
	if (json && (fflush(json) || ferror(json))) {
		fprintf(stderr, "fkm-bench: %s: cannot write\n", options->json);
		return false;
	}
	return true;
}

/* Measures every shape that can be; false if one could not. */
static bool run(struct fkm_context *context, struct options *options, FILE *json)
{
	static struct measurement measurements[MAX_SHAPES * PRECISIONS];
	bool cpu = !strcmp(fkm_context_backend(context), "cpu"), ok = true;
	if (options->count == 0)
		default_shapes(options, cpu);
	struct report report = {
		.backend = fkm_context_backend(context), .device = fkm_context_device(context), .measurements = measurements};
	int threads = options->threads ? options->threads : available_threads();
	if (cpu)
		report.peak = measure_peak(threads);
	for (int i = 0; i < options->count; i++) {
		if (measure(context, &options->shapes[i], options->iterations, options->repeats, &measurements[report.count]))
			report.count += PRECISIONS;
		else
			ok = false;
	}
	if (cpu)
		report.peak = larger_peak(report.peak, measure_peak(threads));
	return write_report(options, &report, json) && ok;
}

int main(int argc, char **argv)
{
	static struct options options;
	parse_options(argc, argv, &options);
	FILE *json = NULL;
	if (options.json && !(json = fopen(options.json, "w"))) {
		fprintf(stderr, "fkm-bench: %s: %s\n", options.json, strerror(errno));
		return EXIT_FAILURE;
	}
	struct fkm_context_params params;
	struct fkm_context *context;
	fkm_context_params_init(&params);
	params.backend = options.backend;
	params.threads = options.threads;
	bool ok = fkm_context_create(&params, &context) == FKM_OK;
	if (ok)
		ok = run(context, &options, json);
	else
		fprintf(stderr, "fkm-bench: %s\n", fkm_error_message());
	fkm_context_destroy(context);
	if (json)
		fclose(json);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
