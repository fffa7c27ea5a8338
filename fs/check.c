/*
 * `llmergefs check`: everything that is wrong with a recipe and its models, or
 * what would be made of them. Headers only.
 */
#include <inttypes.h>
#include <stdio.h>

#include "fs/check_tensors.h"
#include "fs/command.h"
#include "fs/generation.h"
#include "fs/log.h"
#include "fs/size.h"

#define NAMES_SHOWN 8

static bool is_base(const struct recipe *recipe, const struct model *model)
{
	return recipe->has_base && model_ref_equal(&recipe->base, &model->ref);
}

/* --- text --------------------------------------------------------------- */

static void print_models(const struct lens *lens)
{
	for (size_t i = 0; i < model_set_count(lens->models); i++) {
		const struct model *model = model_set_at(lens->models, i);

		printf("%-8s %s: %zu tensors%s%s%s\n         in %s\n",
		       i ? "" : "models", model->ref.text, model->count,
		       is_base(lens->recipe, model) ? ", the base" : "",
		       recipe_own_base_text(lens->recipe, &model->ref).text,
		       model == lens->plan->donor ? ", gives the small files"
						  : "",
		       model->dir);
	}
}

static void print_shards(const struct layout *layout)
{
	char bytes[SIZE_TEXT_MAX];

	for (size_t i = 0; i < layout->count; i++)
		printf("%-8s %s  %s\n", i ? "" : "weights",
		       layout->files[i].name,
		       size_text(layout->files[i].size, bytes));
}

static void print_sidecars(const struct sidecars *sidecars)
{
	char bytes[SIZE_TEXT_MAX];

	for (size_t i = 0; i < sidecars->count; i++) {
		const struct sidecar *file = &sidecars->files[i];

		printf("%-8s %s  %s, %s%s\n", i ? "" : "files", file->path,
		       size_text(file->size, bytes), file->source ? "of " : "",
		       file->origin);
	}
}

static void print_dropped(const struct plan *plan)
{
	for (size_t i = 0; i < plan->dropped_count && i < NAMES_SHOWN; i++)
		printf("%-8s %s\n", i ? "" : "unused", plan->dropped[i]);
	if (plan->dropped_count > NAMES_SHOWN)
		printf("         and %zu more tensors that %s has not\n",
		       plan->dropped_count - NAMES_SHOWN,
		       plan->donor->ref.text);
}

static void print_text(const struct lens *lens)
{
	char hash[HASH_HEX_LEN + 1];

	hash_hex(lens->recipe->hash, hash);
	printf("recipe   %s, method %s\n         hash %s\n", lens->recipe->path,
	       lens->recipe->method->name, hash);
	check_print_tensors(lens->plan);
	print_models(lens);
	print_shards(lens->layout);
	print_sidecars(lens->sidecars);
	print_dropped(lens->plan);
}

/* --- JSON --------------------------------------------------------------- */

static void write_notes(const char *name, const struct report *report,
			enum note_kind kind)
{
	const char *comma = "";

	printf(",\n  \"%s\": [", name);
	for (size_t i = 0; i < report->count; i++) {
		if (report->notes[i].kind != kind)
			continue;
		printf("%s\n    ", comma);
		json_write_string(stdout, report->notes[i].text);
		comma = ",";
	}
	fputs(*comma ? "\n  ]" : "]", stdout);
}

static void write_models(const struct lens *lens)
{
	fputs(",\n  \"models\": [", stdout);
	for (size_t i = 0; i < model_set_count(lens->models); i++) {
		const struct model *model = model_set_at(lens->models, i);
		struct where whose =
			recipe_own_base_text(lens->recipe, &model->ref);

		fputs(i ? ",\n    {\"model\": " : "\n    {\"model\": ", stdout);
		json_write_string(stdout, model->ref.text);
		fputs(", \"folder\": ", stdout);
		json_write_string(stdout, model->dir);
		printf(", \"tensors\": %zu, \"base\": %s, \"own_base\": %s, "
		       "\"donor\": %s}",
		       model->count,
		       is_base(lens->recipe, model) ? "true" : "false",
		       whose.text[0] ? "true" : "false",
		       model == lens->plan->donor ? "true" : "false");
	}
	fputs("\n  ]", stdout);
}

