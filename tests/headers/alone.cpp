// SPDX-License-Identifier: Apache-2.0
// The public header from C++: a whole fit.
#include "flashkmeans/flashkmeans.h"

#include <cstdint>
#include <cstdio>
#include <vector>

int main()
{
	const std::vector<float> x = {0, 1, 2, 8, 9, 10};
	std::vector<std::int32_t> labels(6);
	double inertia = 0;

	fkm_context_params context_params;
	fkm_context_params_init(&context_params);
	context_params.backend = "cpu";
	fkm_context *context = nullptr;
	if (fkm_context_create(&context_params, &context) != FKM_OK) {
		std::printf("%s\n", fkm_error_message());
		return 1;
	}
	const fkm_array points = fkm_array_2d(x.data(), FKM_F32, 6, 1);
	fkm_fit_params params;
	fkm_fit_params_init(&params);
	params.clusters = 2;
	fkm_fit_result result;
	fkm_fit_result_init(&result);
	result.labels = labels.data();
	result.inertia = &inertia;
	const fkm_status status = fkm_fit(context, &points, &params, &result);
	fkm_context_destroy(context);
	return status == FKM_OK && inertia == 4 && labels[0] == labels[2] && labels[2] != labels[3] ? 0 : 1;
}
