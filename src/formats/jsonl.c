/* JSONL rows: one line as an object, and what its fields say. */
#include "formats/jsonl.h"

#include "base/file.h"

#include <string.h>

bool pl_jsonl_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

pali_status pl_jsonl_parse(const char *text, size_t length, json_t **row, pali_error *err)
{
    json_error_t error;
    *row = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!*row)
        return json_error_code(&error) == json_error_out_of_memory ? pl_fail_memory(err, "row", length)
                                                                   : pl_fail(err, PALI_INPUT, "column %d: %s; expected JSON, one object a line", error.column, error.text);
    if (json_is_object(*row))
        return PALI_OK;
    const pali_status status = pl_fail(err, PALI_INPUT, "found %s, expected an object", pl_json_type_name(*row));
    json_decref(*row);
    *row = NULL;
    return status;
}

const char *pl_json_type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "text", [JSON_INTEGER] = "a number",
        [JSON_REAL] = "a number", [JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null",
    };
    return value ? names[json_typeof(value)] : "nothing";
}

pali_status pl_jsonl_texts(const json_t *row, const char *field, const char ***texts, size_t *count, pali_error *err)
{
    json_t *const value = json_object_get(row, field);
    if (!json_is_string(value) && !json_is_array(value))
        return pl_fail(err, PALI_INPUT, "field '%s': found %s, expected text or a list of texts", field, pl_json_type_name(value));
    *count = json_is_array(value) ? json_array_size(value) : 1;
    if (*count == 0)
        return pl_fail(err, PALI_INPUT, "field '%s': found an empty list, expected at least one text", field);
    const char **const found = pl_new(*count, sizeof *found, field, err);
    if (!found)
        return PALI_MEMORY;
    *texts = found;
    for (size_t i = 0; i < *count; i++) {
        const json_t *const item = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(item))
            return pl_fail(err, PALI_INPUT, "field '%s': found %s in the list, expected texts", field, pl_json_type_name(item));
        found[i] = json_string_value(item);
    }
    return PALI_OK;
}

pali_status pl_jsonl_count(const json_t *row, const char *field, size_t most, size_t *count, pali_error *err)
{
    const json_t *const value = json_object_get(row, field);
    if (!value)
        return PALI_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 1 || (unsigned long long)json_integer_value(value) > most)
        return pl_fail(err, PALI_INPUT, "field '%s': found %s, expected a whole number from 1 to %zu", field, json_is_integer(value) ? "another number" : pl_json_type_name(value), most);
    *count = (size_t)json_integer_value(value);
    return PALI_OK;
}

char *pl_jsonl_path(const char *folder, const char *name, pali_error *err)
{
    if (strcmp(name, "-") == 0 && !(folder && *folder)) /* a file's name here, not standard input */
        return pl_strdup("./-", err);
    return folder && *folder && name[0] != '/' ? pl_path_join(folder, name, err) : pl_strdup(name, err);
}
