#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/json.h"
#include "core/safetensors.h"

#define LENGTH_SIZE 8 /* of the number in front of the header */
#define METADATA "__metadata__"

uint64_t shape_elements(const struct shape *shape)
{
	uint64_t elements = 1;

	for (unsigned i = 0; i < shape->rank; i++)
		elements *= shape->dim[i];
	return elements;
}

bool shape_equal(const struct shape *a, const struct shape *b)
{
	return a->rank == b->rank &&
	       memcmp(a->dim, b->dim, a->rank * sizeof(a->dim[0])) == 0;
}

void shape_text(const struct shape *shape, char *text, size_t size)
{
	size_t len = 0;

	snprintf(text, size, "scalar");
	for (unsigned i = 0; i < shape->rank && len < size; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%" PRIu64,
					i ? "x" : "", shape->dim[i]);
}

static int parse_dtype(const struct json *entry, struct tensor *tensor,
		       struct error *err)
{
	const char *name = json_member_string(entry, "dtype");

	if (!name)
		return fail(err, EBADMSG, "\"dtype\" must be a string");
	tensor->dtype = dtype_by_name(name);
	if (tensor->dtype == DTYPE_NONE)
		return fail(err, EBADMSG, "unknown dtype \"%s\"", name);
	return 0;
}

static int parse_shape(const struct json *entry, struct shape *shape,
		       struct error *err)
{
	const struct json *list = json_member(entry, "shape");

	if (!list || list->type != JSON_ARRAY)
		return fail(err, EBADMSG, "\"shape\" must be a list");
	if (list->count > SHAPE_RANK_MAX)
		return fail(err, EBADMSG,
			    "\"shape\" has %zu dimensions, the limit is %d",
			    list->count, SHAPE_RANK_MAX);
	shape->rank = (unsigned)list->count;
	for (unsigned i = 0; i < shape->rank; i++)
		if (!json_u64(list->items[i], &shape->dim[i]))
			return fail(
				err, EBADMSG,
				"shape[%u] must be a whole number below 2^53",
				i);
	return 0;
}

/* Bytes of the tensor; zero dimensions do not excuse an overflow before. */
static int tensor_bytes(const struct tensor *tensor, uint64_t *bytes,
			struct error *err)
{
	uint64_t bits = 1;

	for (unsigned i = 0; i < tensor->shape.rank; i++)
		if (!mul_u64(bits, tensor->shape.dim[i], &bits))
			return fail(err, EBADMSG, "\"shape\" overflows");
	if (!mul_u64(bits, dtype_info(tensor->dtype)->bits, &bits))
		return fail(err, EBADMSG, "\"shape\" overflows");
	if (bits % 8)
		return fail(err, EBADMSG,
			    "%" PRIu64
			    " bits of %s are not a whole number of bytes",
			    bits, dtype_info(tensor->dtype)->name);
	*bytes = bits / 8;
	return 0;
}

static int parse_offsets(const struct json *entry, struct tensor *tensor,
			 struct error *err)
{
	const struct json *list = json_member(entry, "data_offsets");
	char shape[SHAPE_TEXT_MAX];
	uint64_t end;
	int rc;

	if (!list || list->type != JSON_ARRAY || list->count != 2 ||
	    !json_u64(list->items[0], &tensor->off) ||
	    !json_u64(list->items[1], &end))
		return fail(err, EBADMSG,
			    "\"data_offsets\" must be two whole numbers below "
			    "2^53");
	if (end < tensor->off)
		return fail(err, EBADMSG,
			    "data_offsets end before they begin: %" PRIu64
			    ", %" PRIu64,
			    tensor->off, end);
	rc = tensor_bytes(tensor, &tensor->size, err);
	if (rc)
		return rc;
	if (tensor->size == end - tensor->off)
		return 0;
	shape_text(&tensor->shape, shape, sizeof(shape));
	return fail(err, EBADMSG,
		    "%s of shape %s takes %" PRIu64
		    " bytes, data_offsets give %" PRIu64,
		    dtype_info(tensor->dtype)->name, shape, tensor->size,
		    end - tensor->off);
}

/* tensor->off counts from the start of the data until all are known good. */
static int parse_tensor(const struct json *entry, struct tensor *tensor,
			struct error *err)
{
	int rc;

	if (entry->type != JSON_OBJECT)
		return fail(err, EBADMSG, "must be an object, not %s",
			    json_type_name(entry->type));
	rc = parse_dtype(entry, tensor, err);
	if (rc == 0)
		rc = parse_shape(entry, &tensor->shape, err);
	if (rc == 0)
		rc = parse_offsets(entry, tensor, err);
	return rc;
}

static int check_metadata(const struct json *metadata, struct error *err)
{
	if (metadata->type != JSON_OBJECT)
		return fail(err, EBADMSG, METADATA " must be an object, not %s",
			    json_type_name(metadata->type));
	for (size_t i = 0; i < metadata->count; i++)
		if (metadata->items[i]->type != JSON_STRING)
			return fail(err, EBADMSG,
				    METADATA
				    ": \"%s\" must be a string, not %s",
				    metadata->names[i],
				    json_type_name(metadata->items[i]->type));
	return 0;
}

static int parse_entries(const struct json *header, struct arena *arena,
			 struct safetensors *out, struct error *err)
{
	struct tensor *tensor;
	int rc;

