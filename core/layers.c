#include <errno.h>

#include "core/layers.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool layer_of_name(const char *name, struct layer_place *place)
{
	const char *dot = strchr(name, '.'), *at;
	uint64_t layer;

	for (; dot; dot = strchr(dot + 1, '.')) {
		layer = 0;
		for (at = dot + 1; is_digit(*at); at++)
			layer = min_u64(10 * layer + (uint64_t)(*at - '0'),
					LAYERS_MAX);
		if (at == dot + 1 || *at != '.')
			continue;
		place->begin = (size_t)(dot + 1 - name);
		place->end = (size_t)(at - name);
		place->layer = layer;
		return layer < LAYERS_MAX;
	}
	return false;
}

/* One name that has a layer. */
struct member {
	const char *name;
	size_t prefix_len;
	size_t layer;
};

static int by_prefix(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	size_t common = min_u64(x->prefix_len, y->prefix_len);
	int order = memcmp(x->name, y->name, common);

	if (order || x->prefix_len == y->prefix_len)
		return order;
	return x->prefix_len < y->prefix_len ? -1 : 1;
}

static size_t members_of(const struct tensor *const *tensors, size_t count,
			 struct member *members)
{
	struct layer_place place;
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		if (layer_of_name(tensors[i]->name, &place))
			members[found++] =
				(struct member){ .name = tensors[i]->name,
						 .prefix_len = place.begin,
						 .layer = place.layer };
	return found;
}

static size_t count_spans(const struct member *members, size_t count)
{
	size_t spans = 0;

	for (size_t i = 0; i < count; i++)
		spans += i == 0 || by_prefix(&members[i - 1], &members[i]) != 0;
	return spans;
}

int layer_spans(const struct tensor *const *tensors, size_t count,
		struct arena *arena, const struct layer_span **spans,
		size_t *spans_count)
{
	AUTO_FREE struct member *members = calloc(count + 1, sizeof(*members));
	struct layer_span *made, *span = NULL;
	size_t found;

	if (!members)
		return -ENOMEM;
	found = members_of(tensors, count, members);
	qsort(members, found, sizeof(*members), by_prefix);
	*spans_count = count_spans(members, found);
	made = arena_alloc(arena, *spans_count, sizeof(*made));
	if (!made)
		return -ENOMEM;
	for (size_t i = 0; i < found; i++) {
		if (i == 0 || by_prefix(&members[i - 1], &members[i]) != 0) {
			span = i == 0 ? made : span + 1;
			span->prefix = arena_strndup(arena, members[i].name,
						     members[i].prefix_len);
			if (!span->prefix)
				return -ENOMEM;
		}
		span->layers = max_u64(span->layers, members[i].layer + 1);
	}
	*spans = made;
	return 0;
}
