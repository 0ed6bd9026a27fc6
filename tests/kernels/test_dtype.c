/* Conversions between float, bf16 and f16: all packed values, rounding, the ends of the ranges. */
#include "tensor/dtype.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void test_round_trip(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        const float bf16 = pl_bf16_to_f32((uint16_t)i), f16 = pl_f16_to_f32((uint16_t)i);
        if (isnan(bf16))
            assert_true(isnan(pl_bf16_to_f32(pl_f32_to_bf16(bf16))));
        else
            assert_int_equal(pl_f32_to_bf16(bf16), i);
        if (isnan(f16))
            assert_true(isnan(pl_f16_to_f32(pl_f32_to_f16(f16))));
        else
            assert_int_equal(pl_f32_to_f16(f16), i);
    }
}

/* The value of a finite f16 from its fields, and which bits are not finite. */
static void test_f16_values(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        const int exponent = (int)(i >> 10 & 31), fraction = (int)(i & 1023);
        const float x = pl_f16_to_f32((uint16_t)i);
        assert_int_equal(signbit(x) != 0, i >> 15);
        if (exponent == 31)
            assert_true(fraction == 0 ? isinf(x) : isnan(x));
        else if (exponent == 0)
            assert_true(fabs((double)x) == ldexp(fraction, -24));
        else
            assert_true(fabs((double)x) == ldexp(1024 + fraction, exponent - 25));
    }
}

/* Between each two neighbours: below the middle down, above it up, the middle to the even one. */
static void check_rounding(uint16_t low, float (*widen)(uint16_t), uint16_t (*narrow)(float))
{
    const float a = widen(low), b = widen((uint16_t)(low + 1)), middle = (float)(((double)a + (double)b) / 2);
    const uint16_t even = low % 2 == 0 ? low : (uint16_t)(low + 1);
    assert_int_equal(narrow(middle), even);
    assert_int_equal(narrow(nextafterf(middle, 0)), low);
    assert_int_equal(narrow(nextafterf(middle, INFINITY)), low + 1);
    assert_int_equal(narrow(-middle), even | 0x8000);
}

static float widen_bf16(uint16_t x)
{
    return pl_bf16_to_f32(x);
}

static void test_nearest_even(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < 0x7bff; i++)
        check_rounding(i, pl_f16_to_f32, pl_f32_to_f16);
    for (uint16_t i = 0; i < 0x7f7f; i++)
        check_rounding(i, widen_bf16, pl_f32_to_bf16);
}

static void test_known(void **state)
{
    (void)state;
    assert_int_equal(pl_f32_to_bf16(1), 0x3f80);
    assert_int_equal(pl_f32_to_bf16(1.00390625f), 0x3f80); /* 1 + 2^-8, a tie */
    assert_int_equal(pl_f32_to_bf16(1.01171875f), 0x3f82); /* 1 + 3*2^-8, a tie */
    assert_int_equal(pl_f32_to_bf16(3.4028235e38f), 0x7f80); /* the largest float rounds to infinity */
    assert_int_equal(pl_f32_to_bf16(-INFINITY), 0xff80);
    assert_true(isnan(pl_bf16_to_f32(pl_f32_to_bf16(float_of(0x7f800001))))); /* a NaN whose kept bits are 0 */
    assert_int_equal(pl_f32_to_f16(1), 0x3c00);
    assert_int_equal(pl_f32_to_f16(65504), 0x7bff);
    assert_int_equal(pl_f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(pl_f32_to_f16(65520), 0x7c00);
    assert_int_equal(pl_f32_to_f16(0x1p-24f), 1);
    assert_int_equal(pl_f32_to_f16(0x1p-25f), 0); /* a tie with 0 */
    assert_int_equal(pl_f32_to_f16(0x1.8p-25f), 1);
    assert_int_equal(pl_f32_to_f16(-0x1p-14f), 0x8400);
    assert_int_equal(pl_f32_to_f16(float_of(1)), 0); /* the smallest float */
    assert_true(isnan(pl_f16_to_f32(pl_f32_to_f16(float_of(0x7f800001)))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_f16_values),
        cmocka_unit_test(test_nearest_even),
        cmocka_unit_test(test_known),
    };
    return cmocka_run_group_tests_name("dtype", tests, NULL, NULL);
}
