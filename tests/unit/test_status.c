#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/text.h"
#include "fs/status.h"

#include <cmocka.h>

#define LONG_NAME "models.0.parameters.weight=0.25,models.1.weight=0.75"

/* The numbers that move from one sample to the next. */
static struct status_sample sample_of(double uptime, double a, double point)
{
	struct status_sample sample = STATUS_SAMPLE_INIT;
	struct error err;
	char *text = NULL;
	int len = asprintf(
		&text,
		"{\"schema\": \"llmergefs-stats-1\", \"uptime_seconds\": %f,"
		"\"current\": \"s/lambda=0.4\", \"bytes_served\": %f,"
		"\"reading\": 3, \"queued\": 2, \"parked\": 17, \"errors\": 1,"
		"\"nonfinite\": 3, \"nonfinite_tensors\": {\"a/x\": 3},"
		"\"readers\": {\"files\": 3, \"processes\": 1},"
		"\"memory\": {\"resident_bytes\": 212000000},"
		"\"methods\": {\"ties\": {\"bytes_merged\": 3400000000,"
		"\"merge_seconds\": 2, \"reductions\": 290,"
		"\"reduce_seconds\": 75}},"
		"\"shared\": {\"tensors\": 5800, \"distinct\": 290,"
		"\"shared_tensors\": 20, \"shared_bytes\": 269000000},"
		"\"cache\": {\"memory_bytes\": 12000000,"
		"\"memory_budget\": 512000000},"
		"\"recipes\": ["
		"{\"name\": \"a\", \"path\": \"/r/a.yml\", \"generation\": 1,"
		"\"settings\": 2, \"bytes\": 269000000, \"bytes_served\": %f},"
		"{\"name\": \"b\xc3\xa4\", \"path\": \"/r/b.yml\","
		"\"generation\": 0, \"error\": \"b.yml: models[1]: a sentence "
		"that is too long for one line of a terminal of "
		"old\\nsecond\"},"
		"{\"name\": \"s\", \"path\": \"/r/s.yml\", \"generation\": 1,"
		"\"points\": [{\"name\": \"lambda=0.2\", \"bytes_served\": 0},"
		"{\"name\": \"lambda=0.4\", \"bytes_served\": %f},"
		"{\"name\": \"" LONG_NAME "\", \"bytes_served\": 5}]}]}\n",
		uptime, a + point, a, point);

	assert_true(len > 0);
	if (status_sample_init(&sample, text, (size_t)len, &err) < 0)
		fail_msg("%s", err.text);
	return sample;
}

static char *draw(const struct status_sample *before,
		  const struct status_sample *now, const char *name,
		  size_t rows_max)
{
	const struct status_view view = {
		.root = "/mnt/ab",
		.name = name,
		.rows_max = rows_max,
		.before = before ? before->stats : NULL,
		.now = now->stats,
	};
	AUTO_TEXT struct text text = TEXT_INIT;
	char *bytes = NULL;

	assert_int_equal(text_open(&text), 0);
	assert_int_equal(status_draw(text.out, &view), 0);
	assert_int_equal(text_take(&text, &bytes, NULL), 0);
	return bytes;
}

/* The line that begins so, blanks made one. */
static const char *line_of(const char *text, const char *start)
{
	static char line[256];
	size_t at = 0;

	for (; strncmp(text, start, strlen(start)) != 0; text++) {
		text += strcspn(text, "\n");
		if (!*text)
			return "";
	}
	for (; *text && *text != '\n' && at < sizeof(line) - 1; text++)
		if (*text != ' ' || (at && line[at - 1] != ' '))
			line[at++] = *text;
	line[at] = '\0';
	return line;
}

