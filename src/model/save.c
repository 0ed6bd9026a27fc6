/*
 * The stream of one weight: read, turned if big_vision's order asks for it,
 * changed, rounded and written, some rows at a time; pages of the source that
 * have served are given back. And the choice of the format.
 */
#include "model/save_items.h"

#include "base/file.h"
#include "model/recast.h"
#include "model/turn.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 8 << 20 }; /* bytes of rows converted at a time, about */

pali_status pl_saving_advance(pl_saving *saving, size_t bytes, pali_error *err)
{
    const pl_save_options *options = saving->options;
    saving->done += bytes;
    if (options->progress)
        options->progress(options->progress_context, saving->done, saving->total);
    return options->stop && options->stop(options->stop_context) ? pl_fail(err, PALI_CANCELLED, "interrupted; nothing was written") : PALI_OK;
}

/* The values in our order: where they lie, or turned and aligned in a block of their own. */
static pali_status in_order(const pl_saving *saving, const pl_item *item, pl_tensor *from, void **block, pali_error *err)
{
    *from = item->from;
    *block = NULL;
    if (item->order.form == PL_NPZ_AS_IS)
        return PALI_OK;
    size_t bytes = 0;
    pl_tensor_bytes(from, &bytes);
    from->data = *block = pl_new_aligned(bytes, item->order.named->name, err);
    if (!*block)
        return PALI_MEMORY;
    pl_turn(&item->order, pl_dtype_bytes(from->dtype), item->from.data, *block, saving->options->pool);
    if (item->mapped)
        pl_forget_mapped(item->from.data, bytes);
    return PALI_OK;
}

static pl_recast recast_of(const pl_item *item, const pl_tensor *from)
{
    return (pl_recast){.from = from, .type = item->saved.dtype, .adapters = item->adapters, .offset = item->offset, .file = item->order.named->file, .name = item->order.named->name};
}

static pali_status write_pieces(pl_saving *saving, const pl_item *item, const pl_tensor *from, pl_sink_fn *sink, void *file, float *scale, pali_error *err)
{
    const size_t rows = from->shape[0], groups = (rows + PL_TILE_ROWS - 1) / PL_TILE_ROWS;
    const size_t group_bytes = item->bytes / groups + 1, step = pl_max(PIECE / group_bytes, 1) * PL_TILE_ROWS;
    const pl_recast recast = recast_of(item, from);
    unsigned char *piece = NULL;
    size_t capacity = 0;
    pali_status status = PALI_OK;
    for (size_t first = 0; status == PALI_OK && first < rows; first += step) {
        const size_t count = pl_min(step, rows - first), shape[2] = {count, from->shape[1]};
        size_t bytes = 0, read = 0;
        pl_shape_bytes(item->saved.dtype, shape, 2, &bytes);
        pl_shape_bytes(from->dtype, shape, 2, &read);
        status = pl_grow(&piece, &capacity, bytes, 1, "rows to write", err);
        if (status == PALI_OK)
            status = pl_recast_rows(&recast, saving->options->pool, first, count, piece, scale ? scale + first : NULL, err);
        if (status == PALI_OK)
            status = sink(file, piece, bytes, err);
        if (item->mapped && from->data == item->from.data)
            pl_forget_mapped(pl_tensor_row(from, first), read);
        if (status == PALI_OK)
            status = pl_saving_advance(saving, bytes, err);
    }
    free(piece);
    return status;
}

pali_status pl_output_sink(void *file, const void *bytes, size_t size, pali_error *err)
{
    return pl_output_write(file, bytes, size, err);
}

pali_status pl_item_write(pl_saving *saving, const pl_item *item, pl_sink_fn *sink, void *file, float *scale, pali_error *err)
{
    pl_tensor from;
    void *block;
    pali_status status = in_order(saving, item, &from, &block, err);
    if (status == PALI_OK)
        status = write_pieces(saving, item, &from, sink, file, scale, err);
    free(block);
    return status;
}

