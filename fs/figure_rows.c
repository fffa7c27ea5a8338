#include "fs/figures.h"

#include "core/json.h"

#define COUNTER(of, field) \
	.type = FIGURE_COUNTER, .at = offsetof(struct of, field)
#define GAUGE(of, field) .type = FIGURE_GAUGE, .at = offsetof(struct of, field)

bool figure_told(const struct figure_row *row, const void *of)
{
	uint64_t count;

	if (!row->optional)
		return true;
	memcpy(&count, (const char *)of + row->at, sizeof(count));
	return count != 0;
}

void figure_write(FILE *out, const struct figure_row *row, const void *of)
{
	const void *at = (const char *)of + row->at;
	uint64_t count;
	double number;

	if (row->real) {
		memcpy(&number, at, sizeof(number));
		json_write_number(out, number);
	} else {
		memcpy(&count, at, sizeof(count));
		fprintf(out, "%ju", (uintmax_t)count);
	}
}

static const struct figure_row mount_rows[] = {
	{ NULL, "uptime_seconds", "uptime_seconds", NULL,
	  "Seconds since the mount was made.", GAUGE(figures, uptime_seconds),
	  .real = true },
	{ NULL, "cpu_seconds", "cpu_seconds_total", NULL,
	  "Processor time of the daemon, user and system.",
	  COUNTER(figures, cpu_seconds), .real = true },
	{ NULL, "reads", "reads_total", NULL,
	  "Reads of model files that were answered.",
	  COUNTER(figures, engine.reads) },
	{ NULL, "bytes_served", "served_bytes_total", NULL,
	  "Bytes of model files that were given to readers.",
	  COUNTER(figures, engine.bytes_served) },
	{ NULL, "bytes_copied", "copied_bytes_total", NULL,
	  "Bytes served that were copied from a source as they are.",
	  COUNTER(figures, engine.bytes_copied) },
	{ NULL, "bytes_merged", "merged_bytes_total", NULL,
	  "Bytes served that were computed on the spot.",
	  COUNTER(figures, engine.bytes_merged) },
	{ NULL, "bytes_from_chunks", "cache_served_bytes_total", NULL,
	  "Bytes served out of chunks of the cache, just made or found there.",
	  COUNTER(figures, engine.bytes_chunks) },
	{ NULL, "bytes_from_shards", "shards_served_bytes_total", NULL,
	  "Bytes served out of finished files of the cache; what the kernel "
	  "reads of them itself is not seen.",
	  COUNTER(figures, engine.bytes_shards) },
	/* The same by the name of what it is to a reader. */
	{ NULL, "bytes_from_cache", NULL, NULL, NULL,
	  COUNTER(figures, engine.bytes_chunks) },
	{ NULL, "bytes_computed", NULL, NULL, NULL,
	  COUNTER(figures, bytes_computed) },
	{ NULL, "parked", "parked_reads_total", NULL,
	  "Reads that had to wait for a reduction or a chunk.",
	  COUNTER(figures, engine.parked) },
	{ NULL, "cancelled", "cancelled_reads_total", NULL,
	  "Reads that their readers gave up.",
	  COUNTER(figures, engine.cancelled) },
	{ NULL, "errors", "failed_reads_total", NULL,
	  "Reads that were answered with an error.",
	  COUNTER(figures, engine.errors) },
	{ NULL, "reading", "reads_in_flight", NULL,
	  "Reads that are not answered yet.", GAUGE(figures, engine.reading) },
	{ NULL, "queued", "queued_tasks", NULL,
	  "Makes and reads that wait for a thread.",
	  GAUGE(figures, engine.queued) },
	{ NULL, "source_bytes_read", "source_read_bytes_total", NULL,
	  "Bytes read from source models.",
	  COUNTER(figures, source_bytes_read) },
	{ NULL, "reductions_made", NULL, NULL, NULL,
	  COUNTER(figures, engine.reductions) },
	{ NULL, "surveys_made", "surveys_made_total", NULL,
	  "Surveys of tensors, which reductions of several settings share, "
	  "that "
	  "were made.",
	  COUNTER(figures, engine.surveys) },
	{ NULL, "chunks_made", "chunks_made_total", NULL,
	  "Chunks of tensors that were made for the cache.",
	  COUNTER(figures, engine.chunks) },
	{ NULL, "shards_kept", "shards_kept_total", NULL,
	  "Finished files that were written to the cache.",
	  COUNTER(figures, engine.shards_kept) },
	{ NULL, "shards_bad", "shards_bad_total", NULL,
	  "Finished files of the cache that were not sound.",
	  COUNTER(figures, engine.shards_bad) },
	{ NULL, "passthrough_opens", "passthrough_opens_total", NULL,
	  "Opens of finished files whose reads the kernel answers itself.",
	  COUNTER(figures, passthrough_opens) },
	{ NULL, "merge_seconds", NULL, NULL, NULL,
	  COUNTER(figures, engine.merge_seconds), .real = true },
	{ NULL, "reduce_seconds", NULL, NULL, NULL,
	  COUNTER(figures, engine.reduce_seconds), .real = true },
	{ NULL, "nonfinite", "nonfinite_elements_total", NULL,
	  "Elements that were made infinite or NaN out of finite inputs.",
	  COUNTER(figures, engine.nonfinite) },
	{ NULL, "retired_generations", "retired_generations", NULL,
	  "Generations of recipes that were replaced and are still open.",
	  GAUGE(figures, retired) },

	{ "readers", "files", "open_files", NULL,
	  "Model files that are open now.", GAUGE(figures, files_open) },
	{ "readers", "processes", "reader_processes", NULL,
	  "Processes that have a model file open now.",
	  GAUGE(figures, processes) },

	{ "memory", "resident_bytes", "resident_memory_bytes", NULL,
	  "Resident memory of the daemon.", GAUGE(figures, resident_bytes) },
	{ "memory", "cache_bytes", NULL, NULL, NULL,
	  GAUGE(figures, engine.cache.memory_bytes) },
	{ "memory", "cache_budget", NULL, NULL, NULL,
	  GAUGE(figures, memory_max), .optional = true },

	{ "shared", "tensors", "tensors", NULL,
	  "Merged tensors of all recipes.",
	  GAUGE(figures, engine.census.tensors) },
	{ "shared", "bytes", "tensor_bytes", NULL,
	  "Bytes of the merged tensors of all recipes.",
	  GAUGE(figures, engine.census.tensor_bytes) },
	{ "shared", "distinct", "distinct_tensors", NULL,
	  "Merged tensors, equal ones of several recipes counted once.",
	  GAUGE(figures, engine.census.distinct) },
	{ "shared", "distinct_bytes", "distinct_tensor_bytes", NULL,
	  "Bytes of the distinct tensors.",
	  GAUGE(figures, engine.census.distinct_bytes) },
	{ "shared", "shared_tensors", "shared_tensors", NULL,
	  "Distinct tensors that several recipes make.",
	  GAUGE(figures, engine.census.shared_tensors) },
	{ "shared", "shared_bytes", "shared_tensor_bytes", NULL,
	  "Bytes of the shared tensors, each counted once.",
	  GAUGE(figures, engine.census.shared_bytes) },
	{ "shared", "reductions", "reductions", NULL,
	  "Reductions that the tensors of all recipes need.",
	  GAUGE(figures, engine.census.reductions) },
	{ "shared", "distinct_reductions", "distinct_reductions", NULL,
	  "Reductions, equal ones of several recipes counted once.",
	  GAUGE(figures, engine.census.distinct_reductions) },
	{ "shared", "shared_reductions", "shared_reductions", NULL,
	  "Distinct reductions that several recipes need.",
	  GAUGE(figures, engine.census.shared_reductions) },

	{ "cache", "memory_hits", "cache_hits_total", "tier=\"memory\"",
	  "Look-ups in the cache that were answered, by where it was found.",
	  COUNTER(figures, engine.cache.memory_hits) },
	{ "cache", "disk_hits", "cache_hits_total", "tier=\"disk\"", NULL,
	  COUNTER(figures, engine.cache.disk_hits) },
	{ "cache", "made", "cache_misses_total", NULL,
	  "Things that were not in the cache, and were made.",
	  COUNTER(figures, engine.cache.made) },
	{ "cache", "failed", "cache_failures_total", NULL,
	  "Things for the cache that could not be made.",
	  COUNTER(figures, engine.cache.failed) },
	{ "cache", "evicted", "cache_evictions_total", NULL,
	  "Things that left the memory of the cache for others.",
	  COUNTER(figures, engine.cache.evicted) },
	{ "cache", "abandoned", "cache_abandoned_total", NULL,
	  "Makes that did not begin since nobody waited for them any more.",
	  COUNTER(figures, engine.cache.abandoned) },
	{ "cache", "making", "cache_making", NULL,
	  "Things that are being made for the cache now.",
	  GAUGE(figures, engine.cache.making) },
	{ "cache", "memory_bytes", "cache_bytes", "tier=\"memory\"",
	  "Bytes that the cache holds.",
	  GAUGE(figures, engine.cache.memory_bytes) },
	{ "cache", "disk_bytes", "cache_bytes", "tier=\"disk\"", NULL,
	  GAUGE(figures, engine.cache.disk_bytes) },
	{ "cache", "memory_budget", "cache_budget_bytes", "tier=\"memory\"",
	  "Bytes that the cache may hold.", GAUGE(figures, memory_max),
	  .optional = true },
	{ "cache", "disk_budget", "cache_budget_bytes", "tier=\"disk\"",
	  "Bytes that the cache may hold.", GAUGE(figures, disk_max),
	  .optional = true },
	{ "cache", "disk_writes", "cache_disk_writes_total", NULL,
	  "Objects that were written to the cache on disk.",
	  COUNTER(figures, engine.cache.disk_writes) },
	{ "cache", "disk_write_errors", "cache_disk_write_errors_total", NULL,
	  "Objects that could not be written to the cache on disk.",
	  COUNTER(figures, engine.cache.disk_write_errors) },
	{ "cache", "disk_bad", "cache_disk_bad_total", NULL,
	  "Objects on disk whose checksum was wrong.",
	  COUNTER(figures, engine.cache.disk_bad) },
};

