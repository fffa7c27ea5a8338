/*
 * What a lens holds, as JSON: recipe.json tells how tensors are made, groups of
 * tensors that are made alike; plan.json tells where each tensor lies and what
 * is read for it.
 */
#include <errno.h>
#include <inttypes.h>

#include "core/base/text.h"
#include "core/scalar.h"
#include "fs/lens.h"

static const char *const kind_names[] = {
	[JOB_COPY] = "copied",
	[JOB_TILE] = "merged",
	[JOB_ROWS] = "merged by rows",
};

static void write_named(FILE *out, const char *name, const char *string)
{
	fprintf(out, "\"%s\": ", name);
	if (string)
		json_write_string(out, string);
	else
		fputs("null", out);
}

static const char *torch_name(enum dtype dtype)
{
	return dtype == DTYPE_NONE ? NULL : dtype_info(dtype)->torch;
}

/* The model that a tensor is of, as the recipe spells it. */
static const char *model_text(const struct lens *lens,
			      const struct tensor *tensor)
{
	for (size_t i = 0; i < model_set_count(lens->models); i++) {
		const struct model *model = model_set_at(lens->models, i);

		if (model_tensor(model, tensor->name) == tensor)
			return model->ref.text;
	}
	return NULL;
}

/* --- recipe.json -------------------------------------------------------- */

/* The options of one scope, for one input. */
static void write_options(FILE *out, const struct job *job,
			  enum option_scope scope, size_t input)
{
	const struct merge_method *method = job->method;
	const char *comma = "";

	fputs("\"options\": {", out);
	for (size_t i = 0; method && i < method->options_count; i++) {
		if (method->options[i].scope != scope)
			continue;
		fprintf(out, "%s\"%s\": ", comma, method->options[i].name);
		scalar_write(out, &method->options[i],
			     method_value(&job->args, i, input));
		comma = ", ";
	}
	fputc('}', out);
}

static void write_input(FILE *out, const struct lens *lens,
			const struct job *job, size_t i)
{
	const struct job_input *input = &job->inputs[i];

	fputc('{', out);
	write_named(out, "model", model_text(lens, input->tensor));
	if (job->method && i == job->args.base)
		fputs(", \"base\": true", out);
	else if (job->method && !method_is_model(&job->args, i))
		fputs(", \"own_base\": true", out);
	else if (job->args.origins && job->args.origins[i] != job->args.base) {
		fputs(", ", out);
		write_named(
			out, "task_vector_from",
			model_text(lens,
				   job->inputs[job->args.origins[i]].tensor));
	}
	if (input->round != DTYPE_NONE) {
		fputs(", ", out);
		write_named(out, "rounded_to", torch_name(input->round));
	}
	fputs(", ", out);
	write_options(out, job, OPTION_PER_MODEL, i);
	fputc('}', out);
}

/* How a job is made, without its name: equal text, made alike. */
static int describe(const struct lens *lens, const struct job *job,
		    char **bytes)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	size_t inputs = job->args.inputs;

	if (text_open(&text) < 0)
		return -ENOMEM;
	fprintf(text.out, "\"kind\": \"%s\", \"dtype\": \"%s\", ",
		kind_names[job->kind], dtype_info(job->dtype)->name);
	write_named(text.out, "method", job->method ? job->method->name : NULL);
	fputs(", ", text.out);
	write_options(text.out, job, OPTION_GLOBAL, 0);
	fputs(",\n      \"inputs\": [", text.out);
	for (size_t i = 0; i < inputs; i++) {
		fputs(i ? ",\n        " : "\n        ", text.out);
		write_input(text.out, lens, job, i);
	}
	fputc(']', text.out);
	return text_take(&text, bytes, NULL);
}

struct description {
	char *text;
	const struct job *job;
};

/* Alike jobs together, each kind in order of names. */
static int by_text_and_name(const void *a, const void *b)
{
	const struct description *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	return order ? order : strcmp(x->job->name, y->job->name);
}

static void write_groups(FILE *out, const struct description *list,
			 size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool opens =
			i == 0 || strcmp(list[i].text, list[i - 1].text) != 0;

		if (opens)
			fprintf(out, "%s\n    {%s,\n      \"tensors\": [",
				i ? "]}," : "", list[i].text);
		fputs(opens ? "\n        " : ",\n        ", out);
		json_write_string(out, list[i].job->name);
	}
	fputs(count ? "]}\n  ]" : "]", out);
}

static void write_recipe_head(FILE *out, const struct recipe *recipe)
{
	struct recipe_manner manner = recipe_manner(recipe);
	char hash[HASH_HEX_LEN + 1];

	hash_hex(recipe->hash, hash);
	fputs("{\n  \"schema\": \"llmergefs-recipe-1\",\n  ", out);
	write_named(out, "recipe", recipe->path);
	fputs(",\n  ", out);
	write_named(out, "hash", hash);
	fputs(",\n  ", out);
	write_named(out, "method", recipe->method->name);
	fputs(",\n  ", out);
	write_named(out, "base_model",
		    recipe->has_base ? recipe->base.text : NULL);
	fputs(",\n  ", out);
	write_named(out, "dtype", torch_name(recipe->dtype));
	fputs(",\n  ", out);
	write_named(out, "out_dtype", torch_name(recipe->out_dtype));
	fputs(",\n  ", out);
	write_named(out, "arithmetic", manner.arithmetic);
	fputs(",\n  ", out);
	write_named(out, "semantics", manner.semantics);
	fputs(",\n  ", out);
	write_named(out, "rng", manner.rng);
	fprintf(out,
		",\n  \"seed\": %" PRIu64 ",\n  \"shard_size\": %" PRIu64
		",\n  \"groups\": [",
		recipe->seed, recipe->shard_size);
}

