/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

enum { FIT = 1 << TOOL_FIT, PREDICT = 1 << TOOL_PREDICT, DEVICES = 1 << TOOL_DEVICES, PLAN = 1 << TOOL_PLAN };
enum { RUN = FIT | PREDICT, ANY = FIT | PREDICT | DEVICES | PLAN };

/* Those with a short form are that character. */
enum option_id {
	BATCH = 'b',
	DIMS = 'd',
	HELP = 'h',
	CLUSTERS = 'k',
	POINTS = 'n',
	QUIET = 'q',
	VERBOSE = 'v',
	OUTPUT = 256, /* OUTPUT + enum tool_output_kind */
	ABSOLUTE_TOL = OUTPUT + TOOL_OUTPUTS,
	BACKEND,
	CENTROIDS_DTYPE,
	CHECKPOINT,
	CHECKPOINT_EVERY,
	CHUNK_ROWS,
	DEVICE,
	DEVICE_LIST,
	DTYPE,
	EMPTY,
	FIXED,
	INIT,
	KERNEL,
	MAX_ITER,
	MAX_MEMORY,
	METRIC,
	N_INIT,
	PRECISION,
	RESUME,
	SEED,
	THREADS,
	TIME_LIMIT,
	TOL,
	WEIGHTED,
	WEIGHTS,
	IDS
};

static const struct definition {
	const char *name;
	int has_argument;
	int id;
	int commands;
} definitions[] = {
	{"absolute-tol", required_argument, ABSOLUTE_TOL, FIT},
	{"backend", required_argument, BACKEND, RUN | PLAN},
	{"batch", required_argument, BATCH, PLAN},
	{"centroids", required_argument, OUTPUT + TOOL_CENTROIDS, FIT},
	{"centroids-dtype", required_argument, CENTROIDS_DTYPE, FIT},
	{"checkpoint", required_argument, CHECKPOINT, FIT},
	{"checkpoint-every", required_argument, CHECKPOINT_EVERY, FIT},
	{"chunk-rows", required_argument, CHUNK_ROWS, RUN | PLAN},
	{"clusters", required_argument, CLUSTERS, FIT | PLAN},
	{"device", required_argument, DEVICE, RUN | PLAN},
	{"devices", required_argument, DEVICE_LIST, RUN},
	{"dims", required_argument, DIMS, PLAN},
	{"distances", required_argument, OUTPUT + TOOL_DISTANCES, RUN},
	{"dtype", required_argument, DTYPE, RUN | PLAN},
	{"empty", required_argument, EMPTY, FIT | PLAN},
	{"fixed", no_argument, FIXED, FIT},
	{"help", no_argument, HELP, ANY},
	{"init", required_argument, INIT, FIT},
	{"json", required_argument, OUTPUT + TOOL_JSON, RUN},
	{"kernel", required_argument, KERNEL, RUN | PLAN},
	{"labels", required_argument, OUTPUT + TOOL_LABELS, RUN},
	{"max-iter", required_argument, MAX_ITER, FIT},
	{"max-memory", required_argument, MAX_MEMORY, RUN | PLAN},
	{"metric", required_argument, METRIC, RUN | PLAN},
	{"n-init", required_argument, N_INIT, FIT},
	{"offsets", required_argument, OUTPUT + TOOL_OFFSETS, RUN},
	{"order", required_argument, OUTPUT + TOOL_ORDER, RUN},
	{"points", required_argument, POINTS, PLAN},
	{"precision", required_argument, PRECISION, RUN | PLAN},
	{"quiet", no_argument, QUIET, RUN},
	{"resume", no_argument, RESUME, FIT},
	{"seed", required_argument, SEED, FIT},
	{"threads", required_argument, THREADS, RUN | PLAN},
	{"time-limit", required_argument, TIME_LIMIT, RUN},
	{"tol", required_argument, TOL, FIT},
	{"verbose", no_argument, VERBOSE, RUN | PLAN},
	{"weighted", no_argument, WEIGHTED, PLAN},
	{"weights", required_argument, WEIGHTS, RUN},
};
enum { DEFINITIONS = sizeof definitions / sizeof *definitions };

