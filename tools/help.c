/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

const char tool_help[] = "usage: fkm fit X [option ...]          cluster the points of a file\n"
						 "       fkm predict X C [option ...]    the nearest of given centroids\n"
						 "       fkm devices                     what fkm can run on here\n"
						 "       fkm plan -n N -k K -d D [...]   how a fit would run\n"
						 "       fkm COMMAND --help | fkm --help | fkm --version\n"
						 "\n"
						 "Exact k-means: the result is that of Lloyd's algorithm in double precision, the same\n"
						 "bit for bit on every device. Files are .npy, .fvecs or .bvecs; '-' is standard input\n"
						 "or output. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n";

#define RUN_OPTIONS                                                                                                    \
	"Running\n"                                                                                                        \
	"  --backend NAME           cpu, cuda, hip or opencl (default: the first that works)\n"                            \
	"  --device I|NAME          device of the backend, from 0, or a part of its name; see fkm devices\n"               \
	"  --devices LIST           devices of the backend, like 0,1, that share the points\n"                             \
	"  --threads N              CPU threads (default: all)\n"                                                          \
	"  --dtype f16|bf16|f32     type to hold the points in (default: the file's)\n"                                    \
	"  --precision exact|fast   fast: uncertified labels\n"                                                            \
	"  --max-memory SIZE        the most memory to allocate, like 512M or 4G\n"                                        \
	"  --kernel NAME            assignment kernel; see fkm plan\n"                                                     \
	"  --chunk-rows N           points handled at a time\n"                                                            \
	"  -v, --verbose            say how the backend was chosen\n"

#define RANK_OPTIONS                                                                                                   \
	"Several processes, started by mpirun or the like, each of which reads its rows of the files\n"                    \
	"  --time-limit SECONDS     that they wait for each other (default: 600; 0: for ever)\n"                           \
	"\n"

static const char fit_help[] =
	"usage: fkm fit X [option ...]\n"
	"\n"
	"Clustering\n"
	"  -k, --clusters K         number of clusters (default: the rows of --init, else 8)\n"
	"  --init k-means++|random|FILE   starting centroids (default: k-means++)\n"
	"  --weights FILE           a weight for each point, f4 or f8\n"
	"  --metric euclidean|cosine\n"
	"  --max-iter N             most iterations (default: 300)\n"
	"  --tol T                  stop when the centroids' squared shift is at most T times the\n"
	"                           mean variance of the columns (default: 1e-4)\n"
	"  --absolute-tol T         stop when that shift is at most T\n"
	"  --fixed                  run --max-iter iterations, whatever happens\n"
	"  --n-init N               starts, of which the best is kept (default: 1)\n"
	"  --seed S                 of the random numbers (default: 0)\n"
	"  --empty relocate|keep|error    what becomes of empty clusters (default: relocate)\n"
	"\n"
	"Going on after an interruption\n"
	"  --checkpoint FILE        where to keep the state of the fit\n"
	"  --checkpoint-every M     iterations from one checkpoint to the next (default: 10)\n"
	"  --resume                 continue from the checkpoint, if there is one, to the same result\n"
	"\n"
	"Results\n"
	"  --labels FILE            .npy, i4: the cluster of each point\n"
	"  --centroids FILE         .npy, f8\n"
	"  --centroids-dtype f32|f64      f32: .npy, f4\n"
	"  --order FILE             .npy, i8: points sorted by cluster\n"
	"  --offsets FILE           .npy, i8: where each cluster begins in the order\n"
	"  --distances FILE         .npy, f8: squared distance of each point to its centroid\n"
	"  --json FILE              the report\n"
	"  -q, --quiet              no progress and no notes\n"
	"\n" RANK_OPTIONS RUN_OPTIONS;

static const char predict_help[] =
	"usage: fkm predict X C [option ...]\n"
	"\n"
	"Assigning\n"
	"  --metric euclidean|cosine\n"
	"  --weights FILE           a weight for each point in the inertia, f4 or f8\n"
	"\n"
	"Results\n"
	"  --labels FILE            .npy, i4: the nearest centroid of each point\n"
	"  --order FILE             .npy, i8: points sorted by centroid\n"
	"  --offsets FILE           .npy, i8: where each centroid's points begin in the order\n"
	"  --distances FILE         .npy, f8: squared distance of each point to its centroid\n"
	"  --json FILE              the report\n"
	"  -q, --quiet              no notes\n"
	"\n" RANK_OPTIONS RUN_OPTIONS;

static const char devices_help[] = "usage: fkm devices\n"
								   "\n"
								   "Lists every device of every backend, and why a backend has none.\n";

static const char plan_help[] = "usage: fkm plan -n N -k K -d D [option ...]\n"
								"\n"
								"Shape\n"
								"  -n, --points N\n"
								"  -k, --clusters K\n"
								"  -d, --dims D\n"
								"  -b, --batch B            problems of that shape (default: 1)\n"
								"  --metric euclidean|cosine\n"
								"  --weighted               with weights\n"
								"  --empty relocate|keep|error\n"
								"\n" RUN_OPTIONS;

const char *tool_command_help(enum tool_command command)
{
	static const char *const texts[] = {
		[TOOL_FIT] = fit_help, [TOOL_PREDICT] = predict_help, [TOOL_DEVICES] = devices_help, [TOOL_PLAN] = plan_help};
	return texts[command];
}
