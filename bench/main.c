/* SPDX-License-Identifier: Apache-2.0 */
/* fkm-bench: times whole fits of fixed shapes on made data; options.c says how. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

/* Whether the context will be a CUDA one: named, or what the library would choose. */
static bool wants_cuda(const struct options *options)
{
	struct fkm_device_info first;
	int32_t count;
	const char *name = options->backend ? options->backend : getenv("FKM_BACKEND");
	if (name && *name)
		return !strcmp(name, "cuda");
	return fkm_device_list(&first, 1, &count) == FKM_OK && count > 0 && !strcmp(first.backend, "cuda") &&
		   first.device >= 0 && !*first.problem;
}

int main(int argc, char **argv)
{
	static struct options options;
	options_parse(argc, argv, &options);
	FILE *json = NULL;
	if (options.json && !(json = fopen(options.json, "w"))) {
		fprintf(stderr, "fkm-bench: %s: %s\n", options.json, strerror(errno));
		return EXIT_FAILURE;
	}
	bool ok = wants_cuda(&options) ? run_on_cuda(&options, json) : run_on_host(&options, json);
	if (json && (fflush(json) || ferror(json))) {
		fprintf(stderr, "fkm-bench: %s: cannot write\n", options.json);
		ok = false;
	}
	if (json)
		fclose(json);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
