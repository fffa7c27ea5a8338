#include "fs/status.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>

#include "core/base/text.h"
#include "fs/client.h"
#include "fs/command.h"
#include "fs/log.h"
#include "fs/mountinfo.h"
#include "fs/mountpoint.h"

#define SECONDS_BETWEEN 1.0
#define SECONDS_FIRST 0.5 /* between the two samples that give a rate */
#define ROWS_MAX 100	  /* of recipes and points */
#define LINES_BESIDE 24	  /* of a screen: all but recipes, about */
#define ROWS_MIN 5
#define HOME_AND_CLEAR "\033[H\033[J"

static int take_sample(const struct client *client,
		       struct status_sample *sample, struct error *err)
{
	char *text;
	size_t len;
	int rc = client_read(client, "stats.json", &text, &len, err);

	return rc ? rc : status_sample_init(sample, text, len, err);
}

static void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

/* Wait; true: a signal asks to end. */
static bool asked_to_end(double seconds)
{
	const struct timespec time = { (time_t)seconds,
				       (long)(seconds * 1e9) % 1000000000 };
	sigset_t set;

	stop_signals(&set);
	return sigtimedwait(&set, NULL, &time) > 0;
}

/* Lines of the screen that is redrawn; 0: there is none. */
static size_t screen_lines(const struct options *options)
{
	struct winsize size;

	if (!options->watch || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_row;
}

/* The text up to where it would scroll. */
static size_t fitting(const char *text, size_t lines)
{
	const char *end = text;

	while (*end && --lines)
		end += strcspn(end, "\n") + (strchr(end, '\n') != NULL);
	return (size_t)(end - text);
}

/* Whole, so that a screen does not flicker. */
static void show(const char *text, const struct options *options, size_t screen)
{
	if (screen) {
		fputs(HOME_AND_CLEAR, stdout);
		fwrite(text, 1, fitting(text, screen), stdout);
	} else {
		fputs(text, stdout);
		fputs(options->watch ? "\n" : "", stdout);
	}
}

static int draw(const struct client *client, const struct options *options,
		const struct status_sample *before,
		const struct status_sample *now)
{
	size_t screen = screen_lines(options);
	const struct status_view view = {
		.root = client->root,
		.name = client->name,
		.rows_max = !screen ? ROWS_MAX
			    : screen > LINES_BESIDE + ROWS_MIN
				    ? screen - LINES_BESIDE
				    : ROWS_MIN,
		.before = before->stats,
		.now = now->stats,
	};
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *bytes = NULL;

	if (text_open(&text) < 0 || status_draw(text.out, &view) < 0 ||
	    text_take(&text, &bytes, NULL) < 0)
		return -ENOMEM;
	show(bytes, options, screen);
	return fflush(stdout) == 0 ? 0 : -errno;
}

static int print_json(const struct status_sample *sample)
{
	fwrite(sample->text, 1, sample->len, stdout);
	return fflush(stdout) == 0 ? 0 : -errno;
}

static bool is_mounted(const struct client *client)
{
	struct mountinfo info;

	return mountinfo_find(client->root, &info) &&
	       strcmp(info.fstype, MOUNTPOINT_FSTYPE) == 0;
}

/* A mount that is going fails first, and is gone a moment later. */
static int lost(const struct client *client, const struct error *err)
{
	if (is_mounted(client))
		asked_to_end(SECONDS_FIRST);
	if (is_mounted(client))
		return command_failed(err);
	log_line(LOG_INFO, "%s: the mount is gone", client->root);
	return EXIT_OK;
}

static int output_failed(int rc)
{
	log_line(LOG_ERROR, "standard output: %s", strerror(-rc));
	return EXIT_FAILED;
}

/* Sample after sample; each but the first is drawn against the one before. */
static int watch(const struct client *client, const struct options *options)
{
	AUTO_STATUS_SAMPLE struct status_sample before = STATUS_SAMPLE_INIT;
	struct error err;
	bool shown = false;

	for (;;) {
		AUTO_STATUS_SAMPLE struct status_sample now =
			STATUS_SAMPLE_INIT;
		int rc = take_sample(client, &now, &err);

		if (rc)
			return before.stats ? lost(client, &err)
					    : command_failed(&err);
		if (options->json)
			rc = print_json(&now);
		else if (before.stats)
			rc = draw(client, options, &before, &now);
		if (rc)
			return output_failed(rc);
		shown |= options->json || before.stats;
		status_sample_done(&before);
		before = now;
		now = (struct status_sample)STATUS_SAMPLE_INIT;
		if (shown && !options->watch)
			return EXIT_OK;
		if (asked_to_end(shown ? SECONDS_BETWEEN : SECONDS_FIRST))
			return EXIT_OK;
	}
}

int status_main(const struct options *options)
{
	AUTO_CLIENT struct client client = CLIENT_INIT;
	struct error err;
	sigset_t set;

	if (client_find(&client, options->recipe, &err) < 0)
		return command_failed(&err);
	stop_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return watch(&client, options);
}
