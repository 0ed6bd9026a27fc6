/*
 * New tokens. Rows that are there keep their bits in every type: they are
 * copied, by whole groups where the type is tiled, and only the groups that new
 * rows fall into are taken apart. Rows are drawn as those of <loc> and <seg> were
 * for PaliGemma (arXiv 2407.07726, B).
 */
#include "model/paligemma.h"

#include "base/random.h"
#include "model/recast.h"
#include "tensor/quantise.h"

#include <stdlib.h>
#include <string.h>

enum { STEP = 64 /* rows that a matrix grows by, as transformers pads it: whole tiles */ };

static const double deviation = 0.02;

/* A matrix that grows: rows first..first+count are new, and so are those it did not have. */
typedef struct growing {
    const pl_tensor *from;
    pl_tensor to;
    float *scale;     /* of to's rows, or NULL */
    size_t first, count;
    uint64_t key;
    float *values;    /* [columns] scratch */
    unsigned char *group; /* [group rows, row_bytes] scratch */
    size_t row_bytes; /* of a row that is not tiled */
} growing;

/* Row r as its type has it, new or as it was. */
static bool make_row(const growing *g, size_t r, unsigned char *row)
{
    const pl_tensor *from = g->from;
    const size_t columns = from->shape[1];
    if (r >= from->shape[0] || (r >= g->first && r - g->first < g->count)) {
        for (size_t i = 0; i < columns; i++)
            g->values[i] = (float)(deviation * pl_random_normal(g->key, r * columns + i));
        if (from->dtype == PL_Q8_TILES)
            return pl_quantise_codes(columns, g->values, (int8_t *)row, &g->scale[r]);
        return pl_quantise_row(pl_dtype_untiled(from->dtype), columns, g->values, row);
    }
    if (pl_dtype_is_tiled(from->dtype))
        pl_untile_row(from->dtype, pl_tensor_row(from, r), r % PL_TILE_ROWS, columns, row);
    else
        memcpy(row, pl_tensor_row(from, r), g->row_bytes);
    return true;
}

/* All groups that have a new row; what stands before them is copied as it lies. */
static bool fill(const growing *g)
{
    const size_t together = pl_dtype_rows(g->to.dtype), columns = g->to.shape[1], begin = pl_min(g->first, g->from->shape[0]) / together * together;
    size_t group_bytes = 0;
    bool fits = true;
    pl_dtype_row_bytes(g->to.dtype, columns, &group_bytes);
    unsigned char *out = (unsigned char *)(uintptr_t)g->to.data;
    memcpy(out, g->from->data, begin / together * group_bytes);
    if (g->scale)
        memcpy(g->scale, g->from->scale, g->from->shape[0] * sizeof *g->scale);
    for (size_t r = begin; r < g->to.shape[0]; r += together) {
        unsigned char *at = out + r / together * group_bytes;
        const size_t rows = pl_min(together, g->to.shape[0] - r);
        for (size_t i = 0; i < rows; i++)
            fits = make_row(g, r + i, together > 1 ? g->group + i * g->row_bytes : at) && fits;
        if (together > 1)
            pl_tile_rows(g->to.dtype, rows, columns, g->group, g->row_bytes, at);
    }
    return fits;
}

