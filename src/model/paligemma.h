/*
 * The whole model in memory: vision and language joined, with the tokenizer and
 * what pictures must go through. Immutable once opened.
 */
#ifndef PL_MODEL_PALIGEMMA_H
#define PL_MODEL_PALIGEMMA_H

#include "model/checkpoint.h"
#include "text/tokenizer.h"

struct pl_paligemma;

typedef struct pl_load_options {
    const char *tokenizer, *vision, *preprocess, *type; /* as in pali_model_options; NULL: defaults */
    const char *const *lora;                            /* "FOLDER" or "FOLDER:scale" */
    size_t lora_count;
    bool no_final_softcap;
    bool outline; /* weights are pointed at as the files have them, in any order of values and unaligned: to be saved, not run */
    const pl_kernels *kernels; /* that will run the model; NULL: the best here */
    pl_pool *pool; /* for repacking */
    /*
     * Called when every weight has found its place and none has been copied
     * yet: the model tells sizes, its data must not be read. What is not
     * PALI_OK stops the opening. NULL: no check.
     */
    pali_status (*check)(void *context, const struct pl_paligemma *planned, pali_error *err);
    void *check_context;
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;
} pl_load_options;

typedef struct pl_paligemma {
    pl_config config;
    pl_siglip siglip;
    pl_gemma gemma;
    pl_tokenizer *tokenizer;   /* owned */
    bool extended;             /* it has tokens that the checkpoint's own files do not have */
    pl_checkpoint *checkpoint; /* owned: the maps that weights lie in */
    void **blocks;             /* [block_count] owned: converted weights, adapters */
    size_t block_count, block_capacity;
    pl_tensor_file **adapters; /* [adapter_count] owned */
    size_t adapter_count, adapter_capacity;
    bool planning;             /* blocks are only counted */
    uint64_t copied_peak;      /* most that stood in blocks at a time */
    uint64_t mapped_bytes;     /* of the weights, used where they lie */
    uint64_t copied_bytes;     /* in blocks, and by the readers of the files (inflated, not aligned) */
    uint64_t parameters, weight_bytes; /* of the weights, as the files have them */
    uint64_t total_bytes;              /* of everything in the files */
    unsigned char *banned;     /* [vocabulary] owned: 1 for ids that are never an answer */
} pl_paligemma;

/* Opens a model by path (see find.h for names); that of an adapter folder is its base with the adapter. Free with pl_paligemma_close. */
pl_paligemma *pl_paligemma_open(const char *path, const pl_load_options *options, pali_error *err);
void pl_paligemma_close(pl_paligemma *model);

/* Memory that lives as long as the model; counted. */
void *pl_paligemma_block(pl_paligemma *model, size_t bytes, const char *what, pali_error *err);

/* Is this the beginning of such a block of an opened model? */
bool pl_paligemma_owns(const pl_paligemma *model, const void *data);

/* Frees such a block of so many bytes, which nothing points to any more; what is no block of an opened model is left alone. */
void pl_paligemma_drop(pl_paligemma *model, const void *data, size_t bytes);

/*
 * The path of the model that an adapter folder was made for, by its
 * base_model_name_or_path, in a new string; NULL in *base for any other path.
 */
pali_status pl_adapter_base(const char *folder, char **base, pali_error *err);

/* Applies one PEFT adapter: "FOLDER" or "FOLDER:scale" (adapter.c). */
pali_status pl_paligemma_add_adapter(pl_paligemma *model, const char *spec, pali_error *err);

/*
 * Hangs a low-rank change on a weight, before those that it has: a and b are
 * blocks of the model and not initialised. NULL on failure.
 */
pl_low_rank *pl_paligemma_attach(pl_paligemma *model, pl_linear *linear, size_t rank, float scale, pali_error *err);

/* Where a weight goes: the struct of its part and layer, at the weight's offset. */
void *pl_weight_target(pl_paligemma *model, const pl_weight *weight, size_t layer);

/* Is the output matrix the embedding itself? */
static inline bool pl_head_is_tied(const pl_paligemma *model)
{
    return model->gemma.head.weight.data == model->gemma.embedding.data;
}

/* What the model uses as that weight, borrowed: a matrix, or the f32 values [rows] of a norm or bias. */
pl_tensor pl_weight_tensor(const pl_paligemma *model, const pl_weight *weight, size_t layer);

/* Makes the model use a tensor as that weight: a matrix, or f32 values for a norm or bias. */
void pl_paligemma_point(pl_paligemma *model, const pl_weight *weight, size_t layer, const pl_tensor *tensor);

/* The same for a place that is such a thing. */
void pl_target_point(pl_target kind, void *target, const pl_tensor *tensor);

/*
 * Points the model at one weight of its checkpoint: in place where type,
 * layout and alignment allow, else as a copy; `type` converts matrices when it
 * is not PL_DTYPE_COUNT.
 */
pali_status pl_paligemma_place(pl_paligemma *model, const pl_weight *weight, size_t layer, const pl_source *source, pl_dtype type, pl_pool *pool, pali_error *err);

/*
 * Adds tokens to the vocabulary (grow.c): pieces [count] that the tokenizer
 * cuts out of any text, each with a row of its own in the embedding, drawn from
 * N(0, 0.02^2) by the seed; the matrix grows where it has no rows to spare. To
 * be called before anything else refers to tokenizer or embedding. PALI_USAGE
 * for a piece that is there already, or a type whose rows cannot be made.
 */
pali_status pl_paligemma_add_tokens(pl_paligemma *model, const char *const *pieces, size_t count, uint64_t seed, pali_error *err);

/* Marks what is never an answer: ids without a piece, the image placeholder (load.c). */
pali_status pl_paligemma_ban_ids(pl_paligemma *model, pali_error *err);

/* Tokens of a picture. */
static inline size_t pl_image_tokens(const pl_paligemma *model)
{
    return pl_siglip_tokens(&model->config.vision);
}

/*
 * pixels [side, side, 3] (see image/preprocess.h) of one picture -> out
 * [tokens, text width], the embeddings that stand in for the image tokens.
 */
void pl_paligemma_encode(pl_context *ctx, const pl_paligemma *model, const float *pixels, pl_rows out);

#endif
