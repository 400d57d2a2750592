/* SPDX-License-Identifier: Apache-2.0 */
/* What is checked at the public boundary, once: below it the core and the backends assert. Nothing here reads data. */
#ifndef FKMI_VALIDATE_H
#define FKMI_VALIDATE_H

#include "backend.h"
#include "context.h"

/* A public struct that begins with its struct_size: what it is in this version, and its size in the first one. */
struct fkmi_struct {
	const char *name;
	size_t size, first_size;
};

/*
 * Copies a caller's struct of given_size bytes over *known, of type->size bytes, which holds the defaults: what the caller's
 * version did not have keeps them. A struct smaller than that of the first version, or a larger one with bytes set that
 * this library does not know, is refused.
 */
enum fkm_status fkmi_read_struct(const struct fkmi_struct *type, const void *given, size_t given_size, void *known);

/* Sets a caller's struct of given_size bytes, first of them its struct_size, to the defaults as far as it goes. */
void fkmi_init_struct(void *given, size_t given_size, const void *defaults, size_t known_size);

/* A caller's array with its strides made explicit and checked: sizes, overflow, alignment, memory kind. */
struct fkmi_array_rules {
	const char *name; /* for messages: "points" */
	uint32_t dtypes;  /* bits 1 << enum fkm_dtype that are allowed */
	bool may_be_null; /* data NULL is allowed */
	bool may_be_none; /* 0 rows are, whose data may be NULL: of a rank among several */
	int64_t batch;    /* required batch, or 1 (shared); 0: any */
	int64_t rows;     /* required rows; 0: any */
	int64_t dims;     /* required dims; 0: any */
};
enum fkm_status fkmi_check_array(const struct fkm_context *context, const struct fkmi_array_rules *rules,
								 const struct fkm_array *given, struct fkm_array *array);

/* Everything about a call that is checked and made explicit. */
struct fkmi_request {
	struct fkm_fit_params params; /* with all defaults filled in */
	struct fkm_fit_result result; /* copy of the caller's, for the pointers */
	struct fkm_array points;
	struct fkm_array start;   /* init_centroids, centroids or previous; data NULL if none */
	struct fkm_array weights; /* data NULL if none */
	const int32_t *labels;    /* fkm_update, fkm_inertia */
	struct fkmi_problem problem;
	/* Of all ranks: */
	int64_t first_row;  /* of this rank's points */
	bool watched;       /* somebody has a callback, */
	bool kept;          /* keeps checkpoints or resumes from one, */
	bool wants_inertia; /* wants the inertia, */
	bool rounds;        /* or centroids as f32 */
};

enum fkmi_call { FKMI_CALL_FIT, FKMI_CALL_PREDICT, FKMI_CALL_UPDATE, FKMI_CALL_INERTIA };

/*
 * Validates the arguments of one public call into *request. centroids is the separate argument of predict, update and
 * inertia, NULL for a fit. params and result may be NULL (defaults; no outputs). with_data: false for queries, where
 * data pointers may be NULL.
 */
enum fkm_status fkmi_check_call(const struct fkm_context *context, enum fkmi_call call, bool with_data,
								const struct fkm_array *points, const struct fkm_array *centroids,
								const int32_t *labels, const struct fkm_fit_params *params,
								const struct fkm_fit_result *result, struct fkmi_request *request);

/* What is checked of the number of all ranks' points, once it is known. */
enum fkm_status fkmi_check_rows(enum fkmi_call call, const struct fkmi_request *request);

#endif
