/*
 * One plain value of a recipe as the value of an option, by the option's type:
 *
 *	float	numbers, true and false (1 and 0), decimal numbers as text
 *		("1e-3": YAML 1.1 takes it for text)
 *	int	the same where they are whole: 3, 3.0
 *	bool	true and false, 1 and 0, and the words yes no on off true false
 *		y n t f 1 0 in any case
 *	choice	one of the names of the option's row; its index there
 *
 * Everything is finite and within the range of the option's row.
 */
#ifndef LMFS_SCALAR_H
#define LMFS_SCALAR_H

#include <stdio.h>

#include "core/base/error.h"
#include "core/json.h"
#include "core/method.h"

/* EINVAL with a sentence that shows the value, and names neither option nor
 * place. */
int scalar_read(const struct method_option *option, const struct json *value,
		double *number, struct error *err);

/* The value of an option as JSON, as a recipe would spell it; one that is unset
 * is null. */
void scalar_write(FILE *out, const struct method_option *option, double value);

#endif
