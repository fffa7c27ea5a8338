/*
 * The subcommands, and what they share: opening the lens that the command line
 * names, saying what is wrong with it, and numbers for people. Results go to
 * standard output; warnings and errors, one a line, to standard error.
 */
#ifndef LMFS_COMMAND_H
#define LMFS_COMMAND_H

#include "fs/options.h"

/* Each runs its subcommand and returns an exit code. */
int check_main(const struct options *options);
int export_main(const struct options *options);
int sum_main(const struct options *options);
int methods_main(const struct options *options);
int switch_main(const struct options *options);
int set_main(const struct options *options);
int warm_main(const struct options *options);
int status_main(const struct options *options);
int cache_main(const struct options *options);

/*
 * Open the lens of options->recipe, with its --set, at its --point; everything
 * wrong is logged. A sweep without a point is a usage error. NULL: *code is the
 * exit code.
 */
struct lens *command_lens(const struct options *options, int *code);

/* The recipe file of the command line, with its --set. NULL: see the report. */
struct recipe_file *command_recipe_file(const struct options *options,
					struct report *report);

/* The lens of such a file, at --point; takes the file. NULL: the same. */
struct lens *command_open_lens(const struct options *options,
			       struct recipe_file *file, struct report *report);

/* The same for the engine. */
struct engine *command_engine(const struct options *options, int *code);

/* Log the sentence of a failed call; returns its exit code. */
int command_failed(const struct error *err);

/* The exit code of a report with errors: a recipe that is missing itself is a
 * usage error, not a missing source. */
int command_report_code(const char *recipe, const struct report *report);

#endif
