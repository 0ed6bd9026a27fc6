/*
 * The directory of a zip archive in memory, for .npz files: where each member's
 * bytes stand, so that stored ones can be used in place.
 */
#ifndef PL_FORMATS_ZIP_H
#define PL_FORMATS_ZIP_H

#include "base/memory.h"

typedef struct pl_zip_member {
    const char *name; /* [name_length] UTF-8 without NUL, borrowed from the archive's bytes */
    size_t name_length;
    bool deflated;      /* else stored */
    uint32_t crc;       /* of the member's own bytes */
    size_t begin;       /* of its local header in the archive */
    size_t offset;      /* of its data in the archive */
    size_t stored;      /* bytes it takes there */
    size_t size;        /* bytes it has; == stored when it is not deflated */
} pl_zip_member;

typedef struct pl_zip {
    const unsigned char *bytes; /* [size], borrowed */
    size_t size;
    const char *path;       /* borrowed, for messages */
    pl_zip_member *members; /* [count], in the order of their bytes; no two overlap */
    size_t count;
} pl_zip;

/*
 * Reads the directory. Every range is checked against the archive and against
 * the local headers, sizes against what deflate can reach; encryption, other
 * methods and archives in several parts give PALI_MODEL. Free with pl_zip_free.
 */
pali_status pl_zip_read(pl_zip *zip, const void *bytes, size_t size, const char *path, pali_error *err);
void pl_zip_free(pl_zip *zip);

/*
 * The first `count` bytes of a deflated member into out. When that is all of
 * it, the end of the data and the CRC are checked too.
 */
pali_status pl_zip_inflate(const pl_zip *zip, const pl_zip_member *member, void *out, size_t count, pali_error *err);

/* Compares a stored member's CRC with its bytes. */
pali_status pl_zip_check(const pl_zip *zip, const pl_zip_member *member, pali_error *err);

#endif
