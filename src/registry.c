/* SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"

/* ---- the backends ---------------------------------------------------------------------------------------------- */

static const struct fkmi_backend *const built[] = {
#if defined(FKMI_HAVE_CUDA)
	&fkmi_backend_cuda,
#endif
#if defined(FKMI_HAVE_HIP)
	&fkmi_backend_hip,
#endif
#if defined(FKMI_HAVE_OPENCL)
	&fkmi_backend_opencl,
#endif
	&fkmi_backend_cpu,
};

/* Every backend that a build may have, in automatic order. */
static const char *const known_names[] = {"cuda", "hip", "opencl", "cpu"};

enum { KNOWN_NAMES = sizeof known_names / sizeof known_names[0] };

const struct fkmi_backend *const *fkmi_registry(int32_t *count)
{
	*count = (int32_t)(sizeof built / sizeof built[0]);
	return built;
}

static const struct fkmi_backend *find(const struct fkmi_backend *const *backends, int32_t count, const char *name)
{
	for (int32_t i = 0; i < count; i++)
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	return NULL;
}

/* ---- logging --------------------------------------------------------------------------------------------------- */

void fkmi_log(const struct fkmi_logger *logger, enum fkm_log_level level, const char *format, ...)
{
	if (logger == NULL || logger->log == NULL || level > logger->level)
		return;
	char line[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	for (char *c = line; *c != '\0'; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' ';
	logger->log(logger->user, level, line);
}

/* ---- devices by name ------------------------------------------------------------------------------------------- */

static bool contains(const char *text, const char *part)
{
	const size_t length = strlen(part);
	for (; *text != '\0'; text++)
		if (strncasecmp(text, part, length) == 0)
			return true;
	return false;
}

static enum fkm_status choose_named(const struct fkmi_backend *backend, const char *name,
									const struct fkm_device_info *infos, int32_t count, int32_t *index)
{
	char names[768];
	struct fkmi_text text = {.start = names, .capacity = sizeof names};
	for (int32_t i = 0; i < count; i++) {
		if (infos[i].device < 0)
			return fkmi_fail(FKM_ERROR_NO_DEVICE, "%s", infos[i].problem);
		if (contains(infos[i].name, name) || contains(infos[i].detail, name)) {
			*index = infos[i].device;
			return FKM_OK;
		}
		fkmi_text_add(&text, "%s%s (%s)", i == 0 ? "" : ", ", infos[i].name, infos[i].detail);
	}
	return fkmi_fail(FKM_ERROR_NO_DEVICE, "no device of backend %s is called \"%.64s\"; there %s %s", backend->name,
					 name, count == 1 ? "is" : "are", count == 0 ? "none" : names);
}

static enum fkm_status find_device(const struct fkmi_backend *backend, const char *name, int32_t *index)
{
	int32_t count = 0, capacity;
	FKMI_TRY(backend->list(NULL, 0, &count));
	capacity = count;
	struct fkm_device_info *infos = calloc((size_t)capacity + 1, sizeof *infos);
	if (infos == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory to list %d devices", (int)capacity);
	enum fkm_status status = backend->list(infos, capacity, &count);
	if (status == FKM_OK)
		status = choose_named(backend, name, infos, count < capacity ? count : capacity, index);
	free(infos);
	return status;
}

static enum fkm_status open_device(const struct fkmi_backend *backend, const struct fkmi_open_params *given,
								   struct fkmi_device **device)
{
	struct fkmi_open_params params = *given;
	if (params.device_name != NULL)
		FKMI_TRY(find_device(backend, params.device_name, &params.device));
	return backend->open(&params, device);
}

/* ---- choosing -------------------------------------------------------------------------------------------------- */

static enum fkm_status open_named(const struct fkmi_backend *const *backends, int32_t count, const char *name,
								  const char *asked_by, const struct fkmi_open_params *params,
								  const struct fkmi_logger *logger, struct fkmi_device **device)
{
	const struct fkmi_backend *backend = find(backends, count, name);
	if (backend == NULL) {
		char list[512];
		struct fkmi_text text = {.start = list, .capacity = sizeof list};
		for (int32_t i = 0; i < count; i++)
			fkmi_text_add(&text, "%s%s", i == 0 ? "" : ", ", backends[i]->name);
		for (int i = 0; i < KNOWN_NAMES; i++)
			if (find(backends, count, known_names[i]) == NULL)
				fkmi_text_add(&text, "; %s: not in this build", known_names[i]);
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "%s is \"%.64s\", which is none of the backends: %s", asked_by, name,
						 list);
	}
	enum fkm_status status = open_device(backend, params, device);
	if (status == FKM_OK)
		fkmi_log(logger, FKM_LOG_INFO, "backend %s, chosen by %s: %s", backend->name, asked_by, (*device)->name);
	else
		*device = NULL;
	return status;
}

/* Where none opens, the status is the one that all gave, else NO_DEVICE. */
static enum fkm_status open_first(const struct fkmi_backend *const *backends, int32_t count,
								  const struct fkmi_open_params *given, const struct fkmi_logger *logger,
								  struct fkmi_device **device)
{
	struct fkmi_open_params params = *given;
	params.automatic = true;
	/* A backend that is passed over is no failure of the caller's call: its sentence must not outlast it. */
	char sentence_before[1024], reasons[896];
	snprintf(sentence_before, sizeof sentence_before, "%s", fkm_error_message());
	struct fkmi_text text = {.start = reasons, .capacity = sizeof reasons};
	enum fkm_status common = FKM_OK;

	for (int i = 0; i < KNOWN_NAMES; i++)
		if (find(backends, count, known_names[i]) == NULL)
			fkmi_log(logger, FKM_LOG_DEBUG, "backend %s: not in this build", known_names[i]);
	for (int32_t i = 0; i < count; i++) {
		enum fkm_status status = open_device(backends[i], &params, device);
		if (status == FKM_OK) {
			fkmi_log(logger, FKM_LOG_INFO, "backend %s, the first that works: %s", backends[i]->name, (*device)->name);
			return fkmi_fail(FKM_OK, "%s", sentence_before);
		}
		*device = NULL;
		fkmi_text_add(&text, "%s%s: %s", i == 0 ? "" : "; ", backends[i]->name, fkm_error_message());
		/* No device is ordinary; anything else is a device that should have worked. */
		fkmi_log(logger, status == FKM_ERROR_NO_DEVICE ? FKM_LOG_INFO : FKM_LOG_WARNING, "backend %s passed over: %s",
				 backends[i]->name, fkm_error_message());
		common = i == 0 || status == common ? status : FKM_ERROR_NO_DEVICE;
	}
	return fkmi_fail(count == 0 ? FKM_ERROR_NO_DEVICE : common, "no backend works: %s",
					 count == 0 ? "there is none in this build" : reasons);
}

enum fkm_status fkmi_registry_open(const struct fkmi_backend *const *backends, int32_t count, const char *name,
								   const struct fkmi_open_params *params, const struct fkmi_logger *logger,
								   struct fkmi_device **device)
{
	*device = NULL;
	struct fkmi_open_params own = *params;
	own.logger = logger;
	if (name != NULL && name[0] != '\0')
		return open_named(backends, count, name, "backend", &own, logger, device);
	/* A queue of one vendor given to the driver of another would be taken for a pointer of its own. */
	if (params->native_queue != NULL || params->native_context != NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "%s is set, but backend does not name whose it is",
						 params->native_queue != NULL ? "native_queue" : "native_context");
	const char *variable = getenv("FKM_BACKEND");
	if (variable != NULL && variable[0] != '\0')
		return open_named(backends, count, variable, "environment variable FKM_BACKEND", &own, logger, device);
	return open_first(backends, count, &own, logger, device);
}

/* ---- listing --------------------------------------------------------------------------------------------------- */

enum fkm_status fkmi_registry_list(const struct fkmi_backend *const *backends, int32_t backend_count,
								   struct fkm_device_info *infos, int32_t capacity, int32_t *count)
{
	int32_t total = 0;
	for (int32_t i = 0; i < backend_count; i++) {
		int32_t written = total < capacity ? total : capacity, found = 0;
		FKMI_TRY(backends[i]->list(written < capacity ? infos + written : NULL, capacity - written, &found));
		total += found;
	}
	*count = total;
	return FKM_OK;
}

enum fkm_status fkm_device_list(struct fkm_device_info *infos, int32_t capacity, int32_t *count)
{
	if (count == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "count is NULL");
	*count = 0;
	if (capacity < 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "capacity is %d; it is 0 or more", capacity);
	if (infos == NULL && capacity > 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "infos is NULL, but capacity is %d", capacity);
	int32_t backend_count;
	const struct fkmi_backend *const *backends = fkmi_registry(&backend_count);
	return fkmi_registry_list(backends, backend_count, infos, capacity, count);
}
