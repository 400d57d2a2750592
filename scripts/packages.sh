# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Read by ./dev: what the project needs from the system, and installing what is missing of it.

say() {
	printf 'dev: %s\n' "$*" >&2
}

die() {
	say "$*"
	exit 1
}

# Runs a command, showing its output only if it fails.
quietly() {
	mkdir -p .cache
	"$@" >.cache/output 2>&1 </dev/null || {
		cat .cache/output >&2
		return 1
	}
}

# The first of the commands that exists.
first_of() {
	for candidate in "$@"; do
		if command -v "$candidate"; then
			return 0
		fi
	done
	return 1
}

# One line per need: its packages by package manager, separated by commas; '-' if it has none.
needs_table() {
	cat <<-'TABLE'
		need          apt-get                      dnf                 pacman      apk                  brew
		cc            gcc,libc6-dev                gcc,glibc-devel     gcc         gcc,musl-dev         -
		cxx           g++                          gcc-c++             gcc         g++                  -
		ninja         ninja-build                  ninja-build         ninja       samurai              ninja
		meson         meson                        meson               meson       meson                meson
		python3       python3                      python3             python      python3              python
		venv          python3-venv                 python3-pip         python      py3-pip              python
		pkg-config    pkg-config                   pkgconf-pkg-config  pkgconf     pkgconf              pkgconf
		cmocka        libcmocka-dev                libcmocka-devel     cmocka      cmocka-dev           cmocka
		dlpack        libdlpack-dev                dlpack-devel        dlpack      -                    -
		clang         clang-19,libclang-rt-19-dev  clang,compiler-rt   clang       clang,compiler-rt    llvm
		default-clang clang                        clang,compiler-rt   clang       clang,compiler-rt    llvm
		clang-format  clang-format-19              -                   -           clang19-extra-tools  clang-format@19
		checker       clang-tidy-19                clang-tools-extra   clang       clang-extra-tools    cppcheck
		shellcheck    shellcheck                   ShellCheck          shellcheck  shellcheck           shellcheck
		amdgpu        clang-19,lld-19,llvm-19,clang-tools-19  clang,lld,llvm,clang-tools-extra  clang,lld,llvm  clang,lld,llvm  llvm,lld
		opencl        opencl-headers               opencl-headers      opencl-headers opencl-headers    -
		pocl          pocl-opencl-icd,ocl-icd-libopencl1 pocl,ocl-icd  pocl,ocl-icd -                   -
		mpi           openmpi-bin,libopenmpi-dev   openmpi,openmpi-devel openmpi  openmpi,openmpi-dev  open-mpi
		oclgrind      oclgrind                     -                   -           -                    -
	TABLE
}

compiles() { # LANGUAGE PROGRAM COMMAND...
	language=$1
	program=$2
	shift 2
	printf '%s\n' "$program" | "$@" -x "$language" - -o /dev/null >/dev/null 2>&1
}

find_clang() {
	first_of clang-19 /opt/homebrew/opt/llvm/bin/clang /usr/local/opt/llvm/bin/clang clang
}

find_clang_format() { # version 19: others lay out differently
	for candidate in clang-format-19 clang-format /opt/homebrew/opt/clang-format@19/bin/clang-format; do
		case $("$candidate" --version 2>/dev/null) in
		*' 19.'*)
			command -v "$candidate"
			return 0
			;;
		esac
	done
	return 1
}

find_checker() {
	first_of clang-tidy-19 clang-tidy cppcheck
}

has() {
	case $1 in
	cc) compiles c '#include <stdio.h>
int main(void) { return 0; }' "${CC:-cc}" ;;
	cxx) compiles c++ '#include <vector>
