/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

static const char usage[] =
	"usage: fkm-bench [option]...\n"
	"Times whole fits of standard normal points from random rows, exact and fast in turn, first fit excluded.\n"
	"\n"
	"  --name NAME            a named shape; may be repeated (--list shows them)\n"
	"  --shape B,N,K,d,DTYPE  any other shape, DTYPE f16, bf16 or f32; may be repeated\n"
	"  --sweep AXIS           shapes about 1,1048576,1024,128,f16 whose n, k or d varies; may be repeated\n"
	"                         without any: the cpu shapes on the CPU, all others on a device\n"
	"  --backend NAME         cpu, cuda, hip or opencl; default: FKM_BACKEND, else the first that works\n"
	"  --device I             of the backend; default: FKM_DEVICE, else 0\n"
	"  --threads T            CPU threads; default: all\n"
	"  --iterations I         per fit; default 20\n"
	"  --empty POLICY         relocate (default) or keep: what becomes of empty clusters\n"
	"  --check M              then compare the labels of M random rows (of all, if there are no more) with a\n"
	"                         search of all centroids in f64; the exit status is 1 if one differs\n"
	"  --stages               also print how the time divides\n"
	"  --json FILE            also write everything to FILE\n"
	"  --list                 print the named shapes and end\n"
	"  --help                 print this and end\n"
	"cpu and hip:\n"
	"  --repeat R             fits of each kind; default 5\n"
	"cuda and opencl:\n"
	"  --seconds S            of measuring per shape, and per ceiling; default 1\n"
	"cuda:\n"
	"  --cublas PATH          of libcublas, where the loader does not find it\n"
	"  --no-ceilings          leave out the matrix rates and the bandwidth\n"
	"\n"
	"On cuda and opencl, points, start and results are in device memory, in several copies where one would stay in the "
	"L2\n"
	"cache. Times are the device's, between events before and after the call; opencl: the host's, until the queue is\n"
	"empty. fit: per iteration, of calls that only enqueue\n"
	"(trust_finite, a workspace, no results on the host); host: the same calls on the host's clock, until the labels "
	"are\n"
	"there; plain: host clock, without trust_finite and workspace; assign: fkm_predict with the start; cert: what "
	"exact\n"
	"costs over fast; floor: the larger of all multiply-adds at cuBLAS' rate for the type (f16 for f32 points) and "
	"one\n"
	"reading of the points, and the shares of it that exact fits and predictions reach.\n"
	"\n"
	"Elsewhere arrays are in host memory and times are wall-clock. Gma/s: f32 multiply-adds of all point-centroid "
	"pairs of\n"
	"the iterations and the final labels, over the median; peak: its share of what this CPU does in registers; GB/s: "
	"one\n"
	"reading of the points per pass; recheck: share of the point assignments that needed f64.\n";

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

static double parse_seconds(const char *option, const char *text)
{
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end || !(value >= 0 && value <= 3600))
		usage_error(option, text, "must be a number from 0 to 3600");
	return value;
}

static enum fkm_empty parse_empty(const char *option, const char *text)
{
	if (strcmp(text, "relocate") && strcmp(text, "keep"))
		usage_error(option, text, "must be relocate or keep");
	return !strcmp(text, "keep") ? FKM_EMPTY_KEEP : FKM_EMPTY_RELOCATE;
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

static void add_sweep(struct options *options, const char *option, const char *text)
{
	struct shape shapes[MAX_SWEEP];
	int count = strlen(text) == 1 ? sweep_shapes(*text, shapes) : 0;
	if (!count)
		usage_error(option, text, "must be n, k or d");
	for (int i = 0; i < count; i++)
		add_shape(options, "shape", shapes[i].name);
}

enum option_key {
	BACKEND = 1,
	CHECK,
	CUBLAS,
	DEVICE,
	EMPTY,
	HELP,
	ITERATIONS,
	JSON,
	LIST,
	NAME,
	NO_CEILINGS,
	REPEAT,
	SECONDS,
	SHAPE,
	STAGES,
	SWEEP,
	THREADS
};

static const struct option longs[] = {
	{"backend", required_argument, NULL, BACKEND},
	{"check", required_argument, NULL, CHECK},
	{"cublas", required_argument, NULL, CUBLAS},
	{"device", required_argument, NULL, DEVICE},
	{"empty", required_argument, NULL, EMPTY},
	{"help", no_argument, NULL, HELP},
	{"iterations", required_argument, NULL, ITERATIONS},
	{"json", required_argument, NULL, JSON},
	{"list", no_argument, NULL, LIST},
	{"name", required_argument, NULL, NAME},
	{"no-ceilings", no_argument, NULL, NO_CEILINGS},
	{"repeat", required_argument, NULL, REPEAT},
	{"seconds", required_argument, NULL, SECONDS},
	{"shape", required_argument, NULL, SHAPE},
	{"stages", no_argument, NULL, STAGES},
	{"sweep", required_argument, NULL, SWEEP},
	{"threads", required_argument, NULL, THREADS},
	{0},
};

static void take(struct options *options, const struct option *option)
{
	switch ((enum option_key)option->val) {
	case BACKEND:
		options->backend = optarg;
		break;
	case CHECK:
		options->check_rows = parse_int(option->name, optarg, 0, 100000000);
		break;
	case CUBLAS:
		options->cublas = optarg;
		break;
	case DEVICE:
		options->device = parse_int(option->name, optarg, 0, 1024);
		break;
	case EMPTY:
		options->empty = parse_empty(option->name, optarg);
		break;
	case HELP:
		fputs(usage, stdout);
		exit(EXIT_SUCCESS);
	case ITERATIONS:
		options->iterations = parse_int(option->name, optarg, 1, 1000000);
		break;
	case JSON:
		options->json = optarg;
		break;
	case LIST:
		list_shapes();
		exit(EXIT_SUCCESS);
	case NAME:
	case SHAPE:
		add_shape(options, option->name, optarg);
		break;
	case NO_CEILINGS:
		options->ceilings = false;
		break;
	case REPEAT:
		options->repeats = parse_int(option->name, optarg, 1, MAX_REPEATS);
		break;
	case SECONDS:
		options->seconds = parse_seconds(option->name, optarg);
		break;
	case STAGES:
		options->stages = true;
		break;
	case SWEEP:
		add_sweep(options, option->name, optarg);
		break;
	case THREADS:
		options->threads = parse_int(option->name, optarg, 1, 1024);
		break;
	}
}

void options_parse(int argc, char **argv, struct options *options)
{
	*options = (struct options){.device = -1, .iterations = 20, .repeats = 5, .seconds = 1, .ceilings = true};
	int option, index;
	while ((option = getopt_long(argc, argv, "", longs, &index)) != -1) {
		if (option == '?')
			exit(EXIT_USAGE);
		take(options, &longs[index]);
	}
	if (optind < argc) {
		fprintf(stderr, "fkm-bench: unexpected argument %s (see --help)\n", argv[optind]);
		exit(EXIT_USAGE);
	}
}

void options_default_shapes(struct options *options, bool cpu)
{
	int count;
	const struct shape *shapes = named_shapes(&count);
	if (options->count > 0)
		return;
	for (int i = cpu ? 0 : CPU_SHAPES; i < (cpu ? CPU_SHAPES : count); i++)
		options->shapes[options->count++] = shapes[i];
}
