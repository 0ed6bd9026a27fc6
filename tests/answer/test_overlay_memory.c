/* Every allocation of a drawing fails once: out of memory each time, and nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exhaust.h"

#include "answer/overlay.h"

static pali_status draw(const void *context, pali_error *err)
{
    (void)context;
    static unsigned char mask[40 * 60];
    for (size_t i = 500; i < 900; i++)
        mask[i] = 1;
    const pl_mark marks[] = {
        {.left = 5, .top = 5, .right = 20, .bottom = 20, .label = "a", .confidence = 0.5},
        {.left = 5, .top = 9, .right = 30, .bottom = 30, .label = "b", .confidence = 0.5, .mask = mask},
    };
    pl_image image;
    pali_status status = pl_image_new(60, 40, "picture", &image, err);
    if (status == PALI_OK)
        status = pl_overlay_draw(&image, marks, 2, &(pl_overlay_options){0}, err);
    pl_image_free(&image);
    return status;
}

static void test_drawing(void **state)
{
    (void)state;
    exhaust("overlay", draw, NULL, PALI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_drawing)};
    return cmocka_run_group_tests_name("answer: memory of drawings", tests, NULL, NULL);
}
