/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts, and temporary files that no signal leaves behind. */
#ifndef TOOL_SIGNALS_H
#define TOOL_SIGNALS_H

#include <stdbool.h>

#include "message.h"

/* From now on SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGPIPE remove the temporary files and end the program, as does
 * SIGBUS (a mapped file became shorter). A signal that was ignored at the start stays ignored. */
void tool_signals_install(void);

/* While deferring, the first SIGINT or SIGTERM is only remembered; the second one ends the program. */
void tool_signals_defer(bool defer);
bool tool_interrupted(void);

/* Creates a file from the template path (ending in XXXXXX, which is filled in), registered for removal by a signal.
 * Returns its descriptor or -1 with errno. path must stay valid until it is forgotten. */
int tool_temporary_create(char *path);
void tool_temporary_forget(const char *path);

#endif
