#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/text.h"
#include "fs/options.h"
#include "fs/size.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

#define WORDS_MAX 16

static int run_nothing(const struct options *options)
{
	return EXIT_OK;
}

/* The shape of the real table: the first is the default. */
static const struct command COMMANDS[] = {
	{ "mount", "RECIPE MOUNTPOINT", 2, 2,
	  OPTIONS_MOUNT | OPTIONS_ENGINE | OPTIONS_CACHE_DIR, "", NULL,
	  run_nothing },
	{ "check", "RECIPE", 1, 1, OPTIONS_JSON, "", NULL, run_nothing },
	{ "export", "RECIPE DIR", 2, 2,
	  OPTIONS_ENGINE | OPTIONS_CACHE_DIR | OPTIONS_QUIET, "", NULL,
	  run_nothing },
	{ "many", "MOUNT KEY=VALUE...", 2, SIZE_MAX,
	  OPTIONS_RECIPE | OPTIONS_WARM | OPTIONS_GC | OPTIONS_WATCH, "", NULL,
	  run_nothing },
	{ "methods", "[NAME]", 0, 1, OPTIONS_JSON | OPTIONS_MARKDOWN, "", NULL,
	  run_nothing },
};

/* Parse a line of words between single blanks. */
static int parse(const char *line, struct options *options, struct error *err)
{
	static char text[1024];
	char *argv[WORDS_MAX] = { text };
	int argc = 0;

	snprintf(text, sizeof(text), "llmergefs %s", line);
	for (char *word = text; word; word = strchr(word, ' ')) {
		if (*word == ' ')
			*word++ = '\0';
		assert_true(argc < WORDS_MAX);
		argv[argc++] = word;
	}
	return options_parse(COMMANDS, ARRAY_LEN(COMMANDS), argc, argv, options,
			     err);
}

static struct options parsed(const char *line)
{
	struct options options;
	struct error err = { 0 };

	if (parse(line, &options, &err) < 0)
		fail_msg("\"%s\": %s", line, err.text);
	return options;
}

