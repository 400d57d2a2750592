#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_fkm_mpi.sh FKM TOOLS MPIRUN: the command as several processes gives the bytes of one. TOOLS is the directory of make_array
# and json_value.
set -u

absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
fkm=$(absolute "$1") tools=$(absolute "$2") mpirun=$3
[ -x "$fkm" ] || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1
failures=0 checks=0
results='labels centroids order offsets distances'
all='--labels labels --centroids centroids --order order --offsets offsets --distances distances --json report'

make_array() { "$tools/make_array" "$@"; }

fail() {
	echo "FAIL: $*" >&2
	failures=$((failures + 1))
}

check() { # WHAT COMMAND...
	what=$1
	shift
	checks=$((checks + 1))
	"$@" || fail "$what"
}

exits() { # CODE COMMAND...
	expected=$1
	shift
	checks=$((checks + 1))
	"$@" >out 2>err </dev/null
	code=$?
	[ $code -eq "$expected" ] || fail "exit code $code, not $expected: $* ($(cat err))"
}

ranks() { # COUNT ARGUMENT...
	count=$1
	shift
	"$mpirun" -n "$count" "$fkm" "$@"
}

# keep: the results of one process, for
keep() {
	mkdir -p one
	for result in $results report; do
		[ ! -e $result ] || mv $result one/$result
	done
}

same() { # WHAT: as those kept
	checks=$((checks + 1))
	for result in $results; do
		[ ! -e one/$result ] || cmp -s $result one/$result || fail "$1: $result differs"
	done
	for key in n k d inertia n_iter stop_reason empty_clusters; do
		value=$("$tools/json_value" report $key 2>/dev/null)
		expected=$("$tools/json_value" one/report $key 2>/dev/null)
		[ "$value" = "$expected" ] || fail "$1: $key is $value, not $expected"
	done
	rm -f $results report
	for file in .fkm-*; do
		[ ! -e "$file" ] || fail "$1 left $file"
	done
}

agree() { # COUNTS ARGUMENT...: one process and so many give the same
	counts=$1
	shift
	rm -rf one
	# shellcheck disable=SC2086 # the lists are of words
	exits 0 "$fkm" "$@" $all
	keep
	for count in $counts; do
		# shellcheck disable=SC2086
		exits 0 ranks "$count" "$@" $all
		check "one summary of $count processes" test "$(grep -c '^inertia ' out)" -eq 1
		same "$count processes: $*"
	done
}

# refuses CODE COUNT PATTERN ARGUMENT...: one sentence that matches, and nothing left behind
refuses() {
	code=$1 count=$2 pattern=$3
	shift 3
	exits "$code" ranks "$count" "$@"
	[ "$(grep -c '^fkm: ' err)" -eq 1 ] || fail "not one sentence for $*: $(cat err)"
	grep -q "^fkm: .*$pattern" err || fail "no '$pattern' in the sentence for $*: $(cat err)"
	for file in .fkm-* $results report; do
		[ ! -e "$file" ] || fail "$* left $file"
	done
	rm -f .fkm-*
}

# ---- the same bytes ----
make_array f4 0 1001 6 1 >f4.npy
make_array f8F 0 301 5 2 >f8F.npy
make_array fvecs 0 500 6 1 >x.fvecs
make_array bvecs 0 77 3 1 >x.bvecs
make_array u1 3 50 4 20 >batch.npy
make_array f2F 3 50 4 20 >batchF.npy
make_array f4 0 1001 0 4 >weights.npy
make_array f8 3 50 0 5 >batch-weights.npy
make_array f8 0 5 6 9 >start.npy
make_array f4 0 3 2 1 >three.npy
agree '1 2 3 4' fit f4.npy -k 7 --seed 3
agree 3 fit f4.npy -k 40 --init random --n-init 3 --seed 8
agree 2 fit f4.npy --init start.npy --weights weights.npy --tol 0
agree 4 fit f4.npy -k 9 --metric cosine --centroids-dtype f32
agree 3 fit f8F.npy -k 6 --max-iter 3
agree 3 fit x.fvecs -k 11 --fixed --max-iter 9
agree 2 fit x.bvecs -k 5
agree '2 4' fit batch.npy -k 3 --weights batch-weights.npy
agree 3 fit batchF.npy -k 4 --init random
agree 4 fit three.npy -k 2
exits 0 "$fkm" fit f4.npy -k 7 --seed 3 --centroids given.npy
exits 0 "$fkm" predict f4.npy given.npy --labels labels --order order --offsets offsets --distances distances --json report
rm -rf one
keep
exits 0 ranks 3 predict f4.npy given.npy --labels labels --order order --offsets offsets --distances distances --json report
same 'predict'
exits 0 ranks 3 devices
check 'devices are listed once' test "$(grep -c '^cpu ' out)" -eq 1
exits 0 ranks 2 fit f4.npy -k 2 --json -
check 'the report on standard output' grep -q '^ *"ranks": 2' out

# ---- checkpoints: of any number of processes, for any number ----
long='f4.npy -k 12 --init random --n-init 2 --max-iter 9 --tol 0 --seed 4'
# shellcheck disable=SC2086
agree 3 fit $long --checkpoint state3 --checkpoint-every 7
# shellcheck disable=SC2086
exits 0 "$fkm" fit $long --checkpoint state1 --checkpoint-every 7
check 'the checkpoint of three processes is that of one' cmp -s state1 state3
for count in 1 2 4; do
	# shellcheck disable=SC2086
	exits 0 ranks $count fit $long $all --checkpoint state3 --resume
	same "$count processes continue what three began"
