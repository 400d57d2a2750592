/* SPDX-License-Identifier: Apache-2.0 */
/* All kernels that CUDA, HIP and OpenCL share. */
#ifndef FKMI_COMMON_KERNELS_H
#define FKMI_COMMON_KERNELS_H

#include "dialect.h"
#include "exact.h"
#include "random.h"
#include "points.h"
#include "check.h"
#include "centroids.h"
#include "seed.h"
#include "certificate.h"
#include "rows.h"
#include "filter.h"
#include "assign.h"
#if !defined(FKMI_TILE_APART) /* in a program of its own */
#include "tile.h"
#endif
#include "update.h"
#include "relocate.h"
#include "ranks.h"
#include "results.h"

#endif
