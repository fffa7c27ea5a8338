#include "fs/size.h"

#include <ctype.h>
#include <stdio.h>

static const struct unit {
	const char *name;
	double bytes;
} units[] = {
	{ "", 1 },	 { "B", 1 },	    { "K", 0x1p10 }, { "KiB", 0x1p10 },
	{ "M", 0x1p20 }, { "MiB", 0x1p20 }, { "G", 0x1p30 }, { "GiB", 0x1p30 },
	{ "T", 0x1p40 }, { "TiB", 0x1p40 }, { "kB", 1e3 },   { "KB", 1e3 },
	{ "MB", 1e6 },	 { "GB", 1e9 },	    { "TB", 1e12 },
};

bool size_parse(const char *text, uint64_t *bytes)
{
	double number, product;
	char *end;

	/* strtod takes blanks, signs, names and hexadecimals, too. */
	if (!isdigit((unsigned char)text[0]) || text[1] == 'x' ||
	    text[1] == 'X')
		return false;
	number = strtod(text, &end);
	if (*end == ' ' && end[1])
		end++;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		product = number * units[i].bytes;
		if (!(product < 0x1p63))
			return false;
		*bytes = (uint64_t)product;
		return true;
	}
	return false;
}

const char *size_text(uint64_t bytes, char text[SIZE_TEXT_MAX])
{
	static const char *const names[] = {
		"kB", "MB", "GB", "TB", "PB", "EB"
	};
	double size = (double)bytes / 1e3;
	size_t i = 0;

	if (bytes < 1000) {
		snprintf(text, SIZE_TEXT_MAX, "%u byte%s", (unsigned)bytes,
			 bytes == 1 ? "" : "s");
		return text;
	}
	/* 999.5 would be shown as 1000. */
	for (; size >= 999.5 && i + 1 < ARRAY_LEN(names); i++)
		size /= 1e3;
	snprintf(text, SIZE_TEXT_MAX, size < 9.95 ? "%.1f %s" : "%.0f %s", size,
		 names[i]);
	return text;
}
