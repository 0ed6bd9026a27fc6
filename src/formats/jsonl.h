/*
 * Rows of JSONL files, one object a line, read by everything that takes rows:
 * batch, eval, training. Errors name field, found and expected; who knows
 * them puts file and line before.
 */
#ifndef PL_FORMATS_JSONL_H
#define PL_FORMATS_JSONL_H

#include "base/memory.h"

#include <jansson.h>

/* True for a line of white space only, which is passed over. */
bool pl_jsonl_blank(const char *text, size_t length);

/* The object of a line, new, no key in it twice. PALI_INPUT names the column, or what stands there instead; then *row is NULL. */
pali_status pl_jsonl_parse(const char *text, size_t length, json_t **row, pali_error *err);

/* What a value is, as messages say it: "a list", and "nothing" for NULL. */
const char *pl_json_type_name(const json_t *value);

/* The texts of a field that is one text or a list of them: *texts is new, freed with free also after a failure (start with NULL); they are borrowed from the row. */
pali_status pl_jsonl_texts(const json_t *row, const char *field, const char ***texts, size_t *count, pali_error *err);

/* A whole number from 1 to `most`, where the row has the field; else *count stays. */
pali_status pl_jsonl_count(const json_t *row, const char *field, size_t most, size_t *count, pali_error *err);

/* The path of a name in a row, new: relative ones are of the folder ("" or NULL: as they are). */
char *pl_jsonl_path(const char *folder, const char *name, pali_error *err);

#endif
