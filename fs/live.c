#include "fs/live.h"

#include <errno.h>
#include <stdio.h>

#include "fs/figures.h"
#include "fs/log.h"

#define LIVE_DIR ".llmergefs"

/* --- of the mount ------------------------------------------------------- */

static int make_figures(const struct live *live,
			int (*write)(const struct figures *figures, char **text,
				     size_t *len),
			char **text, size_t *len)
{
	AUTO_FIGURES struct figures figures;
	int rc = figures_take(live, &figures);

	return rc ? rc : write(&figures, text, len);
}

static int make_stats(void *ctx, char **text, size_t *len)
{
	return make_figures(ctx, figures_stats, text, len);
}

static int make_metrics(void *ctx, char **text, size_t *len)
{
	return make_figures(ctx, figures_metrics, text, len);
}

static int make_errors(void *ctx, char **text, size_t *len)
{
	return make_figures(ctx, figures_errors, text, len);
}

static int make_log(void *ctx, char **text, size_t *len)
{
	(void)ctx;
	*text = log_text(len);
	return *text ? 0 : -ENOMEM;
}

/* --- of a lens ---------------------------------------------------------- */

static int make_recipe(void *ctx, char **text, size_t *len)
{
	return lens_recipe_json(ctx, text, len);
}

static int make_plan(void *ctx, char **text, size_t *len)
{
	return lens_plan_json(ctx, text, len);
}

struct live_file {
	const char *name;
	enum node_kind kind;
	node_make make;
};

static const struct live_file mount_files[] = {
	{ "stats.json", NODE_LIVE, make_stats },
	{ "metrics", NODE_LIVE, make_metrics },
	{ "errors", NODE_LIVE, make_errors },
	{ "log", NODE_LIVE, make_log },
	{ "control", NODE_CONTROL, NULL },
};

static const struct live_file lens_files[] = {
	{ "recipe.json", NODE_LIVE, make_recipe },
	{ "plan.json", NODE_LIVE, make_plan },
};

static struct node node_of_file(const struct live_file *file,
				struct timespec mtime, void *ctx)
{
	return (struct node){ .kind = file->kind,
			      .mtime = mtime,
			      .make = file->make,
			      .ctx = ctx };
}

int live_add(struct live *live, struct tree *tree, struct error *err)
{
	struct timespec mtime = catalog_mtime(live->catalog);
	int rc = 0;

	live->tree = tree;
	for (size_t i = 0; i < ARRAY_LEN(mount_files) && rc == 0; i++) {
		struct node node = node_of_file(&mount_files[i], mtime, live);
		AUTO_FREE char *path = NULL;

		if (asprintf(&path, LIVE_DIR "/%s", mount_files[i].name) < 0) {
			path = NULL;
			return fail(err, ENOMEM,
				    "no memory for the files of " LIVE_DIR);
		}
		rc = tree_add(tree, path, &node, err);
	}
	return rc;
}

int live_add_lens(struct volume *volume, const char *dir, struct lens *lens,
		  struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(lens_files) && rc == 0; i++) {
		struct node node =
			node_of_file(&lens_files[i], lens->mtime, lens);
		AUTO_FREE char *path = NULL;

		if (asprintf(&path, "%s%s" LIVE_DIR "/%s", dir, *dir ? "/" : "",
			     lens_files[i].name) < 0) {
			path = NULL;
			return fail(err, ENOMEM,
				    "no memory for the files of " LIVE_DIR);
		}
		rc = volume_add(volume, path, &node, err);
	}
	return rc;
}
