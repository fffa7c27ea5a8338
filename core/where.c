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
