/*
 * The forms of a number, as in PyYAML's resolver (an underscore may stand among
 * the digits, and 60-based numbers are as in 1:30):
 *
 *	int	[-+]?0b[01_]+  [-+]?0[0-7_]+  [-+]?(0|[1-9][0-9_]*)
 *		[-+]?0x[0-9a-fA-F_]+  [-+]?[1-9][0-9_]*(:[0-5]?[0-9])+
 *	float	[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?
 *		\.[0-9][0-9_]*([eE][-+][0-9]+)?
 *		[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*
 *		[-+]?\.(inf|Inf|INF)  \.(nan|NaN|NAN)
 *
 * So 1e-3 and 1.0e5 are strings: the first has no point, the second no sign.
 */
#include <errno.h>
#include <math.h>
#include <strings.h>

#include "core/yaml_scalar.h"

#define DIGITS "0123456789"
#define BINARY "01"
#define OCTAL "01234567"
#define HEX "0123456789abcdefABCDEF"

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

static const char *skip_sign(const char *text)
{
	return text + (*text == '-' || *text == '+');
}

/* Behind [0-9][0-9_]*; NULL where that does not match. */
static const char *skip_digits(const char *text)
{
	return strspn(text, DIGITS) ? text + strspn(text, DIGITS "_") : NULL;
}

/* Behind (:[0-5]?[0-9])*. */
static const char *skip_sixties(const char *text)
{
	size_t n;

	while (*text == ':') {
		n = strspn(text + 1, DIGITS);
		if (n == 0 || n > 2 || (n == 2 && text[1] > '5'))
			break;
		text += 1 + n;
	}
	return text;
}

static bool is_all(const char *text, const char *set)
{
	return *text && text[strspn(text, set)] == '\0';
}

static bool is_int(const char *text)
{
	const char *digits = skip_sign(text);

	if (strncmp(digits, "0b", 2) == 0)
		return is_all(digits + 2, BINARY "_");
	if (strncmp(digits, "0x", 2) == 0)
		return is_all(digits + 2, HEX "_");
	if (*digits == '0')
		return digits[1] == '\0' || is_all(digits + 1, OCTAL "_");
	digits = skip_digits(digits);
	return digits && *skip_sixties(digits) == '\0';
}

/* Is the text empty, or [eE][-+][0-9]+ to its end? */
static bool is_exponent(const char *text)
{
	if (*text == '\0')
		return true;
	if (*text != 'e' && *text != 'E')
		return false;
	return (text[1] == '-' || text[1] == '+') && is_all(text + 2, DIGITS);
}

static bool is_float(const char *text)
{
	static const char *const infs[] = { ".inf", ".Inf", ".INF" };
	static const char *const nans[] = { ".nan", ".NaN", ".NAN" };
	const char *digits = skip_sign(text), *end;

	if (is_one_of(digits, infs, ARRAY_LEN(infs)) ||
	    is_one_of(text, nans, ARRAY_LEN(nans)))
		return true;
	if (*text == '.') {
		end = skip_digits(text + 1);
		return end && is_exponent(end);
	}
	digits = skip_digits(digits);
	if (!digits)
		return false;
	end = skip_sixties(digits);
	if (*end != '.')
		return false;
	end += 1 + strspn(end + 1, DIGITS "_");
	return *end == '\0' || (*digits == '.' && is_exponent(end));
}

/* A new copy without underscores; NULL: no memory. */
static char *without_underscores(const char *text)
{
	char *copy = strdup(text), *to = copy;

	if (!copy)
		return NULL;
	for (const char *from = text; *from; from++)
		if (*from != '_')
			*to++ = *from;
	*to = '\0';
	return copy;
}

/* Is it [0-9]*\.?[0-9]*([eE][-+]?[0-9]+)? with a digit before the exponent? */
static bool is_decimal(const char *text)
{
	size_t before = strspn(text, DIGITS), after = 0;

	text += before;
	if (*text == '.') {
		after = strspn(text + 1, DIGITS);
		text += 1 + after;
	}
	if (before + after == 0)
		return false;
	if (*text == '\0')
		return true;
	if (*text != 'e' && *text != 'E')
		return false;
	return is_all(skip_sign(text + 1), DIGITS);
}

static unsigned digit_value(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c | 0x20) - 'a' + 10;
}

static bool read_radix(const char *text, const char *set, unsigned base,
		       double *number)
{
	if (!is_all(text, set))
		return false;
	*number = 0;
	for (; *text; text++)
		*number = *number * base + digit_value(*text);
	return true;
}

