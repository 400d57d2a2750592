/* SPDX-License-Identifier: Apache-2.0 */
/* The backends of this build, and choosing one at run time. */
#ifndef FKMI_REGISTRY_H
#define FKMI_REGISTRY_H

#include "backend.h"
#include "error.h"

/* All backends of this build in automatic order (cuda, hip, opencl, cpu); *count receives how many. */
const struct fkmi_backend *const *fkmi_registry(int32_t *count);

/* Where the registry says what it passed over; log may be NULL. */
struct fkmi_logger {
	fkm_log_fn log;
	void *user;
	enum fkm_log_level level;
};
void fkmi_log(const struct fkmi_logger *logger, enum fkm_log_level level, const char *format, ...) FKMI_PRINTF(3, 4);

/* fkm_device_list over the given backends. */
enum fkm_status fkmi_registry_list(const struct fkmi_backend *const *backends, int32_t backend_count,
								   struct fkm_device_info *infos, int32_t capacity, int32_t *count);

/*
 * Opens the device of the named backend, or, with name NULL or "", of FKM_BACKEND, or of the first backend in
 * automatic order that opens; the others are logged with their reasons. The list is given so that tests can pass
 * their own. An unknown name is FKM_ERROR_NO_DEVICE and lists the known ones ("cuda: not in this build" for known names
 * that the build left out). The backend gets the logger, too.
 */
enum fkm_status fkmi_registry_open(const struct fkmi_backend *const *backends, int32_t count, const char *name,
								   const struct fkmi_open_params *params, const struct fkmi_logger *logger,
								   struct fkmi_device **device);

#endif
