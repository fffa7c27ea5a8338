/*
 * Which tensors the output has. With `models:` those of the donor, by name, and
 * an output matrix that any input has of its own. With `slices:` the donor's
 * names are taken as templates: the first number of a name is the layer, and
 * every output layer has the templates that its sources have in theirs.
 */
#include "core/planner.h"

#include <errno.h>
#include <stdio.h>

#include "core/names.h"
#include "core/templates.h"

/* t of layer j of n. */
static double gradient_position(uint64_t j, uint64_t n)
{
	return n > 1 ? (double)j / (double)(n - 1) : 1;
}

static int target_whole(struct planner *planner, const char *name)
{
	const struct model *donor = planner->plan->donor;
	struct target target = {
		.name = name,
		.sources = planner->recipe->slices[0].count,
		.layer = UINT64_MAX,
	};

	if (layer_of_name(name, &target.place)) {
		target.layer = target.place.layer;
		target.t = gradient_position(
			target.layer,
			model_layers(donor, name, target.place.begin));
	}
	return plan_job(planner, &target);
}

static bool earlier_has(const struct planner *planner, size_t slice,
			size_t upto, const char *name)
{
	for (size_t i = 0; i < upto; i++)
		if (model_tensor(planner->models[slice][i], name))
			return true;
	return false;
}

/*
 * Output matrices that the donor ties to its embedding, but another source of
 * the slice has of its own: the merge has them, too.
 */
static int targets_untied(struct planner *planner, size_t slice, size_t sources)
{
	const struct model *donor = planner->plan->donor;

	for (size_t i = 0; i < sources; i++) {
		const struct model *model = planner->models[slice][i];

		for (size_t j = 0; j < model->count; j++) {
			struct target target = {
				.name = model->tensors[j]->name,
				.slice = slice,
				.sources = sources,
				.layer = UINT64_MAX,
			};
			int rc;

			if (model_tensor(donor, target.name) ||
			    !tied_embedding(donor, target.name) ||
			    earlier_has(planner, slice, i, target.name))
				continue;
			rc = plan_job(planner, &target);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int targets_whole(struct planner *planner)
{
	const struct model *donor = planner->plan->donor;

	for (size_t i = 0; i < donor->count; i++) {
		int rc = target_whole(planner, donor->tensors[i]->name);

		if (rc < 0)
			return rc;
	}
	return targets_untied(planner, 0, planner->recipe->slices[0].count);
}

/*
 * The sources of tensors after the layers: the last slice's, but no more than
 * the first slice has, as mergekit pairs the two lists.
 */
static size_t sources_after(const struct planner *planner)
{
	const struct recipe *recipe = planner->recipe;
	size_t last = recipe->slices_count - 1;
	size_t count = recipe->slices[last].count;

	if (count <= recipe->slices[0].count)
		return count;
	report_warning(planner->report,
		       "%s: slices[%zu]: only its first %zu sources make the "
		       "tensors after the layers, for slices[0] has no more "
		       "(as in mergekit)",
		       recipe->path, last, recipe->slices[0].count);
	return recipe->slices[0].count;
}

/* The tensors before and after the layers. */
static int targets_outer(struct planner *planner)
{
	const struct model *donor = planner->plan->donor;
	size_t last = planner->recipe->slices_count - 1;
	size_t after = sources_after(planner);

	for (size_t i = 0; i < donor->count; i++) {
		const char *name = donor->tensors[i]->name;
		bool is_after = name_after_layers(name);
		struct target target = {
			.name = name,
			.slice = is_after ? last : 0,
			.sources = is_after ? after
					    : planner->recipe->slices[0].count,
			.layer = UINT64_MAX,
		};
		int rc;

		if (layer_of_name(name, &target.place))
			continue;
		rc = plan_job(planner, &target);
		if (rc < 0)
			return rc;
	}
	return targets_untied(planner, last, after);
}

/* One output layer from layer `offset` of a slice. */
static int targets_layer(struct planner *planner,
			 const struct templates *templates, size_t slice,
			 uint64_t offset)
{
	const struct slice_source *first =
		&planner->recipe->slices[slice].sources[0];

	for (size_t i = 0; i < templates->count; i++) {
		const struct layer_template *template = &templates->items[i];
		int prefix = (int)template->place.begin;
		struct target target = {
			.slice = slice,
			.sources = planner->recipe->slices[slice].count,
			.t = gradient_position(offset,
					       first->end - first->begin),
			.layer = planner->plan->layers,
			.renumbered = true,
			.offset = offset,
		};
		int rc;

		target.name = arena_printf(planner->plan->arena, "%.*s%llu%s",
					   prefix, template->name,
					   (unsigned long long)target.layer,
					   template_suffix(template));
		if (!target.name)
			return -ENOMEM;
		layer_of_name(target.name, &target.place);
		rc = plan_job(planner, &target);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Layers of the output, and whether they and their tensors are within limits.
 */
static bool layers_in_limits(struct planner *planner, size_t templates)
{
	const struct recipe *recipe = planner->recipe;
	uint64_t layers = 0, tensors;

	for (size_t i = 0; i < recipe->slices_count; i++)
		layers += recipe->slices[i].sources[0].end -
			  recipe->slices[i].sources[0].begin;
	if (layers <= LAYERS_MAX && mul_u64(layers, templates, &tensors) &&
	    tensors <= PLAN_TENSORS_MAX)
		return true;
	report_error(planner->report, EINVAL,
		     "%s: slices: %llu layers of %zu tensors are too many; at "
		     "most %d tensors",
		     recipe->path, (unsigned long long)layers, templates,
		     PLAN_TENSORS_MAX);
	return false;
}

static int targets_sliced(struct planner *planner,
			  const struct templates *templates)
{
	const struct recipe *recipe = planner->recipe;

	if (!layers_in_limits(planner, templates->count))
		return 0;
	for (size_t i = 0; i < recipe->slices_count; i++) {
		const struct slice_source *first =
			&recipe->slices[i].sources[0];

		for (uint64_t j = 0; j < first->end - first->begin; j++) {
			int rc = targets_layer(planner, templates, i, j);

			if (rc < 0)
				return rc;
			planner->plan->layers++;
		}
	}
	return targets_outer(planner);
}

int plan_targets(struct planner *planner)
{
	AUTO_TEMPLATES struct templates templates = { 0 };
	int rc;

	if (planner->recipe->whole_models)
		return targets_whole(planner);
	rc = templates_make(planner->plan->donor, &templates);
	return rc < 0 ? rc : targets_sliced(planner, &templates);
}
