#include "fs/progress.h"

#include <stdio.h>

#include "core/base/file.h"
#include "fs/size.h"

#define BAR_WIDTH 24
#define SECONDS_BETWEEN 0.1
#define CLEAR_LINE "\r\033[K"

void progress_begin(struct progress *progress, const char *title,
		    uint64_t total, bool quiet)
{
	*progress = (struct progress){
		.title = title,
		.total = total,
		.begin = clock_seconds(),
		.visible = !quiet && isatty(STDERR_FILENO),
	};
}

static void show(const struct progress *progress, double seconds)
{
	char done[SIZE_TEXT_MAX], total[SIZE_TEXT_MAX], rate[SIZE_TEXT_MAX];
	char bar[BAR_WIDTH + 1];
	double part = (double)progress->done / (double)progress->total;
	double speed = (double)progress->done / seconds;

	memset(bar, ' ', BAR_WIDTH);
	memset(bar, '#', (size_t)(part * BAR_WIDTH));
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr,
		CLEAR_LINE "%s [%s] %3.0f%%  %s of %s  %s/s  %.0f s left",
		progress->title, bar, part * 100,
		size_text(progress->done, done),
		size_text(progress->total, total),
		size_text((uint64_t)speed, rate),
		(double)(progress->total - progress->done) / speed);
	fflush(stderr);
}

void progress_add(struct progress *progress, uint64_t bytes)
{
	double now;

	progress->done += bytes;
	if (!progress->visible || !progress->done)
		return;
	now = clock_seconds();
	if (now - progress->shown < SECONDS_BETWEEN || now <= progress->begin)
		return;
	progress->shown = now;
	show(progress, now - progress->begin);
}

double progress_end(struct progress *progress)
{
	if (progress->visible) {
		fputs(CLEAR_LINE, stderr);
		fflush(stderr);
	}
	return clock_seconds() - progress->begin;
}
