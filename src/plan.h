/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planner: a pure function from problem, device limits, the backend's tile table and a memory limit to a plan.
 * It lists every tile as a candidate, drops illegal ones with a printable reason, ranks the rest by estimated time.
 */
#ifndef FKMI_PLAN_H
#define FKMI_PLAN_H

#include "backend.h"

struct fkmi_plan_request {
	const struct fkmi_backend *backend; /* its tiles(), scratch_bytes() and fuses() are used, nothing else */
	const struct fkmi_limits *limits;
	const struct fkmi_problem *problem;
	const char *kernel;   /* forced tile name, NULL or "": free choice */
	int64_t chunk_rows;   /* forced, 0: free choice */
	int64_t memory_bytes; /* workspace may not pass this; 0: limits->memory_bytes */
	int64_t extra_bytes;  /* workspace that the core adds for staging (copies of host arrays and results) */
	int64_t row_bytes;    /* of a row of points of all problems, where they come from the host; else 0 */
};

enum { FKMI_MAX_CANDIDATES = 64 };

struct fkmi_candidate {
	const struct fkmi_tile *tile;
	bool legal;
	char reason[160]; /* why it was dropped, a phrase; "" if legal */
	double seconds;   /* estimated, one iteration; legal ones only */
	int64_t workspace_bytes;
	struct fkmi_plan plan;
};

struct fkmi_candidates {
	int32_t count;
	int32_t chosen; /* index, -1 if none is legal */
	struct fkmi_candidate items[FKMI_MAX_CANDIDATES];
};

/* Fills *candidates and, when one is legal, *plan. FKM_ERROR_INVALID_ARGUMENT: no tile of that name (the message lists
 * the names); FKM_ERROR_OUT_OF_MEMORY: only memory stood in the way (the message names bytes needed and allowed);
 * FKM_ERROR_UNSUPPORTED: no candidate is legal (the message gives the reasons). candidates may be NULL. */
enum fkm_status fkmi_plan_make(const struct fkmi_plan_request *request, struct fkmi_plan *plan,
							   struct fkmi_candidates *candidates);

#endif
