/* SPDX-License-Identifier: Apache-2.0 */
/* What begins like a fat binary. */
extern const unsigned char fkm_shim_image[];
const unsigned char fkm_shim_image[] = {0x50, 0xED, 0x55, 0xBA};
