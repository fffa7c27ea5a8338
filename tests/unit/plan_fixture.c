#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/plan_fixture.h"

#include <cmocka.h>

#define TENSORS_MAX 64

static void scan_shape(const char *text, struct shape *shape)
{
	char *end;

	shape->rank = 0;
	if (strcmp(text, "scalar") == 0)
		return;
	for (;; text = end + 1) {
		shape->dim[shape->rank++] = strtoull(text, &end, 10);
		if (*end != 'x')
			break;
	}
}

void plan_fixture_model(const struct fixture *fx, const char *name,
			const char *type, const char *tensors)
{
	struct fixture_tensor list[TENSORS_MAX];
	char names[TENSORS_MAX][128];
	char path[FIXTURE_PATH_MAX], config[128];
	size_t count = 0;

	while (*tensors) {
		char dtype[16], shape[64];
		int used = 0;

		assert_int_equal(sscanf(tensors, " %127s %15s %63[^;]%n",
					names[count], dtype, shape, &used),
				 3);
		list[count] = (struct fixture_tensor){
			.name = names[count],
			.dtype = dtype_by_name(dtype),
		};
		scan_shape(shape, &list[count++].shape);
		tensors += used;
		tensors += strspn(tensors, "; ");
	}
	snprintf(path, sizeof(path), "%s/model.safetensors", name);
	fixture_safetensors(fx, path, list, count);
	snprintf(path, sizeof(path), "%s/config.json", name);
	snprintf(config, sizeof(config), "{\"model_type\": \"%s\"}", type);
	fixture_text(fx, path, config);
}

void planned_open(struct planned *planned, const struct fixture *fx,
		  const char *yaml)
{
	*planned = (struct planned){ 0 };
	planned->recipe = recipe_parse("m.yml", yaml, strlen(yaml), true,
				       &planned->report);
	planned->models = model_set_open(fx->dir, NULL);
	if (planned->recipe)
		planned->plan = plan_open(planned->recipe, planned->models,
					  &planned->report);
}

void planned_done(struct planned *planned)
{
	plan_close(planned->plan);
	model_set_close(planned->models);
	recipe_close(planned->recipe);
	report_done(&planned->report);
}

/* The name of the folder that a tensor lies in. */
static void write_model(FILE *out, const struct tensor *tensor)
{
	const char *path = source_path(tensor->source);
	const char *end = strrchr(path, '/');
	const char *start = memrchr(path, '/', (size_t)(end - path));

	fprintf(out, "%.*s", (int)(end - start - 1), start + 1);
}

static void write_inputs(FILE *out, const struct job *job)
{
	for (size_t i = 0; i < job->args.inputs; i++) {
		const struct job_input *input = &job->inputs[i];

		fprintf(out, i == job->args.base ? " *" : " ");
		write_model(out, input->tensor);
		fprintf(out, "/%s", input->tensor->name);
		if (input->round != DTYPE_NONE)
			fprintf(out, ">%s", dtype_info(input->round)->name);
	}
}

static void write_values(FILE *out, const struct job *job)
{
	for (size_t i = 0; i < job->method->options_count; i++) {
		const struct method_option *option = &job->method->options[i];
		size_t count = option->scope == OPTION_PER_MODEL
				       ? job->args.inputs
				       : 1;

		fprintf(out, " %s=", option->name);
		for (size_t j = 0; j < count; j++) {
			double value = method_value(&job->args, i, j);

			fprintf(out, isnan(value) ? "%s-" : "%s%.6g",
				j > 0 ? "," : "", value);
		}
	}
}

void planned_text(const struct planned *planned, char text[PLAN_TEXT_MAX])
{
	static const char *const kinds[] = {
		[JOB_COPY] = "copy", [JOB_TILE] = "tile", [JOB_ROWS] = "rows"
	};
	FILE *out = fmemopen(text, PLAN_TEXT_MAX, "w");
	const struct plan *plan = planned->plan;

	text[0] = '\0';
	assert_non_null(out);
	for (size_t i = 0; plan && i < plan->count; i++) {
		const struct job *job = &plan->jobs[i];
		char shape[SHAPE_TEXT_MAX];

		shape_text(&job->shape, shape, sizeof(shape));
		fprintf(out, "%s %s %s %s %s", job->name, kinds[job->kind],
			dtype_info(job->dtype)->name, shape,
			job->method ? job->method->name : "-");
		write_inputs(out, job);
		if (job->method)
			write_values(out, job);
		fprintf(out, "\n");
	}
	assert_int_equal(fclose(out), 0);
}

const struct job *planned_job(const struct planned *planned, const char *name)
{
	assert_non_null(planned->plan);
	for (size_t i = 0; i < planned->plan->count; i++)
		if (strcmp(planned->plan->jobs[i].name, name) == 0)
			return &planned->plan->jobs[i];
	fail_msg("no job %s", name);
	return NULL;
}

void assert_plan(const struct fixture *fx, const char *yaml, const char *notes,
		 const char *jobs)
{
	AUTO_PLANNED struct planned planned;
	char text[PLAN_TEXT_MAX];

	planned_open(&planned, fx, yaml);
	assert_notes(fx, &planned.report, notes);
	planned_text(&planned, text);
	assert_string_equal(text, jobs);
	assert_int_equal(planned.plan != NULL, planned.report.errors == 0);
}
