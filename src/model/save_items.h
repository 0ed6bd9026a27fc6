/*
 * Inside saving: the list of what is to be written, and one weight as a stream
 * of bytes.
 */
#ifndef PL_MODEL_SAVE_ITEMS_H
#define PL_MODEL_SAVE_ITEMS_H

#include "base/output.h"
#include "model/codec_source.h"
#include "model/save.h"

/* A weight to be saved. */
typedef struct pl_item {
    const pl_weight *weight;
    size_t layer;
    pl_source order;  /* how `from` lies; with form AS_IS its rows are ours */
    pl_tensor from;   /* [rows, columns], a vector as one row; borrowed */
    pl_dtype source;  /* the type it has in the checkpoint */
    bool mapped;      /* from lies in a mapped file */
    const pl_low_rank *adapters;
    float offset;     /* to add: norms are saved as released */
    pl_tensor saved;  /* type and shape as written; no data */
    size_t bytes;     /* of `saved` */
} pl_item;

typedef struct pl_saving {
    const pl_paligemma *model;
    const pl_save_options *options;
    pl_item *items; /* [count] owned; the order of pl_weights, layer by layer, the head last */
    size_t count;
    bool own_head;        /* the output matrix is not the embedding */
    pl_dtype plain;       /* of norms, biases and positions as the source has them; PL_DTYPE_COUNT: several */
    uint64_t done, total; /* bytes of `saved` */
    pl_codec_source codec; /* of masks, carried along as it is */
} pl_saving;

/* Decides type and layout of every weight. PALI_USAGE where the format or the layout cannot have what is wished for. */
pali_status pl_saving_init(pl_saving *saving, const pl_paligemma *model, const pl_save_options *options, pali_error *err);
void pl_saving_free(pl_saving *saving);

/* True for norms, biases and positions, which no product reads. */
bool pl_is_plain(const pl_weight *weight);

/* Takes the next bytes of a file. */
typedef pali_status pl_sink_fn(void *file, const void *bytes, size_t size, pali_error *err);
pl_sink_fn pl_output_sink; /* its file is a pl_output */

/* A weight's bytes as they are written; scales [rows] of PL_Q8_TILES, which come after them, into scale. */
pali_status pl_item_write(pl_saving *saving, const pl_item *item, pl_sink_fn *sink, void *file, float *scale, pali_error *err);

/* A whole weight in memory, turned to big_vision's order. */
pali_status pl_item_turned(pl_saving *saving, const pl_item *item, void *slice, pali_error *err);

/* Counts bytes as done; PALI_CANCELLED where the user has had enough. */
pali_status pl_saving_advance(pl_saving *saving, size_t bytes, pali_error *err);

/* The formats. */
pali_status pl_save_gguf(pl_saving *saving, const char *path, pali_error *err);
pali_status pl_save_folder(pl_saving *saving, const char *path, pali_error *err);
pali_status pl_save_npz(pl_saving *saving, const char *path, pali_error *err);

#endif
