#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/mountinfo.h"

#include <cmocka.h>

/* /proc is mounted wherever /proc/self/mountinfo can be read. */
static void a_mount_is_found_by_its_path(void **state)
{
	struct mountinfo info;
	char device[MOUNTINFO_DEVICE_MAX];
	struct stat st;

	assert_int_equal(stat("/proc", &st), 0);
	snprintf(device, sizeof(device), "%u:%u", major(st.st_dev),
		 minor(st.st_dev));
	assert_true(mountinfo_find("/proc", &info));
	assert_string_equal(info.fstype, "proc");
	assert_string_equal(info.device, device);
}

static void what_is_no_mount_is_not_found(void **state)
{
	static const char *const paths[] = { "",	   "proc", "/proc/",
					     "/proc/self", "/pro", "/proc " };
	const struct mountinfo before = { "type", "0:0" };
	struct mountinfo info = before;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		assert_false(mountinfo_find(paths[i], &info));
		assert_memory_equal(&info, &before, sizeof(info));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mount_is_found_by_its_path),
		cmocka_unit_test(what_is_no_mount_is_not_found),
	};

	return cmocka_run_group_tests_name("mountinfo", tests, NULL, NULL);
}
