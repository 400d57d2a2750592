/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend for tests of the core: the CPU backend behind a device of its own memory, with settable limits, that counts
 * vtable calls, fails the one it is told to, and notes when the core breaks a rule of backend.h.
 */
#ifndef FAKE_BACKEND_H
#define FAKE_BACKEND_H

#include "backend.h"

struct fake {
	int64_t fail_at;         /* the vtable call, counted from 1, that fails; 0: none */
	enum fkm_status fail_as; /* with this */
	int64_t calls;           /* of vtable members that can fail, since the test reset it */
	int64_t live;            /* allocations not freed */
	int64_t used_bytes;      /* of them */
	int64_t most_bytes;      /* the most that used_bytes was */
	int64_t violations;      /* of the rules in backend.h */
	char violation[160];     /* the last one */
	bool lost;               /* FKM_ERROR_DEVICE_LOST was returned */
	bool whole;              /* iterations are whole: set it after fake_context */
	int64_t iterate_calls;
};
extern struct fake fake;

extern const struct fkmi_backend fake_backend;

/* A context on a new fake device. limits (may be NULL) replaces memory_bytes, max_buffer_bytes, units and host_memory
 * of the CPU's where they are not 0 (host_memory: always). Resets the state above. */
enum fkm_status fake_context(const struct fkmi_limits *limits, int32_t threads, struct fkm_context **context);

#endif
