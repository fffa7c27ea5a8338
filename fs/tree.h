/*
 * The inode table of a mount. Three kinds of things hang in it:
 *
 *	the root, .llmergefs/ and its live files	as long as the mount
 *	volumes: one generation of a recipe each,	until they are forgotten
 *	with all the folders and files of it
 *	links: `current`				as long as the mount
 *
 * A volume is filled first and immutable once it is attached: the kernel may
 * keep all it learns of it, for ever. What can change is the names in the root:
 * a volume stands there as a folder of its own, or, where it is the only one of
 * the mount, with its top names among those of the root. A volume that is
 * replaced or detached leaves the root at once, and lives on for those who have
 * files or folders of it: the kernel's look-ups of its nodes are counted, and
 * when the last is forgotten, `gone` is called. Numbers are never used again.
 *
 * A folder that stays as long as the mount is open to volumes: what a volume
 * among the root's own names has in a folder of the same name, `.llmergefs/`,
 * is shown in that one.
 *
 * One lock, never held over a call out. A node that a look-up was counted for
 * (and what stays as long as the mount) is there until it is forgotten, so all
 * of one that never changes (node_changes) may be read without the lock; of the
 * others only kind, number and name, and the rest by tree_now(). All functions
 * may be called from any thread, but for the filling of a volume.
 */
#ifndef LMFS_TREE_H
#define LMFS_TREE_H

#include <sys/stat.h>

#include "fs/lens.h"

#define TREE_ROOT 1

enum node_kind {
	NODE_DIR,
	NODE_SHARD,   /* a layout_file of a lens */
	NODE_TEXT,    /* bytes in memory */
	NODE_SOURCE,  /* the donor's own file */
	NODE_LIVE,    /* made anew at each open; its size is not known */
	NODE_CONTROL, /* commands are written to it, answers read */
	NODE_LINK,    /* a symbolic link; its target can change */
};

/* Makes the text of a live file; the caller frees *text. 0 or -errno. */
typedef int (*node_make)(void *ctx, char **text, size_t *len);

struct volume;

struct node {
	enum node_kind kind;
	uint64_t ino;
	const char *name;
	const struct node *parent; /* of the root: itself */
	uint64_t size;
	struct timespec mtime;
	struct node **children; /* NODE_DIR: in order of strcmp of names */
	size_t count, room;
	size_t dirs;		 /* folders among the children */
	uint64_t lookups;	 /* counted, not forgotten; under the lock */
	struct volume *volume;	 /* NULL: it stays as long as the mount */
	const struct lens *lens; /* NODE_SHARD */
	const struct layout_file *shard; /* NODE_SHARD */
	const char *text;		 /* NODE_TEXT; NODE_LINK: the target */
	const struct source *source;	 /* NODE_SOURCE */
	node_make make;			 /* NODE_LIVE */
	void *ctx;			 /* NODE_LIVE */
};

struct tree;

/* The root has this time, until names in it change. NULL: no memory. */
struct tree *tree_open(struct timespec mtime);

/* Volumes that are still there are closed, without `gone`. NULL is fine. */
void tree_close(struct tree *tree);

uint64_t tree_count(struct tree *tree); /* of all nodes that hang in it */
uint64_t tree_bytes(struct tree *tree); /* of all their files */

/* --- what stays as long as the mount ----------------------------------- */

/*
 * Add a file or folder like `model` (kind, mtime and what the kind needs) below
 * the root. The path may have '/' in it: missing folders are made. EINVAL: a
 * name that no file can have, or that stands there already; the tree is then as
 * it was. Before the mount answers only, but for the links.
 */
int tree_add(struct tree *tree, const char *path, const struct node *model,
	     struct error *err);

/* Make the link `name` in the root point to `target`, from now on, atomically:
 * a new link, or the one there is. NULL: take the link away. */
int tree_link(struct tree *tree, const char *name, const char *target,
	      struct error *err);

/* Where it points; the caller frees it. NULL: no such link, or no memory. */
char *tree_link_target(struct tree *tree, const char *name);

/* --- volumes ------------------------------------------------------------ */

/* An empty one. Its folder has this time. NULL: no memory. */
struct volume *volume_open(struct timespec mtime);

/* What was never attached. NULL is fine. */
void volume_close(struct volume *volume);

/* As tree_add(), below the volume's folder. */
int volume_add(struct volume *volume, const char *path,
	       const struct node *model, struct error *err);

/* The files of a lens, as `export` writes them, below `dir` ("": the volume's
 * own folder). */
int volume_add_lens(struct volume *volume, const char *dir,
		    const struct lens *lens, struct error *err);

/* The node at a path ("": the volume's own folder), NULL: there is none. */
const struct node *volume_find(const struct volume *volume, const char *path);

/*
 * Let a volume stand in the root under `name`, or, NULL, its top names among
 * the root's own, in place of `before` (NULL: of nothing), which is detached.
 * Takes the volume on success. `gone(ctx)` is called once it is detached and
 * forgotten, on the thread that forgot it last (it may be this one), the tree's
 * lock not held; the volume's nodes are freed after it returns. EINVAL: a name
 * that stands there already. It is all done at once: who looks sees the one or
 * the other.
 */
int tree_attach(struct tree *tree, const char *name, struct volume *volume,
		struct volume *before, void (*gone)(void *ctx), void *ctx,
		struct error *err);
void tree_detach(struct tree *tree, struct volume *volume);

/* --- what the kernel asks ------------------------------------------------ */

/* By number: a node that a look-up was counted for, or that stays as long as
 * the mount. NULL: there is none. */
const struct node *tree_node(struct tree *tree, uint64_t ino);

/* By name in a folder, and count a look-up of it. NULL: there is none. */
const struct node *tree_lookup(struct tree *tree, const struct node *dir,
			       const char *name);

/* Forget `count` look-ups of a node; more than were counted are no harm. */
void tree_forget(struct tree *tree, uint64_t ino, uint64_t count);

/* The node as it is now: a copy, in which of a node that changes only the size,
 * the time and the number of folders are to be read. */
struct node tree_now(struct tree *tree, const struct node *node);

/* One entry of a folder as it was when it was listed. */
struct tree_entry {
	const char *name;
	uint64_t ino;
	enum node_kind kind;
};

/* All entries of a folder that changes ("." and ".." not among them), one
 * allocation that the caller frees. NULL: no memory. */
struct tree_entry *tree_list(struct tree *tree, const struct node *dir,
			     size_t *count);

/* Whether a node is of a volume that has left the root. */
bool tree_is_stale(const struct node *node);

/* A name that the kernel may keep, in a folder of this number. */
struct tree_name {
	uint64_t dir;
	const char *name;
};

/*
 * Names of volumes that have left and are not forgotten, and names that were
 * looked up there in vain, one allocation that the caller frees. The kernel
 * keeps what was open when its volume left, after it is closed, too, as long as
 * there is memory, unless it is told that these names are gone. Those in the
 * root are among them once only: they may mean another volume by then. NULL: no
 * memory, and *count is 0.
 */
struct tree_name *tree_stale_names(struct tree *tree, size_t *count);

/* Whether the node, or the names in it, can change while the kernel knows it:
 * a folder that stays as long as the mount is open to volumes. */
static inline bool node_changes(const struct node *node)
{
	if (node->kind == NODE_DIR)
		return !node->volume;
	return node->kind == NODE_LIVE || node->kind == NODE_LINK ||
	       node->kind == NODE_CONTROL;
}

#endif
