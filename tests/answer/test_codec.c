/*
 * The mask codec's network against PyTorch, with hashed weights of the
 * released shapes; pastes against Pillow 12 and 13, bit for bit; files that
 * hold another network, or half of one, refused by the array's name.
 */
#include "answer/mask_tokens.h"
#include "formats/npz_write.h"
#include "formats/safetensors.h"
#include "made_codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

enum { MAP = 64 * 64 };

static pl_codec *open_made(const made_array *arrays, size_t count, const char *prefix, pali_error *err)
{
    size_t size;
    char *bytes = made_file(arrays, count, &size);
    pl_tensor_file *file = pl_safetensors_open_memory(bytes, size, "made.safetensors", err);
    pl_codec *codec = file ? pl_codec_of_tensors(file, prefix, err) : NULL;
    pl_tensor_file_close(file);
    free(bytes); /* a codec keeps nothing of its file */
    return codec;
}

static pl_codec *open_widths(made_widths widths)
{
    pali_error err = {0};
    made_array *arrays = made_codec(widths);
    pl_codec *codec = open_made(arrays, MADE_ARRAYS, "", &err);
    if (!codec)
        fail_msg("%s", err.message);
    made_free(arrays);
    return codec;
}

static pl_hands hands_of(const char *level)
{
    return (pl_hands){.kernels = pl_kernels_get(level, NULL)};
}

/* ---- The network ----------------------------------------------------- */

static void each_line(const char *kind, void (*check)(char *at, void *context), void *context, size_t expected)
{
    size_t size = 0, count = 0;
    char *line = NULL;
    FILE *file = fopen("tests/data/mask/codec.txt", "r");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0)
        if (strncmp(line, kind, strlen(kind)) == 0 && line[strlen(kind)] == ' ') {
            line[strcspn(line, "\n")] = '\0';
            check(line + strlen(kind) + 1, context);
            count++;
        }
    free(line);
    fclose(file);
    assert_int_equal(count, expected);
}

static void check_encode(char *at, void *context)
{
    const uint32_t seed = (uint32_t)strtoul(at, &at, 10), block = (uint32_t)strtoul(at, &at, 10), density = (uint32_t)strtoul(at, &at, 10);
    float map[MAP];
    uint8_t expected[16];
    for (uint32_t i = 0; i < MAP; i++)
        map[i] = 2 * (float)made_bit(i % 64, i / 64, seed, block, density) - 1;
    for (int i = 0; i < 16; i++)
        expected[i] = (uint8_t)strtoul(at, &at, 10);
    for (const char *const *level = pl_kernel_levels(); *level; level++) {
        const pl_hands hands = hands_of(*level);
        uint8_t codes[16];
        assert_int_equal(pl_codec_encode_map(context, &hands, map, codes, NULL), PALI_OK);
        assert_memory_equal(codes, expected, 16);
    }
}

static void check_decode(char *at, void *context)
{
    uint8_t codes[16];
    double expected[98];
    for (int i = 0; i < 16; i++)
        codes[i] = (uint8_t)strtoul(at, &at, 10);
    for (int i = 0; i < 98; i++)
        expected[i] = strtod(at, &at);
    pl_pool *pool = pl_pool_new(3, NULL);
    assert_non_null(pool);
    for (const char *const *level = pl_kernel_levels(); *level; level++) {
        pl_hands hands = hands_of(*level);
        float map[MAP], again[MAP];
        assert_int_equal(pl_codec_decode_map(context, &hands, codes, map, NULL), PALI_OK);
        /* 12 layers, each of which adds the rounding of sums of up to 1,152 products in f32: about 2^-24 of the size of its
           values (1 to 3) times the root of the sum's slices. Measured at most 4.4e-6; five times that. */
        const double tolerance = 2e-5;
        double sum = 0, squares = 0;
        for (int i = 0; i < MAP; i++) {
            sum += map[i];
            squares += (double)map[i] * map[i];
        }
        for (int i = 0; i < 96; i++)
            if (!(fabs(map[i * 7919 % MAP] - expected[2 + i]) <= tolerance))
                fail_msg("%s: value %d is %.9g, expected %.9g", *level, i * 7919 % MAP, map[i * 7919 % MAP], expected[2 + i]);
        assert_true(fabs(sum - expected[0]) <= tolerance * MAP);
        assert_true(fabs(squares - expected[1]) <= 4 * tolerance * MAP);
        if (level == pl_kernel_levels()) /* slow */
            continue;
        hands.pool = pool;
        assert_int_equal(pl_codec_decode_map(context, &hands, codes, again, NULL), PALI_OK);
        assert_memory_equal(map, again, sizeof map);
    }
    pl_pool_free(pool);
}

