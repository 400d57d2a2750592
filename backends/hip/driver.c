/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "dynload.h"
#include "hip.h"

enum { LEAST_MAJOR = 5 };

struct fkmi_hip_driver fkmi_hip_driver;
static bool loaded;
static char load_problem[768], load_name[64];

static void load_once(void)
{
	static const char *const sonames[] = {"libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5", NULL};
#define FKMI_HIP_SYMBOL(member, symbol, type, parameters, optional)                                                    \
	{#symbol, offsetof(struct fkmi_hip_driver, member), optional},
#define FKMI_HIP_CALL(member, cuda, symbol, parameters) FKMI_HIP_SYMBOL(calls.member, symbol, int, parameters, false)
	static const struct fkmi_symbol symbols[] = {FKMI_RUNTIME_FUNCTIONS(FKMI_HIP_CALL)
													 FKMI_HIP_FUNCTIONS(FKMI_HIP_SYMBOL)};
#undef FKMI_HIP_CALL
#undef FKMI_HIP_SYMBOL
	/* Frameworks bring a runtime of their own, and two in one process do not get along. */
	static const struct fkmi_library library = {
		.override_variable = "FKM_HIP_LIBRARY",
		.sonames = sonames,
		.prefer_loaded = true,
		.symbols = symbols,
		.symbol_count = sizeof symbols / sizeof symbols[0],
	};
	const char *name = NULL;
	loaded = fkmi_dynload(&library, &fkmi_hip_driver, &name, load_problem, sizeof load_problem);
	const char *slash = loaded ? strrchr(name, '/') : NULL;
	snprintf(load_name, sizeof load_name, "%s", slash != NULL ? slash + 1 : loaded ? name : "");
}

void fkmi_hip_version_text(char text[FKMI_HIP_VERSION_BYTES])
{
	int version = 0;
	if (fkmi_hip_driver.calls.version(&version) != FKMI_RUNTIME_SUCCESS)
		version = 0;
	snprintf(text, FKMI_HIP_VERSION_BYTES, "HIP %d.%d.%d (%.28s)", version / 10000000, version / 100000 % 100,
			 version % 100000, load_name);
}

enum fkm_status fkmi_hip_driver_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	if (pthread_once(&once, load_once) != 0)
		return fkmi_fail(FKM_ERROR_INTERNAL, "the HIP runtime cannot be opened: pthread_once failed");
	if (!loaded)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "the HIP runtime cannot be used: %s", load_problem);
	int version = 0, count = 0;
	char text[FKMI_HIP_VERSION_BYTES];
	FKMI_TRY(FKMI_RUNTIME_DO(&fkmi_hip_runtime, FKM_ERROR_NO_DEVICE, version, &version));
	fkmi_hip_version_text(text);
	if (version / 10000000 < LEAST_MAJOR)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "the runtime is %s, version %d or later is needed", text, LEAST_MAJOR);
	/* Before anything else: without a device other functions give results that mislead. */
	int result = fkmi_hip_driver.calls.device_count(&count);
	if (result == FKMI_RUNTIME_NO_DEVICE || (result == FKMI_RUNTIME_SUCCESS && count == 0))
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "%s finds no device", text);
	return fkmi_runtime_check(&fkmi_hip_runtime, result, "hipGetDeviceCount", FKM_ERROR_NO_DEVICE);
}

void fkmi_hip_describe(int result, const char **name, const char **text)
{
	*name = fkmi_hip_driver.error_name(result);
	*text = fkmi_hip_driver.error_string(result);
}
