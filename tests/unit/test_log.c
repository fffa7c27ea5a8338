#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "fs/log.h"

#include <cmocka.h>

#define THREADS 8

/* The log without the times, which stand before each line. */
static char *log_without_times(void)
{
	char *text = log_text(NULL);
	char *to = text;

	assert_non_null(text);
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n") + 1;
		const char *rest = memchr(line, ' ', len);
		size_t rest_len;

		assert_non_null(rest);
		assert_int_equal(rest - line, strlen("2000-01-01T00:00:00Z"));
		rest_len = len - (size_t)(rest + 1 - line);
		memmove(to, rest + 1, rest_len);
		to += rest_len;
		line += len;
	}
	*to = '\0';
	return text;
}

/* Fill the ring with lines of another test's own, so that nothing is left. */
static void empty_ring(const char *name)
{
	for (int i = 0; i < LOG_LINES; i++)
		log_line(LOG_INFO, "%s %d", name, i);
}

static const char *last_lines(const char *text, int count)
{
	const char *at = text + strlen(text);

	for (; at > text; at--)
		if (at[-1] == '\n' && count-- == 0)
			break;
	return at;
}

static void a_line_is_one_line_with_its_level(void **state)
{
	char *text;

	log_line(LOG_WARNING, "new\nline %s", "\x1b[31m\t\x7f\xc2\x9b\x9b");
	log_line(LOG_INFO, "caf\xc3\xa9");
	log_line(LOG_ERROR, "end");
	text = log_without_times();
	assert_string_equal(last_lines(text, 3),
			    "warning: new?line ?[31m?????\ninfo: caf\xc3\xa9\n"
			    "error: end\n");
	free(text);
}

static void repeats_are_counted(void **state)
{
	char *text;

	for (int i = 0; i < 5; i++) {
		log_line(LOG_WARNING, "again");
		log_line(LOG_INFO, "between %d", i % 2);
	}
	log_line(LOG_INFO, "again");
	text = log_without_times();
	assert_string_equal(last_lines(text, 4), "warning: again (5 times)\n"
						 "info: between 0 (3 times)\n"
						 "info: between 1 (2 times)\n"
						 "info: again\n");
	free(text);
}

static void the_ring_keeps_the_newest(void **state)
{
	size_t lines = 0, len;
	char *text;

	empty_ring("first");
	log_line(LOG_INFO, "last");
	text = log_text(&len);
	assert_non_null(text);
	assert_int_equal(strlen(text), len);
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	assert_int_equal(lines, LOG_LINES);
	assert_null(strstr(text, "first 0\n"));
	assert_non_null(strstr(text, "first 1\n"));
	assert_non_null(strstr(text, "last\n"));
	free(text);
}

static void reports_become_lines_in_their_order(void **state)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	char *text;

	report_warning(&report, "w");
	report_error(&report, 22, "e");
	log_report(&report);
	text = log_without_times();
	assert_string_equal(last_lines(text, 2), "warning: w\nerror: e\n");
	free(text);
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 200; i++) {
		log_line(LOG_INFO, "the same");
		log_line(LOG_INFO, "thread %d", i % 3);
		free(log_text(NULL));
	}
	return NULL;
}

static void any_thread_may_log(void **state)
{
	pthread_t threads[THREADS];
	char *text;

	empty_ring("before");
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, log_many, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	text = log_text(NULL);
	assert_non_null(strstr(text, "info: the same (1600 times)\n"));
	free(text);
}

static void nothing_goes_to_standard_error_when_it_is_off(void **state)
{
	FILE *capture = tmpfile();
	int before = dup(STDERR_FILENO);
	char text[64] = "";

	assert_non_null(capture);
	dup2(fileno(capture), STDERR_FILENO);
	log_to_stderr(true);
	log_line(LOG_ERROR, "on");
	log_line(LOG_ERROR, "on");
	log_line(LOG_WARNING, "on");
	log_line(LOG_INFO, "on");
	log_to_stderr(false);
	log_line(LOG_ERROR, "off");
	dup2(before, STDERR_FILENO);
	close(before);
	rewind(capture);
	assert_true(fread(text, 1, sizeof(text) - 1, capture) > 0);
	assert_string_equal(text, "llmergefs: on\nllmergefs: warning: on\n"
				  "llmergefs: on\n");
	fclose(capture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_one_line_with_its_level),
		cmocka_unit_test(repeats_are_counted),
		cmocka_unit_test(the_ring_keeps_the_newest),
		cmocka_unit_test(reports_become_lines_in_their_order),
		cmocka_unit_test(any_thread_may_log),
		cmocka_unit_test(nothing_goes_to_standard_error_when_it_is_off),
	};

	log_to_stderr(false);
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
