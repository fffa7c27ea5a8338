#include <xxhash.h>

#include "core/base/hash.h"

struct hasher {
	XXH3_state_t *state; /* allocated by the library: 64-byte aligned */
};

static struct hash128 from_xxh(XXH128_hash_t value)
{
	return (struct hash128){ .hi = value.high64, .lo = value.low64 };
}

struct hash128 hash_bytes(const void *data, size_t len)
{
	return from_xxh(XXH3_128bits(data, len));
}

struct hasher *hasher_open(void)
{
	AUTO_HASHER struct hasher *hasher = calloc(1, sizeof(*hasher));

	if (!hasher)
		return NULL;
	hasher->state = XXH3_createState();
	if (!hasher->state)
		return NULL;
	XXH3_128bits_reset(hasher->state);
	return TAKE(hasher);
}

void hasher_add(struct hasher *hasher, const void *data, size_t len)
{
	XXH3_128bits_update(hasher->state, data, len);
}

struct hash128 hasher_value(const struct hasher *hasher)
{
	return from_xxh(XXH3_128bits_digest(hasher->state));
}

void hasher_close(struct hasher *hasher)
{
	if (!hasher)
		return;
	XXH3_freeState(hasher->state);
	free(hasher);
}

void hash_hex(struct hash128 hash, char out[HASH_HEX_LEN + 1])
{
	for (size_t i = 0; i < HASH_HEX_LEN; i++) {
		uint64_t half = i < HASH_HEX_LEN / 2 ? hash.hi : hash.lo;

		out[i] = "0123456789abcdef"[half >> (60 - 4 * i % 64) & 0xf];
	}
	out[HASH_HEX_LEN] = '\0';
}
