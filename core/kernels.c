#include "core/kernels.h"

#define KERNELS_DECLARE(level) extern const struct kernels kernels_##level;
CPU_LEVELS(KERNELS_DECLARE)
#undef KERNELS_DECLARE

/*
 * What a CPU must have to run what the Makefile compiles for a level. F16C is
 * not asked for by itself (not every compiler can): it is older than AVX2, and
 * no processor has the latter alone.
 */
#define LEVEL_RUNS_baseline true
#define LEVEL_RUNS_avx2 (CPU_HAS("avx2") && CPU_HAS("fma"))
#define LEVEL_RUNS_avx512                                                \
	(LEVEL_RUNS_avx2 && CPU_HAS("avx512f") && CPU_HAS("avx512bw") && \
	 CPU_HAS("avx512dq") && CPU_HAS("avx512vl"))

static const struct kernels *const all_kernels[CPU_LEVEL_COUNT] = {
#define KERNELS_ROW(level) [CPU_LEVEL_##level] = &kernels_##level,
	CPU_LEVELS(KERNELS_ROW)
#undef KERNELS_ROW
};

static const char *const level_names[CPU_LEVEL_COUNT] = {
#define NAME_ROW(level) [CPU_LEVEL_##level] = #level,
	CPU_LEVELS(NAME_ROW)
#undef NAME_ROW
};

static bool level_runs(enum cpu_level level)
{
	const bool runs[CPU_LEVEL_COUNT] = {
#define RUNS_ROW(name) [CPU_LEVEL_##name] = LEVEL_RUNS_##name,
		CPU_LEVELS(RUNS_ROW)
#undef RUNS_ROW
	};

	return runs[level];
}

const struct kernels *kernels_at(enum cpu_level level)
{
	return all_kernels[level];
}

enum cpu_level cpu_level_best(void)
{
	enum cpu_level best = CPU_LEVEL_baseline;

	for (size_t i = 0; i < CPU_LEVEL_COUNT; i++)
		if (level_runs((enum cpu_level)i))
			best = (enum cpu_level)i;
	return best;
}

const char *cpu_level_name(enum cpu_level level)
{
	return level_names[level];
}

bool cpu_level_by_name(const char *name, enum cpu_level *level)
{
	for (size_t i = 0; i < CPU_LEVEL_COUNT; i++) {
		if (strcmp(level_names[i], name) != 0)
			continue;
		if (!level_runs((enum cpu_level)i))
			return false;
		*level = (enum cpu_level)i;
		return true;
	}
	return false;
}
