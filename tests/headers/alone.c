/* SPDX-License-Identifier: Apache-2.0 */
/* The public header stands alone, twice included, and as the first thing that a C11 program sees. */
#include "flashkmeans/flashkmeans.h"
#include "flashkmeans/flashkmeans.h"

int main(void)
{
	return fkm_status_name(FKM_OK)[0] == 'F' ? 0 : 1;
}
