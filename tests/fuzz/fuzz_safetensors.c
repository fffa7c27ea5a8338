/*
 * Any bytes as a safetensors header: 4 bytes of how much data follows the
 * header, little endian, then the header. Whatever is taken must cover its data
 * in order, without hole or overlap, each tensor as large as its shape says.
 */
#include <errno.h>

#include "core/safetensors.h"

#define SIZE_LEN 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_tensors(const struct safetensors *st, uint64_t file_size)
{
	uint64_t at = st->data_off;

	for (size_t i = 0; i < st->count; i++) {
		const struct tensor *tensor = &st->tensors[i];
		uint64_t bits = dtype_info(tensor->dtype)->bits;

		must(tensor->name[0] != '\0');
		must(tensor->shape.rank <= SHAPE_RANK_MAX);
		must(tensor->off == at);
		must(tensor->size * 8 == shape_elements(&tensor->shape) * bits);
		at += tensor->size;
		must(at <= file_size);
	}
	must(at == file_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA struct arena *arena = arena_open();
	uint64_t data_size = 0, file_size;
	struct safetensors st;
	struct error err = { 0 };
	int rc;

	if (!arena || size < SIZE_LEN)
		return 0;
	for (unsigned i = 0; i < SIZE_LEN; i++)
		data_size |= (uint64_t)data[i] << (8 * i);
	file_size = 8 + (size - SIZE_LEN) + data_size;
	rc = safetensors_parse((const char *)data + SIZE_LEN, size - SIZE_LEN,
			       file_size, NULL, arena, &st, &err);
	must(rc == 0 || rc == -EBADMSG);
	must(rc == 0 || err.text[0] != '\0');
	if (rc == 0)
		check_tensors(&st, file_size);
	return 0;
}
