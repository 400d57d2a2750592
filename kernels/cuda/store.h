/* SPDX-License-Identifier: Apache-2.0 */
/* What host and device say of the kernel that writes its own argument to memory. */
#ifndef FKMI_CUDA_STORE_H
#define FKMI_CUDA_STORE_H

enum { FKMI_STORE_THREADS = 256 };

struct fkmi_store_bytes { /* all parameters of a kernel together take at most 4 KiB */
	unsigned char bytes[4000];
};

#endif
