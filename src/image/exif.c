/*
 * Where a picture says which way is up: tag 0x0112 of the first directory of
 * its EXIF data (a small TIFF file), or tiff:Orientation in its XMP text. What
 * makes no sense is ignored: a picture never fails over its metadata.
 */
#include "image/codec.h"

#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_BYTES = 12 };

static unsigned read_u16(const unsigned char *p, bool big)
{
    return big ? pl_u16be(p) : pl_u16le(p);
}
static unsigned read_u32(const unsigned char *p, bool big)
{
    return big ? pl_u32be(p) : pl_u32le(p);
}

unsigned pl_exif_orientation(const unsigned char *exif, size_t size)
{
    if (size >= 6 && memcmp(exif, "Exif\0\0", 6) == 0) {
        exif += 6;
        size -= 6;
    }
    if (size < 8 || (memcmp(exif, "II*\0", 4) != 0 && memcmp(exif, "MM\0*", 4) != 0))
        return 0;
    const bool big = exif[0] == 'M';
    const size_t directory = read_u32(exif + 4, big);
    if (directory > size - 2)
        return 0;
    const size_t entries = read_u16(exif + directory, big);
    for (size_t i = 0; i < entries; i++) {
        const size_t at = directory + 2 + i * ENTRY_BYTES;
        if (at + ENTRY_BYTES > size)
            return 0;
        const unsigned char *entry = exif + at;
        if (read_u16(entry, big) != TAG_ORIENTATION || read_u32(entry + 4, big) != 1)
            continue;
        const unsigned type = read_u16(entry + 2, big);
        const unsigned value = type == TYPE_SHORT ? read_u16(entry + 8, big) : type == TYPE_LONG ? read_u32(entry + 8, big) : 0;
        return value >= 1 && value <= 8 ? value : 1;
    }
    return 0;
}

unsigned pl_xmp_orientation(const unsigned char *text, size_t size)
{
    static const char name[] = "tiff:Orientation";
    const size_t length = sizeof name - 1;
    const unsigned char *end = text + size;
    for (const unsigned char *p = text; (size_t)(end - p) > length + 2; p++) {
        p = memchr(p, 't', (size_t)(end - p) - length - 2);
        if (!p)
            return 0;
        if (memcmp(p, name, length) != 0)
            continue;
        /* tiff:Orientation="6" or <tiff:Orientation>6</tiff:Orientation> */
        const unsigned char *digit = p + length;
        if (*digit == '>')
            digit++;
        else if (digit[0] == '=' && digit[1] == '"')
            digit += 2;
        else
            continue;
        if (*digit >= '0' && *digit <= '9')
            return *digit >= '1' && *digit <= '8' ? (unsigned)(*digit - '0') : 1;
    }
    return 0;
}

unsigned pl_jpeg_orientation(const pl_source *source)
{
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    unsigned from_xmp = 0;
    size_t at = 2;
    while (at + 4 <= source->size) {
        const unsigned char *segment = source->bytes + at;
        if (segment[0] != 0xff) {
            at++; /* stray bytes before a marker */
            continue;
        }
        const unsigned marker = segment[1];
        if (marker == 0xff || marker == 0 || (marker >= 0xd0 && marker <= 0xd8)) {
            at += marker == 0xff ? 1 : 2; /* fill bytes and markers without a body */
            continue;
        }
        if (marker == 0xda || marker == 0xd9) /* the scan begins: metadata stands before it */
            break;
        const size_t length = pl_u16be(segment + 2);
        if (length < 2 || length > source->size - at - 2)
            break;
        const unsigned char *body = segment + 4;
        const size_t body_size = length - 2;
        if (marker == 0xe1 && body_size >= 6 && memcmp(body, "Exif\0\0", 6) == 0) {
            const unsigned found = pl_exif_orientation(body, body_size);
            if (found)
                return found;
        }
        if (marker == 0xe1 && body_size > sizeof xmp && memcmp(body, xmp, sizeof xmp) == 0 && !from_xmp)
            from_xmp = pl_xmp_orientation(body + sizeof xmp, body_size - sizeof xmp);
        at += 2 + length;
    }
    return from_xmp ? from_xmp : 1;
}

unsigned pl_png_orientation(const pl_source *source)
{
    static const char xmp[] = "XML:com.adobe.xmp"; /* the NUL, then flags 0 0 for "not compressed" */
    unsigned from_xmp = 0;
    for (size_t at = 8; at + 12 <= source->size;) {
        const unsigned char *chunk = source->bytes + at;
        const size_t length = pl_u32be(chunk);
        if (length > source->size - at - 12)
            break;
        if (memcmp(chunk + 4, "eXIf", 4) == 0) {
            const unsigned found = pl_exif_orientation(chunk + 8, length);
            if (found)
                return found;
        }
        if (memcmp(chunk + 4, "iTXt", 4) == 0 && length > sizeof xmp && memcmp(chunk + 8, xmp, sizeof xmp) == 0 && !from_xmp)
            from_xmp = pl_xmp_orientation(chunk + 8 + sizeof xmp, length - sizeof xmp);
        at += 12 + length;
    }
    return from_xmp ? from_xmp : 1;
}
