/*
 * check_json PATH:TYPE | PATH=VALUE | PATH[N] ...: standard input is exactly
 * one JSON object, and holds what the arguments say. PATH is keys and list
 * positions with dots (images.0.path); TYPE is text, number, list, object,
 * true, false or null; PATH=VALUE is a text, or a number as C prints it with
 * %g; PATH[N] is a list of N.
 */
#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const json_t *at(const json_t *value, const char *path, size_t length)
{
    char key[64];
    size_t used = 0;
    while (value && used < length) {
        size_t part = strcspn(path + used, ".");
        part = part < length - used ? part : length - used;
        snprintf(key, sizeof key, "%.*s", (int)part, path + used);
        value = json_is_array(value) ? json_array_get(value, (size_t)atoi(key)) : json_object_get(value, key);
        used += part + 1;
    }
    return value;
}

static int has_type(const json_t *value, const char *type)
{
    static const struct {
        const char *name;
        json_type type;
    } types[] = {
        {"text", JSON_STRING}, {"number", JSON_INTEGER}, {"number", JSON_REAL}, {"list", JSON_ARRAY},
        {"object", JSON_OBJECT}, {"true", JSON_TRUE}, {"false", JSON_FALSE}, {"null", JSON_NULL},
    };
    for (size_t i = 0; value && i < sizeof types / sizeof *types; i++)
        if (json_typeof(value) == types[i].type && strcmp(type, types[i].name) == 0)
            return 1;
    return 0;
}

static int has_value(const json_t *value, const char *expected)
{
    char number[64];
    if (json_is_string(value))
        return strcmp(json_string_value(value), expected) == 0;
    snprintf(number, sizeof number, "%g", json_number_value(value));
    return json_is_number(value) && strcmp(number, expected) == 0;
}

static int holds(const json_t *object, const char *claim)
{
    const size_t length = strcspn(claim, ":=[");
    const json_t *const value = at(object, claim, length);
    const char *const rest = claim + length + 1;
    switch (claim[length]) {
    case ':':
        return has_type(value, rest);
    case '=':
        return has_value(value, rest);
    case '[':
        return json_is_array(value) && json_array_size(value) == (size_t)atoi(rest);
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    json_error_t error;
    json_t *const object = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(object)) {
        fprintf(stderr, "check_json: not one JSON object: line %d: %s\n", error.line, error.text);
        return 1;
    }
    int wrong = 0;
    for (int i = 1; i < argc; i++)
        if (!holds(object, argv[i])) {
            fprintf(stderr, "check_json: %s does not hold\n", argv[i]);
            wrong = 1;
        }
    if (wrong)
        json_dumpf(object, stderr, JSON_INDENT(1));
    json_decref(object);
    return wrong;
}
