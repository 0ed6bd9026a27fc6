/*
 * JSON files that configure a model: read whole, then asked field by field.
 * Fields are named by a path of keys with dots, "text_config.hidden_size".
 */
#ifndef PL_FORMATS_JSON_H
#define PL_FORMATS_JSON_H

#include "base/memory.h"

struct json_t; /* jansson's, for what the getters below do not cover */

typedef struct pl_json pl_json;

/*
 * The file parsed; its top must be an object, and no key may stand twice in
 * one. NULL with PALI_MODEL naming file and line. Close with pl_json_close
 * (which allows NULL). `name` stands for the path in messages.
 */
pl_json *pl_json_open(const char *path, pali_error *err);
pl_json *pl_json_open_memory(const void *bytes, size_t size, const char *name, pali_error *err);
void pl_json_close(pl_json *json);

const char *pl_json_path(const pl_json *json);

/* The value there, or NULL when absent or null. */
const struct json_t *pl_json_at(const pl_json *json, const char *field);
bool pl_json_has(const pl_json *json, const char *field);
bool pl_json_is_null(const pl_json *json, const char *field); /* there, and null */

/*
 * Getters store the field's value; where the field is absent or null they
 * leave *value, so it holds the default before the call. Another type, or a
 * number out of range, gives PALI_MODEL naming file, field, found, expected.
 * A whole number is also a double. Strings are borrowed until close.
 */
pali_status pl_json_get_size(const pl_json *json, const char *field, size_t *value, pali_error *err);
pali_status pl_json_get_i64(const pl_json *json, const char *field, int64_t *value, pali_error *err);
pali_status pl_json_get_f64(const pl_json *json, const char *field, double *value, pali_error *err);
pali_status pl_json_get_bool(const pl_json *json, const char *field, bool *value, pali_error *err);
pali_status pl_json_get_string(const pl_json *json, const char *field, const char **value, pali_error *err);

/* An array of exactly `count` numbers into values. */
pali_status pl_json_get_f64s(const pl_json *json, const char *field, double *values, size_t count, pali_error *err);

/* PALI_MODEL "file: field x: found ..., expected <expected>", for checks of the caller's own. */
pali_status pl_json_refuse(const pl_json *json, const char *field, const char *expected, pali_error *err);

/* A new JSON string; bytes that are no UTF-8 (of a path, of a text that was given) become U+FFFD. NULL when memory is short. */
struct json_t *pl_json_string(const char *text);

/*
 * Parses bytes of a file into a jansson value, an object; NULL on failure with
 * the reason recorded. For readers of this room: `what` names the part.
 */
struct json_t *pl_json_parse(const void *bytes, size_t size, const char *file, const char *what, pali_error *err);

#endif
