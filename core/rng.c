/*
 * The draw is the 32-bit integer hash of C. Wellons, "Prospecting for Hash
 * Functions" (2018): xor-shift, multiply, xor-shift, multiply, xor-shift, with
 * a key before each of its rounds. The index enters as a step of a Weyl
 * sequence (a multiple of 2^32 over the golden ratio): were it entered as it
 * is, the few bits in which two indices of a block differ would show as a
 * correlation of up to 0.003 between their draws.
 */
#include "core/rng.h"

#include "core/base/hash.h"

static unsigned char *put_le(unsigned char *to, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		*to++ = (unsigned char)(value >> (8 * i));
	return to;
}

struct rng_key rng_block_key(uint64_t seed, uint32_t position, const char *name,
			     uint64_t block)
{
	struct hash128 hash = hash_bytes(name, strlen(name));
	unsigned char message[RNG_MESSAGE_SIZE];
	unsigned char *end = message;

	end = put_le(end, seed, 8);
	end = put_le(end, position, 4);
	end = put_le(end, block, 8);
	end = put_le(end, hash.lo, 8);
	end = put_le(end, hash.hi, 8);
	hash = hash_bytes(message, sizeof(message));
	return (struct rng_key){ (uint32_t)hash.lo, (uint32_t)(hash.lo >> 32) };
}
