/*
 * The recipes of a mount: a row each, those points of a sweep that somebody has
 * read below it, and what is wrong below that.
 */
#include <errno.h>

#include "core/base/utf8.h"
#include "fs/status.h"

#define NAME_COLUMNS 30

/* A recipe, or a point of one. */
struct row {
	const struct json *recipe;
	const struct json *point; /* NULL: the recipe itself */
	const char *folder;	  /* below the mount */
	double served, rate;	  /* rate: per second, now */
	bool shown;
};

struct rows {
	struct row *list;
	size_t count;
	struct arena *arena; /* of folders */
};

/* --- gathering ---------------------------------------------------------- */

static const struct json *points_of(const struct json *recipe)
{
	return json_member(recipe, "points");
}

static size_t count_rows(const struct json *recipes)
{
	size_t count = 0;

	for (size_t i = 0; recipes && i < recipes->count; i++) {
		const struct json *points = points_of(recipes->items[i]);

		count += 1 + (points ? points->count : 0);
	}
	return count;
}

static const char *text_of(const struct json *object, const char *name)
{
	const char *text = json_member_string(object, name);

	return text ? text : "";
}

static const char *folder_of(struct arena *arena, const struct json *recipe,
			     const struct json *point)
{
	const char *name = text_of(recipe, "name");

	if (!point)
		return name;
	return arena_printf(arena, "%s%s%s", name, *name ? "/" : "",
			    text_of(point, "name"));
}

static int add_row(struct rows *rows, const struct json *recipe,
		   const struct json *point)
{
	const char *folder = folder_of(rows->arena, recipe, point);

	if (!folder)
		return -ENOMEM;
	rows->list[rows->count++] = (struct row){
		.recipe = recipe,
		.point = point,
		.folder = folder,
		.served = status_number(point ? point : recipe, "bytes_served"),
	};
	return 0;
}

static int gather(struct rows *rows, const struct json *stats)
{
	const struct json *recipes = json_member(stats, "recipes");
	size_t room = count_rows(recipes);
	int rc = 0;

	rows->list = calloc(room + 1, sizeof(*rows->list));
	rows->arena = arena_open();
	if (!rows->list || !rows->arena)
		return -ENOMEM;
	for (size_t i = 0; recipes && i < recipes->count && rc == 0; i++) {
		const struct json *recipe = recipes->items[i];
		const struct json *points = points_of(recipe);

		rc = add_row(rows, recipe, NULL);
		for (size_t j = 0; points && j < points->count && rc == 0; j++)
			rc = add_row(rows, recipe, points->items[j]);
	}
	return rc;
}

static void rows_done(struct rows *rows)
{
	free(rows->list);
	arena_close(rows->arena);
}

#define AUTO_ROWS AUTO(rows_done)

static double generation(const struct row *row)
{
	return status_number(row->recipe, "generation");
}

/* Rows keep their places while no recipe comes or goes; who has lost his has no
 * rate for once. */
static void rate_rows(struct rows *rows, const struct rows *before,
		      double seconds)
{
	for (size_t i = 0; i < rows->count && i < before->count; i++) {
		struct row *row = &rows->list[i];
		const struct row *was = &before->list[i];

		if (seconds > 0 && strcmp(row->folder, was->folder) == 0 &&
		    generation(row) == generation(was) &&
		    row->served >= was->served)
			row->rate = (row->served - was->served) / seconds;
	}
}

/* --- choosing ----------------------------------------------------------- */

static bool is_broken(const struct row *row)
{
	return !row->point && *text_of(row->recipe, "error");
}

/* Whether a folder is the one called `name`, or lies in it. */
static bool lies_in(const char *folder, const char *name)
{
	size_t len = strlen(name);

	return strncmp(folder, name, len) == 0 &&
	       (len == 0 || !folder[len] || folder[len] == '/');
}

/* 0: not at all; of the others the highest are shown first. Points that nobody
 * has read are shown to those who ask for their folder. */
static int weight_of(const struct row *row, const char *name)
{
	bool read = row->served > 0 || row->rate > 0;

	if (!lies_in(row->folder, name))
		return 0;
	if (row->point && !read && !*name)
		return 0;
	if (is_broken(row))
		return 5;
	if (row->rate > 0)
		return 4;
	if (!row->point)
		return 3;
	return read ? 2 : 1;
}

/* Returns how many there would be more. */
static size_t choose(struct rows *rows, const char *name, size_t rows_max)
{
	size_t chosen = 0, all = 0;

	for (int weight = 5; weight > 0; weight--)
		for (size_t i = 0; i < rows->count; i++) {
			struct row *row = &rows->list[i];

			if (weight_of(row, name) != weight)
				continue;
			row->shown = all++ < rows_max;
			chosen += row->shown;
		}
	return all - chosen;
}

/* --- drawing ------------------------------------------------------------ */

/* The name in its column: its end, which tells points apart, where it is too
 * long. Padding counts characters. */
