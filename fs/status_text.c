#include <errno.h>
#include <math.h>

#include "fs/size.h"
#include "fs/status.h"

#define MINUTE 60
#define HOUR 3600
#define DAY 86400

/* --- numbers ------------------------------------------------------------ */

double status_number(const struct json *object, const char *name)
{
	const struct json *member = json_member(object, name);

	return member && member->type == JSON_NUMBER ? member->number : 0;
}

double status_seconds(const struct status_view *view)
{
	double seconds = status_number(view->now, "uptime_seconds") -
			 status_number(view->before, "uptime_seconds");

	/* Another daemon in the same place has begun anew. */
	return view->before && seconds > 0 ? seconds : 0;
}

const char *status_size(double bytes, char text[STATUS_TEXT_MAX])
{
	if (bytes >= 1)
		return size_text((uint64_t)bytes, text);
	snprintf(text, STATUS_TEXT_MAX, "-");
	return text;
}

const char *status_rate(double bytes, double seconds,
			char text[STATUS_TEXT_MAX])
{
	char size[SIZE_TEXT_MAX];

	if (bytes > 0 && seconds > 0 && bytes / seconds >= 1)
		snprintf(text, STATUS_TEXT_MAX, "%s/s",
			 size_text((uint64_t)(bytes / seconds), size));
	else
		snprintf(text, STATUS_TEXT_MAX, "-");
	return text;
}

const char *status_time(double seconds, char text[STATUS_TEXT_MAX])
{
	uint64_t whole = (uint64_t)(seconds + 0.5);

	if (seconds < 9.995)
		snprintf(text, STATUS_TEXT_MAX, "%.2f s", seconds);
	else if (whole < MINUTE)
		snprintf(text, STATUS_TEXT_MAX, "%ju s", (uintmax_t)whole);
	else if (whole < HOUR)
		snprintf(text, STATUS_TEXT_MAX, "%ju min %02ju s",
			 (uintmax_t)(whole / MINUTE),
			 (uintmax_t)(whole % MINUTE));
	else if (whole < DAY)
		snprintf(text, STATUS_TEXT_MAX, "%ju h %02ju min",
			 (uintmax_t)(whole / HOUR),
			 (uintmax_t)(whole % HOUR / MINUTE));
	else
		snprintf(text, STATUS_TEXT_MAX, "%ju d %ju h",
			 (uintmax_t)(whole / DAY),
			 (uintmax_t)(whole % DAY / HOUR));
	return text;
}

/* --- a sample ----------------------------------------------------------- */

int status_sample_init(struct status_sample *sample, char *text, size_t len,
		       struct error *err)
{
	struct json *stats;
	const char *schema;

	*sample = (struct status_sample){ .text = text,
					  .len = len,
					  .arena = arena_open() };
	if (!sample->arena)
		return fail(err, ENOMEM, "no memory for stats.json");
	if (json_parse(text, len, sample->arena, &stats, err) < 0)
		return fail_in(err, -EBADMSG, "stats.json");
	schema = json_member_string(stats, "schema");
	if (!schema || strcmp(schema, "llmergefs-stats-1") != 0)
		return fail(err, EBADMSG,
			    "stats.json: its schema is %s, not "
			    "llmergefs-stats-1; the mount is served by "
			    "another version of llmergefs",
			    schema ? schema : "missing");
	sample->stats = stats;
	return 0;
}

void status_sample_done(struct status_sample *sample)
{
	free(sample->text);
	arena_close(sample->arena);
	*sample = (struct status_sample){ 0 };
}

/* --- drawing ------------------------------------------------------------ */

static void draw_head(FILE *out, const struct status_view *view)
{
	const struct json *memory = json_member(view->now, "memory");
	const struct json *readers = json_member(view->now, "readers");
	const char *current = json_member_string(view->now, "current");
	double processes = status_number(readers, "processes");
	double files = status_number(readers, "files");
	char time[STATUS_TEXT_MAX], resident[STATUS_TEXT_MAX];
	char cached[STATUS_TEXT_MAX];

	fprintf(out,
		"%s\nup %s; memory %s, %s of it cache; %.0f reader%s, %.0f "
		"file%s open\n",
		view->root,
		status_time(status_number(view->now, "uptime_seconds"), time),
		status_size(status_number(memory, "resident_bytes"), resident),
		size_text((uint64_t)status_number(memory, "cache_bytes"),
			  cached),
		processes, processes == 1 ? "" : "s", files,
		files == 1 ? "" : "s");
	if (current)
		fprintf(out, "current -> %s\n", current);
}

static void draw_bytes(FILE *out, const struct status_view *view)
{
	static const struct {
		const char *title, *name;
	} rows[] = {
		{ "served", "bytes_served" },
		{ "  copied", "bytes_copied" },
		{ "  computed on the spot", "bytes_merged" },
		{ "  from cache", "bytes_from_chunks" },
		{ "computed in all", "bytes_computed" },
		{ "read from sources", "source_bytes_read" },
	};
	double seconds = status_seconds(view);
	double uptime = status_number(view->now, "uptime_seconds");

	fprintf(out, "\n%-45s%10s %11s %12s\n", "BYTES", "TOTAL", "NOW",
		"AVERAGE");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		double now = status_number(view->now, rows[i].name);
		double was = status_number(view->before, rows[i].name);
		char total[STATUS_TEXT_MAX], rate[STATUS_TEXT_MAX];
		char average[STATUS_TEXT_MAX];

		fprintf(out, "%-45s%10s %11s %12s\n", rows[i].title,
			status_size(now, total),
			status_rate(now - was, seconds, rate),
			status_rate(now, uptime, average));
	}
}

