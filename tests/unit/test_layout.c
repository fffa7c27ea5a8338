#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/layout.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

#define JOBS_MAX 64

/* A plan made by hand: what layout.c reads of one, and no more. */
struct made_plan {
	struct recipe recipe;
	struct plan plan;
	struct job jobs[JOBS_MAX];
};

static void plan_begin(struct made_plan *m, uint64_t shard_size)
{
	*m = (struct made_plan){ 0 };
	m->recipe.shard_size = shard_size;
	m->recipe.hash = hash_bytes("recipe", 6);
	m->plan.recipe = &m->recipe;
	m->plan.jobs = m->jobs;
}

/* Names must come in order. */
static void plan_add(struct made_plan *m, const char *name, enum dtype dtype,
		     uint64_t rows, uint64_t cols)
{
	struct job *job = &m->jobs[m->plan.count++];

	assert_true(m->plan.count <= JOBS_MAX);
	*job = (struct job){ .name = name,
			     .dtype = dtype,
			     .shape = { 2, { rows, cols } },
			     .elements = rows * cols };
	job->size = job->elements * dtype_info(dtype)->bits / 8;
	m->plan.bytes += job->size;
}

static struct layout *layout_of(struct made_plan *m)
{
	struct error err = { 0 };
	struct layout *layout = layout_open(&m->plan, &err);

	if (!layout)
		fail_msg("%s", err.text);
	return layout;
}

/* Where the job at i of a file begins and ends, found by adding up. */
static uint64_t job_begin(const struct layout_file *file, size_t at)
{
	uint64_t off = file->header_size;

	for (size_t i = 0; i < at; i++)
		off += file->jobs[i]->size;
	return off;
}

/* Walk a file span by span; marks in seen[] the jobs whose bytes all came. */
static void walk_file(const struct made_plan *m, const struct layout_file *file,
		      bool *seen)
{
	struct span span = layout_locate(file, 0);
	uint64_t off = span.len;

	assert_int_equal(span.kind, SPAN_HEADER);
	assert_int_equal(span.len, file->header_size);
	assert_ptr_equal(span.bytes, file->header);
	for (; off < file->size; off += span.len) {
		span = layout_locate(file, off);
		assert_int_equal(span.kind, SPAN_TENSOR);
		assert_int_equal(span.off, 0);
		assert_int_equal(span.len, span.job->size);
		assert_true(span.len > 0);
		assert_false(seen[span.job - m->jobs]);
		seen[span.job - m->jobs] = true;
	}
	assert_int_equal(off, file->size);
}

/* The span of every offset, against a search from the front. */
static void check_each_byte(const struct layout_file *file)
{
	size_t at = 0;

	for (uint64_t off = file->header_size; off < file->size; off++) {
		struct span span = layout_locate(file, off);

		while (off - job_begin(file, at) >= file->jobs[at]->size)
			at++;
		assert_ptr_equal(span.job, file->jobs[at]);
		assert_int_equal(span.off, off - job_begin(file, at));
		assert_int_equal(span.len, span.job->size - span.off);
	}
	for (uint64_t off = 0; off < file->header_size; off += 7) {
		struct span span = layout_locate(file, off);

		assert_int_equal(span.kind, SPAN_HEADER);
		assert_ptr_equal(span.bytes, file->header + off);
		assert_int_equal(span.len, file->header_size - off);
	}
}

static size_t job_named(const struct layout_file *file, const char *name)
{
	for (size_t i = 0; i < file->count; i++)
		if (strcmp(file->jobs[i]->name, name) == 0)
			return i;
	fail_msg("no tensor %s", name);
	return 0;
}

/* The strict reader finds in the header what was laid out. */
static void check_header(const struct made_plan *m,
			 const struct layout_file *file)
{
	struct arena *arena = arena_open();
	struct error err = { 0 };
	struct safetensors st;
	struct json *json;
	const struct json *meta;
	char hash[HASH_HEX_LEN + 1];
	uint64_t n = 0;

	for (int i = 7; i >= 0; i--)
		n = n << 8 | (unsigned char)file->header[i];
	assert_int_equal(8 + n, file->header_size);
	assert_int_equal(file->header_size % LAYOUT_ALIGN, 0);
	if (safetensors_parse(file->header + 8, n, file->size, NULL, arena, &st,
			      &err) < 0)
		fail_msg("%s: %s", file->name, err.text);
	assert_int_equal(st.count, file->count);
	/* Tensors without bytes share an offset, so that i says no order. */
	for (size_t i = 0; i < st.count; i++) {
		size_t at = job_named(file, st.tensors[i].name);

		assert_int_equal(st.tensors[i].dtype, file->jobs[at]->dtype);
		assert_true(shape_equal(&st.tensors[i].shape,
					&file->jobs[at]->shape));
		assert_int_equal(st.tensors[i].off, file->offsets[at]);
		assert_int_equal(st.tensors[i].size, file->jobs[at]->size);
	}
	assert_int_equal(json_parse(file->header + 8, n, arena, &json, &err),
			 0);
	meta = json_member(json, "__metadata__");
	hash_hex(m->recipe.hash, hash);
	assert_string_equal(json_member_string(meta, "format"), "pt");
	assert_string_equal(json_member_string(meta, "llmergefs_recipe"), hash);
	arena_close(arena);
}

