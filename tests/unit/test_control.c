#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "fs/control.h"
#include "tests/unit/catalog_fixture.h"

#include <cmocka.h>

/* Two recipes, and a conversation with their daemon. */
struct talk {
	struct served served;
	struct control *control;
	struct conversation *conversation;
};

static void talk_begin(struct talk *talk, const struct fixture *fx)
{
	write_linear(fx, "x.yml", 1);
	fixture_write(fx, "y.yml", ENGINE_TIES, strlen(ENGINE_TIES));
	serve(&talk->served, fx,
	      (const char *const[]){ "x.yml", "y.yml", NULL });
	talk->control = control_open(talk->served.catalog, talk->served.engine);
	assert_non_null(talk->control);
	talk->conversation = conversation_open(talk->control);
	assert_non_null(talk->conversation);
}

static void talk_end(struct talk *talk)
{
	catalog_stop(talk->served.catalog);
	control_close(talk->control);
	serve_end(&talk->served);
}

/* The answers that are there, read a few bytes at a time. */
static void read_answers(struct talk *talk, char text[2048])
{
	size_t len = 0, got;

	while ((got = conversation_read(talk->conversation, text + len, 7)))
		len += got;
	text[len] = '\0';
}

static void say(struct talk *talk, const char *line, char answer[2048])
{
	assert_int_equal(
		conversation_write(talk->conversation, line, strlen(line)), 0);
	read_answers(talk, answer);
}

static void wrong_lines_are_answered(void **state)
{
	static const struct {
		const char *line, *answer;
	} rows[] = {
		{ "{}\n",
		  "{\"ok\": false, \"code\": 2, \"error\": \"\\\"op\\\" "
		  "must be a string\"}\n" },
		{ "[]\n", "{\"ok\": false, \"code\": 2, \"error\": \"a command "
			  "is an object, not a list\"}\n" },
		{ "{\"op\": \"fly\"}\n",
		  "{\"ok\": false, \"code\": 2, \"error\": \"there is no "
		  "command \\\"fly\\\"\"}\n" },
		{ "{\"op\": \"switch\"}\n",
		  "{\"ok\": false, \"code\": 2, \"error\": \"\\\"name\\\" must "
		  "be a string\"}\n" },
		{ "{\"op\": \"set\", \"name\": \"x\", \"settings\": [1]}\n",
		  "{\"ok\": false, \"code\": 2, \"error\": \"\\\"settings\\\" "
		  "must be strings, PATH=VALUE\"}\n" },
		{ "{\"op\": \"warm\", \"what\": \"tea\"}\n",
		  "{\"ok\": false, \"code\": 2, \"error\": \"\\\"what\\\" is "
		  "reductions, pattern or all, not \\\"tea\\\"\"}\n" },
		{ "{\"op\": \"progress\"}\n",
		  "{\"ok\": false, \"code\": 2, \"error\": \"nothing was begun "
		  "here whose progress there is\"}\n" },
		{ "\n", "" },
	};
	struct talk talk;
	char answer[2048];

	talk_begin(&talk, *state);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		say(&talk, rows[i].line, answer);
		assert_string_equal(answer, rows[i].answer);
	}
	say(&talk, "\xff\x01{\n", answer);
	assert_non_null(strstr(answer, "\"ok\": false"));
	talk_end(&talk);
}

/* A line may come in pieces, and several at once; each has its answer. */
static void lines_come_as_they_like(void **state)
{
	static const char line[] = "{\"op\": \"switch\", \"name\": \"y\"}";
	struct talk talk;
	char answer[2048];
	char *target;

	talk_begin(&talk, *state);
	for (size_t i = 0; line[i]; i++) {
		assert_int_equal(
			conversation_write(talk.conversation, line + i, 1), 0);
		read_answers(&talk, answer);
		assert_string_equal(answer, "");
	}
	say(&talk, "\n{\"op\": \"switch\", \"name\": \"x\"}\n{\"op\"", answer);
	assert_string_equal(answer, "{\"ok\": true}\n{\"ok\": true}\n");
	target = tree_link_target(talk.served.tree, "current");
	assert_string_equal(target, "x");
	free(target);
	say(&talk, ": \"switch\", \"name\": \"z\"}\n", answer);
	assert_non_null(strstr(answer, "no folder \\\"z\\\""));
	talk_end(&talk);
}

