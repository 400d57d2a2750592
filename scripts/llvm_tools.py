# SPDX-License-Identifier: Apache-2.0
"""Running the LLVM tools that belong to a clang."""
import pathlib
import re
import shutil
import subprocess
import sys


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def tool(clang, name):
    """Its path; ends the program with status 77 if it is not there."""
    suffix = re.search(r"-\d+$", clang)
    for beside in (clang, pathlib.Path(clang).resolve()):
        found = shutil.which(pathlib.Path(beside).parent / (name + (suffix[0] if suffix else "")))
        if found:
            return found
    print(f"skipped: no {name} here")
    sys.exit(77)
