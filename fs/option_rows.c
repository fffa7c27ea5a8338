#include "fs/option_rows.h"

#include <ctype.h>
#include <errno.h>

#include "fs/size.h"

static const char *const cache_names[] = {
	[ENGINE_CACHE_AUTO] = "auto",
	[ENGINE_CACHE_ALL] = "all",
	[ENGINE_CACHE_OFF] = "off",
};

static int set_cache(struct options *options, const char *value,
		     struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(cache_names); i++) {
		if (strcmp(value, cache_names[i]) != 0)
			continue;
		options->engine.cache = (enum engine_cache)i;
		return 0;
	}
	return fail(err, EINVAL, "--cache is auto, all or off, not \"%s\"",
		    value);
}

static int replace_text(char **text, const char *value, struct error *err)
{
	char *copy = strdup(value);

	if (!copy)
		return fail(err, ENOMEM, "no memory for the command line");
	free(*text);
	*text = copy;
	return 0;
}

static int set_cache_dir(struct options *options, const char *value,
			 struct error *err)
{
	if (!*value)
		return fail(err, EINVAL, "--cache-dir takes a folder");
	return replace_text(&options->cache_dir, value, err);
}

static int set_size(uint64_t *bytes, const char *name, const char *value,
		    struct error *err)
{
	if (size_parse(value, bytes))
		return 0;
	return fail(err, EINVAL,
		    "%s takes a size such as 512M, 2GiB or 20GB, not \"%s\"",
		    name, value);
}

static int set_cache_mem(struct options *options, const char *value,
			 struct error *err)
{
	uint64_t bytes;
	int rc = set_size(&bytes, "--cache-mem", value, err);

	if (rc == 0)
		options->engine.cache_mem = (size_t)min_u64(bytes, SIZE_MAX);
	return rc;
}

static int set_cache_disk(struct options *options, const char *value,
			  struct error *err)
{
	return set_size(&options->engine.cache_disk, "--cache-disk", value,
			err);
}

static int set_max_bytes(struct options *options, const char *value,
			 struct error *err)
{
	options->has_max_bytes = true;
	return set_size(&options->max_bytes, "--max-bytes", value, err);
}

static int set_access_log(struct options *options, const char *value,
			  struct error *err)
{
	if (!*value)
		return fail(err, EINVAL, "--access-log takes a file");
	return replace_text(&options->access_log, value, err);
}

static int set_passthrough(struct options *options, const char *value,
			   struct error *err)
{
	options->no_passthrough = strcmp(value, "off") == 0;
	if (options->no_passthrough || strcmp(value, "auto") == 0)
		return 0;
	return fail(err, EINVAL, "--passthrough is auto or off, not \"%s\"",
		    value);
}

static int set_pattern(struct options *options, const char *value,
		       struct error *err)
{
	options->pattern = value;
	return 0;
}

static int set_point(struct options *options, const char *value,
		     struct error *err)
{
	options->point = value;
	return 0;
}

/* Only gathered here; the recipe says what can be set. */
static int add_setting(struct options *options, const char *value,
		       struct error *err)
{
	options->settings[options->settings_count++] = value;
	return 0;
}

static int set_cpu(struct options *options, const char *value,
		   struct error *err)
{
	if (cpu_level_by_name(value, &options->engine.level))
		return 0;
	return fail(err, EINVAL,
		    "--cpu %s: no such level, or not on this CPU, whose best "
		    "is %s",
		    value, cpu_level_name(cpu_level_best()));
}

/* A whole number from 1 to max. */
static int parse_count(const char *name, const char *value, unsigned long max,
		       unsigned long *count, struct error *err)
{
	char *end;

	errno = 0;
	*count = strtoul(value, &end, 10);
	if (isdigit((unsigned char)*value) && !*end && !errno && *count >= 1 &&
	    *count <= max)
		return 0;
	return fail(err, EINVAL, "%s takes a number from 1 to %lu, not \"%s\"",
		    name, max, value);
}

static int set_threads(struct options *options, const char *value,
		       struct error *err)
{
	return parse_count("--threads", value, POOL_THREADS_MAX,
			   &options->engine.threads, err);
}

static int set_readahead(struct options *options, const char *value,
			 struct error *err)
{
	unsigned long kib = 0;
	int rc = parse_count("--readahead-kb", value, OPTIONS_READAHEAD_KB_MAX,
			     &kib, err);

	if (rc == 0)
		options->readahead_kb = (unsigned)kib;
	return rc;
}

/* Words are only gathered here; options_parse() sorts them. */
static int set_words(struct options *options, const char *value,
		     struct error *err)
{
	AUTO_FREE char *words = NULL;
	const char *before = options->mount_options;

	if (asprintf(&words, "%s%s%s", before ? before : "", before ? "," : "",
		     value) < 0) {
		words = NULL;
		return fail(err, ENOMEM, "no memory for the command line");
	}
	return replace_text(&options->mount_options, words, err);
}

#define FLAG(member) offsetof(struct options, member), NULL