/* The matrix with `rows` rows as a block of the model's own. */
static pali_status grow(pl_paligemma *model, pl_tensor *matrix, size_t first, size_t count, size_t rows, uint64_t key, pali_error *err)
{
    const pl_tensor from = *matrix;
    const pl_dtype row = pl_dtype_untiled(from.dtype);
    if (!pl_dtype_can_quantise(row) && row != PL_I8)
        return pl_fail(err, PALI_USAGE, "new_tokens: found an embedding of type %s, to which no rows can be added; expected the model opened with another type", pl_dtype_name(from.dtype));
    growing g = {.from = &from, .to = from, .first = first, .count = count, .key = key};
    g.to.shape[0] = rows;
    size_t bytes = 0, old = 0;
    pl_tensor_bytes(&from, &old);
    if (!pl_tensor_bytes(&g.to, &bytes) || !pl_dtype_row_bytes(row, from.shape[1], &g.row_bytes))
        return pl_fail_memory(err, "embedding", SIZE_MAX);
    const size_t scale_at = pl_round_up(bytes, sizeof(float)), scales = from.scale ? rows * sizeof(float) : 0;
    unsigned char *block = pl_paligemma_block(model, scale_at + scales, "embedding", err);
    g.values = block ? pl_new_raw(from.shape[1], sizeof *g.values, "embedding", err) : NULL;
    g.group = g.values ? pl_new(pl_dtype_rows(from.dtype), g.row_bytes, "embedding", err) : NULL;
    pali_status status = g.group ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK) {
        g.scale = scales ? (float *)(void *)(block + scale_at) : NULL;
        g.to.data = block;
        g.to.scale = g.scale;
        status = fill(&g) ? PALI_OK : pl_fail(err, PALI_MODEL, "embedding: found new values that do not fit %s", pl_dtype_name(from.dtype));
    }
    if (status == PALI_OK) {
        *matrix = g.to;
        pl_paligemma_drop(model, from.data, old + (from.scale ? from.shape[0] * sizeof(float) : 0));
    }
    free(g.values);
    free(g.group);
    return status;
}

/* The tokenizer with the new pieces; the image placeholder's id must have a piece, or a new one would take it. */
static pl_tokenizer *extend(const pl_paligemma *model, const char *const *pieces, size_t count, size_t *first, pali_error *err)
{
    static const char *const image[] = {"<image>"};
    const pl_tokenizer *tokenizer = model->tokenizer;
    const size_t known = pl_tokenizer_count(tokenizer);
    const bool placeholder = model->config.image_id >= 0 && (size_t)model->config.image_id == known;
    for (size_t i = 0; i < count; i++) {
        const int32_t id = pl_tokenizer_find(tokenizer, pieces[i], strlen(pieces[i]));
        char found[80];
        if (id >= 0) {
            pl_fail(err, PALI_USAGE, "new_tokens: found %s, which the tokenizer has as %d, expected another", pl_printable(pieces[i], strlen(pieces[i]), found), (int)id);
            return NULL;
        }
    }
    *first = known + placeholder;
    pl_tokenizer *with = placeholder ? pl_tokenizer_extend(tokenizer, image, 1, err) : NULL;
    pl_tokenizer *extended = placeholder && !with ? NULL : pl_tokenizer_extend(with ? with : tokenizer, pieces, count, err);
    pl_tokenizer_free(with);
    if (!extended)
        pl_error_prefix(err, "new_tokens");
    return extended;
}

pali_status pl_paligemma_add_tokens(pl_paligemma *model, const char *const *pieces, size_t count, uint64_t seed, pali_error *err)
{
    pl_gemma *gemma = &model->gemma;
    const bool tied = pl_head_is_tied(model);
    const size_t old = model->config.text.vocabulary;
    size_t first = 0;
    pl_tokenizer *tokenizer = extend(model, pieces, count, &first, err);
    if (!tokenizer)
        return pl_status_of(err, PALI_USAGE);
    const size_t rows = first + count > old ? pl_round_up(first + count, STEP) : old;
    pali_status status = grow(model, &gemma->embedding, first, count, rows, pl_random_key(seed, 0), err);
    if (status == PALI_OK && tied)
        gemma->head.weight = gemma->embedding;
    else if (status == PALI_OK)
        status = grow(model, &gemma->head.weight, first, count, rows, pl_random_key(seed, 1), err);
    if (status != PALI_OK) {
        pl_tokenizer_free(tokenizer);
        return status;
    }
    pl_tokenizer_free(model->tokenizer);
    model->tokenizer = tokenizer;
    model->extended = true;
    model->config.text.vocabulary = gemma->config.vocabulary = rows;
    model->parameters += (uint64_t)(rows - old) * gemma->config.width;
    return pl_paligemma_ban_ids(model, err);
}
