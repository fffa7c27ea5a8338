#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/fixture.h"

#include <cmocka.h>

/* Whole files on disk, up to the first byte of data. */
static void files_are_read_and_named(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *sentence; /* NULL: taken */
	} files[] = {
		{ "\2\0\0\0\0\0\0\0{}", 10, NULL },
		{ "", 0, "not a safetensors file: it has only 0 bytes" },
		{ "\2\0\0\0{}", 6,
		  "not a safetensors file: it has only 6 bytes" },
		{ "\2\0\0\0\0\0\0\0{", 9,
		  "the file is cut short, download it again: its header takes "
		  "2 bytes, the file has 9" },
		{ "\1\xe1\xf5\5\0\0\0\0{}", 10,
		  "not a safetensors file: its header would take 100000001 "
		  "bytes, the limit is 100000000" },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10,
		  "not a safetensors file: its header would take "
		  "18446744073709551615 bytes, the limit is 100000000" },
		{ "version https://git-lfs.github.com/spec/v1\n", 43,
		  "a Git LFS pointer, not the file itself: run `git lfs pull` "
		  "in its folder" },
	};
	struct fixture fx;

	fixture_open(&fx);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		char name[16], want[FIXTURE_PATH_MAX + 200];
		const struct source *source;
		struct safetensors st;
		struct error err;
		int rc;

		snprintf(name, sizeof(name), "%zu", i);
		source = fixture_source(&fx, name, files[i].bytes,
					files[i].size);
		rc = safetensors_read(source, arena, &st, &err);
		if (!files[i].sentence) {
			assert_int_equal(rc, 0);
			continue;
		}
		assert_int_equal(rc, -EBADMSG);
		snprintf(want, sizeof(want), "%s/%s: %s", fx.dir, name,
			 files[i].sentence);
		assert_string_equal(err.text, want);
	}
	fixture_close(&fx);
}

static void tensors_point_into_their_file(void **state)
{
	static const float data[] = { 1, 2, 3 };
	const struct fixture_tensor tensors[] = {
		{ "w", DTYPE_F32, { 1, { 3 } }, data },
	};
	AUTO_ARENA struct arena *arena = arena_open();
	char path[FIXTURE_PATH_MAX];
	struct source *source;
	struct safetensors st;
	struct fixture fx;
	struct error err;
	float back[3];

	fixture_open(&fx);
	fixture_safetensors(&fx, "m.safetensors", tensors, 1);
	fixture_path(&fx, "m.safetensors", path);
	assert_int_equal(source_get(fx.sources, path, &source, &err), 0);
	assert_int_equal(safetensors_read(source, arena, &st, &err), 0);
	assert_int_equal(st.count, 1);
	assert_int_equal(st.tensors[0].dtype, DTYPE_F32);
	assert_ptr_equal(st.tensors[0].source, source);
	assert_int_equal(source_read(source, back, sizeof(back),
				     st.tensors[0].off, &err),
			 0);
	assert_memory_equal(back, data, sizeof(data));
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read_and_named),
		cmocka_unit_test(tensors_point_into_their_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
