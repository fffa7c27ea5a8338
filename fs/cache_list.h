/*
 * `llmergefs cache ls`: a short table for people; with --json everything, each
 * object included.
 */
#ifndef LMFS_CACHE_LIST_H
#define LMFS_CACHE_LIST_H

#include "cache/folder.h"
#include "fs/options.h"

/* EXIT_OK, or -errno with a sentence. */
int cache_list(const struct options *options, struct folder *folder,
	       struct error *err);

#endif
