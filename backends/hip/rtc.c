/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling the kernels at run time, for GPUs that the embedded code does not fit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dynload.h"
#include "hip.h"

/* Written by scripts/bundle_kernels.py: kernels/hip/kernels.hip with all that it includes. */
extern const char fkmi_hip_source[];

/* hiprtcResult */
enum { RTC_SUCCESS = 0 };

#define RTC_FUNCTIONS(X)                                                                                               \
	X(create, hiprtcCreateProgram,                                                                                     \
	  (void **program, const char *source, const char *name, int headers, const char *const *header_texts,             \
	   const char *const *header_names))                                                                               \
	X(destroy, hiprtcDestroyProgram, (void **program))                                                                 \
	X(compile, hiprtcCompileProgram, (void *program, int count, const char *const *options))                           \
	X(log_bytes, hiprtcGetProgramLogSize, (void *program, size_t *bytes))                                              \
	X(log, hiprtcGetProgramLog, (void *program, char *log))                                                            \
	X(code_bytes, hiprtcGetCodeSize, (void *program, size_t *bytes))                                                   \
	X(code, hiprtcGetCode, (void *program, char *code))

struct rtc {
#define RTC_MEMBER(member, symbol, parameters) int(*member) parameters;
	RTC_FUNCTIONS(RTC_MEMBER)
#undef RTC_MEMBER
};

bool fkmi_hip_rtc_wanted(void)
{
	const char *value = getenv("FKM_HIP_RTC");
	return value != NULL && strcmp(value, "1") == 0;
}

static enum fkm_status open_library(struct rtc *rtc)
{
	/* Up to ROCm 5.2 it was part of the runtime. */
	static const char *const sonames[] = {"libhiprtc.so.7", "libhiprtc.so.6", "libhiprtc.so.5", "libamdhip64.so.5",
										  NULL};
#define RTC_SYMBOL(member, symbol, parameters) {#symbol, offsetof(struct rtc, member), false},
	static const struct fkmi_symbol symbols[] = {RTC_FUNCTIONS(RTC_SYMBOL)};
#undef RTC_SYMBOL
	static const struct fkmi_library library = {
		.override_variable = "FKM_HIPRTC_LIBRARY",
		.sonames = sonames,
		.prefer_loaded = true,
		.symbols = symbols,
		.symbol_count = sizeof symbols / sizeof symbols[0],
	};
	char reason[512];
	if (fkmi_dynload(&library, rtc, NULL, reason, sizeof reason))
		return FKM_OK;
	return fkmi_fail(FKM_ERROR_NO_DEVICE, "FKM_HIP_RTC is set, but hipRTC cannot be used: %s", reason);
}

/* What the compiler said, as far as it fits a sentence. */
static enum fkm_status fail_to_compile(const struct rtc *rtc, void *program, const char *target, int result)
{
	size_t bytes = 0;
	char *log = NULL;
	if (rtc->log_bytes(program, &bytes) == RTC_SUCCESS && bytes > 0)
		log = calloc(1, bytes + 1);
	if (log != NULL && rtc->log(program, log) != RTC_SUCCESS)
		log[0] = '\0';
	enum fkm_status status =
		fkmi_fail(FKM_ERROR_NO_DEVICE, "hipRTC cannot compile the kernels for %s: error %d, %.400s", target, result,
				  log != NULL ? log : "without a log");
	free(log);
	return status;
}

static enum fkm_status compile(const struct rtc *rtc, void *program, const char *target, void **code)
{
	char architecture[96];
	snprintf(architecture, sizeof architecture, "--offload-arch=%s", target);
	const char *const options[] = {architecture, "-O3", "-std=c++17", "-ffp-contract=off"};
	int result = rtc->compile(program, (int)(sizeof options / sizeof options[0]), options);
	if (result != RTC_SUCCESS)
		return fail_to_compile(rtc, program, target, result);
	size_t bytes = 0;
	result = rtc->code_bytes(program, &bytes);
	char *all = result == RTC_SUCCESS && bytes > 0 ? malloc(bytes) : NULL;
	if (all == NULL)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "hipRTC gives no code for %s: error %d, %zu bytes", target, result,
						 bytes);
	result = rtc->code(program, all);
	if (result != RTC_SUCCESS) {
		free(all);
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "hipRTC gives no code for %s: error %d", target, result);
	}
	*code = all;
	return FKM_OK;
}

enum fkm_status fkmi_hip_rtc_compile(const char *target, void **code)
{
	struct rtc rtc;
	void *program = NULL;
	*code = NULL;
	FKMI_TRY(open_library(&rtc));
	int result = rtc.create(&program, fkmi_hip_source, "flashkmeans.hip", 0, NULL, NULL);
	if (result != RTC_SUCCESS)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "hiprtcCreateProgram failed with %d", result);
	enum fkm_status status = compile(&rtc, program, target, code);
	rtc.destroy(&program);
	return status;
}
