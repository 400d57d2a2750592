/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the OpenCL backend's host side share. */
#ifndef FKM_TEST_OPENCL_H
#define FKM_TEST_OPENCL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/opencl/opencl.h"
#include "fake/fake.h"

/* A CPU on the first platform and a GPU on the second one. */
extern const struct fake_opencl_setup two_devices;

void expect(enum fkm_status status, enum fkm_status expected);
void expect_message(const char *part);
/* No misuse of the driver, and nothing alive. */
void expect_clean(void);

/* A context of the backend on a device. */
enum fkm_status create(int32_t device, struct fkm_context **context);
enum fkm_status open_device(const struct fkmi_open_params *params, struct fkmi_opencl **opencl);

/* Random rows and a fixed number of iterations; all that a fit can do besides; that with points that stream. */
enum scenario { PLAIN, EVERYTHING, STREAMING };

/* A small fit from host memory: random rows and a fixed number of iterations; or all that a fit can do besides. */
enum fkm_status fit(struct fkm_context *context, enum scenario scenario);

#endif