static void check_index(const struct made_plan *m, const struct layout *layout)
{
	struct arena *arena = arena_open();
	const struct json *map;
	struct json *json;
	struct error err;
	uint64_t total;

	assert_int_equal(layout->index != NULL, layout->count > 1);
	if (layout->index) {
		assert_int_equal(strlen(layout->index), layout->index_len);
		assert_int_equal(json_parse(layout->index, layout->index_len,
					    arena, &json, &err),
				 0);
		assert_true(json_u64(json_member(json_member(json, "metadata"),
						 "total_size"),
				     &total));
		assert_int_equal(total, m->plan.bytes);
		map = json_member(json, "weight_map");
		assert_int_equal(map->count, m->plan.count);
		for (size_t i = 0; i < layout->count; i++)
			for (size_t j = 0; j < layout->files[i].count; j++)
				assert_string_equal(
					json_member_string(
						map,
						layout->files[i].jobs[j]->name),
					layout->files[i].name);
	}
	arena_close(arena);
}

/* All that layout.h promises of any plan. */
static void check_layout(struct made_plan *m)
{
	struct layout *layout = layout_of(m);
	bool seen[JOBS_MAX] = { false };
	uint64_t bytes = 0;

	for (size_t i = 0; i < layout->count; i++) {
		const struct layout_file *file = &layout->files[i];

		assert_true(file->count > 0 || m->plan.count == 0);
		walk_file(m, file, seen);
		check_each_byte(file);
		check_header(m, file);
		bytes += file->size - file->header_size;
	}
	for (size_t i = 0; i < m->plan.count; i++)
		assert_int_equal(seen[i], m->jobs[i].size > 0);
	assert_int_equal(bytes, m->plan.bytes);
	check_index(m, layout);
	layout_close(layout);
}

static void every_byte_is_located_once(void **state)
{
	static const enum dtype dtypes[] = { DTYPE_F64, DTYPE_BF16, DTYPE_U8,
					     DTYPE_F32, DTYPE_I64 };
	static const uint64_t shard_sizes[] = { 0, 1, 100, 700, 5000, 100000 };
	char names[JOBS_MAX][16];
	uint64_t random = 1;

	for (size_t round = 0; round < 30; round++) {
		struct made_plan m;

		plan_begin(&m, shard_sizes[round % ARRAY_LEN(shard_sizes)]);
		for (unsigned i = 0; i < JOBS_MAX; i++) {
			snprintf(names[i], sizeof(names[i]), "t.%02u", i);
			plan_add(&m, names[i],
				 dtypes[fixture_random(&random) %
					ARRAY_LEN(dtypes)],
				 fixture_random(&random) % 7,
				 fixture_random(&random) % 11);
		}
		check_layout(&m);
	}
}

static void shards_are_packed_greedily_in_order_of_names(void **state)
{
	/* Sizes 60 30 20 | 100 10 | 1000 | 50 with a limit of 110. */
	static const struct {
		const char *name;
		uint64_t size;
		size_t shard;
	} rows[] = {
		{ "a", 60, 0 },	 { "b", 30, 0 }, { "c", 20, 0 },
		{ "d", 100, 1 }, { "e", 10, 1 }, { "f", 1000, 2 },
		{ "g", 50, 3 },
	};
	struct made_plan m;
	struct layout *layout;
	size_t at = 0;

	plan_begin(&m, 110);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		plan_add(&m, rows[i].name, DTYPE_U8, 1, rows[i].size);
	layout = layout_of(&m);
	assert_int_equal(layout->count, 4);
	for (size_t i = 0; i < layout->count; i++)
		for (size_t j = 0; j < layout->files[i].count; j++, at++) {
			assert_string_equal(layout->files[i].jobs[j]->name,
					    rows[at].name);
			assert_int_equal(i, rows[at].shard);
		}
	assert_string_equal(layout->files[0].name,
			    "model-00001-of-00004.safetensors");
	assert_string_equal(layout->files[3].name,
			    "model-00004-of-00004.safetensors");
	layout_close(layout);
	check_layout(&m);
}

