#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-symbols.sh SHARED STATIC HEADER: the shared library exports what the header declares and nothing else, needs only
# the C library, and has no executable stack; the static library's global names all begin with fkm_ or fkmi_. (ELF)
set -eu
shared=$1
static=$2
header=$3
failed=0

exported=$(nm -D --defined-only "$shared" | awk '{ print $NF }' | sort)
declared=$(tr '\n' ' ' <"$header" | grep -o 'FKM_API [^;]*;' | grep -o 'fkm_[a-z0-9_]*(' | tr -d '(' | sort -u)
if [ "$exported" != "$declared" ]; then
	printf 'exported by %s:\n%s\n\ndeclared in %s:\n%s\n' "$shared" "$exported" "$header" "$declared"
	failed=1
fi

foreign=$(nm -g --defined-only "$static" | awk 'NF == 3 { print $3 }' | grep -v '^fkmi\{0,1\}_' || true)
if [ -n "$foreign" ]; then
	printf 'global names of %s without the prefix:\n%s\n' "$static" "$foreign"
	failed=1
fi

needed=$(objdump -p "$shared" | awk '$1 == "NEEDED" { print $2 }' |
	grep -Ev '^(libc|libm|libdl|libpthread|ld-linux[a-z0-9_-]*|libc\.musl-[a-z0-9_]*|ld-musl-[a-z0-9_]*)\.so(\.[0-9]+)?$' || true)
if [ -n "$needed" ]; then
	printf '%s needs more than the C library: %s\n' "$shared" "$needed"
	failed=1
fi

if objdump -p "$shared" | grep -A1 '^ *STACK' | grep -q 'rwx'; then
	printf '%s asks for an executable stack\n' "$shared"
	failed=1
fi
exit $failed
