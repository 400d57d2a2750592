#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# embed.sh SYMBOL BLOB OUTPUT SECTION ALIGNMENT: writes an assembly file that puts BLOB into the library as the hidden
# array SYMBOL. It is generated from the blob, not written by hand, so that a new blob makes a new object file.
# The section is the one in which the vendor's tools look for device code.
set -eu
symbol=$1
blob=$2
output=$3
section=$4
alignment=$5
cat >"$output" <<TEXT
	.section $section, "a", %progbits
	.balign $alignment
	.globl $symbol
	.hidden $symbol
	.type $symbol, %object
$symbol:
	.incbin "$blob"
	.size $symbol, . - $symbol
	.section .note.GNU-stack, "", %progbits
TEXT
