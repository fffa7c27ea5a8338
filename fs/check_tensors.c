#include "fs/check_tensors.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/peers.h"
#include "fs/matrices.h"
#include "fs/size.h"

/* What the jobs of a plan are. */
struct counts {
	size_t copied, merged, reductions;
	uint64_t copied_bytes, merged_bytes;
	uint64_t whole_bytes; /* read by a reduction of the whole model */
	size_t dtypes[DTYPE_COUNT];
};

static struct counts count_jobs(const struct plan *plan)
{
	struct counts counts = { 0 };

	for (size_t i = 0; i < plan->count; i++) {
		const struct job *job = &plan->jobs[i];
		bool copied = job->kind == JOB_COPY;

		*(copied ? &counts.copied : &counts.merged) += 1;
		*(copied ? &counts.copied_bytes : &counts.merged_bytes) +=
			job->size;
		counts.reductions += job_counts_state(job);
		if (job->peers)
			counts.whole_bytes = job->peers->bytes;
		counts.dtypes[job->dtype]++;
	}
	return counts;
}

/* The tensors that a method makes. */
static size_t count_method(const struct plan *plan,
			   const struct merge_method *method)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->count; i++)
		count += plan->jobs[i].kind != JOB_COPY &&
			 plan->jobs[i].method == method;
	return count;
}

void check_print_tensors(const struct plan *plan)
{
	const struct counts counts = count_jobs(plan);
	char all[SIZE_TEXT_MAX], copied[SIZE_TEXT_MAX], merged[SIZE_TEXT_MAX];

	printf("tensors  %zu, %s:", plan->count, size_text(plan->bytes, all));
	for (size_t i = 0; i < DTYPE_COUNT; i++)
		if (counts.dtypes[i])
			printf(" %zu %s", counts.dtypes[i],
			       dtype_info((enum dtype)i)->name);
	printf("\n         %zu copied, %s\n", counts.copied,
	       size_text(counts.copied_bytes, copied));
	printf("         %zu merged, %s%s", counts.merged,
	       size_text(counts.merged_bytes, merged),
	       counts.merged ? ":" : "");
	for (size_t i = 0; i < method_count(); i++)
		if (count_method(plan, method_at(i)))
			printf(" %zu by %s", count_method(plan, method_at(i)),
			       method_at(i)->name);
	putchar('\n');
	if (counts.whole_bytes)
		printf("         their first byte takes one pass over all "
		       "models, %s\n",
		       size_text(counts.whole_bytes, copied));
	else if (counts.reductions)
		printf("         %zu need a reduction, once, before their "
		       "first byte\n",
		       counts.reductions);
	matrices_print(plan);
}

void check_write_tensors(const struct plan *plan)
{
	struct counts counts = count_jobs(plan);
	const char *comma = "";

	printf(",\n  \"tensors\": %zu,\n  \"bytes\": %" PRIu64
	       ",\n  \"copied\": %zu,\n  \"copied_bytes\": %" PRIu64
	       ",\n  \"merged\": %zu,\n  \"merged_bytes\": %" PRIu64
	       ",\n  \"reductions\": %zu,\n  \"whole_pass_bytes\": %" PRIu64
	       ",\n  \"dtypes\": {",
	       plan->count, plan->bytes, counts.copied, counts.copied_bytes,
	       counts.merged, counts.merged_bytes, counts.reductions,
	       counts.whole_bytes);
	for (size_t i = 0; i < DTYPE_COUNT; i++) {
		if (!counts.dtypes[i])
			continue;
		printf("%s\"%s\": %zu", comma, dtype_info((enum dtype)i)->name,
		       counts.dtypes[i]);
		comma = ", ";
	}
	comma = "";
	fputs("},\n  \"methods\": {", stdout);
	for (size_t i = 0; i < method_count(); i++) {
		size_t count = count_method(plan, method_at(i));

		if (!count)
			continue;
		printf("%s\"%s\": %zu", comma, method_at(i)->name, count);
		comma = ", ";
	}
	putchar('}');
	matrices_write(plan);
}
