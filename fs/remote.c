/*
 * `switch`, `set` and `warm`: commands to the daemon of a mount.
 */
#include <errno.h>
#include <stdio.h>

#include "core/base/text.h"
#include "fs/client.h"
#include "fs/command.h"
#include "fs/log.h"
#include "fs/size.h"

#define LOOK_NS 100000000L /* between two looks at the progress */
#define CLEAR_LINE "\r\033[K"

/* A command in the making: {"op": "...", "name": "..." */
static int begin_line(struct text *text, const char *op, const char *name)
{
	if (text_open(text) < 0)
		return -ENOMEM;
	fprintf(text->out, "{\"op\": \"%s\", \"name\": ", op);
	json_write_string(text->out, name);
	return 0;
}

static int ask(struct client *client, struct text *text,
	       const struct json **answer, struct error *err)
{
	AUTO_FREE char *line = NULL;

	fputc('}', text->out);
	if (text_take(text, &line, NULL) < 0)
		return fail(err, ENOMEM, "no memory for a command");
	return client_ask(client, line, answer, err);
}

static uint64_t number_of(const struct json *answer, const char *name)
{
	uint64_t number = 0;
	const struct json *value = json_member(answer, name);

	if (value)
		json_u64(value, &number);
	return number;
}

/* --- switch ----------------------------------------------------------------
 */

static int run_switch(const struct options *options, struct client *client,
		      struct error *err)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	const struct json *answer;
	const char *name = client->name;
	int rc;

	if (options->operands_count > 1 && *client->name)
		return fail(err, EINVAL,
			    "%s lies in the mount %s; type: llmergefs switch "
			    "%s %s",
			    options->recipe, client->root, client->root,
			    options->target);
	if (options->operands_count > 1)
		name = options->target;
	if (!*name)
		return fail(err, EINVAL,
			    "name the folder that `current` shall be: "
			    "llmergefs switch %s NAME",
			    client->root);
	if (begin_line(&text, "switch", name) < 0)
		return fail(err, ENOMEM, "no memory for a command");
	rc = ask(client, &text, &answer, err);
	if (rc == 0 && !options->quiet)
		printf("%s/current is %s\n", client->root, name);
	return rc;
}

/* --- set ---------------------------------------------------------------- */

static void print_warnings(const struct json *list)
{
	for (size_t i = 0; list && i < list->count; i++)
		if (list->items[i]->type == JSON_STRING)
			log_line(LOG_WARNING, "%s", list->items[i]->string);
}

static int run_set(const struct options *options, struct client *client,
		   struct error *err)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	const struct json *answer;
	int rc;

	if (begin_line(&text, "set", client->name) < 0)
		return fail(err, ENOMEM, "no memory for a command");
	fputs(", \"settings\": [", text.out);
	for (size_t i = 1; i < options->operands_count; i++) {
		fputs(i > 1 ? ", " : "", text.out);
		json_write_string(text.out, options->operands[i]);
	}
	fputc(']', text.out);
	rc = ask(client, &text, &answer, err);
	if (rc == 0)
		print_warnings(json_member(answer, "warnings"));
	if (rc == 0 && !options->quiet)
		printf("%s%s%s is generation %ju\n", client->root,
		       *client->name ? "/" : "", client->name,
		       (uintmax_t)number_of(answer, "generation"));
	return rc;
}

/* --- warm --------------------------------------------------------------- */

static int begin_warm(const struct options *options, struct client *client,
		      struct error *err)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	const struct json *answer;
	const char *what = "reductions";

	if (options->reductions + options->all + !!options->pattern > 1)
		return fail(err, EINVAL,
			    "give one of --reductions, --pattern and --all");
	if (options->all || options->pattern)
		what = options->all ? "all" : "pattern";
	if (begin_line(&text, "warm", client->name) < 0)
		return fail(err, ENOMEM, "no memory for a command");
	fprintf(text.out, ", \"what\": \"%s\"", what);
	if (options->pattern) {
		fputs(", \"pattern\": ", text.out);
		json_write_string(text.out, options->pattern);
	}
	return ask(client, &text, &answer, err);
}

static void print_progress(FILE *out, const struct json *answer)
{
	char done[SIZE_TEXT_MAX], all[SIZE_TEXT_MAX];

	fprintf(out, "%ju of %ju reductions",
		(uintmax_t)number_of(answer, "reductions_done"),
		(uintmax_t)number_of(answer, "reductions"));
	if (number_of(answer, "bytes"))
		fprintf(out, ", %s of %s of tensors",
			size_text(number_of(answer, "bytes_done"), done),
			size_text(number_of(answer, "bytes"), all));
}

static int wait_for_warm(struct client *client, bool show,
			 const struct json **answer, struct error *err)
{
	const struct json *ended;
	int rc;

	do {
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
		rc = client_ask(client, "{\"op\": \"progress\"}", answer, err);
		if (rc)
			return rc;
		if (show) {
			fputs(CLEAR_LINE "warm: ", stderr);
			print_progress(stderr, *answer);
		}
		ended = json_member(*answer, "ended");
	} while (!ended || !ended->boolean);
	if (show)
		fputs(CLEAR_LINE, stderr);
	return 0;
}

static int run_warm(const struct options *options, struct client *client,
		    struct error *err)
{
	bool show = !options->quiet && isatty(STDERR_FILENO);
	const struct json *answer;
	const char *first;
	int rc = begin_warm(options, client, err);

	if (rc == 0)
		rc = wait_for_warm(client, show, &answer, err);
	if (rc)
		return rc;
	if (!options->quiet) {
		print_progress(stdout, answer);
		putchar('\n');
	}
	if (!number_of(answer, "failed"))
		return 0;
	first = json_member_string(answer, "first");
	return fail(err, EIO, "%ju could not be made; the first: %s",
		    (uintmax_t)number_of(answer, "failed"),
		    first ? first : "no reason was given");
}

/* --- all three ---------------------------------------------------------- */

static int run_remote(const struct options *options,
		      int (*run)(const struct options *options,
				 struct client *client, struct error *err))
{
	AUTO_CLIENT struct client client = CLIENT_INIT;
	struct error err;

	if (client_find(&client, options->recipe, &err) < 0 ||
	    run(options, &client, &err) < 0)
		return command_failed(&err);
	return EXIT_OK;
}

int switch_main(const struct options *options)
{
	return run_remote(options, run_switch);
}

int set_main(const struct options *options)
{
	return run_remote(options, run_set);
}

int warm_main(const struct options *options)
{
	return run_remote(options, run_warm);
}
