#include <assert.h>
#include <math.h>

#include "core/base/text.h"
#include "core/base/utf8.h"
#include "core/json.h"

#define DIGITS_MAX 17 /* enough for every binary64 number */
#define NUMBER_TEXT_MAX 40

struct style {
	const char *comma;
	const char *colon;
	unsigned indent; /* blanks a level; 0: no line breaks */
	bool sorted;
	bool yaml; /* numbers that YAML 1.1 reads, too */
};

struct frame {
	const struct json *node;
	size_t at; /* the item that is written next */
};

static const char *escape_of(char c)
{
	static const char plain[] = "\"\\\b\f\n\r\t";
	static const char *const escapes[] = { "\\\"", "\\\\", "\\b", "\\f",
					       "\\n",  "\\r",  "\\t" };
	const char *found = strchr(plain, c);

	return found ? escapes[found - plain] : NULL;
}

/* How many bytes are written as they are. */
static size_t plain_run(const char *text, size_t len)
{
	size_t run = 0, n;

	while (run < len && (unsigned char)text[run] >= 0x20 &&
	       text[run] != '"' && text[run] != '\\') {
		n = utf8_char(text + run, len - run);
		if (n == 0)
			break;
		run += n;
	}
	return run;
}

void json_write_string(FILE *out, const char *text)
{
	size_t len = strlen(text), run;

	fputc('"', out);
	for (size_t i = 0; i < len; i += run ? run : 1) {
		run = plain_run(text + i, len - i);
		if (run)
			fwrite(text + i, 1, run, out);
		else if (escape_of(text[i]))
			fputs(escape_of(text[i]), out);
		else if ((unsigned char)text[i] < 0x20)
			fprintf(out, "\\u%04x", (unsigned)text[i]);
		else
			fputs(UTF8_REPLACEMENT, out);
	}
	fputc('"', out);
}

/* The shortest text that reads back as this finite number. */
static void spell_number(char text[NUMBER_TEXT_MAX], double number)
{
	if (fabs(number) < JSON_EXACT_END && number == trunc(number)) {
		snprintf(text, NUMBER_TEXT_MAX, "%.0f", number);
		return;
	}
	for (int digits = 1; digits <= DIGITS_MAX; digits++) {
		snprintf(text, NUMBER_TEXT_MAX, "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
}

void json_write_number(FILE *out, double number)
{
	char text[NUMBER_TEXT_MAX];

	if (!isfinite(number)) {
		fputs("null", out);
		return;
	}
	spell_number(text, number);
	fputs(text, out);
}

/* A number that YAML 1.1, too, takes for the same number. */
static void write_yaml_number(FILE *out, double number)
{
	char text[NUMBER_TEXT_MAX];
	const char *exponent;

	if (!isfinite(number)) {
		fputs("null", out);
		return;
	}
	spell_number(text, number);
	exponent = strchr(text, 'e');
	if (number == 0 && signbit(number))
		fputs("-0.0", out);
	else if (!exponent || strchr(text, '.'))
		fputs(text, out);
	else
		fprintf(out, "%.*s.0%s", (int)(exponent - text), text,
			exponent);
}

static void write_break(FILE *out, const struct style *style, size_t depth)
{
	if (style->indent == 0)
		return;
	fprintf(out, "\n%*s", (int)(style->indent * depth), "");
}

static void write_scalar(FILE *out, const struct style *style,
			 const struct json *node)
{
	if (node->type == JSON_STRING)
		json_write_string(out, node->string);
	else if (node->type == JSON_NUMBER && style->yaml)
		write_yaml_number(out, node->number);
	else if (node->type == JSON_NUMBER)
		json_write_number(out, node->number);
	else if (node->type == JSON_BOOL)
		fputs(node->boolean ? "true" : "false", out);
	else
		fputs("null", out);
}

/* The next item's separator and name; returns its value. */
static const struct json *write_item(FILE *out, const struct style *style,
				     struct frame *top, size_t depth)
{
	const struct json *node = top->node;
	size_t i = top->at;

	if (style->sorted && node->type == JSON_OBJECT)
		i = node->sorted[i];
	if (top->at++ > 0)
		fputs(style->comma, out);
	write_break(out, style, depth);
	if (node->type == JSON_OBJECT) {
		json_write_string(out, node->names[i]);
		fputs(style->colon, out);
	}
	return node->items[i];
}

static void write_close(FILE *out, const struct style *style,
			const struct json *node, size_t depth)
{
	if (node->count > 0)
		write_break(out, style, depth);
	fputc(node->type == JSON_OBJECT ? '}' : ']', out);
}

/* Close the containers that are written whole; the depth that is left. */
static size_t close_whole(FILE *out, const struct style *style,
			  const struct frame *frames, size_t depth)
{
	const struct frame *top;

	for (; depth > 0; depth--) {
		top = &frames[depth - 1];
		if (top->at < top->node->count)
			break;
		write_close(out, style, top->node, depth - 1);
	}
	return depth;
}

static void write_tree(FILE *out, const struct style *style,
		       const struct json *node)
{
	struct frame frames[JSON_DEPTH_MAX];
	size_t depth = 0;

	for (;;) {
		if (node->type == JSON_ARRAY || node->type == JSON_OBJECT) {
			assert(depth < JSON_DEPTH_MAX);
			fputc(node->type == JSON_OBJECT ? '{' : '[', out);
			frames[depth++] = (struct frame){ .node = node };
		} else {
			write_scalar(out, style, node);
		}
		depth = close_whole(out, style, frames, depth);
		if (depth == 0)
			return;
		node = write_item(out, style, &frames[depth - 1], depth);
	}
}

char *json_canonical(const struct json *tree)
{
	static const struct style style = { ",", ":", 0, true, false };
	AUTO_TEXT struct text text = TEXT_INIT;
	char *bytes;

	if (text_open(&text) < 0)
		return NULL;
	write_tree(text.out, &style, tree);
	return text_take(&text, &bytes, NULL) < 0 ? NULL : bytes;
}

void json_write(FILE *out, const struct json *tree, unsigned indent)
{
	const struct style style = { indent ? "," : ", ", ": ", indent, false,
				     true };

	write_tree(out, &style, tree);
}
