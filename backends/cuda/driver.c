/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <pthread.h>
#include <stdio.h>

#include "dynload.h"

/* The kernels were compiled by this major version of the toolkit, and drivers load code of their own major version or
 * an earlier one. 12.0 is the first with every symbol that is used. */
enum { REQUIRED_VERSION = (FKMI_CUDA_TOOLKIT_MAJOR > 12 ? FKMI_CUDA_TOOLKIT_MAJOR : 12) * 1000 };

static struct fkmi_cuda_driver table;
static bool loaded;
static char load_problem[768];

static void load_once(void)
{
	static const char *const sonames[] = {"libcuda.so.1", NULL};
#define FKMI_CUDA_SYMBOL(member, symbol, parameters) {#symbol, offsetof(struct fkmi_cuda_driver, member), false},
	static const struct fkmi_symbol symbols[] = {FKMI_CUDA_FUNCTIONS(FKMI_CUDA_SYMBOL)};
#undef FKMI_CUDA_SYMBOL
	static const struct fkmi_library library = {
		.override_variable = "FKM_CUDA_LIBRARY",
		.sonames = sonames,
		.prefer_loaded = true,
		.symbols = symbols,
		.symbol_count = sizeof symbols / sizeof symbols[0],
	};
	loaded = fkmi_dynload(&library, &table, NULL, load_problem, sizeof load_problem);
}

enum fkm_status fkmi_cuda_driver_open(const struct fkmi_cuda_driver **driver)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	*driver = NULL;
	if (pthread_once(&once, load_once) != 0)
		return fkmi_fail(FKM_ERROR_INTERNAL, "the CUDA driver cannot be opened: pthread_once failed");
	if (!loaded)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "the CUDA driver cannot be used: %s", load_problem);
	int version = 0;
	FKMI_TRY(fkmi_cuda_check(&table, table.version(&version), "cuDriverGetVersion", FKM_ERROR_NO_DEVICE));
	if (version < REQUIRED_VERSION)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "the driver is for CUDA %d.%d, this build needs one for %d.%d or later",
						 version / 1000, version % 1000 / 10, REQUIRED_VERSION / 1000, REQUIRED_VERSION % 1000 / 10);
	FKMI_TRY(fkmi_cuda_check(&table, table.init(0), "cuInit", FKM_ERROR_NO_DEVICE));
	*driver = &table;
	return FKM_OK;
}

/* After these the context, or the device, gives nothing but errors. */
static bool loses_device(fkmi_cu_result result)
{
	static const int lost[] = {
		4,   /* DEINITIALIZED */
		46,  /* DEVICE_UNAVAILABLE */
		201, /* INVALID_CONTEXT: somebody reset the device */
		214, /* ECC_UNCORRECTABLE */
		220, /* NVLINK_UNCORRECTABLE */
		226, /* CONTAINED */
		700, /* ILLEGAL_ADDRESS */
		702, /* LAUNCH_TIMEOUT */
		709, /* CONTEXT_IS_DESTROYED */
		710, /* ASSERT */
		714, /* HARDWARE_STACK_ERROR */
		715, /* ILLEGAL_INSTRUCTION */
		716, /* MISALIGNED_ADDRESS */
		717, /* INVALID_ADDRESS_SPACE */
		718, /* INVALID_PC */
		719, /* LAUNCH_FAILED */
		721, /* TENSOR_MEMORY_LEAK */
		806, /* MPS_RPC_FAILURE */
		810, /* MPS_CLIENT_TERMINATED */
	};
	for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++)
		if (lost[i] == result)
			return true;
	return false;
}

enum fkm_status fkmi_cuda_check(const struct fkmi_cuda_driver *driver, fkmi_cu_result result, const char *what,
								enum fkm_status other)
{
	if (result == FKMI_CU_SUCCESS)
		return FKM_OK;
	const char *name = NULL, *text = NULL;
	if (driver->error_name(result, &name) != FKMI_CU_SUCCESS || name == NULL)
		name = "an unknown error";
	if (driver->error_string(result, &text) != FKMI_CU_SUCCESS || text == NULL)
		text = "no description";
	enum fkm_status status = other;
	if (result == FKMI_CU_OUT_OF_MEMORY)
		status = FKM_ERROR_OUT_OF_MEMORY;
	else if (loses_device(result))
		status = FKM_ERROR_DEVICE_LOST;
	return fkmi_fail(status, "%s failed: %s (%d), %s", what, name, result, text);
}
