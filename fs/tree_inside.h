/*
 * What the files of the tree share: tree_volume.c fills folders, tree_attach.c
 * hangs them in the root, tree_link.c points links to them, tree.c shows all to
 * the kernel, and tree_stale.c tells what the kernel is to forget. A grove is
 * nodes that end together: what stays as long as the mount, or a volume. Its
 * first node is the folder that all others are in.
 */
#ifndef LMFS_TREE_INSIDE_H
#define LMFS_TREE_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/arena.h"
#include "fs/tree.h"

struct grove {
	struct arena *arena;
	struct node **nodes; /* in the order of their coming */
	size_t count, room;
	uint64_t bytes;
	struct volume *volume; /* whose it is; NULL: the mount's */
};

/* A name that was looked up in a folder of a volume, and is not there. */
struct missing {
	struct missing *next;
	uint64_t dir;
	const char *name;
};

struct volume {
	struct grove grove; /* numbers in its order, from `first` */
	/* The tree's own, under its lock: */
	uint64_t first;
	uint64_t lookups;     /* of all its nodes, counted and not forgotten */
	size_t shown;	      /* nodes that can be seen */
	atomic_bool attached; /* read without the lock, too */
	struct missing *missing; /* each once, at most MISSING_MAX */
	size_t missing_count;
	bool told; /* names of it in the root have been said to be stale */
	void (*gone)(void *ctx);
	void *ctx;
};

struct tree {
	pthread_mutex_t lock;
	struct grove own; /* what stays as long as the mount; the root first */
	struct volume **volumes; /* in the order of their numbers */
	size_t count, room;
	uint64_t next;	/* number */
	uint64_t shown; /* nodes that can be seen */
	uint64_t bytes; /* of their files */
};

/* --- groves and folders --------------------------------------------------- */

/* False: no memory, and then grove_done() is still to be called. */
bool grove_init(struct grove *grove, struct timespec mtime,
		struct volume *volume);
void grove_done(struct grove *grove);

/* See tree_add(). */
int grove_add(struct grove *grove, const char *path, const struct node *model,
	      struct error *err);

/* EINVAL: no file or folder can be called so. */
int node_check_name(const char *path, const char *name, struct error *err);

struct node *node_child(const struct node *dir, const char *name);

/* Room for so many more children. False: no memory. */
bool node_reserve(struct node *dir, size_t more);

/* Needs room. The child's parent is what it was. */
void node_insert(struct node *dir, struct node *child);

/* Take out the children that are of a volume (NULL: that are `only`). */
void node_take_out(struct node *dir, const struct volume *volume,
		   const struct node *only);

/* --- the tree, under its lock ----------------------------------------------
 */

static inline struct node *tree_root(const struct tree *tree)
{
	return tree->own.nodes[0];
}

/* Remember that the kernel has been told of no such name. */
void volume_missed(struct volume *volume, const struct node *dir,
		   const char *name);

/* tree_add(). */
int tree_add_own(struct tree *tree, const char *path, const struct node *model,
		 struct error *err);

/* Takes the target, NULL for none. */
void tree_set_target(struct node *link, char *target);

/*
 * Take a volume that is detached and forgotten out of the table. Whoever does
 * so is the only one who still knows it; NULL: it is not to go yet.
 */
struct volume *tree_take_gone(struct tree *tree, struct volume *volume);

/* Without the lock: call `gone`, and free it. NULL is fine. */
void tree_end_volume(struct volume *volume);

#endif
