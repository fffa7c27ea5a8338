/*
 * Any bytes as JSON. What is taken has one canonical text, which reads back to
 * itself, as does each other way of writing it; and editing it gives JSON with
 * just the members that were asked for.
 */
#include <errno.h>
#include <stdio.h>

#include "core/base/text.h"
#include "core/json.h"

#define NEW_NAME "a name \"that\" no text has\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static const struct json *read_back(const char *text, size_t len,
				    struct arena *arena)
{
	struct json *tree = NULL;

	must(json_parse(text, len, arena, &tree, NULL) == 0);
	return tree;
}

static void must_mean(const char *text, const char *canonical,
		      struct arena *arena)
{
	AUTO_FREE char *again =
		json_canonical(read_back(text, strlen(text), arena));

	must(again && strcmp(again, canonical) == 0);
}

static void check_writing(const struct json *tree, struct arena *arena)
{
	AUTO_FREE char *canonical = json_canonical(tree);

	must(canonical != NULL);
	must_mean(canonical, canonical, arena);
	for (unsigned indent = 0; indent < 3; indent++) {
		AUTO_TEXT struct text text = TEXT_INIT;
		AUTO_FREE char *bytes = NULL;

		must(text_open(&text) == 0);
		json_write(text.out, tree, indent);
		must(text_take(&text, &bytes, NULL) == 0);
		must_mean(bytes, canonical, arena);
	}
}

static void check_edited(const struct json *tree, const struct json *edited)
{
	const struct json *member;

	must(edited->type == JSON_OBJECT);
	must(json_u64(json_member(edited, NEW_NAME), &(uint64_t){ 0 }));
	for (size_t i = 2; i < tree->count; i++) {
		AUTO_FREE char *before = json_canonical(tree->items[i]);
		AUTO_FREE char *after = NULL;

		member = json_member(edited, tree->names[i]);
		must(member != NULL);
		after = json_canonical(member);
		must(strcmp(before, after) == 0);
	}
}

/* Replace the first member, remove the second one, and add one. */
static void check_edit(const char *text, size_t len, const struct json *tree,
		       struct arena *arena)
{
	struct json_edit edits[3] = { { NEW_NAME, "12" } };
	AUTO_FREE char *same = NULL, *out = NULL;
	const struct json *edited;
	size_t count = 1, out_len;

	if (tree->type != JSON_OBJECT)
		return;
	must(json_edit(text, len, NULL, 0, &same, &out_len, NULL) == 0);
	must(out_len == len && memcmp(same, text, len) == 0);
	if (tree->count > 0)
		edits[count++] = (struct json_edit){ tree->names[0], "[1]" };
	if (tree->count > 1)
		edits[count++] = (struct json_edit){ tree->names[1], NULL };
	must(json_edit(text, len, edits, count, &out, &out_len, NULL) == 0);
	edited = read_back(out, out_len, arena);
	must(edited->count == tree->count + (tree->count < 2));
	check_edited(tree, edited);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct error err = { 0 };
	struct json *tree = NULL;
	int rc;

	if (!arena)
		return 0;
	rc = json_parse((const char *)data, size, arena, &tree, &err);
	must(rc == 0 || (rc == -EINVAL && err.text[0] != '\0'));
	if (rc)
		return 0;
	check_writing(tree, arena);
	check_edit((const char *)data, size, tree, arena);
	return 0;
}
