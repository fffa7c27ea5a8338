#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

#include "fs/command.h"
#include "fs/log.h"
#include "fs/mount.h"

static const struct command commands[] = {
	{
		.name = "mount",
		.operands = "RECIPE... MOUNTPOINT",
		.operands_min = 2,
		.operands_max = SIZE_MAX,
		.groups = OPTIONS_MOUNT | OPTIONS_ENGINE | OPTIONS_CACHE_DIR,
		.summary = "mount merged models (the default)",
		.about = "The folder can be read as soon as the command "
			 "returns; every byte is made\nwhen it is read. "
			 "One RECIPE: its files stand in the root, or, of a "
			 "sweep, in\na folder a point. Several, or a folder of "
			 "them, which is followed as it changes:\na folder a "
			 "recipe, and `current`, which `switch` points at one "
			 "of them.\n`fusermount3 -u MOUNTPOINT` ends it. What "
			 "it does is said in\nMOUNTPOINT/.llmergefs/log, "
			 "errors and stats.json. As in fstab:\n"
			 "  /srv/merge.yml /srv/merged fuse.llmergefs "
			 "allow_other,cache=all 0 0",
		.run = mount_main,
	},
	{
		.name = "check",
		.operands = "RECIPE",
		.operands_min = 1,
		.operands_max = 1,
		.groups = OPTIONS_JSON | OPTIONS_RECIPE,
		.summary = "say what is wrong, or would be made",
		.about = "Reads the recipe and the headers of the models, "
			 "never weights.",
		.run = check_main,
	},
	{
		.name = "export",
		.operands = "RECIPE DIR",
		.operands_min = 2,
		.operands_max = 2,
		.groups = OPTIONS_ENGINE | OPTIONS_CACHE_DIR | OPTIONS_QUIET |
			  OPTIONS_RECIPE,
		.summary = "write the files that a mount shows",
		.about = "DIR must not exist, or be empty. It appears whole, "
			 "or not at all.",
		.run = export_main,
	},
	{
		.name = "sum",
		.operands = "RECIPE",
		.operands_min = 1,
		.operands_max = 1,
		.groups = OPTIONS_ENGINE | OPTIONS_CACHE_DIR | OPTIONS_JSON |
			  OPTIONS_QUIET | OPTIONS_RECIPE,
		.summary = "print checksums of tensors and files",
		.about = "Makes everything, writes nothing, and prints the "
			 "XXH3-128 of each, one a line:\n"
			 "  <32 digits>  tensor <name>\n"
			 "  <32 digits>  file <path>\n"
			 "  <32 digits>  merge <hash of the recipe>\n"
			 "The last is of all the tensor lines: two people who "
			 "see the same one have the\nsame weights, however "
			 "they are cut into files.",
		.run = sum_main,
	},
	{
		.name = "switch",
		.operands = "MOUNT NAME",
		.operands_min = 1,
		.operands_max = 2,
		.groups = OPTIONS_QUIET,
		.summary = "point MOUNT/current at a folder",
		.about = "NAME is a recipe, or a point of a sweep: a, "
			 "a/lambda=0.4. Who has files open keeps\nthem; who "
			 "opens `current` next gets the other model.",
		.run = switch_main,
	},
	{
		.name = "set",
		.operands = "MOUNT[/NAME] [K=V...]",
		.operands_min = 1,
		.operands_max = SIZE_MAX,
		.groups = OPTIONS_QUIET,
		.summary = "change a mounted recipe",
		.about = "  llmergefs set /mnt/ab/a parameters.lambda=0.5 "
			 "'models[0].parameters.weight=0.3'\n"
			 "The recipe's file stays as it is; without a "
			 "KEY=VALUE the mount shows what it says\nagain. "
			 "Who has files of the generation before open keeps "
			 "them.",
		.run = set_main,
	},
	{
		.name = "warm",
		.operands = "MOUNT[/NAME]",
		.operands_min = 1,
		.operands_max = 1,
		.groups = OPTIONS_WARM | OPTIONS_QUIET,
		.summary = "make what readers would wait for",
		.about = "One thing after the other, in the order of the "
			 "files, while no reader waits. What\nis made is "
			 "kept in the cache. Interrupting it ends it.",
		.run = warm_main,
	},
	{
		.name = "status",
		.operands = "MOUNT[/NAME]",
		.operands_min = 1,
		.operands_max = 1,
		.groups = OPTIONS_JSON | OPTIONS_WATCH,
		.summary = "say what a mount serves and shares",
		.run = status_main,
	},
	{
		.name = "cache",
		.operands = "ls|verify|gc|clear",
		.operands_min = 1,
		.operands_max = 1,
		.groups = OPTIONS_CACHE_DIR | OPTIONS_GC | OPTIONS_JSON |
			  OPTIONS_QUIET,
		.summary = "list, check or clean up the cache",
		.about = "ls      what it holds; --json lists every object\n"
			 "verify  read everything; what is bad is removed (and "
			 "the exit code 1)\n"
			 "gc      evict what is longest unused until at most "
			 "--max-bytes are left\n"
			 "clear   remove everything\n"
			 "Mounts may use it all the while: what they miss "
			 "they make again.",
		.run = cache_main,
	},
	{
		.name = "methods",
		.operands = "[NAME]",
		.operands_min = 0,
		.operands_max = 1,
		.groups = OPTIONS_JSON | OPTIONS_MARKDOWN,
		.summary = "list merge methods and their options",
		.run = methods_main,
	},
};

