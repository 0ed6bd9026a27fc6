/*
 * JSON through jansson, which limits nesting to 2,048 levels and refuses NUL
 * in strings; here are the size limit, large numbers, the paths and the messages.
 */
#include "formats/json.h"

#include "base/file.h"
#include "base/text.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* tokenizer.json of a 256k vocabulary takes 18 to 34 MB; nothing else comes near. */
enum { LARGEST_FILE = 64 << 20 };

struct pl_json {
    json_t *root; /* owned */
    char *path;   /* owned */
};

/* The value with every whole real below 2^53 as an integer again; takes over the value's reference. */
static json_t *with_integers(json_t *value)
{
    if (json_is_real(value)) {
        const double number = json_real_value(value);
        if (fabs(number) >= 0x1p53 || number != floor(number))
            return value;
        json_decref(value);
        return json_integer((json_int_t)number);
    }
    const char *key;
    json_t *item;
    size_t i;
    json_object_foreach (value, key, item)
        json_object_set_new(value, key, with_integers(json_incref(item)));
    json_array_foreach (value, i, item)
        json_array_set_new(value, i, with_integers(json_incref(item)));
    return value;
}

/*
 * Parses; numbers past 64 bits are read as reals. The tokenizer_config.json of
 * released models holds one: model_max_length, 10^30.
 */
static json_t *load_bytes(const void *bytes, size_t size, json_error_t *error)
{
    json_t *root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, error);
    if (root || json_error_code(error) != json_error_numeric_overflow)
        return root;
    root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, error);
    return root ? with_integers(root) : NULL;
}

json_t *pl_json_parse(const void *bytes, size_t size, const char *file, const char *what, pali_error *err)
{
    json_error_t error;
    memset(&error, 0, sizeof error); /* jansson leaves it unset on some failed allocations */
    json_t *root = load_bytes(bytes, size, &error);
    if (!root) {
        if (json_error_code(&error) == json_error_out_of_memory || error.text[0] == '\0')
            pl_fail_memory(err, file, 0);
        else
            pl_fail(err, PALI_MODEL, "%s: %s is not valid JSON: line %d: %s", file, what, error.line, error.text);
        return NULL;
    }
    if (!json_is_object(root)) {
        pl_fail(err, PALI_MODEL, "%s: %s is not a JSON object", file, what);
        json_decref(root);
        return NULL;
    }
    return root;
}

pl_json *pl_json_open_memory(const void *bytes, size_t size, const char *name, pali_error *err)
{
    if (size > LARGEST_FILE) {
        pl_fail(err, PALI_MODEL, "%s: found %zu bytes, expected JSON of at most %d", name, size, LARGEST_FILE);
        return NULL;
    }
    pl_json *json = pl_new(1, sizeof *json, name, err);
    if (!json)
        return NULL;
    json->path = pl_strdup(name, err);
    if (json->path)
        json->root = pl_json_parse(size ? bytes : "", size, name, "the file", err);
    if (!json->root) {
        pl_json_close(json);
        return NULL;
    }
    return json;
}

pl_json *pl_json_open(const char *path, pali_error *err)
{
    pl_map map;
    if (pl_map_open(&map, path, PALI_MODEL, err) != PALI_OK)
        return NULL;
    pl_json *json = pl_json_open_memory(map.data, map.size, path, err);
    pl_map_close(&map);
    return json;
}

void pl_json_close(pl_json *json)
{
    if (!json)
        return;
    json_decref(json->root);
    free(json->path);
    free(json);
}

const char *pl_json_path(const pl_json *json)
{
    return json->path;
}

/*
 * Walks the keys of a path. Stops at the first value that is absent or no
 * object; *rest is what was left of the path then ("" when it was reached).
 */
static const json_t *walk(const pl_json *json, const char *field, const char **rest)
{
    const json_t *at = json->root;
    while (*field && json_is_object(at)) {
        char key[128];
        const size_t length = strcspn(field, ".");
        if (length >= sizeof key)
            at = NULL;
        else {
            memcpy(key, field, length);
            key[length] = '\0';
            at = json_object_get(at, key);
        }
        field += length + (field[length] == '.');
    }
    *rest = field;
    return at;
}

const json_t *pl_json_at(const pl_json *json, const char *field)
{
    const char *rest;
    const json_t *at = walk(json, field, &rest);
    return *rest || json_is_null(at) ? NULL : at;
}

bool pl_json_has(const pl_json *json, const char *field)
{
    return pl_json_at(json, field) != NULL;
}

bool pl_json_is_null(const pl_json *json, const char *field)
{
    const char *rest;
    const json_t *at = walk(json, field, &rest);
    return !*rest && json_is_null(at);
}

