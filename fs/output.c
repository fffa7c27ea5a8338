#include "fs/output.h"

#include <errno.h>

static int by_path(const void *a, const void *b)
{
	const struct output_file *x = a, *y = b;

	return strcmp(x->path, y->path);
}

int outputs_init(struct outputs *outputs, const struct lens *lens,
		 struct error *err)
{
	const struct layout *layout = lens->layout;
	const struct sidecars *sidecars = lens->sidecars;
	struct output_file *files =
		calloc(layout->count + sidecars->count, sizeof(*files));
	size_t count = 0;

	*outputs = (struct outputs){ .files = files };
	if (!files)
		return fail(err, ENOMEM, "no memory for the list of files");
	for (size_t i = 0; i < layout->count; i++)
		files[count++] =
			(struct output_file){ .lens = lens,
					      .path = layout->files[i].name,
					      .size = layout->files[i].size,
					      .shard = &layout->files[i] };
	for (size_t i = 0; i < sidecars->count; i++)
		files[count++] =
			(struct output_file){ .lens = lens,
					      .path = sidecars->files[i].path,
					      .size = sidecars->files[i].size,
					      .sidecar = &sidecars->files[i] };
	qsort(files, count, sizeof(*files), by_path);
	outputs->count = count;
	for (size_t i = 0; i < count; i++)
		if (!add_u64(outputs->bytes, files[i].size, &outputs->bytes))
			return fail(err, EINVAL,
				    "the merged model has more than 2^64 "
				    "bytes");
	return 0;
}

void outputs_done(struct outputs *outputs)
{
	free(outputs->files);
	*outputs = (struct outputs){ 0 };
}

int output_read(struct engine *engine, const struct output_file *file,
		uint64_t off, size_t len, void *buf, struct error *err)
{
	if (len == 0)
		return 0;
	if (file->shard)
		return engine_read_wait(engine, file->lens, file->shard, off,
					len, buf, err);
	if (file->sidecar->source)
		return source_read(file->sidecar->source, buf, len, off, err);
	memcpy(buf, file->sidecar->text + off, len);
	return 0;
}

const struct source *output_source(const struct output_file *file, uint64_t off,
				   uint64_t len, uint64_t *source_off)
{
	const struct tensor *tensor;
	struct span span;

	if (!len)
		return NULL;
	if (!file->shard) {
		*source_off = off;
		return file->sidecar->source;
	}
	span = layout_locate(file->shard, off);
	if (span.kind == SPAN_HEADER || span.job->kind != JOB_COPY ||
	    span.len < len)
		return NULL;
	tensor = span.job->inputs[0].tensor;
	*source_off = tensor->off + span.off;
	return tensor->source;
}
