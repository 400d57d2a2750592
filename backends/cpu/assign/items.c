/* SPDX-License-Identifier: Apache-2.0 */
#include "assign.h"

enum { SHARES = 16 /* of a thread: enough to end together, few enough to cost nothing */ };

static int64_t divide_up(int64_t a, int64_t b)
{
	return (a + b - 1) / b;
}

void fkmi_cpu_items_init(struct fkmi_cpu_items *items, const struct fkmi_problem *problem, struct fkmi_span span,
						 int threads, int64_t granule, int64_t most)
{
	int64_t shares = (int64_t)threads * SHARES;
	int64_t rows = divide_up(divide_up(problem->b * span.rows, shares), granule) * granule;
	atomic_init(&items->next, 0);
	items->first = span.row;
	items->rows = span.rows;
	items->item_rows = rows < most ? rows : most;
	items->per_problem = divide_up(span.rows, items->item_rows);
	items->count = problem->b * items->per_problem;
	items->grain = items->count / shares + 1;
}

bool fkmi_cpu_items_take(struct fkmi_cpu_items *items, int64_t *begin, int64_t *end)
{
	*begin = atomic_fetch_add_explicit(&items->next, items->grain, memory_order_relaxed);
	*end = *begin + items->grain < items->count ? *begin + items->grain : items->count;
	return *begin < *end;
}

struct fkmi_cpu_item fkmi_cpu_items_get(const struct fkmi_cpu_items *items, int64_t i)
{
	int64_t offset = i % items->per_problem * items->item_rows;
	int64_t rest = items->rows - offset;
	return (struct fkmi_cpu_item){.b = i / items->per_problem,
								  .row = items->first + offset,
								  .rows = rest < items->item_rows ? rest : items->item_rows};
}
