#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/fixture.h"

#include <cmocka.h>

#define SHA256 \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int open_fixture(void **state)
{
	static struct fixture fx;

	fixture_open(&fx);
	*state = &fx;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_close(*state);
	return 0;
}

static void set_mtime(const struct fixture *fx, const char *name, time_t sec,
		      long nsec)
{
	const struct timespec times[2] = { { sec, nsec }, { sec, nsec } };
	char path[FIXTURE_PATH_MAX];

	fixture_path(fx, name, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static struct hash128 identity_of(struct fixture *fx, const char *name)
{
	/* A set of its own, as in another process. */
	struct source_set *set = source_set_open();
	char path[FIXTURE_PATH_MAX];
	struct hash128 identity;
	struct source *source;
	struct error err;

	fixture_path(fx, name, path);
	assert_int_equal(source_get(set, path, &source, &err), 0);
	assert_int_equal(source_identity(source, &identity, &err), 0);
	source_set_close(set);
	return identity;
}

#define BIG (3u << 20)

static void identity_follows_what_a_file_is(void **state)
{
	struct fixture *fx = *state;
	AUTO_FREE char *data = calloc(1, BIG);
	struct hash128 first, other;

	fixture_write(fx, "id/a", data, BIG);
	set_mtime(fx, "id/a", 1000, 0);
	first = identity_of(fx, "id/a");
	other = identity_of(fx, "id/a");
	assert_true(hash_equal(first, other));
	/* A file that only its inode tells from the first. */
	fixture_write(fx, "id/b", data, BIG);
	set_mtime(fx, "id/b", 1000, 0);
	other = identity_of(fx, "id/b");
	assert_false(hash_equal(first, other));
	set_mtime(fx, "id/a", 1000, 1);
	other = identity_of(fx, "id/a");
	assert_false(hash_equal(first, other));
	/* One byte of the head, the length, and the last byte, in place. */
	data[1000] = 1;
	fixture_write(fx, "id/a", data, BIG);
	set_mtime(fx, "id/a", 1000, 0);
	other = identity_of(fx, "id/a");
	assert_false(hash_equal(first, other));
	data[1000] = 0;
	fixture_write(fx, "id/a", data, BIG - 15 * 4096);
	set_mtime(fx, "id/a", 1000, 0);
	other = identity_of(fx, "id/a");
	assert_false(hash_equal(first, other));
	data[BIG - 1] = 1;
	fixture_write(fx, "id/a", data, BIG);
	set_mtime(fx, "id/a", 1000, 0);
	other = identity_of(fx, "id/a");
	assert_false(hash_equal(first, other));
}

static void a_blob_is_its_name_wherever_it_lies(void **state)
{
	struct fixture *fx = *state;
	char blob[FIXTURE_PATH_MAX], link_path[FIXTURE_PATH_MAX];
	struct hash128 first, other;

	fixture_write(fx, "one/blobs/" SHA256, "weights", 7);
	fixture_path(fx, "one/blobs/" SHA256, blob);
	fixture_path(fx, "one/snapshots/c/model.safetensors", link_path);
	assert_int_equal(symlink(blob, link_path), 0);
	first = identity_of(fx, "one/snapshots/c/model.safetensors");
	fixture_write(fx, "two/blobs/" SHA256, "weights", 7);
	set_mtime(fx, "two/blobs/" SHA256, 1000, 0);
	other = identity_of(fx, "two/blobs/" SHA256);
	assert_true(hash_equal(first, other));
	/* Rewritten through its link, under its old name. */
	fixture_write(fx, "one/snapshots/c/model.safetensors", "WEIGHTS", 7);
	other = identity_of(fx, "one/snapshots/c/model.safetensors");
	assert_false(hash_equal(first, other));
	/* No name of a blob: mtime counts again. */
	fixture_write(fx, "blobs/0123", "weights", 7);
	first = identity_of(fx, "blobs/0123");
	set_mtime(fx, "blobs/0123", 1000, 0);
	other = identity_of(fx, "blobs/0123");
	assert_false(hash_equal(first, other));
}

/* A link that leads elsewhere since does not lend another blob's name. */
static void a_moved_link_lends_no_name(void **state)
{
	struct fixture *fx = *state;
	char blob[FIXTURE_PATH_MAX], link_path[FIXTURE_PATH_MAX], byte;
	struct hash128 identity, other;
	struct source *source;

	fixture_write(fx, "moved/blob", "weights", 7);
	fixture_write(fx, "moved/blobs/" SHA256, "weights", 7);
	other = identity_of(fx, "moved/blobs/" SHA256);
	fixture_path(fx, "moved/blob", blob);
	fixture_path(fx, "moved/link", link_path);
	assert_int_equal(symlink(blob, link_path), 0);
	assert_int_equal(source_get(fx->sources, link_path, &source, NULL), 0);
	assert_int_equal(source_read(source, &byte, 1, 0, NULL), 0);
	fixture_path(fx, "moved/blobs/" SHA256, blob);
	assert_int_equal(unlink(link_path), 0);
	assert_int_equal(symlink(blob, link_path), 0);
	assert_int_equal(source_identity(source, &identity, NULL), 0);
	assert_false(hash_equal(identity, other));
}

static void small_files_have_identities(void **state)
{
	struct fixture *fx = *state;
	struct hash128 none, one;

	fixture_write(fx, "small/0", "", 0);
	fixture_write(fx, "small/1", "x", 1);
	none = identity_of(fx, "small/0");
	one = identity_of(fx, "small/1");
	assert_false(hash_equal(none, one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity_follows_what_a_file_is),
		cmocka_unit_test(a_blob_is_its_name_wherever_it_lies),
		cmocka_unit_test(a_moved_link_lends_no_name),
		cmocka_unit_test(small_files_have_identities),
	};

	return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
