#include <errno.h>

#include "core/checkpoint.h"
#include "core/weight_files.h"
#include "core/weight_index.h"

#define LISTED_MAX 10 /* tensors of a flaw that get a sentence of their own */

struct shard {
	const char *name;
	struct safetensors header;
	bool good; /* the header could be read */
};

/* One tensor of one shard. */
struct row {
	const struct tensor *tensor;
	const struct shard *shard;
	bool doubled; /* another shard has it, too */
};

/* A checkpoint in the making. */
struct reading {
	const char *dir;
	const char *remedy;
	struct shard *shards; /* of the index, in its order */
	size_t shards_count;
	struct row *rows; /* by strcmp of tensors, then of shards */
	size_t count;
	struct arena *scratch; /* what goes when the table is made */
	struct report *report;
};

/* A kind of trouble, and how often it was met: its list stays short. */
struct flaw {
	const char *what;
	size_t count;
};

static bool flaw_room(struct flaw *flaw)
{
	return flaw->count++ < LISTED_MAX;
}

static void flaw_end(const struct flaw *flaw, const char *path,
		     struct report *report)
{
	if (flaw->count > LISTED_MAX)
		report_error(report, EBADMSG, "%s: %zu more tensors %s", path,
			     flaw->count - LISTED_MAX, flaw->what);
}

static void report_no_memory(struct reading *reading)
{
	report_error(reading->report, ENOMEM, "%s: no memory", reading->dir);
}

static void read_shard(struct reading *reading, struct shard *shard,
		       struct source_set *sources, struct arena *arena)
{
	const char *path = arena_printf(reading->scratch, "%s/%s", reading->dir,
					shard->name);
	struct source *source;
	struct error err;
	int rc;

	if (!path) {
		report_no_memory(reading);
		return;
	}
	rc = source_get(sources, path, &source, &err);
	if (rc == -ENOENT) {
		report_error(reading->report, ENOENT, "%s is missing%s", path,
			     reading->remedy);
		return;
	}
	if (rc == 0)
		rc = safetensors_read(source, arena, &shard->header, &err);
	if (rc)
		report_failure(reading->report, &err);
	shard->good = rc == 0;
}

static int by_tensor(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = strcmp(x->tensor->name, y->tensor->name);

	if (order || x->shard == y->shard)
		return order;
	return x->shard < y->shard ? -1 : 1;
}

static bool make_rows(struct reading *reading)
{
	size_t total = 0;

	for (size_t i = 0; i < reading->shards_count; i++)
		total += reading->shards[i].header.count;
	reading->rows =
		arena_alloc(reading->scratch, total, sizeof(struct row));
	if (!reading->rows)
		return false;
	for (size_t i = 0; i < reading->shards_count; i++) {
		const struct shard *shard = &reading->shards[i];

		for (size_t k = 0; k < shard->header.count; k++)
			reading->rows[reading->count++] =
				(struct row){ .tensor =
						      &shard->header.tensors[k],
					      .shard = shard };
	}
	qsort(reading->rows, reading->count, sizeof(struct row), by_tensor);
	return true;
}

/* Report tensors that two shards have, and leave one row of each. */
static void drop_doubles(struct reading *reading)
{
	struct flaw flaw = { .what = "are in two files" };
	size_t kept = 0;

	for (size_t i = 0; i < reading->count; i++) {
		const struct row *row = &reading->rows[i];
		struct row *last = &reading->rows[kept ? kept - 1 : 0];

		if (kept == 0 ||
		    strcmp(last->tensor->name, row->tensor->name) != 0) {
			reading->rows[kept++] = *row;
			continue;
		}
		last->doubled = true;
		if (flaw_room(&flaw))
			report_error(reading->report, EBADMSG,
				     "%s: tensor \"%s\" is both in %s and in "
				     "%s",
				     reading->dir, row->tensor->name,
				     last->shard->name, row->shard->name);
	}
	flaw_end(&flaw, reading->dir, reading->report);
	reading->count = kept;
}

/* What the index says of tensors, against what the shards have. */
struct comparison {
	const struct weight_index *index;
	struct flaw absent, unnamed, elsewhere;
};

