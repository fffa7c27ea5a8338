#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/json.h"
#include "fs/figures.h"

#include <cmocka.h>

#define POINTS 4096

static struct figures_point points[POINTS];
static char point_names[POINTS][32];

static struct figures_recipe sweep = {
	.name = "sweep",
	.path = "/r/sweep.yml",
	.generation = 3,
	.settings = 2,
	.tensors = 40960,
	.bytes = 1u << 20,
	.reads = 7,
	.bytes_served = 99,
	.sweeps = true,
	.points = points,
	.points_count = POINTS,
};
static struct figures_recipe broken = {
	.next = &sweep,
	.name = "bro\"ken",
	.path = "/r/bro\"ken.yml",
	.error = "/r/bro\"ken.yml: line 3: a \\ and a \x1b\nmodels[1]: none\n"
		 "warning: /r/bro\"ken.yml: x",
};
static struct figures_recipe plain = {
	.next = &broken,
	.name = "a",
	.path = "/r/a.yml",
	.generation = 1,
	.hash = "0123456789abcdef0123456789abcdef",
};
static struct figures_nonfinite nonfinite[] = {
	{ &nonfinite[1], "a/x.weight", 3 },
	{ NULL, "sweep/lambda=0.4/x.weight", 4 },
};
static const struct figures_method methods[] = {
	{ "linear", { 0 } },
	{ "ties",
	  { .bytes_merged = 1000,
	    .reductions = 5,
	    .merge_seconds = 0.25,
	    .reduce_seconds = 1.5 } },
};

/* Every number of the mount has a value of its own: that of its place. */
static struct figures figures_of_places(void)
{
	struct figures figures = {
		.current = "sweep/lambda=1",
		.mountpoint = "/mnt/\"a\"\n\xff\\",
		.methods = methods,
		.methods_count = ARRAY_LEN(methods),
		.recipes = &plain,
		.nonfinite = nonfinite,
	};
	struct figure_table table = figures_of_mount();

	for (size_t i = 0; i < POINTS; i++) {
		snprintf(point_names[i], sizeof(point_names[i]), "lambda=%zu",
			 i);
		points[i] = (struct figures_point){ point_names[i], i, 2 * i };
	}
	for (size_t i = 0; i < table.count; i++) {
		uint64_t count = table.rows[i].at;
		double number = (double)table.rows[i].at + 0.5;

		memcpy((char *)&figures + table.rows[i].at,
		       table.rows[i].real ? (void *)&number : (void *)&count,
		       8);
	}
	return figures;
}

static const struct json *parse(struct arena *arena, const char *text,
				size_t len)
{
	struct json *tree = NULL;
	struct error err;

	if (json_parse(text, len, arena, &tree, &err) < 0)
		fail_msg("%s", err.text);
	return tree;
}

static double number_of(const struct json *object, const char *name)
{
	const struct json *member = json_member(object, name);

	if (!member || member->type != JSON_NUMBER)
		fail_msg("no number %s", name);
	return member->number;
}

static const struct json *stats_of(const struct figures *figures,
				   struct arena *arena)
{
	AUTO_FREE char *text = NULL;
	size_t len;

	assert_int_equal(figures_stats(figures, &text, &len), 0);
	assert_int_equal(len, strlen(text));
	assert_ptr_equal(strchr(text, '\n'), text + len - 1);
	return parse(arena, text, len);
}

static void stats_hold_every_number_of_the_table(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct figures figures = figures_of_places();
	const struct json *stats = stats_of(&figures, arena);
	struct figure_table table = figures_of_mount();

	for (size_t i = 0; i < table.count; i++) {
		const struct figure_row *row = &table.rows[i];
		const struct json *in =
			row->group ? json_member(stats, row->group) : stats;

		assert_true(number_of(in, row->json) ==
			    (double)row->at + (row->real ? 0.5 : 0));
	}
	assert_string_equal(json_member_string(stats, "schema"),
			    "llmergefs-stats-1");
	assert_string_equal(json_member_string(stats, "current"),
			    "sweep/lambda=1");
}

#define TOP(name, field)                                    \
	{                                                   \
		NULL, name, offsetof(struct figures, field) \
	}
#define CACHE(name)                                                         \
	{                                                                   \
		"cache", #name, offsetof(struct figures, engine.cache.name) \
	}

