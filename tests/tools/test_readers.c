/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of .npy, .fvecs and .bvecs on good and bad bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "npy.h"
#include "vecs.h"

/* Bytes of exactly the size needed, so that an address sanitizer sees any read beyond. */
struct bytes {
	unsigned char *data;
	size_t size;
};

static struct bytes npy(int major, int minor, const char *header, size_t data_bytes)
{
	size_t length = strlen(header), length_bytes = major == 1 ? 2 : 4, prefix = 8 + length_bytes;
	struct bytes made = {calloc(1, prefix + length + data_bytes), prefix + length + data_bytes};
	assert_non_null(made.data);
	static const unsigned char magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
	memcpy(made.data, magic, sizeof magic);
	made.data[6] = (unsigned char)major;
	made.data[7] = (unsigned char)minor;
	made.data[8] = (unsigned char)(length & 255);
	made.data[9] = (unsigned char)(length >> 8);
	memcpy(made.data + prefix, header, made.size - prefix - data_bytes);
	return made;
}

static enum tool_exit parse(struct bytes bytes, struct tool_array *array)
{
	return tool_npy_parse("file", bytes.data, bytes.size, array);
}

static void assert_refused(struct bytes bytes, const char *part)
{
	struct tool_array array;
	assert_int_equal(parse(bytes, &array), TOOL_FAILED);
	if (strncmp(tool_failure(), "file: ", 6) != 0 || !strstr(tool_failure(), part))
		fail_msg("no '%s' in '%s'", part, tool_failure());
	free(bytes.data);
}

static void good_headers(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		int64_t shape[3];
		int major, dims;
		enum tool_element element;
		bool fortran;
	} cases[] = {
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", {2, 3}, 1, 2, TOOL_F4, false},
		{"{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3, 4)}    \n", {2, 3, 4}, 2, 3, TOOL_F8, true},
		{"{'shape':(5,),'fortran_order':False,'descr':'|u1'}", {5}, 3, 1, TOOL_U1, false},
		{" { \"descr\" : \"|i1\" , \"fortran_order\" : False , \"shape\" : ( 2 , 3 , ) , } ",
		 {2, 3},
		 1,
		 2,
		 TOOL_I1,
		 false},
		{"{'descr': '=f2', 'fortran_order': False, 'shape': (2L, 3L), }\n", {2, 3}, 1, 2, TOOL_F2, false},
		{"{'descr': '>u1', 'fortran_order': False, 'shape': (7,), }\n", {7}, 1, 1, TOOL_U1, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t size = tool_element_bytes(cases[i].element);
		for (int j = 0; j < cases[i].dims; j++)
			size *= (size_t)cases[i].shape[j];
		struct bytes bytes = npy(cases[i].major, 0, cases[i].header, size);
		struct tool_array array;
		assert_int_equal(parse(bytes, &array), TOOL_OK);
		assert_int_equal(array.element, cases[i].element);
		assert_int_equal(array.fortran, cases[i].fortran);
		assert_int_equal(array.dims, cases[i].dims);
		assert_memory_equal(array.shape, cases[i].shape, (size_t)cases[i].dims * sizeof(int64_t));
		assert_ptr_equal(array.data, bytes.data + bytes.size - size);
		free(bytes.data);
	}
}

static void bad_headers(void **state)
{
	(void)state;
	static const struct {
		const char *header, *part;
	} cases[] = {
		{"", "is not a dictionary"},
		{"{", "is not a dictionary"},
		{"[]", "is not a dictionary"},
		{"{}", "lacks 'descr'"},
		{"{'descr': '<f4', 'fortran_order': False}", "lacks 'shape'"},
		{"{'descr': '<f4', 'shape': (2, 3)}", "lacks 'fortran_order'"},
		{"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", "has twice 'descr'"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}", "an unknown member 'x'"},
		{"{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}", "is not a dictionary"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x", "something after"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)", "is not a dictionary"},
		{"{'descr': '<f4, 'fortran_order': False, 'shape': (2, 3)}", "holds type '<f4, '"},
		{"{'descr': <f4, 'fortran_order': False, 'shape': (2, 3)}", "malformed 'descr'"},
		{"{'descr': '', 'fortran_order': False, 'shape': (2, 3)}", "malformed 'descr'"},
		{"{'descr': '\001f4', 'fortran_order': False, 'shape': (2, 3)}", "malformed 'descr'"},
		{"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2, 3)}", "holds records"},
		{"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3)}", "big-endian numbers ('>f4')"},
		{"{'descr': '<i8', 'fortran_order': False, 'shape': (2, 3)}", "holds type '<i8'"},
		{"{'descr': '|f4', 'fortran_order': False, 'shape': (2, 3)}", "holds type '|f4'"},
		{"{'descr': 'f4', 'fortran_order': False, 'shape': (2, 3)}", "holds type 'f4'"},
		{"{'descr': '<f44', 'fortran_order': False, 'shape': (2, 3)}", "holds type '<f44'"},
		{"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2, 3)}", "neither True nor False"},
		{"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}", "neither True nor False"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': 6}", "malformed 'shape'"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (6)}", "malformed 'shape'"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}", "malformed 'shape'"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", "malformed 'shape'"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3)}", "malformed 'shape'"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (2.0, 3)}", "malformed 'shape'"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': ()}", "a single number"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 3)}", "more than 3 dimensions"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)}", "dimension 0 of its shape is 0"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0)}", "dimension 1 of its shape is 0"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4)}", "is truncated"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}", "something after its array"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808, 3)}", "too large to be true"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (2305843009213693952, 3)}", "too large to be true"},
		/* 24 bytes modulo 2^64, so that an unchecked product would seem right */
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387910,)}", "too large to be true"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_refused(npy(1, 0, cases[i].header, 24), cases[i].part);

	static const char good[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
	assert_refused(npy(0, 0, good, 24), "version 0.0");
	assert_refused(npy(1, 1, good, 24), "version 1.1");
	assert_refused(npy(4, 0, good, 24), "version 4.0");
}