/* Time is that of all threads together, so the rate is that of one. */
static void draw_methods(FILE *out, const struct json *methods)
{
	if (!methods || methods->count == 0)
		return;
	fprintf(out, "\n%-19s %10s %12s %12s %11s %11s\n", "METHOD", "COMPUTED",
		"TIME", "RATE", "REDUCTIONS", "TIME");
	for (size_t i = 0; i < methods->count; i++) {
		const struct json *method = methods->items[i];
		double bytes = status_number(method, "bytes_merged");
		double seconds = status_number(method, "merge_seconds");
		double reductions = status_number(method, "reductions");
		char size[STATUS_TEXT_MAX], time[STATUS_TEXT_MAX];
		char rate[STATUS_TEXT_MAX], reduce[STATUS_TEXT_MAX] = "-";

		if (reductions > 0)
			status_time(status_number(method, "reduce_seconds"),
				    reduce);
		fprintf(out, "%-19s %10s %12s %12s %11.0f %11s\n",
			methods->names[i], status_size(bytes, size),
			status_time(seconds, time),
			status_rate(bytes, seconds, rate), reductions, reduce);
	}
}

static void draw_queue(FILE *out, const struct json *stats)
{
	fprintf(out,
		"\nqueue   %.0f reading, %.0f queued; so far %.0f parked, %.0f "
		"failed, %.0f cancelled\n",
		status_number(stats, "reading"), status_number(stats, "queued"),
		status_number(stats, "parked"), status_number(stats, "errors"),
		status_number(stats, "cancelled"));
	if (status_number(stats, "retired_generations") > 0)
		fprintf(out, "        %.0f replaced generations still open\n",
			status_number(stats, "retired_generations"));
}

static void draw_shared(FILE *out, const struct json *shared)
{
	char bytes[STATUS_TEXT_MAX], all[STATUS_TEXT_MAX];

	if (status_number(shared, "tensors") == 0)
		return;
	fprintf(out,
		"shared  %.0f of %.0f different tensors, %s; in all %.0f, %s\n",
		status_number(shared, "shared_tensors"),
		status_number(shared, "distinct"),
		size_text((uint64_t)status_number(shared, "shared_bytes"),
			  bytes),
		status_number(shared, "tensors"),
		status_size(status_number(shared, "bytes"), all));
	if (status_number(shared, "reductions") > 0)
		fprintf(out,
			"        %.0f of %.0f different reductions; in all "
			"%.0f\n",
			status_number(shared, "shared_reductions"),
			status_number(shared, "distinct_reductions"),
			status_number(shared, "reductions"));
}

/* "12 MB of 512 MB", or without a budget. */
static const char *filled(const struct json *cache, const char *bytes,
			  const char *budget, char text[STATUS_TEXT_MAX])
{
	char used[SIZE_TEXT_MAX], max[SIZE_TEXT_MAX];
	double most = status_number(cache, budget);

	size_text((uint64_t)status_number(cache, bytes), used);
	if (most > 0)
		snprintf(text, STATUS_TEXT_MAX, "%s of %s", used,
			 size_text((uint64_t)most, max));
	else
		snprintf(text, STATUS_TEXT_MAX, "%s", used);
	return text;
}

static void draw_cache(FILE *out, const struct json *cache)
{
	char memory[STATUS_TEXT_MAX], disk[STATUS_TEXT_MAX];

	fprintf(out,
		"cache   memory %s, disk %s\n        found: %.0f in memory, "
		"%.0f "
		"on disk; %.0f made, %.0f evicted\n",
		filled(cache, "memory_bytes", "memory_budget", memory),
		filled(cache, "disk_bytes", "disk_budget", disk),
		status_number(cache, "memory_hits"),
		status_number(cache, "disk_hits"), status_number(cache, "made"),
		status_number(cache, "evicted"));
}

/* What somebody should look after. */
static void draw_trouble(FILE *out, const struct json *stats)
{
	const struct json *tensors = json_member(stats, "nonfinite_tensors");
	const struct json *cache = json_member(stats, "cache");
	double nonfinite = status_number(stats, "nonfinite");
	double bad = status_number(cache, "disk_bad") +
		     status_number(cache, "disk_write_errors");

	if (nonfinite > 0)
		fprintf(out,
			"trouble %.0f numbers that are not finite were made, "
			"in "
			"%zu tensor%s\n",
			nonfinite, tensors ? tensors->count : 0,
			tensors && tensors->count == 1 ? "" : "s");
	if (bad > 0)
		fprintf(out,
			"trouble %.0f objects of the cache on disk could not "
			"be written or read back\n",
			bad);
	if (status_number(stats, "errors") > 0)
		fputs("trouble reads have failed: .llmergefs/log says why\n",
		      out);
}

int status_draw(FILE *out, const struct status_view *view)
{
	draw_head(out, view);
	fputc('\n', out);
	if (status_draw_recipes(out, view) < 0)
		return -ENOMEM;
	draw_bytes(out, view);
	draw_methods(out, json_member(view->now, "methods"));
	draw_queue(out, view->now);
	draw_shared(out, json_member(view->now, "shared"));
	draw_cache(out, json_member(view->now, "cache"));
	draw_trouble(out, view->now);
	return 0;
}
