#include "core/where.h"

#include <stdarg.h>
#include <stdio.h>

struct where where_at(const char *fmt, ...)
{
	struct where where;
	va_list args;

	va_start(args, fmt);
	vsnprintf(where.text, sizeof(where.text), fmt, args);
	va_end(args);
	return where;
}

struct where where_choices(const char *const *names, size_t count)
{
	struct where all = where_at("%s", count ? names[0] : "");

	for (size_t i = 1; i < count; i++)
		all = where_at("%s%s%s", all.text,
			       i < count - 1 ? ", " : " or ", names[i]);
	return all;
}
