/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>

#include "cuda.h"
#include "dynload.h"

/* The kernels were compiled by this major version of the toolkit, and drivers load code of their own major version or
 * an earlier one. 12.0 is the first with every symbol that is used. */
enum { REQUIRED_VERSION = (FKMI_CUDA_TOOLKIT_MAJOR > 12 ? FKMI_CUDA_TOOLKIT_MAJOR : 12) * 1000 };

struct fkmi_cuda_driver fkmi_cuda_driver;
static bool loaded;
static char load_problem[768];

static void load_once(void)
{
	static const char *const sonames[] = {"libcuda.so.1", NULL};
#define FKMI_CUDA_SYMBOL(member, symbol, parameters) {#symbol, offsetof(struct fkmi_cuda_driver, member), false},
#define FKMI_CUDA_CALL(member, symbol, hip, parameters) FKMI_CUDA_SYMBOL(calls.member, symbol, parameters)
	static const struct fkmi_symbol symbols[] = {FKMI_CUDA_FUNCTIONS(FKMI_CUDA_SYMBOL)
													 FKMI_RUNTIME_FUNCTIONS(FKMI_CUDA_CALL)};
#undef FKMI_CUDA_CALL
#undef FKMI_CUDA_SYMBOL
	static const struct fkmi_library library = {
		.override_variable = "FKM_CUDA_LIBRARY",
		.sonames = sonames,
		.prefer_loaded = true,
		.symbols = symbols,
		.symbol_count = sizeof symbols / sizeof symbols[0],
	};
	loaded = fkmi_dynload(&library, &fkmi_cuda_driver, NULL, load_problem, sizeof load_problem);
}

enum fkm_status fkmi_cuda_driver_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	if (pthread_once(&once, load_once) != 0)
		return fkmi_fail(FKM_ERROR_INTERNAL, "the CUDA driver cannot be opened: pthread_once failed");
	if (!loaded)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "the CUDA driver cannot be used: %s", load_problem);
	int version = 0;
	FKMI_TRY(FKMI_RUNTIME_DO(&fkmi_cuda_runtime, FKM_ERROR_NO_DEVICE, version, &version));
	if (version < REQUIRED_VERSION)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "the driver is for CUDA %d.%d, this build needs one for %d.%d or later",
						 version / 1000, version % 1000 / 10, REQUIRED_VERSION / 1000, REQUIRED_VERSION % 1000 / 10);
	return fkmi_cuda_check(fkmi_cuda_driver.init(0), "cuInit", FKM_ERROR_NO_DEVICE);
}

void fkmi_cuda_describe(fkmi_cu_result result, const char **name, const char **text)
{
	if (fkmi_cuda_driver.error_name(result, name) != FKMI_CU_SUCCESS)
		*name = NULL;
	if (fkmi_cuda_driver.error_string(result, text) != FKMI_CU_SUCCESS)
		*text = NULL;
}
