#include "core/templates.h"

#include <errno.h>

static int by_parts(const void *a, const void *b)
{
	const struct layer_template *x = a, *y = b;
	int order = strcmp(template_suffix(x), template_suffix(y));

	if (order != 0)
		return order;
	if (x->place.begin != y->place.begin)
		return x->place.begin < y->place.begin ? -1 : 1;
	return memcmp(x->name, y->name, x->place.begin);
}

/* Sort, and keep one of those that are equal. */
static void fold(struct templates *templates)
{
	size_t kept = 0;

	qsort(templates->items, templates->count, sizeof(*templates->items),
	      by_parts);
	for (size_t i = 0; i < templates->count; i++)
		if (kept == 0 || by_parts(&templates->items[kept - 1],
					  &templates->items[i]) != 0)
			templates->items[kept++] = templates->items[i];
	templates->count = kept;
}

int templates_make(const struct model *model, struct templates *templates)
{
	templates->count = 0;
	templates->items = calloc(model->count + 1, sizeof(*templates->items));
	if (!templates->items)
		return -ENOMEM;
	for (size_t i = 0; i < model->count; i++) {
		struct layer_template *item =
			&templates->items[templates->count];

		item->name = model->tensors[i]->name;
		templates->count += layer_of_name(item->name, &item->place);
	}
	fold(templates);
	return 0;
}

void templates_done(struct templates *templates)
{
	free(templates->items);
	*templates = (struct templates){ 0 };
}

bool templates_match(const struct templates *templates, const char *name)
{
	struct layer_template key = { .name = name };

	return templates->count > 0 && layer_of_name(name, &key.place) &&
	       bsearch(&key, templates->items, templates->count, sizeof(key),
		       by_parts) != NULL;
}
