/*
 * The text that a key is the hash of, in the making. It writes what printf()
 * would, many times as fast: a mount of a hundred recipes makes a key for each
 * of its tens of thousands of tensors before it shows the first of them.
 *
 *	AUTO_KEY_TEXT struct key_text text;
 *
 *	key_text_init(&text);
 *	key_text_add(&text, "shape ");
 *	key_text_u64(&text, 4096);
 *	return key_text_hash(&text, &key);
 *
 * What goes wrong on the way (no memory) is said at the end, once.
 */
#ifndef LMFS_KEY_TEXT_H
#define LMFS_KEY_TEXT_H

#include "core/base/hash.h"

#define KEY_TEXT_FIRST 2048 /* bytes that need no memory of their own */

struct key_text {
	char *grown; /* NULL: `first` holds it all */
	size_t len, room;
	bool broken;
	char first[KEY_TEXT_FIRST];
};

#define AUTO_KEY_TEXT AUTO(key_text_done)

void key_text_init(struct key_text *text);
void key_text_done(struct key_text *text);

void key_text_add(struct key_text *text, const char *string);
void key_text_u64(struct key_text *text, uint64_t number);	   /* %PRIu64 */
void key_text_hash128(struct key_text *text, struct hash128 hash); /* hex */

/* As %a has it, without losing a bit; the value is not a NaN. */
void key_text_double(struct key_text *text, double value);

/* 0 or -ENOMEM. */
int key_text_hash(const struct key_text *text, struct hash128 *hash);

#endif
