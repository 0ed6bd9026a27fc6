/* pali_embed, pali_embedding_*: vectors from inside the model. */
#include "api/handles.h"

#include "base/output.h"
#include "generate/embed.h"

#include <stdlib.h>

struct pali_embedding {
    pl_embedding inner;
};

static pali_status check(const pali_embed_options *o, const char *prompt, pali_error *err)
{
    if (o->what != PALI_EMBED_PROJECTOR && o->what != PALI_EMBED_SIGLIP && o->what != PALI_EMBED_HIDDEN)
        return pl_fail(err, PALI_USAGE, "pali_embed: found %d for what, expected projector, siglip or hidden", (int)o->what);
    if (o->what != PALI_EMBED_HIDDEN)
        return o->layer_count ? pl_fail(err, PALI_USAGE, "pali_embed: found %zu layers without hidden states, expected none", o->layer_count) : PALI_OK;
    if (o->layer_count && !o->layers)
        return pl_need(o->layers, "pali_embed", "layers", err);
    return pl_need(prompt, "pali_embed", "prompt", err);
}

pali_embedding *pali_embed(pali_session *session, pali_image *const *images, size_t count, const char *prompt, const pali_embed_options *options, pali_error *err)
{
    static const pl_embed_what whats[] = {[PALI_EMBED_PROJECTOR] = PL_EMBED_PROJECTOR, [PALI_EMBED_SIGLIP] = PL_EMBED_SIGLIP, [PALI_EMBED_HIDDEN] = PL_EMBED_HIDDEN};
    const pl_image *pixels[PL_MOST_IMAGES];
    pali_embed_options o;
    pl_take_options(&o, sizeof o, options);
    pali_status status = pl_need(session, "pali_embed", "session", err);
    if (status == PALI_OK)
        status = check(&o, prompt, err);
    if (status == PALI_OK)
        status = pl_take_images("pali_embed", images, count, pixels, err);
    pali_embedding *embedding = status == PALI_OK ? pl_new(1, sizeof *embedding, "embedding", err) : NULL;
    if (!embedding)
        return NULL;
    const pl_embed_options inner = {.what = whats[o.what], .layers = o.layers, .layer_count = o.layer_count, .pool = o.pool, .normalise = o.normalise, .special = o.special};
    if (pl_embed(&session->timeline, pixels, count, prompt, &inner, &embedding->inner, err) == PALI_OK)
        return embedding;
    free(embedding);
    return NULL;
}

pali_status pali_embedding_append(pali_embedding *embedding, const pali_embedding *more, pali_error *err)
{
    pali_status status = pl_need(embedding, "pali_embedding_append", "embedding", err);
    if (status == PALI_OK)
        status = pl_need(more, "pali_embedding_append", "more", err);
    if (status == PALI_OK && embedding == more)
        status = pl_fail(err, PALI_USAGE, "pali_embedding_append: found an embedding to append to itself, expected two");
    return status == PALI_OK ? pl_embedding_append(&embedding->inner, &more->inner, err) : status;
}

size_t pali_embedding_items(const pali_embedding *embedding)
{
    return embedding->inner.items;
}

size_t pali_embedding_count(const pali_embedding *embedding)
{
    return embedding->inner.count;
}

pali_embedding_tensor pali_embedding_at(const pali_embedding *embedding, size_t i)
{
    const pl_embedded *tensor = &embedding->inner.tensors[i];
    pali_embedding_tensor out = {.name = tensor->name, .data = tensor->data};
    out.rank = pl_embedding_shape(&embedding->inner, i, out.shape);
    return out;
}

pali_status pali_embedding_check(const char *path, const char *type, size_t tensors, pali_error *err)
{
    pl_embed_file file;
    pl_dtype dtype;
    pali_status status = pl_need(path, "pali_embedding_check", "path", err);
    if (status == PALI_OK)
        status = pl_embedding_plan(path, type, tensors, &file, &dtype, err);
    pl_output out = {0};
    if (status == PALI_OK)
        status = pl_output_open(&out, path, err);
    pl_output_abandon(&out);
    return status;
}

pali_status pali_embedding_save(const pali_embedding *embedding, const char *path, const char *type, pali_error *err)
{
    pl_embed_file file;
    pl_dtype dtype;
    pali_status status = pl_need(embedding, "pali_embedding_save", "embedding", err);
    if (status == PALI_OK)
        status = pl_need(path, "pali_embedding_save", "path", err);
    if (status == PALI_OK)
        status = pl_embedding_plan(path, type, embedding->inner.count, &file, &dtype, err);
    return status == PALI_OK ? pl_embedding_save(&embedding->inner, path, file, dtype, err) : status;
}

void pali_embedding_free(pali_embedding *embedding)
{
    if (!embedding)
        return;
    pl_embedding_clear(&embedding->inner);
    free(embedding);
}
