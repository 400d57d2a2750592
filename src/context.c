/* SPDX-License-Identifier: Apache-2.0 */
#include "context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "group.h"
#include "merge.h"
#include "validate.h"

void fkm_context_params_init_size(struct fkm_context_params *params, size_t struct_size)
{
	const struct fkm_context_params defaults = {.device = -1, .log_level = FKM_LOG_WARNING};
	fkmi_init_struct(params, struct_size, &defaults, sizeof defaults);
}

/* An environment variable that must be a whole number of at least 0; absent or empty leaves *value. */
static enum fkm_status read_environment(const char *name, int32_t *value)
{
	const char *text = getenv(name);
	if (text == NULL || text[0] == '\0')
		return FKM_OK;
	char *end;
	errno = 0;
	long number = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || number < 0 || number > INT32_MAX)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "environment variable %s is \"%s\", not a whole number", name,
						 text);
	*value = (int32_t)number;
	return FKM_OK;
}

/* Leaves an index or, in device_name, a name; else NULL. */
static enum fkm_status read_device(struct fkm_context_params *params)
{
	const bool native = params->native_queue != NULL || params->native_context != NULL;
	const char *name = params->device_name, *variable = getenv("FKM_DEVICE");
	if (name != NULL && name[0] != '\0') {
		if (params->device >= 0)
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT,
							 "device is %d and device_name is \"%.64s\"; one of them is given", (int)params->device,
							 name);
		if (native)
			return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "device_name is \"%.64s\", but %s has its devices", name,
							 params->native_queue != NULL ? "native_queue" : "native_context");
		params->device = 0;
		return FKM_OK;
	}
	params->device_name = NULL;
	if (params->device >= 0)
		return FKM_OK;
	params->device = 0;
	/* A whole number, or else a name. */
	if (variable == NULL || strspn(variable, "0123456789") == strlen(variable))
		return read_environment("FKM_DEVICE", &params->device);
	params->device_name = native ? NULL : variable;
	return FKM_OK;
}

enum fkm_status fkmi_context_adopt(struct fkmi_device *device, struct fkm_context **context)
{
	*context = calloc(1, sizeof **context);
	if (*context == NULL) {
		device->backend->close(device);
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for a context");
	}
	(*context)->device = device;
	return FKM_OK;
}

enum fkm_status fkmi_context_join(struct fkm_context *context, const struct fkm_communicator *communicator)
{
	return fkmi_merge_create(communicator, &context->merge);
}

/* A context in front of those of several devices. */
static enum fkm_status adopt_group(struct fkmi_group *group, struct fkm_context **context)
{
	*context = calloc(1, sizeof **context);
	if (*context == NULL) {
		fkmi_group_destroy(group);
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for a context");
	}
	const struct fkm_context *first = fkmi_group_first(group);
	(*context)->device = first->device;
	(*context)->memory_budget_bytes = first->memory_budget_bytes;
	(*context)->group = group;
	return FKM_OK;
}

static const struct fkmi_struct context_params = {"fkm_context_params", sizeof(struct fkm_context_params),
												  offsetof(struct fkm_context_params, communicator)};

enum fkm_status fkm_context_create(const struct fkm_context_params *given, struct fkm_context **context)
{
	if (context == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "context is NULL");
	*context = NULL;
	struct fkm_context_params params;
	fkm_context_params_init(&params);
	if (given != NULL)
		FKMI_TRY(fkmi_read_struct(&context_params, given, given->struct_size, &params));
	if (params.device < -1)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "device is %d; it is -1 or an index", params.device);
	if (params.threads < 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "threads is %d; it is 0 or more", params.threads);
	if (params.memory_budget_bytes < 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "memory_budget_bytes is %lld; it is 0 or more",
						 (long long)params.memory_budget_bytes);
	if (params.log_level < FKM_LOG_ERROR || params.log_level > FKM_LOG_DEBUG)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "log_level is %d, which is no enum fkm_log_level",
						 (int)params.log_level);
	struct fkmi_group *group;
	FKMI_TRY(fkmi_group_create(&params, &group));
	if (group != NULL)
		return adopt_group(group, context);
	FKMI_TRY(read_device(&params));
	if (params.threads == 0)
		FKMI_TRY(read_environment("FKM_NUM_THREADS", &params.threads));

	const struct fkmi_open_params open = {
		.device = params.device,
		.device_name = params.device_name,
		.threads = params.threads,
		.memory_budget_bytes = params.memory_budget_bytes,
		.native_queue = params.native_queue,
		.native_context = params.native_context,
	};
	const struct fkmi_logger logger = {params.log, params.log_user, params.log_level};
	int32_t count;
	const struct fkmi_backend *const *backends = fkmi_registry(&count);
	struct fkmi_device *device;
	FKMI_TRY(fkmi_registry_open(backends, count, params.backend, &open, &logger, &device));
	FKMI_TRY(fkmi_context_adopt(device, context));
	(*context)->logger = logger;
	(*context)->memory_budget_bytes = params.memory_budget_bytes;
	(*context)->threads = params.threads;
	enum fkm_status status = fkmi_context_join(*context, params.communicator);
	if (status != FKM_OK) {
		fkm_context_destroy(*context);
		*context = NULL;
	}
	return status;
}

void fkm_context_destroy(struct fkm_context *context)
{
	if (context == NULL)
		return;
	if (context->group != NULL) {
		fkmi_group_destroy(context->group);
		free(context);
		return;
	}
	fkmi_merge_destroy(context->merge, context->lost);
	context->device->backend->close(context->device);
	free(context);
}

const char *fkm_context_backend(const struct fkm_context *context)
{
	return context->device->backend->name;
}

const char *fkm_context_device(const struct fkm_context *context)
{
	if (context->group != NULL)
		return fkmi_group_devices(context->group);
	return context->device->name;
}

enum fkm_status fkmi_context_check(const struct fkm_context *context)
{
	if (context == NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "context is NULL");
	if (context->lost)
		return fkmi_fail(FKM_ERROR_DEVICE_LOST, "the context's device (%s) was lost in an earlier call",
						 context->device->name);
	return FKM_OK;
}
