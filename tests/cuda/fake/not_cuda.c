/* SPDX-License-Identifier: Apache-2.0 */
/* A library with none of the driver's symbols. */
int fake_not_cuda(void);

int fake_not_cuda(void)
{
	return 0;
}
