/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points in host memory that the device has no room for. The first rows of each problem stay on the device, the others
 * come in windows, plan.chunk_rows rows of every problem at a time, by copies that run beside the steps: two buffers on
 * the device, and, unless the caller's memory is pinned and its rows lie together, a ring of pinned buffers into which
 * several threads pack. A pass over the points visits the windows of the rows that stay, too, in between the others, so
 * that copies find the device busy. Each pass goes the other way round, and begins with what the buffers still hold.
 */
#ifndef FKMI_WINDOWS_H
#define FKMI_WINDOWS_H

#include "backend.h"

/* ---- for steps ---- */

/* A stop of a pass over the points. Zeroed before the pass. */
struct fkmi_window {
	struct fkmi_job job;   /* the job that was given, with the points of the span's rows */
	struct fkmi_span span; /* no rows: the pass is over */
	int64_t visit;         /* stops before this one */
	int32_t buffer;        /* that it came through, from 1; 0: none */
};

/* To the next stop. Without windows a pass takes at most `rows` rows at a time, in order. Whatever was enqueued since the
 * stop before may use that one's points. */
enum fkm_status fkmi_next_window(const struct fkmi_job *job, int64_t rows, struct fkmi_window *window);

/*
 * Rows that are needed singly, of `problems` problems from b on. With windows, list brings those of the numbers in rows
 * (int64 [problems, count], device memory; what lies outside 0 .. n-1 gives zeros) from the host; count is at most K. It
 * waits. fkmi_listed then is the job with the points of the last list, packed, each problem's in place of its first
 * rows. Without windows there is nothing to do, and all points are there.
 */
enum fkm_status fkmi_list_rows(const struct fkmi_job *job, int64_t b, int64_t problems, struct fkmi_ref rows,
							   int64_t count);
struct fkmi_job fkmi_listed(const struct fkmi_job *job, int64_t b, int64_t count);

/* Whether a pass that only problems with a flag need (int32 [b], device memory) is to be made at all. Without windows it
 * is, as kernels that find nothing to do cost nothing; with them this waits. */
enum fkm_status fkmi_pass_needed(const struct fkmi_job *job, struct fkmi_ref flags, bool *needed);

/* ---- for the core ---- */

/* Device memory for points that come from the host, beside fkmi_workspace_bytes(); row_bytes: of a row of all problems.
 * -1 if that overflows. */
int64_t fkmi_points_bytes(const struct fkmi_problem *problem, const struct fkmi_plan *plan, int64_t row_bytes);

/*
 * Takes pinned memory and threads (`threads`; 0: as many as the process may use, within reason) for a job whose plan has streamed rows, and sets job->windows.
 * points are the caller's, in host memory; block is device memory of fkmi_points_bytes(); active [b], 256-byte aligned
 * or not, says from now on which problems are active. Nothing is copied yet. On failure *windows is NULL.
 */
enum fkm_status fkmi_windows_open(struct fkmi_device *device, struct fkmi_job *job, const struct fkm_array *points,
								  struct fkmi_ref block, const int32_t *active, int threads,
								  struct fkmi_windows **windows);

/* After a change of which problems are active. */
void fkmi_windows_activate(struct fkmi_windows *windows);

/* Between the stops of a pass: waits until the device is done with what was enqueued before the last call of this. */
enum fkm_status fkmi_pace(struct fkmi_windows *windows);

/* Waits for the copies and frees everything; lost: the device is gone. NULL is allowed. */
void fkmi_windows_close(struct fkmi_windows *windows, bool lost);

#endif
