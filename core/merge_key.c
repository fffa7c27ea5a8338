/*
 * Keys are the hash of a text that names everything the bytes depend on, one
 * thing a line. Numbers that are not whole are written in hexadecimal, exactly.
 */
#include <errno.h>

#include "core/gemm.h"
#include "core/job_key.h"
#include "core/key_text.h"

/* Raised whenever the driver or the kernels change what they make. */
#define KEY_VERSION 1

static const char *const subject_names[] = {
	[KEY_SURVEY] = "survey ",
	[KEY_STATE] = "state ",
	[KEY_TENSOR] = "tensor ",
};

static void write_shape(struct key_text *out, const struct job *job)
{
	key_text_add(out, "shape");
	for (unsigned i = 0; i < job->shape.rank; i++) {
		key_text_add(out, " ");
		key_text_u64(out, job->shape.dim[i]);
	}
	key_text_add(out, "\n");
}

static int name_source(const struct source *source, struct key_kind kind,
		       struct hash128 *name, struct error *err)
{
	if (!kind.likeness)
		return source_identity(source, name, err);
	*name = source_likeness(source);
	return 0;
}

static int write_input(struct key_text *out, const struct job_input *input,
		       struct key_kind kind, struct error *err)
{
	const struct tensor *tensor = input->tensor;
	struct hash128 source;
	int rc = name_source(tensor->source, kind, &source, err);

	if (rc)
		return rc;
	key_text_add(out, "input ");
	key_text_hash128(out, source);
	key_text_add(out, " at ");
	key_text_u64(out, tensor->off);
	key_text_add(out, " ");
	key_text_add(out, dtype_info(tensor->dtype)->name);
	if (input->round != DTYPE_NONE) {
		key_text_add(out, " to ");
		key_text_add(out, dtype_info(input->round)->name);
	}
	key_text_add(out, "\n");
	return 0;
}

static int write_inputs(struct key_text *out, const struct job *job,
			struct key_kind kind, struct error *err)
{
	size_t count = job->kind == JOB_COPY ? 1 : job->args.inputs;

	for (size_t i = 0; i < count; i++) {
		int rc = write_input(out, &job->inputs[i], kind, err);

		if (rc)
			return rc;
	}
	return 0;
}

/* Values of options that a base does not take mean nothing. */
static bool takes_option(const struct job *job,
			 const struct method_option *option, size_t input)
{
	if (option->scope == OPTION_GLOBAL)
		return input == 0;
	if (input == job->args.base)
		return job->method->base_has_options;
	return method_is_model(&job->args, input);
}

static void write_value(struct key_text *out, double value)
{
	key_text_add(out, " ");
	/* The sign of a NaN is nobody's choice. */
	if (isnan(value))
		key_text_add(out, "unset");
	else
		key_text_double(out, value);
}

static void write_option(struct key_text *out, const struct job *job,
			 size_t option)
{
	const struct method_option *row = &job->method->options[option];

	key_text_add(out, row->name);
	for (size_t i = 0; i < job->args.inputs; i++)
		if (takes_option(job, row, i))
			write_value(out, method_value(&job->args, option, i));
	key_text_add(out, "\n");
}

/* Nothing for what every recipe had before there was a choice. */
static void write_manner(struct key_text *out, const struct job *job,
			 struct key_kind kind)
{
	static const char *const roundings[] = {
#define ROUNDING_NAME(name) #name,
		ROUNDINGS(ROUNDING_NAME)
#undef ROUNDING_NAME
	};

	if (job->args.arithmetic != ARITHMETIC_FLOAT32) {
		key_text_add(out, "arithmetic ");
		key_text_u64(out, job->args.arithmetic);
		key_text_add(out, " ");
		key_text_add(out, roundings[job->rounding]);
		key_text_add(out, "\n");
	}
	if (kind.subject == KEY_TENSOR &&
	    job->args.semantics != SEMANTICS_MERGEKIT) {
		key_text_add(out, "semantics ");
		key_text_u64(out, job->args.semantics);
		key_text_add(out, "\n");
	}
}

