/* SPDX-License-Identifier: Apache-2.0 */
/* What of devices and launches is HIP's own: targets, current devices. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hip.h"

/* ---- targets ---- */

/* The device's target ID: the processor, and which of its features are on or off, "gfx90a:sramecc+:xnack-". */
enum { TARGET_BYTES = 64 };

static enum fkm_status ask_target(int device, char target[TARGET_BYTES])
{
	const struct fkmi_hip_driver *driver = &fkmi_hip_driver;
	const bool newer = driver->properties_r0600 != NULL;
	if (!newer && driver->properties_r0000 == NULL)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "the HIP runtime has no hipGetDeviceProperties to ask for the target");
	char *properties = calloc(1, FKMI_HIP_PROPERTIES_BYTES);
	if (properties == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for %d bytes of properties", FKMI_HIP_PROPERTIES_BYTES);
	int result = (newer ? driver->properties_r0600 : driver->properties_r0000)(properties, device);
	const char *name = properties + (newer ? FKMI_HIP_TARGET_R0600 : FKMI_HIP_TARGET_R0000);
	memcpy(target, name, TARGET_BYTES);
	target[TARGET_BYTES - 1] = '\0';
	free(properties);
	FKMI_TRY(fkmi_runtime_check(&fkmi_hip_runtime, result, "hipGetDeviceProperties", FKM_ERROR_NO_DEVICE));
	if (strncmp(target, "gfx", 3) != 0)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "the HIP runtime does not name the device's target where it is expected");
	return FKM_OK;
}

/* Whether the embedded code has one for the processor of a target ID: the words of FKMI_HIP_TARGETS. */
static bool is_embedded(const char *target)
{
	const size_t length = strcspn(target, ":");
	for (const char *word = FKMI_HIP_TARGETS; *word != '\0'; word += strspn(word, " ")) {
		const size_t word_length = strcspn(word, " ");
		if (word_length == length && strncmp(word, target, length) == 0)
			return true;
		word += word_length;
	}
	return false;
}

/* 942 for gfx942; the last digit is hexadecimal, so 910 for gfx90a. */
static int architecture_of(const char *target)
{
	const long number = strtol(target + 3, NULL, 16);
	int decimal = 0;
	for (int shift = 12; shift >= 0; shift -= 4)
		decimal = decimal * 10 + (int)(number >> shift & 15);
	return decimal;
}

/* Those that kernels/hip/kernels.hip has kernels for. */
static uint64_t features_of(int architecture)
{
	if (architecture == 910 || architecture == 942)
		return FKMI_HIP_MFMA;
	return architecture / 100 == 11 ? FKMI_HIP_WMMA : 0;
}

enum fkm_status fkmi_hip_identify(int device, struct fkmi_runtime_facts *facts)
{
	char target[TARGET_BYTES], version[FKMI_HIP_VERSION_BYTES];
	fkmi_hip_version_text(version);
	snprintf(facts->detail, sizeof facts->detail, "%s", version);
	FKMI_TRY(ask_target(device, target));
	snprintf(facts->detail, sizeof facts->detail, "%s, %s", target, version);
	facts->architecture = architecture_of(target);
	facts->features = features_of(facts->architecture);
	if (is_embedded(target) || fkmi_hip_rtc_wanted())
		return FKM_OK;
	return fkmi_fail(FKM_ERROR_NO_DEVICE,
					 "%s has the target %s, and this build has code for %s; FKM_HIP_RTC=1 compiles it at run time",
					 facts->name, target, FKMI_HIP_TARGETS);
}

/* ---- the current device ---- */

int fkmi_hip_enter(struct fkmi_runtime_gpu *gpu)
{
	struct fkmi_hip *hip = (struct fkmi_hip *)gpu;
	int device = 0;
	int result = fkmi_hip_driver.get_device(&device);
	if (result != FKMI_RUNTIME_SUCCESS)
		return result;
	hip->caller_device = device;
	return device == gpu->ordinal ? FKMI_RUNTIME_SUCCESS : fkmi_hip_driver.set_device(gpu->ordinal);
}

void fkmi_hip_leave(struct fkmi_runtime_gpu *gpu)
{
	const struct fkmi_hip *hip = (struct fkmi_hip *)gpu;
	if (hip->caller_device != gpu->ordinal)
		fkmi_hip_driver.set_device(hip->caller_device);
}

/* A device has one context, which is there by itself; what may be missing is code. */
enum fkm_status fkmi_hip_acquire(struct fkmi_runtime_gpu *gpu)
{
	char target[TARGET_BYTES];
	FKMI_TRY(ask_target(gpu->ordinal, target));
	if (!is_embedded(target))
		FKMI_TRY(fkmi_hip_rtc_compile(target, &gpu->compiled));
	gpu->acquired = true;
	return FKM_OK;
}

void fkmi_hip_release(struct fkmi_runtime_gpu *gpu)
{
	free(gpu->compiled);
	gpu->compiled = NULL;
}

/* hipStreamGetDevice came with ROCm 5.6; the other tells an unknown stream by -1. */
enum fkm_status fkmi_hip_adopt(struct fkmi_runtime_gpu *gpu, const struct fkmi_open_params *params)
{
	const struct fkmi_hip_driver *driver = &fkmi_hip_driver;
	int device = -1;
	if (driver->stream_device != NULL) {
		if (driver->stream_device(params->native_queue, &device) != FKMI_RUNTIME_SUCCESS)
			device = -1;
	} else if (driver->stream_device_id != NULL) {
		device = driver->stream_device_id(params->native_queue);
	}
	if (device < 0)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "native_queue is not a stream that the HIP runtime knows");
	gpu->ordinal = device;
	gpu->stream = params->native_queue;
	return FKM_OK;
}

/* ---- launches ---- */

static enum fkm_status launch_entered(struct fkmi_runtime_gpu *gpu, const struct fkmi_runtime_launch *launch)
{
	struct fkmi_runtime_kernel *kernel;
	FKMI_TRY(fkmi_runtime_find(gpu, launch->kernel, &kernel));
	int result = fkmi_hip_driver.launch(kernel->function, (unsigned)launch->blocks, 1, 1, (unsigned)launch->threads, 1,
										1, (unsigned)launch->local_bytes, gpu->stream, launch->arguments, NULL);
	if (result == FKMI_RUNTIME_SUCCESS)
		return FKM_OK;
	char what[160];
	snprintf(what, sizeof what, "launching kernel %s, %lld x %d threads, (hipModuleLaunchKernel)", kernel->name,
			 (long long)launch->blocks, launch->threads);
	return fkmi_runtime_check(&fkmi_hip_runtime, result, what, FKM_ERROR_BACKEND);
}

enum fkm_status fkmi_hip_launch(struct fkmi_runtime_gpu *gpu, const struct fkmi_runtime_launch *launch)
{
	/* A grid's items are counted in 32 bits. */
	assert(launch->blocks <= UINT32_MAX / launch->threads);
	if (launch->blocks <= 0)
		return FKM_OK;
	FKMI_TRY(fkmi_runtime_enter(gpu));
	enum fkm_status status = launch_entered(gpu, launch);
	fkmi_runtime_leave(gpu);
	return status;
}