static void draw_name(FILE *out, const char *name, size_t columns)
{
	size_t chars = 0, skip = 0;

	for (const char *at = name; *at; at++)
		chars += ((unsigned char)*at & 0xC0) != 0x80;
	if (chars > columns)
		skip = chars - columns + 2;
	if (skip)
		fputs("..", out);
	for (const char *at = name; *at;) {
		size_t len = utf8_char(at, strlen(at));

		len = len ? len : 1;
		if (skip)
			skip--;
		else if (len == 1 && (unsigned char)*at < ' ')
			fputc('?', out);
		else
			fwrite(at, 1, len, out);
		at += len;
	}
	for (; chars < columns; chars++)
		fputc(' ', out);
}

/* A recipe that has the root is called like its file. */
static const char *title_of(const struct row *row)
{
	const char *name = text_of(row->recipe, "name");
	const char *path = text_of(row->recipe, "path");
	const char *slash = strrchr(path, '/');

	if (row->point)
		return text_of(row->point, "name");
	if (*name)
		return name;
	return slash ? slash + 1 : path;
}

/* One word or two; "": nothing to say. */
static const char *state_of(const struct row *row, const char *current,
			    char text[STATUS_TEXT_MAX])
{
	double settings = status_number(row->recipe, "settings");

	if (is_broken(row))
		return "  broken";
	if (!row->point && settings > 0) {
		snprintf(text, STATUS_TEXT_MAX, "  %.0f setting%s", settings,
			 settings == 1 ? "" : "s");
		return text;
	}
	if (current && *row->folder && strcmp(row->folder, current) == 0)
		return "  current";
	return "";
}

static void draw_row(FILE *out, const struct row *row, const char *current)
{
	char size[STATUS_TEXT_MAX] = "", served[STATUS_TEXT_MAX];
	char rate[STATUS_TEXT_MAX], gen[STATUS_TEXT_MAX] = "";
	char state[STATUS_TEXT_MAX];
	int indent = row->point ? 2 : 0;

	if (!row->point) {
		snprintf(gen, sizeof(gen), "%.0f", generation(row));
		status_size(status_number(row->recipe, "bytes"), size);
	}
	fprintf(out, "%*s", indent, "");
	draw_name(out, title_of(row), NAME_COLUMNS - (size_t)indent);
	fprintf(out, " %4s %9s %9s %11s%s\n", is_broken(row) ? "-" : gen, size,
		status_size(row->served, served),
		status_rate(row->rate, 1, rate), state_of(row, current, state));
}

/* The first sentence, and how many more there are. */
static void draw_error(FILE *out, const struct row *row)
{
	const char *error = text_of(row->recipe, "error");
	size_t len = strcspn(error, "\n"), more = 0;
	size_t room = STATUS_COLUMNS - 6;

	for (const char *at = error + len; *at; at++)
		more += at[0] == '\n' && at[1];
	for (; len > 0; room = STATUS_COLUMNS - 6) {
		size_t part = len;

		/* At a blank, where there is one, and never within a
		 * character. */
		if (part > room) {
			for (part = room; part && error[part] != ' '; part--)
				;
			for (part = part ? part : room;
			     part &&
			     ((unsigned char)error[part] & 0xC0) == 0x80;
			     part--)
				;
		}
		fprintf(out, "    %.*s\n", (int)part, error);
		error += part;
		len -= part;
		for (; len && *error == ' '; len--)
			error++;
	}
	if (more)
		fprintf(out, "    (%zu more in .llmergefs/errors)\n", more);
}

static void draw_points_note(FILE *out, const struct row *row)
{
	const struct json *points = points_of(row->recipe);
	size_t read = 0;

	if (row->point || !points)
		return;
	for (size_t i = 0; i < points->count; i++)
		read += status_number(points->items[i], "bytes_served") > 0;
	fprintf(out, "  %zu points, %zu of them read\n", points->count, read);
}

int status_draw_recipes(FILE *out, const struct status_view *view)
{
	AUTO_ROWS struct rows rows = { 0 }, before = { 0 };
	const char *current = json_member_string(view->now, "current");
	size_t more;

	if (gather(&rows, view->now) < 0 || gather(&before, view->before) < 0)
		return -ENOMEM;
	rate_rows(&rows, &before, status_seconds(view));
	more = choose(&rows, view->name, view->rows_max);
	fprintf(out, "%-*s %4s %9s %9s %11s  STATE\n", NAME_COLUMNS, "RECIPE",
		"GEN", "SIZE", "SERVED", "NOW");
	for (size_t i = 0; i < rows.count; i++) {
		if (!rows.list[i].shown)
			continue;
		draw_row(out, &rows.list[i], current);
		draw_points_note(out, &rows.list[i]);
		if (is_broken(&rows.list[i]))
			draw_error(out, &rows.list[i]);
	}
	if (more)
		fprintf(out, "(%zu more; --json has all)\n", more);
	return 0;
}
