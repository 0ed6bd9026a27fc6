/*
 * GIF through giflib's record interface and LZW codes of our own. Frames are drawn on a canvas of RGB
 * as Pillow does: the first frame overwrites a canvas of its transparent (or
 * first) colour, later ones leave what is under their transparent pixels, and
 * disposal follows Pillow's reading of the control blocks.
 */
#include "image/codec.h"

#include "base/memory.h"
#include "image/gif_lzw.h"

#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

enum { TO_BACKGROUND = 2 }; /* disposal; 0, 1: leave the frame; above 2: what was there before */

typedef struct gif_reader {
    const pl_source *source;
    size_t offset; /* in source, of the next byte */
    GifFileType *gif;
    pl_image canvas;
    unsigned char *row;      /* [row_width] indices */
    unsigned char *restore;  /* [box.height, box.width, 3] what disposal puts back, or NULL */
    size_t row_width;
    struct { size_t x, y, width, height; } box; /* of the frame being drawn, clipped to the canvas */
    unsigned char palette[256][3];
    size_t colours;      /* of palette as stored */
    unsigned background; /* index that disposal fills with */
    int transparent;     /* index in this frame, or -1 */
    unsigned disposal;   /* kept from frame to frame where a frame names none */
    size_t frame;        /* number of the frame being read */
    bool ended;          /* the file ends behind a whole frame, without its end mark */
    pl_lzw lzw;
} gif_reader;

static int on_read(GifFileType *gif, GifByteType *to, int length)
{
    gif_reader *reader = gif->UserData;
    const size_t count = pl_min(length > 0 ? (size_t)length : 0, reader->source->size - reader->offset);
    if (count)
        memcpy(to, reader->source->bytes + reader->offset, count);
    reader->offset += count;
    return (int)count;
}

static pali_status fail_frame(const gif_reader *reader, const char *reason, pali_error *err)
{
    const pl_source *source = reader->source;
    if (reader->offset >= source->size)
        return pl_fail(err, PALI_INPUT, "%s: found a GIF cut short after %zu bytes, expected the whole of frame %zu", source->name,
                       source->size, reader->frame);
    return pl_fail(err, PALI_INPUT, "%s: found a damaged GIF (frame %zu: %s), expected a picture", source->name, reader->frame, reason);
}

static pali_status fail_giflib(const gif_reader *reader, int code, pali_error *err)
{
    if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
        return pl_fail_memory(err, reader->source->name, 0);
    const char *reason = GifErrorString(code);
    return fail_frame(reader, reason ? reason : "unknown reason", err);
}

/* The control block before a frame: transparent index and disposal. */
static pali_status read_extension(gif_reader *reader, pali_error *err)
{
    int code;
    GifByteType *block; /* its length, then its bytes */
    if (DGifGetExtension(reader->gif, &code, &block) == GIF_ERROR)
        return fail_giflib(reader, reader->gif->Error, err);
    if (code == GRAPHICS_EXT_FUNC_CODE && block && block[0] >= 4) {
        const unsigned flags = block[1];
        if (flags & 1)
            reader->transparent = block[4];
        if (flags >> 2 & 7)
            reader->disposal = flags >> 2 & 7;
    }
    while (block)
        if (DGifGetExtensionNext(reader->gif, &block) == GIF_ERROR)
            return fail_giflib(reader, reader->gif->Error, err);
    return PALI_OK;
}

/*
 * The frame's own palette or the common one. Without any, or with a plain
 * ramp, an index is a grey level; indices past a palette's end are black.
 */
static void load_palette(gif_reader *reader)
{
    const GifFileType *gif = reader->gif;
    const ColorMapObject *map = gif->Image.ColorMap ? gif->Image.ColorMap : gif->SColorMap;
    bool ramp = true;
    memset(reader->palette, 0, sizeof reader->palette);
    reader->colours = map ? pl_min((size_t)map->ColorCount, 256) : 0;
    for (size_t i = 0; i < reader->colours; i++) {
        const GifColorType c = map->Colors[i];
        memcpy(reader->palette[i], (unsigned char[3]){c.Red, c.Green, c.Blue}, 3);
        ramp = ramp && c.Red == i && c.Green == i && c.Blue == i;
    }
    if (!ramp)
        return;
    reader->colours = 256;
    for (size_t i = 0; i < 256; i++)
        memset(reader->palette[i], (int)i, 3);
}

