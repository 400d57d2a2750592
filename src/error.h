/* SPDX-License-Identifier: Apache-2.0 */
/* The thread's last error sentence. */
#ifndef FKMI_ERROR_H
#define FKMI_ERROR_H

#include "flashkmeans/flashkmeans.h"

#if defined(__GNUC__)
#define FKMI_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define FKMI_PRINTF(text, first)
#endif

/* Sets the sentence that fkm_error_message() returns on this thread and returns status. */
enum fkm_status fkmi_fail(enum fkm_status status, const char *format, ...) FKMI_PRINTF(2, 3);

/* Returns from the calling function if expr is not FKM_OK. */
#define FKMI_TRY(expr)                                                                                                 \
	do {                                                                                                               \
		enum fkm_status fkmi_try_status_ = (expr);                                                                     \
		if (fkmi_try_status_ != FKM_OK)                                                                                \
			return fkmi_try_status_;                                                                                   \
	} while (0)

#endif
