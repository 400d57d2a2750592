/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter [stop|late RANK]: what fkm_mpi.h makes of MPI, on three ranks or more. stop: that rank stays away from an
 * exchange; late: it comes when the others have given up. Then each rank prints "RANK: SENTENCE" and how long it took.
 */
#define FKM_MPI_WAIT (queue != NULL)
#include "flashkmeans/fkm_mpi.h"

enum { COUNT = 300000, LIMIT = 2 }; /* COUNT: more than one step */

static int failures;
static struct fkm_communicator ranks;

static void expect(int condition, const char *what)
{
	if (condition)
		return;
	printf("FAIL: rank %d: %s\n", ranks.rank, what);
	failures++;
}

static int reduce(int64_t *values, int64_t count, enum fkm_reduce op, char error[512])
{
	return ranks.all_reduce(ranks.user, values, count, op, error, 512);
}

static void check_sums(void)
{
	static int64_t values[COUNT];
	char error[512];
	for (int64_t i = 0; i < COUNT; i++)
		values[i] = i % 3 == 0 ? INT64_MAX : i * (ranks.rank + 1);
	expect(reduce(values, COUNT, FKM_REDUCE_SUM, error) == 0, "a sum fails");
	const int64_t size = ranks.size;
	for (int64_t i = 0; i < COUNT; i++) {
		const int64_t want = i % 3 == 0 ? (int64_t)((uint64_t)INT64_MAX * (uint64_t)size) : i * size * (size + 1) / 2;
		if (values[i] != want) {
			expect(0, "a sum is wrong");
			return;
		}
	}
}

static void check_extremes(void)
{
	char error[512];
	int64_t least[3] = {ranks.rank, -ranks.rank, INT64_MIN + ranks.rank}, most[3];
	memcpy(most, least, sizeof most);
	expect(reduce(least, 3, FKM_REDUCE_MIN, error) == 0 && reduce(most, 3, FKM_REDUCE_MAX, error) == 0,
		   "an extreme fails");
	expect(least[0] == 0 && least[1] == 1 - ranks.size && least[2] == INT64_MIN, "a least value is wrong");
	expect(most[0] == ranks.size - 1 && most[1] == 0 && most[2] == INT64_MIN + ranks.size - 1, "a most is wrong");
}

static void check_device(void)
{
	char error[512] = "";
	int64_t value = 1;
	expect(ranks.all_reduce_device(ranks.user, &value, 1, FKM_REDUCE_SUM, NULL, error, sizeof error) == 0 &&
			   value == ranks.size,
		   "a sum in device memory is wrong");
}

static void check_failing_queue(void)
{
	char error[512] = "";
	int64_t value = 1;
	expect(ranks.all_reduce_device(ranks.user, &value, 1, FKM_REDUCE_SUM, &value, error, sizeof error) != 0 &&
			   strstr(error, "could not be waited for") != NULL,
		   "a queue that fails is not told of");
	expect(reduce(&value, 1, FKM_REDUCE_SUM, error) != 0, "after a queue that failed there is another sum");
}

/* Does not return. */
static void part(const char *how, int odd)
{
	char error[512] = "";
	int64_t value = 1;
	if (ranks.rank == odd)
		poll(NULL, 0, strcmp(how, "late") == 0 ? 1000 * LIMIT + 500 : 60000);
	const double begun = MPI_Wtime();
	const int first = reduce(&value, 1, FKM_REDUCE_SUM, error);
	printf("%d: %s (%s, %.1f s)\n", ranks.rank, error, first ? "failed" : "passed", MPI_Wtime() - begun);
	fflush(stdout);
	error[0] = 0;
	expect(reduce(&value, 1, FKM_REDUCE_SUM, error) != 0 && error[0] != 0, "after a failure there is no other one");
	/* So that all have printed. */
	poll(NULL, 0, 3000);
	MPI_Abort(MPI_COMM_WORLD, failures ? 2 : 3);
}

int main(int argc, char **argv)
{
	struct fkm_mpi *mpi;
	MPI_Init(&argc, &argv);
	if (fkm_mpi_create(MPI_COMM_WORLD, LIMIT, &mpi, &ranks) != MPI_SUCCESS)
		return 2;
	check_sums();
	check_extremes();
	check_device();
	if (argc > 2)
		part(argv[1], atoi(argv[2]));
	check_failing_queue();
	fkm_mpi_destroy(mpi);
	MPI_Finalize();
	return failures != 0;
}
