/*
 * Sizes of the released models (arXiv 2407.07726, 2412.03555), each family at
 * three image sizes, and of the model that comes with pali.
 */
#include "model/shapes.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 257216 }; /* of the released embeddings: 256,000 pieces, locations, segments, and some to spare */

#define SO400M {.patch = 14, .width = 1152, .layers = 27, .heads = 16, .mlp = 4304}

static const struct family {
    const char *name; /* before "-224" */
    bool gemma2;
    size_t image_size; /* 0: comes at every size of image_sizes, which the name ends in */
    pl_siglip_config vision;
    pl_gemma_config text;
} families[] = {
    {"paligemma-3b", false, 0, SO400M, {.width = 2048, .layers = 18, .mlp = 16384, .heads = 8, .kv_heads = 1, .head_dim = 256, .vocabulary = ROWS}},
    {"paligemma2-3b", true, 0, SO400M, {.width = 2304, .layers = 26, .mlp = 9216, .heads = 8, .kv_heads = 4, .head_dim = 256, .vocabulary = ROWS}},
    {"paligemma2-10b", true, 0, SO400M, {.width = 3584, .layers = 42, .mlp = 14336, .heads = 16, .kv_heads = 8, .head_dim = 256, .vocabulary = ROWS}},
    {"paligemma2-28b", true, 0, SO400M, {.width = 4608, .layers = 46, .mlp = 36864, .heads = 32, .kv_heads = 16, .head_dim = 128, .vocabulary = ROWS}},
    {"nano", false, 112, {.patch = 14, .width = 192, .layers = 6, .heads = 3, .mlp = 576},
     {.width = 192, .layers = 2, .mlp = 384, .heads = 3, .kv_heads = 1, .head_dim = 64, .vocabulary = 3008}},
};
static const size_t image_sizes[] = {224, 448, 896};

/* The image size that `name` asks of a family; 0 when it names another one. */
static size_t image_size_of(const struct family *family, const char *name)
{
    if (family->image_size)
        return strcmp(family->name, name) == 0 ? family->image_size : 0;
    for (size_t i = 0; i < sizeof image_sizes / sizeof *image_sizes; i++) {
        char full[64];
        snprintf(full, sizeof full, "%s-%zu", family->name, image_sizes[i]);
        if (strcmp(full, name) == 0)
            return image_sizes[i];
    }
    return 0;
}

pali_status pl_config_from_shape(pl_config *config, const char *name, pali_error *err)
{
    char known[256] = "";
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const struct family *family = &families[i];
        const size_t image_size = image_size_of(family, name), used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s%s", i ? ", " : "", family->name, family->image_size ? "" : "-224|448|896");
        if (!image_size)
            continue;
        *config = (pl_config){.vision = family->vision, .text = family->text, .gemma2 = family->gemma2, .image_id = -1, .preprocess = pl_preprocess_default()};
        config->vision.image_size = image_size;
        config->vision.eps = config->text.eps = 1e-6f;
        config->text.norm_offset = 1;
        config->text.rope_base = 10000;
        pl_config_released_constants(config);
        return pl_config_check(config, name, err);
    }
    char found[80];
    return pl_fail(err, PALI_USAGE, "shape: found %s, expected one of %s", pl_printable(name, strlen(name), found), known);
}
