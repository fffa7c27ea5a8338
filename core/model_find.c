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

/* `path` below `base`. Where there is none, -ENOENT without a sentence. */
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

/* Say in which folders a relative path was looked for, and `rest`. */
static int fail_nowhere(const struct model_ref *ref,
			const struct model_dirs *dirs, const char *rest,
			struct error *err)
{
	const char *recipe_dir = dirs->recipe;
	AUTO_FREE char *cwd =
		dirs->working ? strdup(dirs->working) : getcwd(NULL, 0);
	bool other = cwd && strcmp(cwd, recipe_dir) != 0;

	return fail(err, ENOENT, "model \"%s\": no such folder in %s%s%s%s",
		    ref->text, recipe_dir, other ? " or " : "",
		    other ? cwd : "", rest);
}

/* The ids that are looked for here are also relative paths. */
static int find_in_hub(const struct model_ref *ref,
		       const struct model_dirs *dirs, struct arena *arena,
		       struct model_place *place, struct error *err)
{
	AUTO_FREE char *root = hub_root();
	AUTO_FREE char *dir = NULL;
	const char *rest;
	int rc;

	if (!root)
		return fail_nowhere(ref, dirs,
				    ", and the place of the Hugging Face cache "
				    "is not known: set HF_HOME",
				    err);
	place->remedy =
		arena_printf(arena, ": get it with `hf download %s%s%s`",
			     ref->path, ref->revision ? " --revision " : "",
			     ref->revision ? ref->revision : "");
	if (!place->remedy)
		return no_memory(err);
	rest = arena_printf(arena, ", nor in the Hugging Face cache %s%s", root,
			    place->remedy);
	if (!rest)
		return no_memory(err);
	rc = hub_find(root, ref->path, ref->revision, &dir);
	if (rc == -ENOENT)
		return fail_nowhere(ref, dirs, rest, err);
	if (rc)
		return fail(err, -rc, "model \"%s\": %s: %s", ref->text, root,
			    strerror(-rc));
	place->in_hub = true;
	return settle(dir, arena, place, err);
}

int model_find(const struct model_ref *ref, const struct model_dirs *dirs,
	       struct arena *arena, struct model_place *place,
	       struct error *err)
{
	int rc;

	*place = (struct model_place){ .remedy = "" };
	rc = find_below(dirs->recipe, ref->path, arena, place, err);
	if (rc == -ENOENT)
		rc = find_below(dirs->working ? dirs->working : ".", ref->path,
				arena, place, err);
	if (rc != -ENOENT)
		return rc;
	if (ref->path[0] == '/')
		return fail(err, ENOENT,
			    "model \"%s\": there is no such folder", ref->text);
	if (!hub_is_id(ref->path))
		return fail_nowhere(ref, dirs,
				    ref->path[0] == '~'
					    ? " ('~' is not expanded: write "
					      "the path out)"
					    : "",
				    err);
	if (ref->revision && !hub_is_revision(ref->revision))
		return fail(err, EINVAL,
			    "model \"%s\": \"%s\" is no revision's name",
			    ref->text, ref->revision);
	return find_in_hub(ref, dirs, arena, place, err);
}
