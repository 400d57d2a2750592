/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "signals.h"

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ---- the estimate ---- */

static void follow(struct tool_trend *trend, int32_t steps, double value)
{
	if (steps > 2 && value > 0 && trend->last > 0) {
		double log_ratio = log(value / trend->last);
		trend->log_ratio += trend->log_ratio == 0 ? log_ratio : 0.2 * (log_ratio - trend->log_ratio);
	}
	trend->last = value;
}

/* Iterations until the quantity falls to goal at its present rate. */
static double iterations_to(const struct tool_trend *trend, double goal)
{
	if (goal > 0 && trend->last <= goal)
		return 0;
	if (goal <= 0 || trend->log_ratio >= 0)
		return INFINITY;
	return log(goal / trend->last) / trend->log_ratio;
}

/* Seconds to the end of the last run; every run is taken to last as long as this one. */
static double seconds_left(const struct tool_progress *progress, const struct fkm_progress *step)
{
	double left = step->max_iter - step->iteration;
	if (!progress->fixed) {
		left = fmin(left, iterations_to(&progress->shift, step->threshold));
		left = fmin(left, iterations_to(&progress->changed, 0.5));
	}
	double of_run = left * progress->run_seconds / progress->steps;
	return of_run + (progress->runs - 1 - step->run) * (progress->run_seconds + of_run);
}

/* ---- the line ---- */

static void describe(struct tool_progress *progress, const struct fkm_progress *step)
{
	char *line = progress->line;
	size_t size = sizeof progress->line;
	int used = 0;
	if (progress->runs > 1)
		used += snprintf(line, size, "start %" PRId32 "/%" PRId32 "  ", step->run + 1, progress->runs);
	used += snprintf(line + used, size - (size_t)used, "iteration %3" PRId32 "  changed %7" PRId64 "  shift %8.3g",
					 step->iteration, step->changed, step->shift);
	if (step->active > 1)
		used += snprintf(line + used, size - (size_t)used, "  active %" PRId64, step->active);
	if (!isnan(step->inertia))
		used += snprintf(line + used, size - (size_t)used, "  inertia %.5g", step->inertia);
	double milliseconds = step->seconds * 1e3;
	int decimals = milliseconds < 10 ? 2 : milliseconds < 100 ? 1 : 0;
	used += snprintf(line + used, size - (size_t)used, "  %6.*f ms", decimals, milliseconds);
	if (progress->steps > 2)
		snprintf(line + used, size - (size_t)used, "  %6.1f s left", seconds_left(progress, step));
}

static void show_live(struct tool_progress *progress)
{
	struct winsize window = {0};
	int length = (int)strlen(progress->line);
	if (ioctl(fileno(progress->stream), TIOCGWINSZ, &window) == 0 && window.ws_col > 0 && length >= window.ws_col)
		length = window.ws_col - 1; /* a wrapped line could not be rewritten */
	fprintf(progress->stream, "\r%.*s", length, progress->line);
	for (int i = length; i < progress->width; i++)
		fputc(' ', progress->stream);
	fflush(progress->stream);
	progress->width = length;
	progress->shown = now();
}

/* Long fits are not worth a line per iteration in a log. */
static bool is_worth_a_line(int32_t iteration)
{
	int32_t interval = iteration <= 100 ? 1 : iteration <= 1000 ? 10 : 100;
	return iteration % interval == 0;
}

/* ---- the fit ---- */

void tool_progress_init(struct tool_progress *progress, FILE *stream, const struct fkm_fit_params *params)
{
	*progress =
		(struct tool_progress){.stream = stream, .runs = params->n_init, .fixed = params->stop == FKM_STOP_FIXED};
	progress->live = stream && isatty(fileno(stream));
	if (progress->live && params->init == FKM_INIT_KMEANS_PLUS_PLUS) {
		snprintf(progress->line, sizeof progress->line, "seeding with k-means++");
		show_live(progress);
	}
}

int tool_progress_step(void *user, const struct fkm_progress *step)
{
	struct tool_progress *progress = user;
	progress->iterated = true;
	if (step->iteration == 1) {
		progress->steps = 0;
		progress->run_seconds = 0;
		progress->changed = progress->shift = (struct tool_trend){0};
	}
	progress->steps++;
	progress->run_seconds += step->seconds;
	follow(&progress->changed, progress->steps, (double)step->changed);
	follow(&progress->shift, progress->steps, step->shift);
	if (progress->stream) {
		describe(progress, step);
		if (!progress->live && is_worth_a_line(step->iteration))
			fprintf(progress->stream, "%s\n", progress->line);
		else if (progress->live && now() - progress->shown > 0.05)
			show_live(progress);
	}
	return tool_interrupted();
}

void tool_progress_end(struct tool_progress *progress)
{
	if (!progress->live)
		return;
	if (!progress->iterated)
		progress->line[0] = 0;
	show_live(progress);
	fputc(progress->iterated ? '\n' : '\r', progress->stream);
}
