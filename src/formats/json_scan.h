/*
 * JSON read where it lies, for the long lists of a tokenizer.json, which as a
 * tree of values would take half a second. A cursor moves over the text; each
 * call takes white space, then one thing, and is false where the text is
 * broken or something else stands there.
 */
#ifndef PL_FORMATS_JSON_SCAN_H
#define PL_FORMATS_JSON_SCAN_H

#include "formats/json.h"

typedef struct pl_json_cursor {
    const char *at, *end; /* borrowed */
} pl_json_cursor;

/* A string as it is written, without its quotes. */
typedef struct pl_json_text {
    const char *at; /* [length], borrowed */
    size_t length;
    bool escaped; /* has backslashes */
} pl_json_text;

bool pl_json_take(pl_json_cursor *cursor, char punctuation);
bool pl_json_take_string(pl_json_cursor *cursor, pl_json_text *text);
bool pl_json_take_number(pl_json_cursor *cursor, uint64_t *value); /* digits only, below 10^18 */
bool pl_json_skip_value(pl_json_cursor *cursor); /* brackets and quotes are matched, no more is checked */

/*
 * What a string says, UTF-8, into out[text.length]; *length is at most that.
 * False for escapes that JSON does not have, NUL and halves of surrogate pairs.
 */
bool pl_json_unescape(pl_json_text text, char *out, size_t *length);

/* A member that stays out of the tree. */
typedef struct pl_json_part {
    const char *member;
    char opening;         /* '{' or '[': a value of another kind stays in the tree */
    pl_json_cursor value; /* its text with the brackets; at is NULL when it was not found */
} pl_json_part;

/*
 * As pl_json_open_memory, but the parts, members of one object at the top of
 * the file, are empty in the tree. What stands in them has not been looked at
 * beyond finding their ends; it may be no JSON.
 */
pl_json *pl_json_open_parts(const void *bytes, size_t size, const char *name, const char *object, pl_json_part *parts, size_t count, pali_error *err);

#endif
