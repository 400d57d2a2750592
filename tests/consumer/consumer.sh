#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# consumer.sh BUILD SOURCE: installs a build into a temporary place and uses it from there through pkg-config: the header
# alone in C and C++, the examples and a C++ program, against the shared and the static library. 77: a tool is missing.
set -eu
build=$1
source=$2
CC=${CC:-cc}
CXX=${CXX:-c++}

for tool in "${CC%% *}" "${CXX%% *}" pkg-config meson; do
	command -v "$tool" >/dev/null || {
		echo "no $tool here"
		exit 77
	}
done

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
DESTDIR=$root meson install -C "$build" --no-rebuild --quiet
pc=$(find "$root" -name flashkmeans.pc)
prefix=$root$(sed -n 's/^prefix=//p' "$pc")
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH

flags() {
	pkg-config --define-variable=prefix="$prefix" "$@" flashkmeans
}

strict='-Wall -Wextra -Wpedantic -Werror'
cd "$root"
# shellcheck disable=SC2086,SC2046 # flags are lists of words
compile_and_run() { # KIND PKG-CONFIG-FLAG...
	kind=$1
	shift
	$CC -std=c11 $strict "$source/examples/fit.c" -o fit-c $(flags --cflags --libs "$@")
	$CXX -x c++ -std=c++11 $strict "$source/examples/fit.c" -o fit-cxx $(flags --cflags --libs "$@")
	$CXX -std=c++11 $strict "$source/tests/consumer/consumer.cpp" -o consumer $(flags --cflags --libs "$@")
	$CC $strict "$source/examples/digits.c" -o digits $(flags --cflags --libs "$@") -lm
	./fit-c >fit-c.txt
	./fit-cxx >fit-cxx.txt
	cmp fit-c.txt fit-cxx.txt
	[ "$(wc -l <fit-c.txt)" -eq 6 ]
	./consumer
	./digits "$source/data/digits.npy" "$source/data/digits_labels.npy" "$kind.svg" >"$kind.txt"
	grep -q '</svg>' "$kind.svg"
	echo "$kind library: C and C++ programs built and ran"
}

echo '#include <flashkmeans/flashkmeans.h>' >alone.c
# shellcheck disable=SC2086,SC2046
$CC -std=c11 $strict -c alone.c -o alone.o $(flags --cflags)
# shellcheck disable=SC2086,SC2046
$CXX -x c++ -std=c++11 $strict -c alone.c -o alone.o $(flags --cflags)

libraries=$(flags --variable=libdir)
LD_LIBRARY_PATH=$libraries DYLD_LIBRARY_PATH=$libraries compile_and_run shared
# What remains when the shared library is gone is the static one.
find "$libraries" \( -name 'libflashkmeans.so*' -o -name 'libflashkmeans*.dylib' \) -exec rm -f {} +
compile_and_run static --static
cmp shared.svg static.svg
