/* UTF-8 against all of Unicode and all short byte sequences; buffer, hash, prefixes. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool is_character(uint32_t code)
{
    return code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
}

static void every_character_is_written_and_read(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        if (!is_character(code))
            continue;
        char bytes[8] = "........";
        const size_t size = pl_utf8_write(code, bytes);
        const size_t expected = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        uint32_t back;
        bool valid;
        if (size != expected || pl_utf8_read(bytes, 8, &back, &valid) != size || !valid || back != code)
            fail_msg("U+%04X", (unsigned)code);
        /* Cut short, it is invalid and takes one byte. */
        for (size_t cut = 1; cut < size; cut++)
            if (pl_utf8_read(bytes, cut, &back, &valid) != 1 || valid || back != 0xfffd)
                fail_msg("U+%04X cut to %zu bytes", (unsigned)code, cut);
    }
}

/* What the three bytes begin with, by table 3-7 of the Unicode standard: the length of a character, or 0. */
static size_t well_formed(const unsigned char *b, size_t length)
{
    static const struct {
        unsigned char first, last;   /* of the lead byte */
        unsigned char low, high;     /* of the second byte */
        size_t size;
    } rows[] = {
        {0x00, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (b[0] < rows[i].first || b[0] > rows[i].last)
            continue;
        if (rows[i].size > length || (rows[i].size > 1 && (b[1] < rows[i].low || b[1] > rows[i].high)))
            return 0;
        for (size_t k = 2; k < rows[i].size; k++)
            if (b[k] < 0x80 || b[k] > 0xbf)
                return 0;
        return rows[i].size;
    }
    return 0;
}

static void check_sequence(const unsigned char *bytes, size_t length)
{
    char *exact = malloc(length); /* nothing after it, so that a sanitizer sees a read too far */
    memcpy(exact, bytes, length);
    uint32_t code;
    bool valid;
    const size_t expected = well_formed(bytes, length), size = pl_utf8_read(exact, length, &code, &valid);
    free(exact);
    if (valid != (expected > 0) || size != (expected ? expected : 1) || (!valid && code != 0xfffd))
        fail_msg("%02x %02x %02x %02x, %zu bytes", bytes[0], bytes[1], bytes[2], bytes[3], length);
}

static void every_sequence_of_three_bytes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1u << 16; i++) {
        const unsigned char bytes[4] = {(unsigned char)(i >> 8), (unsigned char)i};
        check_sequence(bytes, 1);
        check_sequence(bytes, 2);
    }
    for (uint32_t i = 0; i < 1u << 24; i++) {
        const unsigned char bytes[4] = {(unsigned char)(i >> 16), (unsigned char)(i >> 8), (unsigned char)i};
        if (bytes[0] >= 0xc0) /* a shorter character or stray byte does not look at the third */
            check_sequence(bytes, 3);
    }
}

/* Four bytes, each at the edges of its ranges. */
static void edges_of_four_bytes(void **state)
{
    (void)state;
    static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    const size_t n = sizeof edges;
    for (unsigned lead = 0xe0; lead <= 0xff; lead++)
        for (size_t i = 0; i < n * n * n; i++) {
            const unsigned char bytes[4] = {(unsigned char)lead, edges[i % n], edges[i / n % n], edges[i / n / n]};
            check_sequence(bytes, 4);
        }
}

static void a_buffer_grows_and_stays_terminated(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_buffer buffer = {0};
    assert_int_equal(pl_buffer_append(&buffer, NULL, 0, &err), PALI_OK);
    assert_string_equal(buffer.data, "");
    size_t expected = 0;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(pl_buffer_append(&buffer, "a\0b", 3, &err), PALI_OK);
        assert_int_equal(pl_buffer_printf(&buffer, &err, "%d;", i), PALI_OK);
        expected += 3 + (i < 10 ? 2 : i < 100 ? 3 : 4);
        assert_int_equal(buffer.length, expected);
        assert_int_equal(buffer.data[buffer.length], '\0');
        assert_true(buffer.length < buffer.capacity);
    }
    assert_memory_equal(buffer.data, "a\0b0;a\0b1;", 10);
    assert_int_equal(pl_buffer_append(&buffer, "x", SIZE_MAX - 10, &err), PALI_MEMORY);
    assert_int_equal(err.status, PALI_MEMORY);
    assert_int_equal(buffer.length, expected);
    free(buffer.data);
}

/* The vectors of the hash's authors (FNV-1a, 64 bits). */
static void the_hash_is_fnv_1a(void **state)
{
    (void)state;
    assert_true(pl_hash("", 0) == 0xcbf29ce484222325u);
    assert_true(pl_hash("a", 1) == 0xaf63dc4c8601ec8cu);
    assert_true(pl_hash("foobar", 6) == 0x85944171f73967e8u);
}

static void beginnings_and_ends(void **state)
{
    (void)state;
    assert_true(pl_starts_with("blk.0.attn_q.weight", "blk."));
    assert_true(pl_starts_with("x", ""));
    assert_false(pl_starts_with("bl", "blk."));
    assert_true(pl_ends_with("w.weight", ".weight"));
    assert_true(pl_ends_with(".weight", ".weight"));
    assert_true(pl_ends_with("x", ""));
    assert_false(pl_ends_with("weight", ".weight"));
    assert_false(pl_ends_with("w.weights", ".weight"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_written_and_read),
        cmocka_unit_test(every_sequence_of_three_bytes),
        cmocka_unit_test(edges_of_four_bytes),
        cmocka_unit_test(a_buffer_grows_and_stays_terminated),
        cmocka_unit_test(the_hash_is_fnv_1a),
        cmocka_unit_test(beginnings_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