static void two_samples_give_the_rates_of_now(void **state)
{
	AUTO_STATUS_SAMPLE struct status_sample before =
		sample_of(10, 1e9, 1e6);
	AUTO_STATUS_SAMPLE struct status_sample now =
		sample_of(10.5, 1.6e9, 51e6);
	AUTO_FREE char *text = draw(&before, &now, "", 100);

	assert_string_equal(line_of(text, "a "),
			    "a 1 269 MB 1.6 GB 1.2 GB/s 2 settings");
	assert_string_equal(line_of(text, "  lambda=0.4"),
			    "lambda=0.4 51 MB 100 MB/s current");
	assert_string_equal(line_of(text, "served"),
			    "served 1.7 GB 1.3 GB/s 157 MB/s");
}

static void all_parts_are_told(void **state)
{
	AUTO_STATUS_SAMPLE struct status_sample now = sample_of(7511, 1e9, 1e6);
	AUTO_FREE char *text = draw(NULL, &now, "", 100);

	assert_string_equal(line_of(text, "/mnt"), "/mnt/ab");
	assert_string_equal(line_of(text, "up"),
			    "up 2 h 05 min; memory 212 MB, 0 bytes of it "
			    "cache; 1 reader, 3 files open");
	assert_string_equal(line_of(text, "current"),
			    "current -> s/lambda=0.4");
	assert_string_equal(line_of(text, "ties"),
			    "ties 3.4 GB 2.00 s 1.7 GB/s 290 1 min 15 s");
	assert_string_equal(line_of(text, "queue"),
			    "queue 3 reading, 2 queued; so far 17 parked, 1 "
			    "failed, 0 cancelled");
	assert_string_equal(line_of(text, "shared"),
			    "shared 20 of 290 different tensors, 269 MB; in "
			    "all 5800, -");
	assert_string_equal(line_of(text, "cache"),
			    "cache memory 12 MB of 512 MB, disk 0 bytes");
	assert_string_equal(line_of(text, "served"),
			    "served 1.0 GB - 133 kB/s");
	assert_non_null(strstr(text, "trouble 3 numbers that are not finite"));
	assert_non_null(strstr(text, ".llmergefs/log"));
}

static void no_line_is_wider_than_a_terminal(void **state)
{
	AUTO_STATUS_SAMPLE struct status_sample before =
		sample_of(8e6, 1e18, 1e6);
	AUTO_STATUS_SAMPLE struct status_sample now =
		sample_of(8e6 + 1, 1.8e19, 999499999999);
	AUTO_FREE char *text = draw(&before, &now, "", 100);

	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n"), chars = 0;

		for (size_t i = 0; i < len; i++)
			chars += ((unsigned char)line[i] & 0xC0) != 0x80;
		if (chars > STATUS_COLUMNS)
			fail_msg("%.*s", (int)len, line);
		if (len && line[len - 1] == ' ')
			fail_msg("blank at the end: '%.*s'", (int)len, line);
		line += len + 1;
	}
	assert_non_null(strstr(text, "  ..=0.25,models.1.weight=0.75"));
}

static void columns_count_characters_not_bytes(void **state)
{
	AUTO_STATUS_SAMPLE struct status_sample now = sample_of(1, 1, 1);
	AUTO_FREE char *text = draw(NULL, &now, "", 100);
	const char *a = strstr(text, "\na "), *b = strstr(text, "\nb\xc3\xa4 ");

	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(strcspn(strchr(a, '1'), "\n") +
				 (size_t)(strchr(a, '1') - a),
			 strcspn(a + 1, "\n") + 1);
	/* The generation's column is the same, one byte later. */
	assert_int_equal(strchr(b, '-') - b, strchr(a, '1') - a + 1);
}

static void what_is_broken_says_why(void **state)
{
	AUTO_STATUS_SAMPLE struct status_sample now = sample_of(1, 1, 1);
	AUTO_FREE char *text = draw(NULL, &now, "", 100);

	assert_string_equal(line_of(text, "b\xc3\xa4"),
			    "b\xc3\xa4 - - - - broken");
	assert_non_null(strstr(text,
			       "\n    b.yml: models[1]: a sentence that is too "
			       "long for one line of a terminal\n    of old\n"
			       "    (1 more in .llmergefs/errors)\n"));
}

