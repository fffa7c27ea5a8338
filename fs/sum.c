/*
 * `llmergefs sum`: the XXH3-128 of every tensor and of every file, each byte
 * made once and written nowhere.
 *
 *	<32 digits>  tensor <name>	its bytes, wherever they lie, by name
 *	<32 digits>  file <path>	by path
 *	<32 digits>  merge <recipe hash>	the tensor lines, as printed
 *
 * The last is the one number by which two people compare.
 *
 * A name with a backslash, a line feed or a carriage return is written as
 * sha256sum writes it: escaped, with a backslash before the line.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/base/text.h"
#include "fs/command.h"
#include "fs/progress.h"
#include "fs/stream.h"

struct sum {
	const struct outputs *outputs;
	const struct plan *plan;
	struct progress progress;
	struct hash128 *tensors;      /* one a job of the plan */
	struct hash128 *files;	      /* one an output file */
	struct hasher *tensor, *file; /* of what is passing; NULL: none is */
};

/* Add bytes to a hash that begins with them, goes on, or ends. */
static int add_bytes(struct hasher **hasher, const void *data, size_t len)
{
	if (!*hasher)
		*hasher = hasher_open();
	if (!*hasher)
		return -ENOMEM;
	hasher_add(*hasher, data, len);
	return 0;
}

static void end_hash(struct hasher **hasher, struct hash128 *value)
{
	*value = hasher_value(*hasher);
	hasher_close(TAKE(*hasher));
}

/* The part of a shard's chunk that lies in one tensor. */
static int add_span(struct sum *sum, const struct span *span, const void *data,
		    size_t len)
{
	size_t job = (size_t)(span->job - sum->plan->jobs);

	if (add_bytes(&sum->tensor, data, len) < 0)
		return -ENOMEM;
	if (len == span->len)
		end_hash(&sum->tensor, &sum->tensors[job]);
	return 0;
}

