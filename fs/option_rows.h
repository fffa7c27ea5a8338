/*
 * The table of all options of all subcommands. A row either sets a flag of
 * struct options or calls a function with its value.
 */
#ifndef LMFS_OPTION_ROWS_H
#define LMFS_OPTION_ROWS_H

#include "fs/options.h"

struct option_row {
	char letter;	   /* 0: has none */
	const char *name;  /* of the long option; NULL: has none */
	const char *value; /* what --help calls its value; NULL: takes none */
	unsigned group;	   /* of enum option_group */
	size_t flag;	   /* offset of a bool, where there is no value */
	int (*set)(struct options *options, const char *value,
		   struct error *err);
	const char *help; /* lines, '\n' between them */
};

size_t option_rows_count(void);
const struct option_row *option_row_at(size_t i);

/* By the len first bytes of `name`, '_' being '-'; NULL: none. */
const struct option_row *option_row_by_name(const char *name, size_t len);
const struct option_row *option_row_by_letter(char letter);

/* Set it. `value` is NULL exactly where the row takes none. */
int option_row_apply(const struct option_row *row, struct options *options,
		     const char *value, struct error *err);

#endif
