#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_fkm.sh FKM TOOLS MANUAL: the command line as a user meets it. TOOLS is the directory of make_array, drive, json_value.
set -u

absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
fkm=$(absolute "$1") tools=$(absolute "$2") manual=$(absolute "$3")
[ -x "$fkm" ] || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1
failures=0 checks=0

make_array() { "$tools/make_array" "$@"; }
drive() { "$tools/drive" "$@"; }

fail() {
	echo "FAIL: $*" >&2
	failures=$((failures + 1))
}

# check WHAT COMMAND...: the command succeeds
check() {
	what=$1
	shift
	checks=$((checks + 1))
	"$@" || fail "$what"
}

# same WHAT FILE FILE
same() {
	check "$1: $2 and $3 differ" cmp -s "$2" "$3"
}

# exits CODE COMMAND...: with that exit code; standard output and error go to out and err
exits() {
	expected=$1
	shift
	checks=$((checks + 1))
	"$@" >out 2>err </dev/null
	code=$?
	[ $code -eq "$expected" ] || fail "exit code $code, not $expected: $* ($(cat err))"
}

# refuses CODE PATTERN ARGUMENT...: fkm ends so, says one sentence that matches, prints and leaves nothing
refuses() {
	expected=$1 pattern=$2
	shift 2
	exits "$expected" "$fkm" "$@"
	[ "$(wc -l <err)" -eq 1 ] || fail "more or less than one line for $*: $(cat err)"
	grep -q "^fkm: .*$pattern" err || fail "no '$pattern' in the sentence for $*: $(cat err)"
	[ -s out ] && fail "output for $*: $(cat out)"
	no_leftovers "$*"
}

