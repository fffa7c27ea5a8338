#include "core/recipe_reader.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "core/near.h"

#define NAMES_TEXT_MAX 512
#define PAD_MAX (1u << 20)
#define SHARD_SIZE_MAX (1ull << 53)

/* "linear, slerp, ...", and the one that is nearest to `name`, else NULL. */
static const char *method_names(const char *name, char text[NAMES_TEXT_MAX])
{
	const char *best = NULL;
	size_t best_distance = NEAR_NOT, len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < method_count(); i++) {
		const char *known = method_at(i)->name;
		size_t distance = near_distance(name, known);

		if (distance < best_distance) {
			best = known;
			best_distance = distance;
		}
		if (len < NAMES_TEXT_MAX)
			len += (size_t)snprintf(text + len,
						NAMES_TEXT_MAX - len, "%s%s",
						i > 0 ? ", " : "", known);
	}
	return best;
}

void recipe_read_method(const struct reader *reader)
{
	const struct json *tree = reader->recipe->tree;
	const struct json *value = json_member(tree, "merge_method");
	const char *name = reader_string(reader, "merge_method");
	char names[NAMES_TEXT_MAX];
	const char *near;

	if (value && value->type != JSON_NULL && value->type != JSON_STRING)
		return;
	reader->recipe->method = name ? method_by_name(name) : NULL;
	if (reader->recipe->method)
		return;
	near = method_names(name ? name : "", names);
	if (!name)
		reader_wrong(reader, EINVAL, "merge_method",
			     "missing; one of %s", names);
	else if (near)
		reader_wrong(reader, EINVAL, "merge_method",
			     "no method is called \"%s\"; did you mean \"%s\"? "
			     "Supported are %s",
			     name, near, names);
	else
		reader_wrong(reader, EINVAL, "merge_method",
			     "no method is called \"%s\"; supported are %s",
			     name, names);
}

static const struct {
	const char *alias;
	const char *name;
} dtype_aliases[] = {
	{ "bf16", "bfloat16" },	 { "f16", "float16" }, { "fp16", "float16" },
	{ "half", "float16" },	 { "f32", "float32" }, { "fp32", "float32" },
	{ "float", "float32" },	 { "f64", "float64" }, { "fp64", "float64" },
	{ "double", "float64" },
};

static const char *const dtype_names[] = { "bfloat16", "float16", "float32",
					   "float64" };

static const char *dtype_meant(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(dtype_aliases); i++)
		if (strcasecmp(dtype_aliases[i].alias, name) == 0)
			return dtype_aliases[i].name;
	return near_name(name, dtype_names, ARRAY_LEN(dtype_names));
}

static void dtype_unknown(const struct reader *reader, const char *field,
			  const char *name)
{
	const char *plain = strncmp(name, "torch.", 6) == 0 ? name + 6 : name;
	const char *meant = dtype_meant(plain);

	if (meant)
		reader_wrong(
			reader, EINVAL, field,
			"\"%s\" is no dtype; did you mean \"%s\"? (bfloat16, "
			"float16, float32 or float64)",
			name, meant);
	else
		reader_wrong(reader, EINVAL, field,
			     "\"%s\" is no dtype; one of bfloat16, float16, "
			     "float32, "
			     "float64",
			     name);
}

static enum dtype read_dtype(const struct reader *reader, const char *field)
{
	const char *name = reader_string(reader, field);
	enum dtype dtype = name ? dtype_by_torch_name(name) : DTYPE_NONE;

	if (!name)
		return DTYPE_NONE;
	if (dtype == DTYPE_NONE) {
		dtype_unknown(reader, field, name);
	} else if (!dtype_info(dtype)->arithmetic) {
		reader_wrong(reader, ENOTSUP, field,
			     "weights cannot be merged as %s; give bfloat16, "
			     "float16, "
			     "float32 or float64",
			     name);
	} else if (dtype == DTYPE_F64) {
		report_warning(reader->report,
			       "%s: %s: merged values are computed in binary32 "
			       "and stored as float64",
			       reader->recipe->path, field);
	}
	return dtype;
}

void recipe_read_dtypes(const struct reader *reader)
{
	reader->recipe->dtype = read_dtype(reader, "dtype");
	reader->recipe->out_dtype = read_dtype(reader, "out_dtype");
}

static void read_tokenizer_source(const struct reader *reader,
				  const struct json *source, const char *where)
{
	struct recipe *recipe = reader->recipe;

	if (source->type == JSON_STRING &&
	    (strcmp(source->string, "union") == 0 ||
	     strcmp(source->string, "base") == 0))
		recipe->tokenizer_source = source->string;
	else if (reader_ref(reader, source, where, &recipe->tokenizer_model))
		recipe->tokenizer_source = recipe->tokenizer_model.text;
}

static void read_tokenizer_object(const struct reader *reader,
				  const struct json *tokenizer)
{
	struct recipe *recipe = reader->recipe;
	const struct json *source = json_member(tokenizer, "source");
	const struct json *pad = json_given(tokenizer, "pad_to_multiple_of");
	const struct json *tokens = reader_typed(
		reader, tokenizer, "tokens", JSON_OBJECT, "tokenizer.tokens");

	if (source)
		read_tokenizer_source(reader, source, "tokenizer.source");
	else
		recipe->tokenizer_source = "union";
	if (tokens && tokens->count > 0)
		reader_wrong(
			reader, ENOTSUP, "tokenizer.tokens",
			"rules for single tokens are not supported yet; leave "
			"them out where all tokenizers are the same");
	if (pad && (!json_u64(pad, &recipe->pad_to_multiple_of) ||
		    recipe->pad_to_multiple_of == 0 ||
		    recipe->pad_to_multiple_of > PAD_MAX))
		reader_wrong(reader, EINVAL, "tokenizer.pad_to_multiple_of",
			     "must be a whole number from 1 to %u", PAD_MAX);
}

