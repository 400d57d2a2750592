#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# lint.sh BUILD: layout, static analysis, licence lines, file lengths, shell scripts. From the top of the tree.
# CLANG_FORMAT and CHECKER (clang-tidy or cppcheck) name the tools; BUILD holds compile_commands.json.
set -eu
build=$1
failures=0

fail() {
	printf 'lint: %s\n' "$*"
	failures=$((failures + 1))
}

# Files of the tree, by the patterns given, without build directories and the like.
files() {
	expression=
	for pattern in "$@"; do
		expression="$expression -o -name $pattern"
	done
	set -f
	# shellcheck disable=SC2086 # the expression is of words
	find . \( -name .git -o -name .venv -o -name .cache -o -name 'build*' -type d \) -prune -o \
		-type f \( ${expression# -o} \) -print | sort
	set +f
}

scripts="dev .ci/run $(files '*.sh')"

printf 'lint: layout (%s)\n' "$("$CLANG_FORMAT" --version)"
files '*.c' '*.h' '*.cpp' | xargs "$CLANG_FORMAT" --style=file --dry-run -Werror || fail 'layout differs; run clang-format -i'

printf 'lint: %s\n' "$CHECKER"
case $CHECKER in
*clang-tidy*)
	# Only what this build compiles has an entry in the compilation database.
	sources=$(sed -n 's/^ *"file": "\.\.\/\(.*\.c\)",*$/\1/p' "$build/compile_commands.json" | sort -u)
	# shellcheck disable=SC2086 # the list is of words
	printf '%s\n' $sources | xargs -n 4 -P "$(getconf _NPROCESSORS_ONLN)" "$CHECKER" -p "$build" --quiet \
		--warnings-as-errors='*' 2>"$build/clang-tidy.log" || fail 'static analysis found something'
	grep -v 'warnings\{0,1\} generated\|Processing file\|Suppressed\|Use -header-filter' "$build/clang-tidy.log" || true
	;;
*)
	"$CHECKER" --project="$build/compile_commands.json" --enable=warning,portability --inline-suppr --quiet \
		--error-exitcode=1 --suppress=missingIncludeSystem -j "$(getconf _NPROCESSORS_ONLN)" ||
		fail 'static analysis found something'
	;;
esac

printf 'lint: licence lines\n'
# shellcheck disable=SC2086 # the list is of words
for file in $scripts $(files '*.c' '*.h' '*.cpp' '*.py' 'meson.build' 'meson_options.txt' '*.sh'); do
	head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || fail "$file: no SPDX-License-Identifier line at the top"
done

printf 'lint: the README and its program\n'
[ "$(sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d')" = "$(sed -n '/^#include/,$p' examples/fit.c)" ] ||
	fail 'the C program in README.md is not examples/fit.c'

printf 'lint: results that pages quote\n'
python3 bench/publish/publish.py --check || fail 'what pages say of performance is not what was measured, or is too old'

printf 'lint: file lengths\n'
for file in $(files '*.c' '*.h' '*.py' '*.sh') dev; do
	lines=$(wc -l <"$file")
	[ "$lines" -le 800 ] || printf 'lint: note: %s has %d lines\n' "$file" "$lines"
done

printf 'lint: shell scripts\n'
for script in $scripts; do
	case $(head -n 1 "$script") in
	*bash) bash -n "$script" || fail "$script: syntax" ;;
	*) sh -n "$script" || fail "$script: syntax" ;;
	esac
done
if command -v shellcheck >/dev/null; then
	# shellcheck disable=SC2086 # the list is of words
	shellcheck -x -S warning $scripts || fail 'shellcheck found something'
else
	printf 'lint: note: no shellcheck here\n'
fi

[ "$failures" = 0 ] || {
	printf 'lint: %d failed\n' "$failures"
	exit 1
}
printf 'lint: clean\n'
