/*
 * Typed key-value pairs of GGUF, from the format's description in ggml's
 * documentation. Values stay where they lie and are decoded when asked for.
 */
#include "formats/gguf_metadata.h"

#include <stdio.h>
#include <stdlib.h>

/* X(name, number in the file, text, bytes of one value; 0 where it varies) */
#define VALUE_TYPES(X)        \
    X(U8, 0, "u8", 1)         \
    X(I8, 1, "i8", 1)         \
    X(U16, 2, "u16", 2)       \
    X(I16, 3, "i16", 2)       \
    X(U32, 4, "u32", 4)       \
    X(I32, 5, "i32", 4)       \
    X(F32, 6, "f32", 4)       \
    X(BOOL, 7, "bool", 1)     \
    X(STRING, 8, "string", 0) \
    X(ARRAY, 9, "array", 0)   \
    X(U64, 10, "u64", 8)      \
    X(I64, 11, "i64", 8)      \
    X(F64, 12, "f64", 8)

enum {
#define VALUE_ENUM(name, number, text, bytes) TYPE_##name = number,
    VALUE_TYPES(VALUE_ENUM)
#undef VALUE_ENUM
    TYPE_COUNT,
    DEEPEST_ARRAY = 4,
    LEAST_KEY = 8 + 4 + 1, /* bytes of the shortest key and value */
};

static const struct {
    const char *text;
    size_t bytes;
} types[TYPE_COUNT] = {
#define VALUE_ROW(name, number, text, bytes) [number] = {text, bytes},
    VALUE_TYPES(VALUE_ROW)
#undef VALUE_ROW
};

typedef struct entry {
    pl_gguf_string key;
    uint32_t type, element;     /* element: of an array */
    uint64_t count;             /* of an array */
    const unsigned char *value; /* borrowed from the file; of an array, its first element */
    size_t size;                /* bytes of value */
} entry;

struct pl_gguf_metadata {
    size_t count;
    entry entries[]; /* sorted by key */
};

bool pl_gguf_take(pl_gguf_cursor *cursor, size_t count, const unsigned char **bytes)
{
    if (count > cursor->size - cursor->at)
        return false;
    *bytes = cursor->bytes + cursor->at;
    cursor->at += count;
    return true;
}

bool pl_gguf_take_u32(pl_gguf_cursor *cursor, uint32_t *value)
{
    const unsigned char *bytes;
    if (!pl_gguf_take(cursor, 4, &bytes))
        return false;
    *value = pl_read_u32(bytes);
    return true;
}

bool pl_gguf_take_u64(pl_gguf_cursor *cursor, uint64_t *value)
{
    const unsigned char *bytes;
    if (!pl_gguf_take(cursor, 8, &bytes))
        return false;
    *value = pl_read_u64(bytes);
    return true;
}

bool pl_gguf_take_string(pl_gguf_cursor *cursor, pl_gguf_string *value)
{
    uint64_t length;
    const unsigned char *bytes;
    if (!pl_gguf_take_u64(cursor, &length) || length > SIZE_MAX || !pl_gguf_take(cursor, (size_t)length, &bytes))
        return false;
    *value = (pl_gguf_string){(const char *)bytes, (size_t)length};
    return true;
}

static bool skip_value(pl_gguf_cursor *cursor, uint32_t type, unsigned depth);

/* Skips `count` values of one type. */
static bool skip_values(pl_gguf_cursor *cursor, uint32_t type, uint64_t count, unsigned depth)
{
    const unsigned char *bytes;
    size_t size;
    if (type >= TYPE_COUNT || count > cursor->size - cursor->at)
        return false;
    if (types[type].bytes)
        return pl_mul((size_t)count, types[type].bytes, &size) && pl_gguf_take(cursor, size, &bytes);
    for (uint64_t i = 0; i < count; i++)
        if (!skip_value(cursor, type, depth))
            return false;
    return true;
}

static bool skip_value(pl_gguf_cursor *cursor, uint32_t type, unsigned depth)
{
    pl_gguf_string string;
    uint32_t element;
    uint64_t count;
    if (type == TYPE_STRING)
        return pl_gguf_take_string(cursor, &string);
    if (type != TYPE_ARRAY)
        return skip_values(cursor, type, 1, depth);
    return depth < DEEPEST_ARRAY && pl_gguf_take_u32(cursor, &element) && pl_gguf_take_u64(cursor, &count) &&
        skip_values(cursor, element, count, depth + 1);
}

static bool take_entry(pl_gguf_cursor *cursor, entry *e)
{
    if (!pl_gguf_take_string(cursor, &e->key) || !pl_gguf_take_u32(cursor, &e->type))
        return false;
    if (e->type == TYPE_ARRAY && (!pl_gguf_take_u32(cursor, &e->element) || !pl_gguf_take_u64(cursor, &e->count)))
        return false;
    const size_t begin = cursor->at;
    e->value = cursor->bytes + begin;
    const bool good = e->type == TYPE_ARRAY ? skip_values(cursor, e->element, e->count, 1) : skip_value(cursor, e->type, 0);
    e->size = cursor->at - begin;
    return good;
}

