/* SPDX-License-Identifier: Apache-2.0 */
/* fkm-bench: times whole fits of fixed shapes on made data; options.c says how. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

/* The backend that the context will be of: named, or what the library would choose. "" if that cannot be told. */
static const char *backend_of(const struct options *options)
{
	static char chosen[16];
	struct fkm_context_params params;
	struct fkm_context *context;
	struct fkm_device_info first;
	int32_t count;
	const char *name = options->backend ? options->backend : getenv("FKM_BACKEND");
	if (name && *name)
		return name;
	/* Not by a context, which would take from the time of the first fit what it loads. */
	if (fkm_device_list(&first, 1, &count) == FKM_OK && count > 0 && !strcmp(first.backend, "cuda") &&
		first.device >= 0 && !*first.problem)
		return "cuda";
	fkm_context_params_init(&params);
	if (fkm_context_create(&params, &context) == FKM_OK) {
		snprintf(chosen, sizeof(chosen), "%s", fkm_context_backend(context));
		fkm_context_destroy(context);
	}
	return chosen;
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
	const char *backend = backend_of(&options);
	bool ok = runs_on_devices(backend) ? run_on_device(&options, backend, json) : run_on_host(&options, json);
	if (json && (fflush(json) || ferror(json))) {
		fprintf(stderr, "fkm-bench: %s: cannot write\n", options.json);
		ok = false;
	}
	if (json)
		fclose(json);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