/* Readers of the first version of the file find what they know. */
static void stats_keep_the_names_they_had(void **state)
{
	static const struct {
		const char *group, *name;
		size_t at;
	} rows[] = {
		TOP("reads", engine.reads),
		TOP("bytes_served", engine.bytes_served),
		TOP("bytes_copied", engine.bytes_copied),
		TOP("bytes_merged", engine.bytes_merged),
		TOP("bytes_from_chunks", engine.bytes_chunks),
		TOP("parked", engine.parked),
		TOP("cancelled", engine.cancelled),
		TOP("errors", engine.errors),
		TOP("source_bytes_read", source_bytes_read),
		TOP("reductions_made", engine.reductions),
		TOP("surveys_made", engine.surveys),
		TOP("chunks_made", engine.chunks),
		TOP("nonfinite", engine.nonfinite),
		CACHE(memory_hits),
		CACHE(disk_hits),
		CACHE(made),
		CACHE(failed),
		CACHE(evicted),
		CACHE(abandoned),
		CACHE(making),
		CACHE(memory_bytes),
		CACHE(disk_bytes),
		CACHE(disk_writes),
		CACHE(disk_write_errors),
		CACHE(disk_bad),
	};
	AUTO_ARENA struct arena *arena = arena_open();
	struct figures figures = figures_of_places();
	const struct json *stats = stats_of(&figures, arena);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct json *in =
			rows[i].group ? json_member(stats, rows[i].group)
				      : stats;

		assert_true(number_of(in, rows[i].name) == (double)rows[i].at);
	}
	assert_true(number_of(stats, "merge_seconds") ==
		    figures.engine.merge_seconds);
	assert_true(number_of(stats, "reduce_seconds") ==
		    figures.engine.reduce_seconds);
	stats = json_member(stats, "nonfinite_tensors");
	assert_int_equal(stats->count, 2);
	assert_true(number_of(stats, "a/x.weight") == 3);
	assert_true(number_of(stats, "sweep/lambda=0.4/x.weight") == 4);
}

static void stats_tell_of_recipes_and_points(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct figures figures = figures_of_places();
	const struct json *list =
		json_member(stats_of(&figures, arena), "recipes");
	const struct json *a, *bad, *many, *last;

	assert_int_equal(list->count, 3);
	a = list->items[0], bad = list->items[1], many = list->items[2];
	assert_string_equal(json_member_string(a, "hash"), plain.hash);
	assert_int_equal(json_member(a, "error")->type, JSON_NULL);
	assert_null(json_member(a, "points"));
	assert_string_equal(json_member_string(bad, "name"), broken.name);
	assert_string_equal(json_member_string(bad, "error"), broken.error);
	assert_true(number_of(bad, "generation") == 0);
	assert_null(json_member(many, "hash"));
	assert_true(number_of(many, "generation") == 3);
	assert_true(number_of(many, "settings") == 2);
	assert_true(number_of(many, "bytes_served") == 99);
	assert_int_equal(json_member(many, "points")->count, POINTS);
	last = json_member(many, "points")->items[POINTS - 1];
	assert_string_equal(json_member_string(last, "name"), "lambda=4095");
	assert_true(number_of(last, "reads") == 4095);
	assert_true(number_of(last, "bytes_served") == 8190);
}

static void stats_tell_of_methods_that_have_worked(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct figures figures = figures_of_places();
	const struct json *list =
		json_member(stats_of(&figures, arena), "methods");
	const struct json *ties = json_member(list, "ties");

	assert_int_equal(list->count, 1);
	assert_true(number_of(ties, "bytes_merged") == 1000);
	assert_true(number_of(ties, "reductions") == 5);
	assert_true(number_of(ties, "merge_seconds") == 0.25);
	assert_true(number_of(ties, "reduce_seconds") == 1.5);
}

static void a_budget_that_is_not_known_is_not_told(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct figures figures = figures_of_places();
	const struct json *stats;

	figures.memory_max = figures.disk_max = 0;
	stats = stats_of(&figures, arena);
	assert_null(json_member(json_member(stats, "memory"), "cache_budget"));
	assert_null(json_member(json_member(stats, "cache"), "disk_budget"));
	assert_non_null(json_member(json_member(stats, "cache"), "disk_bad"));
}