static const struct option_row rows[] = {
	{ 'f', "foreground", NULL, OPTIONS_MOUNT, FLAG(foreground),
	  "stay in the foreground, log to standard error" },
	{ 'd', "debug", NULL, OPTIONS_MOUNT, FLAG(debug),
	  "the same, and print every FUSE request" },
	{ 'o', NULL, "WORDS", OPTIONS_MOUNT, 0, set_words,
	  "mount options, comma separated: FUSE's own\n"
	  "(allow_other, ...), or those below without \"--\"" },
	{ 0, "warm", NULL, OPTIONS_MOUNT, FLAG(warm),
	  "make reductions beforehand, in the background" },
	{ 0, "cache-shards", NULL, OPTIONS_MOUNT, FLAG(engine.cache_shards),
	  "keep finished model files, whole, in the cache: of\n"
	  "what was read, and of all that `warm --all` makes" },
	{ 0, "passthrough", "auto|off", OPTIONS_MOUNT, 0, set_passthrough,
	  "let the kernel read finished files itself, where it\n"
	  "can (auto, the default), or never" },
	{ 0, "access-log", "FILE", OPTIONS_MOUNT, 0, set_access_log,
	  "append a line for each process that has read:\n"
	  "how much, and in which pattern" },
	{ 0, "readahead-kb", "N", OPTIONS_MOUNT, 0, set_readahead,
	  "how far the kernel reads ahead, in KiB; default 4096,\n"
	  "which takes root to set" },
	{ 0, "cache", "auto|all|off", OPTIONS_ENGINE, 0, set_cache,
	  "keep on disk what is dear to make (auto, the\n"
	  "default), everything that is made (all), or nothing" },
	{ 0, "cache-dir", "DIR", OPTIONS_CACHE_DIR, 0, set_cache_dir,
	  "where; default $LLMERGEFS_CACHE, else\n"
	  "$XDG_CACHE_HOME/llmergefs, else ~/.cache/llmergefs" },
	{ 0, "cache-mem", "SIZE", OPTIONS_ENGINE, 0, set_cache_mem,
	  "memory for what is made; default 512MiB" },
	{ 0, "cache-disk", "SIZE", OPTIONS_ENGINE, 0, set_cache_disk,
	  "disk for it, all mounts together; default 20GB" },
	{ 0, "threads", "N", OPTIONS_ENGINE, 0, set_threads,
	  "threads that compute; default one a core" },
	{ 0, "cpu", "LEVEL", OPTIONS_ENGINE, 0, set_cpu,
	  "instructions to use: baseline, avx2 or avx512;\n"
	  "default the best here; all give the same bytes" },
	{ 0, "point", "NAME", OPTIONS_RECIPE, 0, set_point,
	  "which point of the recipe's sweep" },
	{ 0, "set", "KEY=VALUE", OPTIONS_RECIPE, 0, add_setting,
	  "with this in the recipe; as often as needed:\n"
	  "--set parameters.lambda=0.5" },
	{ 0, "reductions", NULL, OPTIONS_WARM, FLAG(reductions),
	  "make what must be known of whole tensors (default)" },
	{ 0, "pattern", "GLOB", OPTIONS_WARM, 0, set_pattern,
	  "make, and keep, the tensors whose names match" },
	{ 0, "all", NULL, OPTIONS_WARM, FLAG(all),
	  "make, and keep, every tensor" },
	{ 0, "max-bytes", "SIZE", OPTIONS_GC, 0, set_max_bytes,
	  "what gc leaves at most" },
	{ 0, "watch", NULL, OPTIONS_WATCH, FLAG(watch),
	  "again every second, until interrupted" },
	{ 0, "json", NULL, OPTIONS_JSON, FLAG(json),
	  "print one JSON object instead of text" },
	{ 0, "markdown", NULL, OPTIONS_MARKDOWN, FLAG(markdown),
	  "print a Markdown table instead of text" },
	{ 'q', "quiet", NULL, OPTIONS_QUIET, FLAG(quiet),
	  "no progress bar, no closing line" },
	{ 'h', "help", NULL, OPTIONS_ANY, FLAG(help), "print this help" },
	{ 'V', "version", NULL, OPTIONS_ANY, FLAG(version),
	  "print the version" },
};

size_t option_rows_count(void)
{
	return ARRAY_LEN(rows);
}

const struct option_row *option_row_at(size_t i)
{
	return &rows[i];
}

static bool same_name(const char *row_name, const char *name, size_t len)
{
	if (strlen(row_name) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (row_name[i] != (name[i] == '_' ? '-' : name[i]))
			return false;
	return true;
}

const struct option_row *option_row_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].name && same_name(rows[i].name, name, len))
			return &rows[i];
	return NULL;
}

const struct option_row *option_row_by_letter(char letter)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].letter && rows[i].letter == letter)
			return &rows[i];
	return NULL;
}

int option_row_apply(const struct option_row *row, struct options *options,
		     const char *value, struct error *err)
{
	const bool on = true;

	if (row->set)
		return row->set(options, value, err);
	memcpy((char *)options + row->flag, &on, sizeof(on));
	return 0;
}
