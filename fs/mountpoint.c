#include "fs/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "core/base/file.h"
#include "fs/log.h"
#include "fs/mountinfo.h"
#include "fs/unmount.h"

/* The real path of the parent, and the name: the folder itself may be a mount
 * that does not answer. */
static char *absolute(const char *given)
{
	AUTO_FREE char *for_dir = strdup(given);
	AUTO_FREE char *for_name = strdup(given);
	AUTO_FREE char *parent = NULL;
	char *path = NULL;

	if (!for_dir || !for_name)
		return NULL;
	parent = realpath(dirname(for_dir), NULL);
	if (!parent ||
	    asprintf(&path, "%s/%s", strcmp(parent, "/") ? parent : "",
		     basename(for_name)) < 0)
		return NULL;
	return path;
}

/* A mount whose daemon is gone answers ENOTCONN, or ECONNABORTED while it goes,
 * to what the kernel has to ask: attributes it knows by itself. */
static bool is_dead(const char *path)
{
	struct statvfs st;

	return statvfs(path, &st) < 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}

static int recover_stale(const char *given, struct error *err)
{
	AUTO_FREE char *path = absolute(given);
	struct mountinfo info;
	int rc;

	if (!path || !mountinfo_find(path, &info) ||
	    strcmp(info.fstype, MOUNTPOINT_FSTYPE) != 0)
		return fail(err, ENOTCONN,
			    "%s: a dead mount of another kind is in the way; "
			    "unmount it first: fusermount3 -uz '%s'",
			    given, given);
	rc = unmount(path, true);
	if (rc)
		return fail(err, -rc,
			    "%s: cannot unmount what a killed llmergefs left: "
			    "%s",
			    given, strerror(-rc));
	log_line(LOG_WARNING, "%s: unmounted what a killed llmergefs left",
		 given);
	return 0;
}

int mountpoint_prepare(const char *given, char **path, struct error *err)
{
	struct stat st;
	int rc = 0;

	if (is_dead(given))
		rc = recover_stale(given, err);
	if (rc)
		return rc;
	if (stat(given, &st) < 0 && errno == ENOENT)
		return fail(err, ENOENT,
			    "%s does not exist; make the folder first: mkdir "
			    "'%s'",
			    given, given);
	*path = realpath(given, NULL);
	if (!*path)
		return fail(err, errno, "%s: %m", given);
	if (stat(*path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	free(TAKE(*path));
	return fail(err, ENOTDIR, "%s is not a folder", given);
}

/* Whether a path lies in a folder, both absolute and free of links. */
static bool lies_in(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	if (strcmp(folder, "/") == 0)
		return true;
	return strncmp(path, folder, len) == 0 &&
	       (path[len] == '/' || path[len] == '\0');
}

/* The real path of what is there of a path: all of it, or the folder that it
 * would be made in. */
static char *real_part(const char *path)
{
	AUTO_FREE char *part = strdup(path);
	char *real = NULL, *slash;

	while (part && !(real = realpath(part, NULL)) && errno == ENOENT &&
	       (slash = strrchr(part, '/')) && slash > part)
		*slash = '\0';
	return real;
}

int mountpoint_hides(const char *folder, const char *path, const char *what,
		     struct error *err)
{
	AUTO_FREE char *real = real_part(path);

	if (!real || !lies_in(real, folder))
		return 0;
	return fail(err, EINVAL,
		    "%s, %s, would be hidden by a mount on %s; mount somewhere "
		    "else",
		    path, what, folder);
}

int mountpoint_check(const char *path, struct source_set *sources,
		     const char *cache_dir, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < source_set_count(sources); i++)
		rc = mountpoint_hides(path,
				      source_path(source_set_at(sources, i)),
				      "a model", err);
	if (rc == 0 && cache_dir)
		rc = mountpoint_hides(path, cache_dir, "the cache", err);
	return rc;
}

int mountpoint_read_ahead(const char *path, unsigned kib, struct error *err)
{
	AUTO_FD int fd = -1;
	struct mountinfo info;
	char file[80], text[16];
	int len;

	if (!mountinfo_find(path, &info))
		return fail(err, ENOENT, "%s is not in /proc/self/mountinfo",
			    path);
	snprintf(file, sizeof(file), "/sys/class/bdi/%s/read_ahead_kb",
		 info.device);
	len = snprintf(text, sizeof(text), "%u", kib);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && file_write_at(fd, text, (size_t)len, 0) == 0)
		return 0;
	return fail(err, EACCES,
		    "read-ahead stays at the kernel's default, which makes "
		    "mapped reads slower; as root: echo %u > %s",
		    kib, file);
}

const char *mountpoint_refusal(void)
{
	if (access("/dev/fuse", F_OK) != 0)
		return "there is no /dev/fuse; load the module (modprobe "
		       "fuse), or give the container the device (docker run "
		       "--device /dev/fuse --cap-add SYS_ADMIN)";
	if (access("/dev/fuse", R_OK | W_OK) != 0)
		return "/dev/fuse cannot be opened; give the container the "
		       "device (docker run --device /dev/fuse --cap-add "
		       "SYS_ADMIN)";
	return "FUSE refused the mount; its own words are above";
}
