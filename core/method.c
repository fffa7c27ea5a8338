#include "core/method.h"

/* One macro a level and rounding, as a macro cannot be given both and a name.
 */
#define SYMBOL(name, level, rounding) name##_method_##level##_##rounding

#define DECLARE(name, level, rounding) \
	extern const struct merge_method SYMBOL(name, level, rounding);
#define DECLARE_ALL(name, level)   \
	DECLARE(name, level, f32)  \
	DECLARE(name, level, bf16) \
	DECLARE(name, level, f16)
#define DECLARE_baseline(name) DECLARE_ALL(name, baseline)
#define DECLARE_avx2(name) DECLARE_ALL(name, avx2)
#define DECLARE_avx512(name) DECLARE_ALL(name, avx512)

#define DECLARE_LEVEL(level) METHODS(DECLARE_##level)
CPU_LEVELS(DECLARE_LEVEL)

#define ROW(name, level)                                         \
	{ &SYMBOL(name, level, f32), &SYMBOL(name, level, bf16), \
	  &SYMBOL(name, level, f16) },
#define ROW_baseline(name) ROW(name, baseline)
#define ROW_avx2(name) ROW(name, avx2)
#define ROW_avx512(name) ROW(name, avx512)

#define METHOD_ONE(name) +1
#define METHOD_COUNT (0 METHODS(METHOD_ONE))

/* The roundings in the order of their enum. */
static const struct merge_method
	*const methods[CPU_LEVEL_COUNT][METHOD_COUNT][ROUNDING_COUNT] = {
#define LEVEL_ROW(level) [CPU_LEVEL_##level] = { METHODS(ROW_##level) },
		CPU_LEVELS(LEVEL_ROW)
	};

size_t method_count(void)
{
	return METHOD_COUNT;
}

const struct merge_method *method_at(size_t i)
{
	return methods[CPU_LEVEL_baseline][i][ROUNDING_f32];
}

const struct merge_method *method_by_name(const char *name)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (strcmp(method_at(i)->name, name) == 0)
			return method_at(i);
	return NULL;
}

const struct merge_method *method_variant(const struct merge_method *method,
					  enum cpu_level level,
					  enum rounding rounding)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (method_at(i) == method)
			return methods[level][i][rounding];
	return method;
}
