#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/file.h"
#include "fs/command.h"
#include "fs/log.h"
#include "fs/stream.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

#define TEXT_MAX ((size_t)1 << 24)
/* Two chunks and a bit, in one tensor. */
#define LARGE_ELEMENTS (2 * STREAM_CHUNK_BYTES / sizeof(float) + 1000)

static const char MERGE[] = "merge_method: linear\n"
			    "models:\n"
			    "- {model: a, parameters: {weight: 0.25}}\n"
			    "- {model: b, parameters: {weight: 2}}\n";

static void write_text(const struct fixture *fx, const char *name,
		       const char *text)
{
	fixture_write(fx, name, text, strlen(text));
}

static void write_model(const struct fixture *fx, const char *dir,
			uint64_t seed, uint64_t large)
{
	AUTO_FREE float *data = malloc(large * sizeof(*data));
	const struct fixture_tensor tensors[] = {
		{ "large", DTYPE_F32, { 1, { large } }, data },
		{ "none", DTYPE_F32, { 2, { 0, 3 } }, data },
		{ "small", DTYPE_F32, { 2, { 3, 4 } }, data },
	};
	char path[64];

	assert_non_null(data);
	for (uint64_t i = 0; i < large; i++)
		data[i] = fixture_normal(&seed, 1);
	snprintf(path, sizeof(path), "%s/model.safetensors", dir);
	fixture_safetensors(fx, path, tensors, ARRAY_LEN(tensors));
	snprintf(path, sizeof(path), "%s/config.json", dir);
	write_text(fx, path, "{\"x\": 1.0}");
}

static void merge_begin(struct fixture *fx, const char *more)
{
	char text[512];

	fixture_open(fx);
	write_model(fx, "a", 1, LARGE_ELEMENTS);
	write_model(fx, "b", 2, LARGE_ELEMENTS);
	write_text(fx, "a/sub/code.py", "pass\n");
	write_text(fx, "a/empty.txt", "");
	snprintf(text, sizeof(text), "%s%s", MERGE, more);
	write_text(fx, "merge.yml", text);
}

static struct options options_for(const struct fixture *fx, char *recipe,
				  char *target)
{
	fixture_path(fx, "merge.yml", recipe);
	fixture_path(fx, "out", target);
	return (struct options){
		.recipe = recipe,
		.target = target,
		.engine = { .level = cpu_level_best(),
			    .threads = 3,
			    .cache = ENGINE_CACHE_OFF,
			    .cache_mem = 1 << 20 },
	};
}

/* Run a subcommand; its standard output is returned, for the caller to free. */
static char *run(int (*command)(const struct options *),
		 const struct options *options, int code)
{
	FILE *capture = tmpfile();
	char *text = calloc(1, TEXT_MAX);
	int before = dup(STDOUT_FILENO);
	int got;

	assert_non_null(capture);
	assert_non_null(text);
	fflush(stdout);
	dup2(fileno(capture), STDOUT_FILENO);
	got = command(options);
	fflush(stdout);
	dup2(before, STDOUT_FILENO);
	close(before);
	rewind(capture);
	assert_true(fread(text, 1, TEXT_MAX, capture) < TEXT_MAX);
	fclose(capture);
	assert_int_equal(got, code);
	return text;
}

/* The line of sum that ends with this kind and name begins with this hash. */
static void assert_line(const char *sum, struct hash128 hash, const char *name)
{
	char line[256], hex[HASH_HEX_LEN + 1];

	hash_hex(hash, hex);
	snprintf(line, sizeof(line), "%s  %s\n", hex, name);
	if (!strstr(sum, line))
		fail_msg("no line \"%s\" in\n%s", line, sum);
}

static char *read_out(const struct fixture *fx, const char *name, size_t *len)
{
	char path[2 * FIXTURE_PATH_MAX];
	struct error err;
	char *text;

	snprintf(path, sizeof(path), "%s/out/%s", fx->dir, name);
	if (file_slurp(path, TEXT_MAX, &text, len, &err) < 0)
		fail_msg("%s", err.text);
	return text;
}

