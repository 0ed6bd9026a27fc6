/*
 * Text: UTF-8 one character at a time, a growing byte buffer, a hash.
 */
#ifndef PL_BASE_TEXT_H
#define PL_BASE_TEXT_H

#include "base/memory.h"

/*
 * Reads one character at text[0..length), length > 0. Returns the bytes it
 * takes (1 to 4) and stores its code point; an invalid byte takes 1 and gives
 * U+FFFD with *valid false. Overlong forms and surrogates are invalid.
 */
size_t pl_utf8_read(const char *text, size_t length, uint32_t *code, bool *valid);

/* Writes code point `code` to out and returns its bytes, 1 to 4. */
size_t pl_utf8_write(uint32_t code, char out[4]);

/* A copy with U+FFFD for every byte that is no UTF-8; the caller frees it. */
char *pl_utf8_clean(const char *text, pali_error *err);

/* White space of ASCII, whatever the locale. */
static inline bool pl_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* "5.9 GB" or "12.3 MB" into buf, for people; returns buf. */
const char *pl_bytes_text(uint64_t bytes, char buf[32]);

/* A growing byte string, NUL-terminated when not empty; release with free(data). */
typedef struct pl_buffer {
    char *data;
    size_t length, capacity;
} pl_buffer;

pali_status pl_buffer_append(pl_buffer *buffer, const void *bytes, size_t length, pali_error *err);
__attribute__((format(printf, 3, 4))) pali_status pl_buffer_printf(pl_buffer *buffer, pali_error *err, const char *format, ...);

/* FNV-1a over bytes; stable across platforms, not for adversaries. */
uint64_t pl_hash(const void *bytes, size_t length);

/* How many single-character changes lead from a to b (neighbours swapped: one); for texts over 32 bytes the sum of their lengths. */
size_t pl_edit_distance(const char *a, const char *b);

/* Another hash, of large blocks: four words at a time, some ten times faster. The same on machines of one byte order. */
uint64_t pl_hash_block(const void *bytes, size_t length);

bool pl_starts_with(const char *text, const char *prefix);
bool pl_ends_with(const char *text, const char *suffix);

#endif
