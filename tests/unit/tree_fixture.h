/*
 * What the tests of JSON and YAML share: an arena for each test, and a text
 * parsed into it, where a failure to parse is the test's.
 */
#ifndef LMFS_TREE_FIXTURE_H
#define LMFS_TREE_FIXTURE_H

#include "core/json.h"

extern struct arena *arena;

int open_arena(void **state);
int close_arena(void **state);

const struct json *parse_json(const char *text);
const struct json *parse_yaml(const char *text);

#endif
