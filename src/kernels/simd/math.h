/*
 * exp, tanh, GELU and its slope on one vector, in the words of the level's vocabulary.
 * Polynomials: own minimax fits (Remez exchange, 50 digits); exp of |r| <=
 * ln 2/2 to degree 6, relative error 3.1e-9; tanh of |y| < 0.625 to degree 9,
 * odd, 4.4e-9. The errors of the whole functions in float, against libm in
 * double, are measured by tests/kernels/test_math.c on every level.
 */
#ifndef PL_KERNELS_SIMD_MATH_H
#define PL_KERNELS_SIMD_MATH_H

/* exp(x): within 2 units in the last place; 0 and infinity beyond the range, NaN stays NaN. */
static inline vf vf_exp(vf x)
{
    /* -105 rounds to 0 and 89 to infinity; min and max give their second operand for NaN. */
    x = vf_max(vf_set(-105), vf_min(vf_set(89), x));
    const vf n = vf_round(vf_mul(x, vf_set(0x1.715476p+0f))); /* log2(e) */
    /* r = x - n ln 2, with ln 2 as the sum of two floats */
    const vf r = vf_fma(n, vf_set(0x1.05c610p-29f), vf_fma(n, vf_set(-0x1.62e430p-1f), x));
    vf p = vf_set(0x1.6a2434p-10f);
    p = vf_fma(p, r, vf_set(0x1.1239e2p-7f));
    p = vf_fma(p, r, vf_set(0x1.5558f2p-5f));
    p = vf_fma(p, r, vf_set(0x1.555492p-3f));
    p = vf_fma(p, r, vf_set(0x1.fffffcp-2f));
    p = vf_fma(vf_mul(p, r), r, r);
    return vf_ldexp(vf_add(p, vf_set(1)), n);
}

/* tanh(y): an odd polynomial near 0, 1 - 2/(exp(2|y|) + 1) elsewhere; within 3 units in the last place. */
static inline vf vf_tanh(vf y)
{
    const vf size = vf_abs(y), square = vf_mul(y, y);
    vf p = vf_set(-0x1.75e1ccp-8f);
    p = vf_fma(p, square, vf_set(0x1.52269cp-6f));
    p = vf_fma(p, square, vf_set(-0x1.b83c5ap-5f));
    p = vf_fma(p, square, vf_set(0x1.110726p-3f));
    p = vf_fma(p, square, vf_set(-0x1.555532p-2f));
    const vf small = vf_fma(vf_mul(p, square), y, y);
    const vf tail = vf_div(vf_set(2), vf_add(vf_exp(vf_add(size, size)), vf_set(1)));
    const vf large = vf_with_sign_of(vf_sub(vf_set(1), tail), y);
    return vf_where_less(size, vf_set(0.625f), small, large);
}

/* gelu_tanh(x) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3): no cancellation on the left. */
static inline vf vf_gelu(vf x)
{
    const float minus_2_sqrt_2_over_pi = -1.59576912160573071f;
    const vf cubic = vf_mul(vf_mul(x, x), vf_set(minus_2_sqrt_2_over_pi * 0.044715f));
    const vf t = vf_mul(x, vf_add(cubic, vf_set(minus_2_sqrt_2_over_pi)));
    return vf_div(x, vf_add(vf_set(1), vf_exp(t)));
}

/*
 * gelu_tanh(x) = x s and its slope s + x s' with s = 1 / (1 + e), e = exp(-2u): s' = e s^2 2u', so nothing cancels where s is
 * near 1. Beyond 10 the slope is 0 or 1 to the last bit; powers of a large x would overflow.
 */
static inline vf vf_gelu_slope(vf x, vf *s)
{
    const float minus_2_sqrt_2_over_pi = -1.59576912160573071f;
    x = vf_max(vf_set(-10), vf_min(vf_set(10), x));
    const vf square = vf_mul(x, x);
    const vf t = vf_mul(x, vf_fma(square, vf_set(minus_2_sqrt_2_over_pi * 0.044715f), vf_set(minus_2_sqrt_2_over_pi)));
    const vf e = vf_exp(t);
    *s = vf_div(vf_set(1), vf_add(vf_set(1), e));
    const vf minus_twice_slope = vf_fma(square, vf_set(minus_2_sqrt_2_over_pi * 3 * 0.044715f), vf_set(minus_2_sqrt_2_over_pi));
    return vf_sub(*s, vf_mul(vf_mul(vf_mul(x, minus_twice_slope), vf_mul(e, *s)), *s));
}

#endif
