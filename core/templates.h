/*
 * What the layers of a model have: its tensors' names with the layer's number
 * taken out, each once. Any layer's name is made from such a template.
 */
#ifndef LMFS_TEMPLATES_H
#define LMFS_TEMPLATES_H

#include "core/model.h"

struct layer_template {
	const char *name; /* of one that has it; borrowed from the model */
	struct layer_place place; /* of the number in it */
};

struct templates {
	struct layer_template *items; /* by what follows the number, then by
				       * what precedes it */
	size_t count;
};

/* 0 or -ENOMEM. */
int templates_make(const struct model *model, struct templates *templates);
void templates_done(struct templates *templates);

#define AUTO_TEMPLATES AUTO(templates_done)

/* What follows the number: ".mlp.up_proj.weight". */
static inline const char *template_suffix(const struct layer_template *template)
{
	return template->name + template->place.end;
}

/* Whether a name is made from one of them. */
bool templates_match(const struct templates *templates, const char *name);

#endif
