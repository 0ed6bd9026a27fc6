/* The bar of pali train: never wider than the terminal, and without what is not known. */
#include "../../apps/pali/train_say.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_bar(void **state)
{
    (void)state;
    char text[256];
    pali_train_event e = {.kind = PALI_TRAIN_STEP, .step = 50, .steps = 200, .loss = 1.25, .held_out = NAN, .tokens_per_second = 0, .seconds_left = NAN};
    assert_string_equal(train_bar_text(&e, 120, text), "step 50 of 200 [######                  ] loss 1.2500");
    e.held_out = 0.5;
    e.tokens_per_second = 12345;
    e.seconds_left = 245;
    assert_string_equal(train_bar_text(&e, 120, text), "step 50 of 200 [######                  ] loss 1.2500  held out 0.5000  12.3k tokens/s  4 min 05 s left");
    assert_string_equal(train_bar_text(&e, 80, text), "step 50 of 200 loss 1.2500  held out 0.5000  12.3k tokens/s  4 min 05 s left");
    assert_string_equal(train_bar_text(&e, 30, text), "step 50 of 200 loss 1.2500  h");
    e.step = 200;
    assert_non_null(strstr(train_bar_text(&e, 120, text), "[########################]"));
}

/* Numbers of any size, and none at all. */
static void test_extremes(void **state)
{
    (void)state;
    static const double numbers[] = {NAN, HUGE_VAL, -HUGE_VAL, 1e300, -1, 0, 1e-300};
    char text[256];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (size_t columns = 20; columns < 400; columns += 19) {
            const pali_train_event e = {.step = i % 2 ? UINT64_MAX : 0, .steps = i % 3 ? UINT64_MAX : 0, .loss = numbers[i], .held_out = numbers[i], .tokens_per_second = numbers[i],
                                        .seconds_left = numbers[i]};
            assert_true(strlen(train_bar_text(&e, columns, text)) < columns);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bar), cmocka_unit_test(test_extremes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
