/* Which encoder a name asks for, what each can hold, and the file. */
#include "image/encode.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { QUALITY = 92 };

static const struct {
    const char *name;
    pl_image_format format;
} names[] = {{"jpg", PL_FORMAT_JPEG}, {"jpeg", PL_FORMAT_JPEG}, {"png", PL_FORMAT_PNG}, {"webp", PL_FORMAT_WEBP}};

static const struct {
    const char *name;
    size_t side; /* the most pixels */
    pali_status (*encode)(const pl_raster *raster, const pl_encode_options *options, const char *name, pl_buffer *out, pali_error *err);
} formats[] = {
    [PL_FORMAT_JPEG] = {"JPEG", 65500, pl_jpeg_encode},
    [PL_FORMAT_PNG] = {"PNG", PL_IMAGE_MAX_SIDE, pl_png_encode},
    [PL_FORMAT_WEBP] = {"WebP", 16383, pl_webp_encode},
};

static bool find_format(const char *name, pl_image_format *format)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i].name) == 0) {
            *format = names[i].format;
            return true;
        }
    return false;
}

pali_status pl_format_of_name(const char *name, const char *what, pl_image_format *format, pali_error *err)
{
    char found[80];
    if (find_format(name, format))
        return PALI_OK;
    return pl_fail(err, PALI_USAGE, "%s: found the picture format %s, expected jpg, jpeg, png or webp", what, pl_printable(name, strlen(name), found));
}

pali_status pl_format_of_path(const char *path, pl_image_format *format, pali_error *err)
{
    const char *const slash = strrchr(path, '/'), *const file = slash ? slash + 1 : path;
    const char *const dot = strrchr(file, '.');
    if (dot && dot > file && find_format(dot + 1, format))
        return PALI_OK;
    return pl_fail(err, PALI_USAGE, "%s: found no picture format that can be written at the end of the name, expected .jpg, .jpeg, .png or .webp", path);
}

pali_status pl_image_encode(const pl_raster *raster, const pl_encode_options *options, const char *name, pl_buffer *out, pali_error *err)
{
    const size_t most = formats[options->format].side;
    pl_encode_options full = *options;
    full.quality = options->quality ? options->quality : QUALITY;
    if (full.quality < 1 || full.quality > 100)
        return pl_fail(err, PALI_USAGE, "%s: found a quality of %d, expected 1 to 100", name, full.quality);
    if (full.lossless && full.format == PL_FORMAT_JPEG)
        return pl_fail(err, PALI_USAGE, "%s: a JPEG cannot be lossless, expected PNG or WebP", name);
    if (raster->channels != 1 && raster->channels != 3 && raster->channels != 4)
        return pl_fail(err, PALI_USAGE, "%s: found pixels of %zu channels, expected 1, 3 or 4", name, raster->channels);
    if (pl_image_check(raster->width, raster->height, name, err) != PALI_OK)
        return pl_status_of(err, PALI_INPUT);
    if (raster->width > most || raster->height > most)
        return pl_fail(err, PALI_USAGE, "%s: found a picture of %zu x %zu pixels, expected at most %zu a side in a %s (a PNG holds it)",
                       name, raster->width, raster->height, most, formats[full.format].name);
    return formats[full.format].encode(raster, &full, name, out, err);
}

pali_status pl_image_save(const pl_raster *raster, const pl_encode_options *options, const char *path, pali_error *err)
{
    pl_buffer bytes = {0};
    pali_status status = pl_image_encode(raster, options, path, &bytes, err);
    if (status == PALI_OK)
        status = pl_file_write(path, bytes.data, bytes.length, err);
    free(bytes.data);
    return status;
}