/* Every tensor of an exported shard has its line. Returns how many. */
static size_t assert_tensor_lines(const char *sum, const char *shard,
				  size_t len)
{
	struct arena *arena = arena_open();
	struct safetensors st;
	struct error err;
	char name[64];
	size_t count;
	uint64_t n;

	memcpy(&n, shard, sizeof(n));
	if (safetensors_parse(shard + 8, n, len, NULL, arena, &st, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < st.count; i++) {
		snprintf(name, sizeof(name), "tensor %s", st.tensors[i].name);
		assert_line(sum,
			    hash_bytes(shard + st.tensors[i].off,
				       st.tensors[i].size),
			    name);
	}
	count = st.count;
	arena_close(arena);
	return count;
}

/* `sum` reads every byte, and so says what `export` should have written. */
static void check_export(struct fixture *fx)
{
	static const char *const names[] = {
		"README.md",
		"config.json",
		"empty.txt",
		"mergekit_config.yml",
		"sub/code.py",
		"model.safetensors.index.json",
		"model-00001-of-00002.safetensors",
		"model-00002-of-00002.safetensors",
	};
	char recipe[FIXTURE_PATH_MAX], target[FIXTURE_PATH_MAX], name[64];
	AUTO_FREE char *exported = NULL;
	AUTO_FREE char *sum = NULL;
	struct options options;
	size_t len, tensors = 0, lines = 0;

	options = options_for(fx, recipe, target);
	exported = run(export_main, &options, EXIT_OK);
	assert_non_null(strstr(exported, "/out: 8 files, 8.4 MB in "));
	sum = run(sum_main, &options, EXIT_OK);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *bytes = read_out(fx, names[i], &len);

		snprintf(name, sizeof(name), "file %s", names[i]);
		assert_line(sum, hash_bytes(bytes, len), name);
		if (strstr(names[i], "safetensors") &&
		    !strstr(names[i], "json"))
			tensors += assert_tensor_lines(sum, bytes, len);
	}
	assert_int_equal(tensors, 3);
	for (const char *c = sum; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, ARRAY_LEN(names) + tensors + 1);
}

static void sum_is_of_the_bytes_that_export_writes(void **state)
{
	struct fixture fx;

	merge_begin(&fx, "llmergefs: {shard_size: 1000}\n");
	check_export(&fx);
	fixture_close(&fx);
}

/* Chunks that no method touches go from file to file. */
static void export_copies_what_stays_as_it_is(void **state)
{
	struct fixture fx;

	merge_begin(&fx, "");
	write_text(&fx, "merge.yml",
		   "merge_method: passthrough\n"
		   "models: [{model: a}]\n"
		   "llmergefs: {shard_size: 1000}\n");
	check_export(&fx);
	fixture_close(&fx);
}

/* The tensor lines, which come first, and the hash of the last line. */
static char *tensor_part(char *sum)
{
	char *merge = strstr(sum, "  merge ");
	char *end = strstr(sum, "  file ");

	assert_non_null(merge);
	assert_non_null(end);
	memmove(end - HASH_HEX_LEN, merge - HASH_HEX_LEN, HASH_HEX_LEN);
	*end = '\0';
	return sum;
}

static void tensors_have_the_same_sum_however_they_are_made(void **state)
{
	char recipe[FIXTURE_PATH_MAX], target[FIXTURE_PATH_MAX];
	AUTO_FREE char *first = NULL;
	struct options options;
	struct fixture fx;

	for (unsigned i = 0; i < 4; i++) {
		AUTO_FREE char *sum = NULL;

		merge_begin(&fx,
			    i & 1 ? "llmergefs: {shard_size: 1000}\n" : "");
		options = options_for(&fx, recipe, target);
		options.engine.threads = i & 2 ? 1 : 5;
		options.engine.level =
			i & 2 ? CPU_LEVEL_baseline : cpu_level_best();
		sum = tensor_part(run(sum_main, &options, EXIT_OK));
		if (!first)
			first = strdup(sum);
		assert_string_equal(sum, first);
		fixture_close(&fx);
	}
}

static void sum_as_json_says_the_same(void **state)
{
	char recipe[FIXTURE_PATH_MAX], target[FIXTURE_PATH_MAX], line[128];
	struct arena *arena = arena_open();
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *json = NULL;
	const struct json *part;
	struct options options;
	struct error err;
	struct fixture fx;
	struct json *tree;

	merge_begin(&fx, "");
	options = options_for(&fx, recipe, target);
	text = run(sum_main, &options, EXIT_OK);
	options.json = true;
	json = run(sum_main, &options, EXIT_OK);
	if (json_parse(json, strlen(json), arena, &tree, &err) < 0)
		fail_msg("%s\n%s", err.text, json);
	part = json_member(tree, "tensors");
	assert_int_equal(part->count, 3);
	for (size_t i = 0; i < part->count; i++) {
		snprintf(line, sizeof(line), "%s  tensor %s\n",
			 part->items[i]->string, part->names[i]);
		assert_non_null(strstr(text, line));
	}
	part = json_member(tree, "files");
	assert_int_equal(part->count, 6);
	snprintf(line, sizeof(line), "%s  merge %s\n",
		 json_member_string(tree, "merge"),
		 json_member_string(tree, "recipe"));
	assert_non_null(strstr(text, line));
	arena_close(arena);
	fixture_close(&fx);
}

