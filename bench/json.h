/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of JSON. */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include <stdio.h>

#include "shapes.h"
#include "spread.h"

/* "text", with what must be escaped escaped. */
void json_string(FILE *out, const char *text);

/* Members that say when and from what the program's figures come: date, version, commit, compiler. */
void json_origin(FILE *out);

/* Members of a shape. */
void json_shape(FILE *out, const struct shape *shape);

/* {"median": ..., "min": ..., "max": ..., "count": ...} of the values times a factor; null if there are none. */
void json_spread(FILE *out, const struct spread *spread, double factor);

#endif
