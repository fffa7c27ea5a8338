/*
 * A place in a recipe, as sentences name it: "slices[0].sources[1].parameters".
 * Long names are cut at WHERE_MAX: the text is for people.
 */
#ifndef LMFS_WHERE_H
#define LMFS_WHERE_H

#include "core/base/base.h"

#define WHERE_MAX 256

struct where {
	char text[WHERE_MAX];
};

struct where where_at(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* What there is to choose from: "a, b or c". */
struct where where_choices(const char *const *names, size_t count);

#endif
