/*
 * Gemma's real vocabulary, in both file kinds: the ids of the published
 * pipelines, special ids, what users cannot smuggle in, equality with the
 * sentencepiece library, streaming, and speed. Skipped where the files are
 * not at hand (they are not ours to pass on).
 */
#include <time.h>

#include "text/corpus.h"
#include "text/support.h"

/* 0: the SentencePiece model; 1: tokenizer.json, location pieces appended; 2: tokenizer.json with
 * the location pieces and <image> among its added tokens, as PaliGemma's. */
enum { KINDS = 3 };
static pl_tokenizer *tokenizers[KINDS];

typedef struct golden {
    const char *text;
    int32_t ids[40];
    size_t count;
} golden;
#define GOLDEN(text, ...) {text, {__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)}

static const golden goldens[] = {
    GOLDEN("\n", 108),
    GOLDEN("\n\n", 109),
    GOLDEN("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 138),
    GOLDEN(" ", 235248),
    GOLDEN("  ", 139),
    GOLDEN("\t", 226),
    GOLDEN("\t\t", 255969),
    GOLDEN("caption en", 21209, 659),
    GOLDEN("caption de", 21209, 581),
    GOLDEN("caption no", 21209, 793),
    GOLDEN("cap en", 5549, 659),
    GOLDEN("ocr", 120185),
    GOLDEN("describe en", 15019, 659),
    GOLDEN("describe this image", 15019, 736, 2416),
    GOLDEN("question en yes", 13252, 659, 7778),
    GOLDEN("answer en Where is the cow standing?", 13072, 659, 7890, 603, 573, 13910, 9980, 235336),
    GOLDEN("Where is the cow standing?", 6006, 603, 573, 13910, 9980, 235336),
    GOLDEN("answer en What objects are in the image?", 13072, 659, 2439, 9113, 708, 575, 573, 2416, 235336),
    GOLDEN("What color is the car?", 1841, 2881, 603, 573, 1226, 235336),
    GOLDEN("answer en How many people?", 13072, 659, 2250, 1767, 1461, 235336),
    GOLDEN("beach", 54901),
    GOLDEN("on the beach", 477, 573, 8318),
    GOLDEN("detect cat", 39208, 4401),
    GOLDEN("detect cat ; dog", 39208, 4401, 2161, 5929),
    GOLDEN("detect cat;dog", 39208, 4401, 235289, 12240),
    GOLDEN("detect all classes", 39208, 832, 8250),
    GOLDEN("segment cat", 32318, 4401),
    GOLDEN(" cat ; ", 4401, 2161, 235248),
    GOLDEN("<loc0256><loc0128><loc0768><loc1000> cat ; <loc0000><loc0001><loc0002><loc0003> dog", 256256, 256128,
           256768, 257000, 4401, 2161, 235248, 256000, 256001, 256002, 256003, 5929),
    GOLDEN("caption <loc0000><loc0010><loc0020><loc0030>", 21209, 235248, 256000, 256010, 256020, 256030),
    GOLDEN("<loc1023><seg000><seg127>", 257023, 257024, 257151),
    GOLDEN("yes", 3276),
    GOLDEN("no", 956),
    GOLDEN("True", 5036),
    GOLDEN("False", 8393),
    GOLDEN("1", 235274),
    GOLDEN("12", 235274, 235284),
    GOLDEN("2024", 235284, 235276, 235284, 235310),
    GOLDEN("3.14", 235304, 235265, 235274, 235310),
    GOLDEN("A full view of a living room", 235280, 2247, 2116, 576, 476, 5027, 2965),
    GOLDEN("A large building with two towers on the water", 235280, 2910, 4547, 675, 1378, 42711, 611, 573, 2003),
    GOLDEN("answer en  Which? choose from: eagle \t face \t dog", 13072, 659, 139, 13033, 235336, 6475, 774, 235292,
           37888, 235248, 226, 3142, 235248, 226, 5929),
    GOLDEN("Question: a\nContext: b\nOptions: (A) x, (B) y\nAnswer:", 9413, 235292, 476, 108, 2930, 235292, 518, 108,
           6928, 235292, 591, 235280, 235275, 1141, 235269, 591, 235305, 235275, 597, 108, 1261, 235292),
    GOLDEN("The answer is A.", 651, 3448, 603, 586, 235265),
    GOLDEN("pizza serveres p\xc3\xa5 bordet", 46722, 6934, 484, 3810, 7703, 5709),
    GOLDEN("a  b", 235250, 139, 235268),
    GOLDEN("a   b", 235250, 140, 235268),
    GOLDEN("\xf0\x9f\x98\x80", 239061),
    GOLDEN("\xc3\xa9", 235335),
    GOLDEN("\xf0\x9d\x93\x90", 250855),
    GOLDEN("<image>", 235322, 2502, 235313),
    GOLDEN("<bos>", 235322, 14084, 235313),
    GOLDEN("<eos>", 235322, 96396, 235313),
    GOLDEN("<start_of_turn>", 106),
};

static void test_goldens(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < LENGTH(goldens); i++) {
            const golden *const g = &goldens[i];
            pl_ids ids = encode(tokenizers[kind], g->text, strlen(g->text), PL_TEXT_USER);
            assert_ids(&ids, g->ids, g->count, g->text);
            pl_buffer text = {0};
            assert_int_equal(pl_tokenizer_decode(tokenizers[kind], ids.data, ids.count, &text, NULL), PALI_OK);
            assert_string_equal(text.data, g->text);
            free(text.data);
            pl_ids_free(&ids);
        }
    print_message("%zu golden texts, %d tokenizers\n", LENGTH(goldens), KINDS);
}