pali_status pl_item_turned(pl_saving *saving, const pl_item *item, void *slice, pali_error *err)
{
    pl_tensor from;
    void *block;
    pali_status status = in_order(saving, item, &from, &block, err);
    unsigned char *matrix = status == PALI_OK ? pl_new_aligned(item->bytes, item->order.named->name, err) : NULL;
    if (status == PALI_OK && !matrix)
        status = PALI_MEMORY;
    if (status == PALI_OK) {
        const pl_recast recast = recast_of(item, &from);
        status = pl_recast_rows(&recast, saving->options->pool, 0, from.shape[0], matrix, NULL, err);
    }
    if (item->mapped && !block) {
        size_t bytes = 0;
        pl_tensor_bytes(&item->from, &bytes);
        pl_forget_mapped(item->from.data, bytes);
    }
    free(block);
    if (status == PALI_OK) {
        pl_source order = item->order;
        order.form = item->weight->form;
        order.heads = item->order.rows / saving->model->config.text.head_dim; /* of PL_NPZ_HEADS */
        pl_turn_back(&order, pl_dtype_bytes(item->saved.dtype), matrix, slice, saving->options->pool);
    }
    free(matrix);
    return status;
}

static pali_status check_parent(const char *path, pali_error *err)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    char *parent = length ? pl_strndup(path, length, err) : pl_strdup(".", err);
    if (!parent)
        return PALI_MEMORY;
    pali_status status = PALI_OK;
    if (!pl_is_folder(parent))
        status = pl_fail(err, PALI_USAGE, "%s: folder %s is missing, expected one to write to", path, parent);
    else if (access(parent, W_OK) != 0)
        status = pl_fail(err, PALI_USAGE, "%s: folder %s cannot be written", path, parent);
    free(parent);
    return status;
}

static bool is_empty(const char *path)
{
    DIR *entries = opendir(path);
    size_t count = 0;
    while (entries && readdir(entries))
        count++;
    if (entries)
        closedir(entries);
    return count <= 2; /* . and .. */
}

/* What stands at the target's path must be allowed to go, and its folder must be there. */
static pali_status check_target(const char *path, const pl_save_options *options, pali_error *err)
{
    struct stat info;
    const bool folder = options->container == PL_CONTAINER_SAFETENSORS;
    if (!*path)
        return pl_fail(err, PALI_USAGE, "target: found an empty name, expected one of a %s", folder ? "folder" : "file");
    if (stat(path, &info) != 0)
        return check_parent(path, err);
    if (folder ? !S_ISDIR(info.st_mode) : !S_ISREG(info.st_mode))
        return pl_fail(err, PALI_USAGE, "%s: found %s, expected a name that is free or of a %s", path, S_ISDIR(info.st_mode) ? "a folder" : S_ISREG(info.st_mode) ? "a file" : "a special file",
                       folder ? "folder" : "file");
    if (!options->force && (!folder || !is_empty(path)))
        return pl_fail(err, PALI_USAGE, "%s: found a %s of that name, expected none (--force replaces it)", path, folder ? "folder with files" : "file");
    return PALI_OK;
}

static pali_status save_as(pl_saving *saving, const char *path, pali_error *err)
{
    switch (saving->options->container) {
    case PL_CONTAINER_GGUF:
        return pl_save_gguf(saving, path, err);
    case PL_CONTAINER_SAFETENSORS:
        return pl_save_folder(saving, path, err);
    case PL_CONTAINER_NPZ:
        return pl_save_npz(saving, path, err);
    }
    return PALI_OK;
}

pali_status pl_paligemma_save(pl_paligemma *model, const char *path, const pl_save_options *options, pl_save_report *report, pali_error *err)
{
    pl_saving saving;
    pali_status status = check_target(path, options, err);
    if (status == PALI_OK)
        status = pl_saving_init(&saving, model, options, err);
    if (status != PALI_OK)
        return status;
    status = pl_codec_source_open(model->checkpoint, &saving.codec, err);
    *report = (pl_save_report){.bytes = saving.total, .tensors = saving.count, .codec = saving.codec.file != NULL};
    for (size_t i = 0; i < saving.count; i++)
        report->parameters += saving.items[i].saved.shape[0] * saving.items[i].saved.shape[1];
    if (status == PALI_OK)
        status = save_as(&saving, path, err);
    pl_codec_source_close(&saving.codec);
    pl_saving_free(&saving);
    return status;
}
