/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fixed set of threads that run one function together. An iteration is a handful of such runs a few microseconds
 * apart, so both sides spin briefly before they sleep, unless there are more threads than processors to spin on.
 */
#include "pool.h"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "error.h"
#include "machine.h"

enum { SPINS = 1000 }; /* some 10 to 50 microseconds */

struct fkmi_pool {
	int threads; /* the caller's included */
	int spins;
	fkmi_pool_fn fn;
	void *argument;
	_Atomic uint64_t generation; /* counts the runs; written under mutex */
	_Atomic int pending;         /* workers that have not finished the run */
	bool stopping;               /* read after a new generation */
	pthread_mutex_t mutex;
	pthread_cond_t begun, finished;
	struct worker {
		struct fkmi_pool *pool;
		pthread_t id;
		int thread;
	} workers[];
};

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
	__asm__ volatile("yield");
#endif
}

static uint64_t wait_for_run(struct fkmi_pool *pool, uint64_t seen)
{
	uint64_t now;
	for (int i = 0; i < pool->spins; i++) {
		now = atomic_load_explicit(&pool->generation, memory_order_acquire);
		if (now != seen)
			return now;
		relax();
	}
	pthread_mutex_lock(&pool->mutex);
	while ((now = atomic_load_explicit(&pool->generation, memory_order_relaxed)) == seen)
		pthread_cond_wait(&pool->begun, &pool->mutex);
	pthread_mutex_unlock(&pool->mutex);
	return now;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct fkmi_pool *pool = worker->pool;
	/* A creator that rounds otherwise or flushes subnormals to zero would hand that down. */
	fesetenv(FE_DFL_ENV);
	for (uint64_t seen = 0;;) {
		seen = wait_for_run(pool, seen);
		if (pool->stopping)
			return NULL;
		pool->fn(pool->argument, worker->thread, pool->threads);
		if (atomic_fetch_sub_explicit(&pool->pending, 1, memory_order_acq_rel) == 1) {
			pthread_mutex_lock(&pool->mutex);
			pthread_cond_signal(&pool->finished);
			pthread_mutex_unlock(&pool->mutex);
		}
	}
}

static void begin_run(struct fkmi_pool *pool)
{
	pthread_mutex_lock(&pool->mutex);
	atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
	pthread_cond_broadcast(&pool->begun);
	pthread_mutex_unlock(&pool->mutex);
}

/* Starts as many of the workers as the system allows; signals stay with the program's own threads. */
static void start_workers(struct fkmi_pool *pool, int threads)
{
	sigset_t all, before;
	sigfillset(&all);
	bool masked = pthread_sigmask(SIG_SETMASK, &all, &before) == 0;
	for (int i = 1; i < threads; i++) {
		struct worker *worker = &pool->workers[i - 1];
		*worker = (struct worker){.pool = pool, .thread = i};
		if (pthread_create(&worker->id, NULL, work, worker) != 0)
			break;
		pool->threads++; /* read by workers only after the first run has begun */
	}
	if (masked)
		pthread_sigmask(SIG_SETMASK, &before, NULL);
}

enum fkm_status fkmi_pool_create(int threads, struct fkmi_pool **out)
{
	*out = NULL;
	struct fkmi_pool *pool = calloc(1, sizeof *pool + (size_t)threads * sizeof pool->workers[0]);
	if (!pool)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for a pool of %d threads", threads);
	if (pthread_mutex_init(&pool->mutex, NULL) != 0)
		goto no_mutex;
	if (pthread_cond_init(&pool->begun, NULL) != 0)
		goto no_begun;
	if (pthread_cond_init(&pool->finished, NULL) != 0)
		goto no_finished;
	pool->threads = 1;
	pool->spins = threads <= fkmi_cpu_count() ? SPINS : 0;
	start_workers(pool, threads);
	*out = pool;
	return FKM_OK;

no_finished:
	pthread_cond_destroy(&pool->begun);
no_begun:
	pthread_mutex_destroy(&pool->mutex);
no_mutex:
	free(pool);
	return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "the system has no more locks for a pool of %d threads", threads);
}

void fkmi_pool_destroy(struct fkmi_pool *pool)
{
	if (!pool)
		return;
	pool->stopping = true;
	begin_run(pool);
	for (int i = 0; i < pool->threads - 1; i++)
		pthread_join(pool->workers[i].id, NULL);
	pthread_cond_destroy(&pool->finished);
	pthread_cond_destroy(&pool->begun);
	pthread_mutex_destroy(&pool->mutex);
	free(pool);
}

int fkmi_pool_threads(const struct fkmi_pool *pool)
{
	return pool->threads;
}

void fkmi_pool_run(struct fkmi_pool *pool, fkmi_pool_fn fn, void *argument)
{
	if (pool->threads == 1) {
		fn(argument, 0, 1);
		return;
	}
	pool->fn = fn;
	pool->argument = argument;
	atomic_store_explicit(&pool->pending, pool->threads - 1, memory_order_relaxed);
	begin_run(pool);
	fn(argument, 0, pool->threads);
	for (int i = 0; i < pool->spins; i++) {
		if (atomic_load_explicit(&pool->pending, memory_order_acquire) == 0)
			return;
		relax();
	}
	pthread_mutex_lock(&pool->mutex);
	while (atomic_load_explicit(&pool->pending, memory_order_acquire) != 0)
		pthread_cond_wait(&pool->finished, &pool->mutex);
	pthread_mutex_unlock(&pool->mutex);
}