static const char *const command_names[] = {
	[TOOL_FIT] = "fit", [TOOL_PREDICT] = "predict", [TOOL_DEVICES] = "devices", [TOOL_PLAN] = "plan"};

static const char *option_name(int id)
{
	for (int i = 0; i < DEFINITIONS; i++)
		if (definitions[i].id == id)
			return definitions[i].name;
	return "";
}

const char *tool_output_option(enum tool_output_kind kind)
{
	static const char *const names[] = {"--labels", "--centroids", "--order", "--offsets", "--distances", "--json"};
	return names[kind];
}

/* ---- values ---- */

static enum tool_exit parse_integer(int id, const char *text, int64_t least, int64_t most, int64_t *value)
{
	char *end;
	errno = 0;
	long long parsed = strtoll(text, &end, 10);
	if (end == text || *end || errno || parsed < least || parsed > most) {
		if (most == INT64_MAX)
			return tool_fail(TOOL_USAGE, "--%s: '%s' is not a whole number of at least %" PRId64, option_name(id), text,
							 least);
		return tool_fail(TOOL_USAGE, "--%s: '%s' is not a whole number from %" PRId64 " to %" PRId64, option_name(id),
						 text, least, most);
	}
	*value = parsed;
	return TOOL_OK;
}

static enum tool_exit parse_int32(int id, const char *text, int32_t least, int32_t *value)
{
	int64_t parsed;
	TOOL_TRY(parse_integer(id, text, least, INT32_MAX, &parsed));
	*value = (int32_t)parsed;
	return TOOL_OK;
}

static enum tool_exit parse_seed(const char *text, uint64_t *seed)
{
	char *end;
	errno = 0;
	unsigned long long parsed = strtoull(text, &end, 10);
	if (end == text || *end || errno || strchr(text, '-'))
		return tool_fail(TOOL_USAGE, "--seed: '%s' is not a whole number from 0 to %" PRIu64, text, UINT64_MAX);
	*seed = parsed;
	return TOOL_OK;
}

/* "0,1,2" */
static enum tool_exit parse_devices(int id, const char *text, struct tool_options *options)
{
	options->device_count = 0;
	for (const char *at = text;; at++) {
		char *end;
		const long value = strtol(at, &end, 10);
		if (end == at || value < 0 || value > INT32_MAX || (*end != ',' && *end != '\0') ||
			options->device_count == TOOL_MOST_DEVICES)
			return tool_fail(TOOL_USAGE, "--%s: '%s' is not a list like 0,1 of at most %d devices", option_name(id),
							 text, TOOL_MOST_DEVICES);
		options->devices[options->device_count++] = (int32_t)value;
		if (*end == '\0')
			return TOOL_OK;
		at = end;
	}
}

static enum tool_exit parse_tolerance(int id, const char *text, double *tolerance)
{
	char *end;
	double parsed = strtod(text, &end);
	if (end == text || *end || !isfinite(parsed) || parsed < 0)
		return tool_fail(TOOL_USAGE, "--%s: '%s' is not a number of at least 0", option_name(id), text);
	*tolerance = parsed;
	return TOOL_OK;
}

/* "512M", "4G", "4GiB": powers of 1024. */
static enum tool_exit parse_size(int id, const char *text, int64_t *bytes)
{
	static const char units[] = "KMGTP";
	char *end;
	errno = 0;
	long long parsed = strtoll(text, &end, 10);
	bool good = end != text && !errno && parsed > 0;
	const char *unit = *end ? strchr(units, *end) : NULL;
	if (good && unit) {
		int shift = 10 * (int)(unit - units + 1);
		good = parsed <= INT64_MAX >> shift;
		parsed = good ? parsed << shift : parsed;
		end++;
		if (strcmp(end, "iB") == 0)
			end += 2;
	}
	if (!good || *end)
		return tool_fail(TOOL_USAGE, "--%s: '%s' is not a size like 512M or 4G", option_name(id), text);
	*bytes = parsed;
	return TOOL_OK;
}

struct word {
	const char *text;
	int value;
};

static const struct word metrics[] = {{"euclidean", FKM_METRIC_EUCLIDEAN}, {"cosine", FKM_METRIC_COSINE}, {0}};
static const struct word empties[] = {
	{"relocate", FKM_EMPTY_RELOCATE}, {"keep", FKM_EMPTY_KEEP}, {"error", FKM_EMPTY_ERROR}, {0}};
