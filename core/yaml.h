/*
 * YAML into the tree of core/json.h, as PyYAML's safe loader reads it (YAML 1.1
 * core types: yes/no/on/off are booleans, 1e-3 without a dot is a string, 0x10
 * and 010 are integers, ~ is null), with anchors, aliases and merge keys (<<).
 * One document. A doubled key, an alias that would grow the tree past
 * YAML_NODES_MAX and a mapping key that is no scalar are errors with their line.
 */
#ifndef LMFS_YAML_H
#define LMFS_YAML_H

#include "core/json.h"

#define YAML_NODES_MAX 1000000

int yaml_parse(const char *text, size_t len, struct arena *arena,
	       struct json **tree, struct error *err);

#endif
