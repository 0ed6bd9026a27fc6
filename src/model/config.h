/*
 * What a checkpoint says of the model's shape, from whichever of its files says
 * it: config.json, the shapes in an npz, or the keys of a GGUF.
 */
#ifndef PL_MODEL_CONFIG_H
#define PL_MODEL_CONFIG_H

#include "formats/gguf.h"
#include "formats/json.h"
#include "formats/tensor_file.h"
#include "image/preprocess.h"
#include "language/gemma.h"
#include "vision/siglip.h"

typedef struct pl_config {
    pl_siglip_config vision;
    pl_gemma_config text;
    bool gemma2;        /* PaliGemma 2 */
    bool untied_head;   /* the checkpoint asks for its own output matrix */
    int64_t image_id;   /* the image token's id as configured; -1: not said */
    pl_preprocess_options preprocess;
} pl_config;

/* From config.json, absent fields as the published classes default them (checkpoints.md, 3). */
pali_status pl_config_from_json(pl_config *config, const pl_json *json, pali_error *err);

/* Fills config->preprocess from preprocessor_config.json; its size must agree with the image size. */
pali_status pl_config_read_preprocessor(pl_config *config, const pl_json *json, pali_error *err);

/* From the shapes of a big_vision npz; `prefix` is "params/" or "". */
pali_status pl_config_from_npz(pl_config *config, const pl_tensor_file *file, const char *prefix, pali_error *err);

/*
 * From GGUF keys: one file of ours, or a text model and a vision file as
 * llama.cpp has them (`vision` NULL: the same file).
 */
pali_status pl_config_from_gguf(pl_config *config, const pl_tensor_file *text, const pl_tensor_file *vision, pali_error *err);

/*
 * What neither shapes nor keys say: post-norms, soft-caps and the query scale
 * of the released models, from family, widths and heads.
 */
void pl_config_released_constants(pl_config *config);

/* What the scale of queries is the inverse root of: a whole number in all released models, which the root has rounded. */
double pl_config_query_scalar(const pl_config *config);

/* Refuses sizes that make no model (zeros, heads that do not divide, ...). `path` stands in the message. */
pali_status pl_config_check(const pl_config *config, const char *path, pali_error *err);

#endif
