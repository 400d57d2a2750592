/* SPDX-License-Identifier: Apache-2.0 */
/* Timing one shape with everything in device memory. */
#ifndef BENCH_MEASURE_DEVICE_H
#define BENCH_MEASURE_DEVICE_H

#include "check.h"
#include "options.h"
#include "pools.h"
#include "spread.h"

struct device_measurement {
	struct shape shape;
	int iterations;
	int64_t copies; /* sets of points that the calls took turns with */
	/* Milliseconds of whole calls: exact and fast fits between events and on the host's clock, and predictions. */
	struct spread fit[PRECISIONS], host[PRECISIONS], assign[PRECISIONS];
	struct spread plain; /* exact fits with the default trust_finite and workspace, on the host's clock */
	struct spread no_iteration,
		one_iteration; /* exact fits with max_iter 0 and 1 between events, if stages are wanted */
	/* Calls of fkm_update with the labels of the call before, likewise; and calls that it refuses for one of the labels,
	 * once it has done all but the update. */
	struct spread update, refused_update;
	double first_ms;                  /* the first call of all, an exact plain fit, on the host's clock */
	struct fkm_diagnosis diagnosis;   /* of an exact plain fit */
	double workspace_bytes_per_point; /* what a point more costs */
	struct check check;               /* of an exact fit's labels, if wanted */
	int64_t predicted_otherwise;      /* labels of that fit that a prediction with its centroids does not give */
};

/* Fills *m; false, with what was had freed, after a sentence on standard error. The context works on the device's queue. */
bool measure_on_device(struct fkm_context *context, struct device *device, const struct pools *pools,
					   const struct shape *shape, const struct options *options, struct device_measurement *m);

#endif
