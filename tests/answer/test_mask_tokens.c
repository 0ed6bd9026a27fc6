/*
 * Masks as tokens: what the encoder is shown, against TensorFlow, bit for bit;
 * boxes and bins; the text of tokens and what is wrong with one; and, with
 * nano's codec, the whole way there and back.
 */
#include "answer/mask_tokens.h"
#include "made_codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

enum { MAP = 64 * 64 };

static const char nano[] = "models/nano/vae-oid.npz";

static pl_mask hashed(size_t width, size_t height, uint32_t seed, uint32_t block, uint32_t density)
{
    pl_mask mask;
    assert_int_equal(pl_mask_new(width, height, "mask", &mask, NULL), PALI_OK);
    for (uint32_t i = 0; i < width * height; i++)
        mask.bits[i] = made_bit(i % (uint32_t)width, i / (uint32_t)width, seed, block, density);
    return mask;
}

static pl_codec *open_nano(void)
{
    pali_error err = {0};
    pl_codec *codec = pl_codec_open(nano, &err);
    if (!codec)
        fail_msg("%s", err.message);
    return codec;
}

static void check_crop(const pl_codec *codec, const pl_hands *hands, char *at)
{
    double n[17];
    for (int i = 0; i < 17; i++)
        n[i] = strtod(at, &at);
    pl_mask mask = hashed((size_t)n[0], (size_t)n[1], (uint32_t)n[2], (uint32_t)n[3], (uint32_t)n[4]);
    const pl_region region = {(size_t)n[13], (size_t)n[14], (size_t)n[15], (size_t)n[16]};
    float map[MAP];
    assert_int_equal(pl_mask_crop(&mask, region, map, NULL), PALI_OK);
    assert_int_equal(crc32(0, (const unsigned char *)map, sizeof map), strtoul(at, &at, 16));
    /* The whole call takes this part: its codes are those of this map. */
    pali_mask_tokens tokens;
    uint8_t codes[16];
    const pali_box box = {.y1 = n[5], .x1 = n[6], .y2 = n[7], .x2 = n[8]};
    assert_int_equal(pl_codec_encode_mask(codec, hands, &mask, &box, &tokens, NULL), PALI_OK);
    assert_int_equal(pl_codec_encode_map(codec, hands, map, codes, NULL), PALI_OK);
    assert_memory_equal(codes, tokens.codes, 16);
    for (int i = 0; i < 4; i++)
        assert_int_equal(tokens.bins[i], (int)n[9 + i]);
    pl_mask_free(&mask);
}

static void against_tensorflow(void **state)
{
    (void)state;
    pl_codec *codec = open_nano();
    const pl_hands hands = {.kernels = pl_kernels_get(NULL, NULL)};
    size_t size = 0, count = 0;
    char *line = NULL;
    FILE *file = fopen("tests/data/mask/crop.txt", "r");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0)
        if (line[0] != '#') {
            check_crop(codec, &hands, line);
            count++;
        }
    assert_int_equal(count, 10);
    free(line);
    fclose(file);
    pl_codec_free(codec);
}

