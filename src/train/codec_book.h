/*
 * The codebook of the mask codec as it is learnt: each code follows the mean of
 * the vectors that choose it, and one that nobody chooses starts again at some
 * vector (van den Oord et al. 2017, arXiv 1711.00937, appendix A.1).
 */
#ifndef PL_TRAIN_CODEC_BOOK_H
#define PL_TRAIN_CODEC_BOOK_H

#include "answer/mask_codec.h"

/* All codes begin at some of vectors [T, D]. */
void pl_codec_book_start(pl_codec *codec, pl_rows vectors, uint64_t key);

/* Running means where a codec that is taught further has none. */
void pl_codec_book_continue(pl_codec *codec);

/* The codes after vectors [T, D] chose `chosen` [T]; returns how many codes were started again. */
size_t pl_codec_book_follow(pl_codec *codec, pl_rows vectors, const uint8_t *chosen, uint64_t key);

/*
 * used = the codes `said` [T], which are `chosen` [T] but for some. On a tape the gradient of what was chosen goes to
 * the vectors as if there were no codes between (the straight-through estimator), and so does that of `commitment`
 * times the mean square of vectors - codes. chosen, said and the codes stay until backward.
 */
void pl_codec_quantise(pl_context *ctx, const pl_codec *codec, pl_rows vectors, const uint8_t *chosen, const uint8_t *said, float commitment, pl_rows used);

/* Mean square of vectors - chosen codes. */
double pl_codec_distance(const pl_codec *codec, pl_rows vectors, const uint8_t *chosen);

#endif
