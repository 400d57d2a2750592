#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bundle_offload.py OUTPUT TARGET... OBJECT...

Writes an uncompressed offload bundle, in which the HIP runtime looks for the code object that fits a device: the n-th
OBJECT is for the n-th TARGET (gfx90a). Every object begins at a multiple of 4096 bytes.
"""
import pathlib
import struct
import sys

MAGIC = b"__CLANG_OFFLOAD_BUNDLE__"
PAGE = 4096


def main():
    output, *rest = sys.argv[1:]
    half = len(rest) // 2
    # An entry for the host comes first; there is nothing in it.
    ids = ["host-x86_64-unknown-linux--"] + [f"hipv4-amdgcn-amd-amdhsa--{target}" for target in rest[:half]]
    objects = [b""] + [pathlib.Path(path).read_bytes() for path in rest[half:]]
    table = MAGIC + struct.pack("<Q", len(ids))
    at = PAGE
    for name, code in zip(ids, objects, strict=True):
        table += struct.pack("<QQQ", at, len(code), len(name)) + name.encode()
        at += -(-len(code) // PAGE) * PAGE
    if len(table) > PAGE:
        sys.exit("bundle_offload.py: the table of the bundle exceeds a page")
    bundle = table
    for code in objects[1:]:
        bundle += bytes(-len(bundle) % PAGE) + code
    pathlib.Path(output).write_bytes(bundle)


main()
