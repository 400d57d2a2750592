#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# oclgrind.sh TEST_DEVICE: small fits on Oclgrind, a simulated device that looks for data races and accesses out of
# bounds. It says what it finds in a log and ends well all the same: the log must be empty. Of uninitialised memory
# Oclgrind 21.10 cannot tell: it follows neither parts of buffers that the host writes, nor fills, nor the instruction
# `freeze`. For that the test poisons all memory and compares every bit.
set -eu

library=
for candidate in /usr/lib/oclgrind /usr/lib/*/oclgrind /usr/local/lib; do
	[ ! -f "$candidate/liboclgrind-rt-icd.so" ] || library=$candidate/liboclgrind-rt-icd.so
done
if [ -z "$library" ]; then
	echo "Oclgrind is not installed"
	case ,${FKM_REQUIRE-}, in *,opencl,*) exit 1 ;; esac
	exit 77
fi

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
echo "$library" >"$directory/oclgrind.icd"
OCL_ICD_VENDORS=$directory/oclgrind.icd OCLGRIND_LOG=$directory/log OCLGRIND_DATA_RACES=1 \
	FKM_OPENCL_CACHE=0 FKM_REQUIRE=opencl "$1" 70 9 5
if [ -s "$directory/log" ]; then
	head -n 100 "$directory/log"
	exit 1
fi
