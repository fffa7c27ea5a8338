#include "core/tally.h"

#include <stdarg.h>
#include <stdio.h>

static struct tally_note *find(struct tally *tally, int code,
			       struct hash128 hash)
{
	for (size_t i = 0; i < tally->count; i++)
		if (tally->notes[i].code == code &&
		    hash_equal(tally->notes[i].hash, hash))
			return &tally->notes[i];
	return NULL;
}

static bool append(struct tally *tally, struct tally_subject subject,
		   const char *sentence, struct hash128 hash)
{
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *tensor = NULL;
	struct tally_note *note;

	if (!tally->notes)
		tally->notes = calloc(TALLY_MAX, sizeof(*tally->notes));
	if (!tally->notes || tally->count == TALLY_MAX)
		return false;
	text = strdup(sentence);
	tensor = strdup(subject.tensor);
	if (!text || !tensor)
		return false;
	note = &tally->notes[tally->count++];
	note->code = subject.code;
	note->hash = hash;
	note->sentence = TAKE(text);
	note->tensor = TAKE(tensor);
	note->count = 1;
	return true;
}

bool tally_add(struct tally *tally, struct tally_subject subject,
	       const char *fmt, ...)
{
	char sentence[ERROR_TEXT_MAX];
	struct hash128 hash;
	struct tally_note *note;
	va_list args;

	va_start(args, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	hash = hash_bytes(sentence, strlen(sentence));
	tally->errors += subject.code != 0;
	note = find(tally, subject.code, hash);
	if (note) {
		note->count++;
	} else if (!append(tally, subject, sentence, hash)) {
		tally->lost++;
		if (!tally->lost_code)
			tally->lost_code = subject.code;
	}
	return false;
}

static void flush_note(const struct tally_note *note, const char *path,
		       struct report *report)
{
	char more[40] = "";

	if (note->count > 1)
		snprintf(more, sizeof(more), " (and %zu more)",
			 note->count - 1);
	if (note->code)
		report_error(report, note->code, "%s: tensor %s%s: %s", path,
			     note->tensor, more, note->sentence);
	else
		report_warning(report, "%s: tensor %s%s: %s", path,
			       note->tensor, more, note->sentence);
}

void tally_flush(struct tally *tally, const char *path, struct report *report)
{
	for (size_t i = 0; i < tally->count; i++) {
		flush_note(&tally->notes[i], path, report);
		free(tally->notes[i].sentence);
		free(tally->notes[i].tensor);
	}
	if (tally->lost_code)
		report_error(report, tally->lost_code,
			     "%s: %zu more problems with tensors", path,
			     tally->lost);
	else if (tally->lost > 0)
		report_warning(report, "%s: %zu more warnings about tensors",
			       path, tally->lost);
	free(tally->notes);
	*tally = (struct tally){ 0 };
}
