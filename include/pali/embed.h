/*
 * pali/embed.h: vectors from inside the model, for retrieval, classifiers and
 * policies. Comes with pali/pali.h. Public, not yet frozen.
 */
#ifndef PALI_EMBED_H
#define PALI_EMBED_H

#include <pali/pali.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef enum pali_embed_what {
    PALI_EMBED_PROJECTOR, /* each picture's tokens as the language model reads them [N, text_width]: not scaled by its square root */
    PALI_EMBED_SIGLIP,    /* each picture's tokens from the image encoder [N, vision_width], after its last LayerNorm */
    PALI_EMBED_HIDDEN,    /* rows of the language model [T, text_width]: all pictures in order, then <bos> prompt "\n" */
} pali_embed_what;

typedef struct pali_embed_options {
    size_t size;
    pali_embed_what what;
    /*
     * PALI_EMBED_HIDDEN: which states, counted as transformers does: 0 is what
     * goes into the first layer, i what layer i put out, and text_layers the
     * last layer's after the final norm. Negative ones count from the end (-1:
     * the last). With layer_count 0: the last.
     */
    const int32_t *layers;
    size_t layer_count;
    bool pool;      /* the mean over the tokens (rows) in place of all of them */
    bool normalise; /* every vector divided by its length */
    bool special;   /* control tokens written in the prompt are taken as such */
} pali_embed_options;

typedef struct pali_embedding pali_embedding;

/* One named tensor: "projector", "siglip", "hidden.5". What it points to lives as long as the embedding and is not appended to. */
typedef struct pali_embedding_tensor {
    const char *name;
    const float *data; /* row-major, without gaps */
    size_t shape[3], rank; /* [items,] [tokens,] width: without items where there is one, without tokens when pooled */
} pali_embedding_tensor;

/*
 * The vectors of `count` pictures. `prompt` is needed for PALI_EMBED_HIDDEN,
 * where the pictures are one question, one item; else it is not looked at, and
 * each picture is an item. The session keeps the pictures; its question is
 * abandoned. New; free with pali_embedding_free.
 */
pali_embedding *pali_embed(pali_session *session, pali_image *const *images, size_t count, const char *prompt, const pali_embed_options *options, pali_error *err);

/* Puts the items of `more` behind those of `embedding`; both must have tensors of the same names and item shapes. */
pali_status pali_embedding_append(pali_embedding *embedding, const pali_embedding *more, pali_error *err);

/* How many items, and tensors of them; tensor i < pali_embedding_count. */
size_t pali_embedding_items(const pali_embedding *embedding);
size_t pali_embedding_count(const pali_embedding *embedding);
pali_embedding_tensor pali_embedding_at(const pali_embedding *embedding, size_t i);

/*
 * Writes the tensors, whole or not at all, to a file told by its name: .npy (one
 * tensor), .npz or .safetensors (with what they are and the prompt as metadata).
 * `type` is "f32" (NULL), "f16", or for safetensors "bf16".
 */
pali_status pali_embedding_save(const pali_embedding *embedding, const char *path, const char *type, pali_error *err);

/* What pali_embedding_save would refuse before writing: the name, the type, a file that cannot be made. */
pali_status pali_embedding_check(const char *path, const char *type, size_t tensors, pali_error *err);

void pali_embedding_free(pali_embedding *embedding);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
