/* SPDX-License-Identifier: Apache-2.0 */
#include "spread.h"

void spread_add(struct spread *spread, double value)
{
	if (spread->count == MAX_SAMPLES)
		return;
	int i = spread->count++;
	for (; i > 0 && spread->values[i - 1] > value; i--)
		spread->values[i] = spread->values[i - 1];
	spread->values[i] = value;
}

double spread_median(const struct spread *spread)
{
	return (spread->values[(spread->count - 1) / 2] + spread->values[spread->count / 2]) / 2;
}

double spread_min(const struct spread *spread)
{
	return spread->values[0];
}

double spread_max(const struct spread *spread)
{
	return spread->values[spread->count - 1];
}
