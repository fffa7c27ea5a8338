/*
 * The tree of a YAML text in the making, node by node as a parser finds them.
 * It knows nothing of the parser. Lists and mappings that have begun lie on a
 * stack; what is finished goes into the container around it, and the outermost
 * node becomes the root.
 */
#ifndef LMFS_YAML_BUILD_H
#define LMFS_YAML_BUILD_H

#include "core/json.h"
#include "core/json_cursor.h"
#include "core/yaml_anchor.h"
#include "core/yaml_merge.h"

/* What the text says of a node, borrowed for a call. */
struct yaml_token {
	struct json_place place;
	const char *anchor; /* its own, or the one that an alias names */
	const char *tag;    /* NULL: none */
	const char *text;   /* of a scalar */
	size_t len;	    /* of the text */
	bool plain;	    /* a scalar that may be other than a string */
};

struct yaml_frame {
	struct yaml_value value;
	struct yaml_members members;
	struct yaml_members merged; /* from << */
	struct yaml_anchor *anchor;
	const char *name; /* of the member whose value comes */
	struct json_place name_place;
	bool merging; /* the value that comes is that of << */
};

struct yaml_build {
	struct arena *arena;
	struct error *err;
	struct yaml_anchors anchors;
	struct yaml_frame frames[JSON_DEPTH_MAX];
	size_t depth;
	struct json *root; /* NULL until it is finished */
};

/* All return 0, -EINVAL with a sentence that names the line, or -ENOMEM. */
int yaml_build_scalar(struct yaml_build *build, const struct yaml_token *token);
int yaml_build_alias(struct yaml_build *build, const struct yaml_token *token);

/* Begin a list (JSON_ARRAY) or a mapping (JSON_OBJECT), and end the last. */
int yaml_build_open(struct yaml_build *build, const struct yaml_token *token,
		    enum json_type type);
int yaml_build_close(struct yaml_build *build, const struct yaml_token *token);

/* Ends the builder, whatever state it is in; the tree stays. */
void yaml_build_done(struct yaml_build *build);

#endif