static const struct word precisions[] = {{"exact", FKM_PRECISION_EXACT}, {"fast", FKM_PRECISION_FAST}, {0}};
static const struct word point_dtypes[] = {{"f16", FKM_F16}, {"bf16", FKM_BF16}, {"f32", FKM_F32}, {0}};
static const struct word centroid_dtypes[] = {{"f32", FKM_F32}, {"f64", FKM_F64}, {0}};

static enum tool_exit parse_word(int id, const char *text, const struct word *words, int *value)
{
	char known[128] = "";
	for (const struct word *word = words; word->text; word++) {
		if (strcmp(text, word->text) == 0) {
			*value = word->value;
			return TOOL_OK;
		}
		if (word != words)
			strcat(known, word[1].text ? ", " : " and ");
		strcat(known, word->text);
	}
	return tool_fail(TOOL_USAGE, "--%s: '%s' is not known; %s are", option_name(id), text, known);
}

/* ---- one option ---- */

static void set_init(const char *text, struct tool_options *options)
{
	options->start = NULL;
	if (strcmp(text, "k-means++") == 0) {
		options->init = FKM_INIT_KMEANS_PLUS_PLUS;
	} else if (strcmp(text, "random") == 0) {
		options->init = FKM_INIT_RANDOM;
	} else {
		options->init = FKM_INIT_CENTROIDS;
		options->start = text;
	}
}

static enum tool_exit take_option(int id, const char *text, struct tool_options *options)
{
	enum tool_exit code = TOOL_OK;
	int value = 0;
	switch (id) {
	case ABSOLUTE_TOL:
		options->stop = FKM_STOP_ABSOLUTE;
		return parse_tolerance(id, text, &options->tol);
	case BACKEND:
		options->backend = text;
		return TOOL_OK;
	case BATCH:
		return parse_integer(id, text, 1, INT64_MAX, &options->plan_batch);
	case CENTROIDS_DTYPE:
		code = parse_word(id, text, centroid_dtypes, &value);
		options->centroids_dtype = (enum fkm_dtype)value;
		return code;
	case CHECKPOINT:
		options->checkpoint = text;
		return TOOL_OK;
	case CHECKPOINT_EVERY:
		return parse_int32(id, text, 1, &options->checkpoint_every);
	case CHUNK_ROWS:
		return parse_integer(id, text, 1, INT64_MAX, &options->chunk_rows);
	case CLUSTERS:
		return parse_integer(id, text, 1, INT32_MAX, &options->clusters);
	case DEVICE:
		if (text[0] == '\0' || strspn(text, "0123456789") < strlen(text)) {
			options->device_name = text;
			return TOOL_OK;
		}
		return parse_int32(id, text, 0, &options->device);
	case DEVICE_LIST:
		return parse_devices(id, text, options);
	case DIMS:
		return parse_integer(id, text, 1, INT64_MAX, &options->plan_dims);
	case DTYPE:
		code = parse_word(id, text, point_dtypes, &value);
		options->dtype = (enum fkm_dtype)value;
		return code;
	case EMPTY:
		code = parse_word(id, text, empties, &value);
		options->empty = (enum fkm_empty)value;
		return code;
	case FIXED:
		options->stop = FKM_STOP_FIXED;
		return TOOL_OK;
	case HELP:
		options->help = true;
		return TOOL_OK;
	case INIT:
		set_init(text, options);
		return TOOL_OK;
	case KERNEL:
		options->kernel = text;
		return TOOL_OK;
	case MAX_ITER:
		return parse_int32(id, text, 0, &options->max_iter);
	case MAX_MEMORY:
		return parse_size(id, text, &options->max_memory);
	case METRIC:
		code = parse_word(id, text, metrics, &value);
		options->metric = (enum fkm_metric)value;
		return code;
	case N_INIT:
		return parse_int32(id, text, 1, &options->n_init);
	case POINTS:
		return parse_integer(id, text, 1, INT64_MAX, &options->plan_points);
	case PRECISION:
		code = parse_word(id, text, precisions, &value);
		options->precision = (enum fkm_precision)value;
		return code;
	case QUIET:
		options->quiet = true;
		return TOOL_OK;
	case RESUME:
		options->resume = true;
		return TOOL_OK;
	case SEED:
		return parse_seed(text, &options->seed);
	case THREADS:
		return parse_int32(id, text, 1, &options->threads);
	case TIME_LIMIT:
		return parse_tolerance(id, text, &options->time_limit);
	case TOL:
		return parse_tolerance(id, text, &options->tol);
	case VERBOSE:
		options->verbose = true;
		return TOOL_OK;
	case WEIGHTED:
		options->plan_weights = true;
		return TOOL_OK;
	case WEIGHTS:
		options->weights = text;
		return TOOL_OK;
	default:
		options->outputs[id - OUTPUT] = text;
		return TOOL_OK;
	}
}