static void write_file(bool first, const char *path, uint64_t size,
		       const char *origin)
{
	fputs(first ? "\n    {\"path\": " : ",\n    {\"path\": ", stdout);
	json_write_string(stdout, path);
	printf(", \"bytes\": %" PRIu64 ", \"origin\": ", size);
	json_write_string(stdout, origin);
	putchar('}');
}

static void write_files(const struct lens *lens)
{
	const struct layout *layout = lens->layout;
	const struct sidecars *sidecars = lens->sidecars;

	fputs(",\n  \"files\": [", stdout);
	for (size_t i = 0; i < layout->count; i++)
		write_file(i == 0, layout->files[i].name, layout->files[i].size,
			   "merged");
	for (size_t i = 0; i < sidecars->count; i++)
		write_file(false, sidecars->files[i].path,
			   sidecars->files[i].size, sidecars->files[i].origin);
	fputs("\n  ]", stdout);
}

static void write_dropped(const struct plan *plan)
{
	fputs(",\n  \"unused\": [", stdout);
	for (size_t i = 0; i < plan->dropped_count; i++) {
		fputs(i ? ",\n    " : "\n    ", stdout);
		json_write_string(stdout, plan->dropped[i]);
	}
	fputs(plan->dropped_count ? "\n  ]" : "]", stdout);
}

/* The points of a sweep, a line each. */
static void print_points(const struct generation *generation)
{
	char hash[HASH_HEX_LEN + 1];

	printf("sweep    %s, %zu points\n", recipe_file_path(generation->file),
	       generation->count);
	for (size_t i = 0; i < generation->count; i++) {
		hash_hex(generation->lenses[i]->recipe->hash, hash);
		printf("%-8s %s  %s\n", i ? "" : "points", hash,
		       recipe_file_point(generation->file, i));
	}
	puts("\nthe first point:");
}

static void write_points(const struct generation *generation)
{
	char hash[HASH_HEX_LEN + 1];

	fputs(",\n  \"points\": [", stdout);
	for (size_t i = 0; i < generation->count; i++) {
		hash_hex(generation->lenses[i]->recipe->hash, hash);
		fputs(i ? ",\n    {\"name\": " : "\n    {\"name\": ", stdout);
		json_write_string(stdout,
				  recipe_file_point(generation->file, i));
		printf(", \"hash\": \"%s\"}", hash);
	}
	fputs("\n  ]", stdout);
}

/* What a check has found: one recipe, or a whole sweep, or neither. */
struct checked {
	struct generation *generation; /* NULL: it is no sweep, or is wrong */
	struct lens *lens;	       /* of the first point; NULL: is wrong */
};

static void print_json(const struct options *options,
		       const struct checked *checked,
		       const struct report *report)
{
	const struct lens *lens = checked->lens;
	char hash[HASH_HEX_LEN + 1];

	printf("{\n  \"schema\": \"llmergefs-check-1\",\n  \"ok\": %s,\n"
	       "  \"recipe\": ",
	       lens ? "true" : "false");
	json_write_string(stdout, options->recipe);
	write_notes("errors", report, NOTE_ERROR);
	write_notes("warnings", report, NOTE_WARNING);
	if (checked->generation)
		write_points(checked->generation);
	if (lens) {
		hash_hex(lens->recipe->hash, hash);
		printf(",\n  \"hash\": \"%s\",\n  \"method\": \"%s\"", hash,
		       lens->recipe->method->name);
		check_write_tensors(lens->plan);
		write_models(lens);
		write_files(lens);
		write_dropped(lens->plan);
	}
	fputs("\n}\n", stdout);
}

static void print_checked(const struct checked *checked)
{
	if (checked->generation)
		print_points(checked->generation);
	if (checked->lens)
		print_text(checked->lens);
}

int check_main(const struct options *options)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct recipe_file *file = command_recipe_file(options, &report);
	struct checked checked = { 0 };

	if (file && recipe_file_sweeps(file) && !options->point) {
		checked.generation = generation_open(
			file, model_set_open(recipe_file_dir(file), NULL),
			&report);
		if (checked.generation)
			checked.lens = checked.generation->lenses[0];
	} else if (file) {
		checked.lens = command_open_lens(options, file, &report);
	}
	if (options->json) {
		print_json(options, &checked, &report);
	} else {
		log_report(&report);
		print_checked(&checked);
	}
	if (checked.generation)
		generation_close(checked.generation);
	else
		lens_close(checked.lens);
	return checked.lens ? EXIT_OK
			    : command_report_code(options->recipe, &report);
}