/* Any part of a good file is refused, and so is any good file with one byte of the header in place of another, unless
 * it says the same. */
static void every_truncation(void **state)
{
	(void)state;
	static const char good[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
	for (int major = 1; major <= 2; major++) {
		struct bytes whole = npy(major, 0, good, 24);
		for (size_t size = 0; size < whole.size; size++) {
			struct bytes part = {malloc(size ? size : 1), size};
			assert_non_null(part.data);
			memcpy(part.data, whole.data, size);
			assert_refused(part, "");
		}
		free(whole.data);
	}
}

static void every_changed_byte(void **state)
{
	(void)state;
	static const char good[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
	struct bytes bytes = npy(1, 0, good, 24);
	for (size_t i = 0; i < bytes.size - 24; i++) {
		unsigned char right = bytes.data[i];
		for (int wrong = 0; wrong < 256; wrong++) {
			struct tool_array array;
			bytes.data[i] = (unsigned char)wrong;
			if (parse(bytes, &array) == TOOL_OK) {
				int64_t size = (int64_t)tool_element_bytes(array.element);
				for (int j = 0; j < array.dims; j++)
					size *= array.shape[j];
				assert_int_equal(size, 24);
				assert_ptr_equal(array.data, bytes.data + bytes.size - 24);
			}
		}
		bytes.data[i] = right;
	}
	free(bytes.data);
}

static void written_headers(void **state)
{
	(void)state;
	static const int64_t shapes[][3] = {{24}, {3, 2}, {1, 2, 3}};
	for (int dims = 1; dims <= 3; dims++) {
		unsigned char bytes[TOOL_NPY_HEADER_BYTES + 24] = {0};
		struct tool_array array;
		tool_npy_header((char *)bytes, dims == 1 ? "|u1" : "<f4", dims, shapes[dims - 1]);
		assert_int_equal(tool_npy_parse("file", bytes, sizeof bytes, &array), TOOL_OK);
		assert_int_equal(array.dims, dims);
		assert_memory_equal(array.shape, shapes[dims - 1], (size_t)dims * sizeof(int64_t));
		assert_int_equal(array.element, dims == 1 ? TOOL_U1 : TOOL_F4);
		assert_false(array.fortran);
		assert_ptr_equal(array.data, bytes + TOOL_NPY_HEADER_BYTES);
		assert_int_equal(bytes[TOOL_NPY_HEADER_BYTES - 1], '\n');
	}
	/* the largest shape has room */
	char header[TOOL_NPY_HEADER_BYTES];
	int64_t largest[3] = {INT64_MAX, INT64_MAX, INT64_MAX};
	tool_npy_header(header, "<f8", 3, largest);
	assert_memory_equal(header + 10, "{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, ", 72);
	assert_int_equal(header[TOOL_NPY_HEADER_BYTES - 1], '\n');
	assert_non_null(memchr(header, '}', sizeof header));
}

static enum tool_exit read_vecs(const void *bytes, size_t size, enum tool_element element, struct tool_array *array)
{
	TOOL_TRY(tool_vecs_parse("file", bytes, size, element, array));
	return tool_vecs_check("file", array, (struct tool_rows){0, array->shape[0]});
}

static void vecs(void **state)
{
	(void)state;
	struct tool_array array;
	int32_t words[] = {2, 0x3f800000, 0x40000000, 2, 0x40400000, 0x40800000};
	assert_int_equal(read_vecs(words, sizeof words, TOOL_F4, &array), TOOL_OK);
	assert_int_equal(array.dims, 2);
	assert_int_equal(array.shape[0], 2);
	assert_int_equal(array.shape[1], 2);
	assert_int_equal(array.row_bytes, 12);
	assert_ptr_equal(array.data, words + 1);

	for (size_t size = 0; size < sizeof words; size++) {
		unsigned char *part = malloc(size ? size : 1);
		assert_non_null(part);
		memcpy(part, words, size);
		assert_int_equal(read_vecs(part, size, TOOL_F4, &array), size == 12 ? TOOL_OK : TOOL_FAILED);
		free(part);
	}
	static const int32_t bad_dimensions[] = {0, -1, 3, INT32_MAX, INT32_MIN};
	for (size_t i = 0; i < sizeof bad_dimensions / sizeof *bad_dimensions; i++) {
		words[0] = bad_dimensions[i];
		assert_int_equal(read_vecs(words, sizeof words, TOOL_F4, &array), TOOL_FAILED);
		words[0] = 2;
		words[3] = bad_dimensions[i];
		assert_int_equal(read_vecs(words, sizeof words, TOOL_F4, &array), TOOL_FAILED);
		assert_non_null(strstr(tool_failure(), "row 1 has dimension"));
		words[3] = 2;
	}
	static const unsigned char bytes[] = {3, 0, 0, 0, 7, 8, 9, 3, 0, 0, 0, 250, 251, 252};
	assert_int_equal(read_vecs(bytes, sizeof bytes, TOOL_U1, &array), TOOL_OK);
	assert_int_equal(array.shape[0], 2);
	assert_int_equal(array.shape[1], 3);
	assert_int_equal(array.row_bytes, 7);

	/* A rank looks at its rows alone. */
	int32_t three[] = {1, 5, 9, 6, 1, 7};
	assert_int_equal(tool_vecs_parse("file", three, sizeof three, TOOL_F4, &array), TOOL_OK);
	assert_int_equal(tool_vecs_check("file", &array, (struct tool_rows){0, 1}), TOOL_OK);
	assert_int_equal(tool_vecs_check("file", &array, (struct tool_rows){2, 1}), TOOL_OK);
	assert_int_equal(tool_vecs_check("file", &array, (struct tool_rows){1, 1}), TOOL_FAILED);
	assert_string_equal(tool_failure(), "file: row 1 has dimension 9, but row 0 has 1");
	/* Where the file ends within a row, the row that is to blame is found. */
	int32_t odd[] = {2, 5, 6, 1, 7};
	assert_int_equal(tool_vecs_parse("file", odd, sizeof odd, TOOL_F4, &array), TOOL_FAILED);
	assert_non_null(strstr(tool_failure(), "truncated: it ends within row 1"));
	int32_t shorter[] = {2, 5, 6, 1, 7, 1, 8};
	assert_int_equal(tool_vecs_parse("file", shorter, sizeof shorter, TOOL_F4, &array), TOOL_FAILED);
	assert_non_null(strstr(tool_failure(), "row 1 has dimension 1"));
}

/* Regular files are mapped, unless somebody has already read from their beginning. */
static void mapped_or_read(void **state)
{
	(void)state;
	char path[] = "/tmp/fkm-test-XXXXXX";
	struct bytes bytes = npy(1, 0, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24);
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "skip", 4), 4);
	assert_int_equal(write(fd, bytes.data, bytes.size), (ssize_t)bytes.size);

	struct tool_file file;
	int before = dup(STDIN_FILENO);
	assert_int_equal(lseek(fd, 4, SEEK_SET), 4);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(tool_file_open("-", &file), TOOL_OK);
	assert_string_equal(file.name, "standard input");
	assert_false(file.mapped);
	assert_int_equal(file.size, bytes.size);
	tool_file_close(&file);
	if (before >= 0) {
		dup2(before, STDIN_FILENO);
		close(before);
	}

	assert_int_equal(pwrite(fd, bytes.data, bytes.size, 0), (ssize_t)bytes.size);
	assert_int_equal(ftruncate(fd, (off_t)bytes.size), 0);
	assert_int_equal(tool_file_open(path, &file), TOOL_OK);
	assert_true(file.mapped);
	assert_int_equal(file.array.shape[1], 3);
	tool_file_close(&file);
	close(fd);
	unlink(path);
	free(bytes.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good_headers),     cmocka_unit_test(bad_headers),
									   cmocka_unit_test(every_truncation), cmocka_unit_test(every_changed_byte),
									   cmocka_unit_test(written_headers),  cmocka_unit_test(vecs),
									   cmocka_unit_test(mapped_or_read)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
