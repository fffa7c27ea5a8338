/*
 * The inode table of a mount: folders and files, numbered from 1, the root, in
 * the order of their coming. It is filled before the mount answers, by one
 * thread, and never changes then, so it needs no lock, and the kernel may keep
 * all it learns. What a file's bytes are is said by its kind; the tree does not
 * read them. Several lenses can hang in one tree, each below a folder of its
 * own.
 */
#ifndef LMFS_TREE_H
#define LMFS_TREE_H

#include <sys/stat.h>

#include "fs/lens.h"

#define TREE_ROOT 1

enum node_kind {
	NODE_DIR,
	NODE_SHARD,  /* a layout_file of a lens */
	NODE_TEXT,   /* bytes in memory */
	NODE_SOURCE, /* the donor's own file */
	NODE_LIVE,   /* made anew at each open; its size is not known */
};

/* Makes the text of a live file; the caller frees *text. 0 or -errno. */
typedef int (*node_make)(void *ctx, char **text, size_t *len);

struct node {
	enum node_kind kind;
	uint64_t ino;
	const char *name;
	const struct node *parent; /* of the root: itself */
	uint64_t size;
	struct timespec mtime;
	struct node **children; /* NODE_DIR: in order of strcmp of names */
	size_t count, room;
	const struct lens *lens;	 /* NODE_SHARD */
	const struct layout_file *shard; /* NODE_SHARD */
	const char *text;		 /* NODE_TEXT */
	const struct source *source;	 /* NODE_SOURCE */
	node_make make;			 /* NODE_LIVE */
	void *ctx;
};

struct tree;

/* The root has this time. NULL: no memory. */
struct tree *tree_open(struct timespec mtime);
void tree_close(struct tree *tree); /* NULL is fine */

struct node *tree_root(struct tree *tree);
size_t tree_count(const struct tree *tree);   /* of all nodes */
uint64_t tree_bytes(const struct tree *tree); /* of all files */

/* By number, NULL: there is none. By name, NULL: the folder has none. */
const struct node *tree_node(const struct tree *tree, uint64_t ino);
const struct node *node_child(const struct node *dir, const char *name);

/*
 * Add a file or folder like `model` (kind, size, mtime and what the kind needs)
 * below a folder. The path may have '/' in it: missing folders are made.
 * EINVAL: a name that no file can have, or one that stands there already; the
 * tree is then as it was.
 */
int tree_add(struct tree *tree, struct node *dir, const char *path,
	     const struct node *model, struct error *err);

/* The files of a lens, as `export` writes them, below a folder. */
int tree_add_lens(struct tree *tree, struct node *dir, const struct lens *lens,
		  struct error *err);

#endif
