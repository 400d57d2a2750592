/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of real devices, which run where no test framework is. */
#ifndef TESTS_GPU_CHECK_H
#define TESTS_GPU_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#include "flashkmeans/flashkmeans.h"

enum { SKIP = 77 }; /* the exit status of a test that cannot run here */

/* Ends the program with a sentence if the condition does not hold. */
#define CHECK(condition)                                                                                               \
	do {                                                                                                               \
		if (!(condition)) {                                                                                            \
			fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, fkm_error_message());                           \
			exit(1);                                                                                                   \
		}                                                                                                              \
	} while (0)

#endif
