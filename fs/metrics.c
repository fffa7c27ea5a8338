/*
 * .llmergefs/metrics: the figures in Prometheus' text exposition format 0.0.4.
 *
 *	# HELP llmergefs_reads_total Reads of model files that were answered.
 *	# TYPE llmergefs_reads_total counter
 *	llmergefs_reads_total{mountpoint="/mnt/ab"} 514
 *
 * Names begin with llmergefs_, counters end with _total, units are bytes and
 * seconds. Every sample has the mount in a label, as node_exporter's file
 * systems do, so that the files of several mounts can be collected by one
 * textfile collector. Totals that are the sum over a label are not told again.
 */
#include <errno.h>

#include "core/base/text.h"
#include "core/base/utf8.h"
#include "fs/figures.h"

#define PREFIX "llmergefs_"

static const char *const type_names[] = {
	[FIGURE_COUNTER] = "counter",
	[FIGURE_GAUGE] = "gauge",
};

/* A label's value is UTF-8, with three characters escaped. */
static void write_escaped(FILE *out, const char *text)
{
	size_t rest = strlen(text);

	while (rest) {
		size_t len = utf8_char(text, rest);

		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '\\' || *text == '"')
			fprintf(out, "\\%c", *text);
		else if (len == 0)
			fputs(UTF8_REPLACEMENT, out);
		else
			fwrite(text, 1, len, out);
		text += len ? len : 1;
		rest -= len ? len : 1;
	}
}

/* What all samples of a text have: the file, the mount. */
struct metrics {
	FILE *out;
	const char *mountpoint;
};

static void write_head(const struct metrics *m, const char *name,
		       enum figure_type type, const char *help)
{
	fprintf(m->out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n",
		name, help, name, type_names[type]);
}

/* A sample up to its value: llmergefs_x{mountpoint="...",method="ties"}. */
static void write_sample(const struct metrics *m, const char *name,
			 const char *label, const char *value)
{
	fprintf(m->out, PREFIX "%s{mountpoint=\"", name);
	write_escaped(m->out, m->mountpoint);
	fputc('"', m->out);
	if (label && value) {
		fprintf(m->out, ",%s=\"", label);
		write_escaped(m->out, value);
		fputc('"', m->out);
	} else if (label) {
		fprintf(m->out, ",%s", label);
	}
	fputs("} ", m->out);
}

static void write_mount(const struct metrics *m, const struct figures *figures)
{
	struct figure_table table = figures_of_mount();
	const char *before = "";

	for (size_t i = 0; i < table.count; i++) {
		const struct figure_row *row = &table.rows[i];

		if (!row->metric || !figure_told(row, figures))
			continue;
		if (strcmp(before, row->metric) != 0)
			write_head(m, row->metric, row->type, row->help);
		before = row->metric;
		write_sample(m, row->metric, row->label, NULL);
		figure_write(m->out, row, figures);
		fputc('\n', m->out);
	}
}

/* Of all methods, so that a rate has where to begin. */
static void write_methods(const struct metrics *m,
			  const struct figures *figures)
{
	struct figure_table table = figures_of_method();

	for (size_t i = 0; i < table.count; i++) {
		const struct figure_row *row = &table.rows[i];

		write_head(m, row->metric, row->type, row->help);
		for (size_t j = 0; j < figures->methods_count; j++) {
			const struct figures_method *method =
				&figures->methods[j];

			write_sample(m, row->metric, "method", method->name);
			figure_write(m->out, row, method);
			fputc('\n', m->out);
		}
	}
}

/* An empty label is none: a recipe that has the root is called like its file.
 */
static void write_recipe_sample(const struct metrics *m, const char *name,
				const struct figures_recipe *recipe)
{
	const char *slash = strrchr(recipe->path, '/');

	if (*recipe->name)
		write_sample(m, name, "recipe", recipe->name);
	else
		write_sample(m, name, "recipe",
			     slash ? slash + 1 : recipe->path);
}

static void write_recipes(const struct metrics *m,
			  const struct figures *figures)
{
	struct figure_table table = figures_of_recipe();
	const struct figures_recipe *recipe;

	if (!figures->recipes)
		return;
	write_head(m, "recipe_up", FIGURE_GAUGE,
		   "1 where the recipe is in the mount as its file says, 0 "
		   "where that cannot be opened.");
	for (recipe = figures->recipes; recipe; recipe = recipe->next) {
		write_recipe_sample(m, "recipe_up", recipe);
		fputs(recipe->error ? "0\n" : "1\n", m->out);
	}
	for (size_t i = 0; i < table.count; i++) {
		const struct figure_row *row = &table.rows[i];

		write_head(m, row->metric, row->type, row->help);
		for (recipe = figures->recipes; recipe; recipe = recipe->next) {
			write_recipe_sample(m, row->metric, recipe);
			figure_write(m->out, row, recipe);
			fputc('\n', m->out);
		}
	}
}

int figures_metrics(const struct figures *figures, char **text, size_t *len)
{
	AUTO_TEXT struct text made = TEXT_INIT;
	struct metrics m;

	if (text_open(&made) < 0)
		return -ENOMEM;
	m = (struct metrics){ made.out, figures->mountpoint };
	write_head(&m, "build_info", FIGURE_GAUGE, "The daemon's version; 1.");
	write_sample(&m, "build_info", "version", LLMERGEFS_VERSION);
	fputs("1\n", m.out);
	write_mount(&m, figures);
	write_methods(&m, figures);
	write_recipes(&m, figures);
	return text_take(&made, text, len);
}
