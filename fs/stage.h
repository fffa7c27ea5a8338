/*
 * A folder in the making: it is filled under a temporary name beside its final
 * one, .NAME.llmergefs-<pid>-<n>, and gets that by one rename, so that the
 * final name never holds half a model. Whatever ends the process before takes
 * the temporary folder away: a failure (stage_close), SIGINT, SIGTERM and
 * SIGHUP (a thread waits for them; other threads of the process must block
 * them), and after kill -9 or a crash the next stage of the same name, for the
 * maker holds a lock on its folder as long as it lives.
 */
#ifndef LMFS_STAGE_H
#define LMFS_STAGE_H

#include <stdio.h>

#include "core/base/base.h"
#include "core/base/error.h"

struct stage;

#define AUTO_STAGE AUTO(stage_auto_close)

/*
 * Begin. The target must not exist, or be an empty folder; its parent must
 * exist (EINVAL), with `bytes` free (ENOSPC). Blocks the three signals in the
 * calling thread until stage_close().
 */
int stage_open(const char *target, uint64_t bytes, struct stage **stage,
	       struct error *err);

/* Of the folder to fill, for openat() and its kin. */
int stage_fd(const struct stage *stage);

/* The absolute final name. */
const char *stage_target(const struct stage *stage);

/* Sync the folder and give it its final name. */
int stage_publish(struct stage *stage, struct error *err);

/* Removes what was not published. NULL is fine. */
void stage_close(struct stage *stage);
static inline void stage_auto_close(struct stage *const *stage)
{
	stage_close(*stage);
}

#endif