int main() { return 0; }' "${CXX:-c++}" ;;
	ninja) first_of ninja ninja-build samu >/dev/null ;;
	meson) case $(meson --version 2>/dev/null) in '' | 0.*) false ;; esac ;;
	python3) command -v python3 >/dev/null ;;
	venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
	pkg-config) command -v pkg-config >/dev/null ;;
	cmocka) pkg-config --exists cmocka 2>/dev/null ;;
	dlpack) compiles c '#include <dlpack/dlpack.h>
int main(void) { return 0; }' "${CC:-cc}" ;;
	clang | default-clang) compiles c 'int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size)
{ return data && size > 1 ? 0 : -1; }' "$(find_clang || echo clang)" -fsanitize=fuzzer,address,undefined ;;
	clang-format) find_clang_format >/dev/null ;;
	checker) find_checker >/dev/null ;;
	shellcheck) command -v shellcheck >/dev/null ;;
	amdgpu) "$(find_clang || echo clang)" -x hip --cuda-device-only -nogpuinc -nogpulib --offload-arch=gfx942 -c /dev/null \
		-o /dev/null >/dev/null 2>&1 && first_of clang-offload-bundler-19 clang-offload-bundler >/dev/null ;;
	opencl) compiles c '#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
int main(void) { return 0; }' "${CC:-cc}" ;;
	pocl) cat /etc/OpenCL/vendors/*.icd 2>/dev/null | grep -q pocl ;;
	mpi) command -v mpicc >/dev/null && command -v mpirun >/dev/null ;;
	oclgrind) command -v oclgrind >/dev/null ;;
	*) die "unknown need: $1" ;;
	esac
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "not root, and there is no sudo; as root, run: $*"
	fi
}

# Installs the packages of the needs, which are missing. Fails if the package manager does, or if there is none.
install_packages() {
	manager=$(first_of apt-get dnf pacman apk brew) || return 1
	manager=${manager##*/}
	packages=
	for need in "$@"; do
		packages="$packages $(needs_table | awk -v manager="$manager" -v need="$need" '
			NR == 1 { for (i = 2; i <= NF; i++) if ($i == manager) column = i }
			$1 == need && $column != "-" { gsub(",", " ", $column); print $column }')"
	done
	# shellcheck disable=SC2086 # the list is of words
	set -- $packages
	[ $# -gt 0 ] || return 0
	say "installing with $manager: $*"
	case $manager in
	apt-get)
		if [ -z "${apt_is_fresh-}" ]; then
			quietly as_root apt-get update || return 1
			apt_is_fresh=yes
		fi
		quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
		;;
	dnf) quietly as_root dnf install -y "$@" ;;
	pacman) quietly as_root pacman -Sy --needed --noconfirm "$@" ;;
	apk) quietly as_root apk add -U "$@" ;;
	brew) quietly brew install "$@" ;;
	esac
}

# Installs a Python program into .venv, for systems whose own package is missing or too old.
install_in_venv() {
	has venv || install_packages venv || return 1
	say "installing in .venv with pip: $1"
	[ -d .venv ] || quietly python3 -m venv .venv || return 1
	quietly .venv/bin/pip install "$1" || return 1
	PATH=$PWD/.venv/bin:$PATH
}

# What to do about a need that the system's package did not meet.
fall_back() {
	case $1 in
	meson) install_in_venv 'meson>=1.0' ;;
	clang) install_packages default-clang ;;
	clang-format) install_in_venv 'clang-format==19.*' ;;
	*) false ;;
	esac
}

# Sees to it that every need is met, or ends the program.
need() {
	missing=
	for wanted in "$@"; do
		has "$wanted" || missing="$missing $wanted"
	done
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2086 # the list is of words
	install_packages $missing || say 'the package manager could not install all of that'
	for wanted in $missing; do
		has "$wanted" || { fall_back "$wanted" && has "$wanted"; } ||
			die "$wanted is missing (or does not work) and could not be installed; install it and run ./dev again"
	done
}

# The same for something that can be done without.
want() {
	if ! has "$1"; then
		install_packages "$1" || true
		has "$1" || say "going on without $1"
	fi
}
