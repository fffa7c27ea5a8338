#include "core/stamp.h"

struct stamp stamp_of(const struct stat *st)
{
	return (struct stamp){ .device = st->st_dev,
			       .inode = st->st_ino,
			       .size = (uint64_t)st->st_size,
			       .mtime = st->st_mtim };
}

static int order_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

int stamp_order(const struct stamp *a, const struct stamp *b)
{
	int order = order_u64(a->device, b->device);

	if (order == 0)
		order = order_u64(a->inode, b->inode);
	if (order == 0)
		order = order_u64(a->size, b->size);
	if (order == 0)
		order = order_u64((uint64_t)a->mtime.tv_sec,
				  (uint64_t)b->mtime.tv_sec);
	if (order == 0)
		order = order_u64((uint64_t)a->mtime.tv_nsec,
				  (uint64_t)b->mtime.tv_nsec);
	return order;
}