static void fill_box(unsigned char *rgb, size_t count, const unsigned char colour[3])
{
    for (size_t i = 0; i < count; i++)
        memcpy(rgb + 3 * i, colour, 3);
}

static unsigned char *canvas_at(const gif_reader *reader, size_t x, size_t y)
{
    return reader->canvas.rgb + 3 * (y * reader->canvas.width + x);
}

/* Before the frame is drawn: keeps what its disposal will put in its place. */
static pali_status plan_disposal(gif_reader *reader, pali_error *err)
{
    const bool first = reader->frame == 0;
    if (reader->disposal < TO_BACKGROUND || (reader->disposal != TO_BACKGROUND && first && reader->transparent < 0))
        return PALI_OK;
    const size_t pixels = reader->box.width * reader->box.height;
    reader->restore = pl_new_raw(pixels, 3, reader->source->name, err);
    if (!reader->restore)
        return PALI_MEMORY;
    if (reader->disposal == TO_BACKGROUND || first) {
        size_t index = reader->transparent >= 0 ? (size_t)reader->transparent : reader->background;
        if (!first && index >= reader->colours)
            index = 0;
        fill_box(reader->restore, pixels, reader->palette[index]);
        return PALI_OK;
    }
    for (size_t y = 0; y < reader->box.height; y++)
        memcpy(reader->restore + 3 * y * reader->box.width, canvas_at(reader, reader->box.x, reader->box.y + y), 3 * reader->box.width);
    return PALI_OK;
}

static void dispose(gif_reader *reader)
{
    if (!reader->restore)
        return;
    for (size_t y = 0; y < reader->box.height; y++)
        memcpy(canvas_at(reader, reader->box.x, reader->box.y + y), reader->restore + 3 * y * reader->box.width, 3 * reader->box.width);
    free(reader->restore);
    reader->restore = NULL;
}

/* Draws one row of indices at the frame's row y; under the first frame the canvas has the transparent colour. */
static void draw_row(gif_reader *reader, size_t y)
{
    if (y >= reader->box.height)
        return;
    unsigned char *to = canvas_at(reader, reader->box.x, reader->box.y + y);
    if (reader->transparent < 0) {
        pl_palette_to_rgb(reader->row, reader->box.width, (const unsigned char(*)[3])reader->palette, to);
        return;
    }
    for (size_t x = 0; x < reader->box.width; x++)
        if (reader->row[x] != reader->transparent)
            memcpy(to + 3 * x, reader->palette[reader->row[x]], 3);
}

static pali_status draw_rows(gif_reader *reader, size_t width, size_t height, bool interlaced, pali_error *err)
{
    static const struct { size_t start, step; } passes[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}, {0, 1}};
    const size_t first = interlaced ? 0 : 4, last = interlaced ? 4 : 5;
    if (!pl_lzw_begin(&reader->lzw, reader->gif))
        return fail_giflib(reader, reader->gif->Error, err);
    for (size_t pass = first; pass < last; pass++)
        for (size_t y = passes[pass].start; y < height; y += passes[pass].step) {
            const char *wrong = pl_lzw_read(&reader->lzw, reader->row, width);
            if (wrong)
                return fail_frame(reader, wrong, err);
            draw_row(reader, y);
        }
    reader->ended = !pl_lzw_end(&reader->lzw);
    return PALI_OK;
}

