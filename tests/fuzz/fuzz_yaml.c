/*
 * Any bytes as YAML. What is taken has a canonical text in JSON, of a bounded
 * length, which reads back to itself.
 */
#include <errno.h>
#include <stdio.h>

#include "core/yaml.h"

/* A node, its quotes, comma and colon, and an escape for each byte. */
#define NODE_LEN_MAX (8 + 6 * YAML_NODE_LEN)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_canonical(const char *text, struct arena *arena)
{
	AUTO_FREE char *again = NULL;
	struct json *tree = NULL;

	must(strlen(text) <= (size_t)YAML_NODES_MAX * NODE_LEN_MAX);
	must(json_parse(text, strlen(text), arena, &tree, NULL) == 0);
	again = json_canonical(tree);
	must(again && strcmp(again, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA struct arena *arena = arena_open();
	AUTO_FREE char *text = NULL;
	struct error err = { 0 };
	struct json *tree = NULL;
	int rc;

	if (!arena)
		return 0;
	rc = yaml_parse((const char *)data, size, arena, &tree, &err);
	must(rc == 0 || (rc == -EINVAL && err.text[0] != '\0'));
	if (rc)
		return 0;
	text = json_canonical(tree);
	must(text != NULL);
	check_canonical(text, arena);
	return 0;
}