/* A disc, a ring, a bar: what comes back is much the same. */
static void there_and_back(void **state)
{
    (void)state;
    pl_codec *codec = open_nano();
    const pl_hands hands = {.kernels = pl_kernels_get(NULL, NULL)};
    for (int shape = 0; shape < 3; shape++)
        for (int paste = 0; paste < 2; paste++) {
            pl_mask mask, back;
            pali_mask_tokens tokens;
            assert_int_equal(pl_mask_new(320, 240, "mask", &mask, NULL), PALI_OK);
            for (int i = 0; i < 320 * 240; i++) {
                const double x = i % 320 - 140, y = i / 320 - 110, r = hypot(x, y * 1.3);
                mask.bits[i] = shape == 0 ? r < 90 : shape == 1 ? r < 100 && r > 50 : fabs(x + y) < 25 && fabs(x - y) < 120;
            }
            assert_int_equal(pl_codec_encode_mask(codec, &hands, &mask, NULL, &tokens, NULL), PALI_OK);
            assert_int_equal(pl_codec_decode_mask(codec, &hands, &tokens, 320, 240, (pali_paste)paste, &back, NULL), PALI_OK);
            const double iou = pl_mask_iou(&mask, &back);
            if (!(iou > 0.85)) /* nano's codec gives back 0.9 on average */
                fail_msg("shape %d, paste %d: IoU is %.3f", shape, paste, iou);
            if (paste == PALI_PASTE_DEMO) {
                uint8_t *soft = malloc(320 * 240);
                assert_non_null(soft);
                assert_int_equal(pl_codec_decode_soft(codec, &hands, &tokens, 320, 240, soft, NULL), PALI_OK);
                for (int i = 0; i < 320 * 240; i++)
                    assert_int_equal(back.bits[i], soft[i] >= 128);
                free(soft);
            }
            pl_mask_free(&back);
            pl_mask_free(&mask);
        }
    pl_codec_free(codec);
}

static void empty_boxes_decode_to_nothing(void **state)
{
    (void)state;
    pl_codec *codec = open_nano();
    const pl_hands hands = {.kernels = pl_kernels_get(NULL, NULL)};
    static const int bins[][4] = {{5, 5, 5, 9}, {9, 5, 5, 9}, {5, 9, 9, 5}, {1, 1, 2, 2}};
    for (size_t i = 0; i < sizeof bins / sizeof *bins; i++)
        for (int paste = 0; paste < 2; paste++) {
            pali_mask_tokens tokens = {0};
            pl_mask mask;
            memcpy(tokens.bins, bins[i], sizeof tokens.bins);
            assert_int_equal(pl_codec_decode_mask(codec, &hands, &tokens, 64, 48, (pali_paste)paste, &mask, NULL), PALI_OK);
            assert_int_equal(pl_mask_area(&mask), 0);
            pl_mask_free(&mask);
        }
    pl_codec_free(codec);
}

/* ---- Text ------------------------------------------------------------ */

#define BOX "<loc0001><loc0002><loc0300><loc1023>"
#define CODES "<seg000><seg001><seg002><seg003><seg004><seg005><seg006><seg007><seg008><seg009><seg010><seg011><seg012><seg013><seg014><seg127>"

static void text(void **state)
{
    (void)state;
    static const char *const good[] = {BOX CODES, " " BOX CODES, BOX " " CODES, BOX CODES " cat", BOX CODES " a <b>cat</b> ;", "\n" BOX CODES "\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        pali_mask_tokens tokens;
        char back[PALI_MASK_TEXT_SIZE];
        assert_int_equal(pl_mask_tokens_parse(good[i], &tokens, NULL), PALI_OK);
        pl_mask_tokens_text(&tokens, back);
        assert_string_equal(back, BOX CODES);
    }
    const pali_mask_tokens wild = {.bins = {-1, 5000, 1023, 1024}, .codes = {255, 128, 127}};
    char limited[PALI_MASK_TEXT_SIZE];
    pl_mask_tokens_text(&wild, limited);
    assert_memory_equal(limited, "<loc0000><loc1023><loc1023><loc1023><seg127><seg127><seg127><seg000>", 68);
}