/*
 * Decimal numbers with colons between them, each worth 60 of the one behind it.
 * They are added from the end, as PyYAML does, whose last bit this keeps.
 */
static bool read_sixties(char *text, double *number)
{
	double worth = 1;

	*number = 0;
	for (char *part = text + strlen(text);; part--) {
		if (part > text && part[-1] != ':')
			continue;
		if (!is_decimal(part))
			return false;
		*number += strtod(part, NULL) * worth;
		if (part == text)
			return true;
		worth *= 60;
		part[-1] = '\0';
	}
}

/* The digits of an integer without sign and underscores. */
static bool read_digits(char *digits, double *number)
{
	if (strncmp(digits, "0b", 2) == 0)
		return read_radix(digits + 2, BINARY, 2, number);
	if (strncmp(digits, "0x", 2) == 0)
		return read_radix(digits + 2, HEX, 16, number);
	if (*digits == '0')
		return read_radix(digits, OCTAL, 8, number);
	return read_sixties(digits, number);
}

static bool read_fraction(char *digits, double *number)
{
	if (strcasecmp(digits, ".inf") == 0) {
		*number = INFINITY;
		return true;
	}
	if (strcasecmp(digits, ".nan") == 0) {
		*number = NAN;
		return true;
	}
	return read_sixties(digits, number);
}

/* Read a number without its sign and underscores, then give it the sign. */
static int read_number(const char *text, bool (*read)(char *, double *),
		       struct json *node)
{
	AUTO_FREE char *clean = without_underscores(text);
	char *digits;

	if (!clean)
		return -ENOMEM;
	digits = clean + (skip_sign(clean) - clean);
	if (!read(digits, &node->number))
		return -EINVAL;
	node->type = JSON_NUMBER;
	node->string = text;
	node->integral = read == read_digits;
	/* A whole number has no negative zero. */
	if (*clean == '-' && (node->number != 0 || !node->integral))
		node->number = -node->number;
	return 0;
}

static int as_int(const char *text, struct json *node)
{
	return is_int(text) ? read_number(text, read_digits, node) : -EINVAL;
}

static int as_float(const char *text, struct json *node)
{
	return read_number(text, read_fraction, node);
}

static int as_string(const char *text, struct json *node)
{
	node->type = JSON_STRING;
	node->string = text;
	return 0;
}

static int as_null(const char *text, struct json *node)
{
	node->type = JSON_NULL;
	return 0;
}

/* A tag allows any mix of capitals; without one only some are booleans. */
static int as_bool(const char *text, struct json *node)
{
	static const char *const words[][2] = { { "no", "yes" },
						{ "false", "true" },
						{ "off", "on" } };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		node->boolean = strcasecmp(text, words[i][1]) == 0;
		if (!node->boolean && strcasecmp(text, words[i][0]) != 0)
			continue;
		node->type = JSON_BOOL;
		return 0;
	}
	return -EINVAL;
}

static bool is_bool(const char *text)
{
	static const char *const words[] = {
		"yes",	"Yes",	"YES",	"no",	 "No",	  "NO",
		"true", "True", "TRUE", "false", "False", "FALSE",
		"on",	"On",	"ON",	"off",	 "Off",	  "OFF",
	};

	return is_one_of(text, words, ARRAY_LEN(words));
}

static bool is_null(const char *text)
{
	static const char *const words[] = { "~", "null", "Null", "NULL", "" };

	return is_one_of(text, words, ARRAY_LEN(words));
}

static bool is_any(const char *text)
{
	return true;
}

/* In the order of asking for a plain scalar; the last takes what is left. */
static const struct kind {
	const char *tag;
	bool (*is)(const char *text);
	int (*read)(const char *text, struct json *node);
} kinds[] = {
	{ YAML_TAG_PREFIX "bool", is_bool, as_bool },
	{ YAML_TAG_PREFIX "float", is_float, as_float },
	{ YAML_TAG_PREFIX "int", is_int, as_int },
	{ YAML_TAG_PREFIX "null", is_null, as_null },
	{ YAML_TAG_PREFIX "str", is_any, as_string },
};

int yaml_scalar(const char *text, const char *tag, bool plain,
		struct json *node)
{
	const struct kind *kind = kinds;

	if (!tag && !plain)
		return as_string(text, node);
	if (!tag) {
		while (!kind->is(text))
			kind++;
		return kind->read(text, node);
	}
	for (; kind < kinds + ARRAY_LEN(kinds); kind++)
		if (strcmp(tag, kind->tag) == 0)
			return kind->read(text, node);
	return -ENOTSUP;
}
