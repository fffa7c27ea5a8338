/*
 * The command line, as data: a table of subcommands, each with the groups of
 * options that it takes, and one table of options (options.c), from which
 * parsing, --help and the errors follow.
 *
 *	llmergefs [SUBCOMMAND] [OPTION...] OPERAND...
 *
 * The first operand is a subcommand where it is the name of one, else all
 * operands belong to the first row of the table. Options may stand anywhere;
 * `--` ends them. Every long option of the engine is understood as a word of
 * -o, too (`-o cache=all,cache_mem=1G`), with '-' or '_' in its name; the words
 * of fstab that mean nothing here (rw, nosuid, nofail, x-*, ...) are dropped,
 * and all others are left in mount_options for FUSE.
 */
#ifndef LMFS_OPTIONS_H
#define LMFS_OPTIONS_H

#include <stdio.h>

#include "fs/engine.h"

#define OPTIONS_CACHE_MEM ((size_t)512 << 20)
#define OPTIONS_CACHE_DISK 20000000000u
#define OPTIONS_READAHEAD_KB 4096
#define OPTIONS_READAHEAD_KB_MAX (1u << 20)

/* Exit codes. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,  /* at run time */
	EXIT_USAGE = 2,	  /* command line or recipe */
	EXIT_MISSING = 3, /* a source is missing */
	EXIT_UNFIT = 4,	  /* sources are malformed or do not fit */
	EXIT_MOUNT = 5,	  /* the mount was refused */
};

struct options {
	const struct command *command; /* never NULL after parsing */
	const char **operands;	       /* those after the subcommand */
	size_t operands_count;
	const char *recipe; /* the first of them; NULL: none */
	const char *target; /* the last of two or more; NULL: none */
	bool help, version;
	bool foreground, debug, json, markdown, quiet;
	bool watch;	       /* status */
	bool warm;	       /* mount: make reductions beforehand */
	bool no_passthrough;   /* mount: the kernel reads nothing itself */
	bool reductions, all;  /* what `warm` makes */
	const char *pattern;   /* the same: a glob; NULL: none */
	const char *point;     /* of a sweep; NULL: none */
	const char **settings; /* of --set, "PATH=VALUE" each */
	size_t settings_count;
	char *access_log; /* absolute; NULL: none */
	bool has_max_bytes;
	uint64_t max_bytes;  /* of `cache gc` */
	char *mount_options; /* those of -o that are FUSE's, comma separated,
			      * commas inside a value as "\,"; NULL: none */
	char *cache_dir; /* absolute: given, or the default; NULL: there is no
			  * place for one */
	unsigned readahead_kb;	      /* of the mount */
	struct engine_options engine; /* its cache_dir is the one above */
};

/* Groups of options, as bits: what a subcommand takes. */
enum option_group {
	OPTIONS_ANY = 1 << 0, /* --help --version: all take them */
	OPTIONS_MOUNT = 1 << 1,
	OPTIONS_ENGINE = 1 << 2,
	OPTIONS_JSON = 1 << 3,
	OPTIONS_MARKDOWN = 1 << 4,
	OPTIONS_QUIET = 1 << 5,
	OPTIONS_RECIPE = 1 << 6, /* which recipe of a file is meant */
	OPTIONS_WATCH = 1 << 7,
	OPTIONS_WARM = 1 << 8,
	OPTIONS_GC = 1 << 9,
	OPTIONS_CACHE_DIR = 1 << 10,
};

/* A subcommand; the rows stand in main.c. */
struct command {
	const char *name;
	const char *operands;		   /* "RECIPE DIR", for --help */
	size_t operands_min, operands_max; /* SIZE_MAX: any number */
	unsigned groups;		   /* of enum option_group */
	const char *summary;		   /* one line */
	const char *about; /* paragraphs of --help; NULL: none */
	int (*run)(const struct options *options); /* returns an exit code */
};

/*
 * Parse. `commands` has `count` rows; the first is the default. The words of
 * argv are borrowed for the life of *options. EINVAL: a sentence that says
 * what is wrong, and what comes near. With --help or --version the operands
 * are not counted.
 */
int options_parse(const struct command *commands, size_t count, int argc,
		  char *const *argv, struct options *options,
		  struct error *err);
void options_done(struct options *options);

/* The options of these groups, one a line, for --help. */
void options_print(FILE *out, unsigned groups);

/* The exit code for an error of core (see core/base/error.h). */
int exit_code(int errno_code);

#endif
