/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OpenCL loader that is none: it keeps count of what is given out, checks what it is handed, and fails when told to.
 * Buffers are host memory, kernels do nothing, and the binary of a program is a hash of its source.
 */
#ifndef FKM_FAKE_OPENCL_H
#define FKM_FAKE_OPENCL_H

#include <stdbool.h>
#include <stddef.h>

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_ext.h>

#define FAKE_EXPORT __attribute__((visibility("default")))

enum { FAKE_MOST_DEVICES = 4 };

struct fake_device {
	int platform; /* which one has it; those without a device are there, too */
	const char *name;
	cl_device_type type;
	bool no_doubles, no_atomics, no_compiler, flushes, big_endian, unavailable;
	size_t group;            /* largest; 0: 1024 */
	cl_ulong local_bytes;    /* 0: 48 KiB */
	cl_ulong largest_buffer; /* 0: 1 GiB */
	cl_ulong memory_bytes;   /* 0: 4 GiB */
	cl_int context_result;   /* of creating one */
	const char *driver;      /* version; NULL: "1.0" */
	const char *vendor;      /* NULL: "Fake" */
	cl_uint warp;            /* of cl_nv_device_attribute_query; 0: the extension is not there */
	cl_uint capability;      /* the major number, likewise */
};

struct fake_opencl_setup {
	int platforms, devices;
	struct fake_device device[FAKE_MOST_DEVICES];
	const char *build_log; /* not NULL: programs do not compile, and this is why */
	bool refuses_binaries;
	int fail_call; /* from 1; 0: none. Releasing is not counted. */
	cl_int fail_result;
	bool fail_on; /* every later call fails too */
};

struct fake_opencl_report {
	int calls;
	const char *failed; /* the function that was made to fail first; NULL: none was */
	int contexts, queues, buffers, programs, kernels, events, mapped; /* alive */
	int unblocked;                                                    /* writes that did not wait */
	int compiled, loaded;                                             /* programs, from source and from a binary */
	char options[160];                                                /* of the last build */
	int launches;
	size_t last_group; /* items of a group in the last launch */
	int misuses;
	char misuse[200]; /* the first of them */
};

/* Begins anew: counters at 0. Whatever is alive is forgotten. */
FAKE_EXPORT void fake_opencl_reset(const struct fake_opencl_setup *setup);
/* Takes another setup and counts calls from 0; what is alive stays. */
FAKE_EXPORT void fake_opencl_arm(const struct fake_opencl_setup *setup);
FAKE_EXPORT struct fake_opencl_report fake_opencl_report(void);

#endif
