/* Rows of a batch through base/prefetch.h: read in order, so that each can be compared with the one before; then decoded. */
#include "batch/ahead.h"

#include "base/prefetch.h"

#include <stdlib.h>
#include <string.h>

struct pl_ahead {
    pl_ahead_options options;
    pl_row last; /* what the last readable row shows: its paths only, owned */
    pl_prefetch *prefetch;
};

void pl_loaded_free(pl_loaded *loaded)
{
    for (size_t i = 0; loaded->images && i < loaded->image_count; i++)
        pali_image_free(loaded->images[i]);
    free(loaded->images);
    loaded->images = NULL;
    pl_row_free(&loaded->row);
}

static pali_status decode(pl_loaded *loaded, pali_error *err)
{
    const pl_row *const row = &loaded->row;
    loaded->image_count = pl_row_image_count(row);
    loaded->images = pl_new(loaded->image_count, sizeof *loaded->images, "images of a row", err);
    if (!loaded->images)
        return PALI_MEMORY;
    if (row->frames)
        return pali_image_open_clip((const char *const *)row->paths, row->path_count, row->frames, row->stride, loaded->images, err);
    for (size_t i = 0; i < loaded->image_count; i++) {
        loaded->images[i] = pali_image_open(row->paths[i], err);
        if (!loaded->images[i])
            return pl_status_of(err, PALI_INPUT);
    }
    return PALI_OK;
}

static void load(pl_loaded *loaded)
{
    loaded->status = decode(loaded, &loaded->why);
    for (size_t i = 0; i < loaded->image_count; i++) {
        pali_image *const image = loaded->images ? loaded->images[i] : NULL;
        if (image && loaded->status == PALI_OK)
            loaded->bytes += 3 * pali_image_width(image) * pali_image_height(image);
        else if (image)
            pali_image_free(image);
    }
    if (loaded->status == PALI_OK)
        return;
    free(loaded->images);
    loaded->images = NULL;
    loaded->image_count = 0;
}

/* Keeps the paths of a row to compare the next with. */
static pali_status remember(pl_ahead *ahead, const pl_row *row, pali_error *err)
{
    pl_row_free(&ahead->last);
    ahead->last = (pl_row){.frames = row->frames, .stride = row->stride, .paths = pl_new(row->path_count, sizeof *row->paths, "images of a row", err)};
    for (size_t i = 0; ahead->last.paths && i < row->path_count; i++) {
        ahead->last.paths[i] = pl_strdup(row->paths[i], err);
        if (!ahead->last.paths[i])
            break;
        ahead->last.path_count++;
    }
    return ahead->last.path_count == row->path_count ? PALI_OK : PALI_MEMORY;
}

static bool begin(void *context, uint64_t i, void *item)
{
    pl_ahead *const ahead = context;
    pl_loaded *const loaded = item;
    loaded->status = ahead->options.read(ahead->options.context, (size_t)i, &loaded->row, &loaded->why);
    loaded->readable = loaded->status == PALI_OK;
    loaded->same = loaded->readable && ahead->last.paths && pl_row_same_images(&loaded->row, &ahead->last);
    if (loaded->readable && !loaded->same && remember(ahead, &loaded->row, NULL) != PALI_OK)
        pl_row_free(&ahead->last); /* then the next one is decoded, whatever it shows */
    return loaded->readable && !loaded->same;
}

static size_t load_item(void *context, uint64_t i, void *item)
{
    (void)context;
    (void)i;
    load(item);
    return ((pl_loaded *)item)->bytes;
}

static void drop(void *item)
{
    pl_loaded_free(item);
}

pl_ahead *pl_ahead_new(const pl_ahead_options *options, pali_error *err)
{
    pl_ahead *const ahead = pl_new(1, sizeof *ahead, "rows", err);
    if (!ahead)
        return NULL;
    ahead->options = *options;
    ahead->prefetch = pl_prefetch_new(&(pl_prefetch_options){.item_size = sizeof(pl_loaded), .begin = begin, .load = load_item, .drop = drop, .context = ahead,
                                                             .first = options->first, .end = options->count, .threads = options->threads, .most = options->rows,
                                                             .bytes = options->bytes}, err);
    if (ahead->prefetch)
        return ahead;
    free(ahead);
    return NULL;
}

void pl_ahead_take(pl_ahead *ahead, pl_loaded *loaded)
{
    pl_prefetch_take(ahead->prefetch, loaded);
}

void pl_ahead_free(pl_ahead *ahead)
{
    if (!ahead)
        return;
    pl_prefetch_free(ahead->prefetch);
    pl_row_free(&ahead->last);
    free(ahead);
}
