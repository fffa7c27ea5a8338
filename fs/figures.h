/*
 * All that is told of a mount in numbers, taken once and then written: as
 * .llmergefs/stats.json, as .llmergefs/metrics (Prometheus), as .llmergefs/
 * errors. What each number is called in both, and what it means, stands in one
 * table (figure_rows.c), so that they cannot tell of different things.
 *
 * What belongs to a recipe is copied under the catalog's lock, which is not
 * held while anything is written. The figures own their arena, which holds all
 * the texts and lists of them.
 */
#ifndef LMFS_FIGURES_H
#define LMFS_FIGURES_H

#include <stdio.h>

#include "core/base/arena.h"
#include "fs/live.h"

struct figures_method {
	const char *name;
	struct engine_method_stats stats;
};

struct figures_point {
	const char *name;
	uint64_t reads, bytes_served;
};

/* Its numbers are of the generation that stands in the mount. */
struct figures_recipe {
	struct figures_recipe *next;
	const char *name; /* of its folder; "" where it has the root */
	const char *path;
	const char *error;   /* NULL: it is there */
	uint64_t generation; /* 0: it cannot be opened */
	uint64_t settings;   /* set from outside */
	uint64_t tensors, bytes, reads, bytes_served; /* of all its points */
	char hash[HASH_HEX_LEN + 1]; /* "": several recipes, or none */
	bool sweeps;
	const struct figures_point *points; /* of a sweep */
	size_t points_count;
};

/* A tensor in which finite numbers made others. */
struct figures_nonfinite {
	struct figures_nonfinite *next;
	const char *name; /* behind its folder: "a/lambda=0.4/x.weight" */
	uint64_t count;
};

struct figures {
	double uptime_seconds, cpu_seconds;
	struct engine_stats engine;
	uint64_t bytes_computed; /* by all methods */
	uint64_t source_bytes_read;
	uint64_t files_open, processes; /* of those who read */
	uint64_t passthrough_opens;
	uint64_t resident_bytes;
	uint64_t memory_max, disk_max; /* of the cache; 0: not known */
	uint64_t retired;	       /* generations */
	const char *current;	       /* NULL: no such link */
	const char *mountpoint;
	const struct figures_method *methods; /* as in the table of methods */
	size_t methods_count;
	struct figures_recipe *recipes; /* in order of names */
	struct figures_nonfinite *nonfinite;
	struct arena *arena;
};

#define AUTO_FIGURES AUTO(figures_done)

/* 0 or -ENOMEM. *figures has to be ended in any case. */
int figures_take(const struct live *live, struct figures *figures);
void figures_done(struct figures *figures);

/* Each as a text that the caller frees. 0 or -ENOMEM. */
int figures_stats(const struct figures *figures, char **text, size_t *len);
int figures_metrics(const struct figures *figures, char **text, size_t *len);
int figures_errors(const struct figures *figures, char **text, size_t *len);

/* --- the table ----------------------------------------------------------- */

enum figure_type { FIGURE_COUNTER, FIGURE_GAUGE };

struct figure_row {
	const char *group; /* the object in stats.json; NULL: the top */
	const char *json;  /* its name there */
	/* Its name for Prometheus without "llmergefs_", its one label, what it
	 * means. Rows of one name follow each other; the first has the help.
	 * NULL: the sum of what is told in parts. */
	const char *metric, *label, *help;
	enum figure_type type;
	size_t at;     /* of a struct figures, figures_method, ... */
	bool real;     /* a double; else uint64_t */
	bool optional; /* 0 is not told */
};

struct figure_table {
	const struct figure_row *rows;
	size_t count;
};

/* Of a struct figures, figures_method, figures_recipe. */
struct figure_table figures_of_mount(void);
struct figure_table figures_of_method(void);
struct figure_table figures_of_recipe(void);

/* Whether the row is told of this struct, and its value. */
bool figure_told(const struct figure_row *row, const void *of);
void figure_write(FILE *out, const struct figure_row *row, const void *of);

#endif