static void test_special_ids(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        const pl_special_ids *const s = pl_tokenizer_special(tokenizers[kind]);
        assert_int_equal(s->pad, 0);
        assert_int_equal(s->eos, 1);
        assert_int_equal(s->bos, 2);
        assert_int_equal(s->unk, 3);
        assert_int_equal(s->newline, 108);
        assert_int_equal(s->loc, 256000);
        assert_int_equal(s->loc_count, 1024);
        assert_int_equal(s->seg, 257024);
        assert_int_equal(s->seg_count, 128);
        assert_int_equal(s->image, kind == 2 ? 257152 : -1);
        assert_int_equal(pl_tokenizer_count(tokenizers[kind]), kind == 2 ? 257153 : 257152);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (int b = 0; b < 256; b++)
            assert_int_equal(pl_tokenizer_vocabulary(tokenizers[kind])->bytes[b], 217 + b);
    /* U+10FFF0 has no piece (U+10FFFF and U+E000 do) */
    pl_ids ids = encode(tokenizers[0], "\xf4\x8f\xbf\xb0", 4, PL_TEXT_USER);
    assert_ids(&ids, (const int32_t[]){217 + 0xf4, 217 + 0x8f, 217 + 0xbf, 217 + 0xb0}, 4, "U+10FFF0");
    pl_ids_free(&ids);
}

/* Every control piece, typed in every way a user can, stays out of a user's ids. */
static void test_nothing_is_smuggled(void **state)
{
    (void)state;
    static const char *const around[][2] = {{"", ""}, {" ", " "}, {"a", "b"}, {"<", ">"}, {"\n", "\n"}, {"<loc0001>", "<seg001>"}};
    for (int kind = 0; kind < KINDS; kind++) {
        const pl_tokenizer *const t = tokenizers[kind];
        size_t controls = 0;
        for (int32_t id = 0; (size_t)id < pl_tokenizer_count(t); id++) {
            if (!pl_tokenizer_is_control(t, id))
                continue;
            controls++;
            size_t length;
            const char *piece = pl_tokenizer_piece(t, id, &length);
            for (size_t i = 0; i < LENGTH(around); i++) {
                char text[200];
                const int size = snprintf(text, sizeof text, "%s%.*s%s", around[i][0], (int)length, piece, around[i][1]);
                pl_ids user = encode(t, text, (size_t)size, PL_TEXT_USER);
                pl_ids special = encode(t, text, (size_t)size, PL_TEXT_SPECIAL);
                bool found = false;
                for (size_t k = 0; k < user.count; k++)
                    assert_false(pl_tokenizer_is_control(t, user.data[k]));
                for (size_t k = 0; k < special.count; k++)
                    found = found || special.data[k] == id;
                /* unk is never matched, in either mode */
                assert_int_equal(found, id != pl_tokenizer_special(t)->unk);
                pl_ids_free(&user);
                pl_ids_free(&special);
            }
        }
        assert_int_equal(controls, kind == 2 ? 5 : 4);
    }
}

