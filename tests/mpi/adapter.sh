#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# adapter.sh MPIRUN ADAPTER: sums and extremes; ranks that do not come, or too late, are named to the others in time.
set -u
mpirun=$1 adapter=$2
failed=0

fail() {
	printf 'FAIL: %s\n' "$*"
	failed=1
}

"$mpirun" -n 4 "$adapter" || fail 'adapter on 4 ranks'

output=$("$mpirun" -n 4 "$adapter" stop 2 2>&1)
[ "$(printf '%s\n' "$output" | grep -c '^[013]: rank 2 did not come within the time limit (failed, [2-8]\.')" -eq 3 ] ||
	fail "rank 2 stayed away: $output"

output=$("$mpirun" -n 3 "$adapter" late 1 2>&1)
[ "$(printf '%s\n' "$output" | grep -c '^[02]: rank 1 came after the time limit (failed, [2-8]\.')" -eq 2 ] ||
	fail "rank 1 was late: $output"
exit $failed
