#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""model-matrix-cores.py CLANG OBJECT...

What the kernels for matrix cores should reach on AMD GPUs, from the instructions of their main loop in the code objects
hip-TARGET.co. A model, not a measurement: it counts cycles of each unit, as AMD publishes them, and knows nothing of
latencies, bank conflicts, caches, clocks or power.

Per turn of the loop and wave: cycles of the SIMD unit's matrix core and of its vector unit, and of the compute unit's
local memory and its path to global memory. Two waves share a SIMD unit, eight the compute unit. "at best": every unit works
at the same time as the others, so that the busiest sets the pace; "at worst": matrix and vector instructions never overlap.
"K = 1024" adds, at best, what is outside of the loop, roughly: each instruction there once. The kernel whose points do
not stay in registers is left out: its loop has code for every type of points, of which one runs.

Exit status 1 if a kernel has no such loop, or if the one for d = 128 does not keep the matrix core busy at best.
"""
import pathlib
import re
import sys

from llvm_tools import run, tool

# Cycles of v_mfma_f32_32x32x8_f16: 16 and 8 passes of four ("MI200" and "MI300" ISA, Matrix Instruction Calculator).
MFMA = {"gfx90a": 64, "gfx942": 32}
VECTOR = 4           # cycles of a vector instruction of 64 lanes on 16
LOCAL_BYTES = 128    # of local memory, per cycle and compute unit
GLOBAL_BYTES = 64    # from the vector cache, likewise
SIMDS = 4            # of a compute unit, which share those two
TURN_CENTROIDS = 32
BYTES = {"b32": 4, "b64": 8, "b96": 12, "b128": 16, "u8": 1, "u16": 2, "dword": 4, "dwordx2": 8, "dwordx3": 12, "dwordx4": 16,
         "ushort": 2, "ubyte": 1, "short": 2}
LEAST_BEST = 0.9


def instructions_of(objdump, path, kernel):
    """(address, mnemonic, address of the branch's target or None) of each instruction."""
    found, start = [], None
    for line in run(objdump, "-d", f"--disassemble-symbols={kernel}", path).splitlines():
        label = re.match(r"([0-9a-f]+) <\w+>:", line)
        if label:
            start = int(label[1], 16)
        match = re.match(r"\s+(\w+).*// ([0-9A-F]+):[^<]*(?:<\w+\+0x([0-9a-f]+)>)?", line)
        if match and start is not None:
            found.append((int(match[2], 16), match[1], start + int(match[3], 16) if match[3] else None))
    return found


def main_loop(instructions):
    """The shortest range that ends with a branch to its beginning and has every matrix instruction."""
    matrix = [address for address, mnemonic, _ in instructions if "mfma" in mnemonic]
    loops = [(address - target, target, address) for address, _, target in instructions
             if matrix and target is not None and target <= matrix[0] and address > matrix[-1]]
    return min(loops)[1:] if loops else None


def bytes_of(mnemonic):
    parts = mnemonic.split("_")
    return 64 * BYTES.get(parts[-1], 4) * (2 if "2" in parts[1] else 1)


def count(target, mnemonics):
    """Cycles of a wave: matrix, vector, local, global."""
    matrix = vector = local = memory = 0
    for mnemonic in mnemonics:
        if "mfma" in mnemonic:
            matrix += MFMA[target]
        elif mnemonic.startswith("v_"):
            vector += VECTOR
        elif mnemonic.startswith("ds_"):
            local += bytes_of(mnemonic) / LOCAL_BYTES
        elif mnemonic.startswith(("global_", "flat_", "buffer_")):
            memory += bytes_of(mnemonic) / GLOBAL_BYTES
    return matrix, vector, local, memory


def main():
    clang, *objects = sys.argv[1:]
    objdump, failed = tool(clang, "llvm-objdump"), False
    print(f"{'kernel':10} {'target':8} {'matrix':>7} {'vector':>7} {'local':>7} {'global':>7} {'outside':>8} "
          f"{'at best':>8} {'at worst':>9} {'K = 1024':>9}   (cycles per wave and turn; shares of the matrix cores' peak)")
    for path in objects:
        target = re.search(r"gfx\w+", pathlib.Path(path).name)[0]
        if target not in MFMA:
            continue
        for shape in ("d32", "d64", "d128"):
            kernel = f"fkmi_k_matrix_filter_{shape}"
            code = instructions_of(objdump, path, kernel)
            loop = main_loop(code)
            if loop is None:
                print(f"failed: {target}: {kernel} has no loop with its matrix instructions")
                failed = True
                continue
            inside = [mnemonic for address, mnemonic, _ in code if loop[0] <= address <= loop[1]]
            outside = [mnemonic for address, mnemonic, _ in code if not loop[0] <= address <= loop[1]]
            matrix, vector, local, memory = count(target, inside)
            busiest = max(matrix, vector, local * SIMDS, memory * SIMDS)
            rest = sum(count(target, outside)[:2])
            turns = 1024 / TURN_CENTROIDS
            best, worst = matrix / busiest, matrix / (matrix + vector)
            print(f"{shape:10} {target:8} {matrix:7.0f} {vector:7.0f} {local:7.0f} {memory:7.0f} {rest:8.0f} {best:8.0%} "
                  f"{worst:9.0%} {turns * matrix / (turns * busiest + rest):9.0%}")
            if shape == "d128" and best < LEAST_BEST:
                print(f"failed: {target}: {kernel} is bound by something else than the matrix core")
                failed = True
    sys.exit(failed)


main()
