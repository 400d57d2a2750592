/* SPDX-License-Identifier: Apache-2.0 */
/* Running a function on several threads, and a clock. */
#ifndef BENCH_THREADS_H
#define BENCH_THREADS_H

/* function(argument, thread, threads) once for each thread; the caller is thread 0. Where no thread can be started, the
 * caller does its share as well. */
void run_threads(int threads, void (*function)(void *argument, int thread, int threads), void *argument);

/* Processors that this process may use. */
int available_threads(void);

/* Seconds of a monotonic clock. */
double now(void);

#endif