static void wrong_lines_say_what_is_wrong(void **state)
{
	static const struct {
		const char *line, *sentence;
	} rows[] = {
		{ "", "mount takes RECIPE MOUNTPOINT" },
		{ "r.yml", "mount takes RECIPE MOUNTPOINT" },
		{ "r.yml m x", "mount takes RECIPE MOUNTPOINT, and not \"x\"" },
		{ "check", "check takes RECIPE" },
		{ "check a b", "check takes RECIPE, and not \"b\"" },
		{ "methods a b", "methods takes [NAME], and not \"b\"" },
		{ "a b c d e", "mount takes RECIPE MOUNTPOINT, and not \"c\"" },
		{ "chek r.yml",
		  "there is no subcommand and no recipe \"chek\"; did you "
		  "mean \"check\"?" },
		{ "r.yml m --cahce all",
		  "unknown option --cahce; did you mean \"--cache\"?" },
		{ "r.yml m --cahce=all",
		  "unknown option --cahce=all; did you mean \"--cache\"?" },
		{ "r.yml m --zzz", "unknown option --zzz" },
		{ "r.yml m -z", "unknown option -z" },
		{ "r.yml m -fz", "unknown option -fz" },
		{ "check r.yml --cache all", "check does not take --cache" },
		{ "check r.yml -f", "check does not take -f" },
		{ "r.yml m --json", "mount does not take --json" },
		{ "export r.yml d -o rw", "export does not take -o" },
		{ "check --json=1 r.yml", "--json takes no value" },
		{ "r.yml m --cache", "--cache takes a value: auto|all|off" },
		{ "r.yml m -o", "-o takes a value: WORDS" },
		{ "r.yml m --cache=some",
		  "--cache is auto, all or off, not \"some\"" },
		{ "r.yml m --cache-dir=", "--cache-dir takes a folder" },
		{ "r.yml m --cache-mem 1X",
		  "--cache-mem takes a size such as 512M, 2GiB or 20GB, not "
		  "\"1X\"" },
		{ "r.yml m --cache-disk -1",
		  "--cache-disk takes a size such as 512M, 2GiB or 20GB, not "
		  "\"-1\"" },
		{ "r.yml m --threads 0",
		  "--threads takes a number from 1 to 256, not \"0\"" },
		{ "r.yml m --threads 257",
		  "--threads takes a number from 1 to 256, not \"257\"" },
		{ "r.yml m --threads 2x",
		  "--threads takes a number from 1 to 256, not \"2x\"" },
		{ "r.yml m --threads -1",
		  "--threads takes a number from 1 to 256, not \"-1\"" },
		{ "r.yml m -o rw,cache", "-o cache takes a value: "
					 "auto|all|off" },
		{ "r.yml m -o cache_mem=x,rw",
		  "--cache-mem takes a size such as 512M, 2GiB or 20GB, not "
		  "\"x\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct options options;
		struct error err = { 0 };

		assert_int_equal(parse(rows[i].line, &options, &err), -EINVAL);
		assert_string_equal(err.text, rows[i].sentence);
		options_done(&options);
	}
}

static void the_first_operand_may_be_a_subcommand(void **state)
{
	static const struct {
		const char *line, *command, *recipe, *target;
	} rows[] = {
		{ "r.yml m", "mount", "r.yml", "m" },
		{ "mount r.yml m", "mount", "r.yml", "m" },
		{ "-f r.yml -d m", "mount", "r.yml", "m" },
		{ "--json check r.yml", "check", "r.yml", NULL },
		{ "check --json r.yml", "check", "r.yml", NULL },
		{ "check check", "check", "check", NULL },
		{ "many a b c", "many", "a", "c" },
		{ "./check m", "mount", "./check", "m" },
		{ "check -- -r", "check", "-r", NULL },
		{ "export -", "export", NULL, NULL },
		{ "methods", "methods", NULL, NULL },
		{ "methods ties", "methods", "ties", NULL },
		{ "chek.yml m", "mount", "chek.yml", "m" },
		{ "--help check", "check", NULL, NULL },
		{ "export --help", "export", NULL, NULL },
		{ "--version", "mount", NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct options options;
		struct error err = { 0 };
		int rc = parse(rows[i].line, &options, &err);

		assert_string_equal(options.command->name, rows[i].command);
		if (strcmp(rows[i].line, "export -") == 0) {
			assert_int_equal(rc, -EINVAL);
			options_done(&options);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(options.recipe != NULL,
				 rows[i].recipe != NULL);
		assert_int_equal(options.target != NULL,
				 rows[i].target != NULL);
		if (rows[i].recipe)
			assert_string_equal(options.recipe, rows[i].recipe);
		if (rows[i].target)
			assert_string_equal(options.target, rows[i].target);
		options_done(&options);
	}
}

/* A file may have the name of something near a subcommand. */
static void a_file_that_is_there_is_a_recipe(void **state)
{
	struct fixture fx;
	struct options options;
	char *before = getcwd(NULL, 0);

	fixture_open(&fx);
	fixture_write(&fx, "chek", "x", 1);
	assert_int_equal(chdir(fx.dir), 0);
	options = parsed("chek m");
	assert_string_equal(options.recipe, "chek");
	options_done(&options);
	assert_int_equal(chdir(before), 0);
	free(before);
	fixture_close(&fx);
}

static void options_are_set_in_every_spelling(void **state)
{
	struct options o;

	o = parsed("export r d -qh");
	assert_true(o.help && o.quiet && !o.foreground);
	options_done(&o);
	o = parsed("r m -f");
	assert_true(o.foreground && !o.debug);
	options_done(&o);
	o = parsed("r m -d");
	assert_true(o.foreground && o.debug);
	options_done(&o);
	o = parsed("r m --cache=all --cache-mem 1M --cache-disk=2kB "
		   "--cache-dir /c --threads 3 --cpu baseline");
	assert_int_equal(o.engine.cache, ENGINE_CACHE_ALL);
	assert_int_equal(o.engine.cache_mem, 1 << 20);
	assert_int_equal(o.engine.cache_disk, 2000);
	assert_string_equal(o.engine.cache_dir, "/c");
	assert_int_equal(o.engine.threads, 3);
	assert_int_equal(o.engine.level, CPU_LEVEL_baseline);
	options_done(&o);
	o = parsed("r m --cache_mem 1M");
	assert_int_equal(o.engine.cache_mem, 1 << 20);
	options_done(&o);
	o = parsed("methods --json --markdown");
	assert_true(o.json && o.markdown);
	options_done(&o);
}

static void values_are_gathered(void **state)
{
	struct options o = parsed("many m a=1 --set x=1 --set=y=2 b=2 "
				  "--point p --pattern *q* --max-bytes 2kB");

	assert_int_equal(o.operands_count, 3);
	assert_string_equal(o.operands[1], "a=1");
	assert_string_equal(o.operands[2], "b=2");
	assert_int_equal(o.settings_count, 2);
	assert_string_equal(o.settings[0], "x=1");
	assert_string_equal(o.settings[1], "y=2");
	assert_string_equal(o.point, "p");
	assert_string_equal(o.pattern, "*q*");
	assert_true(o.has_max_bytes);
	assert_int_equal(o.max_bytes, 2000);
	assert_false(o.all || o.reductions || o.watch || o.warm);
	options_done(&o);
	o = parsed("r m --warm --access-log /var/log/x");
	assert_true(o.warm);
	assert_string_equal(o.access_log, "/var/log/x");
	options_done(&o);
}

static void the_defaults_are_those_of_the_help(void **state)
{
	struct options o = parsed("r m");

	assert_int_equal(o.engine.cache, ENGINE_CACHE_AUTO);
	assert_int_equal(o.engine.cache_mem, 512 << 20);
	assert_int_equal(o.engine.cache_disk, 20000000000);
	assert_int_equal(o.engine.threads, 0);
	assert_int_equal(o.engine.level, cpu_level_best());
	assert_null(o.mount_options);
	assert_false(o.foreground || o.json || o.quiet || o.help || o.version);
	options_done(&o);
}

static void mount_words_are_sorted(void **state)
{
	static const struct {
		const char *words, *fuse; /* NULL: nothing is left */
	} rows[] = {
		{ "rw", NULL },
		{ "", NULL },
		{ ",,", NULL },
		{ "rw,suid,nodev,exec,auto,noauto,user,users,nofail,_netdev,"
		  "defaults,x-systemd.automount,noatime,comment=a\\,b",
		  NULL },
		{ "allow_other", "allow_other" },
		{ "rw,allow_other,nosuid,max_background=9,x-y",
		  "allow_other,max_background=9" },
		{ "fsname=a\\,b,rw", "fsname=a\\,b" },
		{ "cache=all", NULL },
		{ "warm,rw,access_log=/tmp/x", NULL },
		{ "warm=1,foreground,set=a", "warm=1,foreground,set=a" },
		{ "allow_other,cache=all,cache-mem=1M,x", "allow_other,x" },
		{ "rwx,cached=1", "rwx,cached=1" },
		{ "help,json", "help,json" },
		{ "end\\", "end\\" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char line[256];
		struct options o;

		snprintf(line, sizeof(line), "r m -o %s", rows[i].words);
		o = parsed(line);
		assert_int_equal(o.mount_options != NULL, rows[i].fuse != NULL);
		if (rows[i].fuse)
			assert_string_equal(o.mount_options, rows[i].fuse);
		assert_false(o.help || o.json);
		options_done(&o);
	}
}

static void words_of_several_o_add_up_and_set_the_engine(void **state)
{
	struct options o =
		parsed("r m -o allow_other,cache_dir=/a\\,b -ocache_mem=1M,x=1 "
		       "--cache-mem 2M -o threads=2");

	assert_string_equal(o.mount_options, "allow_other,x=1");
	assert_string_equal(o.engine.cache_dir, "/a,b");
	assert_int_equal(o.engine.cache_mem, 1 << 20);
	assert_int_equal(o.engine.threads, 2);
	options_done(&o);
}

static void the_cache_folder_follows_the_environment(void **state)
{
	static const struct {
		const char *own, *xdg, *home, *dir;
	} rows[] = {
		{ "/own", "/xdg", "/home/x", "/own" },
		{ NULL, "/xdg", "/home/x", "/xdg/llmergefs" },
		{ "", "", "/home/x", "/home/x/.cache/llmergefs" },
		{ NULL, "relative", "/home/x", "/home/x/.cache/llmergefs" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct options o;

		unsetenv("LLMERGEFS_CACHE");
		unsetenv("XDG_CACHE_HOME");
		if (rows[i].own)
			setenv("LLMERGEFS_CACHE", rows[i].own, 1);
		if (rows[i].xdg)
			setenv("XDG_CACHE_HOME", rows[i].xdg, 1);
		setenv("HOME", rows[i].home, 1);
		o = parsed("r m");
		assert_string_equal(o.engine.cache_dir, rows[i].dir);
		options_done(&o);
		o = parsed("r m --cache-dir /given");
		assert_string_equal(o.engine.cache_dir, "/given");
		options_done(&o);
	}
}

/* A daemon leaves the working directory. */
static void a_relative_cache_folder_is_made_absolute(void **state)
{
	struct options o = parsed("r m --cache-dir some/where");
	char *cwd = getcwd(NULL, 0);
	size_t len = strlen(cwd);

	assert_int_equal(strncmp(o.engine.cache_dir, cwd, len), 0);
	assert_string_equal(o.engine.cache_dir + len, "/some/where");
	options_done(&o);
	free(cwd);
}

static void sizes_are_read_and_written(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "17", 17 },
		{ "17B", 17 },
		{ "1K", 1024 },
		{ "1KiB", 1024 },
		{ "1kB", 1000 },
		{ "1KB", 1000 },
		{ "512M", 512 << 20 },
		{ "2GiB", 2ull << 30 },
		{ "20 GB", 20000000000 },
		{ "1.5G", 3ull << 29 },
		{ "1T", 1ull << 40 },
		{ "1TB", 1000000000000 },
		{ "0.5K", 512 },
	};
	static const char *const bad[] = {
		"",   "x",     "-1",	"+1",	 " 1",	     "1 ",
		"1X", "1 MB ", "0x10",	"inf",	 "nan",	     "1e",
		".5", "1MBB",  "9E18G", "1  GB", "8388608T",
	};
	static const struct {
		uint64_t bytes;
		const char *text;
	} shown[] = {
		{ 0, "0 bytes" },	 { 1, "1 byte" },
		{ 999, "999 bytes" },	 { 1000, "1.0 kB" },
		{ 9940, "9.9 kB" },	 { 9960, "10 kB" },
		{ 999499, "999 kB" },	 { 999500, "1.0 MB" },
		{ 269060552, "269 MB" }, { 5000000000, "5.0 GB" },
		{ UINT64_MAX, "18 EB" },
	};
	char text[SIZE_TEXT_MAX];
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(size_parse(good[i].text, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (size_parse(bad[i], &bytes))
			fail_msg("\"%s\" is no size", bad[i]);
	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		assert_string_equal(size_text(shown[i].bytes, text),
				    shown[i].text);
}

static void errors_have_their_exit_codes(void **state)
{
	static const struct {
		int code, exit;
	} rows[] = {
		{ EINVAL, 2 }, { ENOTSUP, 2 }, { ENOENT, 3 }, { EBADMSG, 4 },
		{ EDOM, 4 },   { EIO, 1 },     { ENOSPC, 1 }, { ENOMEM, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(exit_code(rows[i].code), rows[i].exit);
}

static void the_help_has_the_options_of_the_groups(void **state)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *help = NULL;

	assert_int_equal(text_open(&text), 0);
	options_print(text.out, OPTIONS_JSON | OPTIONS_QUIET);
	assert_int_equal(text_take(&text, &help, NULL), 0);
	assert_string_equal(
		help,
		"      --json              print one JSON object instead of "
		"text\n"
		"  -q, --quiet             no progress bar, no closing line\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_lines_say_what_is_wrong),
		cmocka_unit_test(the_first_operand_may_be_a_subcommand),
		cmocka_unit_test(a_file_that_is_there_is_a_recipe),
		cmocka_unit_test(options_are_set_in_every_spelling),
		cmocka_unit_test(values_are_gathered),
		cmocka_unit_test(the_defaults_are_those_of_the_help),
		cmocka_unit_test(mount_words_are_sorted),
		cmocka_unit_test(words_of_several_o_add_up_and_set_the_engine),
		cmocka_unit_test(the_cache_folder_follows_the_environment),
		cmocka_unit_test(a_relative_cache_folder_is_made_absolute),
		cmocka_unit_test(sizes_are_read_and_written),
		cmocka_unit_test(errors_have_their_exit_codes),
		cmocka_unit_test(the_help_has_the_options_of_the_groups),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
