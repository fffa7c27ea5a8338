#include "fs/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/base/text.h"
#include "fs/options.h"

#define LIVE_TEXT_MAX (256u << 20)
#define ANSWER_CHUNK 65536

/* The absolute path of what may not be there itself; the caller frees it. */
static char *absolute(const char *path)
{
	AUTO_FREE char *copy = strdup(path);
	AUTO_FREE char *parent = NULL;
	char *real = realpath(path, NULL), *slash;

	if (real || !copy)
		return real;
	slash = strrchr(copy, '/');
	if (slash)
		*slash = '\0';
	parent = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
	if (!parent ||
	    asprintf(&real, "%s/%s", parent, slash ? slash + 1 : copy) < 0)
		return NULL;
	return real;
}

static bool has_control(const char *dir)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s/.llmergefs/control", dir) < 0) {
		path = NULL;
		return false;
	}
	return access(path, F_OK) == 0;
}

/* Cut the path at the root of a mount; what is after it is the name. */
static bool split_at_root(struct client *client, const char *path)
{
	size_t end = strlen(path);

	while (end > 0) {
		AUTO_FREE char *prefix = strndup(path, end);

		if (prefix && has_control(prefix)) {
			client->root = TAKE(prefix);
			client->name = strdup(path + end + (path[end] == '/'));
			return client->name;
		}
		while (end > 0 && path[--end] != '/')
			;
	}
	return false;
}

int client_find(struct client *client, const char *path, struct error *err)
{
	AUTO_FREE char *real = absolute(path);

	*client = (struct client)CLIENT_INIT;
	if (!real)
		return fail(err, EINVAL, "%s: %m", path);
	if (!split_at_root(client, real))
		return fail(err, EINVAL,
			    "%s is no mount of llmergefs, nor a folder of one",
			    path);
	return 0;
}

static int open_control(struct client *client, struct error *err)
{
	AUTO_FREE char *path = NULL;

	if (client->fd >= 0)
		return 0;
	if (asprintf(&path, "%s/.llmergefs/control", client->root) < 0) {
		path = NULL;
		return fail(err, ENOMEM, "no memory");
	}
	client->fd = open(path, O_RDWR | O_CLOEXEC);
	if (client->fd >= 0)
		return 0;
	if (errno == EACCES || errno == EPERM)
		return fail(err, errno,
			    "%s: only the one who mounted it may command it",
			    client->root);
	return fail(err, errno, "%s: %m", path);
}

static int send_line(const struct client *client, const char *line,
		     struct error *err)
{
	AUTO_FREE char *text = NULL;
	ssize_t sent;
	int len = asprintf(&text, "%s\n", line);

	if (len < 0) {
		text = NULL;
		return fail(err, ENOMEM, "no memory");
	}
	sent = write(client->fd, text, (size_t)len);
	if (sent == len)
		return 0;
	return fail(err, sent < 0 ? errno : EIO, "%s: the command: %s",
		    client->root, sent < 0 ? strerror(errno) : "cut short");
}

/* Read up to the end of the line, which is not kept. */
static int receive_line(const struct client *client, char **line, size_t *len,
			struct error *err)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	char chunk[ANSWER_CHUNK];
	ssize_t got = 0;

	if (text_open(&text) < 0)
		return fail(err, ENOMEM, "no memory");
	do {
		got = read(client->fd, chunk, sizeof(chunk));
		if (got > 0)
			fwrite(chunk, 1, (size_t)got, text.out);
	} while (got > 0 && chunk[got - 1] != '\n');
	if (got <= 0)
		return fail(err, got < 0 ? errno : EIO, "%s: the answer: %s",
			    client->root,
			    got < 0 ? strerror(errno) : "cut short");
	if (text_take(&text, line, len) < 0)
		return fail(err, ENOMEM, "no memory");
	return 0;
}

/* The error that has this exit code. */
static int errno_of(uint64_t code)
{
	static const int codes[] = { EINVAL, ENOENT, EBADMSG };

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if ((uint64_t)exit_code(codes[i]) == code)
			return codes[i];
	return EIO;
}

static int check_answer(const struct json *answer, struct error *err)
{
	const struct json *ok = json_member(answer, "ok");
	const char *why = json_member_string(answer, "error");
	uint64_t code = 0;

	if (ok && ok->boolean)
		return 0;
	json_u64(json_member(answer, "code"), &code);
	return fail(err, errno_of(code), "%s",
		    why ? why : "the daemon gave no reason");
}

/* The answer before goes. */
static int parse_answer(struct client *client, const char *text, size_t len,
			struct json **tree, struct error *err)
{
	arena_close(client->arena);
	client->arena = arena_open();
	if (!client->arena)
		return fail(err, ENOMEM, "no memory");
	return json_parse(text, len, client->arena, tree, err);
}

int client_ask(struct client *client, const char *line,
	       const struct json **answer, struct error *err)
{
	AUTO_FREE char *text = NULL;
	struct json *tree;
	size_t len = 0;
	int rc = open_control(client, err);

	if (rc == 0)
		rc = send_line(client, line, err);
	if (rc == 0)
		rc = receive_line(client, &text, &len, err);
	if (rc == 0)
		rc = parse_answer(client, text, len, &tree, err);
	if (rc)
		return rc;
	*answer = tree;
	return check_answer(tree, err);
}

int client_read(const struct client *client, const char *name, char **text,
		size_t *len, struct error *err)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s/.llmergefs/%s", client->root, name) < 0) {
		path = NULL;
		return fail(err, ENOMEM, "no memory");
	}
	return file_slurp(path, LIVE_TEXT_MAX, text, len, err);
}

void client_done(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	arena_close(client->arena);
	free(client->root);
	free(client->name);
	*client = (struct client)CLIENT_INIT;
}
