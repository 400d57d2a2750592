/* SPDX-License-Identifier: Apache-2.0 */
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_TEMPORARIES = 16 };

static _Atomic(const char *) temporaries[MAX_TEMPORARIES];
static atomic_bool deferring, interrupted;

static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGBUS};
enum { HANDLED = sizeof handled / sizeof *handled };

static void say(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));
	(void)written;
}

static void on_signal(int number)
{
	int saved_errno = errno;
	if ((number == SIGINT || number == SIGTERM) && deferring && !atomic_exchange(&interrupted, true)) {
		say("\nfkm: stopping after this iteration; a second interrupt stops at once\n");
		errno = saved_errno;
		return;
	}
	for (int i = 0; i < MAX_TEMPORARIES; i++) {
		const char *path = temporaries[i];
		if (path)
			unlink(path);
	}
	if (number == SIGBUS) {
		say("fkm: an input file became shorter while it was read\n");
		_exit(TOOL_FAILED);
	}
	signal(number, SIG_DFL);
	raise(number); /* delivered when this handler returns */
}

void tool_signals_install(void)
{
	signal(SIGXFSZ, SIG_IGN); /* write() fails instead */
	for (int i = 0; i < HANDLED; i++) {
		struct sigaction action;
		if (sigaction(handled[i], NULL, &action) != 0 || action.sa_handler == SIG_IGN)
			continue;
		memset(&action, 0, sizeof action);
		action.sa_handler = on_signal;
		action.sa_flags = SA_RESTART;
		sigfillset(&action.sa_mask);
		sigaction(handled[i], &action, NULL);
	}
}

void tool_signals_defer(bool defer)
{
	deferring = defer;
}

bool tool_interrupted(void)
{
	return interrupted;
}

int tool_temporary_create(char *path)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* no signal between the file's creation and its registration */
	int slot = 0;
	while (slot < MAX_TEMPORARIES && temporaries[slot])
		slot++;
	int fd = -1;
	if (slot == MAX_TEMPORARIES)
		errno = EMFILE;
	else
		fd = mkostemp(path, O_CLOEXEC);
	int saved_errno = errno;
	if (fd >= 0)
		temporaries[slot] = path;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = saved_errno;
	return fd;
}

void tool_temporary_forget(const char *path)
{
	for (int i = 0; i < MAX_TEMPORARIES; i++)
		if (temporaries[i] == path)
			temporaries[i] = NULL;
}