static void check_counts_what_would_be_made(void **state)
{
	char recipe[FIXTURE_PATH_MAX], target[FIXTURE_PATH_MAX];
	struct arena *arena = arena_open();
	AUTO_FREE char *json = NULL;
	AUTO_FREE char *text = NULL;
	struct options options;
	uint64_t number;
	struct error err;
	struct fixture fx;
	struct json *tree;

	merge_begin(&fx, "wieght: 1\n");
	options = options_for(&fx, recipe, target);
	text = run(check_main, &options, EXIT_OK);
	assert_non_null(strstr(text, "\ntensors  3, 8.4 MB: 3 F32\n"));
	options.json = true;
	json = run(check_main, &options, EXIT_OK);
	if (json_parse(json, strlen(json), arena, &tree, &err) < 0)
		fail_msg("%s\n%s", err.text, json);
	assert_true(json_member(tree, "ok")->boolean);
	assert_true(json_u64(json_member(tree, "tensors"), &number));
	assert_int_equal(number, 3);
	assert_true(json_u64(json_member(tree, "bytes"), &number));
	assert_int_equal(number, (LARGE_ELEMENTS + 12) * sizeof(float));
	assert_int_equal(json_member(tree, "errors")->count, 0);
	assert_int_equal(json_member(tree, "warnings")->count, 1);
	assert_int_equal(json_member(tree, "models")->count, 2);
	assert_int_equal(json_member(tree, "files")->count, 6);
	arena_close(arena);
	fixture_close(&fx);
}

/* Frees the text. */
static void check_failed_json(char *text)
{
	struct arena *arena = arena_open();
	struct error err;
	struct json *tree;

	if (json_parse(text, strlen(text), arena, &tree, &err) < 0)
		fail_msg("%s\n%s", err.text, text);
	assert_false(json_member(tree, "ok")->boolean);
	assert_true(json_member(tree, "errors")->count > 0);
	assert_int_equal(json_member(tree, "errors")->items[0]->type,
			 JSON_STRING);
	arena_close(arena);
	free(text);
}

static void what_is_wrong_has_its_exit_code(void **state)
{
	static const struct {
		const char *recipe; /* NULL: there is none */
		int code;
	} rows[] = {
		{ NULL, EXIT_USAGE },
		{ "merge_method: linear\n", EXIT_USAGE },
		{ "merge_method: passthrough\nmodels: [model: none]\n",
		  EXIT_MISSING },
		{ "merge_method: passthrough\nmodels: [model: broken]\n",
		  EXIT_UNFIT },
		{ "merge_method: linear\nparameters: {weight: 1}\n"
		  "models: [model: a, model: narrow]\n",
		  EXIT_UNFIT },
	};
	static int (*const commands[])(
		const struct options *) = { check_main, export_main, sum_main };
	char recipe[FIXTURE_PATH_MAX], target[FIXTURE_PATH_MAX];
	struct options options;
	struct fixture fx;

	fixture_open(&fx);
	write_model(&fx, "a", 1, 20);
	write_model(&fx, "narrow", 1, 19);
	write_text(&fx, "broken/model.safetensors", "not at all one");
	options = options_for(&fx, recipe, target);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].recipe)
			write_text(&fx, "merge.yml", rows[i].recipe);
		for (size_t j = 0; j < ARRAY_LEN(commands); j++)
			free(run(commands[j], &options, rows[i].code));
		options.json = true;
		check_failed_json(run(check_main, &options, rows[i].code));
		options.json = false;
	}
	assert_int_equal(access(target, F_OK), -1);
	fixture_close(&fx);
}

/* --- the stream -------------------------------------------------------- */

/* The name in brackets is ours, not the macro of cmocka. */
static int planted(struct error *err)
{
	return (fail)(err, EIO, "planted");
}

struct tally {
	size_t works, folds;
	const struct stream_chunk *before; /* the last one folded */
	struct stream_chunk copy;
	uint64_t bytes;
	size_t fail_work, fail_fold; /* at this call; 0: never */
};

static int tally_work(void *ctx, const struct stream_chunk *chunk,
		      struct error *err)
{
	struct tally *tally = ctx;
	size_t n = __atomic_add_fetch(&tally->works, 1, __ATOMIC_SEQ_CST);

	return n == tally->fail_work ? planted(err) : 0;
}

static int tally_fold(void *ctx, const struct stream_chunk *chunk,
		      struct error *err)
{
	struct tally *tally = ctx;
	bool follows = tally->before && !tally->copy.last;

	if (follows) {
		assert_ptr_equal(chunk->file, tally->copy.file);
		assert_int_equal(chunk->off, tally->copy.off + tally->copy.len);
	} else {
		assert_int_equal(chunk->off, 0);
		if (tally->before)
			assert_true(strcmp(tally->copy.file->path,
					   chunk->file->path) < 0);
	}
	assert_int_equal(chunk->last,
			 chunk->off + chunk->len == chunk->file->size);
	tally->before = chunk;
	tally->copy = *chunk;
	tally->bytes += chunk->len;
	return ++tally->folds == tally->fail_fold ? planted(err) : 0;
}