void recipe_read_tokenizer(const struct reader *reader)
{
	const struct json *tree = reader->recipe->tree;
	const struct json *source = json_given(tree, "tokenizer_source");
	const struct json *tokenizer = reader_typed(reader, tree, "tokenizer",
						    JSON_OBJECT, "tokenizer");

	if (source && tokenizer)
		reader_wrong(
			reader, EINVAL, "",
			"`tokenizer_source` and `tokenizer` cannot both be "
			"given; `tokenizer: {source: ...}` says the same as "
			"the "
			"first");
	else if (source)
		read_tokenizer_source(reader, source, "tokenizer_source");
	else if (tokenizer)
		read_tokenizer_object(reader, tokenizer);
}

void recipe_read_chat_template(const struct reader *reader)
{
	const char *name = reader_string(reader, "chat_template");

	if (name && strcmp(name, "auto") != 0)
		reader_wrong(reader, ENOTSUP, "chat_template",
			     "a new chat template is not supported yet; leave "
			     "it out "
			     "and the merged model keeps that of its base (or "
			     "first) "
			     "model");
	else
		reader->recipe->chat_template = name;
}

static const char *const rng_names[] = {
	[RNG_COUNTER] = "counter",
	[RNG_MT19937] = "mt19937",
};

static const char *const semantics_names[] = {
	[SEMANTICS_MERGEKIT] = "mergekit",
	[SEMANTICS_PAPER] = "paper",
};

static const char *const arithmetic_names[] = {
	[ARITHMETIC_FLOAT32] = "float32",
	[ARITHMETIC_MERGEKIT] = "mergekit",
	[ARITHMETIC_MERGEKIT_014] = "mergekit-0.1.4",
};

/* The place of a setting's value among `names`; 0 where it is not given, or
 * (reported) is none of them. */
static size_t read_choice(const struct reader *reader, const struct json *ours,
			  const char *key, const char *const *names,
			  size_t count)
{
	const struct json *value = json_given(ours, key);

	if (!value)
		return 0;
	for (size_t i = 0; value->type == JSON_STRING && i < count; i++)
		if (strcmp(value->string, names[i]) == 0)
			return i;
	reader_wrong(reader, EINVAL, where_at("llmergefs.%s", key).text,
		     "must be %s", where_choices(names, count).text);
	return 0;
}

/* How the numbers are made. */
static void read_manner(const struct reader *reader, const struct json *ours)
{
	struct recipe *recipe = reader->recipe;

	recipe->rng = (enum rng_kind)read_choice(reader, ours, "rng", rng_names,
						 ARRAY_LEN(rng_names));
	recipe->semantics = (enum semantics)read_choice(
		reader, ours, "semantics", semantics_names,
		ARRAY_LEN(semantics_names));
	recipe->arithmetic = (enum arithmetic)read_choice(
		reader, ours, "arithmetic", arithmetic_names,
		ARRAY_LEN(arithmetic_names));
}

struct recipe_manner recipe_manner(const struct recipe *recipe)
{
	return (struct recipe_manner){
		.rng = rng_names[recipe->rng],
		.semantics = semantics_names[recipe->semantics],
		.arithmetic = arithmetic_names[recipe->arithmetic],
	};
}

void recipe_read_ours(const struct reader *reader)
{
	struct recipe *recipe = reader->recipe;
	const struct json *ours = reader_typed(
		reader, recipe->tree, "llmergefs", JSON_OBJECT, "llmergefs");
	const struct json *seed = json_given(ours, "seed");
	const struct json *size = json_given(ours, "shard_size");

	recipe->shard_size = RECIPE_SHARD_SIZE;
	read_manner(reader, ours);
	if (json_given(ours, "sweep"))
		reader_wrong(reader, EINVAL, "llmergefs.sweep",
			     "a point of a sweep cannot have a sweep");
	if (seed && !json_u64(seed, &recipe->seed))
		reader_wrong(reader, EINVAL, "llmergefs.seed",
			     "must be a whole number from 0 to 2^53");
	if (!size)
		return;
	if (size->type == JSON_STRING
		    ? !recipe_size(size->string, &recipe->shard_size)
		    : !json_u64(size, &recipe->shard_size))
		reader_wrong(reader, EINVAL, "llmergefs.shard_size",
			     "must be a number of bytes such as 5000000000 or "
			     "\"5GB\"; 0: one file, however large");
}

static const struct {
	const char *suffix;
	double unit;
} units[] = {
	{ "", 1 },     { "K", 1e3 },   { "KB", 1e3 }, { "M", 1e6 },
	{ "MB", 1e6 }, { "G", 1e9 },   { "GB", 1e9 }, { "B", 1e9 },
	{ "T", 1e12 }, { "TB", 1e12 },
};

bool recipe_size(const char *text, uint64_t *bytes)
{
	size_t digits = strspn(text, "0123456789.");
	double number;
	char *end;

	if (digits == 0)
		return false;
	number = strtod(text, &end);
	if (end != text + digits)
		return false;
	end += *end == ' ';
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcasecmp(end, units[i].suffix) != 0)
			continue;
		number *= units[i].unit;
		if (number > (double)SHARD_SIZE_MAX)
			return false;
		*bytes = (uint64_t)(number + 0.5);
		return true;
	}
	return false;
}
