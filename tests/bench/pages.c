/*
 * The page cache and the machine's memory, as the benchmark wants them.
 *
 *	pages hold BYTES
 *		touch so much memory, give all of it back but a page in each
 *		2 MiB, say "ready", and keep those until standard input ends.
 *		A virtual machine whose host takes free memory back in blocks of
 *		2 MiB then finds none, so that the first touch of a page costs
 *		the same in the last measurement as in the first.
 *	pages warm FILE...	read them, so that they lie in the page cache
 *	pages drop FILE...	write them out, and let their pages go
 *	pages resident FILE...	say how much of them lies in the page cache
 */
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <sys/mman.h>

#define HUGE_PAGE (2u << 20)

static void hold(uint64_t bytes)
{
	unsigned char *memory;
	char c;

	bytes = bytes / HUGE_PAGE * HUGE_PAGE;
	if (!bytes)
		die("nothing to hold");
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap of %llu bytes: %s", (unsigned long long)bytes,
		    strerror(errno));
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	for (uint64_t off = 0; off < bytes; off += PAGE)
		memory[off] = 1;
	for (uint64_t off = 0; off < bytes; off += HUGE_PAGE)
		if (madvise(memory + off + PAGE, HUGE_PAGE - PAGE,
			    MADV_DONTNEED) < 0)
			die("madvise: %s", strerror(errno));
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

static void warm(int fd, uint64_t size, void *buf)
{
	for (uint64_t off = 0; off < size; off += MIB) {
		int rc = file_read_at(fd, buf, min_u64(MIB, size - off), off);

		if (rc < 0)
			die("reading: %s", strerror(-rc));
	}
}

static void drop(int fd)
{
	int rc;

	if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
		die("fsync: %s", strerror(errno));
	rc = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (rc)
		die("posix_fadvise: %s", strerror(rc));
}

static uint64_t resident(int fd, uint64_t size)
{
	uint64_t pages = (size + PAGE - 1) / PAGE, count = 0;
	AUTO_FREE unsigned char *there = alloc_pages(pages);
	void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (data == MAP_FAILED || mincore(data, size, there) < 0)
		die("mincore: %s", strerror(errno));
	for (uint64_t i = 0; i < pages; i++)
		count += there[i] & 1;
	munmap(data, size);
	return min_u64(size, count * PAGE);
}

static void do_files(const char *verb, char *const *paths)
{
	AUTO_FREE void *buf = alloc_pages(MIB);
	uint64_t bytes = 0, there = 0, size;

	for (; *paths; paths++) {
		AUTO_FD int fd = open_sized(*paths, &size);

		if (!strcmp(verb, "warm"))
			warm(fd, size, buf);
		else if (!strcmp(verb, "drop"))
			drop(fd);
		bytes += size;
		there += resident(fd, size);
	}
	printf("{\"bytes\": %llu, \"resident\": %.6f}\n",
	       (unsigned long long)bytes, (double)there / (double)bytes);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	if (!strcmp(verb, "hold"))
		hold(parse_number(argv[2]));
	else if (!strcmp(verb, "warm") || !strcmp(verb, "drop") ||
		 !strcmp(verb, "resident"))
		do_files(verb, argv + 2);
	else
		die("pages hold BYTES | warm|drop|resident FILE...");
	return EXIT_SUCCESS;
}
