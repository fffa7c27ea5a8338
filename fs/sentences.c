#include "fs/sentences.h"

#include <errno.h>
#include <stdio.h>

#include "core/base/text.h"

static char *join_notes(const struct report *report, bool errors_only,
			const char *between)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	const char *before = "";
	char *bytes = NULL;

	if (text_open(&text) < 0)
		return NULL;
	for (int kind = NOTE_ERROR; kind >= NOTE_WARNING; kind--) {
		if (errors_only && kind != NOTE_ERROR)
			continue;
		for (size_t i = 0; i < report->count; i++) {
			if ((int)report->notes[i].kind != kind)
				continue;
			fprintf(text.out, "%s%s%s", before,
				kind == NOTE_ERROR ? "" : "warning: ",
				report->notes[i].text);
			before = between;
		}
	}
	return text_take(&text, &bytes, NULL) < 0 ? NULL : bytes;
}

char *sentences_text(const struct report *report)
{
	return join_notes(report, false, "\n");
}

int sentences_error(const struct report *report, struct error *err)
{
	AUTO_FREE char *text = join_notes(report, true, "; ");

	return fail(err, report->code ? report->code : EINVAL, "%s",
		    text ? text : "no memory to say what is wrong");
}
