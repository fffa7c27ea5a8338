#include "tests/unit/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>

#include "core/base/file.h"

#define FIXTURE_FTW_FDS 16

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fixture: %s: %s\n", what, strerror(errno));
	abort();
}

void fixture_open(struct fixture *fx)
{
	snprintf(fx->dir, sizeof(fx->dir), "/tmp/llmergefs-test-XXXXXX");
	need(mkdtemp(fx->dir), "mkdtemp");
	fx->sources = source_set_open();
	need(fx->sources, "source_set_open");
}

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *where)
{
	return remove(path);
}

void fixture_close(struct fixture *fx)
{
	source_set_close(fx->sources);
	nftw(fx->dir, remove_entry, FIXTURE_FTW_FDS, FTW_DEPTH | FTW_PHYS);
}

void fixture_path(const struct fixture *fx, const char *name,
		  char path[FIXTURE_PATH_MAX])
{
	char *slash;

	need(snprintf(path, FIXTURE_PATH_MAX, "%s/%s", fx->dir, name) <
		     FIXTURE_PATH_MAX,
	     "path too long");
	slash = strrchr(path, '/');
	*slash = '\0';
	need(!file_mkdirs(path), path);
	*slash = '/';
}

void fixture_write(const struct fixture *fx, const char *name, const void *data,
		   size_t size)
{
	char path[FIXTURE_PATH_MAX];
	AUTO_FD int fd = -1;

	fixture_path(fx, name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	need(fd >= 0, path);
	need(!file_write_at(fd, data, size, 0), path);
}

struct source *fixture_source(struct fixture *fx, const char *name,
			      const void *data, size_t size)
{
	char path[FIXTURE_PATH_MAX];
	struct source *source;
	struct error err;

	fixture_write(fx, name, data, size);
	fixture_path(fx, name, path);
	need(!source_get(fx->sources, path, &source, &err), path);
	return source;
}

static uint64_t tensor_bytes(const struct fixture_tensor *tensor)
{
	return shape_elements(&tensor->shape) *
	       dtype_info(tensor->dtype)->bits / 8;
}

static void print_tensor(FILE *out, const struct fixture_tensor *tensor,
			 uint64_t begin)
{
	fprintf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", tensor->name,
		dtype_info(tensor->dtype)->name);
	for (unsigned i = 0; i < tensor->shape.rank; i++)
		fprintf(out, "%s%llu", i ? "," : "",
			(unsigned long long)tensor->shape.dim[i]);
	fprintf(out, "],\"data_offsets\":[%llu,%llu]}",
		(unsigned long long)begin,
		(unsigned long long)(begin + tensor_bytes(tensor)));
}

/* The whole file in memory; tests are small. */
void fixture_safetensors(const struct fixture *fx, const char *name,
			 const struct fixture_tensor *tensors, size_t count)
{
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *file = NULL;
	size_t size;
	uint64_t at = 0;
	uint64_t n;
	FILE *out = open_memstream(&text, &size);

	need(out, "open_memstream");
	fputs("{\"__metadata__\":{\"format\":\"pt\"}", out);
	for (size_t i = 0; i < count; i++) {
		print_tensor(out, &tensors[i], at);
		at += tensor_bytes(&tensors[i]);
	}
	fputc('}', out);
	need(!fclose(out), "memory stream");
	n = size;
	file = calloc(1, 8 + size + at);
	need(file, "calloc");
	memcpy(file, &n, 8);
	memcpy(file + 8, text, size);
	at = 8 + size;
	for (size_t i = 0; i < count; i++) {
		if (tensors[i].data)
			memcpy(file + at, tensors[i].data,
			       tensor_bytes(&tensors[i]));
		at += tensor_bytes(&tensors[i]);
	}
	fixture_write(fx, name, file, at);
}

uint32_t fixture_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 32);
}

float fixture_normal(uint64_t *state, float deviation)
{
	double sum = 0;

	for (int i = 0; i < 4; i++)
		sum += fixture_random(state) * 0x1p-32 - 0.5;
	return (float)(sum * 1.7320508) * deviation;
}
