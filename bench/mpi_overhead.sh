#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mpi_overhead.sh BUILD [REPEATS]: what several processes cost on this machine. Fits of 20 iterations by the CPU backend with the
# same threads in all: as one process, and dealt to processes of one thread each. Seconds are the least of the repeats.
set -eu
build=$(cd "$1" && pwd)
repeats=${2:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# Open MPI: root, more processes than processors, no network.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none

seconds() { # COMMAND...: of the fit, at best
	best=
	for _ in $(seq "$repeats"); do
		"$@" --json report -q >/dev/null
		best=$(awk -v best="$best" '/"total":/ { t = $2 + 0; print (best == "" || t < best) ? t : best }' report)
	done
	echo "$best"
}

printf '%-22s %9s %9s %9s %9s %9s %14s\n' 'N, K, d' '1 x 2' '2 x 1' '1 x 4' '4 x 1' 'extra, 2' 'KiB/iteration'
for shape in 20000,64,32 200000,256,64 50000,2048,64; do
	n=${shape%%,*} k=${shape#*,} d=${shape##*,}
	k=${k%,*}
	"$build/tests/tools/make_array" f4 0 "$n" "$d" 1 >points.npy
	set -- fit points.npy -k "$k" --init random --fixed --max-iter 20 --backend cpu
	one_2=$(seconds "$build/tools/fkm" "$@" --threads 2)
	two=$(seconds mpirun -n 2 "$build/tools/fkm" "$@" --threads 1)
	one_4=$(seconds "$build/tools/fkm" "$@" --threads 4)
	four=$(seconds mpirun -n 4 "$build/tools/fkm" "$@" --threads 1)
	awk -v shape="$shape" -v a="$one_2" -v b="$two" -v c="$one_4" -v e="$four" -v k="$k" -v d="$d" 'BEGIN {
		printf "%-22s %9.4f %9.4f %9.4f %9.4f %8.1f%% %14.0f\n", shape, a, b, c, e, 100 * (b / a - 1), k * (d + 1) * 8 / 1024 }'
done
