/*
 * Greedy packing, as mergekit does it: in order of names, a shard ends before
 * the tensor that would make it larger than shard_size.
 */
#include "core/layout.h"

#include <errno.h>
#include <inttypes.h>

#include "core/base/text.h"

#define LENGTH_BYTES 8 /* the little-endian length before the JSON */

static bool opens_shard(const struct recipe *recipe, uint64_t filled,
			uint64_t size)
{
	uint64_t sum;

	if (recipe->shard_size == 0 || filled == 0)
		return false;
	return !add_u64(filled, size, &sum) || sum > recipe->shard_size;
}

/* Mark in first[] the jobs that begin a shard; returns how many there are. A
 * plan without tensors has one shard, too. */
static size_t cut_shards(const struct plan *plan, bool *first)
{
	uint64_t filled = 0;
	size_t shards = 1;

	for (size_t i = 0; i < plan->count; i++) {
		first[i] =
			opens_shard(plan->recipe, filled, plan->jobs[i].size);
		if (first[i]) {
			shards++;
			filled = 0;
		}
		/* Saturates: what follows opens a new shard. */
		if (!add_u64(filled, plan->jobs[i].size, &filled))
			filled = UINT64_MAX;
	}
	return shards;
}

static int by_element_size_and_name(const void *a, const void *b)
{
	const struct job *x = *(const struct job *const *)a;
	const struct job *y = *(const struct job *const *)b;
	unsigned xbits = dtype_info(x->dtype)->bits;
	unsigned ybits = dtype_info(y->dtype)->bits;

	if (xbits != ybits)
		return xbits < ybits ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void write_tensor(FILE *out, const struct job *job, uint64_t begin)
{
	fputc(',', out);
	json_write_string(out, job->name);
	fprintf(out, ":{\"dtype\":\"%s\",\"shape\":[",
		dtype_info(job->dtype)->name);
	for (unsigned d = 0; d < job->shape.rank; d++)
		fprintf(out, "%s%" PRIu64, d ? "," : "", job->shape.dim[d]);
	fprintf(out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin,
		begin + job->size);
}

/*
 * Write the JSON of a header, and set offsets[] from the start of the data and
 * file->size to the size of the data. False: the sizes overflow.
 */
static bool write_header(FILE *out, const struct plan *plan,
			 struct layout_file *file, uint64_t *offsets)
{
	char hash[HASH_HEX_LEN + 1];
	uint64_t end = 0;

	hash_hex(plan->recipe->hash, hash);
	fprintf(out,
		"{\"__metadata__\":{\"format\":\"pt\","
		"\"llmergefs_recipe\":\"%s\"}",
		hash);
	for (size_t i = 0; i < file->count; i++) {
		offsets[i] = end;
		if (!add_u64(end, file->jobs[i]->size, &end))
			return false;
		write_tensor(out, file->jobs[i], offsets[i]);
	}
	fputc('}', out);
	file->size = end;
	return true;
}

static void put_length(char *header, uint64_t length)
{
	for (int i = 0; i < LENGTH_BYTES; i++)
		header[i] = (char)(unsigned char)(length >> (8 * i));
}

/* Length, JSON and blanks up to the alignment, in the arena. */
static int place_header(struct arena *arena, struct layout_file *file,
			const char *json, size_t len, struct error *err)
{
	uint64_t size = round_up_u64(LENGTH_BYTES + len, LAYOUT_ALIGN);
	char *header;

	if (size - LENGTH_BYTES > SAFETENSORS_HEADER_MAX)
		return fail(err, EINVAL,
			    "%s: the header of its %zu tensors has %zu bytes, "
			    "more than the %u that readers take; set a smaller "
			    "llmergefs.shard_size",
			    file->name, file->count, len,
			    SAFETENSORS_HEADER_MAX);
	header = arena_alloc(arena, size, 1);
	if (!header)
		return fail(err, ENOMEM, "no memory for the header of %s",
			    file->name);
	put_length(header, size - LENGTH_BYTES);
	memcpy(header + LENGTH_BYTES, json, len);
	memset(header + LENGTH_BYTES + len, ' ', size - LENGTH_BYTES - len);
	file->header = header;
	file->header_size = size;
	return 0;
}

static int make_header(const struct plan *plan, struct arena *arena,
		       struct layout_file *file, uint64_t *offsets,
		       struct error *err)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *json = NULL;
	size_t len;
	int rc;

	if (text_open(&text) < 0)
		return fail(err, ENOMEM, "no memory for %s", file->name);
	if (!write_header(text.out, plan, file, offsets))
		return fail(err, EINVAL, "%s: larger than 2^64 bytes",
			    file->name);
	if (text_take(&text, &json, &len) < 0)
		return fail(err, ENOMEM, "no memory for %s", file->name);
	rc = place_header(arena, file, json, len, err);
	if (rc < 0)
		return rc;
	if (!add_u64(file->size, file->header_size, &file->size) ||
	    file->size > INT64_MAX)
		return fail(err, EINVAL, "%s: larger than 2^63 bytes",
			    file->name);
	for (size_t i = 0; i < file->count; i++)
		offsets[i] += file->header_size;
	return 0;
}