	for (size_t i = 0; i < header->count; i++) {
		const char *name = header->names[i];

		if (strcmp(name, METADATA) == 0) {
			rc = check_metadata(header->items[i], err);
			if (rc)
				return rc;
			continue;
		}
		if (name[0] == '\0')
			return fail(err, EBADMSG, "a tensor has no name");
		tensor = &out->tensors[out->count];
		rc = parse_tensor(header->items[i], tensor, err);
		if (rc)
			return fail_in(err, rc, "tensor \"%s\"", name);
		tensor->name = arena_strdup(arena, name);
		if (!tensor->name)
			return fail(err, ENOMEM, "no memory");
		out->count++;
	}
	return 0;
}

/* Tensors of no bytes come before the one that begins where they lie. */
static int by_offset(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int check_cover(const struct safetensors *st, uint64_t data_size,
		       struct error *err)
{
	uint64_t end = 0;

	for (size_t i = 0; i < st->count; i++) {
		const struct tensor *tensor = &st->tensors[i];

		if (tensor->off > end)
			return fail(err, EBADMSG,
				    "tensor \"%s\" begins at byte %" PRIu64
				    " of the "
				    "data, a hole of %" PRIu64
				    " after the one before",
				    tensor->name, tensor->off,
				    tensor->off - end);
		if (tensor->off < end)
			return fail(err, EBADMSG,
				    "tensor \"%s\" overlaps tensor \"%s\"",
				    tensor->name, st->tensors[i - 1].name);
		end += tensor->size;
	}
	if (end > data_size)
		return fail(err, EBADMSG,
			    "the file is cut short, download it again: its "
			    "tensors take %" PRIu64 " bytes, %" PRIu64
			    " are there",
			    end, data_size);
	if (end < data_size)
		return fail(err, EBADMSG,
			    "%" PRIu64
			    " bytes follow the data of the last tensor",
			    data_size - end);
	return 0;
}

static int check_length(uint64_t n, uint64_t file_size, struct error *err)
{
	if (n > SAFETENSORS_HEADER_MAX)
		return fail(
			err, EBADMSG,
			"not a safetensors file: its header would take %" PRIu64
			" "
			"bytes, the limit is %u",
			n, SAFETENSORS_HEADER_MAX);
	if (file_size < LENGTH_SIZE || n > file_size - LENGTH_SIZE)
		return fail(err, EBADMSG,
			    "the file is cut short, download it again: its "
			    "header takes %" PRIu64
			    " bytes, the file has %" PRIu64,
			    n, file_size);
	return 0;
}

int safetensors_parse(const char *json, size_t n, uint64_t file_size,
		      const struct source *source, struct arena *arena,
		      struct safetensors *out, struct error *err)
{
	AUTO_ARENA struct arena *tree = arena_open();
	struct safetensors made = { .data_off = LENGTH_SIZE + n };
	struct json *header;
	struct error cause;
	int rc;

	if (!tree)
		return fail(err, ENOMEM, "no memory");
	rc = check_length(n, file_size, err);
	if (rc)
		return rc;
	if (n == 0 || json[0] != '{')
		return fail(err, EBADMSG, "the header must begin with '{'");
	rc = json_parse(json, n, tree, &header, &cause);
	if (rc)
		return fail(err, rc == -ENOMEM ? ENOMEM : EBADMSG,
			    "the header is no JSON: %s", cause.text);
	made.tensors = arena_alloc(arena, header->count, sizeof(struct tensor));
	if (!made.tensors)
		return fail(err, ENOMEM, "no memory");
	rc = parse_entries(header, arena, &made, err);
	if (rc)
		return rc;
	qsort(made.tensors, made.count, sizeof(struct tensor), by_offset);
	rc = check_cover(&made, file_size - made.data_off, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < made.count; i++) {
		made.tensors[i].off += made.data_off;
		made.tensors[i].source = source;
	}
	*out = made;
	return 0;
}

/* N from the first bytes of a file: LENGTH_SIZE of them if it has so many. */
static int header_length(const unsigned char *bytes, uint64_t file_size,
			 uint64_t *n, struct error *err)
{
	/* What git leaves in the place of a large file. */
	static const char lfs_pointer[LENGTH_SIZE + 1] = "version ";
	uint64_t value = 0;

	if (file_size < LENGTH_SIZE)
		return fail(err, EBADMSG,
			    "not a safetensors file: it has only %" PRIu64
			    " bytes",
			    file_size);
	if (memcmp(bytes, lfs_pointer, LENGTH_SIZE) == 0)
		return fail(err, EBADMSG,
			    "a Git LFS pointer, not the file itself: run `git "
			    "lfs pull` in its folder");
	for (unsigned i = 0; i < LENGTH_SIZE; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	*n = value;
	return check_length(value, file_size, err);
}

int safetensors_read(const struct source *source, struct arena *arena,
		     struct safetensors *out, struct error *err)
{
	unsigned char start[LENGTH_SIZE] = { 0 };
	AUTO_FREE char *json = NULL;
	uint64_t n = 0, size = source_size(source);
	int rc;

	rc = source_read(source, start, min_u64(size, LENGTH_SIZE), 0, err);
	if (rc)
		return rc;
	rc = header_length(start, size, &n, err);
	if (rc)
		return fail_in(err, rc, "%s", source_path(source));
	json = malloc(n + 1);
	if (!json)
		return fail(err, ENOMEM, "%s: no memory", source_path(source));
	rc = source_read(source, json, n, LENGTH_SIZE, err);
	if (rc)
		return rc;
	rc = safetensors_parse(json, n, size, source, arena, out, err);
	return rc ? fail_in(err, rc, "%s", source_path(source)) : 0;
}