/* What a value is, for messages: a scalar by value, the others by kind. */
static const char *describe(const json_t *value, char buf[100])
{
    char text[80];
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        snprintf(buf, 100, "an array of %zu", json_array_size(value));
        return buf;
    case JSON_STRING:
        snprintf(buf, 100, "string %s", pl_printable(json_string_value(value), json_string_length(value), text));
        return buf;
    case JSON_INTEGER:
        snprintf(buf, 100, "%lld", (long long)json_integer_value(value));
        return buf;
    case JSON_REAL:
        snprintf(buf, 100, "%.17g", json_real_value(value));
        return buf;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        break;
    }
    return value ? "null" : "nothing";
}

pali_status pl_json_refuse(const pl_json *json, const char *field, const char *expected, pali_error *err)
{
    const char *rest;
    char found[100];
    const json_t *at = walk(json, field, &rest);
    const size_t reached = (size_t)(rest - field) - (*rest && rest > field);
    if (*rest)
        return pl_fail(err, PALI_MODEL, "%s: field %.*s: found %s, expected an object with \"%.80s\"", json->path, (int)pl_min(reached, 120), field,
            describe(at, found), rest);
    return pl_fail(err, PALI_MODEL, "%s: field %.120s: found %s, expected %s", json->path, field, describe(at, found), expected);
}

/*
 * The value of a field that is to be read; NULL with PALI_OK when the default
 * stands. A path that leads through something else than an object is refused.
 */
static pali_status look_up(const pl_json *json, const char *field, const json_t **value, pali_error *err)
{
    const char *rest;
    const json_t *at = walk(json, field, &rest);
    *value = NULL;
    if (!at || json_is_null(at))
        return PALI_OK;
    if (*rest)
        return pl_json_refuse(json, field, "", err);
    *value = at;
    return PALI_OK;
}

pali_status pl_json_get_size(const pl_json *json, const char *field, size_t *value, pali_error *err)
{
    const json_t *at;
    const pali_status status = look_up(json, field, &at, err);
    if (status != PALI_OK || !at)
        return status;
    if (!json_is_integer(at) || json_integer_value(at) < 0)
        return pl_json_refuse(json, field, "a whole number, 0 or more", err);
    *value = (size_t)json_integer_value(at);
    return PALI_OK;
}

pali_status pl_json_get_i64(const pl_json *json, const char *field, int64_t *value, pali_error *err)
{
    const json_t *at;
    const pali_status status = look_up(json, field, &at, err);
    if (status != PALI_OK || !at)
        return status;
    if (!json_is_integer(at))
        return pl_json_refuse(json, field, "a whole number", err);
    *value = (int64_t)json_integer_value(at);
    return PALI_OK;
}

pali_status pl_json_get_f64(const pl_json *json, const char *field, double *value, pali_error *err)
{
    const json_t *at;
    const pali_status status = look_up(json, field, &at, err);
    if (status != PALI_OK || !at)
        return status;
    if (!json_is_number(at))
        return pl_json_refuse(json, field, "a number", err);
    *value = json_number_value(at);
    return PALI_OK;
}

pali_status pl_json_get_bool(const pl_json *json, const char *field, bool *value, pali_error *err)
{
    const json_t *at;
    const pali_status status = look_up(json, field, &at, err);
    if (status != PALI_OK || !at)
        return status;
    if (!json_is_boolean(at))
        return pl_json_refuse(json, field, "true or false", err);
    *value = json_is_true(at);
    return PALI_OK;
}

pali_status pl_json_get_string(const pl_json *json, const char *field, const char **value, pali_error *err)
{
    const json_t *at;
    const pali_status status = look_up(json, field, &at, err);
    if (status != PALI_OK || !at)
        return status;
    if (!json_is_string(at))
        return pl_json_refuse(json, field, "a string", err);
    *value = json_string_value(at);
    return PALI_OK;
}

pali_status pl_json_get_f64s(const pl_json *json, const char *field, double *values, size_t count, pali_error *err)
{
    const json_t *at;
    char expected[60];
    const pali_status status = look_up(json, field, &at, err);
    if (status != PALI_OK || !at)
        return status;
    snprintf(expected, sizeof expected, "an array of %zu numbers", count);
    bool good = json_is_array(at) && json_array_size(at) == count;
    for (size_t i = 0; good && i < count; i++)
        good = json_is_number(json_array_get(at, i));
    if (!good)
        return pl_json_refuse(json, field, expected, err);
    for (size_t i = 0; i < count; i++)
        values[i] = json_number_value(json_array_get(at, i));
    return PALI_OK;
}

json_t *pl_json_string(const char *text)
{
    char *const clean = pl_utf8_clean(text, NULL);
    json_t *const string = clean ? json_string(clean) : NULL;
    free(clean);
    return string;
}
