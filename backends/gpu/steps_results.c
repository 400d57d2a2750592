/* SPDX-License-Identifier: Apache-2.0 */
/* The steps distances, count and sort: kernels/common/results.h. */
#include "steps.h"

/* ---- distances ---- */

enum fkm_status fkmi_gpu_take_distances(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref active,
										struct fkmi_span span, struct fkmi_ref largest)
{
	enum { GROUPS_PER_UNIT = 4 }; /* No more than run at once, since relocate often finds nothing to do. */
	const struct fkmi_problem *p = &job->problem;
	/* One also where there are no rows, for the scale. */
	const int64_t blocks = fkmi_gpu_divide_up(span.rows + (span.rows == 0), FKMI_DISTANCE_ROUNDS * FKMI_OCTETS);
	const int64_t work = p->b * blocks, busy = (int64_t)device->limits.units * GROUPS_PER_UNIT;
	struct fkmi_gpu_call call = fkmi_gpu_call_for(device, job, active, "fkmi_k_distances");
	fkmi_gpu_add_points(&call);
	fkmi_gpu_add_weights(&call);
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, largest);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_ref(&call, job->distances);
	fkmi_gpu_add_i64(&call, p->n_all);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, span.row);
	fkmi_gpu_add_i64(&call, span.rows);
	fkmi_gpu_add_i64(&call, blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, work < busy ? work : busy);
}

enum fkm_status fkmi_gpu_distances(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_span span)
{
	enum { PIECE = 16 * FKMI_GROUP };
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_ref largest = fkmi_gpu_scratch(job, fkmi_gpu_layout_of(job).largest);
	const int64_t pieces = fkmi_gpu_divide_up(p->k * p->d, PIECE);
	FKMI_TRY(fkmi_gpu_fill(device, largest, 0, p->b * (int64_t)sizeof(int64_t)));
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_centroid_max");
	fkmi_gpu_add_ref(&call, job->centroids);
	fkmi_gpu_add_ref(&call, largest);
	fkmi_gpu_add_i64(&call, p->k * p->d);
	fkmi_gpu_add_i64(&call, PIECE);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	FKMI_TRY(fkmi_gpu_run(&call, p->b * pieces));
	return fkmi_gpu_take_distances(device, job, job->active, span, largest);
}

/* ---- count ---- */

enum fkm_status fkmi_gpu_count(struct fkmi_device *device, const struct fkmi_job *job)
{
	enum { LEAST_PIECE = 4 * FKMI_GROUP, MOST_PIECE = 8192, GROUPS_PER_UNIT = 4 };
	const struct fkmi_problem *p = &job->problem;
	/* Long pieces write less, but there must be enough of them. */
	int64_t piece = fkmi_gpu_divide_up(p->b * p->n, (int64_t)device->limits.units * GROUPS_PER_UNIT);
	piece = piece < LEAST_PIECE ? LEAST_PIECE : piece > MOST_PIECE ? MOST_PIECE : piece;
	const int64_t pieces = fkmi_gpu_divide_up(p->n, piece);
	struct fkmi_gpu_call zero = fkmi_gpu_call(device, job, "fkmi_k_zero");
	fkmi_gpu_add_ref(&zero, job->counts);
	fkmi_gpu_add_i64(&zero, p->k);
	fkmi_gpu_add_i64(&zero, p->b);
	FKMI_TRY(fkmi_gpu_run_elements(&zero, p->b * p->k));
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_count_labels");
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, job->counts);
	fkmi_gpu_add_ref(&call, job->state);
	fkmi_gpu_add_i64(&call, p->n);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, piece);
	fkmi_gpu_add_i64(&call, pieces);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * pieces);
}

/* ---- sort ---- */

static enum fkm_status count_blocks(struct fkmi_device *device, const struct fkmi_job *job,
									const struct fkmi_gpu_layout *l)
{
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_ref places = fkmi_gpu_scratch(job, l->sort_places);
	FKMI_TRY(fkmi_gpu_fill(device, places, 0, p->b * l->sort_blocks * p->k * (int64_t)sizeof(int32_t)));
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_sort_count");
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, places);
	fkmi_gpu_add_i64(&call, p->n);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, l->sort_rows_per_block);
	fkmi_gpu_add_i64(&call, l->sort_blocks);
	fkmi_gpu_add_i64(&call, p->b);
	FKMI_TRY(fkmi_gpu_run_elements(&call, p->b * p->n));
	struct fkmi_gpu_call starts = fkmi_gpu_call(device, job, "fkmi_k_sort_starts");
	fkmi_gpu_add_ref(&starts, places);
	fkmi_gpu_add_i64(&starts, p->k);
	fkmi_gpu_add_i64(&starts, l->sort_blocks);
	fkmi_gpu_add_i64(&starts, p->b);
	return fkmi_gpu_run_elements(&starts, p->b * p->k);
}

enum fkm_status fkmi_gpu_sort(struct fkmi_device *device, const struct fkmi_job *job, struct fkmi_ref order,
							  struct fkmi_ref offsets)
{
	const struct fkmi_problem *p = &job->problem;
	const struct fkmi_gpu_layout l = fkmi_gpu_layout_of(job);
	struct fkmi_gpu_call sums = fkmi_gpu_call(device, job, "fkmi_k_offsets");
	fkmi_gpu_add_ref(&sums, job->counts);
	fkmi_gpu_add_ref(&sums, offsets);
	fkmi_gpu_add_i64(&sums, p->k);
	fkmi_gpu_add_i64(&sums, p->b);
	FKMI_TRY(fkmi_gpu_run(&sums, p->b));
	FKMI_TRY(count_blocks(device, job, &l));
	struct fkmi_gpu_call call = fkmi_gpu_call(device, job, "fkmi_k_sort_place");
	fkmi_gpu_add_ref(&call, job->labels);
	fkmi_gpu_add_ref(&call, fkmi_gpu_scratch(job, l.sort_places));
	fkmi_gpu_add_ref(&call, offsets);
	fkmi_gpu_add_ref(&call, order);
	fkmi_gpu_add_i64(&call, p->n);
	fkmi_gpu_add_i64(&call, p->k);
	fkmi_gpu_add_i64(&call, l.sort_rows_per_block);
	fkmi_gpu_add_i64(&call, l.sort_blocks);
	fkmi_gpu_add_i64(&call, p->b);
	return fkmi_gpu_run(&call, p->b * l.sort_blocks);
}
