#include "fs/options.h"

#include <errno.h>

#include "core/near.h"
#include "fs/mount_words.h"
#include "fs/option_rows.h"

#define NAMES_MAX 64
#define HINT_MAX 64
#define HELP_COLUMN 26

struct parser {
	const struct command *commands;
	size_t commands_count;
	int argc;
	char *const *argv;
	int next;	       /* of argv */
	const char **operands; /* room for all of argv */
	size_t operands_count;
	unsigned groups;	     /* of all options seen */
	const char *seen[NAMES_MAX]; /* how one of each group was spelled */
	struct options *options;
	struct error *err;
};

/* "; did you mean ...?", or nothing, for the end of a sentence. */
static const char *hint_near(const char *word, const char *const *names,
			     size_t count, char text[HINT_MAX])
{
	const char *name = near_name(word, names, count);

	text[0] = '\0';
	if (name)
		snprintf(text, HINT_MAX, "; did you mean \"--%s\"?", name);
	return text;
}

static int fail_unknown_option(struct parser *p, const char *arg)
{
	const char *names[NAMES_MAX];
	size_t count = 0;
	AUTO_FREE char *name = strdup(arg + strspn(arg, "-"));
	char hint[HINT_MAX];

	if (!name)
		return fail(p->err, ENOMEM, "no memory for the command line");
	name[strcspn(name, "=")] = '\0';
	for (size_t i = 0; i < option_rows_count() && count < NAMES_MAX; i++)
		if (option_row_at(i)->name)
			names[count++] = option_row_at(i)->name;
	return fail(p->err, EINVAL, "unknown option %s%s", arg,
		    hint_near(name, names, count, hint));
}

static int apply_row(struct parser *p, const struct option_row *row,
		     const char *spelled, const char *value)
{
	if (row->value && !value) {
		if (p->next >= p->argc)
			return fail(p->err, EINVAL, "%s takes a value: %s",
				    spelled, row->value);
		value = p->argv[p->next++];
	}
	p->groups |= row->group;
	p->seen[__builtin_ctz(row->group)] = spelled;
	return option_row_apply(row, p->options, value, p->err);
}

static int parse_long(struct parser *p, const char *arg)
{
	const char *name = arg + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct option_row *row = option_row_by_name(name, len);

	if (!row)
		return fail_unknown_option(p, arg);
	if (value && !row->value)
		return fail(p->err, EINVAL, "--%s takes no value", row->name);
	return apply_row(p, row, arg, value);
}

