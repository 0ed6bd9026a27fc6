/*
 * Several pictures in one question: clips from animations and from stills,
 * pairs, and pictures that sessions share.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pali/pali.h>

typedef struct fixture {
    pali_model *model;
} fixture;

static int open_tiny(void **state)
{
    static fixture f;
    f.model = pali_model_open("tests/data/tiny/pg2", &(pali_model_options){.threads = 2}, NULL);
    *state = &f;
    return f.model ? 0 : -1;
}

static int close_tiny(void **state)
{
    fixture *f = *state;
    pali_model_free(f->model);
    return 0;
}

#define CLIP "tests/data/clip/"
enum { CLIP_FRAMES = 16 };
static const char *const clip_files[CLIP_FRAMES] = {
    CLIP "00.png", CLIP "01.png", CLIP "02.png", CLIP "03.png", CLIP "04.png", CLIP "05.png", CLIP "06.png", CLIP "07.png",
    CLIP "08.png", CLIP "09.png", CLIP "10.png", CLIP "11.png", CLIP "12.png", CLIP "13.png", CLIP "14.png", CLIP "15.png",
};

/* A clip of `frames` from these files shows the stills of that order. */
static void check_clip(const char *const *paths, size_t count, size_t frames, size_t stride, const size_t *order)
{
    pali_error err = {0};
    pali_image *images[2 * CLIP_FRAMES];
    assert_true(frames <= 2 * CLIP_FRAMES);
    if (pali_image_open_clip(paths, count, frames, stride, images, &err) != PALI_OK)
        fail_msg("%s: %s", paths[0], err.message);
    for (size_t i = 0; i < frames; i++) {
        pali_image *still = pali_image_open(clip_files[order[i]], &err);
        assert_int_equal(pali_image_width(images[i]), pali_image_width(still));
        assert_int_equal(pali_image_height(images[i]), pali_image_height(still));
        assert_memory_equal(pali_image_rgb(images[i]), pali_image_rgb(still), 3 * pali_image_width(still) * pali_image_height(still));
        pali_image_free(still);
        pali_image_free(images[i]);
    }
}

/* Sixteen frames of GIF and WebP are the PNGs that Pillow takes from them; strides; three frames, eight wanted: 0 1 2 0 1 2 0 1. */
static void test_clips(void **state)
{
    (void)state;
    static const char *const gif[] = {CLIP "clip.gif"}, *const webp[] = {CLIP "clip.webp"};
    static const size_t all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1}, fifths[] = {0, 5, 10, 15, 0, 5}, eight[] = {0, 1, 2, 0, 1, 2, 0, 1},
                        far[] = {0, 0};
    const char *const *const ways[] = {gif, webp, clip_files};
    for (size_t i = 0; i < 3; i++) {
        const size_t count = ways[i] == clip_files ? CLIP_FRAMES : 1;
        check_clip(ways[i], count, 18, 0, all);
        check_clip(ways[i], count, 2, 1, all);
        check_clip(ways[i], count, 6, 5, fifths);
        check_clip(ways[i], count, 2, SIZE_MAX, far);
    }
    check_clip(clip_files, 3, 8, 1, eight);
    /* Nothing is left of a clip one of whose frames is missing. */
    pali_error err = {0};
    pali_image *images[4] = {0};
    const char *const broken[] = {clip_files[0], "tests/data/clip/none.png", clip_files[1]};
    assert_int_equal(pali_image_open_clip(broken, 3, 4, 1, images, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "none.png"));
    assert_null(images[0]);
    assert_int_equal(pali_image_open_clip(clip_files, 0, 4, 1, images, &err), PALI_USAGE);
    assert_int_equal(pali_image_open_clip(NULL, 1, 4, 1, images, &err), PALI_USAGE);
    assert_int_equal(pali_image_open_clip(clip_files, 1, 4, 1, NULL, &err), PALI_USAGE);
}

