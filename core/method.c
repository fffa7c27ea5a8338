#include "core/method.h"

/* One macro a level, as a macro cannot be given a level and a name at once. */
#define SYMBOL_baseline(name) name##_method_baseline
#define SYMBOL_avx2(name) name##_method_avx2
#define SYMBOL_avx512(name) name##_method_avx512

#define DECLARE_baseline(name) \
	extern const struct merge_method SYMBOL_baseline(name);
#define DECLARE_avx2(name) extern const struct merge_method SYMBOL_avx2(name);
#define DECLARE_avx512(name) \
	extern const struct merge_method SYMBOL_avx512(name);

#define ROW_baseline(name) &SYMBOL_baseline(name),
#define ROW_avx2(name) &SYMBOL_avx2(name),
#define ROW_avx512(name) &SYMBOL_avx512(name),

#define DECLARE_LEVEL(level) METHODS(DECLARE_##level)
CPU_LEVELS(DECLARE_LEVEL)

#define METHOD_ONE(name) +1
#define METHOD_COUNT (0 METHODS(METHOD_ONE))

static const struct merge_method
	*const methods[CPU_LEVEL_COUNT][METHOD_COUNT] = {
#define LEVEL_ROW(level) [CPU_LEVEL_##level] = { METHODS(ROW_##level) },
		CPU_LEVELS(LEVEL_ROW)
	};

size_t method_count(void)
{
	return METHOD_COUNT;
}

const struct merge_method *method_at(size_t i)
{
	return methods[CPU_LEVEL_baseline][i];
}

const struct merge_method *method_by_name(const char *name)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (strcmp(method_at(i)->name, name) == 0)
			return method_at(i);
	return NULL;
}

const struct merge_method *method_for_level(const struct merge_method *method,
					    enum cpu_level level)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (method_at(i) == method)
			return methods[level][i];
	return method;
}
