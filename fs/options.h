/*
 * The command line, as data: one table of options a subcommand, from which
 * parsing, --help and the errors follow.
 */
#ifndef LMFS_OPTIONS_H
#define LMFS_OPTIONS_H

#include "fs/engine.h"

/* Exit codes. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* at run time */
	EXIT_USAGE = 2, /* command line or recipe */
	EXIT_MISSING = 3, /* a source is missing */
	EXIT_UNFIT = 4, /* sources are malformed or do not fit */
	EXIT_MOUNT = 5, /* the mount was refused */
};

struct options {
	const char *recipe; /* first operand */
	const char *target; /* second: mountpoint or folder; NULL */
	bool foreground, debug, json, quiet, force;
	char *mount_options; /* those of -o that are FUSE's, comma separated */
	struct engine_options engine;
};

/* The exit code for an error of core (see core/base/error.h). */
int exit_code(int errno_code);

#endif