/* What the model says of these pictures, with its log-probabilities. */
static pali_answer *ask_about(fixture *f, pali_image **images, size_t count)
{
    pali_error err = {0};
    pali_session *session = pali_session_new(f->model, NULL, &err);
    pali_answer *answer = pali_ask(session, images, count, "caption en", &(pali_ask_options){.max_tokens = 6, .logprobs = true}, &err);
    if (!answer)
        fail_msg("%s", err.message);
    pali_session_free(session);
    return answer;
}

static bool same_answer(const pali_answer *a, const pali_answer *b)
{
    const size_t count = pali_answer_token_count(a);
    return count == pali_answer_token_count(b) && memcmp(pali_answer_tokens(a), pali_answer_tokens(b), count * sizeof(int32_t)) == 0 &&
           memcmp(pali_answer_logprobs(a), pali_answer_logprobs(b), count * sizeof(float)) == 0;
}

/* A clip of three frames stretched to eight is answered as the eight files are, to the bit; a pair counts in its order. */
static void test_clip_answers(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    pali_image *clip[8], *files[8], *turned[2];
    assert_int_equal(pali_image_open_clip(clip_files, 3, 8, 1, clip, &err), PALI_OK);
    for (size_t i = 0; i < 8; i++)
        files[i] = pali_image_open(clip_files[i % 3], &err);
    turned[0] = files[1];
    turned[1] = files[0];
    pali_answer *const answers[] = {ask_about(f, clip, 8), ask_about(f, files, 8), ask_about(f, files, 2), ask_about(f, turned, 2)};
    assert_true(same_answer(answers[0], answers[1]));
    assert_false(same_answer(answers[2], answers[3]));
    for (size_t i = 0; i < 4; i++)
        pali_answer_free(answers[i]);
    for (size_t i = 0; i < 8; i++) {
        pali_image_free(clip[i]);
        pali_image_free(files[i]);
    }
}

/* Pictures of another session are used as they are: the same answer, nothing encoded; the giver may go on to others, or away. */
static void test_shared_images(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    pali_image *const image = pali_image_open(clip_files[0], &err), *const other = pali_image_open(clip_files[9], &err);
    pali_session *const giver = pali_session_new(f->model, NULL, &err), *const taker = pali_session_new(f->model, NULL, &err);
    assert_int_equal(pali_session_use_images(taker, giver, &err), PALI_USAGE); /* it has none */
    assert_int_equal(pali_session_set_images(giver, &image, 1, &err), PALI_OK);
    assert_int_equal(pali_session_use_images(giver, giver, &err), PALI_OK);
    assert_int_equal(pali_session_use_images(taker, giver, &err), PALI_OK);
    assert_int_equal(pali_session_set_images(giver, &other, 1, &err), PALI_OK);
    pali_session_free(giver);
    const pali_ask_options options = {.max_tokens = 6, .logprobs = true};
    pali_answer *const shared = pali_ask(taker, NULL, 0, "caption en", &options, &err), *const alone = ask_about(f, (pali_image *[]){image}, 1);
    assert_non_null(shared);
    assert_true(same_answer(shared, alone));
    assert_true(pali_answer_timings(shared).encode == 0);
    assert_int_equal(pali_session_use_images(NULL, taker, &err), PALI_USAGE);
    assert_int_equal(pali_session_use_images(taker, NULL, &err), PALI_USAGE);
    pali_answer_free(shared);
    pali_answer_free(alone);
    pali_session_free(taker);
    pali_image_free(image);
    pali_image_free(other);
}

/* What a question takes grows with what it holds; nothing is known of no model. */
static void test_question_bytes(void **state)
{
    fixture *f = *state;
    const uint64_t one = pali_model_question_bytes(f->model, 1, 16, 16);
    assert_true(one > 0 && pali_model_question_bytes(f->model, 2, 16, 16) > one && pali_model_question_bytes(f->model, 1, 16, 160) > one);
    assert_true(pali_model_question_bytes(NULL, 1, 16, 16) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clips), cmocka_unit_test(test_clip_answers), cmocka_unit_test(test_shared_images),
                                       cmocka_unit_test(test_question_bytes)};
    return cmocka_run_group_tests_name("clip", tests, open_tiny, close_tiny);
}
