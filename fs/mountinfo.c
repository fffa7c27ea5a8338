#include "fs/mountinfo.h"

#include <stdio.h>

#define ESCAPE_LEN 4 /* "\040" */

/* The byte that "\ooo" stands for, -1: it is no escape. */
static int escape_value(const char *text)
{
	int value = 0;

	if (text[0] != '\\')
		return -1;
	for (int i = 1; i < ESCAPE_LEN; i++) {
		if (text[i] < '0' || text[i] > '7')
			return -1;
		value = value * 8 + (text[i] - '0');
	}
	return value;
}

/* Undo the octal escapes of blanks and their like, in place. */
static void unescape(char *text)
{
	char *out = text;

	while (*text) {
		int value = escape_value(text);

		*out++ = value < 0 ? *text : (char)value;
		text += value < 0 ? 1 : ESCAPE_LEN;
	}
	*out = '\0';
}

/* "ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAGS...] - FSTYPE SOURCE OPTIONS" */
static bool parse_line(char *line, const char *path, struct mountinfo *info)
{
	AUTO_FREE char *point = NULL;
	const char *tail = strstr(line, " - ");
	char device[MOUNTINFO_DEVICE_MAX];

	if (!tail || sscanf(line, "%*d %*d %31s %*s %ms", device, &point) != 2)
		return false;
	unescape(point);
	if (strcmp(point, path) != 0)
		return false;
	memcpy(info->device, device, sizeof(device));
	return sscanf(tail, " - %63s", info->fstype) == 1;
}

bool mountinfo_find(const char *path, struct mountinfo *info)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	AUTO_FREE char *line = NULL;
	struct mountinfo last;
	size_t room = 0;
	bool found = false;

	if (!file)
		return false;
	/* Of several mounts on one path the last is on top. */
	while (getline(&line, &room, file) > 0) {
		if (!parse_line(line, path, &last))
			continue;
		*info = last;
		found = true;
	}
	fclose(file);
	return found;
}
