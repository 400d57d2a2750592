/* SPDX-License-Identifier: Apache-2.0 */
#include "flashkmeans/flashkmeans.h"

#define STRINGIZE_(x) #x
#define STRINGIZE(x) STRINGIZE_(x)

const char *fkm_version(void)
{
	return STRINGIZE(FKM_VERSION_MAJOR) "." STRINGIZE(FKM_VERSION_MINOR) "." STRINGIZE(FKM_VERSION_PATCH);
}

const char *fkm_status_name(enum fkm_status status)
{
	switch (status) {
	case FKM_OK:
		return "FKM_OK";
	case FKM_ERROR_INVALID_ARGUMENT:
		return "FKM_ERROR_INVALID_ARGUMENT";
	case FKM_ERROR_NONFINITE:
		return "FKM_ERROR_NONFINITE";
	case FKM_ERROR_OVERFLOW:
		return "FKM_ERROR_OVERFLOW";
	case FKM_ERROR_OUT_OF_MEMORY:
		return "FKM_ERROR_OUT_OF_MEMORY";
	case FKM_ERROR_UNSUPPORTED:
		return "FKM_ERROR_UNSUPPORTED";
	case FKM_ERROR_NO_DEVICE:
		return "FKM_ERROR_NO_DEVICE";
	case FKM_ERROR_DEVICE_LOST:
		return "FKM_ERROR_DEVICE_LOST";
	case FKM_ERROR_BACKEND:
		return "FKM_ERROR_BACKEND";
	case FKM_ERROR_EMPTY_CLUSTER:
		return "FKM_ERROR_EMPTY_CLUSTER";
	case FKM_CANCELLED:
		return "FKM_CANCELLED";
	case FKM_ERROR_INTERNAL:
		return "FKM_ERROR_INTERNAL";
	case FKM_ERROR_COMMUNICATOR:
		return "FKM_ERROR_COMMUNICATOR";
	}
	return "unknown status";
}
