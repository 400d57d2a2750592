/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_array FORMAT B N D SEED [VALUE ROW COLUMN] writes an array file to standard output.
 *
 * FORMAT is fvecs, bvecs, or a .npy type f2, f4, f8, i1, u1 with optional suffixes: F for Fortran order, 2 or 3 for the
 * version of the format ("f4F", "u12"). B = 0 gives (N, D), D = 0 gives (N,) or (B, N). All values are whole numbers
 * from 0 to 111, the same for every format, but for VALUE at ROW and COLUMN of the first problem. Problem p of a
 * batch is what SEED + p gives alone.
 */
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long long batch, rows, columns, seed, special_row = -1, special_column;
static double special;

static double value_at(long long p, long long i, long long j)
{
	if (p == 0 && i == special_row && j == special_column)
		return special;
	/* clumps of rows with some noise */
	uint64_t state = (uint64_t)(seed + p) * 1000003u + (uint64_t)(i * (columns ? columns : 1) + j);
	state = (state ^ state >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	state = (state ^ state >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return (double)((i * 7 + j) % 4 * 32 + (long long)(state >> 60));
}

/* Whole numbers below 2048, infinity and NaN are all that is needed. */
static uint16_t f16_bits(double value)
{
	if (isnan(value) || isinf(value))
		return isnan(value) ? 0x7e00 : 0x7c00;
	if (value == 0)
		return 0;
	int exponent = ilogb(value);
	return (uint16_t)((exponent + 15) << 10 | ((int)ldexp(value, 10 - exponent) - 1024));
}

static void put(const char *type, double value)
{
	uint16_t half = f16_bits(value);
	float single = (float)value;
	uint8_t byte = fabs(value) < 256 ? (uint8_t)(int)value : 0;
	if (strncmp(type, "f2", 2) == 0)
		fwrite(&half, sizeof half, 1, stdout);
	else if (strncmp(type, "f4", 2) == 0)
		fwrite(&single, sizeof single, 1, stdout);
	else if (strncmp(type, "f8", 2) == 0)
		fwrite(&value, sizeof value, 1, stdout);
	else
		fwrite(&byte, sizeof byte, 1, stdout);
}

static void write_vecs(const char *type)
{
	int32_t dimension = (int32_t)columns;
	for (long long i = 0; i < rows; i++) {
		fwrite(&dimension, sizeof dimension, 1, stdout);
		for (long long j = 0; j < columns; j++)
			put(type, value_at(0, i, j));
	}
}

static void write_npy(const char *format)
{
	char shape[96], header[256];
	int version = strchr(format + 2, '3') ? 3 : strchr(format + 2, '2') ? 2 : 1;
	int fortran = strchr(format, 'F') != NULL;
	long long problems = batch ? batch : 1, width = columns ? columns : 1;
	if (batch && columns)
		snprintf(shape, sizeof shape, "%lld, %lld, %lld", batch, rows, columns);
	else if (columns)
		snprintf(shape, sizeof shape, "%lld, %lld", rows, columns);
	else if (batch)
		snprintf(shape, sizeof shape, "%lld, %lld", batch, rows);
	else
		snprintf(shape, sizeof shape, "%lld,", rows);
	int length = snprintf(header, sizeof header, "{'descr': '%c%.2s', 'fortran_order': %s, 'shape': (%s), }\n",
						  format[1] == '1' ? '|' : '<', format, fortran ? "True" : "False", shape);
	fwrite((char[]){'\x93', 'N', 'U', 'M', 'P', 'Y', (char)version, 0}, 1, 8, stdout);
	fwrite((char[]){(char)length, 0, 0, 0}, 1, version == 1 ? 2 : 4, stdout);
	fwrite(header, 1, (size_t)length, stdout);
	if (fortran)
		for (long long j = 0; j < width; j++)
			for (long long i = 0; i < rows; i++)
				for (long long p = 0; p < problems; p++)
					put(format, value_at(p, i, j));
	else
		for (long long p = 0; p < problems; p++)
			for (long long i = 0; i < rows; i++)
				for (long long j = 0; j < width; j++)
					put(format, value_at(p, i, j));
}

int main(int argc, char **argv)
{
	if (argc != 6 && argc != 9)
		return 2;
	batch = atoll(argv[2]);
	rows = atoll(argv[3]);
	columns = atoll(argv[4]);
	seed = atoll(argv[5]);
	if (argc == 9) {
		special = strtod(argv[6], NULL);
		special_row = atoll(argv[7]);
		special_column = atoll(argv[8]);
	}
	if (strcmp(argv[1], "fvecs") == 0)
		write_vecs("f4");
	else if (strcmp(argv[1], "bvecs") == 0)
		write_vecs("u1");
	else
		write_npy(argv[1]);
	return fflush(stdout) != 0;
}
