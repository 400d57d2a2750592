/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive [-t] [-s SIGNAL TEXT]... FILE COMMAND [ARGUMENT ...] runs a command, with its standard error in FILE, and exits
 * as a shell does (128 + signal when one killed it). -t: standard error is a terminal of 80 columns. -s: sends the
 * signal (a number) once the command has written TEXT to standard error; several are sent in turn. 99: a signal's TEXT
 * never came, or the command took over a minute.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TROUBLE = 99, MAX_SIGNALS = 4 };

static volatile sig_atomic_t child;

static void on_alarm(int number)
{
	(void)number;
	kill(child, SIGKILL);
	_exit(TROUBLE);
}

/* ends[0] is to be read, ends[1] to be written */
static bool open_channel(bool terminal, int ends[2])
{
	if (!terminal)
		return pipe(ends) == 0;
	struct winsize size = {.ws_row = 25, .ws_col = 80};
	ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
	if (ends[0] < 0 || grantpt(ends[0]) != 0 || unlockpt(ends[0]) != 0)
		return false;
	ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
	return ends[1] >= 0 && ioctl(ends[1], TIOCSWINSZ, &size) == 0;
}

int main(int argc, char **argv)
{
	struct {
		int number;
		const char *after;
	} signals[MAX_SIGNALS];
	int wanted = 0, sent = 0;
	bool terminal = false;
	int next = 1;
	for (; next < argc && argv[next][0] == '-'; next++) {
		if (strcmp(argv[next], "-t") == 0) {
			terminal = true;
		} else if (next + 2 < argc && wanted < MAX_SIGNALS) {
			signals[wanted].number = atoi(argv[++next]);
			signals[wanted++].after = argv[++next];
		}
	}
	int ends[2];
	FILE *log = next + 1 < argc ? fopen(argv[next], "w") : NULL;
	if (!log)
		return TROUBLE;
	if (!open_channel(terminal, ends)) {
		fclose(log);
		return TROUBLE;
	}

	child = fork();
	if (child < 0) {
		fclose(log);
		return TROUBLE;
	}
	if (child == 0) {
		/* A shell ignores some for what runs in the background, nohup others. */
		static const int inherited[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM};
		for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++)
			signal(inherited[i], SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		execvp(argv[next + 1], argv + next + 1);
		_exit(127);
	}
	close(ends[1]);
	signal(SIGALRM, on_alarm);
	alarm(60);

	/* What came since the last signal, as far as a text could begin in it. */
	char seen[8192];
	size_t length = 0;
	for (;;) {
		if (length > sizeof seen / 2) {
			memmove(seen, seen + length - 256, 256);
			length = 256;
		}
		ssize_t got = read(ends[0], seen + length, sizeof seen - length - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) /* a terminal gives EIO at its end */
			break;
		fwrite(seen + length, 1, (size_t)got, log);
		length += (size_t)got;
		seen[length] = 0;
		if (sent < wanted && strstr(seen, signals[sent].after)) {
			kill(child, signals[sent++].number);
			length = 0;
		}
	}
	fclose(log);
	int status;
	if (waitpid(child, &status, 0) < 0 || sent < wanted)
		return TROUBLE;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
