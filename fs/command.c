#include "fs/command.h"

#include <errno.h>
#include <unistd.h>

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

struct lens *command_lens(const struct options *options, int *code)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct lens *lens = lens_open(options->recipe, &report);

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