static void test_equals_sentencepiece(void **state)
{
    (void)state;
    corpus c;
    corpus_open(&c, tokenizers[0]);
    pl_buffer text = {0};
    size_t bytes = 0;
    for (size_t i = 0; i < c.strings; i++) {
        corpus_string(&c, i, &text);
        bytes += text.length;
        for (int kind = 0; kind < KINDS; kind++) {
            pl_ids ids = encode(tokenizers[kind], text.data, text.length, PL_TEXT_USER);
            if (corpus_fold(ids.data, ids.count * sizeof *ids.data) != c.hashes[i])
                fail_msg("tokenizer %d, string %zu differs: \"%s\"", kind, i, text.data);
            pl_ids_free(&ids);
        }
    }
    print_message("%zu strings of %zu bytes, %d tokenizers: ids equal those of sentencepiece\n", c.strings, bytes, KINDS);
    free(text.data);
    corpus_close(&c);
}

static void test_decodes_as_sentencepiece(void **state)
{
    (void)state;
    corpus c;
    corpus_open(&c, tokenizers[0]);
    pl_ids ids = {0};
    for (size_t i = 0; i < c.sequences; i++) {
        corpus_sequence(&c, c.strings + i, &ids);
        for (int kind = 0; kind < 1; kind++) {
            pl_buffer text = {0};
            assert_int_equal(pl_tokenizer_decode(tokenizers[kind], ids.data, ids.count, &text, NULL), PALI_OK);
            if (corpus_fold(text.data, text.length) != c.hashes[c.strings + i])
                fail_msg("tokenizer %d, sequence %zu decodes to \"%s\"", kind, i, text.data);
            free(text.data);
        }
    }
    print_message("%zu sequences: text equals that of sentencepiece\n", c.sequences);
    pl_ids_free(&ids);
    corpus_close(&c);
}

static bool is_utf8(const char *text, size_t length)
{
    bool valid = true;
    for (size_t at = 0; at < length && valid;) {
        uint32_t code;
        at += pl_utf8_read(text + at, length - at, &code, &valid);
    }
    return valid;
}

static void test_streams_whole_characters(void **state)
{
    (void)state;
    corpus c;
    corpus_open(&c, tokenizers[0]);
    pl_ids ids = {0};
    for (size_t i = 0; i < c.sequences; i++) {
        pl_detokenizer d;
        pl_buffer streamed = {0}, whole = {0};
        corpus_sequence(&c, c.strings + i, &ids);
        pl_detokenizer_init(&d, tokenizers[0]);
        for (size_t k = 0; k < ids.count; k++) {
            const size_t before = streamed.length;
            assert_int_equal(pl_detokenizer_push(&d, ids.data[k], &streamed, NULL), PALI_OK);
            if (streamed.length > before)
                assert_true(is_utf8(streamed.data + before, streamed.length - before));
        }
        assert_int_equal(pl_detokenizer_flush(&d, &streamed, NULL), PALI_OK);
        assert_int_equal(pl_tokenizer_decode(tokenizers[0], ids.data, ids.count, &whole, NULL), PALI_OK);
        assert_int_equal(streamed.length, whole.length);
        if (whole.length)
            assert_memory_equal(streamed.data, whole.data, whole.length);
        free(streamed.data);
        free(whole.data);
    }
    pl_ids_free(&ids);
    corpus_close(&c);
}

#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A second of processor time a megabyte is far from what any of these takes;
 * an agenda that is quadratic in some kind of text takes hours. */
static void test_speed(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "ab", " ", "\n", "\xf0\x9f\x98\x80", "\xff", "<loc012", "<",
                                        "the quick brown fox ", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "0", "aaaaaaa "};
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    for (size_t u = 0; u < LENGTH(units); u++) {
        const size_t length = strlen(units[u]);
        for (size_t i = 0; i < SIZE; i++)
            text[i] = units[u][i % length];
        const double start = seconds();
        pl_ids ids = encode(tokenizers[0], text, SIZE, PL_TEXT_USER);
        const double took = seconds() - start;
        char name[80];
        print_message("1 MB of %s: %.3f s, %zu ids\n", pl_printable(units[u], length, name), took, ids.count);
        assert_true(SANITIZED || took < 1);
        pl_ids_free(&ids);
    }
    free(text);
}