static void wrong_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "found the end after 0 tokens"},
        {"   ", "found the end after 0 tokens"},
        {"cat", "found 'cat' as token 1, expected a location"},
        {"<loc1024><loc0002><loc0003><loc0004>", "found '<loc1024>' as token 1, expected a location <loc0000> to <loc1023>"},
        {"<loc0001> <loc0002><loc0003><loc0004>" CODES, "found ' ' as token 2"},
        {BOX, "found the end after 4 tokens"},
        {BOX "<loc0001>" CODES, "found <loc0001> as token 5, expected a segment"},
        {"<loc0001>" CODES, "found <seg000> as token 2, expected a location"},
        {BOX "<seg128>", "found '<seg128>' as token 5, expected a segment <seg000> to <seg127>"},
        {BOX "<seg00>" CODES, "found '<seg00>' as token 5"},
        {BOX CODES "<seg001>", "found <seg001> after the 20 tokens of a mask"},
        {BOX CODES " cat ; " BOX, "found <loc0001> after the 20 tokens of a mask, expected one mask"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pali_mask_tokens tokens;
        pali_error err = {0};
        if (pl_mask_tokens_parse(cases[i].text, &tokens, &err) != PALI_INPUT || !strstr(err.message, cases[i].words))
            fail_msg("%s: found %d \"%s\", expected \"%s\"", cases[i].text, (int)err.status, err.message, cases[i].words);
    }
}

static void wrong_masks(void **state)
{
    (void)state;
    pl_codec *codec = open_nano();
    const pl_hands hands = {.kernels = pl_kernels_get(NULL, NULL)};
    pl_mask empty = hashed(20, 10, 1, 1, 0), full = hashed(20, 10, 1, 1, 256), mask;
    pali_mask_tokens tokens = {0};
    pali_error err = {0};
    assert_int_equal(pl_codec_encode_mask(codec, &hands, &empty, NULL, &tokens, &err), PALI_INPUT);
    assert_string_equal(err.message, "mask: found no pixel that is in, expected at least one");
    static const struct {
        pali_box box;
        const char *words;
    } cases[] = {
        {{-0.1, 0, 5, 5}, "expected one within the mask's 10 x 20 pixels"}, {{0, 0, 10.1, 5}, "expected one within"}, {{0, 0, 5, 21}, "expected one within"},
        {{NAN, 0, 5, 5}, "expected one within"},                            {{0, 0, NAN, 5}, "expected one within"},  {{5, 0, 5, 5}, "expected y2 > y1 and x2 > x1"},
        {{0, 6, 5, 5}, "expected y2 > y1 and x2 > x1"},                     {{1.6, 0, 2.4, 5}, "expected at least one pixel after rounding"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pl_codec_encode_mask(codec, &hands, &full, &cases[i].box, &tokens, &err), PALI_INPUT);
        if (!strstr(err.message, cases[i].words))
            fail_msg("case %zu: %s", i, err.message);
    }
    empty.bits[0] = 1;
    assert_int_equal(pl_codec_encode_mask(codec, &hands, &empty, &(pali_box){2, 2, 5, 5}, &tokens, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "within the box"));
    tokens.bins[2] = 1024;
    for (int paste = 0; paste < 2; paste++) {
        assert_int_equal(pl_codec_decode_mask(codec, &hands, &tokens, 20, 10, (pali_paste)paste, &mask, &err), PALI_INPUT);
        assert_string_equal(err.message, "mask tokens: found 1024 as location 3, expected 0 to 1023");
        assert_null(mask.bits);
    }
    tokens.bins[2] = 1023;
    tokens.codes[3] = 200;
    assert_int_equal(pl_codec_decode_mask(codec, &hands, &tokens, 20, 10, PALI_PASTE_EVALUATOR, &mask, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "found 200 as code 4"));
    tokens.codes[3] = 0;
    assert_int_equal(pl_codec_decode_mask(codec, &hands, &tokens, 0, 10, PALI_PASTE_EVALUATOR, &mask, &err), PALI_INPUT);
    assert_int_equal(pl_codec_decode_mask(codec, &hands, &tokens, 1000001, 10, PALI_PASTE_DEMO, &mask, &err), PALI_INPUT);
    pl_mask_free(&empty);
    pl_mask_free(&full);
    pl_codec_free(codec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_tensorflow),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(empty_boxes_decode_to_nothing),
        cmocka_unit_test(text),
        cmocka_unit_test(wrong_text),
        cmocka_unit_test(wrong_masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
