/* SPDX-License-Identifier: Apache-2.0 */
/* What a fit shows on standard error while it runs. */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

#include "flashkmeans/flashkmeans.h"

/* A quantity that falls from one iteration to the next, and how fast. */
struct tool_trend {
	double last;
	double log_ratio; /* smoothed log(last / before) per iteration; 0: not known yet */
};

struct tool_progress {
	FILE *stream; /* NULL: show nothing */
	bool live;    /* a terminal: one line, rewritten */
	int width;    /* of what the line last showed */
	double shown; /* when */
	char line[256];
	bool iterated; /* at least once */
	int32_t runs;
	bool fixed;         /* all iterations are made */
	int32_t steps;      /* iterations of this run so far, a resumed one's since then */
	double run_seconds; /* they took */
	struct tool_trend changed, shift;
};

/* params: those of the fit to come; stream NULL: show nothing. A terminal shows that seeding has begun. */
void tool_progress_init(struct tool_progress *progress, FILE *stream, const struct fkm_fit_params *params);

/* A fkm_progress_fn whose user is a struct tool_progress; ends the fit after an interrupt. */
int tool_progress_step(void *user, const struct fkm_progress *step);

/* Leaves the last line complete on the terminal, or none if there was no iteration. */
void tool_progress_end(struct tool_progress *progress);

#endif
