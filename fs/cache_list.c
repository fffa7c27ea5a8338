#include "fs/cache_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cache/inspect.h"
#include "core/json.h"
#include "fs/command.h"
#include "fs/size.h"

#define TIME_TEXT_MAX 32

static struct inspect_sum total_of(const struct inspect_list *list)
{
	struct inspect_sum total = { 0 };
	const struct inspect_sum *sum;

	for (size_t i = 0; i < CACHE_CLASSES; i++) {
		sum = &list->classes[i];
		if (sum->count == 0)
			continue;
		total.oldest = total.count ? min_u64(total.oldest, sum->oldest)
					   : sum->oldest;
		total.newest = max_u64(total.newest, sum->newest);
		total.count += sum->count;
		total.bytes += sum->bytes;
	}
	return total;
}

/* --- text --------------------------------------------------------------- */

/* "2026-11-24 12:41", in local time. Returns text. */
static const char *time_text(uint64_t seconds, char text[TIME_TEXT_MAX])
{
	time_t when = (time_t)seconds;
	struct tm tm;

	if (!localtime_r(&when, &tm) ||
	    strftime(text, TIME_TEXT_MAX, "%Y-%m-%d %H:%M", &tm) == 0)
		text[0] = '\0';
	return text;
}

static void print_row(const char *name, const struct inspect_sum *sum)
{
	char bytes[SIZE_TEXT_MAX], oldest[TIME_TEXT_MAX], newest[TIME_TEXT_MAX];

	printf("%-8s %9" PRIu64 " %9s", name, sum->count,
	       size_text(sum->bytes, bytes));
	if (sum->count)
		printf("  %-16s  %s", time_text(sum->oldest, oldest),
		       time_text(sum->newest, newest));
	putchar('\n');
}

static void print_others(const char *what, uint64_t count, uint64_t bytes)
{
	char text[SIZE_TEXT_MAX];

	if (count)
		printf("%s: %" PRIu64 " file%s, %s\n", what, count,
		       count == 1 ? "" : "s", size_text(bytes, text));
}

static void print_text(const char *dir, const struct inspect_list *list)
{
	struct inspect_sum total = total_of(list);

	printf("%s\n%-8s %9s %9s  %-16s  %s\n", dir, "", "objects", "bytes",
	       "oldest use", "newest use");
	for (size_t i = 0; i < CACHE_CLASSES; i++)
		print_row(folder_class_dirs[i], &list->classes[i]);
	print_row("total", &total);
	print_others("being written", list->writing.count, list->writing.bytes);
	print_others("left by killed writers, for gc, verify or the next write "
		     "to remove",
		     list->leftovers.count, list->leftovers.bytes);
	if (list->strange)
		printf("none of the cache's, let be: %" PRIu64 "\n",
		       list->strange);
}

/* --- JSON --------------------------------------------------------------- */

static void write_time(const char *name, uint64_t seconds)
{
	time_t when = (time_t)seconds;
	char text[TIME_TEXT_MAX];
	struct tm tm;

	if (!gmtime_r(&when, &tm) ||
	    strftime(text, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		text[0] = '\0';
	printf(", \"%s\": \"%s\"", name, text);
}

static void write_object(void *ctx, const struct inspect_object *object)
{
	const char **comma = ctx;
	char hex[HASH_HEX_LEN + 1];

	hash_hex(object->key, hex);
	printf("%s\n    {\"class\": \"%s\", \"key\": \"%s\", \"bytes\": "
	       "%" PRIu64,
	       *comma, folder_class_dirs[object->class], hex, object->bytes);
	write_time("used", object->used);
	putchar('}');
	*comma = ",";
}

static void write_sum(const char *name, const char *noun,
		      const struct inspect_sum *sum)
{
	printf(",\n  \"%s\": {\"%s\": %" PRIu64 ", \"bytes\": %" PRIu64, name,
	       noun, sum->count, sum->bytes);
	if (sum->count) {
		write_time("oldest", sum->oldest);
		write_time("newest", sum->newest);
	}
	putchar('}');
}

static void write_sums(const struct inspect_list *list)
{
	struct inspect_sum total = total_of(list);

	for (size_t i = 0; i < CACHE_CLASSES; i++)
		write_sum(folder_class_dirs[i], "objects", &list->classes[i]);
	write_sum("total", "objects", &total);
	write_sum("writing", "files", &list->writing);
	write_sum("leftovers", "files", &list->leftovers);
	printf(",\n  \"strange\": %" PRIu64, list->strange);
}

/* --- both --------------------------------------------------------------- */

/* A folder that is refused is refused before anything is printed. */
int cache_list(const struct options *options, struct folder *folder,
	       struct error *err)
{
	const char *comma = "";
	struct inspect_list list;
	int rc;

	rc = inspect_list(folder, NULL, NULL, &list, err);
	if (rc)
		return rc;
	if (!options->json) {
		print_text(folder_dir(folder), &list);
		return EXIT_OK;
	}
	fputs("{\n  \"schema\": \"llmergefs-cache-1\",\n  \"dir\": ", stdout);
	json_write_string(stdout, folder_dir(folder));
	fputs(",\n  \"objects\": [", stdout);
	rc = inspect_list(folder, write_object, &comma, &list, err);
	fputs("\n  ]", stdout);
	write_sums(&list);
	puts("\n}");
	return rc;
}
