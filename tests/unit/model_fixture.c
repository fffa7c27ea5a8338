#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/model_fixture.h"

#include <cmocka.h>

int model_fixture_open(void **state)
{
	static struct fixture fx;
	char hub[FIXTURE_PATH_MAX];

	fixture_open(&fx);
	fixture_path(&fx, "hub", hub);
	assert_int_equal(setenv("HF_HUB_CACHE", hub, 1), 0);
	assert_int_equal(chdir(fx.dir), 0);
	*state = &fx;
	return 0;
}

int model_fixture_close(void **state)
{
	assert_int_equal(chdir("/"), 0);
	fixture_close(*state);
	return 0;
}

void fixture_text(const struct fixture *fx, const char *name, const char *text)
{
	fixture_write(fx, name, text, strlen(text));
}

void fixture_weights(const struct fixture *fx, const char *name,
		     const char *const *names)
{
	struct fixture_tensor tensors[64];
	size_t count = 0;

	for (; names[count]; count++)
		tensors[count] = (struct fixture_tensor){ .name = names[count],
							  .dtype = DTYPE_BF16 };
	fixture_safetensors(fx, name, tensors, count);
}

void model_fixture_expand(const struct fixture *fx, const char *text,
			  char out[NOTES_TEXT_MAX])
{
	size_t len = 0;

	out[0] = '\0';
	for (; *text; text++) {
		int n = *text == '@' ? snprintf(out + len, NOTES_TEXT_MAX - len,
						"%s", fx->dir)
				     : snprintf(out + len, NOTES_TEXT_MAX - len,
						"%c", *text);

		len += (size_t)n;
		assert_true(len < NOTES_TEXT_MAX);
	}
}

void assert_notes(const struct fixture *fx, const struct report *report,
		  const char *lines)
{
	char want[NOTES_TEXT_MAX], got[NOTES_TEXT_MAX] = "";
	size_t len = 0;

	model_fixture_expand(fx, lines, want);
	for (size_t i = 0; i < report->count; i++) {
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s\n",
					report->notes[i].text);
		assert_true(len < sizeof(got));
	}
	assert_string_equal(got, want);
}

const struct model *model_fixture_get(struct model_set *set, const char *path,
				      const char *revision,
				      struct report *report)
{
	const struct model_ref ref = { .path = path,
				       .revision = revision,
				       .text = path };

	return model_get(set, &ref, report);
}

void assert_model(const struct fixture *fx, const char *path,
		  const char *revision, int code, const char *lines)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct model_set *set = model_set_open(fx->dir, NULL);
	const struct model *model =
		model_fixture_get(set, path, revision, &report);

	assert_notes(fx, &report, lines);
	assert_int_equal(report.code, code);
	assert_true(model ? code == 0 : code != 0);
	assert_int_equal(model_set_count(set), model != NULL);
	model_set_close(set);
}