/* ---- the whole ---- */

static enum tool_exit take_operands(int count, char **operands, struct tool_options *options)
{
	static const struct {
		int count;
		const char *what;
	} wanted[] = {[TOOL_FIT] = {1, "one file of points"},
				  [TOOL_PREDICT] = {2, "a file of points and a file of centroids"},
				  [TOOL_DEVICES] = {0, "no file"},
				  [TOOL_PLAN] = {0, "no file"}};
	if (count > wanted[options->command].count)
		return tool_fail(TOOL_USAGE, "'%s' is one argument too many: fkm %s takes %s",
						 operands[wanted[options->command].count], command_names[options->command],
						 wanted[options->command].what);
	if (count < wanted[options->command].count)
		return tool_fail(TOOL_USAGE, "fkm %s needs %s", command_names[options->command], wanted[options->command].what);
	if (count > 0)
		options->points = operands[0];
	if (count > 1)
		options->start = operands[1];
	return TOOL_OK;
}

/* A file of the command line, for comparing: resolved is NULL if it cannot be found, which is reported when it is
 * opened. */
struct named_file {
	const char *role, *name;
	char *resolved;
};

static bool same_file(const struct named_file *a, const struct named_file *b)
{
	if (strcmp(a->name, "-") == 0 || strcmp(b->name, "-") == 0)
		return strcmp(a->name, b->name) == 0;
	return a->resolved && b->resolved && strcmp(a->resolved, b->resolved) == 0;
}

/* Every output is a file of its own; standard input and standard output serve once. Devices may repeat. */
static enum tool_exit check_files(const struct tool_options *options)
{
	enum { INPUTS = 3, CHECKPOINTS = INPUTS + TOOL_OUTPUTS, FILES };
	struct named_file files[FILES] = {{"the points", options->points, NULL},
									  {options->command == TOOL_FIT ? "--init" : "the centroids", options->start, NULL},
									  {"--weights", options->weights, NULL}};
	for (int i = 0; i < TOOL_OUTPUTS; i++)
		files[INPUTS + i] =
			(struct named_file){tool_output_option((enum tool_output_kind)i), options->outputs[i], NULL};
	files[CHECKPOINTS] = (struct named_file){"--checkpoint", options->checkpoint, NULL};
	for (int i = 0; i < FILES; i++)
		if (files[i].name && !files[i].name[0])
			return tool_fail(TOOL_USAGE, "%s: the name of the file is empty", files[i].role);
	for (int i = 0; i < FILES; i++)
		if (files[i].name)
			files[i].resolved = tool_resolve(files[i].name);

	enum tool_exit code = TOOL_OK;
	for (int i = 0; i < FILES && code == TOOL_OK; i++) {
		for (int j = i + 1; j < FILES && code == TOOL_OK; j++) {
			if (!files[i].name || !files[j].name || !same_file(&files[i], &files[j]))
				continue;
			bool is_stream = strcmp(files[i].name, "-") == 0;
			if (is_stream && (i < INPUTS) == (j < INPUTS))
				code = tool_fail(TOOL_USAGE, "%s and %s cannot both be '-'", files[i].role, files[j].role);
			else if (!is_stream && j >= INPUTS && strncmp(files[j].resolved, "/dev/", 5) != 0)
				code = tool_fail(TOOL_USAGE, "%s: '%s' is the same file as %s", files[j].role, files[j].name,
								 files[i].role);
		}
	}
	for (int i = 0; i < FILES; i++)
		free(files[i].resolved);
	return code;
}

