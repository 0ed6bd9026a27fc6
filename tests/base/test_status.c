/* Status texts, and that whatever is put into a message it stays one line of UTF-8. */
#include "base/status.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_status_has_its_own_text(void **state)
{
    (void)state;
    static const struct {
        pali_status status;
        int value;
        const char *text;
    } expected[] = {
        {PALI_OK, 0, "done"},
        {PALI_FAILED, 1, "failed while running"},
        {PALI_USAGE, 2, "wrong argument"},
        {PALI_MODEL, 3, "model file unusable"},
        {PALI_INPUT, 4, "input unusable"},
        {PALI_MEMORY, 5, "out of memory"},
        {PALI_CANCELLED, 130, "interrupted"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(expected[i].status, expected[i].value); /* exit codes: never change */
        assert_string_equal(pali_status_text(expected[i].status), expected[i].text);
    }
    assert_string_equal(pali_status_text((pali_status)77), "unknown status");
}

static void a_failure_records_status_and_text(void **state)
{
    (void)state;
    pali_error err = {0};
    assert_int_equal(pl_fail(&err, PALI_INPUT, "%s: found %d, expected %d", "a.png", 3, 4), PALI_INPUT);
    assert_int_equal(err.status, PALI_INPUT);
    assert_string_equal(err.message, "a.png: found 3, expected 4");
    assert_int_equal(pl_fail(NULL, PALI_MODEL, "%s", "nobody listens"), PALI_MODEL);

    assert_int_equal(pl_fail_memory(&err, "cache", 4096), PALI_MEMORY);
    assert_int_equal(err.status, PALI_MEMORY);
    assert_string_equal(err.message, "cache: out of memory (4096 bytes wanted)");
    pl_fail_memory(&err, "cache", 0);
    assert_string_equal(err.message, "cache: out of memory");
}

static void assert_one_line_of_utf8(const char *message)
{
    const size_t length = strlen(message);
    for (size_t i = 0; i < length;) {
        uint32_t code;
        bool valid;
        i += pl_utf8_read(message + i, length - i, &code, &valid);
        assert_true(valid);
        assert_true(code >= 0x20 && !(code >= 0x7f && code < 0xa0));
    }
}

static void control_characters_and_broken_utf8_are_replaced(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_fail(&err, PALI_INPUT, "%s", "a\nb\tc\x1b[2Jd\x7f");
    assert_string_equal(err.message, "a b c [2Jd ");
    pl_fail(&err, PALI_INPUT, "%s", "caf\xc3\xa9 \xff \xc2\x9b!"); /* U+009B begins an escape sequence */
    assert_string_equal(err.message, "caf\xc3\xa9 ?  !");
}

/* A two-byte character across the end of the message, at either offset. */
static void long_messages_are_cut_between_characters(void **state)
{
    (void)state;
    enum { LONG = 2000 };
    char text[LONG + 1];
    for (size_t shift = 0; shift < 2; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 2 <= LONG; i += 2)
            memcpy(text + i, "\xc3\xa9", 2);
        text[LONG - shift] = '\0';
        pali_error err = {0};
        pl_fail(&err, PALI_INPUT, "%s", text);
        const size_t length = strlen(err.message);
        assert_in_range(length, sizeof err.message - 2, sizeof err.message - 1);
        /* What was split is gone or stands as one '?' a byte. */
        for (size_t i = 0; i < length - 1; i++)
            assert_int_equal(err.message[i], text[i]);
        assert_one_line_of_utf8(err.message);
    }
}

static void a_prefix_goes_before_the_message(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_fail(&err, PALI_MODEL, "bad shape");
    pl_error_prefix(&err, "%s: tensor %d", "w.safetensors", 7);
    assert_string_equal(err.message, "w.safetensors: tensor 7: bad shape");
    assert_int_equal(err.status, PALI_MODEL);
    pl_error_prefix(NULL, "nobody listens");
}

static void prefixes_of_any_length_fit(void **state)
{
    (void)state;
    char longer[1500];
    for (size_t prefix = 0; prefix < sizeof longer; prefix += 37)
        for (size_t message = 0; message < sizeof longer; message += 41) {
            pali_error err = {0};
            memset(longer, 'm', message);
            longer[message] = '\0';
            pl_fail(&err, PALI_MODEL, "%s", longer);
            memset(longer, 'p', prefix);
            longer[prefix] = '\0';
            pl_error_prefix(&err, "%s", longer);
            const size_t most = sizeof err.message - 1;
            const size_t p = prefix < most ? prefix : most, m = message < most ? message : most;
            const size_t whole = p + 2 + m;
            assert_int_equal(strlen(err.message), whole < most ? whole : most);
        }
}

static void printable_names_are_quoted_and_cut(void **state)
{
    (void)state;
    char buf[80];
    assert_string_equal(pl_printable("w", 1, buf), "'w'");
    assert_string_equal(pl_printable("", 0, buf), "''");
    assert_string_equal(pl_printable("a\nb\0c\x1b", 6, buf), "'a?b?c?'");
    assert_string_equal(pl_printable("\xc3\xa9\xff\xc2\x9b", 5, buf), "'\xc3\xa9?" "?'");

    char name[100];
    memset(name, 'n', sizeof name);
    pl_printable(name, 60, buf);
    assert_int_equal(strlen(buf), 62);
    pl_printable(name, 61, buf);
    assert_int_equal(strlen(buf), 65);
    assert_string_equal(buf + 58, "nnn...'");
    memcpy(name + 59, "\xe2\x82\xac", 3); /* would be split at 60 */
    pl_printable(name, sizeof name, buf);
    assert_string_equal(buf + 58, "nn...'");
    assert_one_line_of_utf8(buf);
}

/* All bytes at all lengths: never past the buffer (the sanitizers look on), always printable. */
static void printable_survives_any_bytes(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int round = 0; round < 2000; round++) {
        char name[90], buf[80];
        for (size_t i = 0; i < sizeof name; i++) {
            random = random * 1664525u + 1013904223u;
            name[i] = (char)(random >> 24);
        }
        const size_t length = (size_t)round % sizeof name;
        assert_ptr_equal(pl_printable(name, length, buf), buf);
        assert_in_range(strlen(buf), 2, sizeof buf - 1);
        assert_one_line_of_utf8(buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_own_text),
        cmocka_unit_test(a_failure_records_status_and_text),
        cmocka_unit_test(control_characters_and_broken_utf8_are_replaced),
        cmocka_unit_test(long_messages_are_cut_between_characters),
        cmocka_unit_test(a_prefix_goes_before_the_message),
        cmocka_unit_test(prefixes_of_any_length_fit),
        cmocka_unit_test(printable_names_are_quoted_and_cut),
        cmocka_unit_test(printable_survives_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