static void against_pytorch(void **state)
{
    (void)state;
    pl_codec *codec = open_widths(released_widths);
    assert_int_equal(codec->width, 512);
    each_line("encode", check_encode, codec, 7);
    each_line("decode", check_decode, codec, 8);
    pl_codec_free(codec);
}

/* Among equal codes the first is taken. */
static void first_minimum_wins(void **state)
{
    (void)state;
    made_array *arrays = made_codec(tiny_widths);
    float *codebook = arrays[2 * PL_CODEC_LAYERS].values;
    for (size_t i = 1; i < 128; i++)
        memcpy(codebook + 5 * i, codebook, 5 * sizeof *codebook);
    pl_codec *codec = open_made(arrays, MADE_ARRAYS, "", NULL);
    const pl_hands hands = hands_of(NULL);
    const float map[MAP] = {1};
    uint8_t codes[16], zero[16] = {0};
    memset(codes, 9, sizeof codes);
    assert_int_equal(pl_codec_encode_map(codec, &hands, map, codes, NULL), PALI_OK);
    assert_memory_equal(codes, zero, 16);
    pl_codec_free(codec);
    made_free(arrays);
}

static void codes_out_of_range(void **state)
{
    (void)state;
    pl_codec *codec = open_widths(tiny_widths);
    const pl_hands hands = hands_of(NULL);
    uint8_t codes[16] = {0};
    float map[MAP];
    pali_error err = {0};
    codes[15] = 128;
    assert_int_equal(pl_codec_decode_map(codec, &hands, codes, map, &err), PALI_INPUT);
    assert_string_equal(err.message, "mask codes: found 128 as code 16, expected 0 to 127");
    pl_codec_free(codec);
}

/* ---- Files ----------------------------------------------------------- */

