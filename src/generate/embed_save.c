/* Embeddings into .npy, .npz and safetensors. */
#include "generate/embed.h"

#include "base/text.h"
#include "formats/npy_write.h"
#include "formats/npz_write.h"
#include "formats/safetensors_write.h"
#include "tensor/quantise.h"

#include <stdlib.h>
#include <string.h>

pali_status pl_embedding_plan(const char *path, const char *type, size_t tensors, pl_embed_file *file, pl_dtype *dtype, pali_error *err)
{
    static const struct {
        const char *ending;
        pl_embed_file file;
    } kinds[] = {{".npy", PL_EMBED_NPY}, {".npz", PL_EMBED_NPZ}, {".safetensors", PL_EMBED_SAFETENSORS}};
    size_t kind = 0;
    while (kind < 3 && !pl_ends_with(path, kinds[kind].ending))
        kind++;
    if (kind == 3)
        return pl_fail(err, PALI_USAGE, "%s: found a name without a known ending, expected .npy, .npz or .safetensors", path);
    *file = kinds[kind].file;
    *dtype = !type || strcmp(type, "f32") == 0 ? PL_F32 : strcmp(type, "f16") == 0 ? PL_F16 : strcmp(type, "bf16") == 0 ? PL_BF16 : PL_DTYPE_COUNT;
    if (*dtype == PL_DTYPE_COUNT)
        return pl_fail(err, PALI_USAGE, "type: found %s, expected f32, f16 or bf16", type);
    if (*dtype == PL_BF16 && *file != PL_EMBED_SAFETENSORS)
        return pl_fail(err, PALI_USAGE, "%s: found type bf16, which NumPy's files do not have; expected f32, f16 or a .safetensors", path);
    if (*file == PL_EMBED_NPY && tensors != 1)
        return pl_fail(err, PALI_USAGE, "%s: found %zu tensors, expected one in a .npy; .npz and .safetensors hold several", path, tensors);
    return PALI_OK;
}

/* Where bytes go: an open file, or the current member of an archive. */
typedef struct sink {
    pl_output *out;
    pl_npz_writer *npz;
} sink;

static pali_status put(const sink *to, const void *bytes, size_t size, pali_error *err)
{
    return to->npz ? pl_npz_write(to->npz, bytes, size, err) : pl_output_write(to->out, bytes, size, err);
}

/* A tensor's values, a row at a time. */
static pali_status put_values(const sink *to, const pl_embedding *e, const pl_embedded *tensor, pl_dtype dtype, pali_error *err)
{
    const size_t rows = e->items * tensor->rows, bytes = tensor->width * pl_dtype_bytes(dtype);
    void *row = pl_new_raw(tensor->width, pl_dtype_bytes(dtype), "embedding", err);
    pali_status status = row ? PALI_OK : PALI_MEMORY;
    for (size_t r = 0; status == PALI_OK && r < rows; r++) {
        if (!pl_quantise_row(dtype, tensor->width, tensor->data + r * tensor->width, row))
            status = pl_fail(err, PALI_FAILED, "%s: found values beyond the range of f16, expected at most 65504; f32 and bf16 hold them", tensor->name);
        else
            status = put(to, row, bytes, err);
    }
    free(row);
    return status;
}

static pali_status save_npy(const pl_embedding *e, pl_output *out, pl_dtype dtype, pali_error *err)
{
    char header[PL_NPY_WRITE_HEADER];
    size_t shape[3];
    const size_t rank = pl_embedding_shape(e, 0, shape);
    const pali_status status = pl_output_write(out, header, pl_npy_header(header, 0, dtype, shape, rank), err);
    return status == PALI_OK ? put_values(&(sink){.out = out}, e, &e->tensors[0], dtype, err) : status;
}

static pali_status save_npz(const pl_embedding *e, const char *path, pl_dtype dtype, pali_error *err)
{
    pl_npz_writer w = {0};
    pali_status status = pl_npz_create(&w, path, err);
    for (size_t i = 0; status == PALI_OK && i < e->count; i++) {
        size_t shape[3];
        const size_t rank = pl_embedding_shape(e, i, shape);
        status = pl_npz_begin(&w, e->tensors[i].name, dtype, shape, rank, err);
        if (status == PALI_OK)
            status = put_values(&(sink){.npz = &w}, e, &e->tensors[i], dtype, err);
        if (status == PALI_OK)
            status = pl_npz_end(&w, err);
    }
    if (status == PALI_OK)
        return pl_npz_commit(&w, err);
    pl_npz_abandon(&w);
    return status;
}

/* A tensor on its way into a safetensors file, which has an order of its own. */
typedef struct entry {
    pl_saved_tensor saved;
    const pl_embedded *tensor;
} entry;

static int by_place(const void *a, const void *b)
{
    return pl_safetensors_order(&((const entry *)a)->saved, &((const entry *)b)->saved);
}

static pali_status put_head(const pl_embedding *e, pl_output *out, const entry *entries, pali_error *err)
{
    static const char *const whats[] = {[PL_EMBED_PROJECTOR] = "projector", [PL_EMBED_SIGLIP] = "siglip", [PL_EMBED_HIDDEN] = "hidden"};
    const pl_saved_note notes[] = {
        {"pali.what", whats[e->what]}, {"pali.pool", e->pooled ? "mean" : "none"}, {"pali.normalised", e->normalised ? "true" : "false"}, {"pali.prompt", e->prompt},
    };
    const size_t note_count = sizeof notes / sizeof *notes - !e->prompt;
    pl_buffer head = {0};
    const pl_saved_tensor **list = pl_new(e->count, sizeof *list, "embedding", err);
    for (size_t i = 0; list && i < e->count; i++)
        list[i] = &entries[i].saved;
    pali_status status = list ? pl_safetensors_head(list, e->count, notes, note_count, &head, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = pl_output_write(out, head.data, head.length, err);
    free(list);
    free(head.data);
    return status;
}

static pali_status save_safetensors(const pl_embedding *e, pl_output *out, pl_dtype dtype, pali_error *err)
{
    entry *entries = pl_new(e->count, sizeof *entries, "embedding", err);
    for (size_t i = 0; entries && i < e->count; i++) {
        const pl_embedded *tensor = &e->tensors[i];
        entries[i] = (entry){.saved = {.name = tensor->name, .dtype = dtype, .bytes = e->items * tensor->rows * tensor->width * pl_dtype_bytes(dtype)}, .tensor = tensor};
        entries[i].saved.rank = pl_embedding_shape(e, i, entries[i].saved.shape);
    }
    if (entries)
        qsort(entries, e->count, sizeof *entries, by_place);
    pali_status status = entries ? put_head(e, out, entries, err) : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < e->count; i++)
        status = put_values(&(sink){.out = out}, e, entries[i].tensor, dtype, err);
    free(entries);
    return status;
}

pali_status pl_embedding_save(const pl_embedding *embedding, const char *path, pl_embed_file file, pl_dtype dtype, pali_error *err)
{
    if (file == PL_EMBED_NPZ)
        return save_npz(embedding, path, dtype, err);
    pl_output out = {0};
    pali_status status = pl_output_open(&out, path, err);
    if (status == PALI_OK)
        status = file == PL_EMBED_NPY ? save_npy(embedding, &out, dtype, err) : save_safetensors(embedding, &out, dtype, err);
    if (status == PALI_OK)
        return pl_output_commit(&out, err);
    pl_output_abandon(&out);
    return status;
}
