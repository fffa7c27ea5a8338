#include <errno.h>
#include <pthread.h>

#include "cache/disk.h"
#include "cache/object.h"
#include "core/base/file.h"

/* How long a folder that gave trouble is not written. */
#define REST_SECONDS 60

struct disk {
	struct folder *folder;
	/* What follows is under the lock. */
	pthread_mutex_t lock;
	uint64_t hits, writes, write_errors, bad;
	double rests_until; /* of clock_seconds() */
	bool troubled;	    /* the last write failed */
	bool untold;	    /* and nobody has asked yet */
	struct error trouble;
};

static void disk_rest(struct disk *disk)
{
	disk->rests_until = clock_seconds() + REST_SECONDS;
	disk->troubled = true;
}

struct disk *disk_open(const struct cache_options *options,
		       struct report *report)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	struct error err;

	if (!disk)
		return NULL;
	pthread_mutex_init(&disk->lock, NULL);
	disk->folder = folder_open(options->dir, options->disk_max);
	if (!disk->folder) {
		disk_close(disk);
		return NULL;
	}
	if (folder_prepare(disk->folder, &err)) {
		report_warning(report,
			       "nothing new is kept in the cache folder: %s",
			       err.text);
		disk_rest(disk);
	}
	return disk;
}

void disk_close(struct disk *disk)
{
	if (!disk)
		return;
	folder_close(disk->folder);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

bool disk_load(struct disk *disk, const struct object *object, void *data)
{
	int rc;

	rc = folder_load(disk->folder, object, data);
	pthread_mutex_lock(&disk->lock);
	disk->hits += rc == 0;
	disk->bad += rc == -EBADMSG;
	pthread_mutex_unlock(&disk->lock);
	return rc == 0;
}

/*
 * A state is synced, since a crash would cost the minutes that it took to make.
 * Others are not: if a crash publishes one without its bytes, its checksum says
 * so, and it is made again.
 */
static int write_object(const struct staged *staged,
			const struct object *object, const void *data)
{
	int rc;

	rc = object_write(staged->fd, object->key, data, object->size);
	if (rc == 0 && object->class == CACHE_STATE && fdatasync(staged->fd))
		rc = -errno;
	return rc;
}

static int save(struct disk *disk, const struct object *object,
		const void *data)
{
	struct staged staged;
	int rc;

	rc = folder_stage(disk->folder, object, &staged);
	if (rc == 0)
		rc = write_object(&staged, object, data);
	if (rc == 0)
		rc = folder_publish(&staged, object);
	folder_unstage(disk->folder, &staged);
	return rc;
}

static void count_trouble(struct disk *disk, int rc)
{
	disk->write_errors++;
	if (!disk->troubled) {
		fail(&disk->trouble, -rc,
		     "cannot write to the cache folder %s: %s; what is made is "
		     "not kept there for the next %d seconds",
		     folder_dir(disk->folder), strerror(-rc), REST_SECONDS);
		disk->untold = true;
	}
	disk_rest(disk);
}

static bool is_writable(struct disk *disk)
{
	bool writable;

	pthread_mutex_lock(&disk->lock);
	writable = clock_seconds() >= disk->rests_until;
	pthread_mutex_unlock(&disk->lock);
	return writable;
}

void disk_save(struct disk *disk, const struct object *object, const void *data)
{
	int rc;

	if (!is_writable(disk))
		return;
	rc = save(disk, object, data);
	if (rc == -EFBIG || rc == -EBUSY) /* no room within the budget */
		return;
	pthread_mutex_lock(&disk->lock);
	if (rc) {
		count_trouble(disk, rc);
	} else {
		disk->writes++;
		disk->troubled = false;
	}
	pthread_mutex_unlock(&disk->lock);
}

void disk_stats(struct disk *disk, struct cache_stats *stats)
{
	pthread_mutex_lock(&disk->lock);
	stats->disk_hits = disk->hits;
	stats->disk_writes = disk->writes;
	stats->disk_write_errors = disk->write_errors;
	stats->disk_bad = disk->bad;
	pthread_mutex_unlock(&disk->lock);
	stats->disk_bytes = folder_bytes(disk->folder);
}

bool disk_trouble(struct disk *disk, struct error *err)
{
	bool untold;

	pthread_mutex_lock(&disk->lock);
	untold = disk->untold;
	disk->untold = false;
	if (untold && err)
		*err = disk->trouble;
	pthread_mutex_unlock(&disk->lock);
	return untold;
}
