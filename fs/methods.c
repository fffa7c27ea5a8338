/*
 * `llmergefs methods`: what the tables of core/methods say, for people, for
 * programs and for the README.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "core/json.h"
#include "core/near.h"
#include "core/scalar.h"
#include "core/where.h"
#include "fs/command.h"

static const char *const type_names[] = {
	[OPTION_FLOAT] = "float",
	[OPTION_BOOL] = "bool",
	[OPTION_INT] = "int",
	[OPTION_CHOICE] = "choice",
};

static const char *const base_names[] = {
	[BASE_UNUSED] = "unused",
	[BASE_OPTIONAL] = "optional",
	[BASE_REQUIRED] = "required",
};

static const char *const before_models[] = {
	[BASE_UNUSED] = "",
	[BASE_OPTIONAL] = "base_model, if given, and ",
	[BASE_REQUIRED] = "base_model and ",
};

static const char *scope_name(const struct method_option *option)
{
	return option->scope == OPTION_PER_MODEL ? "per model" : "global";
}

#define VALUE_TEXT_MAX 32

static const char *value_text(const struct method_option *option, double value,
			      char text[VALUE_TEXT_MAX])
{
	if (option->type == OPTION_BOOL)
		return value != 0 ? "true" : "false";
	if (option->type == OPTION_CHOICE)
		return option->choices[(size_t)value];
	snprintf(text, VALUE_TEXT_MAX, "%g", value);
	return text;
}

/* "required", "0.5", or "none" where it may be left out. */
static const char *fallback_text(const struct method_option *option,
				 char text[VALUE_TEXT_MAX])
{
	if (option->required)
		return "required";
	if (isnan(option->fallback))
		return "none";
	return value_text(option, option->fallback, text);
}

/* ": none or one_bit" */
static void print_choices(FILE *out, const struct method_option *option)
{
	fprintf(out, ": %s",
		where_choices(option->choices, (size_t)option->max + 1).text);
}

static void print_range(FILE *out, const struct method_option *option)
{
	if (option->type == OPTION_CHOICE)
		print_choices(out, option);
	if (option->type == OPTION_BOOL || option->type == OPTION_CHOICE ||
	    (isinf(option->min) && isinf(option->max)))
		return;
	if (isinf(option->max))
		fprintf(out, ", from %g", option->min);
	else if (isinf(option->min))
		fprintf(out, ", to %g", option->max);
	else
		fprintf(out, ", %g to %g", option->min, option->max);
}

/* "base_model and 1 model", "any number of models, at least 2". */
static void print_models(FILE *out, const struct merge_method *method)
{
	size_t min = method->models_min, max = method->models_max;

	fputs(before_models[method->base], out);
	if (max == METHOD_ANY_COUNT)
		fputs("any number of models", out);
	else if (max == min)
		fprintf(out, "%zu model%s", min, min == 1 ? "" : "s");
	else
		fprintf(out, "%zu to %zu models", min, max);
	if (max == METHOD_ANY_COUNT && min > 1)
		fprintf(out, ", at least %zu", min);
}

/* --- text --------------------------------------------------------------- */

static void print_option(const struct method_option *option)
{
	char text[VALUE_TEXT_MAX];

	printf("    %-14s %s %s", option->name, scope_name(option),
	       type_names[option->type]);
	print_range(stdout, option);
	printf(", %s%s\n", option->required ? "" : "default ",
	       fallback_text(option, text));
	printf("    %-14s %s\n", "", option->help);
}

static void print_method(const struct merge_method *method)
{
	printf("%s: %s\n    takes ", method->name, method->summary);
	print_models(stdout, method);
	fputs(method->own_bases ? "; models may have bases of their own\n"
				: "\n",
	      stdout);
	if (method->has_paper)
		puts("    differs with semantics: paper");
	for (size_t i = 0; i < method->options_count; i++)
		print_option(&method->options[i]);
}

/* --- JSON --------------------------------------------------------------- */

static void write_choices(FILE *out, const struct method_option *option)
{
	size_t last = (size_t)option->max;

	fputs(", \"choices\": [", out);
	for (size_t i = 0; i <= last; i++) {
		fputs(i ? ", " : "", out);
		json_write_string(out, option->choices[i]);
	}
	fputc(']', out);
}

