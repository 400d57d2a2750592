#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fuzz.sh BUILD SECONDS [TARGET]: runs TARGET, or every fuzz target of a build with -Dfuzz=true, two at once, for a time.
# From the top of the tree. A target is an executable named fuzz_NAME. In tests/, NAME.dict is its dictionary and NAME.seeds
# a directory of inputs to begin with. What it learned and what it found stay in BUILD/fuzz/.
set -eu
build=$1
seconds=$2

if [ $# -lt 3 ]; then
	targets=$(find "$build" -type f -name 'fuzz_*' -perm -100 ! -name '*.*' | sort)
	[ -n "$targets" ] || {
		printf 'fuzz: no targets in %s\n' "$build"
		exit 1
	}
	printf '%s\n' "$targets" | xargs -n 1 -P 2 "$0" "$build" "$seconds"
	exit
fi

target=$3
name=${target##*/}
log=$build/fuzz/$name.log
dictionary=$(find tests -name "${name#fuzz_}.dict")
seeds=$(find tests -type d -name "${name#fuzz_}.seeds")
mkdir -p "$build/fuzz/$name"
printf 'fuzz: %s for %s s\n' "$name" "$seconds"
if "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2560 -print_final_stats=1 \
	${dictionary:+"-dict=$dictionary"} \
	-artifact_prefix="$build/fuzz/$name-" "$build/fuzz/$name" ${seeds:+"$seeds"} >"$log" 2>&1; then
	printf 'fuzz: %s: %s runs, nothing found\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
else
	tail -n 60 "$log"
	printf 'fuzz: %s: FAILED\n' "$name"
	exit 1
fi
