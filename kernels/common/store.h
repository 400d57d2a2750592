/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA and HIP: a kernel that writes bytes that travel as its own argument, for uploads that nothing waits for. */
#ifndef FKMI_COMMON_STORE_H
#define FKMI_COMMON_STORE_H

enum { FKMI_STORE_THREADS = 256 };

struct fkmi_store_bytes { /* all parameters of a kernel together take at most 4 KiB */
	unsigned char bytes[4000];
};

#if defined(FKMI_KERNEL_OF)
#if defined(__HIP__)
#define FKMI_STORE_ARGUMENT const
#else
#define FKMI_STORE_ARGUMENT const __grid_constant__ /* read where it arrives, not from a copy */
#endif
FKMI_KERNEL_OF(FKMI_STORE_THREADS)
fkmi_store(FKMI_STORE_ARGUMENT struct fkmi_store_bytes block, unsigned char *to, int count)
{
	for (int i = fkmi_item(); i < count; i += FKMI_STORE_THREADS)
		to[i] = block.bytes[i];
}
#endif

#endif
