#include "fs/access_look.h"

#include <errno.h>
#include <pthread.h>

#include "core/base/pool.h"

#define PROC_PATH_MAX 64
#define TGID "Tgid:"
#define WAIT_NS_MAX 50000000 /* for one look */
#define LOOKS_MAX 32	     /* waiting at once */
#define NS_PER_S 1000000000

static FILE *open_proc(pid_t pid, const char *file)
{
	char path[PROC_PATH_MAX];

	if (pid <= 0)
		return NULL;
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return fopen(path, "re");
}

static void auto_close(FILE *const *file)
{
	if (*file)
		fclose(*file);
}

pid_t proc_of_thread(pid_t pid)
{
	AUTO(auto_close) FILE *status = open_proc(pid, "status");
	AUTO_FREE char *line = NULL;
	const size_t len = strlen(TGID);
	size_t room = 0;
	long tgid = 0;

	while (status && tgid <= 0 && getline(&line, &room, status) > 0)
		if (strncmp(line, TGID, len) == 0)
			tgid = strtol(line + len, NULL, 10);
	return tgid > 0 ? (pid_t)tgid : pid;
}

void proc_name(pid_t pid, char name[ACCESS_COMM_MAX])
{
	AUTO(auto_close) FILE *comm = open_proc(pid, "comm");

	if (!comm || !fgets(name, ACCESS_COMM_MAX, comm))
		name[0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	for (char *at = name; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f)
			*at = '?';
	if (!*name)
		memcpy(name, "?", 2);
}

/* Numbers of files are small on others without a device, too. */
static bool is_elsewhere(const char *path)
{
	return *path != '/' || strncmp(path, "/dev/", 5) == 0 ||
	       strncmp(path, "/memfd:", 7) == 0 ||
	       strncmp(path, "/SYSV", 5) == 0;
}

/* The number at *at, and beyond it and what ends it. */
static bool take_number(const char **at, int base, char ends, uint64_t *number)
{
	char *end;

	*number = strtoull(*at, &end, base);
	if (end == *at || *end != ends)
		return false;
	*at = end + 1;
	return true;
}

/* "7f00-8000 r--p 00001000 00:2f 12    /path": from, to, rights, offset in the
 * file, device, number, path. */
static bool line_has(const char *line, uint64_t ino, uint64_t off)
{
	uint64_t begin, end, from, major, minor, number;
	const char *at = line;

	if (!take_number(&at, 16, '-', &begin) ||
	    !take_number(&at, 16, ' ', &end))
		return false;
	at += strcspn(at, " ");
	if (!take_number(&at, 16, ' ', &from) ||
	    !take_number(&at, 16, ':', &major) ||
	    !take_number(&at, 16, ' ', &minor) ||
	    !take_number(&at, 10, ' ', &number))
		return false;
	at += strspn(at, " ");
	return number == ino && major == 0 && !is_elsewhere(at) &&
	       off >= from && off - from < end - begin;
}

bool maps_have(FILE *maps, uint64_t ino, uint64_t off)
{
	AUTO_FREE char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, maps) > 0)
		if (line_has(line, ino, off))
			return true;
	return false;
}

/* One question: of the asker, until it stops waiting, then of the looker. */
struct look {
	struct look *next;
	pid_t pid;
	uint64_t ino, off;
	bool done, has;
	bool left; /* the asker waits no more, and the looker frees it */
};

struct looker {
	pthread_mutex_t lock;
	pthread_cond_t asked, done;
	struct look *first, **last;
	size_t waiting;
	bool late; /* an asker has waited in vain for the look at work */
	bool started, closing;
	pthread_t thread;
};

struct looker *looker_open(void)
{
	struct looker *looker = calloc(1, sizeof(*looker));
	pthread_condattr_t attr;

	if (!looker)
		return NULL;
	looker->last = &looker->first;
	pthread_mutex_init(&looker->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&looker->asked, NULL);
	pthread_cond_init(&looker->done, &attr);
	pthread_condattr_destroy(&attr);
	return looker;
}

void looker_close(struct looker *looker)
{
	if (!looker)
		return;
	pthread_mutex_lock(&looker->lock);
	looker->closing = true;
	pthread_cond_signal(&looker->asked);
	pthread_mutex_unlock(&looker->lock);
	if (looker->started)
		pthread_join(looker->thread, NULL);
	pthread_cond_destroy(&looker->done);
	pthread_cond_destroy(&looker->asked);
	pthread_mutex_destroy(&looker->lock);
	free(looker);
}

static bool look(const struct look *look)
{
	AUTO(auto_close) FILE *maps = open_proc(look->pid, "maps");

	return maps && maps_have(maps, look->ino, look->off);
}

static struct look *next_look(struct looker *looker)
{
	struct look *look;

	while (!looker->first && !looker->closing)
		pthread_cond_wait(&looker->asked, &looker->lock);
	look = looker->first;
	if (!look)
		return NULL;
	looker->first = look->next;
	if (!looker->first)
		looker->last = &looker->first;
	looker->waiting--;
	return look;
}

static void *run(void *ctx)
{
	struct looker *looker = ctx;
	struct look *at;

	pthread_mutex_lock(&looker->lock);
	while ((at = next_look(looker))) {
		bool has;

		if (!at->left) {
			pthread_mutex_unlock(&looker->lock);
			has = look(at);
			pthread_mutex_lock(&looker->lock);
			at->has = has;
			at->done = true;
			looker->late = false;
			pthread_cond_broadcast(&looker->done);
		}
		if (at->left)
			free(at);
	}
	pthread_mutex_unlock(&looker->lock);
	return NULL;
}

/* Under the lock. Signals are not for it. */
static bool start(struct looker *looker)
{
	if (!looker->started)
		looker->started =
			thread_start(&looker->thread, run, looker) == 0;
	return looker->started;
}

static struct timespec deadline(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	time.tv_nsec += WAIT_NS_MAX;
	if (time.tv_nsec >= NS_PER_S) {
		time.tv_nsec -= NS_PER_S;
		time.tv_sec++;
	}
	return time;
}

/* Takes the look. */
static bool wait_for(struct looker *looker, struct look *look)
{
	const struct timespec until = deadline();
	bool has;

	while (!look->done &&
	       pthread_cond_timedwait(&looker->done, &looker->lock, &until) !=
		       ETIMEDOUT)
		;
	if (!look->done) {
		looker->late = true;
		look->left = true;
		return false;
	}
	has = look->has;
	free(look);
	return has;
}

bool looker_ask(struct looker *looker, pid_t pid, uint64_t ino, uint64_t off)
{
	struct look *look = malloc(sizeof(*look));
	bool has = false;

	if (!look)
		return false;
	*look = (struct look){ .pid = pid, .ino = ino, .off = off };
	pthread_mutex_lock(&looker->lock);
	if (!looker->late && looker->waiting < LOOKS_MAX && start(looker)) {
		*looker->last = look;
		looker->last = &look->next;
		looker->waiting++;
		pthread_cond_signal(&looker->asked);
		has = wait_for(looker, look);
	} else {
		free(look);
	}
	pthread_mutex_unlock(&looker->lock);
	return has;
}
