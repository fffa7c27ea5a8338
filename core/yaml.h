/*
 * YAML into the tree of core/json.h, as PyYAML's safe loader reads it (YAML 1.1
 * core types: yes/no/on/off are booleans, 1e-3 without a dot is a string, 0x10
 * and 010 are integers, ~ is null), with anchors, aliases and merge keys (<<).
 * Keys are strings: what stands there is the name. Dates stay strings.
 *
 * One document; an empty text is null. A doubled key, an alias that would grow
 * the tree past YAML_NODES_MAX, nesting past JSON_DEPTH_MAX, a mapping key that
 * is no scalar and a tag such as !!python/tuple are errors with their line.
 * Numbers may be infinite or NaN.
 *
 * An alias is not a copy: a node may stand at several places of the tree, and
 * has the line where it is written.
 */
#ifndef LMFS_YAML_H
#define LMFS_YAML_H

#include "core/json.h"

#define YAML_TEXT_MAX (4u << 20)
#define YAML_NODES_MAX 1000000 /* keys and values, aliases written out */
#define YAML_NODE_LEN 16 /* bytes for which a long scalar counts once more */

/*
 * Parse len bytes. On failure the sentence says what is wrong and at which line
 * and column (-EINVAL), or that there is no memory (-ENOMEM); the caller adds
 * the file's name.
 */
int yaml_parse(const char *text, size_t len, struct arena *arena,
	       struct json **tree, struct error *err);

#endif
