/*
 * What the mask codec sees in a step: half of a batch are masks as they are, a
 * quarter are turned, sheared, scaled and shifted, so that the edge cuts some, a
 * quarter are smooth blobs, so that shapes that nobody drew do not come out as
 * the nearest that somebody did. All of it follows from (seed, step, place).
 */
#ifndef PL_TRAIN_CODEC_BATCH_H
#define PL_TRAIN_CODEC_BATCH_H

#include "train/mask_pool.h"

/* maps [count, 64, 64] in [-1, 1]. */
void pl_codec_batch(const pl_mask_pool *masks, uint64_t seed, uint64_t step, size_t count, const pl_hands *hands, float *maps);

/* Streams of random numbers of a step, beside those of its masks: pl_random_key(step's key, stream). */
enum { PL_CODEC_SPOIL = 1 << 20, PL_CODEC_RESTART };
uint64_t pl_codec_step_key(uint64_t seed, uint64_t step);

#endif
