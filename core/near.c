/*
 * Optimal string alignment (a restricted Damerau-Levenshtein distance), row by
 * row, with D the distance of the prefixes a[0..i) and b[0..j):
 *
 *	D[i][j] = min(D[i-1][j] + 1, D[i][j-1] + 1, D[i-1][j-1] + (a_i != b_j),
 *		      D[i-2][j-2] + 1 where a_i a_{i-1} = b_{j-1} b_j)
 */
#include "core/near.h"

static char folded(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c == '-' ? '_' : c;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

struct rows {
	size_t before[NEAR_LENGTH_MAX + 1]; /* i - 2 */
	size_t above[NEAR_LENGTH_MAX + 1];  /* i - 1 */
	size_t now[NEAR_LENGTH_MAX + 1];    /* i */
};

static void row_fill(struct rows *rows, const char *a, size_t i, const char *b,
		     size_t len)
{
	char last = folded(a[i - 1]);
	char prior = i > 1 ? folded(a[i - 2]) : '\0';

	rows->now[0] = i;
	for (size_t j = 1; j <= len; j++) {
		char other = folded(b[j - 1]);
		size_t best = least(rows->above[j], rows->now[j - 1]) + 1;

		best = least(best, rows->above[j - 1] + (last != other));
		if (j > 1 && prior == other && last == folded(b[j - 2]))
			best = least(best, rows->before[j - 2] + 1);
		rows->now[j] = best;
	}
}

size_t near_distance(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);
	size_t longer = a_len > b_len ? a_len : b_len;
	struct rows rows = { { 0 }, { 0 }, { 0 } };

	if (longer > NEAR_LENGTH_MAX)
		return NEAR_NOT;
	for (size_t j = 0; j <= b_len; j++)
		rows.now[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		memcpy(rows.before, rows.above, sizeof(rows.above));
		memcpy(rows.above, rows.now, sizeof(rows.now));
		row_fill(&rows, a, i, b, b_len);
	}
	return rows.now[b_len] <= longer / 3 ? rows.now[b_len] : NEAR_NOT;
}

const char *near_name(const char *word, const char *const *names, size_t count)
{
	const char *best = NULL;
	size_t best_distance = NEAR_NOT;

	for (size_t i = 0; i < count; i++) {
		size_t distance = near_distance(word, names[i]);

		if (distance < best_distance) {
			best = names[i];
			best_distance = distance;
		}
	}
	return best;
}