static void print_commands(void)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		printf("  llmergefs %-7s %-21s  %s\n", commands[i].name,
		       commands[i].operands, commands[i].summary);
}

static int print_help(const struct command *command)
{
	if (command == &commands[0]) {
		fputs("llmergefs mounts a mergekit recipe: a folder with the "
		      "merged model, computed\nwhen it is read.\n\n"
		      "  llmergefs RECIPE MOUNTPOINT\n",
		      stdout);
		print_commands();
	} else {
		printf("llmergefs %s %s: %s\n", command->name,
		       command->operands, command->summary);
	}
	if (command->about)
		printf("\n%s\n", command->about);
	fputs("\nOptions:\n", stdout);
	options_print(stdout, command->groups | OPTIONS_ANY);
	fputs("\nExit codes: 0 fine, 1 failed, 2 command line or recipe wrong, "
	      "3 a source is\nmissing, 4 sources are malformed or do not fit "
	      "each other, 5 mount refused.\n",
	      stdout);
	return EXIT_OK;
}

static int print_version(void)
{
	printf("llmergefs %s\nlibfuse %s, CPU level %s of:", LLMERGEFS_VERSION,
	       fuse_pkgversion(), cpu_level_name(cpu_level_best()));
	for (int i = 0; i < CPU_LEVEL_COUNT; i++)
		printf(" %s", cpu_level_name((enum cpu_level)i));
	fputs("\nmerge methods:", stdout);
	for (size_t i = 0; i < method_count(); i++)
		printf(" %s", method_at(i)->name);
	putchar('\n');
	return EXIT_OK;
}

/*
 * Where a standard file is closed, what is opened next would take its number,
 * and be written over. What stands there instead refuses to be used, as before.
 */
static void occupy_standard_files(void)
{
	static const int modes[] = { O_WRONLY, O_RDONLY, O_RDONLY };

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) < 0)
			return;
}

/* Every shard of every source is a descriptor. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(const struct options *options)
{
	int code;

	if (options->help)
		return print_help(options->command);
	if (options->version)
		return print_version();
	raise_file_limit();
	code = options->command->run(options);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		log_line(LOG_ERROR, "standard output: %m");
		return code == EXIT_OK ? EXIT_FAILED : code;
	}
	return code;
}

int main(int argc, char **argv)
{
	struct options options;
	struct error err;
	int code;

	occupy_standard_files();
	if (options_parse(commands, ARRAY_LEN(commands), argc, argv, &options,
			  &err) < 0) {
		code = command_failed(&err);
		fputs("Try `llmergefs --help`.\n", stderr);
	} else {
		code = run(&options);
	}
	options_done(&options);
	return code;
}
