#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/error.h"
#include "core/base/utf8.h"

#define CUT_MARK "..."

/* End a text that did not fit with "...", without halving a character. */
static void cut_mark(char *text, size_t size)
{
	size_t end = size - sizeof(CUT_MARK);

	while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
		end--;
	memcpy(text + end, CUT_MARK, sizeof(CUT_MARK));
}

static void PRINTF_LIKE(3, 0)
	set_text(char *text, size_t size, const char *fmt, va_list args)
{
	int len = vsnprintf(text, size, fmt, args);

	if (len < 0)
		text[0] = '\0';
	else if ((size_t)len >= size)
		cut_mark(text, size);
	utf8_make_printable(text);
}

int fail(struct error *err, int code, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;

	assert(code > 0);
	if (!err)
		return -code;
	/* An argument may lie in err->text: it is read before it is written. */
	va_start(args, fmt);
	set_text(text, sizeof(text), fmt, args);
	va_end(args);
	err->code = code;
	memcpy(err->text, text, sizeof(text));
	return -code;
}

int fail_in(struct error *err, int rc, const char *fmt, ...)
{
	char context[ERROR_TEXT_MAX];
	va_list args;

	if (!err)
		return rc;
	va_start(args, fmt);
	set_text(context, sizeof(context), fmt, args);
	va_end(args);
	return fail(err, -rc, "%s: %s", context, err->text);
}

/* Keep a sentence if there is room for it; takes `text` if it returns true. */
static bool keep_note(struct report *report, enum note_kind kind, int code,
		      char *text)
{
	struct note *notes;

	if (!text || report->count >= REPORT_NOTES_MAX)
		return false;
	notes = reallocarray(report->notes, report->count + 1, sizeof(*notes));
	if (!notes)
		return false;
	report->notes = notes;
	notes[report->count++] =
		(struct note){ .kind = kind, .code = code, .text = text };
	return true;
}

static void PRINTF_LIKE(4, 0)
	add_note(struct report *report, enum note_kind kind, int code,
		 const char *fmt, va_list args)
{
	char *text = NULL;

	if (kind == NOTE_ERROR) {
		report->errors++;
		report->code = report->code ? report->code : code;
	}
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	else
		utf8_make_printable(text);
	if (keep_note(report, kind, code, text))
		return;
	report->lost++;
	free(text);
}

void report_error(struct report *report, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_note(report, NOTE_ERROR, code, fmt, args);
	va_end(args);
}

void report_warning(struct report *report, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_note(report, NOTE_WARNING, 0, fmt, args);
	va_end(args);
}

int report_failure(struct report *report, const struct error *err)
{
	report_error(report, err->code, "%s", err->text);
	return -err->code;
}

void report_add_all(struct report *report, const struct report *other,
		    const char *context)
{
	size_t lost = other->errors;

	for (size_t i = 0; i < other->count; i++)
		lost -= other->notes[i].kind == NOTE_ERROR;
	for (size_t i = 0; i < other->count; i++) {
		const struct note *note = &other->notes[i];

		if (note->kind == NOTE_ERROR)
			report_error(report, note->code, "%s: %s", context,
				     note->text);
		else
			report_warning(report, "%s: %s", context, note->text);
	}
	report->errors += lost;
	report->lost += other->lost;
}

int report_result(const struct report *report)
{
	return -report->code;
}

void report_done(struct report *report)
{
	for (size_t i = 0; i < report->count; i++)
		free(report->notes[i].text);
	free(report->notes);
	*report = (struct report)REPORT_INIT;
}
