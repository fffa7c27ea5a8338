#include "fs/matrices.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/gemm.h"
#include "fs/size.h"

#define MINUTE 60
#define HOUR 3600
#define TIME_TEXT_MAX 32

struct matrices matrices_of(const struct plan *plan)
{
	struct matrices all = { 0 };

	for (size_t i = 0; i < plan->count; i++) {
		const struct job *job = &plan->jobs[i];
		uint64_t working = job->state_size;

		if (!job->state_size || !job->method->flops)
			continue;
		if (job->method->scratch_size)
			working += job->method->scratch_size(&job->args);
		all.count++;
		all.flops += job->method->flops(&job->args);
		all.state_bytes += job->state_size;
		all.working_bytes = max_u64(all.working_bytes, working);
	}
	return all;
}

void matrices_warn(const struct plan *plan, struct report *report)
{
	struct error err;

	if (matrices_of(plan).count && gemm_is_slow(&err))
		report_warning(report, "%s", err.text);
}

static double seconds_of(const struct matrices *all)
{
	double rate = gemm_rate();

	return rate > 0 ? all->flops / rate : 0;
}

static const char *time_text(double seconds, char text[TIME_TEXT_MAX])
{
	if (seconds < 2 * MINUTE)
		snprintf(text, TIME_TEXT_MAX, "%.0f s",
			 seconds < 1 ? 1 : seconds);
	else if (seconds < 2 * HOUR)
		snprintf(text, TIME_TEXT_MAX, "%.0f min", seconds / MINUTE);
	else
		snprintf(text, TIME_TEXT_MAX, "%.1f h", seconds / HOUR);
	return text;
}

void matrices_print(const struct plan *plan)
{
	struct matrices all = matrices_of(plan);
	char time[TIME_TEXT_MAX], states[SIZE_TEXT_MAX], work[SIZE_TEXT_MAX];

	if (!all.count)
		return;
	printf("         %zu of them are whole matrices: about %s of one core, "
	       "%s of memory at\n"
	       "         most for each that is being made, %s in the cache; "
	       "`llmergefs warm`\n"
	       "         makes them before they are read\n",
	       all.count, time_text(seconds_of(&all), time),
	       size_text(all.working_bytes, work),
	       size_text(all.state_bytes, states));
}

void matrices_write(const struct plan *plan)
{
	struct matrices all = matrices_of(plan);

	if (!all.count)
		return;
	printf(",\n  \"matrices\": {\"count\": %zu, \"seconds\": %.3g, "
	       "\"working_bytes\": %" PRIu64 ", \"state_bytes\": %" PRIu64 "}",
	       all.count, seconds_of(&all), all.working_bytes, all.state_bytes);
}