static void a_line_without_an_end_is_refused(void **state)
{
	AUTO_FREE char *bytes = calloc(1, CONTROL_LINE_MAX);
	struct talk talk;
	char answer[2048];

	assert_non_null(bytes);
	memset(bytes, ' ', CONTROL_LINE_MAX);
	talk_begin(&talk, *state);
	assert_int_equal(
		conversation_write(talk.conversation, bytes, CONTROL_LINE_MAX),
		0);
	assert_int_equal(conversation_write(talk.conversation, bytes, 1),
			 -EFBIG);
	/* It is dropped: what is written next is a line of its own. */
	say(&talk, "[]\n", answer);
	assert_non_null(strstr(answer, "not a list"));
	memcpy(bytes, "{\"op", 4);
	assert_int_equal(
		conversation_write(talk.conversation, bytes, CONTROL_LINE_MAX),
		0);
	assert_int_equal(conversation_write(talk.conversation, "x", 1), -EFBIG);
	say(&talk, "[]\n", answer);
	assert_non_null(strstr(answer, "not a list"));
	talk_end(&talk);
}

static void set_answers_with_generation_and_warnings(void **state)
{
	struct talk talk;
	char answer[2048];

	talk_begin(&talk, *state);
	say(&talk,
	    "{\"op\": \"set\", \"name\": \"x\", \"settings\": "
	    "[\"models[0].parameters.weight=0.75\", \"typo=1\"]}\n",
	    answer);
	assert_non_null(strstr(answer, "{\"ok\": true, \"generation\": 2, "
				       "\"warnings\": [\""));
	assert_non_null(strstr(answer, "typo: unknown key"));
	talk_end(&talk);
}

static void warming_is_looked_at_and_ends(void **state)
{
	struct talk talk;
	char answer[2048];

	talk_begin(&talk, *state);
	say(&talk, "{\"op\": \"warm\"}\n", answer);
	assert_string_equal(answer, "{\"ok\": true}\n");
	do
		say(&talk, "{\"op\": \"progress\"}\n", answer);
	while (!strstr(answer, "\"ended\": true"));
	assert_non_null(strstr(answer, "\"reductions\": 4, "
				       "\"reductions_done\": 4, \"bytes\": 0"));
	assert_int_equal(engine_stats_of(talk.served.engine).reductions, 4);
	say(&talk,
	    "{\"op\": \"warm\", \"name\": \"y\", \"what\": \"pattern\", "
	    "\"pattern\": \"*nothing*\"}\n",
	    answer);
	assert_non_null(strstr(answer, "\"ok\": false, \"code\": 2"));
	talk_end(&talk);
}

/* Who goes in the midst leaves nothing running behind. */
static void a_descriptor_that_is_closed_ends_its_warming(void **state)
{
	struct talk talk;
	char answer[2048];

	talk_begin(&talk, *state);
	for (int i = 0; i < 20; i++) {
		say(&talk, "{\"op\": \"warm\", \"what\": \"all\"}\n", answer);
		assert_string_equal(answer, "{\"ok\": true}\n");
		conversation_close(talk.conversation);
		talk.conversation = conversation_open(talk.control);
		assert_non_null(talk.conversation);
	}
	talk_end(&talk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_lines_are_answered),
		cmocka_unit_test(lines_come_as_they_like),
		cmocka_unit_test(a_line_without_an_end_is_refused),
		cmocka_unit_test(set_answers_with_generation_and_warnings),
		cmocka_unit_test(warming_is_looked_at_and_ends),
		cmocka_unit_test(a_descriptor_that_is_closed_ends_its_warming),
	};

	return cmocka_run_group_tests(tests, engine_fixture_open,
				      engine_fixture_close);
}
