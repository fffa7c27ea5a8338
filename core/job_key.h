/*
 * The key of what one job makes by itself: the part of merge_state_key() and
 * its like (core/merge.h) that does not know of peers.
 */
#ifndef LMFS_JOB_KEY_H
#define LMFS_JOB_KEY_H

#include "core/merge.h"

/* What a key is of. */
enum key_subject { KEY_SURVEY, KEY_STATE, KEY_TENSOR };

/* Which of the keys of a job it is. */
struct key_kind {
	enum key_subject subject;
	bool likeness; /* sources by likeness, else by identity */
};

int job_key(const struct job *job, struct key_kind kind, struct hash128 *key,
	    struct error *err);

#endif
