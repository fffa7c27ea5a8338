#include "tests/unit/job_fixture.h"

#include <stdio.h>

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "job fixture: %s\n", what);
	abort();
}

static void set_defaults(struct job_fixture *jf)
{
	const struct merge_method *method = jf->job.method;

	for (size_t o = 0; o < method->options_count; o++)
		for (size_t i = 0; i < jf->job.args.inputs; i++)
			jf->values[o * jf->job.args.inputs + i] =
				method->options[o].fallback;
}

void job_open(struct job_fixture *jf, const struct merge_method *method,
	      size_t inputs, size_t base, uint64_t rows, uint64_t cols)
{
	struct job *job = &jf->job;
	uint32_t position = 0;

	memset(jf, 0, sizeof(*jf));
	need(inputs <= JOB_FIXTURE_INPUTS, "too many inputs");
	fixture_open(&jf->fx);
	job->name = "model.layers.0.mlp.up_proj.weight";
	job->kind = method->rows ? JOB_ROWS : JOB_TILE;
	job->shape = (struct shape){ 2, { rows, cols } };
	job->elements = rows * cols;
	job->method = method;
	job->inputs = jf->inputs;
	job->layer = UINT64_MAX;
	job->args.inputs = inputs;
	job->args.base = base;
	job->args.values = jf->values;
	job->args.elements = job->elements;
	job->args.cols = cols;
	job->args.rows = rows;
	job->args.rank = job->shape.rank;
	job->args.name = job->name;
	job->args.positions = jf->positions;
	for (size_t i = 0; i < inputs; i++)
		jf->positions[i] = i == base ? 0 : position++;
	set_defaults(jf);
	job_output(jf, DTYPE_F32);
}

void job_close(struct job_fixture *jf)
{
	fixture_close(&jf->fx);
}

void job_output(struct job_fixture *jf, enum dtype dtype)
{
	jf->job.dtype = dtype;
	jf->job.size = jf->job.elements * dtype_info(dtype)->bits / 8;
}

void job_input(struct job_fixture *jf, size_t i, enum dtype dtype,
	       const void *data)
{
	size_t size = jf->job.elements * dtype_info(dtype)->bits / 8;
	AUTO_FREE char *file = calloc(1, JOB_FIXTURE_OFFSET + size);
	char name[32];

	need(file, "no memory");
	memcpy(file + JOB_FIXTURE_OFFSET, data, size);
	snprintf(name, sizeof(name), "input%zu-%d", i, (int)dtype);
	jf->tensors[i] = (struct tensor){
		.name = jf->job.name,
		.dtype = dtype,
		.shape = jf->job.shape,
		.off = JOB_FIXTURE_OFFSET,
		.size = size,
		.source = fixture_source(&jf->fx, name, file,
					 JOB_FIXTURE_OFFSET + size),
	};
	jf->inputs[i] = (struct job_input){ &jf->tensors[i], DTYPE_NONE };
}

void job_input_floats(struct job_fixture *jf, size_t i, enum dtype dtype,
		      const float *x)
{
	AUTO_FREE void *data = calloc(jf->job.elements, sizeof(double));

	need(data, "no memory");
	kernels_at(CPU_LEVEL_baseline)->store[dtype](data, x, jf->job.elements);
	job_input(jf, i, dtype, data);
}

static size_t option_index(const struct merge_method *method, const char *name)
{
	for (size_t o = 0; o < method->options_count; o++)
		if (!strcmp(method->options[o].name, name))
			return o;
	need(false, name);
	return 0;
}

void job_set(struct job_fixture *jf, const char *option, size_t input,
	     double value)
{
	size_t o = option_index(jf->job.method, option);

	jf->values[o * jf->job.args.inputs + input] = value;
}

void job_set_all(struct job_fixture *jf, const char *option, double value)
{
	for (size_t i = 0; i < jf->job.args.inputs; i++)
		job_set(jf, option, i, value);
}

void job_make(struct job_fixture *jf, enum cpu_level level, struct pool *pool,
	      void *out, void **state)
{
	const struct merge_method *method = method_variant(
		jf->job.method, CPU_LEVEL_baseline, jf->job.rounding);
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	AUTO_FREE void *made = NULL;
	struct error err = { 0 };

	jf->job.state_size =
		method->state_size ? method->state_size(&jf->job.args) : 0;
	if (jf->job.state_size) {
		made = aligned_alloc(64, round_up_u64(jf->job.state_size, 64));
		need(made, "no memory");
		need(!merge_state(&jf->job, level, pool, made, &err), err.text);
	}
	need(!merge_bytes(&jf->job, level, made, 0, jf->job.size, out, scratch,
			  NULL, &err),
	     err.text);
	if (state)
		*state = TAKE(made);
}
