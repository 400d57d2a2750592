// SPDX-License-Identifier: Apache-2.0
// A C++ program that owns its context through a smart pointer and checks what it gets back.
#include <flashkmeans/flashkmeans.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

struct Destroy {
	void operator()(fkm_context *context) const
	{
		fkm_context_destroy(context);
	}
};

int main()
{
	const std::vector<float> points{0, 1, 10, 11};
	std::vector<std::int32_t> labels(4, -1);
	std::vector<double> centroids(2);
	double inertia = -1;

	char version[32];
	std::snprintf(version, sizeof version, "%d.%d.%d", FKM_VERSION_MAJOR, FKM_VERSION_MINOR, FKM_VERSION_PATCH);
	if (std::strcmp(version, fkm_version()) != 0) {
		std::fprintf(stderr, "header %s, library %s\n", version, fkm_version());
		return 1;
	}

	fkm_context_params context_params;
	fkm_context_params_init(&context_params);
	context_params.backend = "cpu";
	context_params.threads = 2;
	fkm_context *raw = nullptr;
	if (fkm_context_create(&context_params, &raw) != FKM_OK) {
		std::fprintf(stderr, "%s\n", fkm_error_message());
		return 1;
	}
	const std::unique_ptr<fkm_context, Destroy> context(raw);

	const fkm_array x = fkm_array_2d(points.data(), FKM_F32, 4, 1);
	fkm_fit_params params;
	fkm_fit_params_init(&params);
	params.clusters = 2;
	params.tol = 0;
	fkm_fit_result result;
	fkm_fit_result_init(&result);
	result.labels = labels.data();
	result.centroids = centroids.data();
	result.inertia = &inertia;
	if (fkm_fit(context.get(), &x, &params, &result) != FKM_OK) {
		std::fprintf(stderr, "%s\n", fkm_error_message());
		return 1;
	}
	const bool right = labels[0] == labels[1] && labels[2] == labels[3] && labels[0] != labels[2] &&
					   centroids[labels[0]] == 0.5 && centroids[labels[2]] == 10.5 && inertia == 1.0;
	if (!right)
		std::fprintf(stderr, "labels %d %d %d %d, centroids %g %g, inertia %g\n", labels[0], labels[1], labels[2],
					 labels[3], centroids[0], centroids[1], inertia);
	return right ? 0 : 1;
}
