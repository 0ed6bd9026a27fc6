/*
 * Running out of memory: each allocation that our objects make on the way
 * from a file to patches fails once. Every failure is PALI_MEMORY, leaves
 * nothing behind and crashes nothing. The linker sends malloc and its kin of
 * our objects here (--wrap); the picture libraries keep their own.
 */
#include "support.h"

#include "image/preprocess.h"

#include <stdlib.h>
#include <string.h>

static long calls, fail_at = -1; /* fail_at: number of the call that fails, or -1 */
static long live;                /* blocks handed out and not freed */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);

static void *count_block(void *block)
{
    live += block != NULL;
    return block;
}
static int fails(void)
{
    return calls++ == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : count_block(__real_malloc(size));
}
void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : count_block(__real_calloc(count, size));
}
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : count_block(__real_aligned_alloc(alignment, size));
}
void *__wrap_realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    void *larger = __real_realloc(block, size);
    live += larger && !block;
    return larger;
}
void __wrap_free(void *block)
{
    live -= block != NULL;
    __real_free(block);
}

static float pixels[3 * 28 * 28], rows[3 * 28 * 28];

static pali_status open_and_cut(const char *path, pl_preprocess_kind kind, pali_error *err)
{
    pl_image image;
    const pl_preprocess_options options = {.kind = kind, .filter = PL_FILTER_BICUBIC};
    pali_status status = pl_image_open(path, &image, err);
    if (status == PALI_OK)
        status = pl_preprocess(&image, 28, &options, pixels, err);
    if (status == PALI_OK)
        pl_patches(pixels, 28, 14, rows);
    pl_image_free(&image);
    return status;
}

static const unsigned char *clip_bytes; /* of the file at `path`, read beforehand */
static size_t clip_size;

static pali_status read_clip(const char *path, pl_preprocess_kind kind, pali_error *err)
{
    (void)kind;
    pl_frames clip;
    const pali_status status = pl_image_frames(clip_bytes, clip_size, path, 0, &clip, err);
    if (status == PALI_OK)
        pl_frames_free(&clip);
    return status;
}

static void fail_each(pali_status (*run)(const char *path, pl_preprocess_kind kind, pali_error *err), const char *path, pl_preprocess_kind kind)
{
    pali_error err = {0};
    calls = 0;
    fail_at = -1;
    if (run(path, kind, &err) != PALI_OK)
        fail_msg("%s: refused with all memory there: %s", path, err.message);
    const long total = calls;
    assert_true(total > 1);
    for (long n = 0; n < total; n++) {
        const long before = live;
        calls = 0;
        fail_at = n;
        err = (pali_error){0};
        const pali_status status = run(path, kind, &err);
        fail_at = -1;
        if (status != PALI_MEMORY || err.status != PALI_MEMORY || !strstr(err.message, "out of memory"))
            fail_msg("%s, allocation %ld of %ld: found status %d (%s), expected out of memory", path, n, total, (int)status, err.message);
        if (live != before)
            fail_msg("%s, allocation %ld of %ld: %ld blocks were left behind", path, n, total, live - before);
    }
}

static void test_pictures(void **state)
{
    (void)state;
    const char *files[] = {
        IMAGE_DATA "rgb420.jpg",   IMAGE_DATA "exif6.jpg",      IMAGE_DATA "cmyk.jpg",          IMAGE_DATA "rgb16.png",
        IMAGE_DATA "exif3.png",    IMAGE_DATA "lossy.webp",     IMAGE_DATA "lossless_alpha.webp", IMAGE_DATA "animated.webp",
        IMAGE_DATA "xmp4.webp",    IMAGE_DATA "interlaced.gif", IMAGE_DATA "clip2.gif",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (int kind = 0; kind <= PL_PREPROCESS_VIDEO; kind++)
            fail_each(open_and_cut, files[i], (pl_preprocess_kind)kind);
}

static void test_clips(void **state)
{
    (void)state;
    const char *files[] = {"animated.webp", "clip2.gif", "clip_mixed.gif"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        unsigned char *bytes = read_bytes(IMAGE_DATA, files[i], &clip_size);
        clip_bytes = bytes;
        fail_each(read_clip, files[i], PL_PREPROCESS_HF);
        free(bytes);
    }
}

/* Nearest, one-axis and vertical-first resizes have allocations of their own. */
static pali_status resize_ways(const char *path, pl_preprocess_kind kind, pali_error *err)
{
    (void)kind;
    static const struct {
        size_t width, height;
        pl_filter filter;
    } ways[] = {{9, 9, PL_FILTER_NEAREST}, {37, 9, PL_FILTER_BICUBIC}, {9, 23, PL_FILTER_LANCZOS}, {40, 9, PL_FILTER_BOX}};
    pl_image image, out;
    pali_status status = pl_image_open(path, &image, err);
    for (size_t i = 0; i < 4 && status == PALI_OK; i++) {
        status = pl_resize_pillow(&image, ways[i].width, ways[i].height, ways[i].filter, PL_PASS_PILLOW_13, &out, err);
        pl_image_free(&out);
    }
    pl_image_free(&image);
    return status;
}

static void test_resizes(void **state)
{
    (void)state;
    fail_each(resize_ways, IMAGE_DATA "rgb8.png", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_clips),
        cmocka_unit_test(test_resizes),
    };
    return cmocka_run_group_tests_name("image: memory", tests, NULL, NULL);
}