static enum tool_exit check_combinations(const struct tool_options *options, const bool *given)
{
	const int stops[] = {TOL, ABSOLUTE_TOL, FIXED};
	for (int i = 0; i < 3; i++)
		for (int j = i + 1; j < 3; j++)
			if (given[stops[i]] && given[stops[j]])
				return tool_fail(TOOL_USAGE, "--%s and --%s exclude each other", option_name(stops[i]),
								 option_name(stops[j]));
	if (given[CENTROIDS_DTYPE] && !options->outputs[TOOL_CENTROIDS])
		return tool_fail(TOOL_USAGE, "--centroids-dtype says nothing without --centroids");
	const int with_checkpoint[] = {CHECKPOINT_EVERY, RESUME};
	for (int i = 0; i < 2; i++)
		if (given[with_checkpoint[i]] && !options->checkpoint)
			return tool_fail(TOOL_USAGE, "--%s says nothing without --checkpoint", option_name(with_checkpoint[i]));
	if (options->checkpoint && strcmp(options->checkpoint, "-") == 0)
		return tool_fail(TOOL_USAGE, "--checkpoint needs a file, not '-'");
	if (options->command == TOOL_PLAN) {
		const int needed[] = {POINTS, CLUSTERS, DIMS};
		for (int i = 0; i < 3; i++)
			if (!given[needed[i]])
				return tool_fail(TOOL_USAGE, "fkm plan needs -%c", needed[i]);
	}
	return TOOL_OK;
}

static enum tool_exit bad_option(int result, char **argv, enum tool_command command)
{
	const char *argument = argv[optind - 1];
	if (result == ':') {
		if (optopt < 256 && strncmp(argument, "--", 2) != 0)
			return tool_fail(TOOL_USAGE, "-%c needs a value", optopt);
		return tool_fail(TOOL_USAGE, "%s needs a value", argument);
	}
	if (optopt >= 256 || (optopt && strncmp(argument, "--", 2) == 0))
		return tool_fail(TOOL_USAGE, "--%s takes no value", option_name(optopt));
	if (optopt)
		return tool_fail(TOOL_USAGE, "fkm %s has no option -%c", command_names[command], optopt);
	size_t length = strcspn(argument, "=");
	for (int i = 0; i < DEFINITIONS; i++)
		if (definitions[i].commands & 1 << command && strncmp(argument + 2, definitions[i].name, length - 2) == 0)
			return tool_fail(TOOL_USAGE, "fkm %s has several options that begin with %.*s", command_names[command],
							 (int)length, argument);
	return tool_fail(TOOL_USAGE, "fkm %s has no option %.*s", command_names[command], (int)length, argument);
}

enum tool_exit tool_options_parse(enum tool_command command, int argc, char **argv, struct tool_options *options)
{
	*options = (struct tool_options){.command = command,
									 .centroids_dtype = FKM_F64,
									 .max_iter = 300,
									 .n_init = 1,
									 .checkpoint_every = 10,
									 .tol = 1e-4,
									 .device = -1,
									 .time_limit = 600,
									 .plan_batch = 1};
	struct option known[DEFINITIONS + 1] = {0};
	char letters[2 * DEFINITIONS + 2] = ":";
	for (int i = 0, used = 0; i < DEFINITIONS; i++) {
		const struct definition *definition = &definitions[i];
		if (!(definition->commands & 1 << command))
			continue;
		known[used++] = (struct option){definition->name, definition->has_argument, NULL, definition->id};
		if (definition->id < 256) {
			strcat(letters, (char[]){(char)definition->id, 0});
			strcat(letters, definition->has_argument == required_argument ? ":" : "");
		}
	}

	bool given[IDS] = {false};
	opterr = 0;
	optind = 1;
	for (int id; (id = getopt_long(argc, argv, letters, known, NULL)) != -1;) {
		if (id == ':' || id == '?')
			return bad_option(id, argv, command);
		given[id] = true;
		TOOL_TRY(take_option(id, optarg, options));
	}
	if (options->help)
		return TOOL_OK;
	TOOL_TRY(take_operands(argc - optind, argv + optind, options));
	TOOL_TRY(check_combinations(options, given));
	return check_files(options);
}
