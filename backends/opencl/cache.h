/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Built programs kept between processes, in $XDG_CACHE_HOME/flashkmeans, else ~/.cache/flashkmeans: a file for each key,
 * which holds the whole key. Whatever is wrong with it or with the directory, a program is built as if there were none.
 * Switched off by FKM_OPENCL_CACHE=0.
 */
#ifndef FKMI_OPENCL_CACHE_H
#define FKMI_OPENCL_CACHE_H

#include <stdbool.h>
#include <stddef.h>

/* The binary that was kept under a key, for free(); NULL: none. */
unsigned char *fkmi_opencl_cache_load(const char *key, size_t key_bytes, size_t *bytes);

void fkmi_opencl_cache_store(const char *key, size_t key_bytes, const unsigned char *binary, size_t bytes);

#endif
