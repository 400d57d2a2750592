# SPDX-License-Identifier: Apache-2.0
"""Writes ENTRY(name) for every kernel in some files: list_kernels.py OUTPUT FILE..."""
import pathlib
import re
import sys

names = [name for file in sys.argv[2:] for name in re.findall(r'\bFKMI_KERNEL (fkmi_k_\w+)\(', pathlib.Path(file).read_text())]
pathlib.Path(sys.argv[1]).write_text(''.join(f'ENTRY({name})\n' for name in names))
