#include "fs/mount_words.h"

#include <errno.h>
#include <fnmatch.h>
#include <pwd.h>

#include "fs/option_rows.h"

static bool is_fstab_word(const char *word)
{
	static const char *const patterns[] = {
		"defaults", "rw",      "ro",	 "suid",    "nosuid",
		"dev",	    "nodev",   "exec",	 "noexec",  "auto",
		"noauto",   "user",    "nouser", "users",   "owner",
		"group",    "nofail",  "atime",	 "noatime", "relatime",
		"async",    "_netdev", "x-*",	 "X-*",	    "comment=*",
	};

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		if (fnmatch(patterns[i], word, 0) == 0)
			return true;
	return false;
}

/* Remove the backslash before each escaped character, in place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text == '\\' && text[1])
			text++;
		*to++ = *text;
	}
	*to = '\0';
}

/* The end of the word: the first comma without a backslash before it. */
static char *word_end(char *word)
{
	while (*word && *word != ',')
		word += *word == '\\' && word[1] ? 2 : 1;
	return word;
}

/* Whether an option may stand among the words: `-o cache=all,warm`, but not -f,
 * which is for a person. */
static bool is_word(const struct option_row *row)
{
	const unsigned groups =
		OPTIONS_MOUNT | OPTIONS_ENGINE | OPTIONS_CACHE_DIR;

	return row && row->group & groups && !row->letter;
}

/* Apply a word that is an option; false: it is none. */
static bool apply_word(struct options *options, char *word, int *rc,
		       struct error *err)
{
	size_t len = strcspn(word, "=");
	const struct option_row *row = option_row_by_name(word, len);

	if (!is_word(row) || (!row->value && word[len]))
		return false;
	if (!row->value) {
		*rc = option_row_apply(row, options, NULL, err);
		return true;
	}
	if (!word[len]) {
		*rc = fail(err, EINVAL, "-o %s takes a value: %s", word,
			   row->value);
		return true;
	}
	unescape(word + len + 1);
	*rc = option_row_apply(row, options, word + len + 1, err);
	return true;
}

int mount_words_sort(struct options *options, struct error *err)
{
	AUTO_FREE char *words = TAKE(options->mount_options);
	char *kept = words, *word = words, *end;
	bool more = words;
	int rc = 0;

	for (; more && rc == 0; word = end + 1) {
		end = word_end(word);
		more = *end != '\0';
		*end = '\0';
		if (!*word || is_fstab_word(word) ||
		    apply_word(options, word, &rc, err))
			continue;
		if (kept > words)
			*kept++ = ',';
		memmove(kept, word, (size_t)(end - word));
		kept += end - word;
	}
	if (rc == 0 && kept > words) {
		*kept = '\0';
		options->mount_options = TAKE(words);
	}
	return rc;
}

static const char *home(void)
{
	const char *dir = getenv("HOME");
	const struct passwd *user;

	if (dir && *dir == '/')
		return dir;
	/* A mount at boot has no environment. */
	user = getpwuid(geteuid());
	return user && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

/* NULL: no memory, or no place. */
static char *default_dir(void)
{
	const char *own = getenv("LLMERGEFS_CACHE");
	const char *xdg = getenv("XDG_CACHE_HOME");
	char *dir = NULL;

	if (own && *own)
		return strdup(own);
	if (xdg && *xdg == '/')
		return asprintf(&dir, "%s/llmergefs", xdg) < 0 ? NULL : dir;
	if (!home())
		return NULL;
	return asprintf(&dir, "%s/.cache/llmergefs", home()) < 0 ? NULL : dir;
}

int path_settle(char **path, struct error *err)
{
	AUTO_FREE char *cwd = NULL;
	AUTO_FREE char *given = TAKE(*path);
	char *absolute;

	if (!given || *given == '/') {
		*path = TAKE(given);
		return 0;
	}
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return fail(err, errno, "the working directory: %m");
	if (asprintf(&absolute, "%s/%s", cwd, given) < 0)
		return fail(err, ENOMEM, "no memory for the command line");
	*path = absolute;
	return 0;
}

int cache_dir_settle(char **dir, struct error *err)
{
	if (!*dir)
		*dir = default_dir();
	return path_settle(dir, err);
}
