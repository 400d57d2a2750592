/* SPDX-License-Identifier: Apache-2.0 */
/* fkm, the command line of flashkmeans. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "launch.h"
#include "signals.h"

static const struct {
	const char *name;
	enum tool_exit (*run)(const struct tool_options *options, struct tool_ranks *ranks);
} commands[] = {[TOOL_FIT] = {"fit", tool_fit},
				[TOOL_PREDICT] = {"predict", tool_predict},
				[TOOL_DEVICES] = {"devices", tool_devices},
				[TOOL_PLAN] = {"plan", tool_plan}};
enum { COMMANDS = sizeof commands / sizeof *commands };

static enum tool_exit run_command(enum tool_command command, int argc, char **argv, struct tool_ranks *ranks)
{
	struct tool_options options;
	TOOL_TRY(tool_options_parse(command, argc, argv, &options));
	if (options.help) {
		if (ranks->rank == 0)
			fputs(tool_command_help(command), stdout);
		return TOOL_OK;
	}
	tool_set_quiet(options.quiet || ranks->rank > 0);
	tool_signals_install();
	TOOL_TRY(tool_launch_connect(options.time_limit, ranks));
	return commands[command].run(&options, ranks);
}

static enum tool_exit dispatch(int argc, char **argv, struct tool_ranks *ranks)
{
	if (argc < 2)
		return tool_fail(TOOL_USAGE, "a command is needed: fit, predict, devices or plan; see fkm --help");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		if (ranks->rank == 0)
			fputs(tool_help, stdout);
		return TOOL_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		if (ranks->rank == 0)
			printf("fkm %s\n", fkm_version());
		return TOOL_OK;
	}
	for (int i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return run_command((enum tool_command)i, argc - 1, argv + 1, ranks);
	return tool_fail(TOOL_USAGE, "'%s' is not a command; fit, predict, devices and plan are", argv[1]);
}

int main(int argc, char **argv)
{
	struct tool_ranks ranks;
	enum tool_exit code = tool_launch_begin(&argc, &argv, &ranks);
	if (code == TOOL_OK)
		code = dispatch(argc, argv, &ranks);
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == TOOL_OK)
		code = tool_fail(TOOL_FAILED, "standard output: cannot be written: %s", strerror(errno));
	/* All say the same, but where they cannot reach each other. */
	if (code != TOOL_OK && (ranks.rank == 0 || ranks.broken))
		fprintf(stderr, "fkm: %s\n", tool_failure());
	tool_launch_end(&ranks, code);
	return (int)code;
}