/* A lens of the merge, its files, and an engine. */
struct opened {
	struct lens *lens;
	struct engine *engine;
	struct outputs outputs;
};

static void open_all(const struct fixture *fx, struct opened *opened)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	char recipe[FIXTURE_PATH_MAX], target[FIXTURE_PATH_MAX];
	struct options options = options_for(fx, recipe, target);
	struct error err;

	opened->lens = lens_open_file(recipe, &report);
	assert_non_null(opened->lens);
	opened->engine = engine_open(&options.engine, &report);
	assert_non_null(opened->engine);
	assert_int_equal(outputs_init(&opened->outputs, opened->lens, &err), 0);
}

static void close_all(struct opened *opened)
{
	outputs_done(&opened->outputs);
	engine_forget(opened->engine, opened->lens);
	engine_close(opened->engine);
	lens_close(opened->lens);
}

/* Stream the merge; returns what stream_run() does. */
static int stream(const struct fixture *fx, size_t threads, struct tally *tally,
		  struct error *err)
{
	const struct stream_step step = { .work = tally_work,
					  .fold = tally_fold,
					  .ctx = tally };
	struct opened opened;
	int rc;

	open_all(fx, &opened);
	rc = stream_run(opened.engine, &opened.outputs, threads, &step, err);
	if (rc == 0) {
		assert_int_equal(tally->bytes, opened.outputs.bytes);
		assert_true(tally->copy.last);
	}
	close_all(&opened);
	return rc;
}

/* The bytes of the file in pieces, from the end to the front, as in one. */
static void check_pieces(struct opened *opened, const struct output_file *file)
{
	AUTO_FREE char *whole = malloc(file->size + 1);
	AUTO_FREE char *pieces = malloc(file->size + 1);
	size_t piece = file->size / 5 + 1;
	struct error err;

	assert_int_equal(
		output_read(opened->engine, file, 0, file->size, whole, &err),
		0);
	for (size_t i = 5; i-- > 0;) {
		size_t off = min_u64(i * piece, file->size);
		size_t len = min_u64(piece, file->size - off);

		assert_int_equal(output_read(opened->engine, file, off, len,
					     pieces + off, &err),
				 0);
	}
	assert_memory_equal(whole, pieces, file->size);
}

static void pieces_of_a_file_make_the_whole(void **state)
{
	struct opened opened;
	struct fixture fx;

	merge_begin(&fx, "");
	open_all(&fx, &opened);
	assert_int_equal(opened.outputs.count, 6);
	for (size_t i = 0; i < opened.outputs.count; i++)
		check_pieces(&opened, &opened.outputs.files[i]);
	close_all(&opened);
	fixture_close(&fx);
}

static void every_chunk_comes_once_and_in_order(void **state)
{
	struct fixture fx;
	struct error err;

	merge_begin(&fx, "");
	for (size_t threads = 1; threads <= 8; threads += 3) {
		struct tally tally = { 0 };

		if (stream(&fx, threads, &tally, &err) < 0)
			fail_msg("%s", err.text);
		/* Five small files, one of them empty, and three chunks. */
		assert_int_equal(tally.folds, 8);
		assert_int_equal(tally.works, 8);
	}
	fixture_close(&fx);
}

static void a_failure_ends_the_stream(void **state)
{
	struct fixture fx;

	merge_begin(&fx, "");
	for (size_t at = 1; at <= 8; at++) {
		struct tally work = { .fail_work = at };
		struct tally fold = { .fail_fold = at };
		struct error err = { 0 };

		assert_int_equal(stream(&fx, 3, &work, &err), -EIO);
		assert_non_null(strstr(err.text, ": planted"));
		assert_true(work.folds < 8);
		assert_int_equal(stream(&fx, 3, &fold, &err), -EIO);
		assert_non_null(strstr(err.text, ": planted"));
		assert_int_equal(fold.folds, at);
	}
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_is_of_the_bytes_that_export_writes),
		cmocka_unit_test(export_copies_what_stays_as_it_is),
		cmocka_unit_test(
			tensors_have_the_same_sum_however_they_are_made),
		cmocka_unit_test(sum_as_json_says_the_same),
		cmocka_unit_test(check_counts_what_would_be_made),
		cmocka_unit_test(what_is_wrong_has_its_exit_code),
		cmocka_unit_test(pieces_of_a_file_make_the_whole),
		cmocka_unit_test(every_chunk_comes_once_and_in_order),
		cmocka_unit_test(a_failure_ends_the_stream),
	};

	log_to_stderr(false);
	return cmocka_run_group_tests_name("commands", tests, NULL, NULL);
}
