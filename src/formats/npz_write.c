/* Zip records (PKWARE's APPNOTE 6.3, §4.3). */
#include "formats/npz_write.h"

#include "formats/npy_write.h"
#include "formats/tensor_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    LOCAL_BYTES = 30,
    CRC_AT = 14,           /* in a local header */
    EXTRA64_BYTES = 20,    /* of a local Zip64 field */
    VERSION = 20,
    VERSION64 = 45,
    DATE = 0x21,           /* 1 January 1980: the archive depends on its contents only */
};
static const uint32_t FULL32 = UINT32_MAX;

/* Little-endian numbers into a record; this host has them so. */
typedef struct record {
    unsigned char bytes[256];
    size_t used;
} record;

static void put16(record *r, uint32_t value)
{
    const uint16_t narrow = (uint16_t)value;
    memcpy(r->bytes + r->used, &narrow, sizeof narrow);
    r->used += sizeof narrow;
}

static void put32(record *r, uint32_t value)
{
    memcpy(r->bytes + r->used, &value, sizeof value);
    r->used += sizeof value;
}

static void put64(record *r, uint64_t value)
{
    memcpy(r->bytes + r->used, &value, sizeof value);
    r->used += sizeof value;
}

/* A size where 32 bits hold it, else the mark that says it stands in the Zip64 field. */
static uint32_t short_size(uint64_t size)
{
    return size < FULL32 ? (uint32_t)size : FULL32;
}

/* What local and central headers share, from the version needed to the length of the name. */
static void put_common(record *r, const pl_npz_writer *w)
{
    put16(r, w->size >= FULL32 ? VERSION64 : VERSION);
    put16(r, 0); /* flags */
    put16(r, 0); /* stored */
    put16(r, 0); /* time */
    put16(r, DATE);
    put32(r, w->crc);
    put32(r, short_size(w->size));
    put32(r, short_size(w->size));
    put16(r, (uint32_t)strlen(w->name));
}

pali_status pl_npz_create(pl_npz_writer *w, const char *path, pali_error *err)
{
    *w = (pl_npz_writer){0};
    return pl_output_open(&w->out, path, err);
}

pali_status pl_npz_begin(pl_npz_writer *w, const char *name, pl_dtype dtype, const size_t *shape, size_t rank, pali_error *err)
{
    char header[PL_NPY_WRITE_HEADER];
    size_t bytes = 0;
    if ((dtype != PL_F32 && dtype != PL_F16 && dtype != PL_BF16) || !pl_shape_bytes(dtype, shape, rank, &bytes))
        return pl_fail(err, PALI_MODEL, "array %s: found type %s, expected f32, f16 or bf16", name, pl_dtype_name(dtype));
    snprintf(w->name, sizeof w->name, "%s.npy", name);
    w->begin = w->out.size;
    const bool large = bytes >= FULL32 - sizeof header;
    const size_t extra = large ? EXTRA64_BYTES : 0, before = LOCAL_BYTES + strlen(w->name) + extra;
    const size_t header_bytes = pl_npy_header(header, w->begin + before, dtype, shape, rank);
    w->size = header_bytes + bytes;
    w->crc = 0;
    record r = {.used = 0};
    put32(&r, 0x04034b50);
    put_common(&r, w);
    put16(&r, (uint32_t)extra);
    if (large && w->size < FULL32) { /* the field is there: the sizes stand in it */
        memcpy(r.bytes + 18, &FULL32, 4);
        memcpy(r.bytes + 22, &FULL32, 4);
    }
    pali_status status = pl_output_write(&w->out, r.bytes, r.used, err);
    if (status == PALI_OK)
        status = pl_output_write(&w->out, w->name, strlen(w->name), err);
    r.used = 0;
    put16(&r, 1);
    put16(&r, 16);
    put64(&r, w->size);
    put64(&r, w->size);
    if (status == PALI_OK)
        status = pl_output_write(&w->out, r.bytes, extra, err);
    return status == PALI_OK ? pl_npz_write(w, header, header_bytes, err) : status;
}

pali_status pl_npz_write(pl_npz_writer *w, const void *bytes, size_t size, pali_error *err)
{
    enum { STEP = 1 << 30 }; /* zlib counts in 32 bits */
    for (size_t at = 0; at < size; at += STEP)
        w->crc = (uint32_t)crc32(w->crc, (const unsigned char *)bytes + at, (uInt)pl_min(STEP, size - at));
    return pl_output_write(&w->out, bytes, size, err);
}

pali_status pl_npz_end(pl_npz_writer *w, pali_error *err)
{
    record r = {.used = 0};
    const bool far = w->begin >= FULL32, large = w->size >= FULL32;
    const uint32_t extra = far || large ? 4 + (large ? 16 : 0) + (far ? 8 : 0) : 0;
    put32(&r, 0x02014b50);
    put16(&r, VERSION64);
    put_common(&r, w);
    put16(&r, extra);
    put16(&r, 0); /* comment */
    put16(&r, 0); /* disk */
    put16(&r, 0);
    put32(&r, 0); /* attributes */
    put32(&r, short_size(w->begin));
    pali_status status = pl_output_rewrite(&w->out, w->begin + CRC_AT, &w->crc, sizeof w->crc, err);
    if (status == PALI_OK)
        status = pl_buffer_append(&w->directory, r.bytes, r.used, err);
    if (status == PALI_OK)
        status = pl_buffer_append(&w->directory, w->name, strlen(w->name), err);
    r.used = 0;
    put16(&r, 1);
    put16(&r, extra - 4);
    if (large) {
        put64(&r, w->size);
        put64(&r, w->size);
    }
    if (far)
        put64(&r, w->begin);
    if (status == PALI_OK && extra)
        status = pl_buffer_append(&w->directory, r.bytes, r.used, err);
    w->count++;
    return status;
}

/* The records behind the directory: Zip64's only where an offset or size needs it. */
static void put_end(record *r, const pl_npz_writer *w, uint64_t begin)
{
    const uint64_t size = w->directory.length, end = begin + size;
    if (begin >= FULL32) {
        put32(r, 0x06064b50);
        put64(r, 44);
        put16(r, VERSION64);
        put16(r, VERSION64);
        put32(r, 0);
        put32(r, 0);
        put64(r, w->count);
        put64(r, w->count);
        put64(r, size);
        put64(r, begin);
        put32(r, 0x07064b50);
        put32(r, 0);
        put64(r, end);
        put32(r, 1);
    }
    put32(r, 0x06054b50);
    put16(r, 0);
    put16(r, 0);
    put16(r, (uint32_t)w->count);
    put16(r, (uint32_t)w->count);
    put32(r, (uint32_t)size);
    put32(r, short_size(begin));
    put16(r, 0);
}

pali_status pl_npz_commit(pl_npz_writer *w, pali_error *err)
{
    record r = {.used = 0};
    put_end(&r, w, w->out.size);
    pali_status status = pl_output_write(&w->out, w->directory.data, w->directory.length, err);
    if (status == PALI_OK)
        status = pl_output_write(&w->out, r.bytes, r.used, err);
    if (status == PALI_OK)
        status = pl_output_commit(&w->out, err);
    pl_npz_abandon(w);
    return status;
}

void pl_npz_abandon(pl_npz_writer *w)
{
    pl_output_abandon(&w->out);
    free(w->directory.data);
    *w = (pl_npz_writer){0};
}