static const char *shard_name(struct arena *arena, size_t i, size_t count)
{
	if (count == 1)
		return arena_strdup(arena, "model.safetensors");
	return arena_printf(arena, "model-%05zu-of-%05zu.safetensors", i + 1,
			    count);
}

/* Make shard i of the layout from the jobs [begin, end) of the plan. */
static int make_shard(struct layout *layout, const struct plan *plan, size_t i,
		      size_t begin, size_t end, struct error *err)
{
	struct layout_file *file = &layout->files[i];
	size_t count = end - begin;
	const struct job **jobs;
	uint64_t *offsets;

	file->name = shard_name(layout->arena, i, layout->count);
	jobs = arena_alloc(layout->arena, count, sizeof(const struct job *));
	offsets = arena_alloc(layout->arena, count, sizeof(*offsets));
	if (!file->name || !jobs || !offsets)
		return fail(err, ENOMEM, "no memory for %zu shards",
			    layout->count);
	for (size_t j = 0; j < count; j++)
		jobs[j] = &plan->jobs[begin + j];
	qsort(jobs, count, sizeof(const struct job *),
	      by_element_size_and_name);
	file->jobs = jobs;
	file->offsets = offsets;
	file->count = count;
	return make_header(plan, layout->arena, file, offsets, err);
}

static int make_shards(struct layout *layout, const struct plan *plan,
		       const bool *first, struct error *err)
{
	size_t begin = 0, end;
	int rc = 0;

	for (size_t i = 0; i < layout->count && rc == 0; i++) {
		end = begin + 1;
		while (end < plan->count && !first[end])
			end++;
		if (end > plan->count)
			end = plan->count;
		rc = make_shard(layout, plan, i, begin, end, err);
		begin = end;
	}
	return rc;
}

static void write_index(FILE *out, const struct layout *layout,
			const struct plan *plan, const size_t *shard_of)
{
	fprintf(out,
		"{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 ",\n"
		"    \"llmergefs_version\": \"%s\"\n  },\n"
		"  \"weight_map\": {",
		plan->bytes, LLMERGEFS_VERSION);
	for (size_t i = 0; i < plan->count; i++) {
		fputs(i ? ",\n    " : "\n    ", out);
		json_write_string(out, plan->jobs[i].name);
		fprintf(out, ": \"%s\"", layout->files[shard_of[i]].name);
	}
	fputs("\n  }\n}\n", out);
}

static int make_index(struct layout *layout, const struct plan *plan,
		      const bool *first)
{
	AUTO_FREE size_t *shard_of = calloc(plan->count, sizeof(*shard_of));
	AUTO_TEXT struct text text = TEXT_INIT;

	if (!shard_of || text_open(&text) < 0)
		return -ENOMEM;
	for (size_t i = 1; i < plan->count; i++)
		shard_of[i] = shard_of[i - 1] + first[i];
	write_index(text.out, layout, plan, shard_of);
	return text_take(&text, &layout->index, &layout->index_len);
}

static int fill_layout(struct layout *layout, const struct plan *plan,
		       struct error *err)
{
	AUTO_FREE bool *first = calloc(plan->count + 1, sizeof(*first));
	int rc;

	layout->arena = arena_open();
	if (!first || !layout->arena)
		return fail(err, ENOMEM, "no memory for the layout");
	layout->count = cut_shards(plan, first);
	layout->files = arena_alloc(layout->arena, layout->count,
				    sizeof(*layout->files));
	if (!layout->files)
		return fail(err, ENOMEM, "no memory for %zu shards",
			    layout->count);
	rc = make_shards(layout, plan, first, err);
	if (rc < 0 || layout->count == 1)
		return rc;
	if (make_index(layout, plan, first) < 0)
		return fail(err, ENOMEM,
			    "no memory for the index of %zu shards",
			    layout->count);
	return 0;
}

struct layout *layout_open(const struct plan *plan, struct error *err)
{
	struct layout *layout = calloc(1, sizeof(*layout));

	if (!layout) {
		fail(err, ENOMEM, "no memory for the layout");
		return NULL;
	}
	if (fill_layout(layout, plan, err) < 0) {
		layout_close(layout);
		return NULL;
	}
	return layout;
}

void layout_close(struct layout *layout)
{
	if (!layout)
		return;
	arena_close(layout->arena);
	free(layout->index);
	free(layout);
}

/*
 * The job that holds the byte at off is the last that starts at or before it:
 * one without bytes starts where the next does, or at the end of the file.
 */
static size_t job_at(const struct layout_file *file, uint64_t off)
{
	size_t low = 0, high = file->count; /* offsets[low] <= off */

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (file->offsets[middle] <= off)
			low = middle;
		else
			high = middle;
	}
	return low;
}

struct span layout_locate(const struct layout_file *file, uint64_t off)
{
	const struct job *job;
	uint64_t in_job;
	size_t i;

	if (off < file->header_size)
		return (struct span){ .kind = SPAN_HEADER,
				      .bytes = file->header + off,
				      .off = off,
				      .len = file->header_size - off };
	i = job_at(file, off);
	job = file->jobs[i];
	in_job = off - file->offsets[i];
	return (struct span){ .kind = SPAN_TENSOR,
			      .job = job,
			      .off = in_job,
			      .len = job->size - in_job };
}
