/*
 * Masks as tokens: a part of a mask as four locations and sixteen codes, and
 * back into a picture (big_vision pp/proj/paligemma/segmentation.py, its
 * evaluator, and Google's demo). pali/mask.h says what is meant.
 */
#ifndef PL_ANSWER_MASK_TOKENS_H
#define PL_ANSWER_MASK_TOKENS_H

#include "answer/mask.h"
#include "answer/mask_codec.h"

/* A part of a picture in whole pixels, y2 and x2 outside. */
typedef struct pl_region {
    size_t y1, x1, y2, x2;
} pl_region;

static inline bool pl_region_is_empty(pl_region part)
{
    return part.y2 <= part.y1 || part.x2 <= part.x1;
}

/* The pixels of a box of bins in a picture of width x height; empty unless y2 > y1 and x2 > x1. */
pl_region pl_region_of_bins(const int bins[4], size_t width, size_t height, pali_paste paste);

/*
 * The pixels of a box (NULL: the mask's own) as training data was made, its sides rounded as TensorFlow does, and its
 * bins. PALI_INPUT where it is not within the picture, or no pixel of the mask is in it.
 */
pali_status pl_mask_part(const pl_mask *mask, const pali_box *box, int bins[4], pl_region *part, pali_error *err);

/* A part of a mask as the encoder wants it: map [64, 64] in [-1, 1]. */
pali_status pl_mask_crop(const pl_mask *mask, pl_region part, float *map, pali_error *err);

/* A decoded map [64, 64] into its part of a mask that is there, as the evaluator does. */
pali_status pl_mask_paste(const float *map, pl_region part, pl_pass_order order, pl_mask *mask, pali_error *err);

/* The same into soft [height, width], as the demo does; what is outside stays. */
pali_status pl_mask_paste_soft(const float *map, pl_region part, const pl_hands *hands, size_t width, uint8_t *soft, pali_error *err);

/* The public calls of these names. */
pali_status pl_codec_encode_mask(const pl_codec *codec, const pl_hands *hands, const pl_mask *mask, const pali_box *box, pali_mask_tokens *tokens, pali_error *err);
pali_status pl_codec_decode_mask(const pl_codec *codec, const pl_hands *hands, const pali_mask_tokens *tokens, size_t width, size_t height, pali_paste paste, pl_mask *mask, pali_error *err);
pali_status pl_codec_decode_soft(const pl_codec *codec, const pl_hands *hands, const pali_mask_tokens *tokens, size_t width, size_t height, uint8_t *soft, pali_error *err);

pali_status pl_mask_tokens_parse(const char *text, pali_mask_tokens *tokens, pali_error *err);
void pl_mask_tokens_text(const pali_mask_tokens *tokens, char text[PALI_MASK_TEXT_SIZE]);

#endif
