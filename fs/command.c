#include "fs/command.h"

#include <errno.h>
#include <unistd.h>

#include "core/recipe_file.h"
#include "fs/log.h"

int command_failed(const struct error *err)
{
	log_line(LOG_ERROR, "%s", err->text);
	return exit_code(err->code);
}

int command_report_code(const char *recipe, const struct report *report)
{
	if (report->code == ENOENT && access(recipe, F_OK) != 0)
		return EXIT_USAGE;
	return exit_code(report->code);
}

struct recipe_file *command_recipe_file(const struct options *options,
					struct report *report)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct setting *settings = NULL;
	struct error err;
	int rc = arena ? settings_parse(options->settings,
					options->settings_count, "--set ",
					arena, &settings, &err)
		       : fail(&err, ENOMEM, "no memory for --set");

	if (rc) {
		report_failure(report, &err);
		return NULL;
	}
	return recipe_file_open(options->recipe, settings,
				options->settings_count, report);
}

/* Which recipe of the file is meant; SIZE_MAX: the report says why none is. */
static size_t find_point(const struct options *options,
			 const struct recipe_file *file, struct report *report)
{
	size_t at = 0;

	if (recipe_file_sweeps(file) && !options->point) {
		report_error(report, EINVAL,
			     "%s is a sweep of %zu points; name one, such as "
			     "--point %s",
			     options->recipe, recipe_file_count(file),
			     recipe_file_point(file, 0));
		return SIZE_MAX;
	}
	if (options->point)
		at = recipe_file_find(file, options->point);
	if (at == SIZE_MAX)
		report_error(report, EINVAL, "%s has no point \"%s\"%s%s",
			     options->recipe, options->point,
			     recipe_file_sweeps(file) ? "; the first is "
						      : ", for it is no sweep",
			     recipe_file_sweeps(file)
				     ? recipe_file_point(file, 0)
				     : "");
	return at;
}

struct lens *command_open_lens(const struct options *options,
			       struct recipe_file *file, struct report *report)
{
	struct recipe *recipe = NULL;
	size_t at = find_point(options, file, report);

	if (at != SIZE_MAX)
		recipe = recipe_file_recipe(file, at, report);
	recipe_file_close(file);
	return lens_open_alone(recipe, report);
}

struct lens *command_lens(const struct options *options, int *code)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct recipe_file *file = command_recipe_file(options, &report);
	struct lens *lens =
		file ? command_open_lens(options, file, &report) : NULL;

	log_report(&report);
	if (!lens)
		*code = command_report_code(options->recipe, &report);
	return lens;
}

struct engine *command_engine(const struct options *options, int *code)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct engine *engine = engine_open(&options->engine, &report);

	log_report(&report);
	if (!engine)
		*code = exit_code(report.code);
	return engine;
}
