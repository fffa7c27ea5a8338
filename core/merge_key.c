/*
 * Keys are the hash of a text that names everything the bytes depend on, one
 * thing a line. Numbers that are not whole are written in hexadecimal, exactly.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/merge.h"

/* Raised whenever the driver or the kernels change what they make. */
#define KEY_VERSION 1

static void write_shape(FILE *out, const struct job *job)
{
	fputs("shape", out);
	for (unsigned i = 0; i < job->shape.rank; i++)
		fprintf(out, " %" PRIu64, job->shape.dim[i]);
	fputc('\n', out);
}

static int write_input(FILE *out, const struct job_input *input,
		       struct error *err)
{
	const struct tensor *tensor = input->tensor;
	char hex[HASH_HEX_LEN + 1];
	struct hash128 identity;
	int rc = source_identity(tensor->source, &identity, err);

	if (rc)
		return rc;
	hash_hex(identity, hex);
	fprintf(out, "input %s at %" PRIu64 " %s", hex, tensor->off,
		dtype_info(tensor->dtype)->name);
	if (input->round != DTYPE_NONE)
		fprintf(out, " to %s", dtype_info(input->round)->name);
	fputc('\n', out);
	return 0;
}

static int write_inputs(FILE *out, const struct job *job, size_t count,
			struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int rc = write_input(out, &job->inputs[i], err);

		if (rc)
			return rc;
	}
	return 0;
}

/* A base's values of options that it does not take mean nothing. */
static bool takes_option(const struct job *job,
			 const struct method_option *option, size_t input)
{
	if (option->scope == OPTION_GLOBAL)
		return input == 0;
	return input != job->args.base || job->method->base_has_options;
}

static void write_option(FILE *out, const struct job *job, size_t option)
{
	fprintf(out, "%s", job->method->options[option].name);
	for (size_t i = 0; i < job->args.inputs; i++) {
		double value = method_value(&job->args, option, i);

		if (!takes_option(job, &job->method->options[option], i))
			continue;
		/* The sign of a NaN is nobody's choice. */
		if (isnan(value))
			fputs(" unset", out);
		else
			fprintf(out, " %a", value);
	}
	fputc('\n', out);
}

static void write_method(FILE *out, const struct job *job, bool for_state)
{
	const struct merge_method *method = job->method;

	fprintf(out, "method %s %u\n", method->name, method->version);
	if (job->args.base != METHOD_NO_BASE)
		fprintf(out, "base %zu\n", job->args.base);
	for (size_t i = 0; i < method->options_count; i++)
		if (!for_state || method->options[i].in_state)
			write_option(out, job, i);
}

static void write_draws(FILE *out, const struct job *job)
{
	fprintf(out, "seed %" PRIu64 "\npositions", job->args.seed);
	for (size_t i = 0; i < job->args.inputs; i++)
		if (i != job->args.base)
			fprintf(out, " %" PRIu32, job->args.positions[i]);
	fprintf(out, "\nname %zu %s\n", strlen(job->args.name), job->args.name);
}

static int write_key(FILE *out, const struct job *job, bool for_state,
		     struct error *err)
{
	fprintf(out, "%s %d\n", for_state ? "state" : "tensor", KEY_VERSION);
	write_shape(out, job);
	if (job->kind == JOB_COPY) {
		fprintf(out, "copy %s\n", dtype_info(job->dtype)->name);
		return write_inputs(out, job, 1, err);
	}
	write_method(out, job, for_state);
	if (job->method->draws)
		write_draws(out, job);
	if (!for_state)
		fprintf(out, "output %s\n", dtype_info(job->dtype)->name);
	return write_inputs(out, job, job->args.inputs, err);
}

static int key_of(const struct job *job, bool for_state, struct hash128 *key,
		  struct error *err)
{
	AUTO_FREE char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int rc;

	if (!out)
		return fail(err, ENOMEM, "%s: no memory for its key",
			    job->name);
	rc = write_key(out, job, for_state, err);
	if ((ferror(out) | fclose(out)) && !rc)
		rc = fail(err, ENOMEM, "no memory for its key");
	if (rc)
		return fail_in(err, rc, "%s", job->name);
	*key = hash_bytes(text, len);
	return 0;
}

int merge_state_key(const struct job *job, struct hash128 *key,
		    struct error *err)
{
	return key_of(job, true, key, err);
}

int merge_tensor_key(const struct job *job, struct hash128 *key,
		     struct error *err)
{
	return key_of(job, false, key, err);
}
