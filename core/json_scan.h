/*
 * The strict scanner in front of cJSON: it accepts exactly the texts of RFC
 * 8259 (and those within the limits of core/json.h), and tells where each value
 * lies. It decodes nothing; names that differ in spelling but not in meaning
 * are found doubled later, in the tree.
 */
#ifndef LMFS_JSON_SCAN_H
#define LMFS_JSON_SCAN_H

#include "core/base/base.h"
#include "core/base/error.h"
#include "core/json.h"
#include "core/json_cursor.h"

/* Offsets into the text, which has at most JSON_TEXT_MAX bytes. */
struct json_span {
	uint32_t
		name; /* the quote that opens the member's name; 0: no member */
	uint32_t start; /* first byte of the value */
	uint32_t end;	/* behind its last byte */
};

/*
 * Check the text and list its values in the order of their first bytes, so that
 * a container comes before what it holds. 0, -EINVAL with a sentence that names
 * line and column, or -ENOMEM. The caller frees *spans.
 */
int json_scan(const char *text, size_t len, struct json_span **spans,
	      size_t *count, struct error *err);

/*
 * The span after the value `at` and all that it holds: its next sibling, where
 * it has one.
 */
size_t json_span_after(const struct json_span *spans, size_t count, size_t at);

#endif
