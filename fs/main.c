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
		.operands = "RECIPE MOUNTPOINT",
		.operands_min = 2,
		.operands_max = 2,
		.groups = OPTIONS_MOUNT | OPTIONS_ENGINE,
		.summary = "mount the merged model (the default)",
		.about = "The folder can be read as soon as the command "
			 "returns; every byte is made\nwhen it is read. "
			 "`fusermount3 -u MOUNTPOINT` ends it. What it does "
			 "is said in\nMOUNTPOINT/.llmergefs/log and "
			 "stats.json. As in fstab:\n"
			 "  /srv/merge.yml /srv/merged fuse.llmergefs "
			 "allow_other,cache=all 0 0",
		.run = mount_main,
	},
	{
		.name = "check",
		.operands = "RECIPE",
		.operands_min = 1,
		.operands_max = 1,
		.groups = OPTIONS_JSON,
		.summary = "say what is wrong, or what would be made",
		.about = "Reads the recipe and the headers of the models, "
			 "never weights.",
		.run = check_main,
	},
	{
		.name = "export",
		.operands = "RECIPE DIR",
		.operands_min = 2,
		.operands_max = 2,
		.groups = OPTIONS_ENGINE | OPTIONS_QUIET,
		.summary = "write the files that the mount would show",
		.about = "DIR must not exist, or be empty. It appears whole, "
			 "or not at all.",
		.run = export_main,
	},
	{
		.name = "sum",
		.operands = "RECIPE",
		.operands_min = 1,
		.operands_max = 1,
		.groups = OPTIONS_ENGINE | OPTIONS_JSON | OPTIONS_QUIET,
		.summary = "print a checksum of every tensor and file",
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
		.name = "methods",
		.operands = "[NAME]",
		.operands_min = 0,
		.operands_max = 1,
		.groups = OPTIONS_JSON | OPTIONS_MARKDOWN,
		.summary = "list the merge methods and their options",
		.run = methods_main,
	},
};

static void print_commands(void)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		printf("  llmergefs %-7s %-17s  %s\n", commands[i].name,
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
