/*
 * What the tests of plans share: small models on disk, and a plan as text, one
 * line a job:
 *
 *	NAME KIND DTYPE SHAPE METHOD MODEL/TENSOR[>ROUNDED]... option=values...
 *
 * with the base in front marked by '*', values of a per-model option separated
 * by ',', and '-' for one that is not set.
 */
#ifndef LMFS_TESTS_PLAN_FIXTURE_H
#define LMFS_TESTS_PLAN_FIXTURE_H

#include "core/plan.h"
#include "tests/unit/model_fixture.h"

#define PLAN_TEXT_MAX 16384

/* A model's folder with config.json of this type and weights:
 * "NAME DTYPE 4x2; NAME DTYPE scalar; ...". Data is zeros. */
void plan_fixture_model(const struct fixture *fx, const char *name,
			const char *type, const char *tensors);

/* What planning a recipe gives. */
struct planned {
	struct report report;
	struct recipe *recipe;
	struct model_set *models;
	struct plan *plan; /* NULL: refused */
};

#define AUTO_PLANNED AUTO(planned_done)

void planned_open(struct planned *planned, const struct fixture *fx,
		  const char *yaml);
void planned_done(struct planned *planned);

/* The job lines, and nothing else. */
void planned_text(const struct planned *planned, char text[PLAN_TEXT_MAX]);

const struct job *planned_job(const struct planned *planned, const char *name);

/* The recipe "m.yml" must give these notes and these jobs ("": refused). */
void assert_plan(const struct fixture *fx, const char *yaml, const char *notes,
		 const char *jobs);

#endif
