/* SPDX-License-Identifier: Apache-2.0 */
/* A file that holds an array: mapped or read into memory, its format recognised, its sizes checked. */
#ifndef TOOL_ARRAY_FILE_H
#define TOOL_ARRAY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

enum tool_element { TOOL_F2, TOOL_F4, TOOL_F8, TOOL_I1, TOOL_U1 };

/* Bytes of an element, and its name ("f4"). */
size_t tool_element_bytes(enum tool_element element);
const char *tool_element_name(enum tool_element element);

/* An array within the bytes of a file. The whole of it has been checked to lie inside. */
struct tool_array {
	enum tool_element element;
	bool fortran;      /* first index varies fastest; else the last one */
	int dims;          /* 1 to 3 */
	int64_t shape[3];  /* dims of them; the product times the element size fits an int64_t */
	int64_t row_bytes; /* from one row (last dimension) to the next; C order only */
	bool prefixed;     /* before each row there is its dimension, an int32; of all rows but the first unchecked */
	const unsigned char *data; /* the first element; need not be aligned */
};

struct tool_file {
	const char *name; /* for messages */
	struct tool_array array;
	void *bytes; /* the whole file */
	size_t size;
	bool mapped;
};

/*
 * Reads path, "-" being standard input. Regular files are mapped, everything else is read into memory. The format is
 * .npy if the file begins like one, else .fvecs or .bvecs after the end of its name. On failure *file is zero.
 */
enum tool_exit tool_file_open(const char *path, struct tool_file *file);

/* The bytes alone, whatever they are: there is no array. */
enum tool_exit tool_file_read(const char *path, struct tool_file *file);
void tool_file_close(struct tool_file *file); /* a zero struct is allowed */

#endif
