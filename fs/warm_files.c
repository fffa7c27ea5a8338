/*
 * Warming that keeps finished files.
 */
#include <errno.h>

#include "fs/warm_inside.h"

/* A file that is being kept, with the turn, while a piece is made. */
struct file_making {
	struct warm *warm;
	struct part *part;
	uint64_t done;
	bool has_turn;
};

static void end_piece(struct file_making *making, uint64_t done)
{
	if (making->has_turn)
		engine_end_turn(making->warm->engine);
	making->has_turn = false;
	warm_add_bytes(making->warm, making->part, done - making->done);
	making->done = done;
}

static bool begin_piece(void *ctx, uint64_t done)
{
	struct file_making *making = ctx;

	end_piece(making, done);
	making->has_turn = warm_take_turn(making->warm, making->part);
	return making->has_turn;
}

static void keep_file(struct warm *warm, struct part *part,
		      const struct layout_file *file)
{
	struct file_making making = { .warm = warm, .part = part };
	const struct keep_step step = { begin_piece, &making };
	struct error err = { 0 };
	int rc;

	if (!warm_is_due(warm, part))
		return;
	rc = engine_keep_shard(warm->engine, part->lens, file, &step, &err);
	if (rc == -ECANCELED) {
		end_piece(&making, making.done);
		return;
	}
	if (rc)
		warm_add_failure(warm, &err);
	end_piece(&making, file->size);
}

void warm_keep_files(struct warm *warm)
{
	for (size_t i = 0; i < warm->count; i++) {
		struct part *part = &warm->parts[i];

		for (size_t f = 0; !part->left && f < part->lens->layout->count;
		     f++)
			keep_file(warm, part, &part->lens->layout->files[f]);
	}
}
