/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fit between two iterations, as bytes. What is kept are the centroids that the last iteration found: doing it again
 * gives its labels, sums and centroids, so that neither labels nor sums need keeping, and nothing depends on how many
 * ranks or which devices made them.
 */
#ifndef FKMI_CHECKPOINT_H
#define FKMI_CHECKPOINT_H

#include "job.h"

/* The parts of a checkpoint, within its bytes. */
struct fkmi_checkpoint {
	int32_t run;       /* 0 .. n_init-1 */
	int32_t iteration; /* from 1: that to do again */
	/* [b]. As far as the iteration has come: a problem that went into it has n_iter >= iteration; one that has stopped has
	 * reason UNCHANGED or SHIFT. */
	int32_t *n_iter;
	int32_t *reason;
	double *centroids; /* [b, K, d], before the iteration */
	/* [b] and [b, K, d]: of the best run before this one; NULL in run 0. */
	int32_t *best_n_iter;
	int32_t *best_reason;
	double *best_inertia;
	double *best_centroids;
};

/* Everything but the checkpoint's place in the fit that the results depend on, as far as it is known; what differs
 * has a name. */
enum { FKMI_SETTINGS = 17 };
struct fkmi_settings {
	uint64_t values[FKMI_SETTINGS];
};

/* Of a call that is open: waits for the device. */
enum fkm_status fkmi_checkpoint_settings(struct fkmi_work *work, struct fkmi_settings *settings);

/* Bytes of a checkpoint in the first run (later: false) or a later one. */
int64_t fkmi_checkpoint_bytes(const struct fkmi_problem *p, bool later);

/* Lays out a checkpoint of parts->run and ->iteration in fkmi_checkpoint_bytes at `bytes`, 8-byte aligned: sets the other
 * members of parts, which the caller fills. */
void fkmi_checkpoint_begin(void *bytes, const struct fkmi_problem *p, const struct fkmi_settings *settings,
						   struct fkmi_checkpoint *parts);
/* Once the parts are filled. */
void fkmi_checkpoint_seal(void *bytes);

/* Finds the parts of the caller's checkpoint, which may hold anything, after checking all of it. */
enum fkm_status fkmi_checkpoint_read(const void *bytes, int64_t size, const struct fkmi_problem *p,
									 const struct fkmi_settings *settings, struct fkmi_checkpoint *parts);

/* By which ranks see that they have the same checkpoint, whatever its bytes; at least 0, and 0 for none. */
int64_t fkmi_checkpoint_mark(const void *bytes, int64_t size);

#endif
