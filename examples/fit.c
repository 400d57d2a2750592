/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest program: cc fit.c $(pkg-config --cflags --libs flashkmeans) */
#include <flashkmeans/flashkmeans.h>
#include <stdio.h>

int main(void)
{
	const float points[6][2] = {{1, 1}, {1, 2}, {2, 1}, {8, 8}, {8, 9}, {9, 8}};
	const struct fkm_array x = fkm_array_2d(points, FKM_F32, 6, 2);
	int32_t labels[6];
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	struct fkm_context *context;

	fkm_fit_params_init(&params);
	params.clusters = 2;
	fkm_fit_result_init(&result);
	result.labels = labels;
	enum fkm_status status = fkm_context_create(NULL, &context);
	if (status == FKM_OK)
		status = fkm_fit(context, &x, &params, &result);
	if (status != FKM_OK)
		fprintf(stderr, "%s\n", fkm_error_message());
	for (int i = 0; i < 6 && status == FKM_OK; i++)
		printf("(%g, %g) is in cluster %d\n", points[i][0], points[i][1], labels[i]);
	fkm_context_destroy(context);
	return status != FKM_OK;
}
