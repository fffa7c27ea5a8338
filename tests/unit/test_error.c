#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/error.h"
#include "core/base/utf8.h"

#include <cmocka.h>

#undef fail /* cmocka has one, too */

static void a_failure_has_code_and_sentence(void **state)
{
	struct error err;

	assert_int_equal(fail(&err, EINVAL, "%zu models", (size_t)3), -EINVAL);
	assert_int_equal(err.code, EINVAL);
	assert_string_equal(err.text, "3 models");
}

static void the_error_may_be_null(void **state)
{
	assert_int_equal(fail(NULL, ENOENT, "gone"), -ENOENT);
	assert_int_equal(fail_in(NULL, -ENOENT, "a.yml"), -ENOENT);
}

static void context_goes_before_the_sentence(void **state)
{
	struct error err;
	int rc = fail(&err, EDOM, "shape 2, base has 3");

	rc = fail_in(&err, rc, "models[%d]", 2);
	rc = fail_in(&err, rc, "merge.yml");
	assert_int_equal(rc, -EDOM);
	assert_int_equal(err.code, EDOM);
	assert_string_equal(err.text,
			    "merge.yml: models[2]: shape 2, base has 3");
}

static void an_argument_may_be_the_sentence_itself(void **state)
{
	struct error err;

	fail(&err, EINVAL, "inner");
	fail(&err, EIO, "<%s|%s>", err.text, err.text);
	assert_string_equal(err.text, "<inner|inner>");
}

static void errno_can_be_said(void **state)
{
	struct error err;

	errno = ENOENT;
	fail(&err, errno, "x: %m");
	assert_string_equal(err.text, "x: No such file or directory");
}

/* Cut at each of the four bytes of a character, and valid each time. */
static void a_long_sentence_is_cut_between_characters(void **state)
{
	char text[2 * ERROR_TEXT_MAX + 1];
	struct error err;
	size_t len;

	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'x', shift);
		for (size_t i = shift; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xF0\x9F\x98\x80", 4);
		text[sizeof(text) - 5] = '\0';
		fail(&err, EINVAL, "%s", text);
		len = strlen(err.text);
		assert_in_range(len, ERROR_TEXT_MAX - 4, ERROR_TEXT_MAX - 1);
		assert_string_equal(err.text + len - 3, "...");
		assert_true(utf8_valid(err.text, len));
		assert_memory_equal(err.text, text, len - 3);
	}
}

static void a_sentence_that_just_fits_is_whole(void **state)
{
	char text[ERROR_TEXT_MAX + 1];
	struct error err;

	memset(text, 'x', sizeof(text));
	text[ERROR_TEXT_MAX - 1] = '\0';
	fail(&err, EINVAL, "%s", text);
	assert_string_equal(err.text, text);
	text[ERROR_TEXT_MAX - 1] = 'x';
	text[ERROR_TEXT_MAX] = '\0';
	fail(&err, EINVAL, "%s", text);
	assert_string_equal(err.text + ERROR_TEXT_MAX - 5, "x...");
}

static const struct {
	const char *in, *out;
} printable[] = {
	{ "plain", "plain" },
	{ "a\nb\tc\x7F", "a?b?c?" },
	{ "\x1B[31mred", "?[31mred" },
	{ "\xC2\x9B"
	  "31m",
	  "??31m" }, /* C1 CSI */
	{ "\xC2\xA0\xC3\xA9", "\xC2\xA0\xC3\xA9" },
	{ "\xFF\xC3", "??" },
	{ "\xED\xA0\x80", "???" },
};

static void a_sentence_is_one_printable_line(void **state)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(printable); i++) {
		fail(&err, EINVAL, "%s", printable[i].in);
		assert_string_equal(err.text, printable[i].out);
		report_warning(&report, "%s", printable[i].in);
		assert_string_equal(report.notes[i].text, printable[i].out);
	}
}

static void a_report_keeps_all_in_order(void **state)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct error err;

	assert_int_equal(report_result(&report), 0);
	report_warning(&report, "odd %d", 1);
	assert_int_equal(report_result(&report), 0);
	report_error(&report, ENOENT, "gone %d", 2);
	fail(&err, EDOM, "bad");
	assert_int_equal(report_failure(&report, &err), -EDOM);
	assert_int_equal(report_result(&report), -ENOENT);
	assert_int_equal(report.count, 3);
	assert_int_equal(report.errors, 2);
	assert_int_equal(report.lost, 0);
	assert_int_equal(report.notes[0].kind, NOTE_WARNING);
	assert_int_equal(report.notes[0].code, 0);
	assert_string_equal(report.notes[0].text, "odd 1");
	assert_int_equal(report.notes[1].kind, NOTE_ERROR);
	assert_int_equal(report.notes[1].code, ENOENT);
	assert_string_equal(report.notes[1].text, "gone 2");
	assert_string_equal(report.notes[2].text, "bad");
}

static void a_report_counts_what_it_has_no_room_for(void **state)
{
	AUTO_REPORT struct report report = REPORT_INIT;

	for (int i = 0; i < REPORT_NOTES_MAX; i++)
		report_warning(&report, "w%d", i);
	report_error(&report, EINVAL, "late");
	report_error(&report, EIO, "later");
	assert_int_equal(report.count, REPORT_NOTES_MAX);
	assert_int_equal(report.lost, 2);
	assert_int_equal(report.errors, 2);
	assert_int_equal(report_result(&report), -EINVAL);
}

/* The notes of a part go into the whole with its place, and none is forgotten:
 * neither those it kept, nor those it had no room for. */
static void a_report_takes_in_another(void **state)
{
	AUTO_REPORT struct report part = REPORT_INIT;
	AUTO_REPORT struct report whole = REPORT_INIT;

	report_warning(&whole, "first");
	for (int i = 1; i < REPORT_NOTES_MAX; i++)
		report_warning(&part, "w%d", i);
	report_error(&part, ENOENT, "gone");
	report_error(&part, EIO, "lost");
	report_add_all(&whole, &part, "models[0]");
	assert_string_equal(whole.notes[0].text, "first");
	assert_string_equal(whole.notes[1].text, "models[0]: w1");
	assert_int_equal(whole.notes[1].kind, NOTE_WARNING);
	assert_int_equal(whole.errors, 2);
	assert_int_equal(whole.lost, 2);
	assert_int_equal(report_result(&whole), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_has_code_and_sentence),
		cmocka_unit_test(the_error_may_be_null),
		cmocka_unit_test(context_goes_before_the_sentence),
		cmocka_unit_test(an_argument_may_be_the_sentence_itself),
		cmocka_unit_test(errno_can_be_said),
		cmocka_unit_test(a_long_sentence_is_cut_between_characters),
		cmocka_unit_test(a_sentence_that_just_fits_is_whole),
		cmocka_unit_test(a_sentence_is_one_printable_line),
		cmocka_unit_test(a_report_keeps_all_in_order),
		cmocka_unit_test(a_report_counts_what_it_has_no_room_for),
		cmocka_unit_test(a_report_takes_in_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
