/* SPDX-License-Identifier: Apache-2.0 */
#include "cache.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_BYTES = 256 << 20 }; /* of a file that is believed */

/* A file is this, the key and the binary. */
struct header {
	char magic[8];
	uint64_t key_bytes, binary_bytes;
	uint64_t check; /* hash of the binary */
};

static const char magic[8] = {'f', 'k', 'm', 'o', 'c', 'l', '0', '1'};

/* FNV-1a */
static uint64_t hash(const void *data, size_t bytes)
{
	uint64_t value = 0xcbf29ce484222325u;
	for (const unsigned char *at = data, *end = at + bytes; at < end; at++)
		value = (value ^ *at) * 0x100000001b3u;
	return value;
}

/* ---- places ---- */

/* Not honoured in a program with raised privileges, which must not write or believe what its caller names. */
static const char *variable(const char *name)
{
#if defined(__linux__)
	const char *value = secure_getenv(name);
#else
	const char *value = getenv(name);
#endif
	return value == NULL || value[0] == '\0' ? NULL : value;
}

/* The directory, for free(), made if that is wanted; NULL: there is none. The specification of XDG_CACHE_HOME has
 * relative paths ignored. */
static char *find_directory(bool make)
{
	const char *base = variable("XDG_CACHE_HOME"), *home = variable("HOME"), *off = variable("FKM_OPENCL_CACHE");
	if (off != NULL && strcmp(off, "0") == 0)
		return NULL;
	const bool given = base != NULL && base[0] == '/';
	if (!given && (home == NULL || home[0] != '/'))
		return NULL;
	const char *start = given ? base : home, *middle = given ? "" : "/.cache";
	const size_t bytes = strlen(start) + strlen(middle) + sizeof "/flashkmeans";
	char *path = malloc(bytes);
	if (path == NULL)
		return NULL;
	if (make) {
		snprintf(path, bytes, "%s%s", start, middle);
		(void)mkdir(path, 0700); /* if that fails, so will what follows */
	}
	snprintf(path, bytes, "%s%s/flashkmeans", start, middle);
	if (make)
		(void)mkdir(path, 0700);
	return path;
}

/* directory/name, for free(). */
static char *join(const char *directory, const char *name)
{
	const size_t bytes = strlen(directory) + strlen(name) + 2;
	char *path = malloc(bytes);
	if (path != NULL)
		snprintf(path, bytes, "%s/%s", directory, name);
	return path;
}

/* The file of a key, for free(). */
static char *find_file(const char *directory, const char *key, size_t key_bytes)
{
	char name[32];
	snprintf(name, sizeof name, "opencl-%016" PRIx64, hash(key, key_bytes));
	return join(directory, name);
}

/* ---- loading ---- */

static bool read_all(int file, void *to, size_t bytes)
{
	for (char *at = to; bytes > 0;) {
		ssize_t got = read(file, at, bytes);
		if (got <= 0)
			return false;
		at += got;
		bytes -= (size_t)got;
	}
	return true;
}

/* What a file holds, if it is whole and of this key. */
static unsigned char *read_file(int file, const char *key, size_t key_bytes, size_t *bytes)
{
	struct header header;
	struct stat status;
	if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > MOST_BYTES ||
		!read_all(file, &header, sizeof header) || memcmp(header.magic, magic, sizeof magic) != 0 ||
		header.key_bytes != key_bytes || header.binary_bytes == 0 || header.binary_bytes > MOST_BYTES ||
		(uint64_t)status.st_size != sizeof header + header.key_bytes + header.binary_bytes)
		return NULL;
	unsigned char *content = malloc(key_bytes + header.binary_bytes);
	if (content == NULL)
		return NULL;
	if (!read_all(file, content, key_bytes + header.binary_bytes) || memcmp(content, key, key_bytes) != 0 ||
		hash(content + key_bytes, header.binary_bytes) != header.check) {
		free(content);
		return NULL;
	}
	memmove(content, content + key_bytes, header.binary_bytes);
	*bytes = header.binary_bytes;
	return content;
}

unsigned char *fkmi_opencl_cache_load(const char *key, size_t key_bytes, size_t *bytes)
{
	char *directory = find_directory(false);
	char *path = directory != NULL ? find_file(directory, key, key_bytes) : NULL;
	/* Something else than a file must not make anyone wait. */
	int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	unsigned char *binary = file >= 0 ? read_file(file, key, key_bytes, bytes) : NULL;
	if (file >= 0)
		close(file);
	free(path);
	free(directory);
	return binary;
}

/* ---- storing ---- */

static bool write_all(int file, const void *from, size_t bytes)
{
	for (const char *at = from; bytes > 0;) {
		ssize_t put = write(file, at, bytes);
		if (put <= 0)
			return false;
		at += put;
		bytes -= (size_t)put;
	}
	return true;
}

void fkmi_opencl_cache_store(const char *key, size_t key_bytes, const unsigned char *binary, size_t bytes)
{
	char *directory = find_directory(true);
	char *path = directory != NULL ? find_file(directory, key, key_bytes) : NULL;
	char *temporary = path != NULL ? join(directory, "new-XXXXXX") : NULL;
	int file = temporary != NULL ? mkostemp(temporary, O_CLOEXEC) : -1;
	if (file >= 0) {
		struct header header = {.key_bytes = key_bytes, .binary_bytes = bytes, .check = hash(binary, bytes)};
		memcpy(header.magic, magic, sizeof magic);
		bool whole = write_all(file, &header, sizeof header) && write_all(file, key, key_bytes) &&
					 write_all(file, binary, bytes);
		/* Renamed when it is whole: nobody sees a part of it. */
		if (close(file) != 0 || !whole || rename(temporary, path) != 0)
			(void)unlink(temporary);
	}
	free(temporary);
	free(path);
	free(directory);
}
