/*
 * `llmergefs cache`: what the folder of the cache holds, and keeping it sound
 * and small. Objects are named as their files are: states/<2>/<key>.
 */
#include "cache/inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/json.h"
#include "fs/cache_list.h"
#include "fs/command.h"
#include "fs/log.h"
#include "fs/progress.h"
#include "fs/size.h"

struct action {
	const char *name;
	int (*run)(const struct options *options, struct folder *folder,
		   struct error *err); /* an exit code, or -errno */
};

/* "1 object", "3 files" */
static void print_count(uint64_t count, const char *noun)
{
	printf("%" PRIu64 " %s%s", count, noun, count == 1 ? "" : "s");
}

static void print_sum(const struct inspect_sum *sum, const char *noun)
{
	char bytes[SIZE_TEXT_MAX];

	print_count(sum->count, noun);
	printf(", %s", size_text(sum->bytes, bytes));
}

static void print_freed(const struct folder *folder, const char *what,
			const struct inspect_freed *freed)
{
	char bytes[SIZE_TEXT_MAX];

	printf("%s: %s ", folder_dir(folder), what);
	print_sum(&freed->objects, "object");
	if (freed->leftovers.count) {
		fputs("; removed what killed writers left, ", stdout);
		print_sum(&freed->leftovers, "file");
	}
	printf("; %s left", size_text(freed->left, bytes));
	if (freed->writing)
		printf(", %s of it being written",
		       size_text(freed->writing, bytes));
	putchar('\n');
}

static void write_freed_json(const struct folder *folder,
			     const struct inspect_freed *freed)
{
	fputs("\"schema\": \"llmergefs-cache-1\",\n  \"dir\": ", stdout);
	json_write_string(stdout, folder_dir(folder));
	printf(",\n  \"removed\": {\"objects\": %" PRIu64
	       ", \"bytes\": %" PRIu64
	       "},\n  \"leftovers_removed\": {\"files\": %" PRIu64
	       ", \"bytes\": %" PRIu64 "},\n  \"bytes\": %" PRIu64
	       ",\n  \"writing_bytes\": %" PRIu64,
	       freed->objects.count, freed->objects.bytes,
	       freed->leftovers.count, freed->leftovers.bytes, freed->left,
	       freed->writing);
}

static void say_freed(const struct options *options,
		      const struct folder *folder, const char *what,
		      const struct inspect_freed *freed)
{
	if (options->json) {
		fputs("{\n  ", stdout);
		write_freed_json(folder, freed);
		puts("\n}");
	} else if (!options->quiet) {
		print_freed(folder, what, freed);
	}
}

/* --- the actions -------------------------------------------------------- */

static int gc(const struct options *options, struct folder *folder,
	      struct error *err)
{
	struct inspect_freed freed = { 0 };
	int rc;

	if (!options->has_max_bytes)
		return fail(err, EINVAL,
			    "cache gc takes the size that is to be left: "
			    "llmergefs cache gc --max-bytes 5GB");
	rc = inspect_trim(folder, options->max_bytes, &freed, err);
	if (rc && rc != -EBUSY)
		return rc;
	say_freed(options, folder, "removed", &freed);
	return rc;
}

static int clear(const struct options *options, struct folder *folder,
		 struct error *err)
{
	struct inspect_freed freed = { 0 };
	int rc = inspect_clear(folder, &freed, err);

	if (rc == 0)
		say_freed(options, folder, "removed", &freed);
	return rc;
}

struct verify {
	struct progress progress;
	struct inspect_sum sound, bad;
};

/* The bar would stand before the line. */
static void name_bad(struct verify *verify,
		     const struct inspect_verdict *verdict)
{
	char name[FOLDER_NAME_MAX];

	progress_end(&verify->progress);
	folder_name(verdict->object.class, verdict->object.key, name);
	log_line(LOG_ERROR, "%s: %s%s", name,
		 verdict->code == EBADMSG ? "not what its checksum says"
					  : strerror(verdict->code),
		 verdict->removed ? "; removed" : "; it could not be removed");
}

static void judge(void *ctx, const struct inspect_verdict *verdict)
{
	struct verify *verify = ctx;
	struct inspect_sum *sum = verdict->code ? &verify->bad : &verify->sound;

	sum->count++;
	sum->bytes += verdict->object.bytes;
	if (verdict->code)
		name_bad(verify, verdict);
	progress_add(&verify->progress, verdict->object.bytes);
}

static void say_verified(const struct options *options,
			 const struct folder *folder,
			 const struct verify *verify,
			 const struct inspect_freed *freed)
{
	if (options->json) {
		fputs("{\n  ", stdout);
		write_freed_json(folder, freed);
		printf(",\n  \"sound\": %" PRIu64 ",\n  \"bad\": %" PRIu64
		       "\n}\n",
		       verify->sound.count, verify->bad.count);
	} else if (!options->quiet) {
		printf("%s: ", folder_dir(folder));
		print_sum(&verify->sound, "sound object");
		printf("; %" PRIu64 " bad", verify->bad.count);
		if (freed->leftovers.count) {
			fputs("; removed what killed writers left, ", stdout);
			print_sum(&freed->leftovers, "file");
		}
		putchar('\n');
	}
}

static int verify(const struct options *options, struct folder *folder,
		  struct error *err)
{
	struct verify verify = { 0 };
	struct inspect_freed freed = { 0 };
	struct inspect_list list;
	uint64_t bytes = 0;
	int rc;

	rc = inspect_list(folder, NULL, NULL, &list, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < CACHE_CLASSES; i++)
		bytes += list.classes[i].bytes;
	progress_begin(&verify.progress, "verify", bytes, options->quiet);
	rc = inspect_verify(folder, judge, &verify, &freed, err);
	progress_end(&verify.progress);
	if (rc)
		return rc;
	say_verified(options, folder, &verify, &freed);
	return verify.bad.count ? EXIT_FAILED : EXIT_OK;
}

static const struct action actions[] = {
	{ "ls", cache_list },
	{ "verify", verify },
	{ "gc", gc },
	{ "clear", clear },
};

static const struct action *action_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	return NULL;
}

static int run(const struct options *options, struct error *err)
{
	const struct action *action = action_find(options->recipe);
	struct folder *folder;
	int rc;

	if (!action)
		return fail(err, EINVAL,
			    "cache does one of ls, verify, gc and clear, not "
			    "\"%s\"",
			    options->recipe);
	if (!options->cache_dir)
		return fail(err, EINVAL,
			    "there is no place for a cache: the user has no "
			    "home; name a folder with --cache-dir");
	folder = folder_open(options->cache_dir, UINT64_MAX);
	if (!folder)
		return fail(err, ENOMEM, "no memory for the cache");
	rc = action->run(options, folder, err);
	folder_close(folder);
	return rc;
}

int cache_main(const struct options *options)
{
	struct error err;
	int rc = run(options, &err);

	return rc < 0 ? command_failed(&err) : rc;
}