/* --- the table --------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void check_row(struct figure_table table, size_t i)
{
	const struct figure_row *row = &table.rows[i];
	bool continues = i && row->metric && row[-1].metric &&
			 strcmp(row->metric, row[-1].metric) == 0;

	for (size_t j = 0; j < i; j++) {
		const struct figure_row *other = &table.rows[j];

		if ((other->group == row->group ||
		     (other->group && row->group &&
		      strcmp(other->group, row->group) == 0)) &&
		    strcmp(other->json, row->json) == 0)
			fail_msg("%s stands twice", row->json);
		if (row->metric && other->metric && !continues &&
		    strcmp(other->metric, row->metric) == 0)
			fail_msg("rows of %s do not follow each other",
				 row->metric);
	}
	if (!row->metric)
		return;
	if (strspn(row->metric, "abcdefghijklmnopqrstuvwxyz_") !=
	    strlen(row->metric))
		fail_msg("%s is no name", row->metric);
	if (ends_with(row->metric, "_total") != (row->type == FIGURE_COUNTER))
		fail_msg("%s: counters, and they alone, end with _total",
			 row->metric);
	if (!continues && (!row->help || strpbrk(row->help, "\n\\")))
		fail_msg("%s has no help in one line", row->metric);
	if (continues && !row->label)
		fail_msg("%s has two samples without a label", row->metric);
}

static void names_follow_the_rules_of_prometheus(void **state)
{
	const struct figure_table tables[] = { figures_of_mount(),
					       figures_of_method(),
					       figures_of_recipe() };

	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (size_t i = 0; i < tables[t].count; i++)
			check_row(tables[t], i);
}

static void metrics_tell_all_with_escaped_labels(void **state)
{
	AUTO_FREE char *text = NULL;
	struct figures figures = figures_of_places();
	size_t len;

	assert_int_equal(figures_metrics(&figures, &text, &len), 0);
	assert_int_equal(len, strlen(text));
	assert_non_null(strstr(
		text, "# HELP llmergefs_reads_total Reads of model files that "
		      "were answered.\n"
		      "# TYPE llmergefs_reads_total counter\n"
		      "llmergefs_reads_total{mountpoint=\"/mnt/\\\"a\\\"\\n"
		      "\xEF\xBF\xBD\\\\\"} "));
	assert_non_null(strstr(text, ",method=\"ties\"} 0.25\n"));
	assert_non_null(strstr(text, ",method=\"linear\"} 0\n"));
	assert_non_null(strstr(text, ",tier=\"disk\"} "));
	assert_non_null(strstr(text, ",recipe=\"bro\\\"ken\"} 0\n"));
	assert_non_null(strstr(text, ",recipe=\"sweep\"} 1\n"));
}

static void a_recipe_of_the_root_is_labelled_like_its_file(void **state)
{
	AUTO_FREE char *text = NULL;
	struct figures figures = figures_of_places();
	struct figures_recipe flat = { .name = "", .path = "/r/a.yml" };
	size_t len;

	figures.recipes = &flat;
	assert_int_equal(figures_metrics(&figures, &text, &len), 0);
	assert_non_null(strstr(text, ",recipe=\"a.yml\"} 1\n"));
}

/* --- errors ------------------------------------------------------------ */

static void errors_are_lines_behind_the_name_of_the_file(void **state)
{
	AUTO_FREE char *text = NULL;
	struct figures figures = figures_of_places();
	size_t len;

	assert_int_equal(figures_errors(&figures, &text, &len), 0);
	assert_string_equal(text, "bro\"ken.yml: line 3: a \\ and a \x1b\n"
				  "bro\"ken.yml: models[1]: none\n"
				  "bro\"ken.yml: warning: x\n");
	assert_int_equal(len, strlen(text));
}

static void there_are_no_errors_where_all_is_well(void **state)
{
	AUTO_FREE char *text = NULL;
	struct figures figures = figures_of_places();
	size_t len;

	figures.recipes = &sweep;
	assert_int_equal(figures_errors(&figures, &text, &len), 0);
	assert_int_equal(len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stats_hold_every_number_of_the_table),
		cmocka_unit_test(stats_keep_the_names_they_had),
		cmocka_unit_test(stats_tell_of_recipes_and_points),
		cmocka_unit_test(stats_tell_of_methods_that_have_worked),
		cmocka_unit_test(a_budget_that_is_not_known_is_not_told),
		cmocka_unit_test(names_follow_the_rules_of_prometheus),
		cmocka_unit_test(metrics_tell_all_with_escaped_labels),
		cmocka_unit_test(
			a_recipe_of_the_root_is_labelled_like_its_file),
		cmocka_unit_test(errors_are_lines_behind_the_name_of_the_file),
		cmocka_unit_test(there_are_no_errors_where_all_is_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
