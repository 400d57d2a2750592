#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-hip-code.py LIBRARY CLANG TARGET...

The HIP code embedded in LIBRARY is what it should be, as far as can be seen without a GPU: a page-aligned bundle that
lists the targets; in the object of each every kernel that the host side names, none of which uses scratch memory
(spills) or more local memory than a group can have; matrix instructions in the kernels for matrix cores, with room for
two of their groups on a compute unit. Prints registers, memory and occupancy of each kernel. The tools are those of
CLANG; exit status 77 if they are not there.
"""
import pathlib
import re
import sys
import tempfile

from llvm_tools import run, tool

TOP = pathlib.Path(__file__).resolve().parent.parent
LOCAL_BYTES = 64 << 10
# Of a SIMD unit: registers for each lane, the granule in which waves get them, the most waves; width of a wave.
SIMD = {"gfx9": (512, 8, 8, 64), "gfx10": (1024, 8, 16, 32), "gfx11": (1536, 24, 16, 32), "gfx12": (1536, 24, 16, 32)}
MATRIX = {"gfx90a": "v_mfma_f32_32x32x8", "gfx942": "v_mfma_f32_32x32x8", "gfx1100": "v_wmma_f32_16x16x16_f16"}
LEAST_MATRIX_WAVES = 2

problems = []


def expect(condition, problem):
    if not condition:
        problems.append(problem)


def kernels_of(readelf, path):
    """The kernels' members that are numbers, from the metadata note."""
    kernels, members = {}, {}
    for line in run(readelf, "--notes", path).splitlines():
        if re.match(r"  - \.", line):
            members = {}
        member = re.match(r"  (?:- |  )\.(\w+): +(\S+)$", line)
        if member and member[2].isdigit():
            members[member[1]] = int(member[2])
        elif member and member[1] == "name":
            kernels[member[2]] = members
    return kernels


def named_kernels():
    """Those that the host side names; names that end in _ go on with the name of a shape."""
    names = set()
    for directory in ("gpu", "hip"):
        for path in (TOP / "backends" / directory).glob("*.c"):
            names.update(re.findall(r'"(fkmi_[a-z0-9_]*[a-z0-9])"', path.read_text()))
    return names


def count_instructions(objdump, path, mnemonic):
    counts, kernel = {}, None
    for line in run(objdump, "-d", path).splitlines():
        label = re.match(r"[0-9a-f]+ <(\w+)>:", line)
        if label:
            kernel = label[1]
            counts[kernel] = 0
        elif mnemonic in line:
            counts[kernel] += 1
    return counts


def occupancy(members, simd):
    """Waves of a SIMD unit by registers; its four units share the local memory of groups of 256 items."""
    registers, granule, most, wave = simd
    used = max(1, -(-members["vgpr_count"] // granule) * granule)
    waves = min(most, registers // used)
    static = members["group_segment_fixed_size"]
    per_group = 256 // wave // 4
    return min(waves, LOCAL_BYTES // static * per_group) if static else waves


def check_target(target, path, readelf, objdump):
    simd = next(SIMD[family] for family in sorted(SIMD, reverse=True) if target.startswith(family))
    kernels = kernels_of(readelf, path)
    matrix = MATRIX.get(target)
    instructions = count_instructions(objdump, path, matrix) if matrix else {}
    for name in sorted(named_kernels() - set(kernels)):
        expect("_matrix_" in name and not matrix, f"{target}: the host side names {name}, which does not exist")
    if matrix:
        expect(any(name.startswith("fkmi_k_matrix_filter_") for name in kernels), f"{target}: no kernel for matrix cores")
    for name, members in sorted(kernels.items()):
        waves = occupancy(members, simd)
        print(f"{name:32} {target:8} {members['vgpr_count']:9} {members.get('agpr_count', 0):7} {members['sgpr_count']:7} "
              f"{members['group_segment_fixed_size']:7} {members['private_segment_fixed_size']:7} {waves:6} "
              f"{instructions.get(name, 0):7}")
        expect(members["private_segment_fixed_size"] == 0 and members["vgpr_spill_count"] == 0,
               f"{target}: {name} uses scratch memory")
        expect(members["group_segment_fixed_size"] <= LOCAL_BYTES, f"{target}: {name} takes too much local memory")
        expect(members["max_flat_workgroup_size"] == 256, f"{target}: {name} is not for groups of 256")
        expect(members["wavefront_size"] == simd[3], f"{target}: {name} has waves of {members['wavefront_size']}")
        if re.match(r"fkmi_k_matrix_(filter|recheck)_", name):
            expect(instructions.get(name, 0) > 0, f"{target}: no {matrix} in {name}")
            expect(waves >= LEAST_MATRIX_WAVES, f"{target}: {name} leaves room for {waves} waves on a SIMD unit")


def main():
    library, clang, *targets = sys.argv[1:]
    objcopy, readelf, objdump, bundler = (
        tool(clang, name) for name in ("llvm-objcopy", "llvm-readelf", "llvm-objdump", "clang-offload-bundler"))
    with tempfile.TemporaryDirectory() as work:
        bundle = f"{work}/bundle"
        run(objcopy, f"--dump-section=.hip_fatbin={bundle}", library, f"{work}/copy")
        section = re.search(r"\.hip_fatbin +PROGBITS +([0-9a-f]+)", run(readelf, "-S", "--wide", library))
        expect(int(section[1], 16) % 4096 == 0, "the bundle does not begin at a page")
        ids = [f"hipv4-amdgcn-amd-amdhsa--{target}" for target in targets]
        listed = run(bundler, "--list", "--type=o", f"--input={bundle}").split()
        expect(sorted(listed) == sorted(ids + ["host-x86_64-unknown-linux--"]), f"the bundle lists {' '.join(listed)}")
        print(f"{'kernel':32} {'target':8} {'registers':>9} {'of acc.':>7} {'scalars':>7} {'local':>7} {'scratch':>7} "
              f"{'waves':>6} {'matrix':>7}")
        for target, name in zip(targets, ids, strict=True):
            path = f"{work}/{target}.co"
            run(bundler, "--unbundle", "--type=o", f"--input={bundle}", f"--targets={name}", f"--output={path}")
            check_target(target, path, readelf, objdump)
    for problem in problems:
        print(f"failed: {problem}")
    sys.exit(bool(problems))


main()
