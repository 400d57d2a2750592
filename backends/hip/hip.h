/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HIP backend share. */
#ifndef FKMI_HIP_H
#define FKMI_HIP_H

#include "driver.h"

/* Bits of fkmi_limits.features, for fkmi_tile.needs. */
enum {
	FKMI_HIP_MFMA = 1 << 0, /* gfx90a, gfx942: v_mfma_f32_32x32x8 */
	FKMI_HIP_WMMA = 1 << 1, /* gfx11: v_wmma_f32_16x16x16 */
};

/* An open HIP device. */
struct fkmi_hip {
	struct fkmi_runtime_gpu base; /* first */
	int caller_device;            /* what was the thread's current one on entering */
};

/* ---- backend.c ---- */
extern const struct fkmi_runtime fkmi_hip_runtime;

/* ---- device.c: members of fkmi_hip_runtime ---- */
enum fkm_status fkmi_hip_identify(int device, struct fkmi_runtime_facts *facts);
enum fkm_status fkmi_hip_adopt(struct fkmi_runtime_gpu *gpu, const struct fkmi_open_params *params);
enum fkm_status fkmi_hip_acquire(struct fkmi_runtime_gpu *gpu);
void fkmi_hip_release(struct fkmi_runtime_gpu *gpu);
int fkmi_hip_enter(struct fkmi_runtime_gpu *gpu);
void fkmi_hip_leave(struct fkmi_runtime_gpu *gpu);
enum fkm_status fkmi_hip_launch(struct fkmi_runtime_gpu *gpu, const struct fkmi_runtime_launch *launch);

/* ---- rtc.c ---- */
/* Whether the user asked that kernels be compiled for devices that the embedded code does not fit. */
bool fkmi_hip_rtc_wanted(void);
/* Compiles the embedded source for a target by hipRTC; free() the code. FKM_ERROR_NO_DEVICE with the reason. */
enum fkm_status fkmi_hip_rtc_compile(const char *target, void **code);

#endif