static void check_entry(struct reading *reading, struct comparison *comparison,
			const struct weight_entry *entry)
{
	/* What an unreadable shard has is not known. */
	if (reading->shards[entry->shard].good &&
	    flaw_room(&comparison->absent))
		report_error(reading->report, EBADMSG,
			     "%s: tensor \"%s\" is not in %s",
			     comparison->index->path, entry->tensor,
			     reading->shards[entry->shard].name);
}

static void check_row(struct reading *reading, struct comparison *comparison,
		      const struct row *row)
{
	if (flaw_room(&comparison->unnamed))
		report_error(reading->report, EBADMSG,
			     "%s: tensor \"%s\" of %s is missing from it",
			     comparison->index->path, row->tensor->name,
			     row->shard->name);
}

static void check_pair(struct reading *reading, struct comparison *comparison,
		       const struct weight_entry *entry, const struct row *row)
{
	const struct shard *said = &reading->shards[entry->shard];

	if (row->doubled || row->shard == said)
		return;
	if (flaw_room(&comparison->elsewhere))
		report_error(reading->report, EBADMSG,
			     "%s: tensor \"%s\" is in %s, not in %s",
			     comparison->index->path, entry->tensor,
			     row->shard->name, said->name);
}

/* Both are in order of their names. */
static void compare(struct reading *reading, const struct weight_index *index)
{
	struct comparison comparison = {
		.index = index,
		.absent.what = "are not in their files",
		.unnamed.what = "are missing from it",
		.elsewhere.what = "are in other files",
	};
	size_t e = 0, r = 0;

	while (e < index->count || r < reading->count) {
		const struct weight_entry *entry = &index->entries[e];
		const struct row *row = &reading->rows[r];
		int order = e == index->count ? 1
			    : r == reading->count
				    ? -1
				    : strcmp(entry->tensor, row->tensor->name);

		if (order < 0)
			check_entry(reading, &comparison, entry);
		else if (order > 0)
			check_row(reading, &comparison, row);
		else
			check_pair(reading, &comparison, entry, row);
		e += order <= 0;
		r += order >= 0;
	}
	flaw_end(&comparison.absent, index->path, reading->report);
	flaw_end(&comparison.unnamed, index->path, reading->report);
	flaw_end(&comparison.elsewhere, index->path, reading->report);
}

/* Find the files, and read the index where there is one. */
static bool list_shards(struct reading *reading, struct weight_index *index)
{
	struct weight_files files;
	struct error err;

	if (weight_files_find(reading->dir, reading->remedy, reading->scratch,
			      &files, &err)) {
		report_failure(reading->report, &err);
		return false;
	}
	if (files.index && !weight_index_read(files.index, reading->scratch,
					      index, reading->report))
		return false;
	reading->shards_count = files.index ? index->shards_count : 1;
	reading->shards = arena_alloc(reading->scratch, reading->shards_count,
				      sizeof(struct shard));
	if (!reading->shards) {
		report_no_memory(reading);
		return false;
	}
	for (size_t i = 0; i < reading->shards_count; i++)
		reading->shards[i].name =
			files.index ? index->shards[i] : files.single;
	return true;
}

static void publish(struct reading *reading, struct arena *arena,
		    struct checkpoint *out)
{
	const struct tensor **tensors;

	tensors = arena_alloc(arena, reading->count, sizeof(*tensors));
	if (!tensors) {
		report_no_memory(reading);
		return;
	}
	for (size_t i = 0; i < reading->count; i++)
		tensors[i] = reading->rows[i].tensor;
	out->tensors = tensors;
	out->count = reading->count;
}

void checkpoint_read(const char *dir, const char *remedy,
		     struct source_set *sources, struct arena *arena,
		     struct checkpoint *out, struct report *report)
{
	AUTO_ARENA struct arena *scratch = arena_open();
	struct reading reading = { .dir = dir,
				   .remedy = remedy,
				   .scratch = scratch,
				   .report = report };
	struct weight_index index = { 0 };

	if (!scratch) {
		report_no_memory(&reading);
		return;
	}
	if (!list_shards(&reading, &index))
		return;
	for (size_t i = 0; i < reading.shards_count; i++)
		read_shard(&reading, &reading.shards[i], sources, arena);
	if (!make_rows(&reading)) {
		report_no_memory(&reading);
		return;
	}
	drop_doubles(&reading);
	if (index.path)
		compare(&reading, &index);
	publish(&reading, arena, out);
}
