/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One public call in progress: its plan, its workspace, and the moves between the caller's arrays and the device that
 * every call makes. The order is plan, open, steps, deliver, end.
 */
#ifndef FKMI_JOB_H
#define FKMI_JOB_H

#include <fenv.h>

#include "plan.h"
#include "validate.h"
#include "windows.h"

struct fkmi_work {
	struct fkm_context *context;
	struct fkmi_device *device;
	const struct fkmi_backend *backend;
	struct fkmi_request request;
	struct fkmi_job job;

	struct fkmi_ref block; /* the whole workspace */
	bool owns_block;
	struct fkmi_windows *windows; /* NULL: all points are on the device */
	int64_t workspace_bytes;
	struct fkmi_plan_request plan_request; /* what the planner was asked */
	struct fkmi_problem planned;           /* of it: the problem, with a row where this rank has none */

	struct fkmi_ref rows;   /* int64 [b, K]: random rows, only when they are drawn */
	struct fkmi_ref best;   /* f64 [b, K, d]: centroids of the best run, only with several */
	struct fkmi_ref before; /* f64 [b, K, d]: as the last iteration found them; with checkpoints */
	struct fkmi_ref start;  /* the caller's centroids on the device */
	struct fkmi_ref order, offsets, centroids_out; /* where results are made: the caller's memory or staging */

	struct fkmi_state *states; /* [b], as last downloaded: counters grow over the call */
	struct fkmi_state *seen;   /* [b], as downloaded the time before */
	int32_t *active;           /* [b], as last uploaded */
	double *thresholds;        /* [b] */
	int64_t *shared;           /* [b, a few]: numbers of the states while ranks share them */
	/* Asked after each part of an assignment, of which so many rows of each problem are done; true: no more of it. NULL:
	 * nobody is. */
	bool (*watch)(void *context, int64_t rows);
	void *watch_context;
	bool stopped; /* by that */
	bool waits;   /* something the caller asked for needs the host to wait for the device */
	struct fkm_seconds seconds;
	double started;
	fenv_t environment; /* the caller's floating-point environment */
};

/* Plans the call and fills in where its memory would go; bytes of workspace in work->workspace_bytes. No
 * allocation. On failure work->plan_request still holds what was asked; it points into *work. */
enum fkm_status fkmi_work_plan(struct fkm_context *context, const struct fkmi_request *request, struct fkmi_work *work);

/* The workspace queries: what a call with these arguments would take, were the library to allocate it. */
enum fkm_status fkmi_work_query(struct fkm_context *context, enum fkmi_call call, const struct fkm_array *points,
								const struct fkm_array *centroids, const struct fkm_fit_params *params,
								const struct fkm_fit_result *result, int64_t *bytes);

/*
 * Opens a public call: sets the default floating-point environment (a caller that flushes denormals or rounds otherwise
 * must not change the bits; fkmi_work_end restores it), checks the arguments (as fkmi_check_call), sees that all ranks
 * make this call, plans it, takes memory, brings host arrays to the device, checks points and weights, makes row norms
 * and grids. Also on failure the caller must call fkmi_work_end.
 */
enum fkm_status fkmi_work_begin(struct fkm_context *context, enum fkmi_call call, const struct fkm_array *points,
								const struct fkm_array *centroids, const int32_t *labels,
								const struct fkm_fit_params *params, const struct fkm_fit_result *result,
								struct fkmi_work *work);

/* Marks the problems with active[b] != 0 (NULL: all) as those that steps work on. */
enum fkm_status fkmi_work_activate(struct fkmi_work *work, const int32_t *active);

/* Waits and brings the states to work->states, counters being those of all ranks; what was there goes to work->seen. */
enum fkm_status fkmi_work_states(struct fkmi_work *work);

/* Centroids from the request's start array; fails where it is not finite. */
enum fkm_status fkmi_work_load_start(struct fkmi_work *work);

/* Labels from the request's labels; fails where one is out of range. */
enum fkm_status fkmi_work_load_labels(struct fkmi_work *work);

/* sums and weight_sums of all problems become 0, as FULL needs them. */
enum fkm_status fkmi_work_zero_sums(struct fkmi_work *work);

/* total_sums and total_weights from the sums of all ranks. */
enum fkm_status fkmi_work_total(struct fkmi_work *work);

/* All labels become -1. */
enum fkm_status fkmi_work_clear_labels(struct fkmi_work *work);

/* prepare and assign of all active problems; accumulate says what becomes of the sums, and with them of the totals. */
enum fkm_status fkmi_work_assign(struct fkmi_work *work, enum fkmi_accumulate accumulate);

/* `count` iterations where the plan says that they are whole. */
enum fkm_status fkmi_work_iterate(struct fkmi_work *work, bool anew, int32_t count);

/* Distances (where wanted) and the inertia of each active problem into inertia[b] (NULL: not wanted). */
enum fkm_status fkmi_work_inertia(struct fkmi_work *work, double *inertia);

/* Copies everything that result wants from the device and fills its diagnosis (counters only where work->waits). */
enum fkm_status fkmi_work_deliver(struct fkmi_work *work, struct fkm_fit_result *result);

/* Frees everything, notes a lost device in the context and passes status on: the last thing that a public call does. */
enum fkm_status fkmi_work_end(struct fkmi_work *work, enum fkm_status status);

#endif
