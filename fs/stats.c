/*
 * .llmergefs/stats.json: one object in one line, so that lines of it can follow
 * each other; and .llmergefs/errors.
 *
 * Lists have an entry a recipe file. "points" stands where it has a sweep, with
 * an entry a point; "hash" where it has none. A tensor of "nonfinite_tensors"
 * has its folder before it ("a/lambda=0.4/x.weight"), if it lies in one.
 */
#include <errno.h>

#include "core/base/text.h"
#include "core/base/utf8.h"
#include "core/json.h"
#include "fs/figures.h"

static bool same_group(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Members of the object that is being written; its first has no comma. */
static void write_rows(FILE *out, struct figure_table table, const void *of,
		       const char *comma)
{
	const char *group = NULL;

	for (size_t i = 0; i < table.count; i++) {
		const struct figure_row *row = &table.rows[i];

		if (!figure_told(row, of))
			continue;
		if (!same_group(group, row->group)) {
			fprintf(out, "%s%s\"%s\": {", group ? "}" : "", comma,
				row->group);
			comma = "";
		}
		group = row->group;
		fprintf(out, "%s\"%s\": ", comma, row->json);
		figure_write(out, row, of);
		comma = ", ";
	}
	if (group)
		fputc('}', out);
}

static void write_string(FILE *out, const char *name, const char *string)
{
	fprintf(out, "\"%s\": ", name);
	if (string)
		json_write_string(out, string);
	else
		fputs("null", out);
}

static void write_nonfinite(FILE *out, const struct figures_nonfinite *at)
{
	const char *comma = "";

	fputs(", \"nonfinite_tensors\": {", out);
	for (; at; at = at->next) {
		fputs(comma, out);
		json_write_string(out, at->name);
		fprintf(out, ": %ju", (uintmax_t)at->count);
		comma = ", ";
	}
	fputc('}', out);
}

static bool has_worked(const struct engine_method_stats *stats)
{
	return stats->bytes_merged || stats->reductions;
}

static void write_methods(FILE *out, const struct figures *figures)
{
	const char *comma = "";

	fputs(", \"methods\": {", out);
	for (size_t i = 0; i < figures->methods_count; i++) {
		const struct figures_method *method = &figures->methods[i];

		if (!has_worked(&method->stats))
			continue;
		fprintf(out, "%s\"%s\": {", comma, method->name);
		write_rows(out, figures_of_method(), method, "");
		fputc('}', out);
		comma = ", ";
	}
	fputc('}', out);
}

static void write_points(FILE *out, const struct figures_recipe *recipe)
{
	fputs(", \"points\": [", out);
	for (size_t i = 0; i < recipe->points_count; i++) {
		const struct figures_point *point = &recipe->points[i];

		fputs(i ? ", {" : "{", out);
		write_string(out, "name", point->name);
		fprintf(out, ", \"reads\": %ju, \"bytes_served\": %ju}",
			(uintmax_t)point->reads,
			(uintmax_t)point->bytes_served);
	}
	fputc(']', out);
}

static void write_recipes(FILE *out, const struct figures_recipe *at)
{
	const char *comma = "";

	fputs(", \"recipes\": [", out);
	for (; at; at = at->next) {
		fprintf(out, "%s{", comma);
		write_string(out, "name", at->name);
		fputs(", ", out);
		write_string(out, "path", at->path);
		fputs(", ", out);
		write_string(out, "error", at->error);
		if (*at->hash) {
			fputs(", ", out);
			write_string(out, "hash", at->hash);
		}
		write_rows(out, figures_of_recipe(), at, ", ");
		if (at->sweeps)
			write_points(out, at);
		fputc('}', out);
		comma = ", ";
	}
	fputc(']', out);
}

int figures_stats(const struct figures *figures, char **text, size_t *len)
{
	AUTO_TEXT struct text made = TEXT_INIT;

	if (text_open(&made) < 0)
		return -ENOMEM;
	fputs("{\"schema\": \"llmergefs-stats-1\", ", made.out);
	write_string(made.out, "mountpoint", figures->mountpoint);
	fputs(", ", made.out);
	write_string(made.out, "current", figures->current);
	write_rows(made.out, figures_of_mount(), figures, ", ");
	write_nonfinite(made.out, figures->nonfinite);
	write_methods(made.out, figures);
	write_recipes(made.out, figures->recipes);
	fputs("}\n", made.out);
	return text_take(&made, text, len);
}

/* --- errors ------------------------------------------------------------- */

/* A line a sentence, behind the file's name, which stands for its path. */
static void write_error(FILE *out, const struct figures_recipe *recipe,
			const char *said, const char *end)
{
	static const char warning[] = "warning: ";
	const char *slash = strrchr(recipe->path, '/');
	AUTO_FREE char *name = strdup(slash ? slash + 1 : recipe->path);
	size_t path_len = strlen(recipe->path);

	/* As the sentences are: one with a newline in it would be two lines. */
	if (name)
		utf8_make_printable(name);
	fprintf(out, "%s: ", name ? name : "?");
	if (strncmp(said, warning, sizeof(warning) - 1) == 0) {
		fputs(warning, out);
		said += sizeof(warning) - 1;
	}
	if (strncmp(said, recipe->path, path_len) == 0 &&
	    strncmp(said + path_len, ": ", 2) == 0)
		said += path_len + 2;
	fprintf(out, "%.*s\n", (int)(end - said), said);
}

static void write_errors(FILE *out, const struct figures_recipe *recipe)
{
	for (const char *line = recipe->error; *line;) {
		const char *end = line + strcspn(line, "\n");

		if (end > line)
			write_error(out, recipe, line, end);
		line = end + (*end == '\n');
	}
}

int figures_errors(const struct figures *figures, char **text, size_t *len)
{
	AUTO_TEXT struct text made = TEXT_INIT;

	if (text_open(&made) < 0)
		return -ENOMEM;
	for (const struct figures_recipe *at = figures->recipes; at;
	     at = at->next)
		if (at->error)
			write_errors(made.out, at);
	return text_take(&made, text, len);
}