static int describe_all(const struct lens *lens, struct description *list)
{
	const struct plan *plan = lens->plan;

	for (size_t i = 0; i < plan->count; i++) {
		list[i].job = &plan->jobs[i];
		if (describe(lens, &plan->jobs[i], &list[i].text) < 0)
			return -ENOMEM;
	}
	return 0;
}

int lens_recipe_json(const struct lens *lens, char **bytes, size_t *len)
{
	size_t count = lens->plan->count;
	AUTO_FREE struct description *list = calloc(count + 1, sizeof(*list));
	AUTO_TEXT struct text text = TEXT_INIT;
	int rc;

	if (!list || text_open(&text) < 0)
		return -ENOMEM;
	rc = describe_all(lens, list);
	if (rc == 0) {
		qsort(list, count, sizeof(*list), by_text_and_name);
		write_recipe_head(text.out, lens->recipe);
		write_groups(text.out, list, count);
		fputs("\n}\n", text.out);
		rc = text_take(&text, bytes, len);
	}
	for (size_t i = 0; i < count; i++)
		free(list[i].text);
	return rc;
}

/* --- plan.json ---------------------------------------------------------- */

static void write_shape(FILE *out, const struct shape *shape)
{
	fputs("\"shape\": [", out);
	for (unsigned d = 0; d < shape->rank; d++)
		fprintf(out, "%s%" PRIu64, d ? ", " : "", shape->dim[d]);
	fputc(']', out);
}

static void write_plan_input(FILE *out, const struct lens *lens,
			     const struct tensor *tensor)
{
	fputc('{', out);
	write_named(out, "model", model_text(lens, tensor));
	fputs(", ", out);
	write_named(out, "tensor", tensor->name);
	fprintf(out, ", \"dtype\": \"%s\", ", dtype_info(tensor->dtype)->name);
	write_named(out, "file", source_path(tensor->source));
	fprintf(out, ", \"offset\": %" PRIu64 "}", tensor->off);
}

static void write_plan_tensor(FILE *out, const struct lens *lens,
			      const struct layout_file *file, size_t at)
{
	const struct job *job = file->jobs[at];
	size_t inputs = job->args.inputs;

	fputc('{', out);
	write_named(out, "name", job->name);
	fprintf(out, ", \"dtype\": \"%s\", ", dtype_info(job->dtype)->name);
	write_shape(out, &job->shape);
	fprintf(out,
		", \"bytes\": %" PRIu64 ", \"file\": \"%s\", \"offset\": "
		"%" PRIu64 ", \"kind\": \"%s\", ",
		job->size, file->name, file->offsets[at],
		kind_names[job->kind]);
	write_named(out, "method", job->method ? job->method->name : NULL);
	fprintf(out, ", \"state_bytes\": %zu, \"inputs\": [", job->state_size);
	for (size_t i = 0; i < inputs; i++) {
		fputs(i ? ",\n      " : "\n      ", out);
		write_plan_input(out, lens, job->inputs[i].tensor);
	}
	fputs("]}", out);
}

static void write_files(FILE *out, const struct layout *layout)
{
	fputs("  \"files\": [", out);
	for (size_t i = 0; i < layout->count; i++) {
		const struct layout_file *file = &layout->files[i];

		fprintf(out,
			"%s\n    {\"name\": \"%s\", \"bytes\": %" PRIu64
			", \"header_bytes\": %" PRIu64 ", \"tensors\": %zu}",
			i ? "," : "", file->name, file->size, file->header_size,
			file->count);
	}
	fputs("\n  ],\n", out);
}

int lens_plan_json(const struct lens *lens, char **bytes, size_t *len)
{
	const struct layout *layout = lens->layout;
	AUTO_TEXT struct text text = TEXT_INIT;
	const char *comma = "";

	if (text_open(&text) < 0)
		return -ENOMEM;
	fprintf(text.out,
		"{\n  \"schema\": \"llmergefs-plan-1\",\n"
		"  \"bytes\": %" PRIu64 ",\n",
		lens->plan->bytes);
	write_files(text.out, layout);
	fputs("  \"tensors\": [", text.out);
	for (size_t i = 0; i < layout->count; i++)
		for (size_t j = 0; j < layout->files[i].count; j++) {
			fprintf(text.out, "%s\n    ", comma);
			write_plan_tensor(text.out, lens, &layout->files[i], j);
			comma = ",";
		}
	fputs("\n  ]\n}\n", text.out);
	return text_take(&text, bytes, len);
}