done

# ---- one that fails ----
make_array f4 0 300 6 1 nan 250 4 >nan.npy
refuses 1 3 'nan.npy: points\[250\]\[4\] (row 250, column 4) is NaN' fit nan.npy -k 2 --labels labels
(make_array fvecs 0 60 6 1 && make_array fvecs 0 7 5 1 && make_array fvecs 0 77 5 1) >mixed.fvecs
refuses 1 2 'mixed.fvecs: row 60 has dimension 5, but row 0 has 6' fit mixed.fvecs -k 2
make_array f8 0 300 6 1 1e300 299 4 >wide.npy
refuses 1 4 'wide.npy: 1e+300 at row 299, column 4 is too large for f32' fit wide.npy -qk 2 --labels labels
refuses 1 2 'missing.npy: cannot be opened' fit missing.npy --labels labels
refuses 1 2 'nowhere/l: cannot be written' fit f4.npy --labels nowhere/l
refuses 1 2 '-: is no file that several processes can read' fit - -k 2
refuses 1 2 'is no file that several processes can write' fit f4.npy -k 2 --labels -
refuses 1 3 'three.npy: 4 clusters are more than its 3 points' fit three.npy -k 4
refuses 2 2 'no option --frob' fit f4.npy --frob
refuses 1 3 "state3: resume: the checkpoint's seed is 4, this fit's 5" fit $long --checkpoint state3 --resume --seed 5
mkdir -p alone
cp "$fkm" alone/fkm
exits 1 "$mpirun" -n 2 alone/fkm fit f4.npy -k 2 --labels labels
check 'fkm without fkm-mpi beside it says so' grep -q '^fkm: one of 2 processes started together' err
check 'and does nothing' test ! -e labels

# ---- one that stops, or dies ----
cat >begin.sh <<'SH'
#!/bin/sh
echo $$ >"pid.${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"
exec "$@"
SH
chmod +x begin.sh
# ended NAME SIGNAL: what three processes do after rank 1 got a signal in the fit; the seconds they still take are in $took
ended() {
	rm -f pid.* log
	"$mpirun" -n 3 ./begin.sh "$fkm" fit f4.npy -k 7 --fixed --max-iter 1000000000 --time-limit 2 --labels labels \
		>out 2>log </dev/null &
	launcher=$!
	waited=0
	until grep -q 'iteration  *[1-9]' log 2>/dev/null || [ $waited -ge 300 ]; do
		sleep 0.1
		waited=$((waited + 1))
	done
	begun=$(date +%s)
	kill -"$2" "$(cat pid.1)"
	wait $launcher
	code=$?
	took=$(($(date +%s) - begun))
	checks=$((checks + 1))
	[ $code -ne 0 ] || fail "$1: exit code 0"
	[ $took -le 15 ] || fail "$1: the others took $took s"
	for rank in 0 1 2; do
		pid=$(cat pid.$rank)
		# The launcher may be done before them; a dead one may be nobody's child any more.
		while kill -0 "$pid" 2>/dev/null && ! grep -q '^State:.*[ZX]' "/proc/$pid/status" 2>/dev/null; do
			[ $(($(date +%s) - begun)) -le 15 ] || break
			sleep 0.1
		done
		[ $(($(date +%s) - begun)) -le 15 ] || fail "$1: rank $rank still runs"
	done
	[ ! -e labels ] || fail "$1: there are results"
	rm -f .fkm-*
}
ended 'a rank that stops' STOP
check 'the sentence names the rank that stopped' \
	grep -q '^fkm: rank [02] of 3 cannot reach the others: rank 1 did not come within the time limit$' log
ended 'a rank that is killed' KILL
# What three had come to when one was killed, two bring to its end.
steady='f4.npy -k 7 --fixed --max-iter 4000'
rm -rf one pid.* log
# shellcheck disable=SC2086 # the lists are of words
exits 0 "$fkm" fit $steady $all -q
keep
# shellcheck disable=SC2086
"$mpirun" -n 3 ./begin.sh "$fkm" fit $steady --checkpoint killed --checkpoint-every 20 >out 2>log </dev/null &
launcher=$!
waited=0
until [ -s killed ] || [ $waited -ge 300 ]; do
	sleep 0.1
	waited=$((waited + 1))
done
kill -KILL "$(cat pid.1)"
wait $launcher
rm -f .fkm-*
check 'the rank was killed before the end' sh -c '! grep -q "^inertia" out'
# shellcheck disable=SC2086
exits 0 ranks 2 fit $steady $all --checkpoint killed --resume
check 'the fit went on in its midst' sh -c '! grep -q "^iteration   1 " err'
same 'continued after a kill'
# An interrupt of one is an interrupt of all: their results are written.
ended_by_interrupt() {
	rm -f pid.* log
	"$mpirun" -n 3 ./begin.sh "$fkm" fit f4.npy -k 7 --fixed --max-iter 1000000000 --labels labels --json report \
		>out 2>log </dev/null &
	launcher=$!
	waited=0
	until grep -q 'iteration  *[1-9]' log 2>/dev/null || [ $waited -ge 300 ]; do
		sleep 0.1
		waited=$((waited + 1))
	done
	kill -INT "$(cat pid.2)"
	wait $launcher
}
ended_by_interrupt
check 'an interrupted fit has results' test -s labels
check 'that are said to be interrupted' test "$("$tools/json_value" report interrupted)" = true

echo "$checks checks, $failures failures"
[ $failures -eq 0 ]
