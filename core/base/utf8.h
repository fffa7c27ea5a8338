/*
 * UTF-8 to the letter of RFC 3629: no overlong forms, no surrogates, nothing
 * above U+10FFFF.
 */
#ifndef LMFS_UTF8_H
#define LMFS_UTF8_H

#include "core/base/base.h"

#define UTF8_BOM "\xEF\xBB\xBF"
#define UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Bytes of the character at the start of len bytes; 0: none is valid there. */
size_t utf8_char(const char *text, size_t len);

/* Whether all len bytes are valid (NUL is a character like others). */
bool utf8_valid(const char *text, size_t len);

/* Put '?' for control characters and for bytes that are no UTF-8, which must
 * not reach a terminal. */
void utf8_make_printable(char *text);

#endif
