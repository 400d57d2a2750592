/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of the host side that CUDA and HIP share, over the fake CUDA driver; among others with every call of the driver
 * failing. HIP gets there by the shim of tests/hip.
 */
#ifndef FKM_HOST_SIDE_H
#define FKM_HOST_SIDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "backends/gpu/runtime.h"
#include "tests/cuda/fake/fake.h"

/* The backend that a program tests, and the caller's side of its runtime. */
struct host_side {
	const struct fkmi_backend *backend;
	void (*release_contexts)(void); /* that the runtime, not the library, keeps */
	void (*choose_device)(int device);
	int (*chosen_device)(void);
};
extern const struct host_side host_side;

extern const struct fake_cuda_setup hopper;

void expect(enum fkm_status status, enum fkm_status expected);
void expect_message(const char *part);
void expect_no_misuse(void);
void expect_nothing_alive(void);

enum fkm_status create(struct fkm_context **context);
enum fkm_status open_device(const struct fkmi_open_params *params, struct fkmi_runtime_gpu **gpu);

void test_arguments(void **state);
void test_memory(void **state);
void test_budget(void **state);
void test_failures(void **state);
void test_failures_of_everything(void **state);
void test_failures_of_streaming(void **state);
void test_hanging_reductions(void **state);

#endif