static void wide_elements_come_first_in_a_shard(void **state)
{
	static const char *const order[] = { "c", "b", "e", "a", "d" };
	struct made_plan m;
	struct layout *layout;

	plan_begin(&m, 0);
	plan_add(&m, "a", DTYPE_BF16, 1, 3);
	plan_add(&m, "b", DTYPE_F32, 1, 1);
	plan_add(&m, "c", DTYPE_F64, 1, 1);
	plan_add(&m, "d", DTYPE_F16, 1, 1);
	plan_add(&m, "e", DTYPE_F32, 1, 1);
	layout = layout_of(&m);
	assert_int_equal(layout->count, 1);
	assert_string_equal(layout->files[0].name, "model.safetensors");
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		assert_string_equal(layout->files[0].jobs[i]->name, order[i]);
	layout_close(layout);
}

static void a_plan_without_tensors_has_one_empty_file(void **state)
{
	struct made_plan m;
	struct layout *layout;

	plan_begin(&m, 100);
	layout = layout_of(&m);
	assert_int_equal(layout->count, 1);
	assert_int_equal(layout->files[0].count, 0);
	assert_int_equal(layout->files[0].size, LAYOUT_ALIGN);
	layout_close(layout);
	check_layout(&m);
}

static void tensors_without_bytes_are_kept_and_never_found(void **state)
{
	struct made_plan m;

	plan_begin(&m, 0);
	plan_add(&m, "a", DTYPE_F32, 0, 5);
	plan_add(&m, "b", DTYPE_F32, 2, 2);
	plan_add(&m, "c", DTYPE_F32, 3, 0);
	plan_add(&m, "d", DTYPE_F32, 0, 0);
	plan_add(&m, "e", DTYPE_F32, 1, 1);
	plan_add(&m, "f", DTYPE_F32, 1, 0);
	check_layout(&m);
}

static void names_are_escaped(void **state)
{
	struct made_plan m;

	plan_begin(&m, 8);
	plan_add(&m, "\x01\n\t", DTYPE_F32, 1, 1);
	plan_add(&m, "back\\slash", DTYPE_F32, 1, 1);
	plan_add(&m, "quo\"te", DTYPE_F32, 1, 1);
	plan_add(&m, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", DTYPE_F32, 1, 1);
	check_layout(&m);
}

/* A header of about 90, 4096 - 8 and 4096 - 7 bytes of JSON, and around. */
static void headers_are_aligned_whatever_their_length(void **state)
{
	static char name[6000];

	for (size_t len = 3900; len < 4010; len++) {
		struct made_plan m;

		memset(name, 'x', len);
		name[len] = '\0';
		plan_begin(&m, 0);
		plan_add(&m, name, DTYPE_F32, 1, 1);
		check_layout(&m);
	}
}

static void a_header_that_readers_refuse_is_an_error(void **state)
{
	size_t len = 21 << 20;
	AUTO_FREE char *names = malloc(5 * (len + 1));
	struct made_plan m;
	struct error err;

	assert_non_null(names);
	plan_begin(&m, 0);
	for (size_t i = 0; i < 5; i++) {
		char *name = names + i * (len + 1);

		memset(name, 'a' + (int)i, len);
		name[len] = '\0';
		plan_add(&m, name, DTYPE_F32, 1, 1);
	}
	assert_null(layout_open(&m.plan, &err));
	assert_int_equal(err.code, EINVAL);
	assert_string_equal(
		err.text,
		"model.safetensors: the header of its 5 tensors has 110100841 "
		"bytes, more than the 100000000 that readers take; set a "
		"smaller llmergefs.shard_size");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_located_once),
		cmocka_unit_test(shards_are_packed_greedily_in_order_of_names),
		cmocka_unit_test(wide_elements_come_first_in_a_shard),
		cmocka_unit_test(a_plan_without_tensors_has_one_empty_file),
		cmocka_unit_test(
			tensors_without_bytes_are_kept_and_never_found),
		cmocka_unit_test(names_are_escaped),
		cmocka_unit_test(headers_are_aligned_whatever_their_length),
		cmocka_unit_test(a_header_that_readers_refuse_is_an_error),
	};

	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
