# SPDX-License-Identifier: Apache-2.0
"""Writes ENTRY(name) for every kernel in some files: list_kernels.py OUTPUT FILE..."""
import pathlib
import re
import sys

pattern = re.compile(r'\b(?:FKMI_KERNEL|FKMI_KERNEL_ABREAST\(\d+\)|FKMI_DEFINE_\w+\()\s*(fkmi_k_\w+)')
names = [name for file in sys.argv[2:] for name in pattern.findall(pathlib.Path(file).read_text())]
pathlib.Path(sys.argv[1]).write_text(''.join(f'ENTRY({name})\n' for name in names))
