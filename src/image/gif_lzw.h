/*
 * The LZW codes of a GIF frame, strictly: giflib hands out the blocks, this
 * turns them into indices and refuses a code that cannot stand where it
 * stands, where giflib's own reader would make up pixels.
 */
#ifndef PL_IMAGE_GIF_LZW_H
#define PL_IMAGE_GIF_LZW_H

#include "base/status.h"

#include <stdint.h>

#include <gif_lib.h>

enum { PL_LZW_CODES = 4096, PL_LZW_BITS = 12 };

typedef struct pl_lzw {
    GifFileType *gif;                 /* borrowed */
    const unsigned char *block;       /* unread bytes of the current data block, giflib's */
    size_t block_left;
    uint32_t bits;                    /* read but not yet used, low bits first */
    unsigned bit_count;
    unsigned start_bits, code_bits;   /* of a literal; of the next code */
    unsigned clear, next;             /* the code that resets; the entry to be made */
    int last;                         /* the code before, or -1 after a reset */
    uint16_t prefix[PL_LZW_CODES];    /* an entry is the string of its prefix and then its tail */
    unsigned char tail[PL_LZW_CODES];
    unsigned char string[PL_LZW_CODES]; /* the last code's indices, at its end */
    size_t string_left;               /* of them not yet handed out */
} pl_lzw;

/* After DGifGetImageDesc. False: giflib failed (gif->Error says how). */
bool pl_lzw_begin(pl_lzw *lzw, GifFileType *gif);

/* The next `count` indices; NULL, or what is wrong with the codes. */
const char *pl_lzw_read(pl_lzw *lzw, unsigned char *indices, size_t count);

/* Passes over what is left of the frame's blocks; false when the file ends in them. */
bool pl_lzw_end(pl_lzw *lzw);

#endif
