/* SPDX-License-Identifier: Apache-2.0 */
/* The little that is used of cuBLAS, opened at run time. */
#ifndef BENCH_CUBLAS_H
#define BENCH_CUBLAS_H

#include <stdbool.h>

struct cublas {
	void *handle;
	int version;
	int (*destroy)(void *handle);
	int (*gemm)(void *handle, int transpose_a, int transpose_b, int m, int n, int k, const void *alpha, const void *a,
				int a_type, int lda, const void *b, int b_type, int ldb, const void *beta, void *c, int c_type, int ldc,
				int compute, int algorithm);
};

/* cudaDataType and cublasComputeType_t */
enum { CUBLAS_TYPE_F32 = 0, CUBLAS_TYPE_F16 = 2, CUBLAS_TYPE_BF16 = 14 };
enum { CUBLAS_COMPUTE_F32 = 68, CUBLAS_COMPUTE_TF32 = 77 };

/* In the current context, on that stream. path NULL: libcublas.so.13, .12. False after a sentence on standard error. */
bool cublas_open(const char *path, void *stream, struct cublas *cublas);
void cublas_close(struct cublas *cublas);

/* c = a b for square matrices of that size and type, enqueued; the result of cublasGemmEx. */
int cublas_multiply(const struct cublas *cublas, int size, int type, int compute, const void *a, const void *b,
					void *c);

#endif
