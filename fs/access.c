#include "fs/access.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/base/file.h"
#include "fs/access_look.h"
#include "fs/log.h"

#define ENDS 4	    /* of streams in one file that are told apart */
#define NEAR 4	    /* times the length of a read; the kernel reads ahead */
#define LOOK_STEP 8 /* looks at reads number 1, 8, 64, ... */
#define NO_END UINT64_MAX
#define LOG_MODE 0644
#define TIME_MAX 32

/* What has been counted, of a file or of all files of a process. */
struct counts {
	uint64_t reads, near, bytes, mapped_bytes;
};

/* Has at least one file open. */
struct process {
	struct process *next;
	pid_t pid;
	char name[ACCESS_COMM_MAX];
	double began;
	size_t open, opens;
	uint64_t *inos; /* of the files, in order, each once */
	size_t files, room;
	struct counts counts; /* of files that have ended */
};

struct access {
	pthread_mutex_t lock; /* of the processes */
	struct process *processes;
	uint64_t files, count;
	int fd; /* of the log; -1: there is none */
	struct looker *looker;
	atomic_bool failed; /* the log cannot be written, and that was said */
};

struct access_file {
	struct access *access;
	struct process *process;
	pid_t pid;
	uint64_t ino;
	atomic_uint_fast64_t reads, near, bytes;
	atomic_bool mapped;
	atomic_uint_fast64_t ends[ENDS]; /* of reads before */
	atomic_uint turn;		 /* whose end is replaced next */
};

struct access *access_open(const char *log, struct error *err)
{
	AUTO_FREE struct access *access = calloc(1, sizeof(*access));

	if (!access) {
		fail(err, ENOMEM, "no memory to count readers");
		return NULL;
	}
	access->fd = -1;
	if (log) {
		access->fd =
			open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
			     LOG_MODE);
		if (access->fd < 0) {
			fail(err, errno,
			     "%s: cannot be opened to append the access log: "
			     "%s; name a file that can be written",
			     log, strerror(errno));
			return NULL;
		}
		access->looker = looker_open();
	}
	pthread_mutex_init(&access->lock, NULL);
	return TAKE(access);
}

static void free_process(struct process *process)
{
	if (!process)
		return;
	free(process->inos);
	free(process);
}

void access_close(struct access *access)
{
	if (!access)
		return;
	looker_close(access->looker);
	while (access->processes) {
		struct process *process = access->processes;

		access->processes = process->next;
		free_process(process);
	}
	if (access->fd >= 0)
		close(access->fd);
	pthread_mutex_destroy(&access->lock);
	free(access);
}

/* --- one file --------------------------------------------------------------
 */

/* Whether a read goes on where one of those before it ended. Requests of one
 * stream come a little out of order, for they are read ahead. */
static bool goes_on(struct access_file *file, uint64_t off, size_t len)
{
	unsigned slot = ENDS;

	for (unsigned i = 0; slot == ENDS && i < ENDS; i++) {
		uint64_t end = atomic_load_explicit(&file->ends[i],
						    memory_order_relaxed);
		uint64_t far = off > end ? off - end : end - off;

		if (end != NO_END && far <= NEAR * (uint64_t)len)
			slot = i;
	}
	if (slot < ENDS) {
		atomic_store_explicit(&file->ends[slot], off + len,
				      memory_order_relaxed);
		return true;
	}
	slot = atomic_fetch_add_explicit(&file->turn, 1, memory_order_relaxed) %
	       ENDS;
	atomic_store_explicit(&file->ends[slot], off + len,
			      memory_order_relaxed);
	return false;
}

static bool is_look(uint64_t number)
{
	while (number % LOOK_STEP == 0)
		number /= LOOK_STEP;
	return number == 1;
}

void access_read(struct access_file *file, uint64_t off, size_t len)
{
	uint64_t before;
	bool near;

	if (!file || file->access->fd < 0)
		return;
	near = goes_on(file, off, len);
	before = atomic_fetch_add_explicit(&file->reads, 1,
					   memory_order_relaxed);
	/* The first goes on from nothing, but leaps from nothing, too. */
	if (near || before == 0)
		atomic_fetch_add_explicit(&file->near, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&file->bytes, len, memory_order_relaxed);
	if (is_look(before + 1) && file->access->looker &&
	    !atomic_load_explicit(&file->mapped, memory_order_relaxed) &&
	    looker_ask(file->access->looker, file->pid, file->ino, off))
		atomic_store_explicit(&file->mapped, true,
				      memory_order_relaxed);
}

/* --- processes ---------------------------------------------------------------
 */

