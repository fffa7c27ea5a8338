#include "fs/mountinfo.h"

#include <stdio.h>

#define ESCAPE_LEN 4 /* "\040" */

/* Undo the octal escapes of blanks and their like, in place. */
static void unescape(char *text)
{
	char *out = text;

	while (*text) {
		unsigned code;

		if (*text == '\\' && sscanf(text, "\\%3o", &code) == 1 &&
		    strlen(text) >= ESCAPE_LEN) {
			*out++ = (char)code;
			text += ESCAPE_LEN;
		} else {
			*out++ = *text++;
		}
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
