/*
 * Resizing, in the two arithmetics that PaliGemma pictures went through:
 * Pillow's (8-bit in and out, fixed point) and TensorFlow's (float out).
 * Both squash: the aspect ratio is not kept.
 */
#ifndef PL_IMAGE_RESIZE_H
#define PL_IMAGE_RESIZE_H

#include "base/pool.h"
#include "image/image.h"
#include "kernels/kernels.h"

#include <stdint.h>

/* Values as in Pillow and in preprocessor_config.json's "resample". */
#define PL_FILTER_LIST(X)      \
    X(NEAREST, 0, "nearest")   \
    X(LANCZOS, 1, "lanczos")   \
    X(BILINEAR, 2, "bilinear") \
    X(BICUBIC, 3, "bicubic")   \
    X(BOX, 4, "box")           \
    X(HAMMING, 5, "hamming")

typedef enum pl_filter {
#define PL_FILTER_ENUM(name, value, text) PL_FILTER_##name = value,
    PL_FILTER_LIST(PL_FILTER_ENUM)
#undef PL_FILTER_ENUM
} pl_filter;

const char *pl_filter_name(pl_filter filter);

/*
 * Which pass comes first; it shows, as the first one rounds to 8 bits. Pillow
 * went horizontally first until 12 and so made every published number. From 13
 * on, a picture that loses more than twice as many rows as columns goes the
 * other way: 480 x 640 to 448 does, 480 x 640 to 224 does not.
 */
typedef enum pl_pass_order {
    PL_PASS_HORIZONTAL_FIRST, /* Pillow up to 12 */
    PL_PASS_PILLOW_13,        /* Pillow 13 */
} pl_pass_order;

/* What resizes: the kernels of this processor, and its threads (NULL: the caller's). */
typedef struct pl_hands {
    const pl_kernels *kernels;
    pl_pool *pool;
} pl_hands;

/*
 * dst becomes width x height pixels, the very bytes of Pillow's
 * Image.resize((width, height), filter). src and dst are different pictures;
 * the caller frees dst.
 */
pali_status pl_resize_pillow(const pl_image *src, size_t width, size_t height, pl_filter filter, pl_pass_order order, const pl_hands *hands, pl_image *dst, pali_error *err);

/*
 * The same of one channel of floats (mode F): src [src_height, src_width], dst
 * [height, width], the caller's. Sums are made in double, and rounded to float
 * after each pass. Not for the filter nearest.
 */
pali_status pl_resize_pillow_float(const float *src, size_t src_width, size_t src_height, size_t width, size_t height, pl_filter filter, pl_pass_order order, float *dst,
                                   pali_error *err);

/*
 * The weights of one output of an axis into weights[pl_filter_taps_most],
 * normalised to a sum of 1; returns their number, and where they begin.
 */
size_t pl_filter_taps_most(size_t in, size_t out, pl_filter filter);
size_t pl_filter_taps(size_t in, size_t out, size_t output, pl_filter filter, double *weights, size_t *start);

/* Which pass is first for these sizes. */
bool pl_pass_vertical_first(pl_pass_order order, size_t width, size_t height, size_t to_width, size_t to_height);

/* The taps of one output of one axis, for tests: weights scaled by 2^22, 256 * high + low. */
typedef struct pl_taps {
    size_t start, count;
    const int16_t *high, *low; /* [count], borrowed from the table */
} pl_taps;
typedef struct pl_tap_table pl_tap_table;
pl_tap_table *pl_tap_table_new(size_t in, size_t out, pl_filter filter, pali_error *err);
void pl_tap_table_free(pl_tap_table *table);
pl_taps pl_tap_table_at(const pl_tap_table *table, size_t output);

/*
 * dst [height, width, 3] f32 in 0..255, owned by the caller: TensorFlow's
 * tf.image.resize(method="bilinear", antialias=...) of a uint8 picture.
 */
pali_status pl_resize_tensorflow(const pl_image *src, size_t width, size_t height, bool antialias, float *dst, pali_error *err);

#endif
