/* SPDX-License-Identifier: Apache-2.0 */
/* What tests/unit/test_dynload.c opens: built several times, with another VALUE each, once WITHOUT_NAME. */
int fkmt_value(void);
const char *fkmt_name_v2(void);

int fkmt_value(void)
{
	return VALUE;
}

#if !defined(WITHOUT_NAME)
const char *fkmt_name_v2(void)
{
	return "a name";
}
#endif
