/*
 * What the tests of a catalog share: recipes in the fixture's folder, and a
 * catalog of them that is served in a tree, with an engine, and without a
 * kernel: the test looks names up and forgets them.
 */
#ifndef LMFS_TESTS_CATALOG_FIXTURE_H
#define LMFS_TESTS_CATALOG_FIXTURE_H

#include "fs/catalog.h"
#include "tests/unit/engine_fixture.h"

struct served {
	const struct fixture *fx;
	struct engine *engine;
	struct tree *tree;
	struct catalog *catalog;
	atomic_uint let_go; /* how often it was asked to */
};

/* A linear recipe over the models of the engine's fixture. */
void write_linear(const struct fixture *fx, const char *name, double weight);

/* Serve these paths of the fixture's folder, up to a NULL, and follow. */
void serve(struct served *served, const struct fixture *fx,
	   const char *const *names);
void serve_end(struct served *served);

/* Look a path up as the kernel does: 0, there is none. What was counted on the
 * way is forgotten, but for the last, where `keep` is set. */
uint64_t look(struct served *served, const char *path, bool keep);

/* The error of a recipe, "" where it has none; "-": there is no such recipe. */
void error_of(struct served *served, const char *name, char text[1024]);

#endif
