/*
 * The mask codec that comes with a model, as named arrays: what conversions
 * carry along. What they mean is known to answer/mask_codec.h alone.
 */
#ifndef PL_MODEL_CODEC_SOURCE_H
#define PL_MODEL_CODEC_SOURCE_H

#include "formats/gguf_write.h"
#include "model/checkpoint.h"

/* Its file beside the weights, and what its names begin with in a GGUF. */
#define PL_CODEC_FILE "vae-oid.npz"
#define PL_CODEC_PREFIX "codec."

typedef struct pl_codec_source {
    const pl_tensor_file *file; /* NULL: the model has none */
    pl_tensor_file *own;        /* to be closed, or NULL */
    const char *prefix;         /* of the names there */
    char *path;                 /* owned: of the file beside the weights, or NULL */
} pl_codec_source;

/* Looks within the checkpoint's GGUF, then beside the weights. Close also after a failure. */
pali_status pl_codec_source_open(const pl_checkpoint *checkpoint, pl_codec_source *source, pali_error *err);
void pl_codec_source_close(pl_codec_source *source);

/* Into a GGUF: declares the arrays; then their data, in the same order. */
void pl_codec_source_declare(const pl_codec_source *source, pl_gguf_writer *w, pali_error *err);
pali_status pl_codec_source_write(const pl_codec_source *source, pl_output *out, pali_error *err);

/* As a file of its own: an .npz with the released names. */
pali_status pl_codec_source_save(const pl_codec_source *source, const char *path, pali_error *err);

#endif
