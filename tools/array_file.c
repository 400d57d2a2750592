/* SPDX-License-Identifier: Apache-2.0 */
#include "array_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "npy.h"
#include "vecs.h"

size_t tool_element_bytes(enum tool_element element)
{
	static const size_t bytes[] = {[TOOL_F2] = 2, [TOOL_F4] = 4, [TOOL_F8] = 8, [TOOL_I1] = 1, [TOOL_U1] = 1};
	return bytes[element];
}

const char *tool_element_name(enum tool_element element)
{
	static const char *const names[] = {
		[TOOL_F2] = "f2", [TOOL_F4] = "f4", [TOOL_F8] = "f8", [TOOL_I1] = "i1", [TOOL_U1] = "u1"};
	return names[element];
}

/* Everything from fd into a growing buffer. */
static enum tool_exit slurp(int fd, struct tool_file *file)
{
	size_t capacity = 1 << 16, size = 0;
	char *bytes = malloc(capacity);
	while (bytes) {
		ssize_t got = read(fd, bytes + size, capacity - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(bytes);
			return tool_fail(TOOL_FAILED, "%s: cannot be read: %s", file->name, strerror(errno));
		}
		if (got == 0) {
			file->bytes = bytes;
			file->size = size;
			return TOOL_OK;
		}
		size += (size_t)got;
		if (size == capacity) {
			char *grown = capacity <= SIZE_MAX / 2 ? realloc(bytes, capacity *= 2) : NULL;
			if (!grown)
				free(bytes);
			bytes = grown;
		}
	}
	return tool_fail(TOOL_FAILED, "%s: no memory left after %zu bytes", file->name, size);
}

static enum tool_exit load(int fd, struct tool_file *file)
{
	struct stat status;
	if (fstat(fd, &status) != 0)
		return tool_fail(TOOL_FAILED, "%s: cannot be read: %s", file->name, strerror(errno));
	if (S_ISDIR(status.st_mode))
		return tool_fail(TOOL_FAILED, "%s: is a directory", file->name);
	/* Standard input may be a regular file that something has already read from. */
	if (S_ISREG(status.st_mode) && status.st_size > 0 && lseek(fd, 0, SEEK_CUR) == 0) {
		void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (bytes != MAP_FAILED) {
			file->bytes = bytes;
			file->size = (size_t)status.st_size;
			file->mapped = true;
			return TOOL_OK;
		}
	}
	return slurp(fd, file);
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);
	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static enum tool_exit parse(struct tool_file *file)
{
	if (tool_npy_begins(file->bytes, file->size))
		return tool_npy_parse(file->name, file->bytes, file->size, &file->array);
	if (ends_with(file->name, ".fvecs"))
		return tool_vecs_parse(file->name, file->bytes, file->size, TOOL_F4, &file->array);
	if (ends_with(file->name, ".bvecs"))
		return tool_vecs_parse(file->name, file->bytes, file->size, TOOL_U1, &file->array);
	return tool_fail(TOOL_FAILED, "%s: is not a .npy file, and its name does not end in .fvecs or .bvecs", file->name);
}

enum tool_exit tool_file_read(const char *path, struct tool_file *file)
{
	bool is_input = strcmp(path, "-") == 0;
	*file = (struct tool_file){.name = is_input ? "standard input" : path};
	int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return tool_fail(TOOL_FAILED, "%s: cannot be opened: %s", path, strerror(errno));
	enum tool_exit code = load(fd, file);
	if (!is_input)
		close(fd);
	if (code == TOOL_OK && file->size == 0)
		code = tool_fail(TOOL_FAILED, "%s: is empty", file->name);
	if (code != TOOL_OK)
		tool_file_close(file);
	return code;
}

enum tool_exit tool_file_open(const char *path, struct tool_file *file)
{
	TOOL_TRY(tool_file_read(path, file));
	enum tool_exit code = parse(file);
	if (code != TOOL_OK)
		tool_file_close(file);
	return code;
}

void tool_file_close(struct tool_file *file)
{
	if (file->mapped)
		munmap(file->bytes, file->size);
	else
		free(file->bytes);
	*file = (struct tool_file){0};
}
