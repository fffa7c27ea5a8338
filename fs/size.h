/*
 * Numbers of bytes, as people write and read them.
 */
#ifndef LMFS_SIZE_H
#define LMFS_SIZE_H

#include "core/base/base.h"

#define SIZE_TEXT_MAX 32

/*
 * "512M", "2GiB", "20 GB", "1.5G", a plain number of bytes: K M G T and KiB MiB
 * GiB TiB are powers of 1024; kB (KB) MB GB TB are powers of 1000. Fractions of
 * a byte are cut. False: not a size, or 2^63 bytes or more.
 */
bool size_parse(const char *text, uint64_t *bytes);

/* "269 MB", "5.0 GB", "17 bytes": three digits or two, powers of 1000. Returns
 * text. */
const char *size_text(uint64_t bytes, char text[SIZE_TEXT_MAX]);

#endif
