#include "core/base/text.h"

#include <errno.h>

int text_open(struct text *text)
{
	text->out = open_memstream(&text->bytes, &text->len);
	return text->out ? 0 : -ENOMEM;
}

int text_take(struct text *text, char **bytes, size_t *len)
{
	FILE *out = TAKE(text->out);
	bool broken = ferror(out);

	if (fclose(out) != 0 || broken)
		return -ENOMEM;
	if (len)
		*len = text->len;
	*bytes = TAKE(text->bytes);
	return 0;
}

void text_done(struct text *text)
{
	if (text->out)
		fclose(text->out);
	free(text->bytes);
	*text = (struct text)TEXT_INIT;
}
