/*
 * The level avx_vnni: AVX2 with vpdpbusd (Alder Lake, Sierra Forest, Zen 5 and
 * later). The loops are in x86/vnni.h. A test builds it for AVX-512's form of the
 * instruction (PL_VPDPBUSD), which more processors have.
 */
#include "kernels/x86/codes_avx2.h"

#define PL_VNNI(name) name##_avx_vnni

#ifndef PL_VPDPBUSD
#define PL_VPDPBUSD "%{vex%} vpdpbusd"
#endif

/* gcc 12 copies the sum before and after the instruction when it is written as an intrinsic, which halves the rate. */
static inline vi dot(vi sum, vi w, vi x)
{
    __asm__(PL_VPDPBUSD " %2, %1, %0" : "+x"(sum) : "x"(w), "x"(x));
    return sum;
}

#include "kernels/x86/vnni.h"

void pl_fill_avx_vnni(pl_kernels *k)
{
    fill_vnni(k);
}
