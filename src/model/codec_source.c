/* The mask codec of a model, carried from one format to another as it is. */
#include "model/codec_source.h"

#include "base/file.h"
#include "base/text.h"
#include "formats/npz.h"
#include "formats/npz_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Array i of the source's file as one of the codec's: its released name, or NULL where it is none. */
static const char *name_of(const pl_codec_source *source, size_t i)
{
    const char *name = pl_tensor_file_at(source->file, i)->name;
    return pl_starts_with(name, source->prefix) ? name + strlen(source->prefix) : NULL;
}

static size_t count_of(const pl_codec_source *source)
{
    return source->file ? pl_tensor_file_count(source->file) : 0;
}

/* "vae-oid.npz" beside a folder's or a file's weights. */
static char *path_beside(const char *path, pali_error *err)
{
    const char *slash = strrchr(path, '/');
    if (pl_is_folder(path))
        return pl_path_join(path, PL_CODEC_FILE, err);
    return slash ? pl_format(err, "%.*s/%s", (int)(slash - path), path, PL_CODEC_FILE) : pl_strdup(PL_CODEC_FILE, err);
}

pali_status pl_codec_source_open(const pl_checkpoint *checkpoint, pl_codec_source *source, pali_error *err)
{
    *source = (pl_codec_source){.file = checkpoint->files[0], .prefix = PL_CODEC_PREFIX};
    if (checkpoint->container == PL_CONTAINER_GGUF)
        for (size_t i = 0; i < count_of(source); i++)
            if (name_of(source, i))
                return PALI_OK;
    *source = (pl_codec_source){.prefix = ""};
    source->path = path_beside(checkpoint->path, err);
    if (!source->path)
        return PALI_MEMORY;
    if (!pl_is_file(source->path))
        return PALI_OK;
    source->file = source->own = pl_npz_open(source->path, err);
    if (!source->own)
        return pl_status_of(err, PALI_MODEL);
    for (size_t i = 0; i < count_of(source); i++) {
        const pl_named_tensor *t = pl_tensor_file_at(source->file, i);
        if (t->problem || t->tensor.rank == 0)
            return pl_fail(err, PALI_MODEL, "%s: array %s: %s", source->path, t->name, t->problem ? t->problem : "found a single value, expected an array");
    }
    return PALI_OK;
}

void pl_codec_source_close(pl_codec_source *source)
{
    pl_tensor_file_close(source->own);
    free(source->path);
    *source = (pl_codec_source){0};
}

void pl_codec_source_declare(const pl_codec_source *source, pl_gguf_writer *w, pali_error *err)
{
    for (size_t i = 0; i < count_of(source); i++) {
        char full[160];
        const char *name = name_of(source, i);
        const pl_tensor *t = &pl_tensor_file_at(source->file, i)->tensor;
        snprintf(full, sizeof full, PL_CODEC_PREFIX "%s", name ? name : "");
        if (name)
            pl_gguf_declare(w, full, t->dtype, t->shape, t->rank, err);
    }
}

pali_status pl_codec_source_write(const pl_codec_source *source, pl_output *out, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < count_of(source); i++) {
        const pl_tensor *t = &pl_tensor_file_at(source->file, i)->tensor;
        size_t bytes = 0;
        if (!name_of(source, i))
            continue;
        pl_tensor_bytes(t, &bytes);
        status = pl_output_write(out, t->data, bytes, err);
        if (status == PALI_OK)
            status = pl_output_pad(out, PL_GGUF_ALIGNMENT, err);
    }
    return status;
}

pali_status pl_codec_source_save(const pl_codec_source *source, const char *path, pali_error *err)
{
    pl_npz_writer w = {0};
    pali_status status = pl_npz_create(&w, path, err);
    for (size_t i = 0; status == PALI_OK && i < count_of(source); i++) {
        const char *name = name_of(source, i);
        const pl_tensor *t = &pl_tensor_file_at(source->file, i)->tensor;
        size_t bytes = 0;
        if (!name)
            continue;
        pl_tensor_bytes(t, &bytes);
        status = pl_npz_begin(&w, name, t->dtype, t->shape, t->rank, err);
        if (status == PALI_OK)
            status = pl_npz_write(&w, t->data, bytes, err);
        if (status == PALI_OK)
            status = pl_npz_end(&w, err);
    }
    if (status == PALI_OK)
        status = pl_npz_commit(&w, err);
    pl_npz_abandon(&w);
    return status;
}
