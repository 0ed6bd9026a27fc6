/* UTF-8, byte buffers, hashing. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t pl_utf8_read(const char *text, size_t length, uint32_t *code, bool *valid)
{
    const unsigned char *c = (const unsigned char *)text;
    *valid = true;
    if (c[0] < 0x80) {
        *code = c[0];
        return 1;
    }
    const size_t size = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t value = c[0] & (0x7fu >> size);
    bool good = c[0] >= 0xc2 && c[0] <= 0xf4 && size <= length;
    for (size_t i = 1; good && i < size; i++) {
        good = (c[i] & 0xc0) == 0x80;
        value = value << 6 | (c[i] & 0x3f);
    }
    if (!good || value < smallest[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        *code = 0xfffd;
        *valid = false;
        return 1;
    }
    *code = value;
    return size;
}

size_t pl_utf8_write(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    const size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[size] | code);
    return size;
}

char *pl_utf8_clean(const char *text, pali_error *err)
{
    pl_buffer clean = {0};
    pali_status status = pl_buffer_append(&clean, "", 0, err);
    for (size_t left = strlen(text); status == PALI_OK && left > 0;) {
        uint32_t code;
        bool valid;
        char bytes[4];
        const size_t length = pl_utf8_read(text, left, &code, &valid);
        status = pl_buffer_append(&clean, bytes, pl_utf8_write(code, bytes), err);
        text += length;
        left -= length;
    }
    if (status == PALI_OK)
        return clean.data;
    free(clean.data);
    return NULL;
}

pali_status pl_buffer_append(pl_buffer *buffer, const void *bytes, size_t length, pali_error *err)
{
    size_t need;
    if (!pl_add(buffer->length, length, &need) || !pl_add(need, 1, &need))
        return pl_fail_memory(err, "text", length);
    const pali_status status = pl_grow(&buffer->data, &buffer->capacity, need, 1, "text", err);
    if (status != PALI_OK)
        return status;
    if (length)
        memcpy(buffer->data + buffer->length, bytes, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
    return PALI_OK;
}

pali_status pl_buffer_printf(pl_buffer *buffer, pali_error *err, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    pali_status status;
    if (length < 0)
        status = pl_fail(err, PALI_FAILED, "text: cannot be formatted");
    else
        status = pl_grow(&buffer->data, &buffer->capacity, buffer->length + (size_t)length + 1, 1, "text", err);
    if (status == PALI_OK) {
        vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    }
    va_end(again);
    return status;
}

uint64_t pl_hash(const void *bytes, size_t length)
{
    const unsigned char *c = bytes;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ c[i]) * 0x100000001b3u;
    return hash;
}

size_t pl_edit_distance(const char *a, const char *b)
{
    enum { MOST = 32 };
    const size_t rows = strlen(a), columns = strlen(b);
    if (rows > MOST || columns > MOST)
        return rows + columns;
    size_t table[MOST + 1][MOST + 1];
    for (size_t i = 0; i <= rows; i++)
        for (size_t j = 0; j <= columns; j++) {
            if (i == 0 || j == 0) {
                table[i][j] = i + j;
                continue;
            }
            size_t best = table[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = pl_min(best, table[i - 1][j] + 1);
            best = pl_min(best, table[i][j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = pl_min(best, table[i - 2][j - 2] + 1);
            table[i][j] = best;
        }
    return table[rows][columns];
}

uint64_t pl_hash_block(const void *bytes, size_t length)
{
    enum { LANES = 4 };
    static const uint64_t prime = 0x9e3779b97f4a7c15u;
    uint64_t lanes[LANES] = {1, 2, 3, 4};
    const unsigned char *at = bytes;
    size_t left = length;
    for (; left >= sizeof lanes; left -= sizeof lanes, at += sizeof lanes) {
        uint64_t words[LANES];
        memcpy(words, at, sizeof words);
        for (size_t i = 0; i < LANES; i++) {
            lanes[i] = (lanes[i] ^ words[i]) * prime;
            lanes[i] ^= lanes[i] >> 29;
        }
    }
    uint64_t hash = pl_hash(at, left) ^ length * prime;
    for (size_t i = 0; i < LANES; i++) {
        hash = (hash ^ lanes[i]) * prime;
        hash ^= hash >> 32;
    }
    return hash;
}

bool pl_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool pl_ends_with(const char *text, const char *suffix)
{
    const size_t a = strlen(text), b = strlen(suffix);
    return a >= b && memcmp(text + a - b, suffix, b) == 0;
}

const char *pl_bytes_text(uint64_t bytes, char buf[32])
{
    const double giga = (double)bytes / 1e9;
    if (giga >= 1)
        snprintf(buf, 32, "%.1f GB", giga);
    else
        snprintf(buf, 32, "%.1f MB", giga * 1e3);
    return buf;
}
