/* SPDX-License-Identifier: Apache-2.0 */
/* Assignment by mma.sync, for sm_80 and later; the host side is backends/gpu/assign_matrix.c. */
#include "kernels/matrix/kernels.h"
