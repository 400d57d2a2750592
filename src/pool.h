/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that run one function together: the CPU backend's, those that pack rows for the other backends, and one for each
 * of several devices. */
#ifndef FKMI_POOL_H
#define FKMI_POOL_H

#include "flashkmeans/flashkmeans.h"

struct fkmi_pool;
/* fn(argument, thread, threads) runs once on each of the pool's threads; the caller's thread is thread 0. */
typedef void (*fkmi_pool_fn)(void *argument, int thread, int threads);
/* Makes a pool of as many threads as the system gives, at most those asked for (at least 1). */
enum fkm_status fkmi_pool_create(int threads, struct fkmi_pool **out);
void fkmi_pool_destroy(struct fkmi_pool *pool);
int fkmi_pool_threads(const struct fkmi_pool *pool);
/* Returns when every thread has. Not from two threads at once, and not from within fn. */
void fkmi_pool_run(struct fkmi_pool *pool, fkmi_pool_fn fn, void *argument);

#endif
