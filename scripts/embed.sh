#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# embed.sh SYMBOL BLOB OUTPUT: writes an assembly file that puts BLOB into the library as the hidden array SYMBOL.
# It is generated from the blob, not written by hand, so that a new blob makes a new object file.
# The section is the one in which cuobjdump looks for device code.
set -eu
symbol=$1
blob=$2
output=$3
cat >"$output" <<TEXT
	.section .nv_fatbin, "a", %progbits
	.balign 64
	.globl $symbol
	.hidden $symbol
	.type $symbol, %object
$symbol:
	.incbin "$blob"
	.size $symbol, . - $symbol
	.section .note.GNU-stack, "", %progbits
TEXT
