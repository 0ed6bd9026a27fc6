/*
 * Masks that the mask codec learns from, as it sees them: what a box cuts out,
 * at 64 x 64. They come from rows of JSONL files (object_text.h says what a row
 * has), from folders of pictures of masks, and from single pictures. A mask that
 * was there before, to the pixel, is kept once, as rows repeat theirs.
 */
#ifndef PL_TRAIN_MASK_POOL_H
#define PL_TRAIN_MASK_POOL_H

#include "answer/mask_codec.h"

enum { PL_CODEC_MAP = PL_CODEC_SIDE * PL_CODEC_SIDE };

typedef struct pl_mask_source {
    const char *path;   /* a JSONL file, a folder (with annotations.jsonl, or of pictures), or one picture */
    const char *images; /* folder that paths in rows are relative to; NULL: that of the file */
    size_t skip, limit; /* rows, or pictures by name, that are left out at first; most of them (0: all) */
} pl_mask_source;

typedef struct pl_mask_pool {
    uint8_t *maps;         /* [count, 64, 64] 0..255, owned */
    size_t count, capacity;
    size_t bad;            /* masks that could not be used, where these are passed over */
    char first_bad[512];   /* why the first of them could not */
    uint64_t *seen;        /* [seen_size] hashes of masks and of their paths, owned; 0: a free place */
    size_t seen_size, seen_count;
} pl_mask_pool;

/*
 * Adds the masks of all sources, in their order; zero-initialise. PALI_INPUT
 * names file, line and mask, unless those are passed over (skip_bad), and where
 * there is no mask at all. Release with pl_mask_pool_free, also after a failure.
 */
pali_status pl_mask_pool_read(pl_mask_pool *pool, const pl_mask_source *sources, size_t count, bool skip_bad, const pl_hands *hands, pali_error *err);
void pl_mask_pool_free(pl_mask_pool *pool);

/* Of all its maps, to tell whether a run is gone on with on the same. */
uint64_t pl_mask_pool_hash(const pl_mask_pool *pool);

#endif
