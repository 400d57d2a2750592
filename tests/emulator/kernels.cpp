/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels, compiled for the emulator with the matrix instructions of one architecture, and finding them by name. */
#include "dialect.h"
#include "instructions.h"

#include "kernels/common/kernels.h"
#include "kernels/matrix/kernels.h"

#include <utility>

namespace
{

/* An argument as a parameter of its type. */
template <class T> T value_of(uint64_t bits)
{
	T value;
	static_assert(sizeof value <= sizeof bits, "parameters have at most eight bytes");
	memcpy(&value, &bits, sizeof value);
	return value;
}

struct call {
	const uint64_t *values;
	void (*run)(const struct call *call);
	void (*function)(void);
};

template <class... TYPES, size_t... PLACES>
void run_with(void (*function)(TYPES...), const uint64_t *values, std::index_sequence<PLACES...>)
{
	function(value_of<TYPES>(values[PLACES])...);
}

template <class... TYPES> struct caller {
	static void run(const struct call *call)
	{
		run_with((void (*)(TYPES...))call->function, call->values, std::index_sequence_for<TYPES...>());
	}
};

struct kernel {
	const char *name;
	size_t arguments;
	void (*run)(const struct call *call);
	void (*function)(void);
};

template <class... TYPES> struct kernel entry(const char *name, void (*function)(TYPES...))
{
	return {name, sizeof...(TYPES), caller<TYPES...>::run, (void (*)(void))function};
}

#define ENTRY(name) entry(#name, name),
#define MATRIX_ENTRIES(name, d_least, d_most, steps)                                                                   \
	ENTRY(fkmi_k_matrix_filter_##name) ENTRY(fkmi_k_matrix_recheck_##name)
const struct kernel kernels[] = {
#include "kernel_names.h"
	FKMI_MATRIX_SHAPES(MATRIX_ENTRIES)};

void run_item(void *argument)
{
	const struct call *call = (const struct call *)argument;
	call->run(call);
}

} // namespace

int emulator_wave(void)
{
	return FKMI_WAVE;
}

bool emulator_launch(const char *name, int64_t groups, int32_t local_bytes, const uint64_t *values, int32_t count)
{
	for (const struct kernel &kernel : kernels) {
		if (strcmp(kernel.name, name) != 0 || kernel.arguments != (size_t)count)
			continue;
		struct call call = {values, kernel.run, kernel.function};
		emulator_run(run_item, &call, groups, local_bytes);
		return true;
	}
	return false;
}