static int compare_keys(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const int order = memcmp(x->key.text, y->key.text, pl_min(x->key.length, y->key.length));
    return order ? order : x->key.length < y->key.length ? -1 : x->key.length > y->key.length;
}

pali_status pl_gguf_read_metadata(pl_tensor_file *file, pl_gguf_cursor *cursor, uint64_t count, pali_error *err)
{
    const char *path = file->sources[0].path;
    char key[80];
    if (count > (cursor->size - cursor->at) / LEAST_KEY)
        return pl_fail(err, PALI_MODEL, "%s: found %llu metadata keys in %zu bytes (is it cut off?)", path, (unsigned long long)count,
            cursor->size - cursor->at);
    const size_t bytes = sizeof(struct pl_gguf_metadata) + (size_t)count * sizeof(entry);
    struct pl_gguf_metadata *metadata = pl_tensor_file_keep(file, pl_new(1, bytes, "GGUF metadata", err), err);
    if (!metadata)
        return PALI_MEMORY;
    file->metadata = metadata;
    for (; metadata->count < count; metadata->count++) {
        entry *e = &metadata->entries[metadata->count];
        if (!take_entry(cursor, e))
            return pl_fail(err, PALI_MODEL, "%s: metadata key %zu %s is damaged or cut off", path, metadata->count,
                pl_printable(e->key.text ? e->key.text : "", e->key.length, key));
        if (!pl_name_is_text(e->key.text, e->key.length))
            return pl_fail(err, PALI_MODEL, "%s: metadata key %zu is not UTF-8 text or holds NUL", path, metadata->count);
    }
    qsort(metadata->entries, metadata->count, sizeof *metadata->entries, compare_keys);
    for (size_t i = 1; i < metadata->count; i++)
        if (compare_keys(&metadata->entries[i - 1], &metadata->entries[i]) == 0)
            return pl_fail(err, PALI_MODEL, "%s: metadata key %s stands twice, expected once", path,
                pl_printable(metadata->entries[i].key.text, metadata->entries[i].key.length, key));
    return PALI_OK;
}

static const entry *find(const pl_tensor_file *file, const char *key)
{
    const entry wanted = {.key = {key, strlen(key)}};
    if (!file->metadata || file->metadata->count == 0)
        return NULL;
    return bsearch(&wanted, file->metadata->entries, file->metadata->count, sizeof wanted, compare_keys);
}

bool pl_gguf_string_is(pl_gguf_string string, const char *text)
{
    return string.length == strlen(text) && memcmp(string.text, text, string.length) == 0;
}

bool pl_gguf_has(const pl_tensor_file *file, const char *key)
{
    return find(file, key) != NULL;
}

/* An integer of any type; false for the others. Unsigned 64-bit values past INT64_MAX come out negative with *large. */
static bool decode_integer(uint32_t type, const unsigned char *value, int64_t *out, bool *large)
{
    *large = false;
    switch (type) {
    case TYPE_U8:
        *out = *value;
        return true;
    case TYPE_I8:
        *out = (int8_t)*value;
        return true;
    case TYPE_U16:
        *out = pl_read_u16(value);
        return true;
    case TYPE_I16:
        *out = (int16_t)pl_read_u16(value);
        return true;
    case TYPE_U32:
        *out = pl_read_u32(value);
        return true;
    case TYPE_I32:
        *out = (int32_t)pl_read_u32(value);
        return true;
    case TYPE_U64:
    case TYPE_I64:
        *out = (int64_t)pl_read_u64(value);
        *large = type == TYPE_U64 && *out < 0;
        return true;
    default:
        return false;
    }
}

static bool decode_number(uint32_t type, const unsigned char *value, float *out)
{
    int64_t integer;
    bool large;
    double wide;
    if (type == TYPE_F32)
        memcpy(out, value, sizeof *out);
    else if (type == TYPE_F64) {
        memcpy(&wide, value, sizeof wide);
        *out = (float)wide;
    } else if (decode_integer(type, value, &integer, &large))
        *out = large ? (float)(uint64_t)integer : (float)integer;
    else
        return false;
    return true;
}

/* A value in words, for messages and for people. */
static const char *describe(const entry *e, char buf[100])
{
    int64_t integer;
    bool large;
    double wide;
    float narrow;
    char text[80];
    if (e->type == TYPE_ARRAY)
        snprintf(buf, 100, "array of %llu %s", (unsigned long long)e->count, types[e->element].text);
    else if (e->type == TYPE_STRING)
        snprintf(buf, 100, "string %s", pl_printable((const char *)e->value + 8, e->size - 8, text));
    else if (e->type == TYPE_BOOL)
        snprintf(buf, 100, "bool %s", *e->value ? "true" : "false");
    else if (e->type == TYPE_F64) {
        memcpy(&wide, e->value, sizeof wide);
        snprintf(buf, 100, "f64 %.17g", wide);
    } else if (decode_integer(e->type, e->value, &integer, &large))
        snprintf(buf, 100, large ? "%s %llu" : "%s %lld", types[e->type].text, (long long)integer);
    else if (decode_number(e->type, e->value, &narrow))
        snprintf(buf, 100, "f32 %.9g", (double)narrow);
    return buf;
}

