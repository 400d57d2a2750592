/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded source compiles with the hipRTC of this machine, for a target that the library brings no code for. 77:
 * there is no hipRTC. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/hip/hip.h"

int main(void)
{
	enum { SKIP = 77 };
	void *code = NULL;
	const enum fkm_status status = fkmi_hip_rtc_compile("gfx1030", &code);
	const int is_elf = code != NULL && memcmp(code, "\177ELF", 4) == 0;
	free(code);
	if (status != FKM_OK)
		fprintf(stderr, "%s\n", fkm_error_message());
	if (status != FKM_OK && strstr(fkm_error_message(), "hipRTC cannot be used") != NULL)
		return SKIP;
	return status != FKM_OK || !is_elf;
}
