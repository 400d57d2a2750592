#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-fatbin.sh LIBRARY: the CUDA code embedded in the library is what it should be, as far as can be seen without a
# GPU: code for sm_90a and sm_80 and PTX is there, every kernel that the host side names exists, and the kernels that
# use Hopper's tensor cores have their operands brought by the bulk copy engine and spill nothing. Prints each kernel's
# registers and memory. CUOBJDUMP names the disassembler; 77 if there is none.
set -eu
export LC_ALL=C
library=$1
sources=$(dirname -- "$0")/../backends

for candidate in "${CUOBJDUMP-}" cuobjdump /usr/local/cuda/bin/cuobjdump; do
	if [ -n "$candidate" ] && command -v "$candidate" >/dev/null; then
		cuobjdump=$candidate
		break
	fi
done
if [ -z "${cuobjdump-}" ]; then
	printf 'skipped: no cuobjdump here\n'
	exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() {
	printf 'failed: %s\n' "$*"
	failed=1
}

"$cuobjdump" --list-elf --list-ptx "$library" >"$work/list"
for code in sm_90a.cubin sm_80.cubin sm_80.ptx; do
	grep -q "\.$code\$" "$work/list" || fail "no $code in $library"
done

"$cuobjdump" -res-usage "$library" | awk '
	$1 == "arch" { arch = $3 }
	$1 == "Function" { name = $2; sub(":$", "", name) }
	$1 ~ /^REG:/ {
		split("", value)
		for (i = 1; i <= NF; i++) { split($i, pair, ":"); value[pair[1]] = pair[2] }
		printf "%-48s %-8s %9d %6d %7d %6d\n", name, arch, value["REG"], value["STACK"], value["SHARED"], value["LOCAL"]
	}' | sort >"$work/usage"
printf '%-48s %-8s %9s %6s %7s %6s\n' kernel code registers stack shared local
cat "$work/usage"

# Kernels that exist in one code but not in the other are found on other devices only: names are compared with sm_80.
awk '{ print $1 }' "$work/usage" | sort -u >"$work/kernels"
find "$sources/gpu" "$sources/cuda" -name '*.c' -exec grep -v '" #' {} + | grep -o '"fkmi_[a-z0-9_]*[a-z0-9]"' | tr -d '"' | sort -u >"$work/named"
missing=$(comm -13 "$work/kernels" "$work/named" | tr '\n' ' ')
[ -z "$missing" ] || fail "the host side names kernels that do not exist: $missing"

# Instructions by function: tensor core, bulk tensor copy, local memory.
"$cuobjdump" -sass -arch sm_90a "$library" | awk '
	/Function :/ { name = $3; hgmma[name] = copy[name] = local_[name] = 0 }
	/ HGMMA/ { hgmma[name]++ }
	/ UTMALDG/ { copy[name]++ }
	/ (STL|LDL)[. ]/ { local_[name]++ }
	END { for (name in hgmma) print name, hgmma[name], copy[name], local_[name] }' | sort >"$work/instructions"
awk '$2 > 0' "$work/instructions" >"$work/tuned"
[ -s "$work/tuned" ] || fail 'no kernel for sm_90a uses HGMMA'
while read -r kernel hgmma copies locals; do
	printf '%-48s %d HGMMA, %d UTMALDG, %d STL or LDL\n' "$kernel" "$hgmma" "$copies" "$locals"
	[ "$copies" -gt 0 ] || fail "$kernel does not use UTMALDG"
	[ "$locals" -eq 0 ] || fail "$kernel uses local memory"
done <"$work/tuned"
exit $failed