/* The canvas is the screen, grown so that the first frame lies on it. */
static pali_status begin_canvas(gif_reader *reader, pali_error *err)
{
    const GifImageDesc *image = &reader->gif->Image;
    const size_t width = pl_max((size_t)reader->gif->SWidth, (size_t)image->Left + (size_t)image->Width);
    const size_t height = pl_max((size_t)reader->gif->SHeight, (size_t)image->Top + (size_t)image->Height);
    const pali_status status = pl_image_new(width, height, reader->source->name, &reader->canvas, err);
    if (status == PALI_OK)
        fill_box(reader->canvas.rgb, width * height, reader->palette[reader->transparent >= 0 ? reader->transparent : 0]);
    return status;
}

static pali_status read_frame(gif_reader *reader, pali_error *err)
{
    GifFileType *gif = reader->gif;
    if (DGifGetImageDesc(gif) == GIF_ERROR)
        return fail_giflib(reader, gif->Error, err);
    const size_t left = (size_t)gif->Image.Left, top = (size_t)gif->Image.Top;
    const size_t width = (size_t)gif->Image.Width, height = (size_t)gif->Image.Height;
    pali_status status = pl_image_check(width, height, reader->source->name, err);
    if (status != PALI_OK)
        return status;
    load_palette(reader);
    if (reader->frame == 0)
        status = begin_canvas(reader, err);
    if (status != PALI_OK)
        return status;
    reader->box.x = pl_min(left, reader->canvas.width);
    reader->box.y = pl_min(top, reader->canvas.height);
    reader->box.width = pl_min(width, reader->canvas.width - reader->box.x);
    reader->box.height = pl_min(height, reader->canvas.height - reader->box.y);
    if (width > reader->row_width) {
        unsigned char *row = realloc(reader->row, width);
        if (!row)
            return pl_fail_memory(err, reader->source->name, width);
        reader->row = row;
        reader->row_width = width;
    }
    status = plan_disposal(reader, err);
    if (status == PALI_OK)
        status = draw_rows(reader, width, height, gif->Image.Interlace, err);
    return status;
}

static pali_status push_canvas(const gif_reader *reader, pl_frames *out, pali_error *err)
{
    pl_image *frame;
    const pali_status status = pl_frames_push(out, reader->canvas.width, reader->canvas.height, reader->source->name, &frame, err);
    if (status == PALI_OK)
        memcpy(frame->rgb, reader->canvas.rgb, 3 * frame->width * frame->height);
    return status;
}

static pali_status read_records(gif_reader *reader, size_t most, pl_frames *out, pali_error *err)
{
    reader->background = reader->gif->SColorMap ? (unsigned)reader->gif->SBackGroundColor & 255 : 0;
    reader->transparent = -1;
    while (out->count < most && !reader->ended) {
        GifRecordType type;
        /* After a frame the missing end of the file is no loss. */
        if (DGifGetRecordType(reader->gif, &type) == GIF_ERROR)
            return out->count ? PALI_OK : fail_giflib(reader, reader->gif->Error, err);
        pali_status status = PALI_OK;
        if (type == TERMINATE_RECORD_TYPE)
            break;
        if (type == EXTENSION_RECORD_TYPE)
            status = read_extension(reader, err);
        if (type == IMAGE_DESC_RECORD_TYPE) {
            dispose(reader);
            status = read_frame(reader, err);
            if (status == PALI_OK && pl_source_wants(reader->source, reader->frame))
                status = push_canvas(reader, out, err);
            reader->frame++;
            reader->transparent = -1;
        }
        if (status != PALI_OK)
            return status;
    }
    if (out->count == 0)
        return pl_fail(err, PALI_INPUT, "%s: found a GIF without a picture in it, expected at least one frame", reader->source->name);
    return PALI_OK;
}

pali_status pl_gif_decode(const pl_source *source, size_t most, pl_frames *out, pali_error *err)
{
    gif_reader reader = {.source = source};
    int code = 0;
    reader.gif = DGifOpen(&reader, on_read, &code);
    if (!reader.gif)
        return fail_giflib(&reader, code, err);
    const pali_status status = read_records(&reader, most, out, err);
    DGifCloseFile(reader.gif, &code);
    free(reader.row);
    free(reader.restore);
    pl_image_free(&reader.canvas);
    return status;
}
