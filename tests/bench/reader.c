/*
 * The client of the benchmark: reads files as loaders do.
 *
 *	reader read|map PROCESSES FILE...
 *		every byte by preads of 1 MiB, or one byte of each page of a
 *		private mapping, in order; each process reads its own stretch of
 *		each file. The clock runs from before the first open until the
 *		last process has read its last byte.
 *	reader first FILE OFF LEN
 *		open the file, and read a range that nobody has read.
 *	reader random FILE OFF LEN COUNT
 *		COUNT single pages, scattered over a range, one after the other,
 *		none twice, and nothing read ahead.
 */
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define PROCESSES_MAX 64u
#define GOLDEN 0.6180339887

/* So that no read of a mapping is left out as unused. */
static volatile unsigned char sink;

struct stretch {
	uint64_t from, to;
};

static struct stretch stretch_of(uint64_t size, unsigned i, unsigned count)
{
	uint64_t part = round_up_u64(size / count + 1, MIB);

	return (struct stretch){ min_u64(size, i * part),
				 min_u64(size, (i + 1) * part) };
}

static void read_stretch(int fd, struct stretch at, void *buf)
{
	for (; at.from < at.to; at.from += MIB) {
		size_t len = min_u64(MIB, at.to - at.from);
		int rc = file_read_at(fd, buf, len, at.from);

		if (rc < 0)
			die("reading: %s", strerror(-rc));
	}
}

static void map_stretch(int fd, uint64_t size, struct stretch at)
{
	const unsigned char *data =
		mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	unsigned char sum = 0;

	if (data == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	for (; at.from < at.to; at.from += PAGE)
		sum = (unsigned char)(sum + data[at.from]);
	sink = sum;
}

static void work(bool map, char *const *paths, unsigned i, unsigned count)
{
	AUTO_FREE void *buf = alloc_pages(MIB);

	memset(buf, 0, MIB);
	for (; *paths; paths++) {
		uint64_t size;
		AUTO_FD int fd = open_sized(*paths, &size);
		struct stretch at = stretch_of(size, i, count);

		if (map)
			map_stretch(fd, size, at);
		else
			read_stretch(fd, at, buf);
	}
}

/* In a child: says that it is there, waits for the start, works, says so. */
static void run_child(const int *start, int done, bool map, char *const *paths,
		      struct stretch which)
{
	char c = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(start[1]);
	if (write(done, &c, 1) != 1 || read(start[0], &c, 1) != 0)
		die("the start: %s", strerror(errno));
	work(map, paths, (unsigned)which.from, (unsigned)which.to);
	if (write(done, &c, 1) != 1)
		die("the end: %s", strerror(errno));
	_exit(EXIT_SUCCESS);
}

static void take(int fd, unsigned count)
{
	char c;

	while (count--)
		if (read(fd, &c, 1) != 1)
			die("a reader has failed");
}

static void read_whole(bool map, unsigned count, char *const *paths)
{
	uint64_t bytes = 0, size;
	int start[2], done[2], status;
	double begin, seconds;

	if (count < 1 || count > PROCESSES_MAX)
		die("from 1 to %u processes", PROCESSES_MAX);
	if (pipe2(start, O_CLOEXEC) < 0 || pipe2(done, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	for (unsigned i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork: %s", strerror(errno));
		if (pid == 0)
			run_child(start, done[1], map, paths,
				  (struct stretch){ i, count });
	}
	close(start[0]);
	close(done[1]);
	take(done[0], count);
	begin = clock_seconds();
	close(start[1]);
	take(done[0], count);
	seconds = clock_seconds() - begin;
	while (wait(&status) > 0)
		if (status)
			die("a reader has failed");
	for (; *paths; paths++) {
		close(open_sized(*paths, &size));
		bytes += size;
	}
	printf("{\"bytes\": %llu, \"seconds\": %.6f, \"gbps\": %.4f}\n",
	       (unsigned long long)bytes, seconds,
	       (double)bytes / seconds / 1e9);
}

static void read_first(const char *path, uint64_t off, size_t len)
{
	AUTO_FREE void *buf = alloc_pages(len);
	double begin, opened, done;
	uint64_t size;
	AUTO_FD int fd = -1;
	int rc;

	memset(buf, 0, len);
	begin = clock_seconds();
	fd = open_sized(path, &size);
	opened = clock_seconds();
	rc = file_read_at(fd, buf, len, off);
	done = clock_seconds();
	if (rc < 0)
		die("%s: %s", path, strerror(-rc));
	printf("{\"open_ms\": %.4f, \"first_ms\": %.4f}\n",
	       1e3 * (opened - begin), 1e3 * (done - opened));
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static uint64_t divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* A step through so many pages that comes to each of them once, and never to a
 * neighbour soon. */
static uint64_t step_of(uint64_t pages)
{
	uint64_t step = max_u64(1, (uint64_t)((double)pages * GOLDEN));

	while (divisor(step, pages) != 1)
		step++;
	return step;
}

/* Microseconds of one page. */
static double time_page(int fd, uint64_t off, void *buf)
{
	double begin = clock_seconds();
	int rc = file_read_at(fd, buf, PAGE, off);

	if (rc < 0)
		die("reading: %s", strerror(-rc));
	return 1e6 * (clock_seconds() - begin);
}

static void read_random(const char *path, struct stretch at, size_t count)
{
	AUTO_FREE void *buf = alloc_pages(PAGE);
	AUTO_FREE double *took = calloc(count + 1, sizeof(*took));
	uint64_t size, pages = (at.to - at.from) / PAGE, page = 0;
	AUTO_FD int fd = open_sized(path, &size);
	double total = 0;

	if (!took || !count || count > pages || at.to > size)
		die("%s: no such range", path);
	if (posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM))
		die("%s: posix_fadvise", path);
	memset(buf, 0, PAGE);
	for (size_t i = 0; i < count; i++) {
		page = (page + step_of(pages)) % pages;
		took[i] = time_page(fd, at.from + page * PAGE, buf);
		total += took[i];
	}
	qsort(took, count, sizeof(*took), compare);
	printf("{\"median_us\": %.2f, \"p99_us\": %.2f, \"mean_us\": %.2f}\n",
	       took[count / 2], took[count * 99 / 100], total / (double)count);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	if (argc >= 4 && (!strcmp(how, "read") || !strcmp(how, "map"))) {
		read_whole(!strcmp(how, "map"), (unsigned)parse_number(argv[2]),
			   argv + 3);
	} else if (argc == 5 && !strcmp(how, "first")) {
		read_first(argv[2], parse_number(argv[3]),
			   parse_number(argv[4]));
	} else if (argc == 6 && !strcmp(how, "random")) {
		uint64_t off = parse_number(argv[3]);

		read_random(
			argv[2],
			(struct stretch){ off, off + parse_number(argv[4]) },
			parse_number(argv[5]));
	} else {
		die("reader read|map PROCESSES FILE... | first FILE OFF LEN | "
		    "random FILE OFF LEN COUNT");
	}
	return EXIT_SUCCESS;
}
