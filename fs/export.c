/*
 * `llmergefs export`: the files of the mount, written to a folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "fs/command.h"
#include "fs/progress.h"
#include "fs/size.h"
#include "fs/stage.h"
#include "fs/stream.h"

#define FILE_MODE 0666 /* less the umask */
#define FOLDER_MODE 0777

struct export
{
	struct stage *stage;
	struct progress progress;
};

/* Make the folders of a path that are not there. 0 or -errno. */
static int make_folders(int fd, const char *path)
{
	AUTO_FREE char *copy = strdup(path);
	char *slash = copy;

	if (!copy)
		return -ENOMEM;
	while ((slash = strchr(slash, '/'))) {
		*slash = '\0';
		if (mkdirat(fd, copy, FOLDER_MODE) < 0 && errno != EEXIST)
			return -errno;
		*slash++ = '/';
	}
	return 0;
}

/* Make an empty file, with its blocks where the file system can give them, so
 * that a disk too small is known at once. */
static int make_file(int dir_fd, const struct output_file *file,
		     struct error *err)
{
	AUTO_FD int fd = -1;
	int rc = make_folders(dir_fd, file->path);

	if (rc < 0)
		return fail(err, -rc, "%s: %s", file->path, strerror(-rc));
	fd = openat(dir_fd, file->path,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    FILE_MODE);
	if (fd < 0)
		return fail(err, errno, "%s: %m", file->path);
	if (file->size > 0 && fallocate(fd, 0, 0, (off_t)file->size) < 0 &&
	    errno != EOPNOTSUPP && errno != ENOSYS)
		return fail(err, errno, "%s: %m", file->path);
	return 0;
}

static int make_files(const struct stage *stage, const struct outputs *outputs,
		      struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < outputs->count && rc == 0; i++)
		rc = make_file(stage_fd(stage), &outputs->files[i], err);
	return rc;
}

static int open_file(const struct export *export,
		     const struct output_file *file, struct error *err)
{
	int fd = openat(stage_fd(export->stage), file->path,
			O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? fail(err, errno, "writing it: %m") : fd;
}

/* Let the disk begin: it has the rest of the export to write this in, and the
 * sync at the end finds little left. */
static void begin_writing(int fd, const struct stream_chunk *chunk)
{
	sync_file_range(fd, (off_t)chunk->off, (off_t)chunk->len,
			SYNC_FILE_RANGE_WRITE);
}

static int write_chunk(void *ctx, const struct stream_chunk *chunk,
		       struct error *err)
{
	struct export *export = ctx;
	AUTO_FD int fd = open_file(export, chunk->file, err);
	int rc;

	if (fd < 0)
		return fd;
	rc = file_write_at(fd, chunk->data, chunk->len, chunk->off);
	if (rc < 0)
		return fail(err, -rc, "writing it: %s", strerror(-rc));
	begin_writing(fd, chunk);
	return 0;
}

/* What no method touches need not come through here. */
static bool copy_chunk(void *ctx, const struct stream_chunk *chunk)
{
	struct export *export = ctx;
	AUTO_FD int fd = -1;
	const struct source *source;
	uint64_t off;

	source = output_source(chunk->file, chunk->off, chunk->len, &off);
	if (!source)
		return false;
	fd = open_file(export, chunk->file, NULL);
	if (fd < 0 || !source_copy(source, off, chunk->len, fd, chunk->off))
		return false;
	begin_writing(fd, chunk);
	return true;
}

/* The names of a file and of its folders outlive a crash, too. */
static int sync_folders(int fd, const char *path)
{
	AUTO_FREE char *copy = strdup(path);
	char *slash;

	if (!copy)
		return -ENOMEM;
	while ((slash = strrchr(copy, '/'))) {
		AUTO_FD int folder = -1;

		*slash = '\0';
		folder = openat(fd, copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (folder < 0 || fsync(folder) < 0)
			return -errno;
	}
	return 0;
}

/* All chunks before this one are written. */
static int count_chunk(void *ctx, const struct stream_chunk *chunk,
		       struct error *err)
{
	struct export *export = ctx;
	AUTO_FD int fd = -1;
	int rc;

	progress_add(&export->progress, chunk->len);
	if (!chunk->last)
		return 0;
	fd = open_file(export, chunk->file, err);
	if (fd < 0)
		return fd;
	rc = fsync(fd) < 0
		     ? -errno
		     : sync_folders(stage_fd(export->stage), chunk->file->path);
	if (rc < 0)
		return fail(err, -rc, "writing it: %s", strerror(-rc));
	return 0;
}

static void print_closing(const struct options *options,
			  const struct outputs *outputs, double seconds)
{
	char bytes[SIZE_TEXT_MAX], rate[SIZE_TEXT_MAX];

	if (options->quiet)
		return;
	printf("%s: %zu files, %s in %.1f s (%s/s)\n", options->target,
	       outputs->count, size_text(outputs->bytes, bytes), seconds,
	       size_text((uint64_t)((double)outputs->bytes / seconds), rate));
}

static int write_all(const struct options *options, struct engine *engine,
		     const struct outputs *outputs, struct stage *stage,
		     struct error *err)
{
	struct export export = { .stage = stage };
	const struct stream_step step = { .instead = copy_chunk,
					  .work = write_chunk,
					  .fold = count_chunk,
					  .ctx = &export };
	int rc = make_files(stage, outputs, err);
	double seconds;

	if (rc < 0)
		return rc;
	progress_begin(&export.progress, "export", outputs->bytes,
		       options->quiet);
	rc = stream_run(engine, outputs, options->engine.threads, &step, err);
	seconds = progress_end(&export.progress);
	if (rc == 0)
		rc = stage_publish(stage, err);
	if (rc == 0)
		print_closing(options, outputs, seconds);
	return rc;
}

static int export_lens(const struct options *options, struct lens *lens)
{
	AUTO_STAGE struct stage *stage = NULL;
	AUTO_OUTPUTS struct outputs outputs = { 0 };
	struct engine *engine;
	struct error err;
	int rc, code;

	if (outputs_init(&outputs, lens, &err) < 0 ||
	    stage_open(options->target, outputs.bytes, &stage, &err) < 0)
		return command_failed(&err);
	engine = command_engine(options, &code);
	if (!engine)
		return code;
	rc = write_all(options, engine, &outputs, stage, &err);
	engine_forget(engine, lens);
	engine_close(engine);
	return rc < 0 ? command_failed(&err) : EXIT_OK;
}

int export_main(const struct options *options)
{
	struct lens *lens;
	int code;

	lens = command_lens(options, &code);
	if (!lens)
		return code;
	code = export_lens(options, lens);
	lens_close(lens);
	return code;
}