static void test_prompts(void **state)
{
    (void)state;
    const pl_tokenizer *const t = tokenizers[2];
    static const char question[] = "answer en Where is the cow standing?";
    static const int32_t expected[] = {2, 13072, 659, 7890, 603, 573, 13910, 9980, 235336, 108};
    pl_ids ids = {0};
    pali_error err = {0};
    const pl_prompt_options one = {.images = 1, .image_tokens = 256};
    assert_int_equal(pl_prompt_encode(t, question, strlen(question), &one, &ids, &err), PALI_OK);
    assert_int_equal(ids.count, 266);
    for (int i = 0; i < 256; i++)
        assert_int_equal(ids.data[i], 257152);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ids.data[256 + i], expected[i]);
    ids.count = 0;
    assert_int_equal(pl_prompt_suffix(t, "on the beach", 12, true, &ids, &err), PALI_OK);
    assert_ids(&ids, (const int32_t[]){477, 573, 8318, 1}, 4, "on the beach");
    /* a prefix that ends in a newline is where the two published schemes differ */
    ids.count = 0;
    assert_int_equal(pl_prompt_encode(t, "ocr\n", 4, NULL, &ids, &err), PALI_OK);
    assert_ids(&ids, (const int32_t[]){2, 120185, 108, 108}, 4, "ocr\\n");
    ids.count = 0;
    assert_int_equal(pl_prompt_encode(t, "ocr\n", 4, &(pl_prompt_options){.joint = true}, &ids, &err), PALI_OK);
    assert_ids(&ids, (const int32_t[]){2, 120185, 109}, 3, "ocr\\n joint");
    pl_ids_free(&ids);
}

/* tokenizer.json with PaliGemma's added tokens put in front of its own. */
static pl_tokenizer *open_extended_json(void)
{
    size_t size;
    pali_error err = {0};
    char *json = pl_file_read(GEMMA "tokenizer.json", 64 << 20, &size, PALI_MODEL, &err);
    assert_non_null(json);
    char *list = strstr(json, "\"added_tokens\": [");
    assert_non_null(list);
    list += strlen("\"added_tokens\": [");
    pl_buffer text = {0};
    pl_buffer_append(&text, json, (size_t)(list - json), NULL);
    for (int i = 0; i <= 1024 + 128; i++) {
        char piece[24] = "<image>";
        if (i < 1024)
            snprintf(piece, sizeof piece, "<loc%04d>", i);
        else if (i < 1152)
            snprintf(piece, sizeof piece, "<seg%03d>", i - 1024);
        pl_buffer_printf(&text, NULL, "{\"id\":%d,\"content\":\"%s\",\"normalized\":true,\"special\":%s},", 256000 + i,
                         piece, i == 1152 ? "true" : "false");
    }
    pl_buffer_append(&text, list, size - (size_t)(list - json), NULL);
    free(json);
    pl_vocabulary v;
    if (pl_tokenizer_json_parse(&v, text.data, text.length, "extended", &err) != PALI_OK)
        fail_msg("%s", err.message);
    free(text.data);
    assert_null(v.merges); /* recognised as SentencePiece's */
    return pl_tokenizer_new(&v, &err);
}

static int open_all(void **state)
{
    (void)state;
    const double start = seconds();
    tokenizers[0] = open_or_fail(GEMMA "rebuilt.model", false);
    const double middle = seconds();
    tokenizers[1] = open_or_fail(GEMMA "tokenizer.json", true);
    print_message("opened the .model in %.3f s, tokenizer.json in %.3f s\n", middle - start, seconds() - middle);
    tokenizers[2] = open_extended_json();
    return tokenizers[2] ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        pl_tokenizer_free(tokenizers[kind]);
    return 0;
}

int main(void)
{
    if (!pl_is_file(GEMMA "rebuilt.model") || !pl_is_file(GEMMA "tokenizer.json")) {
        printf("skipped: no " GEMMA "{rebuilt.model,tokenizer.json}\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_special_ids),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_nothing_is_smuggled),
        cmocka_unit_test(test_equals_sentencepiece),
        cmocka_unit_test(test_decodes_as_sentencepiece),
        cmocka_unit_test(test_streams_whole_characters),
        cmocka_unit_test(test_speed),
        cmocka_unit_test(test_prompts),
    };
    return cmocka_run_group_tests_name("text: gemma", tests, open_all, close_all);
}
