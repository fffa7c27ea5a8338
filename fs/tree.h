/*
 * The inode table of a mount: folders and files, each with a number that is
 * never used again. What a file's bytes are is said by its kind; the tree does
 * not read them. Several lenses can hang in one tree, each below a folder of its
 * own; a subtree can be taken out while readers still hold its inodes, which
 * then live until the kernel forgets them (look-up counts).
 *
 * One lock, held for look-ups only.
 */
#ifndef LMFS_TREE_H
#define LMFS_TREE_H

#include <sys/stat.h>

#include "fs/lens.h"

enum node_kind {
	NODE_DIR,
	NODE_SHARD, /* layout_file of a lens */
	NODE_TEXT, /* bytes in memory */
	NODE_SOURCE, /* the donor's own file */
	NODE_LIVE, /* made anew at each open */
};

struct tree;
struct node; /* a reference counts as one look-up; see tree.c */

#endif
