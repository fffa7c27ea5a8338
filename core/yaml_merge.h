/*
 * The members of a YAML mapping while it is read, and the rule of its merge
 * keys: what << brings stands before the mapping's own keys and gives way to
 * them, and of two << the later one wins.
 */
#ifndef LMFS_YAML_MERGE_H
#define LMFS_YAML_MERGE_H

#include "core/json.h"
#include "core/json_cursor.h"

struct yaml_member {
	const char *name;	 /* borrowed; NULL: an item of a list */
	struct json *value;	 /* borrowed */
	struct json_place place; /* of the name */
};

struct yaml_members {
	struct yaml_member *at; /* owned */
	size_t count, room;
};

/* 0 or -ENOMEM. */
int yaml_members_add(struct yaml_members *members, struct yaml_member member);
void yaml_members_done(struct yaml_members *members);

/*
 * Put what was merged before the mapping's own members; of members with one
 * name the last value stays, at the place of the first. 0, -ENOMEM, or -EEXIST
 * where two own members have one name: then *doubled is the second.
 */
int yaml_members_merge(struct yaml_members *own,
		       const struct yaml_members *merged,
		       struct yaml_member *doubled);

#endif
