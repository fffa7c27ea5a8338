#include "core/gemm.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "core/kernels.h"

/* Fortran's own: there is no header of them that all builds have. */
void dgemm_(const char *transa, const char *transb, const int *m, const int *n,
	    const int *k, const double *alpha, const double *a, const int *lda,
	    const double *b, const int *ldb, const double *beta, double *c,
	    const int *ldc);
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a,
	     const int *lda, double *w, double *work, const int *lwork,
	     int *iwork, const int *liwork, int *info);
void dsyevx_(const char *jobz, const char *range, const char *uplo,
	     const int *n, double *a, const int *lda, const double *vl,
	     const double *vu, const int *il, const int *iu,
	     const double *abstol, int *m, double *w, double *z, const int *ldz,
	     double *work, const int *lwork, int *iwork, int *ifail, int *info);
char *openblas_get_config(void);
char *openblas_get_corename(void);

/* Of OpenBLAS, whose buffers are the whole process'. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define RATE_SECONDS 0.02
/* Columns that a tridiagonal form is made of at once, and some more. */
#define TOP_WORK_COLUMNS 40

void gemm_block(double *c, const double *a, const double *b,
		struct gemm_size size)
{
	const int m = (int)size.cols, n = (int)size.rows, k = (int)size.depth;
	const int stride = GEMM_STRIDE;
	const double one = 1;

	/* To Fortran, a row-major matrix is its transpose: c' += b' a'. */
	pthread_mutex_lock(&lock);
	dgemm_("N", "N", &m, &n, &k, &one, b, &stride, a, &stride, &one, c,
	       &stride);
	pthread_mutex_unlock(&lock);
}

static size_t doubles_of_ints(size_t count)
{
	return (count * sizeof(int) + sizeof(double) - 1) / sizeof(double);
}

static size_t eigen_doubles(size_t n)
{
	return 1 + 6 * n + 2 * n * n;
}

static size_t eigen_ints(size_t n)
{
	return 3 + 5 * n;
}

size_t gemm_eigen_work(size_t n)
{
	return eigen_doubles(n) + doubles_of_ints(eigen_ints(n));
}

int gemm_eigen(size_t n, double *a, double *values, double *work)
{
	const int side = (int)n;
	const int doubles = (int)eigen_doubles(n);
	const int ints = (int)eigen_ints(n);
	void *work_ints = work + doubles;
	int info = 0;

	if (n > GEMM_SIDE_MAX)
		return -ENOTSUP;
	pthread_mutex_lock(&lock);
	dsyevd_("V", "L", &side, a, &side, values, work, &doubles, work_ints,
		&ints, &info);
	pthread_mutex_unlock(&lock);
	return info ? -EDOM : 0;
}

size_t gemm_eigen_top_work(size_t n)
{
	return TOP_WORK_COLUMNS * n + doubles_of_ints(6 * n);
}

int gemm_eigen_top(size_t n, double *a, size_t count, double *values,
		   double *vectors, double *work)
{
	const int side = (int)n;
	const int doubles = (int)(TOP_WORK_COLUMNS * n);
	const int first = (int)(n - count + 1), last = side;
	const double none = 0;
	void *rest = work + doubles;
	int *ints = rest;
	int found = 0, info = 0;

	if (n > GEMM_SIDE_MAX)
		return -ENOTSUP;
	pthread_mutex_lock(&lock);
	dsyevx_("V", "I", "L", &side, a, &side, &none, &none, &first, &last,
		&none, &found, values, vectors, &side, work, &doubles, ints,
		ints + 5 * n, &info);
	pthread_mutex_unlock(&lock);
	return info || found != (int)count ? -EDOM : 0;
}

/* The configuration is a text that OpenBLAS writes anew when it is asked for;
 * its first two words are the version. */
void gemm_name(char name[GEMM_NAME_MAX])
{
	const char *config;
	size_t len;

	pthread_mutex_lock(&lock);
	config = openblas_get_config();
	len = strcspn(config, " ");
	if (config[len])
		len += 1 + strcspn(config + len + 1, " ");
	snprintf(name, GEMM_NAME_MAX, "%.*s %s", (int)len, config,
		 openblas_get_corename());
	pthread_mutex_unlock(&lock);
}

/* What OpenBLAS' names for CPUs say of their instructions; others: nothing. */
static const struct {
	const char *core, *level;
} cores[] = {
	{ "Prescott", "baseline" },    { "Core2", "baseline" },
	{ "Penryn", "baseline" },      { "Dunnington", "baseline" },
	{ "Nehalem", "baseline" },     { "Sandybridge", "baseline" },
	{ "Atom", "baseline" },	       { "Katmai", "baseline" },
	{ "Coppermine", "baseline" },  { "Northwood", "baseline" },
	{ "Banias", "baseline" },      { "Athlon", "baseline" },
	{ "Opteron", "baseline" },     { "Opteron_SSE3", "baseline" },
	{ "Barcelona", "baseline" },   { "Bobcat", "baseline" },
	{ "Bulldozer", "baseline" },   { "Piledriver", "baseline" },
	{ "Steamroller", "baseline" }, { "Nano", "baseline" },
	{ "Haswell", "avx2" },
};

bool gemm_is_slow(struct error *err)
{
	static const char *const types[] = {
#define TYPE_OF_baseline "Nehalem",
#define TYPE_OF_avx2 "Haswell",
#define TYPE_OF_avx512 "SkylakeX",
#define CORE_TYPE(level) TYPE_OF_##level
		CPU_LEVELS(CORE_TYPE)
	};
	const char *core = openblas_get_corename();
	enum cpu_level best = cpu_level_best();
	enum cpu_level level;

	for (size_t i = 0; i < ARRAY_LEN(cores); i++) {
		if (strcasecmp(cores[i].core, core) != 0 ||
		    !cpu_level_by_name(cores[i].level, &level) || level >= best)
			continue;
		fail(err, ENOTSUP,
		     "OpenBLAS takes this CPU, which has %s, for a %s, and is "
		     "several times slower than it could be; set "
		     "OPENBLAS_CORETYPE=%s in the environment",
		     cpu_level_name(best), core, types[best]);
		return true;
	}
	return false;
}

static double thread_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double gemm_rate(void)
{
	const struct gemm_size size = { GEMM_BLOCK, GEMM_BLOCK, GEMM_BLOCK };
	AUTO_FREE double *blocks =
		calloc(3 * GEMM_BLOCK_DOUBLES, sizeof(double));
	double begin, seconds, flops = 0;

	if (!blocks)
		return 0;
	/* The first product finds its buffers. */
	gemm_block(blocks, blocks + GEMM_BLOCK_DOUBLES,
		   blocks + 2 * GEMM_BLOCK_DOUBLES, size);
	begin = thread_seconds();
	do {
		gemm_block(blocks, blocks + GEMM_BLOCK_DOUBLES,
			   blocks + 2 * GEMM_BLOCK_DOUBLES, size);
		flops += 2 * pow(GEMM_BLOCK, 3);
		seconds = thread_seconds() - begin;
	} while (seconds < RATE_SECONDS);
	return flops / seconds;
}
