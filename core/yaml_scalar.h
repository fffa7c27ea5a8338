/*
 * What a YAML scalar means, to PyYAML's safe loader: its regular expressions
 * (YAML 1.1, with the loader's own habits) decide between null, booleans,
 * numbers and strings.
 */
#ifndef LMFS_YAML_SCALAR_H
#define LMFS_YAML_SCALAR_H

#include "core/json.h"

#define YAML_TAG_PREFIX "tag:yaml.org,2002:"

/*
 * Fill the node of a scalar. `text` is kept where it is a string or a number.
 * `tag` is NULL where there is none; then `plain` says whether the text may be
 * anything but a string. -ENOTSUP: the tag is none of !!str !!int !!float
 * !!bool !!null; -EINVAL: the text is not what the tag says; -ENOMEM.
 */
int yaml_scalar(const char *text, const char *tag, bool plain,
		struct json *node);

#endif
