#include <errno.h>

#include "fs/control_inside.h"

#define SETTINGS_MAX 256

/* A command, and where its answer goes. */
struct call {
	struct conversation *conversation;
	const struct json *command;
	FILE *out;
};

static int need_string(const struct call *call, const char *name,
		       const char **value, struct error *err)
{
	*value = json_member_string(call->command, name);
	return *value ? 0 : fail(err, EINVAL, "\"%s\" must be a string", name);
}

static int do_switch(const struct call *call, struct error *err)
{
	const char *name;
	int rc = need_string(call, "name", &name, err);

	if (rc == 0)
		rc = catalog_switch(call->conversation->control->catalog, name,
				    err);
	return rc;
}

/* The strings of the list; -EINVAL where there is anything else. */
static int read_settings(const struct json *list,
			 const char *settings[SETTINGS_MAX], size_t *count,
			 struct error *err)
{
	*count = 0;
	/* None at all take back what was set: that has to be meant. */
	if (!list || list->type != JSON_ARRAY)
		return fail(err, EINVAL,
			    "\"settings\" must be a list of strings, "
			    "PATH=VALUE; an empty one takes them back");
	*count = list->count;
	if (*count > SETTINGS_MAX)
		return fail(err, EINVAL, "at most %d settings at once",
			    SETTINGS_MAX);
	for (size_t i = 0; i < *count; i++) {
		settings[i] = list->items[i]->string;
		if (list->items[i]->type != JSON_STRING)
			return fail(err, EINVAL,
				    "\"settings\" must be strings, PATH=VALUE");
	}
	return 0;
}

static void write_warnings(FILE *out, const struct report *report)
{
	fputs(", \"warnings\": [", out);
	for (size_t i = 0; i < report->count; i++) {
		fputs(i ? ", " : "", out);
		json_write_string(out, report->notes[i].text);
	}
	fputc(']', out);
}

static int do_set(const struct call *call, struct error *err)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	const char *settings[SETTINGS_MAX];
	struct catalog_change change = {
		.name = json_member_string(call->command, "name"),
		.settings = settings,
		.report = &report,
	};
	int rc = read_settings(json_member(call->command, "settings"), settings,
			       &change.count, err);

	if (rc == 0)
		rc = catalog_set(call->conversation->control->catalog, &change,
				 err);
	if (rc)
		return rc;
	fprintf(call->out, ", \"generation\": %u", change.number);
	write_warnings(call->out, &report);
	return 0;
}

static const char *const warm_names[] = {
	[WARM_REDUCTIONS] = "reductions",
	[WARM_PATTERN] = "pattern",
	[WARM_ALL] = "all",
};

/* What catalog_with_lenses() hands on. */
struct warming {
	struct conversation *conversation;
	enum warm_what what;
	const char *pattern;
};

static int warm_lenses(void *ctx, struct lens *const *lenses, size_t count,
		       struct error *err)
{
	struct warming *warming = ctx;
	struct conversation *conversation = warming->conversation;

	conversation->warm =
		warm_open(conversation->control->engine, lenses, count,
			  warming->what, warming->pattern, err);
	return conversation->warm ? 0 : -EINVAL;
}

static int do_warm(const struct call *call, struct error *err)
{
	const char *what = json_member_string(call->command, "what");
	struct conversation *conversation = call->conversation;
	struct warming warming = {
		.conversation = conversation,
		.what = ARRAY_LEN(warm_names),
		.pattern = json_member_string(call->command, "pattern"),
	};
	const struct lens_call lens_call = { warm_lenses, &warming };

	for (size_t i = 0; i < ARRAY_LEN(warm_names); i++)
		if (strcmp(what ? what : "reductions", warm_names[i]) == 0)
			warming.what = (enum warm_what)i;
	if (warming.what == ARRAY_LEN(warm_names))
		return fail(err, EINVAL,
			    "\"what\" is reductions, pattern or all, not "
			    "\"%s\"",
			    what);
	if (warming.what == WARM_PATTERN && !warming.pattern)
		return fail(err, EINVAL, "\"pattern\" must be a string");
	control_end_warm(conversation->control, TAKE(conversation->warm));
	return catalog_with_lenses(conversation->control->catalog,
				   json_member_string(call->command, "name"),
				   &lens_call, err);
}

static int do_progress(const struct call *call, struct error *err)
{
	struct warm_progress p;

	if (!call->conversation->warm)
		return fail(err, EINVAL,
			    "nothing was begun here whose progress there is");
	warm_look(call->conversation->warm, &p);
	fprintf(call->out,
		", \"reductions\": %ju, \"reductions_done\": %ju, "
		"\"bytes\": %ju, \"bytes_done\": %ju, \"failed\": %ju, "
		"\"ended\": %s",
		(uintmax_t)p.reductions, (uintmax_t)p.reductions_done,
		(uintmax_t)p.bytes, (uintmax_t)p.bytes_done,
		(uintmax_t)p.failed, p.ended ? "true" : "false");
	if (p.first.code) {
		fputs(", \"first\": ", call->out);
		json_write_string(call->out, p.first.text);
	}
	return 0;
}

static const struct {
	const char *op;
	int (*run)(const struct call *call, struct error *err);
} commands[] = {
	{ "switch", do_switch },
	{ "set", do_set },
	{ "warm", do_warm },
	{ "progress", do_progress },
};

int control_run(struct conversation *conversation, const struct json *command,
		FILE *out, struct error *err)
{
	const struct call call = { conversation, command, out };
	const char *op;
	int rc = need_string(&call, "op", &op, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(op, commands[i].op) == 0)
			return commands[i].run(&call, err);
	return fail(err, EINVAL, "there is no command \"%s\"", op);
}