/* A codec that decodes the same as another. */
static void assert_same_codec(const pl_codec *a, const pl_codec *b)
{
    const pl_hands hands = hands_of(NULL);
    const uint8_t codes[16] = {0, 127, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    float x[MAP], y[MAP];
    assert_int_equal(pl_codec_decode_map(a, &hands, codes, x, NULL), PALI_OK);
    assert_int_equal(pl_codec_decode_map(b, &hands, codes, y, NULL), PALI_OK);
    assert_memory_equal(x, y, sizeof x);
}

static void write_npz(const char *path, const made_array *arrays)
{
    pl_npz_writer w = {0};
    assert_int_equal(pl_npz_create(&w, path, NULL), PALI_OK);
    for (size_t i = 0; i < MADE_ARRAYS; i++) {
        size_t bytes = sizeof(float);
        for (size_t j = 0; j < arrays[i].rank; j++)
            bytes *= arrays[i].shape[j];
        assert_int_equal(pl_npz_begin(&w, arrays[i].name, PL_F32, arrays[i].shape, arrays[i].rank, NULL), PALI_OK);
        assert_int_equal(pl_npz_write(&w, arrays[i].values, bytes, NULL), PALI_OK);
        assert_int_equal(pl_npz_end(&w, NULL), PALI_OK);
    }
    assert_int_equal(pl_npz_commit(&w, NULL), PALI_OK);
}

static void write_file(const char *path, const made_array *arrays, size_t count)
{
    size_t size;
    char *bytes = made_file(arrays, count, &size);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    free(bytes);
}

static void files(void **state)
{
    (void)state;
    char folder[] = "/tmp/pali-codec-XXXXXX", path[64], other[64];
    assert_non_null(mkdtemp(folder));
    made_array *arrays = made_codec(tiny_widths);
    pl_codec *expected = open_made(arrays, MADE_ARRAYS, "", NULL), *codec = NULL;
    pali_error err = {0};
    assert_non_null(expected);
    /* The averages need not be there. */
    codec = open_made(arrays, MADE_ARRAYS - 2, "", NULL);
    assert_non_null(codec);
    assert_same_codec(expected, codec);
    pl_codec_free(codec);
    /* No codec beside. */
    assert_int_equal(pl_codec_open_of(folder, &codec, &err), PALI_OK);
    assert_null(codec);
    /* An npz by its name, beside a folder's weights, and beside a file. */
    snprintf(path, sizeof path, "%s/vae-oid.npz", folder);
    write_npz(path, arrays);
    codec = pl_codec_open(path, &err);
    assert_non_null(codec);
    assert_same_codec(expected, codec);
    pl_codec_free(codec);
    assert_int_equal(pl_codec_open_of(folder, &codec, &err), PALI_OK);
    assert_non_null(codec);
    pl_codec_free(codec);
    snprintf(other, sizeof other, "%s/model.any", folder);
    write_file(other, &arrays[2 * PL_CODEC_LAYERS + 1], 1);
    assert_int_equal(pl_codec_open_of(other, &codec, &err), PALI_OK);
    assert_non_null(codec);
    assert_same_codec(expected, codec);
    pl_codec_free(codec);
    /* A file of its own, told by content; where it lacks an array, it is not passed over for the other. */
    write_file(other, arrays, MADE_ARRAYS);
    assert_int_equal(pl_codec_open_of(other, &codec, &err), PALI_OK);
    assert_non_null(codec);
    assert_same_codec(expected, codec);
    pl_codec_free(codec);
    write_file(other, arrays, MADE_ARRAYS - 3);
    assert_int_equal(pl_codec_open_of(other, &codec, &err), PALI_MODEL);
    assert_null(codec);
    assert_non_null(strstr(err.message, "_vq_vae._embedding"));
    /* One that is broken is an error, not none. */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs("PK\x03\x04 and no more", file);
    fclose(file);
    assert_int_equal(pl_codec_open_of(folder, &codec, &err), PALI_MODEL);
    assert_null(codec);
    assert_non_null(strstr(err.message, "vae-oid.npz"));
    assert_null(pl_codec_open("tests/data/mask/missing.npz", &err));
    assert_int_equal(err.status, PALI_MODEL);
    unlink(path);
    unlink(other);
    rmdir(folder);
    pl_codec_free(expected);
    made_free(arrays);
}

static void refuse(const made_array *arrays, const char *words, const char *name)
{
    pali_error err = {0};
    pl_codec *codec = open_made(arrays, MADE_ARRAYS, "", &err);
    if (codec || err.status != PALI_MODEL || !strstr(err.message, words) || (name && !strstr(err.message, name)))
        fail_msg("%s: found %s \"%s\", expected \"%s\"", name ? name : "?", codec ? "a codec" : "no codec", err.message, words);
}

static void wrong_arrays(void **state)
{
    (void)state;
    made_array *arrays = made_codec(tiny_widths);
    for (size_t i = 0; i < MADE_ARRAYS; i++) {
        made_array *a = &arrays[i];
        const made_array kept = *a;
        const bool average = i > 2 * PL_CODEC_LAYERS;
        if (!average) { /* missing, or without its last axis */
            a->rank = SIZE_MAX;
            refuse(arrays, "missing", kept.name);
            *a = kept;
        }
        a->rank = kept.rank == 1 ? 2 : kept.rank - 1;
        a->shape[1] = kept.rank == 1 ? 1 : kept.shape[1];
        refuse(arrays, "found shape", kept.name);
        *a = kept;
        for (size_t axis = 0; axis < kept.rank; axis++) { /* an axis that is longer than it should be: this array, or the next that sees it, is named */
            size_t count = 1;
            for (size_t j = 0; j < kept.rank; j++)
                count *= kept.shape[j] + (j == axis);
            a->shape[axis]++;
            a->values = made_hashed(count, 1);
            refuse(arrays, "found shape", NULL);
            free(a->values);
            *a = kept;
        }
        if (!average) {
            const float value = a->values[0];
            a->values[0] = i % 2 ? NAN : INFINITY;
            refuse(arrays, "not finite", kept.name);
            a->values[0] = value;
        }
    }
    /* A message in full. */
    arrays[2].shape[1] = 1;
    pali_error err = {0};
    assert_null(open_made(arrays, MADE_ARRAYS, "", &err));
    assert_string_equal(err.message, "made.safetensors: array encoder.2.weight: found shape [3, 1, 4, 4], expected [any, 2, 4, 4]");
    arrays[2].shape[1] = 2;
    assert_null(open_made(arrays, MADE_ARRAYS, "codec.", &err));
    assert_non_null(strstr(err.message, "codec._vq_vae._embedding"));
    made_free(arrays);
}

/* Finite weights that are too large are told, not pasted. */
static void overflow(void **state)
{
    (void)state;
    made_array *arrays = made_codec(tiny_widths);
    made_array *const last = &arrays[2 * (PL_CODEC_LAYERS - 1)], *const before = last - 1; /* decoder.12.weight, decoder.10.bias */
    for (size_t i = 0; i < tiny_widths.channels[0]; i++)
        last->values[i] = before->values[i] = 3e38f;
    pl_codec *codec = open_made(arrays, MADE_ARRAYS, "", NULL);
    assert_non_null(codec);
    const pl_hands hands = hands_of(NULL);
    const uint8_t codes[16] = {0};
    const float map[MAP] = {0};
    float out[MAP];
    uint8_t found[16];
    pali_error err = {0};
    assert_int_equal(pl_codec_decode_map(codec, &hands, codes, out, &err), PALI_MODEL);
    assert_non_null(strstr(err.message, "not finite in a decoded mask"));
    assert_int_equal(pl_codec_encode_map(codec, &hands, map, found, &err), PALI_OK);
    pl_codec_free(codec);
    made_free(arrays);
}

/* ---- Pasting --------------------------------------------------------- */

/* As in make_codec_goldens.py. */
static void smooth(float *map)
{
    float *raw = made_hashed(72 * 72, 77);
    for (int i = 0; i < 72 * 72; i++)
        raw[i] = rintf(raw[i] * 32) / 128;
    memset(map, 0, MAP * sizeof *map);
    for (int i = 0; i < MAP; i++)
        for (int dy = 0; dy < 9; dy++)
            for (int dx = 0; dx < 9; dx++)
                map[i] += raw[(i / 64 + dy) * 72 + i % 64 + dx];
    free(raw);
}

static void check_bilinear(char *at, void *context)
{
    const float *map = context;
    const size_t width = strtoul(at, &at, 10), height = strtoul(at, &at, 10);
    char *const text = ++at;
    at = strchr(at, ' ');
    *at++ = '\0';
    for (int order = 0; order < 2; order++) {
        const pl_pass_order orders[2] = {PL_PASS_HORIZONTAL_FIRST, PL_PASS_PILLOW_13};
        float *out = malloc(width * height * sizeof *out);
        assert_int_equal(pl_resize_pillow_float(map, 64, 64, width, height, PL_FILTER_BILINEAR, orders[order], out, NULL), PALI_OK);
        assert_int_equal(crc32(0, (const unsigned char *)out, (unsigned)(width * height * sizeof *out)), strtoul(at, &at, 16));
        free(out);
    }
    /* Into a larger mask, all of whose other pixels stay as they are. */
    pl_mask mask;
    pl_rle rle;
    assert_int_equal(pl_mask_new(width + 5, height + 7, "mask", &mask, NULL), PALI_OK);
    memset(mask.bits, 1, mask.width * mask.height);
    assert_int_equal(pl_mask_paste(map, (pl_region){3, 2, 3 + height, 2 + width}, PL_PASS_HORIZONTAL_FIRST, &mask, NULL), PALI_OK);
    pl_mask part = {.width = width, .height = height, .bits = malloc(width * height)};
    for (size_t y = 0; y < mask.height; y++)
        for (size_t x = 0; x < mask.width; x++)
            if (y >= 3 && y < 3 + height && x >= 2 && x < 2 + width)
                part.bits[(y - 3) * width + x - 2] = mask.bits[y * mask.width + x];
            else
                assert_int_equal(mask.bits[y * mask.width + x], 1);
    assert_int_equal(pl_rle_of_mask(&part, &rle, NULL), PALI_OK);
    char *found = pl_rle_text(&rle, NULL);
    assert_string_equal(found, text);
    free(found);
    pl_rle_free(&rle);
    pl_mask_free(&part);
    pl_mask_free(&mask);
}

static void check_bicubic(char *at, void *context)
{
    const size_t width = strtoul(at, &at, 10), height = strtoul(at, &at, 10);
    const pl_hands hands = hands_of(NULL);
    uint8_t *soft = malloc(width * height);
    assert_int_equal(pl_mask_paste_soft(context, (pl_region){0, 0, height, width}, &hands, width, soft, NULL), PALI_OK);
    assert_int_equal(crc32(0, soft, (unsigned)(width * height)), strtoul(at, &at, 16));
    free(soft);
}

static void against_pillow(void **state)
{
    (void)state;
    float map[MAP];
    smooth(map);
    each_line("bilinear", check_bilinear, map, 13);
    each_line("bicubic", check_bicubic, map, 13);
    float out[4];
    assert_int_equal(pl_resize_pillow_float(map, 64, 64, 2, 2, PL_FILTER_NEAREST, PL_PASS_HORIZONTAL_FIRST, out, NULL), PALI_USAGE);
    assert_int_equal(pl_resize_pillow_float(map, 64, 64, 0, 2, PL_FILTER_BILINEAR, PL_PASS_HORIZONTAL_FIRST, out, NULL), PALI_INPUT);
}

static void boxes(void **state)
{
    (void)state;
    static const struct {
        int bins[4];
        pali_paste paste;
        pl_region expected; /* of 480 x 640 */
    } cases[] = {
        {{0, 0, 1023, 1023}, PALI_PASTE_EVALUATOR, {0, 0, 480, 640}},
        {{0, 0, 1023, 1023}, PALI_PASTE_DEMO, {0, 0, 480, 639}}, /* 479.53 and 639.375 */
        {{512, 512, 600, 700}, PALI_PASTE_EVALUATOR, {240, 320, 281, 437}}, /* 240.2, 320.3, 281.5, 437.9 */
        {{512, 512, 600, 700}, PALI_PASTE_DEMO, {240, 320, 281, 438}},      /* 281.25, 437.5: half to even */
        {{1, 1, 2, 2}, PALI_PASTE_EVALUATOR, {0, 0, 0, 1}},
        {{300, 300, 300, 400}, PALI_PASTE_EVALUATOR, {0, 0, 0, 0}},
        {{300, 400, 301, 300}, PALI_PASTE_DEMO, {0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pl_region part = pl_region_of_bins(cases[i].bins, 640, 480, cases[i].paste);
        const pl_region e = cases[i].expected;
        if (part.y1 != e.y1 || part.x1 != e.x1 || part.y2 != e.y2 || part.x2 != e.x2)
            fail_msg("case %zu: found %zu %zu %zu %zu", i, part.y1, part.x1, part.y2, part.x2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_pytorch),
        cmocka_unit_test(first_minimum_wins),
        cmocka_unit_test(codes_out_of_range),
        cmocka_unit_test(files),
        cmocka_unit_test(wrong_arrays),
        cmocka_unit_test(overflow),
        cmocka_unit_test(against_pillow),
        cmocka_unit_test(boxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