static int add_tensors(struct sum *sum, const struct stream_chunk *chunk)
{
	const char *data = chunk->data;
	size_t done, len;

	for (done = 0; done < chunk->len; done += len) {
		struct span span =
			layout_locate(chunk->file->shard, chunk->off + done);

		len = min_u64(span.len, chunk->len - done);
		if (span.kind == SPAN_TENSOR &&
		    add_span(sum, &span, data + done, len) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_chunk(void *ctx, const struct stream_chunk *chunk,
		     struct error *err)
{
	struct sum *sum = ctx;
	size_t file = (size_t)(chunk->file - sum->outputs->files);

	if (add_bytes(&sum->file, chunk->data, chunk->len) < 0 ||
	    (chunk->file->shard && add_tensors(sum, chunk) < 0))
		return fail(err, ENOMEM, "no memory for a hash");
	if (chunk->last)
		end_hash(&sum->file, &sum->files[file]);
	progress_add(&sum->progress, chunk->len);
	return 0;
}

/* --- printing ----------------------------------------------------------- */

static void write_line(FILE *out, struct hash128 hash, const char *kind,
		       const char *name)
{
	char hex[HASH_HEX_LEN + 1];

	hash_hex(hash, hex);
	fprintf(out, "%s%s  %s ", strpbrk(name, "\\\n\r") ? "\\" : "", hex,
		kind);
	for (; *name; name++) {
		if (*name == '\\')
			fputs("\\\\", out);
		else if (*name == '\n')
			fputs("\\n", out);
		else if (*name == '\r')
			fputs("\\r", out);
		else
			fputc(*name, out);
	}
	fputc('\n', out);
}

/* The lines of all tensors, in order of names; NULL: no memory. */
static char *tensor_lines(const struct sum *sum, size_t *len)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	char *lines;

	if (text_open(&text) < 0)
		return NULL;
	for (size_t i = 0; i < sum->plan->count; i++)
		write_line(text.out, sum->tensors[i], "tensor",
			   sum->plan->jobs[i].name);
	return text_take(&text, &lines, len) < 0 ? NULL : lines;
}

static void print_text(const struct sum *sum, const char *lines,
		       struct hash128 merge)
{
	char recipe[HASH_HEX_LEN + 1];

	fputs(lines, stdout);
	for (size_t i = 0; i < sum->outputs->count; i++)
		write_line(stdout, sum->files[i], "file",
			   sum->outputs->files[i].path);
	hash_hex(sum->plan->recipe->hash, recipe);
	write_line(stdout, merge, "merge", recipe);
}

static void print_member(bool first, const char *name, struct hash128 hash)
{
	char hex[HASH_HEX_LEN + 1];

	hash_hex(hash, hex);
	fputs(first ? "\n    " : ",\n    ", stdout);
	json_write_string(stdout, name);
	printf(": \"%s\"", hex);
}

static void print_json(const struct sum *sum, struct hash128 merge)
{
	char recipe[HASH_HEX_LEN + 1], hex[HASH_HEX_LEN + 1];

	hash_hex(sum->plan->recipe->hash, recipe);
	hash_hex(merge, hex);
	printf("{\n  \"schema\": \"llmergefs-sum-1\",\n  \"algorithm\": "
	       "\"XXH3-128\",\n  \"recipe\": \"%s\",\n  \"merge\": \"%s\",\n"
	       "  \"tensors\": {",
	       recipe, hex);
	for (size_t i = 0; i < sum->plan->count; i++)
		print_member(i == 0, sum->plan->jobs[i].name, sum->tensors[i]);
	fputs("\n  },\n  \"files\": {", stdout);
	for (size_t i = 0; i < sum->outputs->count; i++)
		print_member(i == 0, sum->outputs->files[i].path,
			     sum->files[i]);
	puts("\n  }\n}");
}

static int print(const struct options *options, const struct sum *sum,
		 struct error *err)
{
	AUTO_FREE char *lines = NULL;
	struct hash128 merge;
	size_t len;

	lines = tensor_lines(sum, &len);
	if (!lines)
		return fail(err, ENOMEM, "no memory for the lines");
	merge = hash_bytes(lines, len);
	if (options->json)
		print_json(sum, merge);
	else
		print_text(sum, lines, merge);
	return 0;
}

/* --- the run ------------------------------------------------------------ */

static int run(const struct options *options, struct engine *engine,
	       struct sum *sum, struct error *err)
{
	const struct stream_step step = { .fold = add_chunk, .ctx = sum };
	int rc;

	/* A tensor without bytes never passes. */
	for (size_t i = 0; i < sum->plan->count; i++)
		sum->tensors[i] = hash_bytes("", 0);
	progress_begin(&sum->progress, "sum", sum->outputs->bytes,
		       options->quiet);
	rc = stream_run(engine, sum->outputs, options->engine.threads, &step,
			err);
	progress_end(&sum->progress);
	return rc < 0 ? rc : print(options, sum, err);
}

static int sum_engine(const struct options *options, struct lens *lens,
		      struct engine *engine, struct error *err)
{
	AUTO_OUTPUTS struct outputs outputs = { 0 };
	struct sum sum = { .outputs = &outputs, .plan = lens->plan };
	int rc = outputs_init(&outputs, lens, err);

	if (rc < 0)
		return rc;
	sum.tensors = calloc(sum.plan->count + 1, sizeof(*sum.tensors));
	sum.files = calloc(outputs.count + 1, sizeof(*sum.files));
	rc = sum.tensors && sum.files
		     ? run(options, engine, &sum, err)
		     : fail(err, ENOMEM, "no memory for the hashes");
	hasher_close(sum.tensor);
	hasher_close(sum.file);
	free(sum.tensors);
	free(sum.files);
	return rc;
}

int sum_main(const struct options *options)
{
	struct engine *engine;
	struct lens *lens;
	struct error err;
	int code;

	lens = command_lens(options, &code);
	if (!lens)
		return code;
	engine = command_engine(options, &code);
	if (engine) {
		code = sum_engine(options, lens, engine, &err) < 0
			       ? command_failed(&err)
			       : EXIT_OK;
		engine_forget(engine, lens);
		engine_close(engine);
	}
	lens_close(lens);
	return code;
}
