#include "fs/control.h"

#include <errno.h>

#include "fs/control_inside.h"
#include "fs/options.h"

/* --- lines and answers ------------------------------------------------------
 */

static int parse_and_run(struct conversation *conversation, const char *line,
			 size_t len, FILE *out, struct error *err)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct json *tree;
	int rc;

	if (!arena)
		return fail(err, ENOMEM, "no memory for a command");
	rc = json_parse(line, len, arena, &tree, err);
	if (rc)
		return rc;
	if (tree->type != JSON_OBJECT)
		return fail(err, EINVAL, "a command is an object, not %s",
			    json_type_name(tree->type));
	return control_run(conversation, tree, out, err);
}

/* What of the answers was read is forgotten, and this comes after the rest. */
static int add_answer(struct conversation *conversation, const char *text,
		      size_t len)
{
	size_t left = conversation->answers_len - conversation->read_at;
	char *grown;

	if (left)
		memmove(conversation->answers,
			conversation->answers + conversation->read_at, left);
	grown = realloc(conversation->answers, left + len);
	if (!grown)
		return -ENOMEM;
	memcpy(grown + left, text, len);
	conversation->answers = grown;
	conversation->answers_len = left + len;
	conversation->read_at = 0;
	return 0;
}

static int answer_line(struct conversation *conversation, const char *line,
		       size_t len)
{
	AUTO_TEXT struct text members = TEXT_INIT;
	AUTO_TEXT struct text answer = TEXT_INIT;
	AUTO_FREE char *made = NULL;
	AUTO_FREE char *text = NULL;
	struct error err = { 0 };
	size_t text_len;
	int rc;

	if (text_open(&members) < 0 || text_open(&answer) < 0)
		return -ENOMEM;
	rc = parse_and_run(conversation, line, len, members.out, &err);
	if (text_take(&members, &made, NULL) < 0)
		return -ENOMEM;
	if (rc) {
		fprintf(answer.out, "{\"ok\": false, \"code\": %d, \"error\": ",
			exit_code(-rc));
		json_write_string(answer.out, err.text);
		fputs("}\n", answer.out);
	} else {
		fprintf(answer.out, "{\"ok\": true%s}\n", made);
	}
	rc = text_take(&answer, &text, &text_len);
	return rc ? rc : add_answer(conversation, text, text_len);
}

/* The line is whole. */
static int end_line(struct conversation *conversation)
{
	AUTO_FREE char *line = NULL;
	size_t len;
	int rc;

	if (!conversation->line.out)
		return 0;
	rc = text_take(&conversation->line, &line, &len);
	conversation->line_length = 0;
	return rc ? rc : answer_line(conversation, line, len);
}

static int add_to_line(struct conversation *conversation, const char *bytes,
		       size_t len)
{
	struct text *line = &conversation->line;

	if (len > CONTROL_LINE_MAX - conversation->line_length) {
		/* What comes next must not be taken for the end of it. */
		text_done(line);
		conversation->line_length = 0;
		return -EFBIG;
	}
	if (!line->out && text_open(line) < 0)
		return -ENOMEM;
	fwrite(bytes, 1, len, line->out);
	conversation->line_length += len;
	return 0;
}

int conversation_write(struct conversation *conversation, const char *bytes,
		       size_t len)
{
	int rc = 0;

	while (rc == 0 && len > 0) {
		const char *end = memchr(bytes, '\n', len);
		size_t part = end ? (size_t)(end - bytes) : len;

		rc = part ? add_to_line(conversation, bytes, part) : 0;
		if (rc == 0 && end)
			rc = end_line(conversation);
		part += end != NULL;
		bytes += part;
		len -= part;
	}
	return rc;
}

size_t conversation_read(struct conversation *conversation, char *bytes,
			 size_t len)
{
	size_t left = conversation->answers_len - conversation->read_at;

	len = min_u64(len, left);
	if (len)
		memcpy(bytes, conversation->answers + conversation->read_at,
		       len);
	conversation->read_at += len;
	return len;
}

/* --- life --------------------------------------------------------------- */

/* The lock is held: take out one that has ended. NULL: there is none. */
static struct ending *take_ended(struct control *control)
{
	struct warm_progress progress;

	for (struct ending **link = &control->endings; *link;
	     link = &(*link)->next) {
		struct ending *ending = *link;

		warm_look(ending->warm, &progress);
		if (!progress.ended)
			continue;
		*link = ending->next;
		return ending;
	}
	return NULL;
}

void control_end_warm(struct control *control, struct warm *warm)
{
	struct ending *ending = warm ? calloc(1, sizeof(*ending)) : NULL;

	if (warm && !ending)
		warm_close(warm);
	else if (warm)
		warm_stop(warm);
	pthread_mutex_lock(&control->lock);
	if (ending) {
		ending->warm = warm;
		ending->next = control->endings;
		control->endings = ending;
	}
	ending = take_ended(control);
	pthread_mutex_unlock(&control->lock);
	if (ending)
		warm_close(ending->warm);
	free(ending);
}

struct conversation *conversation_open(struct control *control)
{
	struct conversation *conversation = calloc(1, sizeof(*conversation));

	if (!conversation)
		return NULL;
	conversation->control = control;
	pthread_mutex_lock(&control->lock);
	conversation->next = control->all;
	conversation->link = &control->all;
	if (conversation->next)
		conversation->next->link = &conversation->next;
	control->all = conversation;
	pthread_mutex_unlock(&control->lock);
	return conversation;
}

void conversation_close(struct conversation *conversation)
{
	struct control *control = conversation->control;

	pthread_mutex_lock(&control->lock);
	*conversation->link = conversation->next;
	if (conversation->next)
		conversation->next->link = conversation->link;
	pthread_mutex_unlock(&control->lock);
	control_end_warm(control, conversation->warm);
	text_done(&conversation->line);
	free(conversation->answers);
	free(conversation);
}

struct control *control_open(struct catalog *catalog, struct engine *engine)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return NULL;
	control->catalog = catalog;
	control->engine = engine;
	pthread_mutex_init(&control->lock, NULL);
	return control;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	while (control->all)
		conversation_close(control->all);
	while (control->endings) {
		struct ending *ending = control->endings;

		control->endings = ending->next;
		warm_close(ending->warm);
		free(ending);
	}
	pthread_mutex_destroy(&control->lock);
	free(control);
}
