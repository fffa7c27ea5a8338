#include "fs/target.h"

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "core/base/file.h"
#include "fs/size.h"

static int check_empty(const char *path, struct error *err)
{
	AUTO_DIR DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		return fail(err, errno == ENOTDIR ? EINVAL : errno, "%s: %m",
			    path);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			return fail(err, EINVAL,
				    "%s is not empty; name a new folder", path);
	return 0;
}

static int no_memory(struct error *err)
{
	return fail(err, ENOMEM, "no memory for a path");
}

/* A folder that exists. */
static int split_existing(struct target *target, struct error *err)
{
	const char *slash = strrchr(target->path, '/');
	size_t len = (size_t)(slash - target->path);

	if (!slash[1])
		return fail(err, EINVAL, "the root cannot be replaced");
	target->name = strdup(slash + 1);
	target->parent = strndup(target->path, len ? len : 1);
	if (!target->name || !target->parent)
		return no_memory(err);
	return check_empty(target->path, err);
}

/* A folder that does not: its parent is resolved, its name is taken as it is.
 */
static int split_missing(struct target *target, const char *text,
			 struct error *err)
{
	AUTO_FREE char *copy = strdup(text);
	char *name;
	size_t len;

	if (!copy)
		return no_memory(err);
	for (len = strlen(copy); len > 0 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	name = strrchr(copy, '/');
	name = name ? name + 1 : copy;
	target->name = strdup(name);
	if (!target->name)
		return no_memory(err);
	*name = '\0';
	target->parent = realpath(*copy ? copy : ".", NULL);
	if (!target->parent)
		return fail(err, EINVAL, "%s: the folder to write it in: %m",
			    text);
	if (asprintf(&target->path, "%s%s%s", target->parent,
		     target->parent[1] ? "/" : "", target->name) < 0) {
		target->path = NULL;
		return no_memory(err);
	}
	return 0;
}

int target_init(struct target *target, const char *text, struct error *err)
{
	*target = (struct target){ .path = realpath(text, NULL) };
	if (target->path)
		return split_existing(target, err);
	if (!*text)
		return fail(err, EINVAL, "the folder to write has no name");
	if (errno != ENOENT)
		return fail(err, errno == ENOTDIR ? EINVAL : errno, "%s: %m",
			    text);
	return split_missing(target, text, err);
}

void target_done(struct target *target)
{
	free(target->path);
	free(target->parent);
	free(target->name);
	*target = (struct target){ 0 };
}

int target_check_space(const struct target *target, uint64_t bytes,
		       struct error *err)
{
	char need[SIZE_TEXT_MAX], have[SIZE_TEXT_MAX];
	struct statvfs fs;
	uint64_t room;

	/* What cannot say how much room it has is left to the writes. */
	if (statvfs(target->parent, &fs) < 0 || fs.f_blocks == 0 ||
	    !mul_u64(fs.f_bavail, fs.f_frsize, &room) || room >= bytes)
		return 0;
	return fail(err, ENOSPC,
		    "%s: the merged model has %s, but only %s are free",
		    target->parent, size_text(bytes, need),
		    size_text(room, have));
}
