/*
 * WebP through libwebp: still pictures straight to RGB (alpha dropped, hidden
 * colours kept), animations through its canvas reader, frame after frame.
 */
#include "image/codec.h"

#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

static pali_status fail_status(const pl_source *source, VP8StatusCode code, pali_error *err)
{
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
    case VP8_STATUS_USER_ABORT: /* nobody aborts here; its own set-up ends so without memory */
        return pl_fail_memory(err, source->name, 0);
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return pl_fail(err, PALI_INPUT, "%s: found a WebP cut short after %zu bytes, expected the whole picture", source->name, source->size);
    default:
        return pl_fail(err, PALI_INPUT, "%s: found a damaged WebP (libwebp status %d), expected a picture", source->name, (int)code);
    }
}

static pali_status decode_still(const pl_source *source, size_t width, size_t height, pl_frames *out, pali_error *err)
{
    pl_image *frame;
    const pali_status status = pl_frames_push(out, width, height, source->name, &frame, err);
    if (status != PALI_OK)
        return status;
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return pl_fail(err, PALI_FAILED, "libwebp: its version differs from the one compiled against");
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = (WebPRGBABuffer){.rgba = frame->rgb, .stride = (int)(3 * width), .size = 3 * width * height};
    const VP8StatusCode code = WebPDecode(source->bytes, source->size, &config);
    WebPFreeDecBuffer(&config.output);
    return code == VP8_STATUS_OK ? PALI_OK : fail_status(source, code, err);
}

static pali_status read_frames(WebPAnimDecoder *decoder, const pl_source *source, size_t most, pl_frames *out, pali_error *err)
{
    WebPAnimInfo info;
    if (!WebPAnimDecoderGetInfo(decoder, &info) || info.frame_count == 0)
        return pl_fail(err, PALI_INPUT, "%s: found a WebP animation without frames, expected at least one", source->name);
    for (size_t at = 0; out->count < most && WebPAnimDecoderHasMoreFrames(decoder); at++) {
        uint8_t *canvas; /* [height, width, 4], owned by the decoder */
        int time;
        if (!WebPAnimDecoderGetNext(decoder, &canvas, &time))
            return pl_fail(err, PALI_INPUT, "%s: found a damaged frame %zu of %u in a WebP animation, expected a picture",
                           source->name, at, info.frame_count);
        if (!pl_source_wants(source, at))
            continue;
        pl_image *frame;
        const pali_status status = pl_frames_push(out, info.canvas_width, info.canvas_height, source->name, &frame, err);
        if (status != PALI_OK)
            return status;
        const size_t pixels = frame->width * frame->height;
        for (size_t i = 0; i < pixels; i++)
            memcpy(frame->rgb + 3 * i, canvas + 4 * i, 3);
    }
    return PALI_OK;
}

static pali_status decode_animation(const pl_source *source, size_t most, pl_frames *out, pali_error *err)
{
    WebPAnimDecoderOptions options;
    if (!WebPAnimDecoderOptionsInit(&options))
        return pl_fail(err, PALI_FAILED, "libwebpdemux: its version differs from the one compiled against");
    options.color_mode = MODE_RGBA;
    options.use_threads = 0;
    const WebPData data = {.bytes = source->bytes, .size = source->size};
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, &options);
    if (!decoder)
        return pl_fail(err, PALI_INPUT, "%s: found a WebP animation that is damaged or cut short after %zu bytes, expected a picture",
                       source->name, source->size);
    const pali_status status = read_frames(decoder, source, most, out, err);
    WebPAnimDecoderDelete(decoder);
    return status;
}

pali_status pl_webp_decode(const pl_source *source, size_t most, pl_frames *out, pali_error *err)
{
    WebPBitstreamFeatures features;
    const VP8StatusCode code = WebPGetFeatures(source->bytes, source->size, &features);
    if (code != VP8_STATUS_OK)
        return fail_status(source, code, err);
    /* Refuse a canvas that is too large before libwebp asks for two of them. */
    const size_t width = (size_t)features.width, height = (size_t)features.height;
    const pali_status status = pl_image_check(width, height, source->name, err);
    if (status != PALI_OK)
        return status;
    return features.has_animation ? decode_animation(source, most, out, err) : decode_still(source, width, height, out, err);
}

unsigned pl_webp_orientation(const pl_source *source)
{
    /* RIFF: chunks of a 4-letter name, a size and a payload padded to even. */
    unsigned from_xmp = 0;
    for (size_t at = 12; at + 8 <= source->size;) {
        const unsigned char *chunk = source->bytes + at;
        const size_t length = pl_u32le(chunk + 4);
        if (length > source->size - at - 8)
            break;
        if (memcmp(chunk, "EXIF", 4) == 0) {
            const unsigned found = pl_exif_orientation(chunk + 8, length);
            if (found)
                return found;
        }
        if (memcmp(chunk, "XMP ", 4) == 0 && !from_xmp)
            from_xmp = pl_xmp_orientation(chunk + 8, length);
        at += 8 + length + (length & 1);
    }
    return from_xmp ? from_xmp : 1;
}
