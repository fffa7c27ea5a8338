#include "tests/unit/catalog_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PATHS_MAX 8

void write_linear(const struct fixture *fx, const char *name, double weight)
{
	char text[2048];
	int len = snprintf(text, sizeof(text),
			   "merge_method: linear\n"
			   "dtype: float32\n"
			   "parameters: {normalize: false}\n"
			   "models:\n"
			   "- {model: %s/a, parameters: {weight: %g}}\n"
			   "- {model: %s/b, parameters: {weight: 0.5}}\n",
			   fx->dir, weight, fx->dir);

	fixture_write(fx, name, text, (size_t)len);
}

static void let_go(void *ctx)
{
	struct served *served = ctx;

	served->let_go++;
}

void serve(struct served *served, const struct fixture *fx,
	   const char *const *names)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	char paths[PATHS_MAX][FIXTURE_PATH_MAX];
	const char *list[PATHS_MAX];
	struct catalog_service service = { .let_go = let_go, .ctx = served };
	struct error err;
	size_t count = 0;

	for (; names[count]; count++) {
		assert_true(count < PATHS_MAX);
		fixture_path(fx, names[count], paths[count]);
		list[count] = paths[count];
	}
	served->fx = fx;
	served->let_go = 0;
	served->engine = engine_start(fx, ENGINE_CACHE_AUTO, "cache");
	served->tree = tree_open((struct timespec){ .tv_sec = 1 });
	served->catalog = catalog_open(list, count, &report);
	if (!served->catalog)
		fail_msg("%s", report.notes[0].text);
	service.engine = served->engine;
	service.tree = served->tree;
	if (catalog_serve(served->catalog, &service, &err) < 0 ||
	    catalog_follow(served->catalog, 1, &err) < 0)
		fail_msg("%s", err.text);
}

void serve_end(struct served *served)
{
	catalog_stop(served->catalog);
	tree_close(served->tree);
	catalog_close(served->catalog);
	engine_close(served->engine);
}

uint64_t look(struct served *served, const char *path, bool keep)
{
	const struct node *dir = tree_node(served->tree, TREE_ROOT), *node;
	char parts[256];
	char *rest = parts, *name;
	uint64_t ino;

	snprintf(parts, sizeof(parts), "%s", path);
	while ((name = strsep(&rest, "/"))) {
		node = tree_lookup(served->tree, dir, name);
		if (dir->ino != TREE_ROOT)
			tree_forget(served->tree, dir->ino, 1);
		if (!node)
			return 0;
		dir = node;
	}
	ino = dir->ino;
	if (!keep)
		tree_forget(served->tree, ino, 1);
	return ino;
}

struct asked {
	const char *name;
	char *text;
};

static void find_error(void *ctx, const struct catalog_recipe *recipe)
{
	const struct asked *asked = ctx;

	if (strcmp(recipe->name, asked->name) == 0)
		snprintf(asked->text, 1024, "%s",
			 recipe->error ? recipe->error : "");
}

void error_of(struct served *served, const char *name, char text[1024])
{
	struct asked asked = { name, text };

	snprintf(text, 1024, "-");
	catalog_each(served->catalog, find_error, &asked);
}