static const struct figure_row method_rows[] = {
	{ NULL, "bytes_merged", "computed_bytes_total", NULL,
	  "Bytes that a merge method has computed.",
	  COUNTER(figures_method, stats.bytes_merged) },
	{ NULL, "merge_seconds", "merge_seconds_total", NULL,
	  "Seconds that a merge method has computed for, over all threads.",
	  COUNTER(figures_method, stats.merge_seconds), .real = true },
	{ NULL, "reductions", "reductions_made_total", NULL,
	  "Reductions that a merge method has made.",
	  COUNTER(figures_method, stats.reductions) },
	{ NULL, "reduce_seconds", "reduce_seconds_total", NULL,
	  "Seconds from begin to end of the reductions of a merge method.",
	  COUNTER(figures_method, stats.reduce_seconds), .real = true },
};

static const struct figure_row recipe_rows[] = {
	{ NULL, "generation", "recipe_generation", NULL,
	  "Number of the recipe's generation in the mount; 0: it has none.",
	  GAUGE(figures_recipe, generation) },
	{ NULL, "settings", "recipe_settings", NULL,
	  "Values of the recipe that were set from outside its file.",
	  GAUGE(figures_recipe, settings) },
	{ NULL, "tensors", "recipe_tensors", NULL,
	  "Tensors of the recipe, of all its points.",
	  GAUGE(figures_recipe, tensors) },
	{ NULL, "bytes", "recipe_tensor_bytes", NULL,
	  "Bytes of the recipe's tensors, of all its points.",
	  GAUGE(figures_recipe, bytes) },
	{ NULL, "reads", "recipe_reads_total", NULL,
	  "Reads of this generation of the recipe.",
	  COUNTER(figures_recipe, reads) },
	{ NULL, "bytes_served", "recipe_served_bytes_total", NULL,
	  "Bytes of this generation of the recipe that were given to readers.",
	  COUNTER(figures_recipe, bytes_served) },
};

struct figure_table figures_of_mount(void)
{
	return (struct figure_table){ mount_rows, ARRAY_LEN(mount_rows) };
}

struct figure_table figures_of_method(void)
{
	return (struct figure_table){ method_rows, ARRAY_LEN(method_rows) };
}

struct figure_table figures_of_recipe(void)
{
	return (struct figure_table){ recipe_rows, ARRAY_LEN(recipe_rows) };
}
