/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <time.h>

#include "commit.h"

#if defined(__clang__)
static const char compiler[] = "clang " __clang_version__;
#else
static const char compiler[] = "gcc " __VERSION__;
#endif

void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", *text);
		else
			fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	}
	fputc('"', out);
}

void json_origin(FILE *out)
{
	char date[32];
	time_t seconds = time(NULL);
	struct tm utc;
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
	fprintf(out, "  \"date\": \"%s\", \"version\": \"%s\", \"commit\": \"%s\",\n  \"compiler\": ", date, fkm_version(),
			FKM_COMMIT);
	json_string(out, compiler);
}

void json_shape(FILE *out, const struct shape *shape)
{
	fprintf(out, "\"shape\": ");
	json_string(out, shape->name);
	fprintf(out, ", \"b\": %lld, \"n\": %lld, \"k\": %lld, \"d\": %lld, \"dtype\": \"%s\"", (long long)shape->b,
			(long long)shape->n, (long long)shape->k, (long long)shape->d, dtype_name(shape->dtype));
}

void json_spread(FILE *out, const struct spread *spread, double factor)
{
	if (spread->count)
		fprintf(out, "{\"median\": %.6g, \"min\": %.6g, \"max\": %.6g, \"count\": %d}", spread_median(spread) * factor,
				spread_min(spread) * factor, spread_max(spread) * factor, spread->count);
	else
		fprintf(out, "null");
}
