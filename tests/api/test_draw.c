/* pali_answer_draw: an answer whose objects are known, since it was made to begin with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pali/pali.h>

#define TINY "tests/data/tiny/"

enum { SIDE = 200 };

typedef struct fixture {
    pali_model *model;
    pali_session *session;
    pali_image *grey;
} fixture;

static int open_tiny(void **state)
{
    static fixture f;
    static uint8_t rgb[3 * SIDE * SIDE];
    memset(rgb, 100, sizeof rgb);
    pali_error err = {0};
    f.model = pali_model_open(TINY "pg1", &(pali_model_options){.threads = 1}, &err);
    f.session = f.model ? pali_session_new(f.model, NULL, &err) : NULL;
    f.grey = pali_image_from_rgb(rgb, SIDE, SIDE, &err);
    *state = &f;
    return f.session && f.grey ? 0 : -1;
}

static int close_tiny(void **state)
{
    fixture *f = *state;
    pali_image_free(f->grey);
    pali_session_free(f->session);
    pali_model_free(f->model);
    return 0;
}

static pali_answer *answer_of(fixture *f, const char *start)
{
    pali_error err = {0};
    pali_answer *answer = pali_ask(f->session, &f->grey, 1, "detect cat", &(pali_ask_options){.max_tokens = 1, .start = start}, &err);
    if (!answer)
        fail_msg("%s", err.message);
    return answer;
}

static bool differs(const pali_image *a, const pali_image *b, size_t x, size_t y)
{
    const size_t at = 3 * (y * pali_image_width(a) + x);
    return memcmp(pali_image_rgb(a) + at, pali_image_rgb(b) + at, 3) != 0;
}

/* y from an eighth to five eighths, x from a quarter to three: drawn there on the picture and on one of another size. */
static void test_box(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    pali_answer *answer = answer_of(f, "<loc0128><loc0256><loc0639><loc0767> cat");
    assert_int_equal(pali_answer_object_count(answer), 1);
    for (size_t scale = 1; scale <= 2; scale++) {
        const size_t side = scale * SIDE;
        uint8_t *rgb = malloc(3 * side * side);
        memset(rgb, 100, 3 * side * side);
        pali_image *image = pali_image_from_rgb(rgb, side, side, &err);
        pali_image *drawn = pali_answer_draw(answer, image, &(pali_draw_options){.line_width = 4, .no_labels = true}, &err);
        assert_non_null(drawn);
        assert_int_equal(pali_image_width(drawn), side);
        assert_true(differs(drawn, image, side / 4, side / 2));
        assert_true(differs(drawn, image, side * 3 / 4, side / 2));
        assert_true(differs(drawn, image, side / 2, side / 8));
        assert_true(differs(drawn, image, side / 2, side * 5 / 8));
        assert_false(differs(drawn, image, side / 2, side / 4));
        assert_false(differs(drawn, image, side / 8, side / 2));
        assert_false(differs(drawn, image, side / 2, side * 3 / 4));
        assert_memory_equal(pali_image_rgb(image), rgb, 3 * side * side); /* the picture itself stays */
        pali_image_free(drawn);
        pali_image_free(image);
        free(rgb);
    }
    pali_image *labelled = pali_answer_draw(answer, f->grey, NULL, &err);
    assert_true(differs(labelled, f->grey, 60, SIDE / 8 - 8)); /* the label stands above */
    pali_image_free(labelled);
    pali_answer_free(answer);
}

/* Nothing to draw: no objects, or one without area. */
static void test_nothing(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    const char *const starts[] = {"a cat", "<loc0500><loc0100><loc0400><loc0900> cat"};
    for (size_t i = 0; i < 2; i++) {
        pali_answer *answer = answer_of(f, starts[i]);
        assert_int_equal(pali_answer_object_count(answer), i);
        pali_image *drawn = pali_answer_draw(answer, f->grey, NULL, &err);
        assert_memory_equal(pali_image_rgb(drawn), pali_image_rgb(f->grey), 3 * SIDE * SIDE);
        pali_image_free(drawn);
        pali_answer_free(answer);
    }
}

static void test_arguments(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    pali_answer *answer = answer_of(f, "<loc0256><loc0256><loc0767><loc0767> cat");
    assert_null(pali_answer_draw(NULL, f->grey, NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_answer_draw(answer, NULL, NULL, &err));
    err = (pali_error){0};
    assert_null(pali_answer_draw(answer, f->grey, &(pali_draw_options){.font_size = 2}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_non_null(strstr(err.message, "font size of 2"));
    /* A caller of an earlier edition, whose struct ends after the line width. */
    struct { size_t size; double line_width; double font_size; } old = {.size = 2 * sizeof(size_t), .line_width = 3, .font_size = 2};
    pali_image *drawn = pali_answer_draw(answer, f->grey, (const pali_draw_options *)&old, &err);
    assert_non_null(drawn);
    pali_image_free(drawn);
    pali_answer_free(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_box),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests_name("api: drawing", tests, open_tiny, close_tiny);
}
