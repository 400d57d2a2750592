/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 1024 };

struct share {
	pthread_t handle;
	bool started;
	void (*function)(void *, int, int);
	void *argument;
	int thread, threads;
};

static void *run_share(void *argument)
{
	const struct share *share = argument;
	share->function(share->argument, share->thread, share->threads);
	return NULL;
}

void run_threads(int threads, void (*function)(void *argument, int thread, int threads), void *argument)
{
	struct share shares[MAX_THREADS];
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	for (int t = 0; t < threads; t++) {
		shares[t] = (struct share){.function = function, .argument = argument, .thread = t, .threads = threads};
		shares[t].started = t > 0 && !pthread_create(&shares[t].handle, NULL, run_share, &shares[t]);
	}
	for (int t = 0; t < threads; t++)
		if (!shares[t].started)
			run_share(&shares[t]);
	for (int t = 0; t < threads; t++)
		if (shares[t].started)
			pthread_join(shares[t].handle, NULL);
}

int available_threads(void)
{
#ifdef __linux__
	cpu_set_t set;
	if (!sched_getaffinity(0, sizeof(set), &set))
		return CPU_COUNT(&set);
#endif
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	return count > 0 ? (int)count : 1;
}

double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}
