#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cache/evict.h"
#include "cache/folder.h"

enum { BLOCK_BYTES = 4096, EXACT_AGES = 16, AGES_AN_OCTAVE = 8 };

static const enum cache_class order[CACHE_CLASSES] = { CACHE_CHUNK,
						       CACHE_STATE };

uint64_t evict_charge(uint64_t file_bytes)
{
	return round_up_u64(file_bytes, BLOCK_BYTES);
}

/* The three bits below the highest one tell eight ages in each octave. */
static size_t age_index(uint64_t seconds)
{
	unsigned int octave;

	if (seconds < EXACT_AGES)
		return (size_t)seconds;
	octave = 63 - (unsigned int)__builtin_clzll(seconds);
	return EXACT_AGES + (size_t)(octave - 4) * AGES_AN_OCTAVE +
	       (size_t)(seconds >> (octave - 3) & 7);
}

/* A time to come, as after a clock was put back, is no age at all. */
static size_t rank_of(size_t place, uint64_t now, const struct stat *st)
{
	uint64_t used = st->st_mtime > 0 ? (uint64_t)st->st_mtime : 0;
	uint64_t age = used < now ? now - used : 0;

	return place * EVICT_AGES + (EVICT_AGES - 1 - age_index(age));
}

struct walk {
	void (*visit)(struct walk *walk, int dir, const char *name,
		      const struct stat *st);
	struct usage *usage;
	size_t place;  /* in the order of classes */
	size_t rank;   /* all below it go, */
	uint64_t rest; /* and so many bytes of it */
};

static void close_dir(DIR *const *dir)
{
	if (*dir)
		closedir(*dir);
}

/* Visit the files of a directory. One that is missing has none. */
static int walk_dir(struct walk *walk, int root, const char *path)
{
	AUTO_FD int fd = -1;
	AUTO(close_dir) DIR *dir = NULL;
	const struct dirent *found;
	struct stat st;

	fd = openat(root, path,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	fd = -1;
	while ((errno = 0, found = readdir(dir))) {
		if (fstatat(dirfd(dir), found->d_name, &st,
			    AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			walk->visit(walk, dirfd(dir), found->d_name, &st);
	}
	return -errno;
}

static int walk_objects(struct walk *walk, int root)
{
	const size_t dirs = (size_t)CACHE_CLASSES * FOLDER_FANOUT;
	char path[FOLDER_NAME_MAX];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < dirs; i++) {
		walk->place = i / FOLDER_FANOUT;
		snprintf(path, sizeof(path), "%s/%02zx",
			 folder_class_dirs[order[walk->place]],
			 i % FOLDER_FANOUT);
		rc = walk_dir(walk, root, path);
	}
	return rc;
}

/* A writer holds the lock of its file for as long as it lives. */
static bool writer_lives(int dir, const char *name)
{
	AUTO_FD int fd =
		openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0;
}

static void visit_staged(struct walk *walk, int dir, const char *name,
			 const struct stat *st)
{
	if (!writer_lives(dir, name) && unlinkat(dir, name, 0) == 0)
		return;
	walk->usage->bytes += evict_charge((uint64_t)st->st_size);
}

static void visit_count(struct walk *walk, int dir, const char *name,
			const struct stat *st)
{
	struct usage *usage = walk->usage;
	uint64_t charge = evict_charge((uint64_t)st->st_size);

	usage->bytes += charge;
	usage->by_rank[rank_of(walk->place, usage->now, st)] += charge;
}

/*
 * What is being written is counted first: an object published meanwhile is
 * then counted twice, never not at all.
 */
int evict_count(int root, struct usage *usage)
{
	struct walk staged = { .visit = visit_staged, .usage = usage };
	struct walk objects = { .visit = visit_count, .usage = usage };
	int rc;

	*usage = (struct usage){ .now = (uint64_t)time(NULL) };
	rc = walk_dir(&staged, root, FOLDER_STAGING);
	if (rc)
		return rc;
	return walk_objects(&objects, root);
}

static void visit_evict(struct walk *walk, int dir, const char *name,
			const struct stat *st)
{
	size_t rank = rank_of(walk->place, walk->usage->now, st);
	uint64_t charge = evict_charge((uint64_t)st->st_size);

	if (rank > walk->rank || (rank == walk->rank && walk->rest == 0))
		return;
	if (unlinkat(dir, name, 0) < 0)
		return;
	walk->usage->bytes -= min_u64(charge, walk->usage->bytes);
	if (rank == walk->rank)
		walk->rest -= min_u64(charge, walk->rest);
}

int evict_down_to(int root, struct usage *usage, uint64_t bytes_max)
{
	struct walk walk = { .visit = visit_evict, .usage = usage };

	if (usage->bytes <= bytes_max)
		return 0;
	walk.rest = usage->bytes - bytes_max;
	while (walk.rank < EVICT_RANKS - 1 &&
	       walk.rest > usage->by_rank[walk.rank])
		walk.rest -= usage->by_rank[walk.rank++];
	return walk_objects(&walk, root);
}