/* "-f", "-fd", "-o words", "-owords". */
static int parse_letters(struct parser *p, const char *arg)
{
	for (const char *c = arg + 1; *c; c++) {
		const struct option_row *row = option_row_by_letter(*c);
		int rc;

		if (!row)
			return fail_unknown_option(p, arg);
		if (row->value)
			return apply_row(p, row, arg, c[1] ? c + 1 : NULL);
		rc = apply_row(p, row, arg, NULL);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int parse_words(struct parser *p)
{
	bool only_operands = false;
	int rc = 0;

	while (rc == 0 && p->next < p->argc) {
		const char *arg = p->argv[p->next++];

		if (only_operands || arg[0] != '-' || !arg[1])
			p->operands[p->operands_count++] = arg;
		else if (strcmp(arg, "--") == 0)
			only_operands = true;
		else if (arg[1] == '-')
			rc = parse_long(p, arg);
		else
			rc = parse_letters(p, arg);
	}
	return rc;
}

/* A word that is no subcommand, but near one, and no file either. */
static int check_misspelt(struct parser *p, const char *word)
{
	const char *names[NAMES_MAX];
	size_t count = 0;
	const char *near;

	if (strpbrk(word, "./") || access(word, F_OK) == 0)
		return 0;
	for (size_t i = 0; i < p->commands_count && count < NAMES_MAX; i++)
		names[count++] = p->commands[i].name;
	near = near_name(word, names, count);
	if (!near)
		return 0;
	return fail(p->err, EINVAL,
		    "there is no subcommand and no recipe \"%s\"; did you mean "
		    "\"%s\"?",
		    word, near);
}

/* Find the subcommand, and take its name off the operands. */
static int find_command(struct parser *p)
{
	const char *word = p->operands[0];

	p->options->command = &p->commands[0];
	for (size_t i = 0; p->operands_count && i < p->commands_count; i++) {
		if (strcmp(word, p->commands[i].name) != 0)
			continue;
		p->options->command = &p->commands[i];
		p->operands_count--;
		memmove(p->operands, p->operands + 1,
			p->operands_count * sizeof(*p->operands));
		return 0;
	}
	return p->operands_count ? check_misspelt(p, word) : 0;
}

static int check_groups(struct parser *p)
{
	const struct command *command = p->options->command;
	unsigned wrong = p->groups & ~(command->groups | OPTIONS_ANY);

	if (!wrong)
		return 0;
	return fail(p->err, EINVAL, "%s does not take %s", command->name,
		    p->seen[__builtin_ctz(wrong)]);
}

static int take_operands(struct parser *p)
{
	const struct command *command = p->options->command;

	if (p->options->help || p->options->version)
		return 0;
	if (p->operands_count < command->operands_min)
		return fail(p->err, EINVAL, "%s takes %s", command->name,
			    command->operands);
	if (p->operands_count > command->operands_max)
		return fail(p->err, EINVAL, "%s takes %s, and not \"%s\"",
			    command->name,
			    *command->operands ? command->operands
					       : "no operands",
			    p->operands[command->operands_max]);
	p->options->operands_count = p->operands_count;
	if (p->operands_count > 0)
		p->options->recipe = p->operands[0];
	if (p->operands_count > 1)
		p->options->target = p->operands[p->operands_count - 1];
	return 0;
}

static int finish(struct options *options, struct error *err)
{
	int rc;

	options->foreground |= options->debug;
	rc = mount_words_sort(options, err);
	if (rc < 0)
		return rc;
	rc = cache_dir_settle(&options->cache_dir, err);
	if (rc == 0)
		rc = path_settle(&options->access_log, err);
	options->engine.cache_dir = options->cache_dir;
	if (rc == 0 && options->engine.cache_shards &&
	    (options->engine.cache == ENGINE_CACHE_OFF || !options->cache_dir))
		rc = fail(err, EINVAL,
			  "--cache-shards keeps files in the cache folder, and "
			  "nothing is kept there: leave --cache off out, or "
			  "name a folder with --cache-dir");
	return rc;
}

int options_parse(const struct command *commands, size_t count, int argc,
		  char *const *argv, struct options *options, struct error *err)
{
	struct parser p = {
		.commands = commands,
		.commands_count = count,
		.argc = argc,
		.argv = argv,
		.next = 1,
		.options = options,
		.err = err,
	};
	int rc;

	*options = (struct options){
		.engine = { .level = cpu_level_best(),
			    .cache = ENGINE_CACHE_AUTO,
			    .cache_mem = OPTIONS_CACHE_MEM,
			    .cache_disk = OPTIONS_CACHE_DISK },
		.readahead_kb = OPTIONS_READAHEAD_KB,
		.operands = calloc((size_t)argc + 1, sizeof(const char *)),
		.settings = calloc((size_t)argc + 1, sizeof(const char *)),
	};
	if (!options->operands || !options->settings)
		return fail(err, ENOMEM, "no memory for the command line");
	p.operands = options->operands;
	rc = parse_words(&p);
	if (rc == 0)
		rc = find_command(&p);
	if (rc == 0)
		rc = check_groups(&p);
	if (rc == 0)
		rc = take_operands(&p);
	if (rc == 0)
		rc = finish(options, err);
	return rc;
}

void options_done(struct options *options)
{
	free(options->mount_options);
	free(options->cache_dir);
	free(options->access_log);
	free(options->operands);
	free(options->settings);
	*options = (struct options){ 0 };
}

/* "  -o WORDS" or "      --cache-dir DIR"; the help starts in HELP_COLUMN. */
static void print_row(FILE *out, const struct option_row *row)
{
	const char *line = row->help;
	int width = fprintf(out, row->letter ? "  -%c" : "    ", row->letter);

	if (row->name)
		width += fprintf(out, "%s--%s", row->letter ? ", " : "  ",
				 row->name);
	if (row->value)
		width += fprintf(out, " %s", row->value);
	for (; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (width + 1 > HELP_COLUMN)
			width = fprintf(out, "\n") - 1;
		fprintf(out, "%*s%.*s\n", HELP_COLUMN - width, "",
			(int)strcspn(line, "\n"), line);
		width = 0;
	}
}

void options_print(FILE *out, unsigned groups)
{
	for (size_t i = 0; i < option_rows_count(); i++)
		if (option_row_at(i)->group & groups)
			print_row(out, option_row_at(i));
}

static const struct {
	int code, exit;
} exit_codes[] = {
	{ EINVAL, EXIT_USAGE },	  { ENOTSUP, EXIT_USAGE },
	{ ENOENT, EXIT_MISSING }, { EBADMSG, EXIT_UNFIT },
	{ EDOM, EXIT_UNFIT },
};

int exit_code(int errno_code)
{
	for (size_t i = 0; i < ARRAY_LEN(exit_codes); i++)
		if (exit_codes[i].code == errno_code)
			return exit_codes[i].exit;
	return EXIT_FAILED;
}
