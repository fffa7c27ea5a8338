/*
 * Whether the layers that a recipe asks for are there: with `models:` every
 * model is as deep as the donor, with `slices:` every range lies in its model.
 */
#include "core/planner.h"

#include <errno.h>

/* `models:`: the model of one source, or its base, has as many layers of each
 * kind as the donor. */
static bool layers_fit(struct planner *planner, size_t source,
		       const struct model *model)
{
	const struct recipe *recipe = planner->recipe;
	const struct model *donor = planner->plan->donor;
	const char *path = recipe->slices[0].sources[source].path;
	size_t shared = 0;
	bool ok = true;

	for (size_t i = 0; i < donor->spans_count; i++) {
		const struct layer_span *span = &donor->spans[i];
		size_t layers =
			model_layers(model, span->prefix, strlen(span->prefix));

		shared += layers > 0;
		if (layers == 0 || layers == span->layers)
			continue;
		report_error(planner->report, EDOM,
			     "%s: %s: %s has %zu layers %sN, %s has %zu; "
			     "`models` needs models of one depth, `slices` "
			     "does not",
			     recipe->path, path, model->ref.text, layers,
			     span->prefix, donor->ref.text, span->layers);
		ok = false;
	}
	if (shared > 0 || donor->spans_count == 0)
		return ok;
	report_error(planner->report, EDOM,
		     "%s: %s: %s has no layers %sN as %s has; the two are "
		     "models of different kinds",
		     recipe->path, path, model->ref.text,
		     donor->spans[0].prefix, donor->ref.text);
	return false;
}

/* `slices:`: a layer range lies within the model of its source, or its base. */
static bool range_fits(struct planner *planner, const struct slice_source *from,
		       const struct model *model)
{
	const struct recipe *recipe = planner->recipe;
	const char *prefix = planner->plan->donor->spans[0].prefix;
	size_t layers = model_layers(model, prefix, strlen(prefix));

	if (from->end <= layers)
		return true;
	report_error(planner->report, EINVAL,
		     "%s: %s: layer_range [%llu, %llu] ends beyond %s, which "
		     "has %zu layers %sN",
		     recipe->path, from->path, (unsigned long long)from->begin,
		     (unsigned long long)from->end, model->ref.text, layers,
		     prefix);
	return false;
}

/* Slices need a donor with one kind of layers. */
static bool kinds_fit(struct planner *planner)
{
	const struct model *donor = planner->plan->donor;
	const char *path = planner->recipe->path;

	if (donor->spans_count == 0)
		report_error(planner->report, ENOTSUP,
			     "%s: slices: %s has no layers, and slices can "
			     "stack models with one kind of them",
			     path, donor->ref.text);
	if (donor->spans_count > 1)
		report_error(planner->report, ENOTSUP,
			     "%s: slices: %s has %zu kinds of layers (%s, "
			     "%s%s), and slices can stack models with one; "
			     "others need `modules`, which is not supported "
			     "yet",
			     path, donor->ref.text, donor->spans_count,
			     donor->spans[0].prefix, donor->spans[1].prefix,
			     donor->spans_count > 2 ? ", ..." : "");
	return donor->spans_count == 1;
}

static bool ranges_fit(struct planner *planner)
{
	const struct recipe *recipe = planner->recipe;
	bool ok = true;

	if (!kinds_fit(planner))
		return false;
	for (size_t i = 0; i < recipe->slices_count; i++)
		for (size_t j = 0; j < recipe->slices[i].count; j++) {
			const struct slice_source *source =
				&recipe->slices[i].sources[j];
			const struct model *own = planner->own_bases[i][j];

			ok &= range_fits(planner, source,
					 planner->models[i][j]);
			ok &= !own || range_fits(planner, source, own);
		}
	return ok;
}

/* Models whose config says that they are of different kinds. */
static void warn_types(struct planner *planner)
{
	const struct model *donor = planner->plan->donor;
	const char *type = json_member_string(donor->config, "model_type");

	for (size_t i = 0; i < planner->all_count; i++) {
		const struct model *model = planner->all[i];
		const char *other =
			json_member_string(model->config, "model_type");

		if (type && other && strcmp(type, other) != 0)
			report_warning(planner->report,
				       "%s: %s is a %s model, %s is a %s; "
				       "tensors are paired by their names",
				       planner->recipe->path, model->ref.text,
				       other, donor->ref.text, type);
	}
}

bool plan_layers_fit(struct planner *planner)
{
	bool ok = true;

	warn_types(planner);
	if (!planner->recipe->whole_models)
		return ranges_fit(planner);
	for (size_t i = 0; i < planner->recipe->slices[0].count; i++) {
		const struct model *own = planner->own_bases[0][i];

		ok &= layers_fit(planner, i, planner->models[0][i]);
		ok &= !own || layers_fit(planner, i, own);
	}
	return ok;
}
