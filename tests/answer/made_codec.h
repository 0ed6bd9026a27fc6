/*
 * A codec file made up in memory: the released names, any channels, hashed
 * weights as tests/answer/make_codec_goldens.py has them.
 */
#ifndef TESTS_ANSWER_MADE_CODEC_H
#define TESTS_ANSWER_MADE_CODEC_H

#include "answer/mask_codec.h"

enum { MADE_ARRAYS = 2 * PL_CODEC_LAYERS + 3 };

typedef struct made_array {
    char name[40];
    size_t shape[4], rank;
    float *values; /* owned */
} made_array;

/* Channels after encoder.0, 2, 4, 6 (and, backwards, in the decoder), and the width of codes. */
typedef struct made_widths {
    size_t channels[4], code;
} made_widths;

extern const made_widths released_widths, tiny_widths;

/* [MADE_ARRAYS]: weight and bias of each layer, the codebook, its two averages. */
made_array *made_codec(made_widths widths);
void made_free(made_array *arrays);

/* The first `count` arrays as a safetensors file in memory; freed by the caller. Those with rank SIZE_MAX are left out. */
char *made_file(const made_array *arrays, size_t count, size_t *size);

float *made_hashed(size_t n, uint32_t seed);
uint8_t made_bit(uint32_t x, uint32_t y, uint32_t seed, uint32_t block, uint32_t density);

#endif