static void points_are_shown_that_were_read(void **state)
{
	AUTO_STATUS_SAMPLE struct status_sample now = sample_of(1, 1, 1);
	AUTO_FREE char *text = draw(NULL, &now, "", 100);

	assert_null(strstr(text, "  lambda=0.2"));
	assert_non_null(strstr(text, "  lambda=0.4"));
	assert_non_null(strstr(text, "  3 points, 2 of them read\n"));
}

static void a_name_shows_its_folder_whole_and_alone(void **state)
{
	AUTO_STATUS_SAMPLE struct status_sample now = sample_of(1, 1, 1);
	AUTO_FREE char *sweep = draw(NULL, &now, "s", 100);
	AUTO_FREE char *point = draw(NULL, &now, "s/lambda=0.4", 100);

	assert_non_null(strstr(sweep, "\ns "));
	assert_non_null(strstr(sweep, "  lambda=0.2"));
	assert_null(strstr(sweep, "\na "));
	assert_non_null(strstr(point, "  lambda=0.4"));
	assert_null(strstr(point, "  lambda=0.2"));
	assert_null(strstr(point, "\ns "));
}

static void what_has_no_room_is_counted_the_quiet_first(void **state)
{
	AUTO_STATUS_SAMPLE struct status_sample before = sample_of(1, 1, 1);
	AUTO_STATUS_SAMPLE struct status_sample now = sample_of(2, 1, 1e9);
	AUTO_FREE char *text = draw(&before, &now, "", 2);

	assert_non_null(strstr(text, "  lambda=0.4"));
	assert_non_null(strstr(text, "broken"));
	assert_null(strstr(text, "\na "));
	assert_non_null(strstr(text, "(3 more; --json has all)\n"));
}

static void another_daemon_in_the_place_has_no_rate(void **state)
{
	AUTO_STATUS_SAMPLE struct status_sample before =
		sample_of(1000, 1e6, 1e6);
	AUTO_STATUS_SAMPLE struct status_sample now = sample_of(1, 2e6, 2e6);
	AUTO_FREE char *text = draw(&before, &now, "", 100);

	assert_string_equal(line_of(text, "a "),
			    "a 1 269 MB 2.0 MB - 2 settings");
	assert_string_equal(line_of(text, "served"),
			    "served 4.0 MB - 4.0 MB/s");
}

static void what_is_no_stats_json_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[1]",
		"{\"schema\": \"llmergefs-stats-2\"}",
		"{\"schema\": \"llmergefs-stats-1\"",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO_STATUS_SAMPLE struct status_sample sample =
			STATUS_SAMPLE_INIT;
		struct error err = { 0 };

		assert_int_equal(status_sample_init(&sample, strdup(texts[i]),
						    strlen(texts[i]), &err),
				 -EBADMSG);
		assert_int_equal(strncmp(err.text, "stats.json: ", 12), 0);
	}
}

static void times_are_as_people_say_them(void **state)
{
	static const struct {
		double seconds;
		const char *text;
	} rows[] = {
		{ 0, "0.00 s" },	  { 9.994, "9.99 s" },
		{ 9.996, "10 s" },	  { 59.4, "59 s" },
		{ 59.6, "1 min 00 s" },	  { 3599.6, "1 h 00 min" },
		{ 86399, "23 h 59 min" }, { 90000, "1 d 1 h" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[STATUS_TEXT_MAX];

		assert_string_equal(status_time(rows[i].seconds, text),
				    rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_samples_give_the_rates_of_now),
		cmocka_unit_test(all_parts_are_told),
		cmocka_unit_test(no_line_is_wider_than_a_terminal),
		cmocka_unit_test(columns_count_characters_not_bytes),
		cmocka_unit_test(what_is_broken_says_why),
		cmocka_unit_test(points_are_shown_that_were_read),
		cmocka_unit_test(a_name_shows_its_folder_whole_and_alone),
		cmocka_unit_test(what_has_no_room_is_counted_the_quiet_first),
		cmocka_unit_test(another_daemon_in_the_place_has_no_rate),
		cmocka_unit_test(what_is_no_stats_json_is_refused),
		cmocka_unit_test(times_are_as_people_say_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
