#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/hub.h"

#define HUB_ID_MAX 96
#define HUB_COMMIT_MAX 64
#define HUB_REF_SIZE_MAX 128
#define HUB_REVISION "main"

#define ALNUM "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool is_name(const char *text, size_t len)
{
	static const char edges[] = "-.";

	return len > 0 && strspn(text, ALNUM "-_.") >= len &&
	       !strchr(edges, text[0]) && !strchr(edges, text[len - 1]);
}

bool hub_is_id(const char *text)
{
	size_t len = strlen(text), org = strcspn(text, "/");

	if (len > HUB_ID_MAX || strstr(text, "--") || strstr(text, ".."))
		return false;
	if (org == len)
		return is_name(text, len);
	return is_name(text, org) && is_name(text + org + 1, len - org - 1);
}

bool hub_is_revision(const char *text)
{
	return text[0] != '\0' && text[0] != '/' && text[0] != '-' &&
	       strlen(text) <= HUB_ID_MAX && !strstr(text, "..") &&
	       strspn(text, ALNUM "-_./") == strlen(text);
}

/* value + suffix, with the home folder for a "~" in front. */
static char *root_at(const char *value, const char *suffix)
{
	const char *home = "";
	char *root;

	if (value[0] == '~' && (value[1] == '/' || value[1] == '\0')) {
		home = getenv("HOME");
		value++;
	}
	if (!home || asprintf(&root, "%s%s%s", home, value, suffix) < 0)
		return NULL;
	return root;
}

char *hub_root(void)
{
	static const struct {
		const char *variable, *suffix;
	} places[] = {
		{ "HF_HUB_CACHE", "" },
		{ "HUGGINGFACE_HUB_CACHE", "" },
		{ "HF_HOME", "/hub" },
		{ "XDG_CACHE_HOME", "/huggingface/hub" },
		{ "HOME", "/.cache/huggingface/hub" },
	};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		const char *value = getenv(places[i].variable);

		if (value && value[0] != '\0')
			return root_at(value, places[i].suffix);
	}
	return NULL;
}

/* <root>/models--org--name */
static char *repository(const char *root, const char *id)
{
	const char *name = strchr(id, '/');
	char *path;
	int len;

	if (name)
		len = asprintf(&path, "%s/models--%.*s--%s", root,
			       (int)(name - id), id, name + 1);
	else
		len = asprintf(&path, "%s/models--%s", root, id);
	return len < 0 ? NULL : path;
}

static char *file_of(const char *repo, const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s/%s", repo, folder, name) < 0 ? NULL
								   : path;
}

static int snapshot(const char *repo, const char *commit, char **dir)
{
	AUTO_FREE char *path = file_of(repo, "snapshots", commit);
	struct stat st;

	if (!path)
		return -ENOMEM;
	if (stat(path, &st) < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOENT;
	*dir = TAKE(path);
	return 0;
}

/* The commit that the file of a branch or tag holds. */
static int read_ref(const char *path, char commit[HUB_COMMIT_MAX + 1])
{
	AUTO_FREE char *text = NULL;
	size_t len, digits;
	int rc;

	rc = file_slurp(path, HUB_REF_SIZE_MAX, &text, &len, NULL);
	if (rc)
		return rc == -ENOMEM || rc == -EACCES ? rc : -ENOENT;
	digits = strspn(text, ALNUM);
	if (digits == 0 || digits > HUB_COMMIT_MAX ||
	    digits + strspn(text + digits, "\r\n") != len)
		return -ENOENT;
	memcpy(commit, text, digits);
	commit[digits] = '\0';
	return 0;
}

int hub_find(const char *root, const char *id, const char *revision, char **dir)
{
	const char *name = revision ? revision : HUB_REVISION;
	AUTO_FREE char *repo = repository(root, id);
	AUTO_FREE char *ref = repo ? file_of(repo, "refs", name) : NULL;
	char commit[HUB_COMMIT_MAX + 1];
	int rc;

	if (!ref)
		return -ENOMEM;
	rc = read_ref(ref, commit);
	if (rc == 0)
		return snapshot(repo, commit, dir);
	if (rc != -ENOENT || strchr(name, '/'))
		return rc;
	return snapshot(repo, name, dir);
}
