/*
 * The mask codec's trainer: masks from all that has them, the quantiser's
 * gradient, that it learns, that a run gone on with has the bits of one that
 * was not stopped, for any number of threads, and that its file is the one
 * that everything else reads.
 */
#include "train/codec_batch.h"
#include "train/codec_book.h"
#include "train/codec_trainer.h"

#include "base/file.h"
#include "base/folder.h"
#include "image/encode.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/pali-codec-XXXXXX";

static char *path_of(const char *name)
{
    static char paths[8][256];
    static size_t next;
    char *const path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* A picture of 20 x 12 with ones from (x1, 3) to (x2, 9). */
static void write_mask(const char *path, size_t x1, size_t x2)
{
    unsigned char bytes[12][20] = {{0}};
    for (size_t y = 3; y < 9; y++)
        memset(&bytes[y][x1], 255, x2 - x1);
    const pl_raster raster = {.bytes = &bytes[0][0], .width = 20, .height = 12, .channels = 1};
    assert_int_equal(pl_image_save(&raster, &(pl_encode_options){.format = PL_FORMAT_PNG}, path, NULL), PALI_OK);
}

/* Rows of polygons, each another triangle or four-sided figure. */
static const char *polygons(void)
{
    static char path[256];
    snprintf(path, sizeof path, "%s", path_of("rows.jsonl"));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    uint32_t state = 9;
    for (int i = 0; i < 120; i++) {
        int xy[8];
        for (int j = 0; j < 8; j++) {
            state = state * 1664525 + 1013904223;
            xy[j] = (int)(state >> 8) % 30 + (j == 2 || j == 4 ? 60 : 0) + (j == 5 || j == 7 ? 40 : 0);
        }
        fprintf(file, "{\"width\": 96, \"height\": 72, \"mask\": [[%d, %d, %d, %d, %d, %d, %d, %d]]}\n", xy[0], xy[1], xy[2], xy[3], xy[4], xy[5], xy[6], xy[7]);
    }
    assert_int_equal(fclose(file), 0);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return pl_folder_remove(folder);
}

/* ---- Masks ------------------------------------------------------------ */

static pali_status read_pool(pl_mask_pool *pool, const char *path, bool skip_bad, pali_error *err)
{
    const pl_hands hands = {.kernels = pl_kernels_get(NULL, NULL)};
    *err = (pali_error){0};
    return pl_mask_pool_read(pool, &(pl_mask_source){.path = path}, 1, skip_bad, &hands, err);
}

/* What a rectangle that fills its box is cut out as: all in. Pictures, run lengths and polygons of one mask are one. */
static void test_inputs(void **state)
{
    (void)state;
    pl_mask_pool pool = {0};
    pali_error err;
    write_mask(path_of("a.png"), 4, 14);
    write_text(path_of("all.jsonl"), "{\"prefix\": \"caption\", \"suffix\": \"no mask\"}\n"
                                     "{\"mask\": \"a.png\"}\n"
                                     "{\"mask\": \"a.png\", \"prefix\": \"again\"}\n"
                                     "{\"mask\": \"a.png\", \"box\": [4, 3, 20, 9]}\n"
                                     "{\"mask\": {\"size\": [4, 4], \"counts\": [5, 2, 2, 2, 5]}}\n"
                                     "{\"width\": 8, \"height\": 8, \"masks\": [[[2, 2, 6, 2, 6, 6, 2, 6]], [[1, 1, 7, 1, 1, 7]]]}\n"
                                     "{\"image\": \"a.png\", \"objects\": [{\"label\": \"x\", \"box\": [1, 1, 2, 2]}, {\"label\": \"y\", \"mask\": [[1, 1, 19, 1, 19, 11]]}]}\n");
    assert_int_equal(read_pool(&pool, path_of("all.jsonl"), false, &err), PALI_OK);
    assert_int_equal(pool.count, 4); /* the whole rectangle; the same in a wider box; two triangles */
    for (size_t i = 0; i < PL_CODEC_MAP; i++)
        assert_int_equal(pool.maps[i], 255);
    assert_int_equal(pool.maps[PL_CODEC_MAP], 255);
    assert_int_equal(pool.maps[PL_CODEC_MAP + PL_CODEC_SIDE - 1], 0);
    pl_mask_pool_free(&pool);

    assert_int_equal(pl_folder_make(path_of("pictures"), NULL), PALI_OK);
    write_mask(path_of("pictures/b.png"), 2, 9);
    write_mask(path_of("pictures/a.PNG"), 2, 9);
    write_text(path_of("pictures/notes.txt"), "no mask");
    assert_int_equal(read_pool(&pool, path_of("pictures"), false, &err), PALI_OK);
    assert_int_equal(pool.count, 1);
    pl_mask_pool_free(&pool);
    assert_int_equal(read_pool(&pool, path_of("a.png"), false, &err), PALI_OK);
    assert_int_equal(pool.count, 1);
    pl_mask_pool_free(&pool);
}

static void test_bad_inputs(void **state)
{
    (void)state;
    static const struct {
        const char *row, *message;
    } bad[] = {
        {"{\"mask\": \"missing.png\"}", "bad.jsonl:2: "},
        {"{\"mask\": [[1, 1, 5, 1, 5, 5]]}", "without a picture"},
        {"{\"mask\": {\"size\": [2, 2], \"counts\": [4]}}", "no pixel"},
        {"{\"width\": 8, \"height\": 8, \"mask\": [[1, 1, 5, 1, 5, 5]], \"box\": [0, 0, 50, 50]}", "box"},
        {"{\"masks\": 3}", "bad.jsonl:2: field 'masks'"},
        {"{\"mask\": ", "bad.jsonl:2: "},
    };
    char text[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pl_mask_pool pool = {0};
        pali_error err;
        snprintf(text, sizeof text, "{\"mask\": {\"size\": [2, 2], \"counts\": [0, 4]}}\n%s\n", bad[i].row);
        write_text(path_of("bad.jsonl"), text);
        assert_int_equal(read_pool(&pool, path_of("bad.jsonl"), false, &err), PALI_INPUT);
        if (!strstr(err.message, bad[i].message) || !strstr(err.message, "bad.jsonl:2"))
            fail_msg("found \"%s\", expected \"%s\" in it", err.message, bad[i].message);
        pl_mask_pool_free(&pool);
        assert_int_equal(read_pool(&pool, path_of("bad.jsonl"), true, &err), PALI_OK);
        assert_int_equal(pool.count, 1);
        assert_int_equal(pool.bad, 1);
        assert_non_null(strstr(pool.first_bad, "bad.jsonl:2"));
        pl_mask_pool_free(&pool);
    }
    pl_mask_pool pool = {0};
    pali_error err;
    write_text(path_of("none.jsonl"), "{\"prefix\": \"caption\", \"suffix\": \"no mask\"}\n");
    assert_int_equal(read_pool(&pool, path_of("none.jsonl"), false, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "found no mask"));
    pl_mask_pool_free(&pool);
}

/* ---- The quantiser ---------------------------------------------------- */

/* The commitment's gradient against differences; what was said wrongly gives none of the decoder's. */
static void test_quantise(void **state)
{
    (void)state;
    enum { COUNT = 6, WIDTH = 5 };
    const pl_codec_widths widths = {.channels = {2, 2, 2, 2}, .code = WIDTH};
    pl_codec *codec = pl_codec_new(&widths, "test", NULL);
    float *codes = (float *)codec->codes.data;
    for (size_t i = 0; i < PL_SEGMENT_CODES * WIDTH; i++)
        codes[i] = sinf((float)i);
    const uint8_t chosen[COUNT] = {3, 7, 3, 100, 127, 0}, said[COUNT] = {3, 8, 3, 100, 5, 0};
    pl_tape tape;
    pl_arena arena;
    pl_tape_init(&tape);
    assert_int_equal(pl_arena_init(&arena, 1 << 16, "test", NULL), PALI_OK);
    assert_int_equal(pl_tape_reserve(&tape, 1 << 16, NULL), PALI_OK);
    pl_context ctx = {.kernels = pl_kernels_get(NULL, NULL), .arena = &arena, .tape = &tape};
    const pl_rows vectors = pl_rows_push(&ctx, COUNT, WIDTH), used = pl_rows_push(&ctx, COUNT, WIDTH);
    for (size_t i = 0; i < COUNT * WIDTH; i++)
        vectors.data[i] = cosf((float)i);
    pl_codec_quantise(&ctx, codec, vectors, chosen, said, 0.5f, used);
    for (size_t t = 0; t < COUNT; t++)
        assert_memory_equal(used.data + t * WIDTH, codes + said[t] * WIDTH, WIDTH * sizeof(float));
    float *dused = pl_gradient(&ctx, used).data;
    const float *dvectors = pl_gradient(&ctx, vectors).data;
    for (size_t i = 0; i < COUNT * WIDTH; i++)
        dused[i] = (float)i;
    pl_tape_backward(&ctx);
    for (size_t i = 0; i < COUNT * WIDTH; i++) {
        const float value = vectors.data[i], step = 1e-2f; /* the loss is a square: differences are exact but for rounding */
        vectors.data[i] = value + step;
        const double above = pl_codec_distance(codec, vectors, chosen);
        vectors.data[i] = value - step;
        const double below = pl_codec_distance(codec, vectors, chosen), width = (double)(value + step) - (double)(value - step);
        vectors.data[i] = value;
        const double expected = 0.5 * (above - below) / width + (chosen[i / WIDTH] == said[i / WIDTH] ? (double)dused[i] : 0);
        assert_true(fabs((double)dvectors[i] - expected) < 1e-5 + 1e-6 * fabs(expected));
    }
    pl_tape_free(&tape);
    pl_arena_free(&arena);
    pl_codec_free(codec);
}

/* Codes go to the means of what chose them; those of nobody start again at a vector. */
static void test_book(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    const pl_codec_widths widths = {.channels = {1, 1, 1, 1}, .code = 2};
    pl_codec *codec = pl_codec_new(&widths, "test", NULL);
    float values[COUNT][2];
    uint8_t chosen[COUNT];
    for (size_t t = 0; t < COUNT; t++) {
        values[t][0] = t % 2 ? 1.0f : 3.0f;
        values[t][1] = -5;
        chosen[t] = (uint8_t)(t / 2 % 2);
    }
    const pl_rows vectors = {.data = &values[0][0], .count = COUNT, .width = 2};
    pl_codec_book_start(codec, vectors, 1);
    size_t restarted = 0;
    for (uint64_t step = 0; step < 600; step++)
        restarted += pl_codec_book_follow(codec, vectors, chosen, step);
    const float *codes = codec->codes.data;
    for (size_t code = 0; code < PL_SEGMENT_CODES; code++) {
        const float *at = codes + 2 * code;
        if (code < 2) /* both were chosen by as many ones as threes */
            assert_true(fabsf(at[0] - 2) < 0.02f && fabsf(at[1] + 5) < 0.02f);
        else
            assert_true((fabsf(at[0] - 1) < 0.02f || fabsf(at[0] - 3) < 0.02f) && fabsf(at[1] + 5) < 0.02f);
        assert_true(fabsf(codec->code_norms[code] - (at[0] * at[0] + at[1] * at[1])) < 1e-4f);
    }
    assert_true(restarted > 0);
    pl_codec_free(codec);
}

/* ---- Runs ------------------------------------------------------------- */

static pl_codec_options small_run(const char *out, pl_pool *pool)
{
    static pl_mask_source source, held_out;
    source = (pl_mask_source){.path = polygons()};
    held_out = (pl_mask_source){.path = source.path, .skip = 100};
    source.limit = 100;
    pl_codec_options o = pl_codec_options_default();
    o.data = &source;
    o.validation = &held_out;
    o.data_count = o.validation_count = 1;
    o.out = out;
    o.widths = (pl_codec_widths){.channels = {4, 6, 8, 12}, .code = 12};
    o.batch = 32;
    o.steps = 12;
    o.warmup = 4;
    o.seed = 3;
    o.hands = (pl_hands){.kernels = pl_kernels_get(NULL, NULL), .pool = pool};
    return o;
}

static pl_codec_trainer *open_run(const pl_codec_options *o)
{
    pali_error err = {0};
    pl_codec_trainer *t = pl_codec_trainer_open(o, &err);
    if (!t)
        fail_msg("%s", err.message);
    return t;
}

static void make_steps(pl_codec_trainer *t, uint64_t end)
{
    pali_error err = {0};
    pl_codec_report report;
    while (pl_codec_trainer_steps(t) < end)
        if (pl_codec_trainer_step(t, &report, &err) != PALI_OK)
            fail_msg("%s", err.message);
}

static void assert_same_files(const char *a, const char *b)
{
    size_t size_a = 0, size_b = 0;
    char *x = pl_file_read(a, 1 << 26, &size_a, PALI_INPUT, NULL), *y = pl_file_read(b, 1 << 26, &size_b, PALI_INPUT, NULL);
    assert_true(x && y && size_a == size_b);
    assert_memory_equal(x, y, size_a);
    free(x);
    free(y);
}

/* Three threads and stopped twice, against one thread in one go: the same files to the byte. */
static void test_resume(void **state)
{
    (void)state;
    char whole[256], parts[256], whole_state[300], parts_state[300];
    snprintf(whole, sizeof whole, "%s", path_of("whole.npz"));
    snprintf(parts, sizeof parts, "%s", path_of("parts.npz"));
    pl_codec_options o = small_run(whole, NULL);
    pl_codec_trainer *t = open_run(&o);
    make_steps(t, 12);
    assert_int_equal(pl_codec_trainer_save(t, NULL), PALI_OK);
    pl_codec_trainer_free(t);
    pl_pool *pool = pl_pool_new(3, NULL);
    o = small_run(parts, pool);
    for (uint64_t stop = 5; stop < 20; stop += 4) {
        t = open_run(&o);
        make_steps(t, stop < 12 ? stop : 12);
        assert_int_equal(pl_codec_trainer_save(t, NULL), PALI_OK);
        make_steps(t, 12); /* what comes after is lost */
        pl_codec_trainer_free(t);
    }
    pl_pool_free(pool);
    assert_same_files(whole, parts);
    snprintf(whole_state, sizeof whole_state, "%s.state", whole);
    snprintf(parts_state, sizeof parts_state, "%s.state", parts);
    assert_same_files(whole_state, parts_state);

    pali_error err = {0};
    o.hands.pool = NULL;
    o.seed = 4;
    assert_null(pl_codec_trainer_open(&o, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_non_null(strstr(err.message, "parts.npz.state"));
    o.fresh = true;
    t = open_run(&o);
    assert_int_equal(pl_codec_trainer_steps(t), 0);
    pl_codec_trainer_free(t);
}

/* It learns; what is written is what was trained, and goes the way that inference goes; it can be taught further. */
static void test_learns(void **state)
{
    (void)state;
    char out[256], next[256];
    snprintf(out, sizeof out, "%s", path_of("learnt.npz"));
    snprintf(next, sizeof next, "%s", path_of("next.npz"));
    pl_codec_options o = small_run(out, NULL);
    o.widths = (pl_codec_widths){.channels = {4, 8, 12, 16}, .code = 16};
    o.steps = 300;
    o.batch = 16;
    o.rate.lr = 6e-3;
    o.warmup = 20;
    pl_codec_trainer *t = open_run(&o);
    double before = 0, after = 0, again = 0, alone = 0;
    assert_int_equal(pl_codec_trainer_evaluate(t, &before, NULL), PALI_OK);
    make_steps(t, o.steps);
    assert_int_equal(pl_codec_trainer_evaluate(t, &after, NULL), PALI_OK);
    if (!(after > 0.85 && before < 0.6)) /* the figures fill about half of their boxes; 0.92 to 0.95 were seen */
        fail_msg("held-out masks overlap by %g, before training by %g", after, before);
    assert_int_equal(pl_codec_trainer_save(t, NULL), PALI_OK);

    pali_error err = {0};
    pl_codec *codec = pl_codec_open(out, &err);
    if (!codec)
        fail_msg("%s", err.message);
    const pl_mask_pool *held_out = pl_codec_trainer_held_out(t);
    for (size_t n = 0; n < held_out->count; n++) {
        float map[PL_CODEC_MAP], decoded[PL_CODEC_MAP];
        uint8_t codes[PALI_MASK_TOKENS];
        size_t both = 0, either = 0;
        for (size_t i = 0; i < PL_CODEC_MAP; i++)
            map[i] = (float)held_out->maps[n * PL_CODEC_MAP + i] / 127.5f - 1;
        assert_int_equal(pl_codec_encode_map(codec, &o.hands, map, codes, NULL), PALI_OK);
        assert_int_equal(pl_codec_decode_map(codec, &o.hands, codes, decoded, NULL), PALI_OK);
        for (size_t i = 0; i < PL_CODEC_MAP; i++) {
            both += map[i] > 0 && decoded[i] > 0;
            either += map[i] > 0 || decoded[i] > 0;
        }
        alone += (double)both / (double)either / (double)held_out->count;
    }
    assert_true(fabs(alone - after) < 1e-12); /* the bits of one mask are those among many */
    pl_codec_free(codec);
    pl_codec_trainer_free(t);

    o.begin = out;
    o.out = next;
    t = open_run(&o);
    assert_int_equal(pl_codec_trainer_evaluate(t, &again, NULL), PALI_OK);
    assert_true(again == after);
    make_steps(t, 2);
    pl_codec_trainer_free(t);
}

static void test_bad_runs(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_codec_options o = small_run(path_of("bad.npz"), NULL);
    o.batch = 6;
    assert_null(pl_codec_trainer_open(&o, &err));
    assert_int_equal(err.status, PALI_USAGE);
    o = small_run(path_of("bad.npz"), NULL);
    o.widths.channels[2] = 0;
    assert_null(pl_codec_trainer_open(&o, &err));
    assert_int_equal(err.status, PALI_USAGE);
    o = small_run(path_of("bad.npz"), NULL);
    o.begin = o.data->path;
    assert_null(pl_codec_trainer_open(&o, &err));
    assert_int_equal(err.status, PALI_MODEL);
    o = small_run(path_of("no/such/folder.npz"), NULL);
    pl_codec_trainer *t = open_run(&o);
    assert_int_equal(pl_codec_trainer_save(t, &err), PALI_FAILED);
    pl_codec_trainer_free(t);
    o = small_run(path_of("bad.npz"), NULL);
    o.rate.lr = 1e30;
    o.warmup = 0;
    o.optimiser.clip = 0;
    t = open_run(&o);
    pl_codec_report report;
    pali_status status = PALI_OK;
    for (size_t i = 0; i < 12 && status == PALI_OK; i++)
        status = pl_codec_trainer_step(t, &report, &err);
    assert_int_equal(status, PALI_FAILED);
    assert_non_null(strstr(err.message, "no number"));
    pl_codec_trainer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inputs), cmocka_unit_test(test_bad_inputs), cmocka_unit_test(test_quantise), cmocka_unit_test(test_book),
        cmocka_unit_test(test_resume), cmocka_unit_test(test_learns),     cmocka_unit_test(test_bad_runs),
    };
    return cmocka_run_group_tests_name("mask codec training", tests, make_folder, remove_folder);
}