static void write_origins(struct key_text *out, const struct job *job)
{
	if (!job->args.origins)
		return;
	key_text_add(out, "origins");
	for (size_t i = 0; i < job->args.inputs; i++) {
		key_text_add(out, " ");
		key_text_u64(out, job->args.origins[i]);
	}
	key_text_add(out, "\n");
}

static void write_version(struct key_text *out, const char *what,
			  const char *name, unsigned version)
{
	key_text_add(out, what);
	key_text_add(out, name);
	key_text_add(out, " ");
	key_text_u64(out, version);
	key_text_add(out, "\n");
}

static void write_method(struct key_text *out, const struct job *job,
			 struct key_kind kind)
{
	const struct merge_method *method = job->method;
	const struct method_survey *survey = method->survey;

	if (kind.subject == KEY_SURVEY)
		write_version(out, "survey ", survey->name, survey->version);
	else
		write_version(out, "method ", method->name, method->version);
	if (job->args.base != METHOD_NO_BASE) {
		key_text_add(out, "base ");
		key_text_u64(out, job->args.base);
		key_text_add(out, "\n");
	}
	write_origins(out, job);
	write_manner(out, job, kind);
	if (kind.subject == KEY_SURVEY)
		return;
	for (size_t i = 0; i < method->options_count; i++)
		if (kind.subject == KEY_TENSOR || method->options[i].in_state)
			write_option(out, job, i);
}

static void write_streams(struct key_text *out, const struct job *job)
{
	key_text_add(out, "mt19937 ");
	key_text_u64(out, job->args.seed);
	for (size_t i = 0; i < job->args.inputs; i++) {
		key_text_add(out, " ");
		key_text_u64(out, job->args.streams[i]);
	}
	key_text_add(out, "\n");
}

static void write_positions(struct key_text *out, const struct job *job)
{
	key_text_add(out, "positions");
	for (size_t i = 0; i < job->args.inputs; i++) {
		if (!method_is_model(&job->args, i))
			continue;
		key_text_add(out, " ");
		key_text_u64(out, job->args.positions[i]);
	}
	key_text_add(out, "\n");
}

static void write_draws(struct key_text *out, const struct job *job)
{
	if (job->args.streams) {
		write_streams(out, job);
		return;
	}
	key_text_add(out, "seed ");
	key_text_u64(out, job->args.seed);
	key_text_add(out, "\n");
	write_positions(out, job);
	key_text_add(out, "name ");
	key_text_u64(out, strlen(job->args.name));
	key_text_add(out, " ");
	key_text_add(out, job->args.name);
	key_text_add(out, "\n");
}

static void write_word(struct key_text *out, const char *what, const char *word)
{
	key_text_add(out, what);
	key_text_add(out, word);
	key_text_add(out, "\n");
}

/* Whose arithmetic the state is, where it is not our own. */
static void write_library(struct key_text *out, const struct job *job)
{
	char name[GEMM_NAME_MAX];

	if (!job->method->flops || !job->state_size)
		return;
	gemm_name(name);
	write_word(out, "library ", name);
}

static int write_key(struct key_text *out, const struct job *job,
		     struct key_kind kind, struct error *err)
{
	key_text_add(out, subject_names[kind.subject]);
	key_text_u64(out, KEY_VERSION);
	key_text_add(out, "\n");
	write_shape(out, job);
	if (job->kind == JOB_COPY) {
		write_word(out, "copy ", dtype_info(job->dtype)->name);
		return write_inputs(out, job, kind, err);
	}
	write_method(out, job, kind);
	write_library(out, job);
	if (job->method->draws && kind.subject != KEY_SURVEY)
		write_draws(out, job);
	if (job->method->combine)
		write_positions(out, job);
	if (kind.subject == KEY_TENSOR)
		write_word(out, "output ", dtype_info(job->dtype)->name);
	return write_inputs(out, job, kind, err);
}

int job_key(const struct job *job, struct key_kind kind, struct hash128 *key,
	    struct error *err)
{
	AUTO_KEY_TEXT struct key_text text;
	int rc;

	key_text_init(&text);
	rc = write_key(&text, job, kind, err);
	if (rc)
		return fail_in(err, rc, "%s", job->name);
	rc = key_text_hash(&text, key);
	return rc ? fail(err, -rc, "%s: no memory for its key", job->name) : 0;
}