static void write_option_json(FILE *out, const struct method_option *option)
{
	bool choice = option->type == OPTION_CHOICE;

	fputs("{\"name\": ", out);
	json_write_string(out, option->name);
	fprintf(out, ", \"type\": \"%s\", \"scope\": \"%s\", \"required\": %s",
		type_names[option->type],
		option->scope == OPTION_PER_MODEL ? "model" : "global",
		option->required ? "true" : "false");
	fputs(", \"default\": ", out);
	scalar_write(out, option, option->fallback);
	fputs(", \"min\": ", out);
	json_write_number(out, choice ? (double)NAN : option->min);
	fputs(", \"max\": ", out);
	json_write_number(out, choice ? (double)NAN : option->max);
	if (choice)
		write_choices(out, option);
	fputs(", \"help\": ", out);
	json_write_string(out, option->help);
	fputc('}', out);
}

static void write_method_json(FILE *out, const struct merge_method *method)
{
	fputs("{\"name\": ", out);
	json_write_string(out, method->name);
	fputs(", \"summary\": ", out);
	json_write_string(out, method->summary);
	fprintf(out, ", \"version\": %u, \"base_model\": \"%s\"",
		method->version, base_names[method->base]);
	fprintf(out,
		", \"models_min\": %zu, \"models_max\": ", method->models_min);
	if (method->models_max == METHOD_ANY_COUNT)
		fputs("null", out);
	else
		fprintf(out, "%zu", method->models_max);
	fprintf(out, ", \"own_bases\": %s, \"has_paper\": %s, \"options\": [",
		method->own_bases ? "true" : "false",
		method->has_paper ? "true" : "false");
	for (size_t i = 0; i < method->options_count; i++) {
		fputs(i ? ",\n      " : "\n      ", out);
		write_option_json(out, &method->options[i]);
	}
	fputs("]}", out);
}

/* --- Markdown ----------------------------------------------------------- */

static void print_markdown_option(const struct method_option *option)
{
	char text[VALUE_TEXT_MAX];

	printf("`%s` (%s%s", option->name,
	       option->scope == OPTION_PER_MODEL ? "per model, " : "",
	       type_names[option->type]);
	if (option->type == OPTION_CHOICE)
		print_choices(stdout, option);
	printf(", %s)", fallback_text(option, text));
}

static void print_markdown(const struct merge_method *method)
{
	printf("| `%s` | %s | ", method->name, method->summary);
	print_models(stdout, method);
	fputs(" | ", stdout);
	for (size_t i = 0; i < method->options_count; i++) {
		fputs(i ? "<br>" : "", stdout);
		print_markdown_option(&method->options[i]);
	}
	puts(" |");
}

/* --- all of them -------------------------------------------------------- */

static bool is_wanted(const struct options *options,
		      const struct merge_method *method)
{
	return !options->recipe || strcmp(options->recipe, method->name) == 0;
}

static void print_all(const struct options *options,
		      void (*print)(const struct merge_method *method))
{
	for (size_t i = 0; i < method_count(); i++)
		if (is_wanted(options, method_at(i)))
			print(method_at(i));
}

static void print_json(const struct options *options)
{
	const char *comma = "";

	fputs("{\"schema\": \"llmergefs-methods-1\", \"methods\": [", stdout);
	for (size_t i = 0; i < method_count(); i++) {
		if (!is_wanted(options, method_at(i)))
			continue;
		printf("%s\n    ", comma);
		write_method_json(stdout, method_at(i));
		comma = ",";
	}
	puts("\n]}");
}

static int fail_unknown(const char *name)
{
#define METHOD_NAME(name) #name,
	static const char *const names[] = { METHODS(METHOD_NAME) };
#undef METHOD_NAME
	const char *near = near_name(name, names, ARRAY_LEN(names));
	struct error err;

	fail(&err, EINVAL, "there is no method \"%s\"%s%s%s", name,
	     near ? "; did you mean \"" : "; `llmergefs methods` lists them",
	     near ? near : "", near ? "\"?" : "");
	return command_failed(&err);
}

int methods_main(const struct options *options)
{
	if (options->recipe && !method_by_name(options->recipe))
		return fail_unknown(options->recipe);
	if (options->json) {
		print_json(options);
	} else if (options->markdown) {
		puts("| method | what it does | takes | options |\n"
		     "|---|---|---|---|");
		print_all(options, print_markdown);
	} else {
		print_all(options, print_method);
	}
	return EXIT_OK;
}
