/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of one assignment tile, a program of its own: the build options are its sizes, kernels/common/state.h. */
#ifndef FKMI_OPENCL_TILE_H
#define FKMI_OPENCL_TILE_H

#include "../common/dialect.h"
#include "../common/exact.h"
#include "../common/points.h"
#include "../common/certificate.h"
#include "../common/rows.h"
#include "../common/filter.h"
#if defined(FKMI_TILE_OF_A_CPU)
#include "cpu_tile.h"
#else
#include "../common/tile.h"
#endif

#endif
