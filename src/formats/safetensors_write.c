/* u64 length, JSON, spaces up to a multiple of 8. */
#include "formats/safetensors_write.h"

#include <stdlib.h>
#include <string.h>

static const char *type_name(pl_dtype dtype)
{
    return dtype == PL_F32 ? "F32" : dtype == PL_BF16 ? "BF16" : "F16";
}

/* The library's order of types, the first first. */
static int type_rank(pl_dtype dtype)
{
    return dtype == PL_F32 ? 0 : dtype == PL_BF16 ? 1 : 2;
}

int pl_safetensors_order(const pl_saved_tensor *a, const pl_saved_tensor *b)
{
    const int by_type = type_rank(a->dtype) - type_rank(b->dtype);
    return by_type ? by_type : strcmp(a->name, b->name);
}

static pali_status put_tensor(pl_buffer *json, const pl_saved_tensor *t, size_t begin, pali_error *err)
{
    pali_status status = pl_buffer_printf(json, err, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, type_name(t->dtype));
    for (size_t i = 0; status == PALI_OK && i < t->rank; i++)
        status = pl_buffer_printf(json, err, i ? ",%zu" : "%zu", t->shape[i]);
    return status == PALI_OK ? pl_buffer_printf(json, err, "],\"data_offsets\":[%zu,%zu]}", begin, begin + t->bytes) : status;
}

/* The value as a JSON string, a character at a time. */
static pali_status put_string(pl_buffer *json, const char *text, pali_error *err)
{
    const size_t length = strlen(text);
    pali_status status = pl_buffer_append(json, "\"", 1, err);
    for (size_t i = 0, bytes; status == PALI_OK && i < length; i += bytes) {
        uint32_t code;
        bool valid;
        bytes = pl_utf8_read(text + i, length - i, &code, &valid);
        if (code < 0x20 || code == '"' || code == '\\' || !valid)
            status = pl_buffer_printf(json, err, "\\u%04x", (unsigned)code);
        else
            status = pl_buffer_append(json, text + i, bytes, err);
    }
    return status == PALI_OK ? pl_buffer_append(json, "\"", 1, err) : status;
}

pali_status pl_safetensors_head(const pl_saved_tensor *const *tensors, size_t count, const pl_saved_note *notes, size_t note_count, pl_buffer *head, pali_error *err)
{
    pl_buffer json = {0};
    size_t begin = 0;
    pali_status status = pl_buffer_printf(&json, err, "{\"__metadata__\":{\"format\":\"pt\"");
    for (size_t i = 0; status == PALI_OK && i < note_count; i++) {
        status = pl_buffer_printf(&json, err, ",\"%s\":", notes[i].key);
        if (status == PALI_OK)
            status = put_string(&json, notes[i].value, err);
    }
    if (status == PALI_OK)
        status = pl_buffer_append(&json, "}", 1, err);
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        status = put_tensor(&json, tensors[i], begin, err);
        begin += tensors[i]->bytes;
    }
    if (status == PALI_OK)
        status = pl_buffer_append(&json, "}", 1, err);
    while (status == PALI_OK && json.length % 8)
        status = pl_buffer_append(&json, " ", 1, err);
    const uint64_t length = json.length;
    if (status == PALI_OK)
        status = pl_buffer_append(head, &length, sizeof length, err);
    if (status == PALI_OK)
        status = pl_buffer_append(head, json.data, json.length, err);
    free(json.data);
    return status;
}
