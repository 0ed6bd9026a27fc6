/* Cursor over JSON text (RFC 8259). */
#include "formats/json_scan.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static void skip_space(pl_json_cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
        c->at++;
}

bool pl_json_take(pl_json_cursor *c, char punctuation)
{
    skip_space(c);
    if (c->at == c->end || *c->at != punctuation)
        return false;
    c->at++;
    return true;
}

bool pl_json_take_string(pl_json_cursor *c, pl_json_text *text)
{
    if (!pl_json_take(c, '"'))
        return false;
    *text = (pl_json_text){.at = c->at};
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if ((unsigned char)*c->at < 0x20)
            return false;
        if (*c->at != '\\')
            continue;
        text->escaped = true;
        if (++c->at == c->end)
            return false;
    }
    text->length = (size_t)(c->at - text->at);
    return pl_json_take(c, '"');
}

bool pl_json_take_number(pl_json_cursor *c, uint64_t *value)
{
    skip_space(c);
    const char *const first = c->at;
    for (*value = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9' && c->at - first < 18; c->at++)
        *value = 10 * *value + (uint64_t)(*c->at - '0');
    const bool leading_zero = c->at - first > 1 && *first == '0';
    return c->at > first && c->at < c->end && !leading_zero && strchr(",}] \n\r\t", *c->at) && *c->at;
}

/* A number or a word: everything up to what may stand behind one. */
static bool skip_scalar(pl_json_cursor *c)
{
    const char *const first = c->at;
    while (c->at < c->end && *c->at && !strchr(",:{}[]\" \n\r\t", *c->at))
        c->at++;
    return c->at > first;
}

bool pl_json_skip_value(pl_json_cursor *c)
{
    pl_json_text text;
    size_t depth = 0;
    do {
        skip_space(c);
        if (c->at == c->end)
            return false;
        const char next = *c->at;
        if (next == '{' || next == '[') {
            depth++;
            c->at++;
        } else if (next == '}' || next == ']' || next == ',' || next == ':') {
            if (depth == 0)
                return false;
            depth -= next == '}' || next == ']';
            c->at++;
        } else if (next == '"' ? !pl_json_take_string(c, &text) : !skip_scalar(c))
            return false;
    } while (depth > 0);
    return true;
}

/* The code of \uXXXX at text[0..length); false when it is none. */
static bool read_code(const char *text, size_t length, uint32_t *code)
{
    static const char digits[] = "0123456789abcdef";
    *code = 0;
    if (length < 6 || text[0] != '\\' || text[1] != 'u')
        return false;
    for (size_t i = 2; i < 6; i++) {
        const char *digit = text[i] ? strchr(digits, text[i] >= 'A' && text[i] <= 'F' ? text[i] - 'A' + 'a' : text[i]) : NULL;
        if (!digit)
            return false;
        *code = 16 * *code + (uint32_t)(digit - digits);
    }
    return true;
}

/* A \u escape, or a pair of them for a code above U+FFFF; returns the bytes it takes, 0 for a wrong one. */
static size_t read_escaped_code(const char *text, size_t length, uint32_t *code)
{
    uint32_t low;
    if (!read_code(text, length, code) || *code == 0)
        return 0;
    if (*code < 0xd800 || *code > 0xdfff)
        return 6;
    if (*code > 0xdbff || !read_code(text + 6, length - 6, &low) || low < 0xdc00 || low > 0xdfff)
        return 0;
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

bool pl_json_unescape(pl_json_text text, char *out, size_t *length)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    *length = 0;
    for (size_t at = 0; at < text.length;) {
        if (text.at[at] != '\\') {
            out[(*length)++] = text.at[at++];
            continue;
        }
        const char kind = at + 1 < text.length ? text.at[at + 1] : '\0';
        const char *name = kind ? strchr(names, kind) : NULL;
        if (name) {
            out[(*length)++] = values[name - names];
            at += 2;
            continue;
        }
        uint32_t code;
        const size_t size = read_escaped_code(text.at + at, text.length - at, &code);
        if (size == 0)
            return false;
        *length += pl_utf8_write(code, out + *length);
        at += size;
    }
    return true;
}

static bool is_text(pl_json_text text, const char *name)
{
    return text.length == strlen(name) && memcmp(text.at, name, text.length) == 0;
}

/* Stands at the value of an object's member; false when there is none of that name. */
static bool enter_member(pl_json_cursor *c, const char *name)
{
    pl_json_text key;
    if (!pl_json_take(c, '{'))
        return false;
    do {
        if (!pl_json_take_string(c, &key) || !pl_json_take(c, ':'))
            return false;
        if (is_text(key, name))
            return true;
        if (!pl_json_skip_value(c))
            return false;
    } while (pl_json_take(c, ','));
    return false;
}

/* What is broken or absent is not found; who parses the rest will say so. */
static void find_parts(pl_json_cursor c, const char *object, pl_json_part *parts, size_t count)
{
    pl_json_text key;
    if (!enter_member(&c, object) || !pl_json_take(&c, '{'))
        return;
    do {
        if (!pl_json_take_string(&c, &key) || !pl_json_take(&c, ':'))
            return;
        skip_space(&c);
        const char *const first = c.at;
        if (!pl_json_skip_value(&c))
            return;
        for (size_t i = 0; i < count; i++)
            if (!parts[i].value.at && *first == parts[i].opening && is_text(key, parts[i].member))
                parts[i].value = (pl_json_cursor){.at = first, .end = c.at};
    } while (pl_json_take(&c, ','));
}

/* The text with the parts empty. */
static pali_status leave_out(pl_json_cursor text, const pl_json_part *parts, size_t count, pl_buffer *out, pali_error *err)
{
    for (;;) {
        const pl_json_part *next = NULL;
        for (size_t i = 0; i < count; i++)
            if (parts[i].value.at && parts[i].value.at >= text.at && (!next || parts[i].value.at < next->value.at))
                next = &parts[i];
        if (!next)
            return pl_buffer_append(out, text.at, (size_t)(text.end - text.at), err);
        pali_status status = pl_buffer_append(out, text.at, (size_t)(next->value.at - text.at), err);
        if (status == PALI_OK)
            status = pl_buffer_append(out, next->opening == '{' ? "{}" : "[]", 2, err);
        if (status != PALI_OK)
            return status;
        text.at = next->value.end;
    }
}

pl_json *pl_json_open_parts(const void *bytes, size_t size, const char *name, const char *object, pl_json_part *parts, size_t count, pali_error *err)
{
    const pl_json_cursor text = {.at = bytes, .end = (const char *)bytes + size};
    pl_buffer rest = {0};
    pali_error why = {0};
    pl_json *json = NULL;
    if (size)
        find_parts(text, object, parts, count);
    if (leave_out(text, parts, count, &rest, &why) == PALI_OK)
        json = pl_json_open_memory(rest.data, rest.length, name, &why);
    free(rest.data);
    if (!json && why.status == PALI_MODEL) /* the whole file names the right line */
        return pl_json_open_memory(bytes, size, name, err);
    if (!json && err)
        *err = why;
    return json;
}