no_leftovers() {
	checks=$((checks + 1))
	for file in .fkm-* results/* results/.fkm-*; do
		[ ! -e "$file" ] || fail "$1 left $file"
	done
	rm -rf results .fkm-*
	mkdir results
}

# holds FILE KEY VALUE: a member of a JSON report
holds() {
	checks=$((checks + 1))
	value=$("$tools/json_value" "$1" "$2") || fail "$1 is no JSON object with one $2"
	[ "$value" = "$3" ] || fail "$2 is $value, not $3"
}

# starts_with FILE TEXT: within the .npy header
starts_with() {
	checks=$((checks + 1))
	head -c 128 "$1" | grep -a -q "$2" || fail "$1 lacks $2: $(head -c 128 "$1")"
}

data() { tail -c +129 "$1"; }

mkdir results

# ---- help ----
exits 0 "$fkm" --help
exits 0 "$fkm" --version
check 'version' grep -q '^fkm [0-9]*\.[0-9]*\.[0-9]*$' out
for command in fit predict devices plan; do
	exits 0 "$fkm" $command --help
	for option in $(grep -o -e '--[a-z][a-z-]*' out | sort -u); do
		check "the manual tells of $option" grep -q -e " ${option#-}\( \|$\)" "$manual"
	done
done
exits 0 "$fkm" devices
check 'devices lists the cpu' grep -q '^cpu  *0 ' out
exits 0 "$fkm" plan -n 1000 -k 10 -d 16 --backend cpu
check 'plan says something' test -s out

# ---- every format gives the same bytes ----
make_array f4 0 300 6 1 >f4.npy
all='--labels labels --centroids centroids --order order --offsets offsets --distances distances'
exits 0 "$fkm" fit f4.npy -k 7 --seed 3 $all --json report
check 'the table names the inertia' grep -q '^inertia ' out
for result in labels centroids order offsets distances; do
	mv $result base.$result
done
mv report base.report
inertia=$("$tools/json_value" base.report inertia)
starts_with base.labels "'<i4', 'fortran_order': False, 'shape': (300,)"
starts_with base.centroids "'<f8', 'fortran_order': False, 'shape': (7, 6)"
starts_with base.order "'<i8', 'fortran_order': False, 'shape': (300,)"
starts_with base.offsets "'<i8', 'fortran_order': False, 'shape': (8,)"
starts_with base.distances "'<f8', 'fortran_order': False, 'shape': (300,)"

# formatted NAME DTYPE COMMAND...: the same results from another source
formatted() {
	name=$1 dtype=$2
	shift 2
	exits 0 "$@" -k 7 --seed 3 $all --json report
	for result in labels centroids order offsets distances; do
		same "$name" $result base.$result
	done
	holds report dtype "\"$dtype\""
	holds report inertia "$inertia"
}
for format in f2 f4 f8 i1 u1 f2F f4F f8F u1F f42 f43 f8F3; do
	make_array $format 0 300 6 1 >x.npy
	case $format in f4* | f8*) dtype=f32 ;; *) dtype=f16 ;; esac
	formatted $format $dtype "$fkm" fit x.npy
	case $format in
	f8*) check "$format is said to be rounded" grep -q '^fkm: x.npy holds f8; its values are rounded to f32$' err ;;
	*) check "$format is not said to be rounded" sh -c '! grep -q rounded err' ;;
	esac
done
make_array fvecs 0 300 6 1 >x.fvecs
make_array bvecs 0 300 6 1 >x.bvecs
formatted fvecs f32 "$fkm" fit x.fvecs
formatted bvecs f16 "$fkm" fit x.bvecs
formatted bf16 bf16 "$fkm" fit f4.npy --dtype bf16
formatted f16 f16 "$fkm" fit f4.npy --dtype f16
formatted 'a pipe' f32 sh -c 'cat f4.npy | "$0" "$@"' "$fkm" fit -
formatted 'a file as standard input' f32 sh -c '"$0" "$@" <f4.npy' "$fkm" fit -
mkfifo fifo
cat f4.npy >fifo &
formatted 'a named pipe' f32 "$fkm" fit fifo
formatted 'one thread' f32 "$fkm" fit f4.npy --threads 1
formatted 'chunks' f32 "$fkm" fit f4.npy --chunk-rows 37

# ---- predict ----
exits 0 "$fkm" predict f4.npy base.centroids --labels labels --distances distances --order order --offsets offsets --json report
for result in labels distances order offsets; do
	same predict $result base.$result
done
holds report command '"predict"'
holds report inertia "$inertia"
exits 0 "$fkm" fit f4.npy -k 7 --seed 3 --centroids narrow.npy --centroids-dtype f32 --labels labels
starts_with narrow.npy "'<f4', 'fortran_order': False, 'shape': (7, 6)"
exits 0 "$fkm" predict f4.npy narrow.npy --labels labels2
same 'predict with f4 centroids' labels labels2
make_array f4 0 9 6 1 >few.npy
exits 0 "$fkm" predict few.npy f4.npy --labels labels
starts_with labels "'shape': (9,)"

# ---- starts, weights, stopping ----
make_array f8 0 5 6 9 >start.npy
make_array f4F 0 5 6 9 >startF.npy
exits 0 "$fkm" fit f4.npy --init start.npy --centroids c1 --json report
holds report k 5
holds report init '"start.npy"'
exits 0 "$fkm" fit f4.npy --init start.npy --n-init 3 --json report
holds report n_init 1
check 'a file is one start' sh -c '! grep -q "^start" err'
exits 0 "$fkm" fit f4.npy --init startF.npy --centroids c2
same 'start in Fortran order' c1 c2
exits 0 "$fkm" fit f4.npy -k 5 --init start.npy --max-iter 0 --centroids c1 --json report
tail -c 240 start.npy >start.data
data c1 >c1.data
same 'no iteration' start.data c1.data
holds report n_iter 0
make_array f4 0 300 0 4 >w4.npy
make_array f8 0 300 0 4 >w8.npy
exits 0 "$fkm" fit f4.npy --init start.npy --weights w4.npy --centroids c1 --json report
holds report weighted true
exits 0 "$fkm" fit f4.npy --init start.npy --weights w8.npy --centroids c2
same 'weights f4 and f8' c1 c2
exits 0 "$fkm" fit f4.npy --init start.npy --centroids c2
check 'weights matter' sh -c '! cmp -s c1 c2'
exits 0 "$fkm" fit f4.npy --init start.npy --fixed --max-iter 17 --json report
holds report n_iter 17
holds report stop_reason '"fixed"'
exits 0 "$fkm" fit f4.npy --init start.npy --absolute-tol 1e9 --json report
holds report n_iter 1
holds report stop_reason '"shift"'
exits 0 "$fkm" fit f4.npy --init start.npy --tol 0 --json report
holds report stop_reason '"unchanged"'
exits 0 "$fkm" fit f4.npy --init random --seed 18446744073709551615 --json report
holds report k 8
holds report seed 18446744073709551615
check 'the default number of clusters is said' grep -q '^fkm: -k is not given: 8 clusters$' err

# ---- batches ----
make_array u1 3 50 4 20 >batch.npy
make_array u1F 3 50 4 20 >batchF.npy
exits 0 "$fkm" fit batch.npy -k 3 $all --json report
for result in labels centroids order offsets distances; do
	mv $result batch.$result
done
starts_with batch.labels "'shape': (3, 50)"
starts_with batch.centroids "'shape': (3, 3, 4)"
starts_with batch.offsets "'shape': (3, 4)"
holds report b 3
exits 0 "$fkm" fit batchF.npy -k 3 $all
for result in labels centroids order offsets distances; do
	same 'batch in Fortran order' $result batch.$result
	: >joined.$result
done
inertias=
for problem in 0 1 2; do
	make_array u1 0 50 4 $((20 + problem)) >single.npy
	exits 0 "$fkm" fit single.npy -k 3 $all --json single.report
	inertias="$inertias${inertias:+, }$("$tools/json_value" single.report inertia)"
	for result in labels centroids order offsets distances; do
		data $result >>joined.$result
	done
done
holds report inertia "[$inertias]"
for result in labels centroids order offsets distances; do
	data batch.$result >batch.data
	same 'a batch is its problems' batch.data joined.$result
done
exits 0 "$fkm" predict batch.npy batch.centroids --labels labels
same 'predict on a batch' labels batch.labels
make_array f4 3 50 0 5 >batch-weights.npy
exits 0 "$fkm" fit batch.npy -k 3 --weights batch-weights.npy

# ---- several devices: there is one cpu, which can be several ----
exits 0 "$fkm" fit batch.npy -k 3 --backend cpu --devices 0,0,0 $all
for result in labels centroids order offsets distances; do
	same 'several devices' $result batch.$result
done

# ---- the report ----
for key in backend device kernel tile n k d b dtype metric n_iter stop_reason inertia rechecked exact_ties relocations \
	empty_clusters workspace_bytes seconds; do
	check "the report has $key" "$tools/json_value" base.report $key >/dev/null
done
holds base.report n 300
holds base.report d 6
holds base.report metric '"euclidean"'
odd=$(printf 'odd "name"\\\n\303\251\377.npy')
cp f4.npy "$odd"
exits 0 "$fkm" fit "$odd" -k 2 --json report
holds report input "$(printf '"odd \\"name\\"\\\\\\u000a\303\251\\ufffd.npy"')"
exits 0 "$fkm" fit f4.npy -k 2 --quiet --json -
cp out stdout.json
holds stdout.json k 2
check 'quiet is quiet' test ! -s err

# ---- output files ----
no_leftovers 'the above'
(umask 027 && "$fkm" fit f4.npy -k 2 -q --labels mode >/dev/null)
check 'a new file gets the usual permissions' test "$(ls -l mode | cut -c 1-10)" = -rw-r-----
chmod 604 mode
exits 0 "$fkm" fit f4.npy -k 2 --labels mode
check 'a replaced file keeps its permissions' test "$(ls -l mode | cut -c 1-10)" = -rw----r--
ln -s mode link
echo old >mode
exits 0 "$fkm" fit f4.npy -k 2 --labels link
check 'a link stays a link' test -L link
starts_with mode "'<i4'"
exits 0 "$fkm" fit f4.npy -k 2 --labels /dev/null --distances /dev/null
check '/dev/null stays a device' test -c /dev/null
exits 0 "$fkm" fit f4.npy -k 7 --seed 3 --labels -
same 'labels on standard output' out base.labels
exits 1 sh -c 'ulimit -f 1 && "$0" fit f4.npy -k 2 --distances results/d --order results/o' "$fkm"
check 'a full disk is said' grep -q '^fkm: results/[do]: cannot be written: ' err
no_leftovers 'a full disk'
if [ -c /dev/full ]; then
	exits 1 sh -c '"$0" fit f4.npy -k 2 -q >/dev/full' "$fkm"
	exits 1 "$fkm" fit f4.npy -k 2 --json /dev/full
fi

# ---- wrong usage ----
refuses 2 'a command is needed'
refuses 2 "'frob' is not a command" frob
refuses 2 'needs one file' fit
refuses 2 'one argument too many' fit f4.npy f4.npy
refuses 2 'a file of centroids' predict f4.npy
refuses 2 'no option --frob$' fit f4.npy --frob=1
refuses 2 'several options that begin with --max$' fit f4.npy --max=3
refuses 2 '--labels: the name of the file is empty' fit f4.npy --labels ''
refuses 2 'the points: the name of the file is empty' fit ''
refuses 2 'no option -z' fit f4.npy -z
refuses 2 'no option --init$' predict f4.npy base.centroids --init random
refuses 2 '-k needs a value' fit f4.npy -k
refuses 2 '--tol needs a value' fit f4.npy --tol
refuses 2 '--quiet takes no value' fit f4.npy --quiet=1
refuses 2 "--clusters: '0'" fit f4.npy -k 0
refuses 2 "--clusters: '3x'" fit f4.npy -k 3x
refuses 2 "--clusters: '9999999999'" fit f4.npy -k 9999999999
refuses 2 "--max-iter: '-1'" fit f4.npy --max-iter -1
refuses 2 "--n-init: '0'" fit f4.npy --n-init 0
refuses 2 "--seed: '-1'" fit f4.npy --seed -1
refuses 2 "--tol: '-1'" fit f4.npy --tol -1
refuses 2 "--tol: 'nan'" fit f4.npy --tol nan
refuses 2 "--absolute-tol: ''" fit f4.npy --absolute-tol ''
refuses 2 '--tol and --fixed exclude' fit f4.npy --tol 0 --fixed
refuses 2 "--metric: 'l1' is not known; euclidean and cosine are" fit f4.npy --metric l1
refuses 2 "--dtype: 'f64' is not known; f16, bf16 and f32 are" fit f4.npy --dtype f64
refuses 2 "--max-memory: '4Q'" fit f4.npy --max-memory 4Q
refuses 2 "--max-memory: '9999999P'" fit f4.npy --max-memory 9999999P
refuses 2 "--threads: '0'" fit f4.npy --threads 0
refuses 2 "--devices: '0,'" fit f4.npy --devices 0,
refuses 1 'cpu device 1 does not exist' fit f4.npy -k 2 --backend cpu --devices 0,1
refuses 2 'without --centroids' fit f4.npy --centroids-dtype f32
refuses 2 'same file as --labels' fit f4.npy --labels results/l --distances ./results/../results/l
refuses 2 'same file as the points' fit f4.npy --labels ./f4.npy
refuses 2 'same file as --init' fit f4.npy --init start.npy --centroids start.npy
refuses 2 'same file as --labels' fit f4.npy --labels mode --json link
refuses 2 "cannot both be '-'" fit - --weights -
refuses 2 "cannot both be '-'" fit f4.npy --json - --labels -
refuses 2 'fkm plan needs -d' plan -n 10 -k 2

# ---- checkpoints ----
make_array f4 0 30000 16 6 >many.npy
long='many.npy -k 40 --init random --n-init 2 --max-iter 12 --tol 0 --seed 4 --threads 1'
exits 0 "$fkm" fit $long $all --json report
for result in labels centroids order offsets distances report; do
	mv $result whole.$result
done
resumed() { # WHAT: the same results as without an interruption
	for result in labels centroids order offsets distances; do
		same "$1" $result whole.$result
	done
	for key in n_iter stop_reason inertia; do
		holds report $key "$("$tools/json_value" whole.report $key)"
	done
	rm -f labels centroids order offsets distances report
}
exits 0 "$fkm" fit $long --checkpoint state --checkpoint-every 1 --resume --max-iter 1
check 'a first run that is to resume says that there is nothing' grep -q '^fkm: state is not there' err
# Killed when it has told of an iteration, for each: at that time it is about to keep it, doing so, or a little further.
for start in 1 2; do
	for iteration in 1 2 3 4 5 6 7 8 9 10 11 12; do
		text=$(printf 'start %d/2  iteration %3d ' $start $iteration)
		rm -f state labels
		drive -s 9 "$text" log "$fkm" fit $long $all --checkpoint state --checkpoint-every 1 >out
		code=$?
		[ $code -eq 0 ] && [ $start$iteration -ge 211 ] && continue # it was done before it could be killed
		check "exit code $code after a kill" test $code -eq 137
		check "no results after a kill at $text" test ! -e labels
		rm -f .fkm-*
		exits 0 "$fkm" fit $long $all --json report --checkpoint state --checkpoint-every 1 --resume
		resumed "killed at $text"
	done
done
check 'a checkpoint stays' test -s state
drive -s 15 'iteration   3' log "$fkm" fit $long --checkpoint state --checkpoint-every 1000 >out
code=$?
check "exit code $code after an interrupt" test $code -eq 130
exits 0 "$fkm" fit $long $all --json report --checkpoint state --resume
check 'an interrupted fit goes on where it was' sh -c '! grep -q "start 1/2  iteration   [123] " err'
resumed 'interrupted'
exits 0 "$fkm" fit $long $all --json report --checkpoint state --resume --threads 2 --chunk-rows 999
resumed 'another way to run'
refuses 1 "state: resume: the checkpoint's seed is 4, this fit's 5" fit $long --checkpoint state --resume --seed 5 --labels results/l
refuses 1 "state: resume: the checkpoint's number of points is 30000, this fit's 300" fit f4.npy -k 40 --checkpoint state --resume
head -c 1000 state >results.state
refuses 1 'results.state: resume: the checkpoint has 1000 bytes where' fit $long --checkpoint results.state --resume
head -c 100 many.npy >results.state
refuses 1 'results.state: resume: these 100 bytes are not a checkpoint' fit $long --checkpoint results.state --resume
: >results.state
refuses 1 'results.state: is empty' fit $long --checkpoint results.state --resume
refuses 1 'fifo: is not a file, which a checkpoint needs' fit f4.npy --checkpoint fifo
refuses 1 'nowhere/state: cannot be written: No such file' fit f4.npy --checkpoint nowhere/state
refuses 2 '--resume says nothing without --checkpoint' fit f4.npy --resume
refuses 2 '--checkpoint-every says nothing without' fit f4.npy --checkpoint-every 3
refuses 2 "needs a file, not '-'" fit f4.npy --checkpoint -
refuses 2 '--checkpoint: .* is the same file as --labels' fit f4.npy --labels results/l --checkpoint results/l
refuses 2 "--checkpoint-every: '0'" fit f4.npy --checkpoint state --checkpoint-every 0
exits 1 sh -c 'ulimit -f 4 && "$0" fit many.npy -k 40 --tol 0 -q --checkpoint results/c --checkpoint-every 1' "$fkm"
check 'a checkpoint that cannot be written ends the fit' grep -q '^fkm: results/c: cannot be written: ' err
no_leftovers 'a full disk'

# ---- bad files ----
outputs='--labels results/l --json results/j'
refuses 1 'missing.npy: cannot be opened: No such file' fit missing.npy $outputs
refuses 1 'results: is a directory' fit results $outputs
: >empty.npy
refuses 1 'empty.npy: is empty' fit empty.npy $outputs
echo 'some text' >text.csv
refuses 1 'text.csv: is not a .npy file' fit text.csv $outputs
head -c 1000 f4.npy >short.npy
refuses 1 'short.npy: is truncated: its header promises 7200 bytes' fit short.npy $outputs
head -c 20 f4.npy >short.npy
refuses 1 'short.npy: ends within its .npy header' fit short.npy $outputs
(cat f4.npy && echo) >long.npy
refuses 1 'long.npy: has something after its array' fit long.npy $outputs
sed 's/<f4/>f4/' f4.npy >big.npy
refuses 1 "big.npy: holds big-endian numbers ('>f4')" fit big.npy $outputs
sed 's/<f4/<i8/' f4.npy >type.npy
refuses 1 "type.npy: holds type '<i8'" fit type.npy $outputs
sed 's/300, 6/999999999999, 999999999999/' f4.npy >huge.npy
refuses 1 'huge.npy: ' fit huge.npy $outputs
refuses 1 'w4.npy: has 1 dimension; 2, or 3 for a batch, are needed' fit w4.npy $outputs
head -c 4000 x.fvecs >short.fvecs
refuses 1 'short.fvecs: is truncated: it ends within row 142' fit short.fvecs $outputs
(cat x.fvecs && make_array fvecs 0 300 5 1) >mixed.fvecs
refuses 1 'mixed.fvecs: row 300 has dimension 5, but row 0 has 6' fit mixed.fvecs $outputs
make_array f4 0 300 6 1 nan 123 4 >nan.npy
refuses 1 'nan.npy: .*row 123, column 4' fit nan.npy -k 2 $outputs
make_array f2F 0 300 6 1 inf 123 4 >inf.npy
refuses 1 'inf.npy: .*row 123, column 4' fit inf.npy -k 2 $outputs
make_array f8 0 300 6 1 1e300 123 4 >large.npy
refuses 1 'large.npy: 1e+300 at row 123, column 4 is too large for f32' fit large.npy -qk 2 $outputs
make_array f8F 0 300 6 1 65520 123 4 >large.npy
refuses 1 'large.npy: 65520 at row 123, column 4 is too large for f16' fit large.npy -qk 2 --dtype f16 $outputs
refuses 1 'few.npy: 10 clusters are more than its 9 points' fit few.npy -k 10 $outputs
make_array f4 0 3 6 1 >3.npy
refuses 1 '3.npy: 8 clusters (-k is not given) are more than its 3 points' fit 3.npy $outputs
refuses 1 'f4.npy: has 300 rows, more than the 9 points of few.npy' fit few.npy --init f4.npy $outputs
refuses 1 'start.npy: has 5 rows, but -k is 4' fit f4.npy -k 4 --init start.npy $outputs
refuses 1 'start.npy: has rows of 6 dimensions, but the points of batch.npy have 4' fit batch.npy --init start.npy $outputs
make_array f4 2 3 4 1 >start2.npy
refuses 1 'start2.npy: has 2 problems, but batch.npy has 3' fit batch.npy --init start2.npy $outputs
make_array f8 0 5 6 9 nan 2 3 >start-nan.npy
refuses 1 'start-nan.npy: .*row 2, column 3' fit f4.npy --init start-nan.npy $outputs
refuses 1 'start-nan.npy: .*row 2, column 3' predict f4.npy start-nan.npy $outputs
refuses 1 'nowhere.npy: cannot be opened' fit f4.npy --init nowhere.npy $outputs
refuses 1 'w8.npy: has 300 weights, but few.npy has 9 points' fit few.npy -k 2 --weights w8.npy $outputs
make_array u1 0 300 0 4 >wrong.npy
refuses 1 'wrong.npy: holds type u1; weights are f4 or f8' fit f4.npy -k 2 --weights wrong.npy $outputs
make_array f8 0 300 0 4 -1 7 0 >wrong.npy
refuses 1 'wrong.npy: .*7' fit f4.npy -k 2 --weights wrong.npy $outputs
refuses 1 'nowhere/l: cannot be written: No such file' fit missing.npy --labels nowhere/l
refuses 1 'results: cannot be written: Is a directory' fit f4.npy --labels results
refuses 1 'frob' fit f4.npy -k 2 --backend frob $outputs
if [ "$(id -u)" -ne 0 ]; then
	mkdir -m 500 locked
	refuses 1 'locked/l: cannot be written: Permission denied' fit missing.npy --labels locked/l
fi

# ---- progress ----
exits 0 "$fkm" fit f4.npy --init start.npy --tol 0 --json report
check 'a line for each iteration' \
	test "$(grep -c '^iteration  *[0-9]*  changed  *[0-9]*  shift .* ms' err)" -eq "$("$tools/json_value" report n_iter)"
exits 0 "$fkm" fit f4.npy --init start.npy --fixed --max-iter 250
check 'fewer lines for many iterations' test "$(grep -c '^iteration ' err)" -eq 115
drive -t log "$fkm" fit f4.npy --init start.npy --fixed --max-iter 250 >out
check 'a live line on a terminal' grep -q "$(printf '\r')iteration 250 " log
check 'one line on a terminal' test "$(wc -l <log)" -eq 1
drive -t log "$fkm" fit f4.npy -k 3 >out
check 'seeding is shown on a terminal' grep -q "$(printf '^\rseeding with k-means++\r')" log
drive -t log "$fkm" fit f4.npy -k 3 --max-iter 0 >out
check 'seeding alone leaves an empty line' grep -q "$(printf '^\rseeding with k-means++\r  *\r$')" log
drive -t log "$fkm" fit f4.npy -k 3 --quiet >out
check 'quiet on a terminal' test ! -s log

# ---- interrupts ----
endless='--init start.npy --fixed --max-iter 1000000000'
for signal in 2 15; do
	drive -s $signal 'iteration   3' log "$fkm" fit f4.npy $endless --labels labels --centroids centroids --json report >out
	code=$?
	check "exit code $code after signal $signal" test $code -eq 130
	check 'the sentence after an interrupt' grep -q '^fkm: interrupted' log
	holds report stop_reason '"cancelled"'
	holds report interrupted true
	exits 0 "$fkm" predict f4.npy centroids --labels labels2
	same 'labels of an interrupted fit' labels labels2
	rm labels centroids report
done
# Before a fit runs there is nothing to finish.
make_array f8 0 300 6 1 >x.npy
drive -s 2 'rounded' log "$fkm" fit x.npy --weights fifo --labels results/l >out
code=$?
check "exit code $code after an interrupt while reading" test $code -eq 130
check 'an interrupt while reading is no interrupted fit' sh -c '! grep -q -e stopping -e "^fkm: interrupted" log'
no_leftovers 'an interrupt while reading'
# Ended at once: nothing under the names and nothing beside them, but that 9 leaves no chance to clear away.
echo old >keep
for signal in 1 3 9 13; do
	drive -s $signal 'iteration   3' log "$fkm" fit f4.npy $endless --labels keep --centroids results/c >out
	code=$?
	check "exit code $code after signal $signal" test $code -eq $((128 + signal))
	check "what was there before signal $signal" test "$(cat keep)" = old
	check "no half file after signal $signal" test ! -e results/c
	[ $signal -eq 9 ] && rm -f .fkm-* results/.fkm-*
	no_leftovers "signal $signal"
done
# The second one may come before or after the results are in place; whole they are in any case.
make_array f4 0 400000 6 1 >large.npy
drive -s 2 'iteration   1' -s 2 'stopping' log "$fkm" fit large.npy $endless --labels keep --centroids results/c >out
code=$?
check "exit code $code after two interrupts" test $code -eq 130
[ "$(cat keep)" = old ] || check 'labels are whole or not there' starts_with keep "'<i4'"
rm -f results/c
no_leftovers 'two interrupts'

echo "$checks checks, $failures failures"
[ $failures -eq 0 ]
