/* SPDX-License-Identifier: Apache-2.0 */
/* test_absence TEXT: with what FKM_OPENCL_LIBRARY names, the backend cannot be used, and TEXT is in the reason. */
#include <stdio.h>
#include <string.h>

#include "backends/opencl/opencl.h"

static int differs(const char *what, const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		return 0;
	fprintf(stderr, "%s: \"%s\" is not in: %s\n", what, part, text);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	struct fkm_context_params params;
	struct fkm_context *context;
	fkm_context_params_init(&params);
	params.backend = "opencl";
	enum fkm_status status = fkm_context_create(&params, &context);
	int failed = status != FKM_ERROR_NO_DEVICE;
	if (failed)
		fprintf(stderr, "fkm_context_create: %s\n", fkm_status_name(status));
	failed += differs("fkm_context_create", fkm_error_message(), argv[1]);

	struct fkm_device_info info;
	int32_t count = 0;
	status = fkmi_backend_opencl.list(&info, 1, &count);
	if (status != FKM_OK || count != 1 || info.device != -1) {
		fprintf(stderr, "list: %s, %d devices, the first is %d\n", fkm_status_name(status), count, info.device);
		failed++;
	}
	failed += differs("list", info.problem, argv[1]);
	return failed > 0;
}
