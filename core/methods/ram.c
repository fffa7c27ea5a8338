/*
 * ram: task vectors, averaged where several models change an element; the
 * formula is in ram.h, with every lambda 1.
 */
#include "core/methods/ram.h"

static void ram_tile(const struct method_args *args, const void *state,
		     const struct tile *tile)
{
	ram_merge(args, tile, NULL);
}

static const struct method_option options[] = {
	[RAM_EPSILON] = RAM_EPSILON_OPTION,
};

METHOD(ram) = {
	.name = "ram",
	.summary = "task vectors, averaged where they overlap",
	.version = 1,
	.element_ps = 240,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.tile = ram_tile,
};
