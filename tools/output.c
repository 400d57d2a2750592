/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "npy.h"
#include "signals.h"

/* Index at which the last component of path begins. */
static size_t base_index(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash - path) + 1 : 0;
}

char *tool_resolve(const char *path)
{
	char *whole = realpath(path, NULL);
	if (whole || errno != ENOENT)
		return whole;
	size_t base = base_index(path);
	if (path[base] == 0)
		return NULL; /* "missing/" */
	char *directory = base == 0 ? strdup(".") : strndup(path, base);
	char *parent = directory ? realpath(directory, NULL) : NULL;
	char *resolved = NULL;
	if (parent && asprintf(&resolved, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, path + base) < 0)
		resolved = NULL;
	free(directory);
	free(parent);
	return resolved;
}

static enum tool_exit cannot(const struct tool_output *output, const char *what)
{
	return tool_fail(TOOL_FAILED, "%s: cannot be %s: %s", output->name, what, strerror(errno));
}

static enum tool_exit open_directly(struct tool_output *output)
{
	output->fd = open(output->name, O_WRONLY | O_CLOEXEC);
	return output->fd < 0 ? cannot(output, "written") : TOOL_OK;
}

/* mode: the permissions of the file to be replaced, or those of a new one */
static enum tool_exit open_temporary(struct tool_output *output, mode_t mode)
{
	size_t base = base_index(output->path);
	/* A name of its own: the output's could be as long as a file's name may be. */
	if (asprintf(&output->temporary, "%.*s.fkm-XXXXXX", (int)base, output->path) < 0) {
		output->temporary = NULL;
		return tool_fail(TOOL_FAILED, "%s: no memory left to open it", output->name);
	}
	output->fd = tool_temporary_create(output->temporary);
	if (output->fd < 0) {
		enum tool_exit code = cannot(output, "written");
		free(output->temporary);
		output->temporary = NULL;
		return code;
	}
	return fchmod(output->fd, mode) == 0 ? TOOL_OK : cannot(output, "written");
}

enum tool_exit tool_output_open(const char *name, struct tool_output *output)
{
	*output = (struct tool_output){.name = name, .fd = -1};
	if (strcmp(name, "-") == 0) {
		output->fd = STDOUT_FILENO;
		return TOOL_OK;
	}

	struct stat status;
	mode_t mask = umask(0);
	umask(mask);
	mode_t mode = 0666 & ~mask;
	enum tool_exit code = TOOL_OK;
	if (stat(name, &status) == 0) {
		mode = status.st_mode & 0777;
		if (S_ISDIR(status.st_mode))
			errno = EISDIR;
		if (S_ISDIR(status.st_mode) || access(name, W_OK) != 0)
			code = cannot(output, "written");
		else if (!S_ISREG(status.st_mode))
			return open_directly(output);
	}
	if (code == TOOL_OK) {
		output->path = tool_resolve(name);
		code = output->path ? open_temporary(output, mode) : cannot(output, "written");
	}
	if (code != TOOL_OK)
		tool_output_close(output);
	return code;
}

enum tool_exit tool_output_write(struct tool_output *output, const void *bytes, size_t size)
{
	const char *next = bytes;
	while (size > 0) {
		ssize_t written = write(output->fd, next, size < SSIZE_MAX ? size : SSIZE_MAX);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return cannot(output, "written");
		next += written;
		size -= (size_t)written;
	}
	return TOOL_OK;
}

enum tool_exit tool_output_write_at(struct tool_output *output, const void *bytes, size_t size, int64_t offset)
{
	const char *next = bytes;
	while (size > 0) {
		ssize_t written = pwrite(output->fd, next, size < SSIZE_MAX ? size : SSIZE_MAX, (off_t)offset);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return cannot(output, "written");
		next += written;
		offset += written;
		size -= (size_t)written;
	}
	return TOOL_OK;
}

enum tool_exit tool_output_join(const char *name, const char *temporary, struct tool_output *output)
{
	*output = (struct tool_output){.name = name, .joined = true, .fd = open(temporary, O_WRONLY | O_CLOEXEC)};
	if (output->fd >= 0)
		return TOOL_OK;
	const enum tool_exit code = cannot(output, "written by all processes");
	*output = (struct tool_output){0};
	return code;
}

enum tool_exit tool_output_npy(struct tool_output *output, const char *type, size_t element_bytes, int dims,
							   const int64_t *shape, const void *data)
{
	char header[TOOL_NPY_HEADER_BYTES];
	tool_npy_header(header, type, dims, shape);
	for (int i = 0; i < dims; i++)
		element_bytes *= (size_t)shape[i];
	TOOL_TRY(tool_output_write(output, header, sizeof header));
	return tool_output_write(output, data, element_bytes);
}

enum tool_exit tool_output_sync(struct tool_output *output)
{
	return (output->temporary || output->joined) && fsync(output->fd) != 0 ? cannot(output, "written") : TOOL_OK;
}

enum tool_exit tool_output_commit(struct tool_output *output)
{
	if (!output->temporary)
		return TOOL_OK;
	if (rename(output->temporary, output->path) != 0)
		return cannot(output, "put in place");
	tool_temporary_forget(output->temporary);
	free(output->temporary);
	output->temporary = NULL;
	return TOOL_OK;
}

void tool_output_close(struct tool_output *output)
{
	if (!output->name)
		return;
	if (output->fd > STDERR_FILENO)
		close(output->fd);
	if (output->temporary) {
		unlink(output->temporary);
		tool_temporary_forget(output->temporary);
	}
	free(output->temporary);
	free(output->path);
	*output = (struct tool_output){0};
}
