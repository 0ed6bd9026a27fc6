/* What filters keep of objects: by confidence, by overlap within a label, by number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/confidence.h"

typedef struct sample {
    const char *label;
    double y1, x1, y2, x2, confidence;
} sample;

/* Two that overlap by 0.8 / 1.2 = 2/3, one of another label on the first, one apart, one as sure as another. */
static const sample samples[] = {
    {"cat", 0, 0, 1, 0.5, 0.6}, {"cat", 0, 0.1, 1, 0.6, 0.9}, {"dog", 0, 0, 1, 0.5, 0.7}, {"cat", 0, 0.8, 1, 1, 0.3}, {"cat", 0, 0.9, 0.1, 1, 0.6},
};
enum { SAMPLES = sizeof samples / sizeof *samples };

/* Filters the samples and says which stay, as bits; their order must stay too. */
static unsigned kept(const pl_object_filter *filter)
{
    pl_objects objects = {0};
    assert_int_equal(pl_grow(&objects.items, &objects.capacity, SAMPLES, sizeof *objects.items, "objects", NULL), PALI_OK);
    for (size_t i = 0; i < SAMPLES; i++) {
        const sample *s = &samples[i];
        objects.items[objects.count++] = (pali_object){.label = strdup(s->label), .box = {s->y1, s->x1, s->y2, s->x2}, .confidence = s->confidence, .first_token = i};
    }
    assert_int_equal(pl_objects_filter(&objects, filter, NULL), PALI_OK);
    unsigned bits = 0;
    for (size_t i = 0; i < objects.count; i++) {
        const unsigned bit = 1u << objects.items[i].first_token;
        assert_true(bits < bit);
        bits |= bit;
    }
    pl_objects_free(&objects);
    return bits;
}

static void test_filter(void **state)
{
    (void)state;
    assert_int_equal(kept(&(pl_object_filter){0}), 0x1f);
    assert_int_equal(kept(&(pl_object_filter){.least = 0.6}), 0x17);
    assert_int_equal(kept(&(pl_object_filter){.least = 0.95}), 0);
    assert_int_equal(kept(&(pl_object_filter){.most = 1}), 0x02);
    assert_int_equal(kept(&(pl_object_filter){.most = 3}), 0x07); /* of equals the earlier */
    assert_int_equal(kept(&(pl_object_filter){.nms = 0.66}), 0x1e);
    assert_int_equal(kept(&(pl_object_filter){.nms = 0.67}), 0x1f);
    assert_int_equal(kept(&(pl_object_filter){.nms = 0.66, .most = 3}), 0x16); /* what is covered takes no place */
    assert_int_equal(kept(&(pl_object_filter){.least = 0.65, .nms = 0.66, .most = 3}), 0x06);
    assert_int_equal(kept(&(pl_object_filter){.nms = 0.04}), 0x16); /* the small one lies in the larger, 0.05 of both, and is surer */
}

static void test_none(void **state)
{
    (void)state;
    pl_objects none = {0};
    assert_int_equal(pl_objects_filter(&none, &(pl_object_filter){.least = 0.5, .nms = 0.5, .most = 1}, NULL), PALI_OK);
    assert_int_equal(none.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_filter), cmocka_unit_test(test_none)};
    return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
