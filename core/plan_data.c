#include "core/plan_data.h"

#include <errno.h>

#define COMPARE_BLOCK ((size_t)256 << 10)

static bool is_packed(enum dtype dtype)
{
	return dtype >= DTYPE_F8_E4M3 && dtype < DTYPE_COUNT;
}

bool plan_is_data(const struct draft *draft)
{
	for (size_t i = 0; i < draft->count; i++)
		if (!dtype_info(draft->tensors[i]->dtype)->arithmetic)
			return true;
	return false;
}

/* Whether two tensors begin with the same `size` bytes: 1, 0 or -errno. */
static int bytes_equal(const struct tensor *a, const struct tensor *b,
		       uint64_t size, struct error *err)
{
	AUTO_FREE char *buffer = malloc(2 * COMPARE_BLOCK);

	if (!buffer)
		return fail(err, ENOMEM, "no memory");
	for (uint64_t done = 0; done < size; done += COMPARE_BLOCK) {
		size_t len = (size_t)min_u64(size - done, COMPARE_BLOCK);
		int rc =
			source_read(a->source, buffer, len, a->off + done, err);

		if (rc == 0)
			rc = source_read(b->source, buffer + COMPARE_BLOCK, len,
					 b->off + done, err);
		if (rc < 0)
			return rc;
		if (memcmp(buffer, buffer + COMPARE_BLOCK, len) != 0)
			return 0;
	}
	return 1;
}

static bool same_as_first(struct planner *planner, const struct draft *draft,
			  size_t i)
{
	const struct tensor *first = draft->tensors[0];
	const struct tensor *other = draft->tensors[i];
	uint64_t size = shape_elements(&draft->shape) *
			(dtype_info(first->dtype)->bits / 8);
	struct error err = { 0 };
	int rc;

	if (size > PLAN_COMPARE_MAX)
		return tally_add(&planner->tally, draft_subject(draft, ENOTSUP),
				 "%s tensors of more than %u MiB cannot be "
				 "merged",
				 dtype_info(first->dtype)->name,
				 PLAN_COMPARE_MAX >> 20);
	rc = bytes_equal(first, other, size, &err);
	if (rc < 0)
		return tally_add(&planner->tally, draft_subject(draft, -rc),
				 "%s", err.text);
	if (rc > 0)
		return true;
	return tally_add(
		&planner->tally, draft_subject(draft, EDOM),
		"%s values differ between %s and %s; integers are "
		"copied where all models have the same, and not merged",
		dtype_info(first->dtype)->name,
		draft_model_text(planner, draft, 0),
		draft_model_text(planner, draft, i));
}

static bool types_differ(struct planner *planner, const struct draft *draft,
			 size_t i)
{
	return tally_add(&planner->tally, draft_subject(draft, EDOM),
			 "%s in %s, %s in %s; such types are not converted",
			 dtype_info(draft->tensors[0]->dtype)->name,
			 draft_model_text(planner, draft, 0),
			 dtype_info(draft->tensors[i]->dtype)->name,
			 draft_model_text(planner, draft, i));
}

static bool packed_merge(struct planner *planner, const struct draft *draft,
			 size_t i)
{
	return tally_add(&planner->tally, draft_subject(draft, ENOTSUP),
			 "%s in %s; there is no arithmetic on this type: "
			 "convert the model to bfloat16 first",
			 dtype_info(draft->tensors[i]->dtype)->name,
			 draft_model_text(planner, draft, i));
}

/* Every input holds the same integers; what holds for none is said. */
static bool all_same(struct planner *planner, const struct draft *draft)
{
	for (size_t i = 0; i < draft->count; i++)
		if (is_packed(draft->tensors[i]->dtype))
			return packed_merge(planner, draft, i);
	for (size_t i = 1; i < draft->count; i++) {
		if (draft->tensors[i]->dtype != draft->tensors[0]->dtype)
			return types_differ(planner, draft, i);
		if (!same_as_first(planner, draft, i))
			return false;
	}
	return true;
}

static void warn_kept(struct planner *planner, const struct draft *draft)
{
	const struct recipe *recipe = planner->recipe;

	if (recipe->dtype == DTYPE_NONE && recipe->out_dtype == DTYPE_NONE)
		return;
	tally_add(&planner->tally, draft_subject(draft, 0),
		  "stays %s; dtype and out_dtype convert bfloat16, float16, "
		  "float32 and float64 only",
		  dtype_info(draft->dtype)->name);
}

bool plan_data(struct planner *planner, struct draft *draft)
{
	bool packed = draft->keep != METHOD_CHANGED &&
		      is_packed(draft->tensors[draft->keep]->dtype);

	if (!packed && !all_same(planner, draft))
		return false;
	if (draft->keep == METHOD_CHANGED)
		draft->keep = 0;
	draft->dtype = draft->tensors[draft->keep]->dtype;
	draft->work = draft->dtype;
	warn_kept(planner, draft);
	return true;
}