static pali_status refuse(const pl_tensor_file *file, const entry *e, const char *expected, pali_error *err)
{
    char key[80], found[100];
    return pl_fail(err, PALI_MODEL, "%s: metadata key %s: found %s, expected %s", file->sources[0].path,
        pl_printable(e->key.text, e->key.length, key), describe(e, found), expected);
}

pali_status pl_gguf_get_u64(const pl_tensor_file *file, const char *key, uint64_t *value, pali_error *err)
{
    const entry *e = find(file, key);
    int64_t integer;
    bool large;
    if (!e)
        return PALI_OK;
    if (!decode_integer(e->type, e->value, &integer, &large) || (integer < 0 && !large))
        return refuse(file, e, "a whole number, 0 or more", err);
    *value = (uint64_t)integer;
    return PALI_OK;
}

pali_status pl_gguf_get_f32(const pl_tensor_file *file, const char *key, float *value, pali_error *err)
{
    const entry *e = find(file, key);
    return !e || decode_number(e->type, e->value, value) ? PALI_OK : refuse(file, e, "a number", err);
}

pali_status pl_gguf_get_bool(const pl_tensor_file *file, const char *key, bool *value, pali_error *err)
{
    const entry *e = find(file, key);
    if (!e)
        return PALI_OK;
    if (e->type != TYPE_BOOL || *e->value > 1)
        return refuse(file, e, "true or false", err);
    *value = *e->value;
    return PALI_OK;
}

pali_status pl_gguf_get_string(const pl_tensor_file *file, const char *key, pl_gguf_string *value, pali_error *err)
{
    const entry *e = find(file, key);
    if (!e)
        return PALI_OK;
    if (e->type != TYPE_STRING)
        return refuse(file, e, "a string", err);
    *value = (pl_gguf_string){(const char *)e->value + 8, e->size - 8};
    return PALI_OK;
}

/* A block for an array's elements; *e is NULL, with PALI_OK, when the key is absent. */
static pali_status new_array(const pl_tensor_file *file, const char *key, size_t size, const entry **e, void **values, size_t *count, pali_error *err)
{
    *values = NULL;
    *count = 0;
    *e = find(file, key);
    if (!*e)
        return PALI_OK;
    if ((*e)->type != TYPE_ARRAY)
        return refuse(file, *e, "an array", err);
    *values = pl_new_raw((size_t)(*e)->count, size, "array of a GGUF", err);
    if (!*values)
        return PALI_MEMORY;
    *count = (size_t)(*e)->count;
    return PALI_OK;
}

pali_status pl_gguf_get_strings(const pl_tensor_file *file, const char *key, pl_gguf_string **values, size_t *count, pali_error *err)
{
    const entry *e;
    void *block;
    const pali_status status = new_array(file, key, sizeof **values, &e, &block, count, err);
    *values = block;
    if (!block)
        return status;
    pl_gguf_cursor cursor = {.bytes = e->value, .size = e->size};
    for (size_t i = 0; i < *count; i++) {
        if (e->element == TYPE_STRING && pl_gguf_take_string(&cursor, &(*values)[i]))
            continue;
        free(block);
        *values = NULL;
        *count = 0;
        return refuse(file, e, "an array of strings", err);
    }
    return PALI_OK;
}

pali_status pl_gguf_get_f32s(const pl_tensor_file *file, const char *key, float **values, size_t *count, pali_error *err)
{
    const entry *e;
    void *block;
    const pali_status status = new_array(file, key, sizeof **values, &e, &block, count, err);
    *values = block;
    if (!block)
        return status;
    for (size_t i = 0; i < *count; i++) {
        if (decode_number(e->element, e->value + i * types[e->element].bytes, &(*values)[i]))
            continue;
        free(block);
        *values = NULL;
        *count = 0;
        return refuse(file, e, "an array of numbers", err);
    }
    return PALI_OK;
}

pali_status pl_gguf_get_i32s(const pl_tensor_file *file, const char *key, int32_t **values, size_t *count, pali_error *err)
{
    const entry *e;
    void *block;
    const pali_status status = new_array(file, key, sizeof **values, &e, &block, count, err);
    *values = block;
    if (!block)
        return status;
    for (size_t i = 0; i < *count; i++) {
        int64_t integer = 0;
        bool large = false;
        if (decode_integer(e->element, e->value + i * types[e->element].bytes, &integer, &large) && integer >= INT32_MIN && integer <= INT32_MAX && !large) {
            (*values)[i] = (int32_t)integer;
            continue;
        }
        free(block);
        *values = NULL;
        *count = 0;
        return refuse(file, e, "an array of 32-bit whole numbers", err);
    }
    return PALI_OK;
}

size_t pl_gguf_key_count(const pl_tensor_file *file)
{
    return file->metadata ? file->metadata->count : 0;
}

pl_gguf_string pl_gguf_key(const pl_tensor_file *file, size_t i)
{
    return file->metadata->entries[i].key;
}

const char *pl_gguf_describe(const pl_tensor_file *file, size_t i, char buf[100])
{
    return describe(&file->metadata->entries[i], buf);
}
