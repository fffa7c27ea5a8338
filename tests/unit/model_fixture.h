/*
 * What the tests of models share: folders with small weights, a Hugging Face
 * cache of their own at <fixture>/hub, and the notes of opening a model. The
 * fixture's folder is that of the recipe and the working directory; in an
 * expected sentence "@" stands for it.
 */
#ifndef LMFS_TESTS_MODEL_FIXTURE_H
#define LMFS_TESTS_MODEL_FIXTURE_H

#include "core/model.h"
#include "tests/unit/fixture.h"

#define NOTES_TEXT_MAX 4096

/* Group set-up and tear-down for cmocka: *state is a struct fixture. */
int model_fixture_open(void **state);
int model_fixture_close(void **state);

void fixture_text(const struct fixture *fx, const char *name, const char *text);

/* A safetensors file of bf16 scalars with these names. */
void fixture_weights(const struct fixture *fx, const char *name,
		     const char *const *names);
#define WEIGHTS(fx, name, ...) \
	fixture_weights(fx, name, (const char *const[]){ __VA_ARGS__, NULL })

/* `text` with every '@' replaced by the folder. */
void model_fixture_expand(const struct fixture *fx, const char *text,
			  char out[NOTES_TEXT_MAX]);

/* The notes must be exactly these lines, each ended by a newline. */
void assert_notes(const struct fixture *fx, const struct report *report,
		  const char *lines);

const struct model *model_fixture_get(struct model_set *set, const char *path,
				      const char *revision,
				      struct report *report);

/* Opening `path` must give these notes; `code` is 0 where it must succeed. */
void assert_model(const struct fixture *fx, const char *path,
		  const char *revision, int code, const char *lines);

#endif
