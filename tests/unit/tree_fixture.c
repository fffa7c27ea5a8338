#include <setjmp.h>
#include <stdarg.h>

#include "core/yaml.h"
#include "tests/unit/tree_fixture.h"

#include <cmocka.h>

struct arena *arena;

int open_arena(void **state)
{
	arena = arena_open();
	return arena ? 0 : -1;
}

int close_arena(void **state)
{
	arena_close(arena);
	return 0;
}

typedef int parser(const char *text, size_t len, struct arena *arena,
		   struct json **tree, struct error *err);

static const struct json *parse_by(parser *parse, const char *text)
{
	struct json *tree = NULL;
	struct error err;

	if (parse(text, strlen(text), arena, &tree, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return tree;
}

const struct json *parse_json(const char *text)
{
	return parse_by(json_parse, text);
}

const struct json *parse_yaml(const char *text)
{
	return parse_by(yaml_parse, text);
}
