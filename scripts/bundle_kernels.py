#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bundle_kernels.py SYMBOL ROOT OUTPUT DEPFILE

Writes a C file that holds, as the array SYMBOL and the number SYMBOL_bytes, the source ROOT with every file that it
includes by a quoted name, of its own directory or from the top of the tree, put in its place, once.
"""
import pathlib
import re
import sys


TOP = pathlib.Path(__file__).resolve().parent.parent


def find(name, directory):
    beside = directory / name
    return (beside if beside.exists() else TOP / name).resolve()


def bundle(path, seen):
    if path in seen:
        return ""
    seen.append(path)
    text = ""
    for line in path.read_text(encoding="ascii").splitlines():
        include = re.fullmatch(r'\s*#include "([^"]+)"', line)
        text += bundle(find(include[1], path.parent), seen) if include else line + "\n"
    return text


def main():
    symbol, root, output, depfile = sys.argv[1:]
    seen = []
    data = bundle(pathlib.Path(root).resolve(), seen).encode()
    lines = [", ".join(str(byte) for byte in data[at:at + 24]) for at in range(0, len(data), 24)]
    pathlib.Path(output).write_text(
        "#include <stddef.h>\n"
        f"extern const char {symbol}[];\nextern const size_t {symbol}_bytes;\n"
        f"const char {symbol}[] = {{\n" + ",\n".join(lines) + ",\n0};\n"
        f"const size_t {symbol}_bytes = sizeof {symbol} - 1;\n")
    pathlib.Path(depfile).write_text(f"{output}: {' '.join(str(path) for path in seen)}\n")


main()
