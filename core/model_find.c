#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/hub.h"
#include "core/model_find.h"

static int no_memory(struct error *err)
{
	return fail(err, ENOMEM, "no memory");
}

static int settle(const char *dir, struct arena *arena,
		  struct model_place *place, struct error *err)
{
	AUTO_FREE char *real = realpath(dir, NULL);

	if (!real)
		return fail(err, errno, "%s: %m", dir);
	place->dir = arena_strdup(arena, real);
	return place->dir ? 0 : no_memory(err);
}

/* `path` below `base`, if that is a folder; *found says so. */
static int find_below(const char *base, const char *path, struct arena *arena,
		      struct model_place *place, struct error *err)
{
	AUTO_FREE char *joined = NULL;
	struct stat st;

	if (asprintf(&joined, "%s%s%s", path[0] == '/' ? "" : base,
		     path[0] == '/' ? "" : "/", path) < 0) {
		joined = NULL;
		return no_memory(err);
	}
	if (stat(joined, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? -ENOENT
			       : fail(err, errno, "%s: %m", joined);
	if (!S_ISDIR(st.st_mode))
		return fail(err, EINVAL,
			    "%s is no folder; a model is the folder that its "
			    "files are in",
			    joined);
	return settle(joined, arena, place, err);
}

/* " or in <working directory>", where that is another place to look at. */
static int fail_nowhere(const struct model_ref *ref, const char *recipe_dir,
			struct error *err)
{
	AUTO_FREE char *cwd = getcwd(NULL, 0);
	bool other = cwd && strcmp(cwd, recipe_dir) != 0;

	if (ref->path[0] == '/')
		return fail(err, ENOENT,
			    "model \"%s\": there is no such folder", ref->text);
	return fail(err, ENOENT, "model \"%s\": no such folder in %s%s%s%s",
		    ref->text, recipe_dir, other ? " or " : "",
		    other ? cwd : "",
		    ref->path[0] == '~'
			    ? " ('~' is not expanded: write the path out)"
			    : "");
}

static const char *download_line(const struct model_ref *ref,
				 struct arena *arena)
{
	return ref->revision
		       ? arena_printf(arena, "hf download %s --revision %s",
				      ref->path, ref->revision)
		       : arena_printf(arena, "hf download %s", ref->path);
}

static int find_in_hub(const struct model_ref *ref, struct arena *arena,
		       struct model_place *place, struct error *err)
{
	AUTO_FREE char *root = hub_root(), *dir = NULL;
	const char *download = download_line(ref, arena);
	int rc;

	if (!root)
		return fail(err, ENOENT,
			    "model \"%s\": no such folder, and no Hugging Face "
			    "cache: set HF_HOME or HOME",
			    ref->text);
	rc = hub_find(root, ref->path, ref->revision, &dir);
	if (rc == -ENOENT && download)
		return fail(err, ENOENT,
			    "model \"%s\": no such folder, and not in the "
			    "Hugging Face cache (%s): get it with `%s`",
			    ref->text, root, download);
	if (rc)
		return fail(err, -rc, "model \"%s\": %s: %s", ref->text, root,
			    strerror(-rc));
	place->in_hub = true;
	place->remedy = arena_printf(arena, ": get it with `%s`", download);
	return place->remedy ? settle(dir, arena, place, err) : no_memory(err);
}

int model_find(const struct model_ref *ref, const char *recipe_dir,
	       struct arena *arena, struct model_place *place,
	       struct error *err)
{
	int rc;

	*place = (struct model_place){ .remedy = "" };
	rc = find_below(recipe_dir, ref->path, arena, place, err);
	if (rc == -ENOENT)
		rc = find_below(".", ref->path, arena, place, err);
	if (rc != -ENOENT)
		return rc;
	if (!hub_is_id(ref->path))
		return fail_nowhere(ref, recipe_dir, err);
	if (ref->revision && !hub_is_revision(ref->revision))
		return fail(err, EINVAL,
			    "model \"%s\": \"%s\" is no revision's name",
			    ref->text, ref->revision);
	return find_in_hub(ref, arena, place, err);
}