/* Count an ino once. Without memory it counts as one that was there. */
static void add_ino(struct process *process, uint64_t ino)
{
	size_t at = process->files;

	while (at > 0 && process->inos[at - 1] > ino)
		at--;
	if (at > 0 && process->inos[at - 1] == ino)
		return;
	if (process->files == process->room) {
		size_t room = 2 * process->room + 1;
		uint64_t *grown =
			reallocarray(process->inos, room, sizeof(*grown));

		if (!grown)
			return;
		process->inos = grown;
		process->room = room;
	}
	memmove(process->inos + at + 1, process->inos + at,
		(process->files - at) * sizeof(*process->inos));
	process->inos[at] = ino;
	process->files++;
}

/* Under the lock; takes `made`, which is used where the process is new. */
static struct process *enter(struct access *access, struct process *made,
			     uint64_t ino)
{
	struct process *process = access->processes;

	while (process && process->pid != made->pid)
		process = process->next;
	if (process) {
		free_process(made);
	} else {
		process = made;
		process->next = access->processes;
		access->processes = process;
		access->count++;
	}
	process->open++;
	process->opens++;
	access->files++;
	add_ino(process, ino);
	return process;
}

struct access_file *access_begin(struct access *access, pid_t pid, uint64_t ino)
{
	AUTO_FREE struct access_file *file = calloc(1, sizeof(*file));
	AUTO_FREE struct process *process = calloc(1, sizeof(*process));

	if (!file || !process)
		return NULL;
	process->pid = proc_of_thread(pid);
	process->began = clock_seconds();
	if (access->fd >= 0)
		proc_name(process->pid, process->name);
	file->access = access;
	file->pid = process->pid;
	file->ino = ino;
	for (size_t i = 0; i < ENDS; i++)
		atomic_init(&file->ends[i], NO_END);
	pthread_mutex_lock(&access->lock);
	file->process = enter(access, TAKE(process), ino);
	pthread_mutex_unlock(&access->lock);
	return TAKE(file);
}

/* --- the end, and the line ---------------------------------------------- */

static const char *pattern_of(const struct counts *counts)
{
	bool sequential = 2 * counts->near > counts->reads;

	if (counts->reads == 0)
		return "none";
	if (2 * counts->mapped_bytes > counts->bytes)
		return sequential ? "mmap,sequential" : "mmap,random";
	return sequential ? "read,sequential" : "read,random";
}

static char *line_of(const struct process *process)
{
	const struct counts *counts = &process->counts;
	double part = counts->reads
			      ? (double)counts->near / (double)counts->reads
			      : 0;
	time_t now = time(NULL);
	char stamp[TIME_MAX];
	struct tm tm;
	char *line;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (asprintf(&line,
		     "%s pid=%d comm=%s files=%zu opens=%zu reads=%ju "
		     "bytes=%ju sequential=%.2f pattern=%s seconds=%.2f\n",
		     stamp, (int)process->pid, process->name, process->files,
		     process->opens, (uintmax_t)counts->reads,
		     (uintmax_t)counts->bytes, part, pattern_of(counts),
		     clock_seconds() - process->began) < 0)
		return NULL;
	return line;
}

/* One write, so that lines of several daemons do not mix. */
static void log_process(struct access *access, const struct process *process)
{
	AUTO_FREE char *line = NULL;

	if (access->fd < 0)
		return;
	line = line_of(process);
	if (line && write(access->fd, line, strlen(line)) > 0)
		return;
	if (!atomic_exchange(&access->failed, true))
		log_line(LOG_WARNING, "the access log cannot be written: %m");
}

static void fold(struct counts *counts, const struct access_file *file)
{
	uint64_t bytes = atomic_load(&file->bytes);

	counts->reads += atomic_load(&file->reads);
	counts->near += atomic_load(&file->near);
	counts->bytes += bytes;
	counts->mapped_bytes += atomic_load(&file->mapped) ? bytes : 0;
}

/* Under the lock. NULL: the process has more files open. */
static struct process *leave(struct access *access, struct process *process)
{
	struct process **link = &access->processes;

	access->files--;
	if (--process->open > 0)
		return NULL;
	while (*link != process)
		link = &(*link)->next;
	*link = process->next;
	access->count--;
	return process;
}

void access_end(struct access_file *file)
{
	struct access *access;
	struct process *ended;

	if (!file)
		return;
	access = file->access;
	pthread_mutex_lock(&access->lock);
	fold(&file->process->counts, file);
	ended = leave(access, file->process);
	pthread_mutex_unlock(&access->lock);
	if (ended)
		log_process(access, ended);
	free_process(ended);
	free(file);
}

static uint64_t get(struct access *access, const uint64_t *number)
{
	uint64_t value;

	pthread_mutex_lock(&access->lock);
	value = *number;
	pthread_mutex_unlock(&access->lock);
	return value;
}

uint64_t access_files(struct access *access)
{
	return get(access, &access->files);
}

uint64_t access_processes(struct access *access)
{
	return get(access, &access->count);
}
