/*
 * Reads zip from its end: end record, Zip64 end record when sizes pass 32 bits,
 * central directory, local headers. Written from PKWARE's APPNOTE 6.3, §4.3
 * and §4.5.3. The central directory is believed, the local headers must agree.
 */
#include "formats/zip.h"

#include "formats/tensor_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    LARGEST_COMMENT = 65535,
    MOST_INFLATED = 1032, /* deflate codes 258 bytes in two bits at best */
};

static const uint32_t LOCAL_MARK = 0x04034b50, CENTRAL_MARK = 0x02014b50, END_MARK = 0x06054b50;
static const uint32_t LOCATOR_MARK = 0x07064b50, END64_MARK = 0x06064b50;

/* Where the directory stands and what it holds. */
typedef struct directory {
    uint64_t offset, size, count;
    uint32_t disk, first_disk;
} directory;

/* Finds the end record: the last mark whose comment ends with the file. */
static bool find_end(const pl_zip *zip, size_t *at)
{
    if (zip->size < END_BYTES)
        return false;
    const size_t last = zip->size - END_BYTES, first = last > LARGEST_COMMENT ? last - LARGEST_COMMENT : 0;
    for (size_t i = last + 1; i-- > first;) {
        if (pl_read_u32(zip->bytes + i) == END_MARK && pl_read_u16(zip->bytes + i + 20) == last - i) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* Replaces what the end record could not hold by the Zip64 end record, if there is one. */
static pali_status read_end64(const pl_zip *zip, size_t end, directory *dir, pali_error *err)
{
    const unsigned char *locator = zip->bytes + end - LOCATOR_BYTES;
    if (end < LOCATOR_BYTES || pl_read_u32(locator) != LOCATOR_MARK)
        return PALI_OK;
    const uint64_t offset = pl_read_u64(locator + 8);
    const size_t room = end - LOCATOR_BYTES;
    if (room < END64_BYTES || offset > room - END64_BYTES || pl_read_u32(zip->bytes + offset) != END64_MARK)
        return pl_fail(err, PALI_MODEL, "%s: zip: found no Zip64 end record at byte %llu", zip->path, (unsigned long long)offset);
    const unsigned char *record = zip->bytes + offset;
    *dir = (directory){.disk = pl_read_u32(record + 16), .first_disk = pl_read_u32(record + 20), .count = pl_read_u64(record + 32),
        .size = pl_read_u64(record + 40), .offset = pl_read_u64(record + 48)};
    return PALI_OK;
}

static pali_status find_directory(const pl_zip *zip, directory *dir, pali_error *err)
{
    size_t end;
    if (!find_end(zip, &end))
        return pl_fail(err, PALI_MODEL, "%s: found no end of a zip archive (is it cut off, or not an .npz?)", zip->path);
    const unsigned char *record = zip->bytes + end;
    *dir = (directory){.disk = pl_read_u16(record + 4), .first_disk = pl_read_u16(record + 6), .count = pl_read_u16(record + 10),
        .size = pl_read_u32(record + 12), .offset = pl_read_u32(record + 16)};
    const pali_status status = read_end64(zip, end, dir, err);
    if (status != PALI_OK)
        return status;
    if (dir->disk != 0 || dir->first_disk != 0)
        return pl_fail(err, PALI_MODEL, "%s: zip: found an archive in several parts, expected one file", zip->path);
    if (dir->offset > end || dir->size > end - dir->offset)
        return pl_fail(err, PALI_MODEL, "%s: zip: directory of %llu bytes at byte %llu does not fit in %zu", zip->path, (unsigned long long)dir->size,
            (unsigned long long)dir->offset, end);
    if (dir->count > dir->size / CENTRAL_BYTES)
        return pl_fail(err, PALI_MODEL, "%s: zip: found %llu members in a directory of %llu bytes", zip->path, (unsigned long long)dir->count,
            (unsigned long long)dir->size);
    return PALI_OK;
}

/* "path: member 'name'", for messages; returns buf. */
static const char *label(const pl_zip *zip, const pl_zip_member *member, char buf[400])
{
    char name[80];
    snprintf(buf, 400, "%s: zip member %s", zip->path, pl_printable(member->name, member->name_length, name));
    return buf;
}

/* Sizes and offset of a central entry; the Zip64 field holds those that are all ones. */
static bool read_sizes(const unsigned char *entry, const unsigned char *extra, size_t extra_length, uint64_t sizes[3])
{
    sizes[0] = pl_read_u32(entry + 24); /* own size */
    sizes[1] = pl_read_u32(entry + 20); /* in the archive */
    sizes[2] = pl_read_u32(entry + 42); /* of the local header */
    if (sizes[0] != UINT32_MAX && sizes[1] != UINT32_MAX && sizes[2] != UINT32_MAX)
        return true;
    while (extra_length >= 4) {
        const size_t id = pl_read_u16(extra), length = pl_read_u16(extra + 2);
        if (length > extra_length - 4)
            return false;
        if (id == 1) {
            size_t used = 4;
            for (size_t i = 0; i < 3; i++) {
                if (sizes[i] != UINT32_MAX)
                    continue;
                if (used + 8 > length + 4)
                    return false;
                sizes[i] = pl_read_u64(extra + used);
                used += 8;
            }
            return true;
        }
        extra += 4 + length;
        extra_length -= 4 + length;
    }
    return false;
}

/* The local header must stand where the directory says and tell the same name and method. */
static pali_status read_local(const pl_zip *zip, pl_zip_member *member, size_t limit, pali_error *err)
{
    char where[400];
    const unsigned char *local = zip->bytes + member->begin;
    if (member->begin > limit || limit - member->begin < LOCAL_BYTES || pl_read_u32(local) != LOCAL_MARK)
        return pl_fail(err, PALI_MODEL, "%s: found no local header at byte %zu", label(zip, member, where), member->begin);
    const size_t name_length = pl_read_u16(local + 26), head = LOCAL_BYTES + name_length + pl_read_u16(local + 28);
    const size_t room = limit - member->begin;
    if (head > room || member->stored > room - head)
        return pl_fail(err, PALI_MODEL, "%s: %zu bytes at byte %zu run into the directory at %zu", label(zip, member, where), member->stored,
            member->begin + head, limit);
    if (name_length != member->name_length || memcmp(local + LOCAL_BYTES, member->name, name_length) != 0)
        return pl_fail(err, PALI_MODEL, "%s: its local header has another name", label(zip, member, where));
    if (pl_read_u16(local + 8) != (member->deflated ? 8 : 0))
        return pl_fail(err, PALI_MODEL, "%s: its local header has another compression method", label(zip, member, where));
    member->offset = member->begin + head;
    return PALI_OK;
}

/* Reads one central entry of *length bytes left at `entry`; *length becomes what it takes. */
static pali_status read_member(const pl_zip *zip, const directory *dir, const unsigned char *entry, size_t *length, pl_zip_member *member, pali_error *err)
{
    char where[400];
    if (*length < CENTRAL_BYTES || pl_read_u32(entry) != CENTRAL_MARK)
        return pl_fail(err, PALI_MODEL, "%s: zip: the directory ends early or is damaged", zip->path);
    const size_t name_length = pl_read_u16(entry + 28), extra_length = pl_read_u16(entry + 30);
    const size_t whole = CENTRAL_BYTES + name_length + extra_length + pl_read_u16(entry + 32);
    if (whole > *length)
        return pl_fail(err, PALI_MODEL, "%s: zip: the directory ends early or is damaged", zip->path);
    *length = whole;
    *member = (pl_zip_member){.name = (const char *)entry + CENTRAL_BYTES, .name_length = name_length, .crc = pl_read_u32(entry + 16)};
    if (!pl_name_is_text(member->name, name_length))
        return pl_fail(err, PALI_MODEL, "%s: zip: a member's name is not UTF-8 text or holds NUL", zip->path);
    if (pl_read_u16(entry + 8) & 1)
        return pl_fail(err, PALI_MODEL, "%s: found an encrypted member, expected a plain one", label(zip, member, where));
    const unsigned method = pl_read_u16(entry + 10);
    if (method != 0 && method != 8)
        return pl_fail(err, PALI_MODEL, "%s: found compression method %u, expected 0 (stored) or 8 (deflate)", label(zip, member, where), method);
    member->deflated = method == 8;

    uint64_t sizes[3];
    if (!read_sizes(entry, entry + CENTRAL_BYTES + name_length, extra_length, sizes))
        return pl_fail(err, PALI_MODEL, "%s: its Zip64 sizes are missing or damaged", label(zip, member, where));
    if (sizes[1] > zip->size || sizes[2] > zip->size)
        return pl_fail(err, PALI_MODEL, "%s: %llu bytes at byte %llu do not fit in the file's %zu", label(zip, member, where),
            (unsigned long long)sizes[1], (unsigned long long)sizes[2], zip->size);
    if (member->deflated ? sizes[0] / MOST_INFLATED > sizes[1] : sizes[0] != sizes[1])
        return pl_fail(err, PALI_MODEL, "%s: %llu bytes cannot come from the %llu that are there", label(zip, member, where),
            (unsigned long long)sizes[0], (unsigned long long)sizes[1]);
    member->size = (size_t)sizes[0];
    member->stored = (size_t)sizes[1];
    member->begin = (size_t)sizes[2];
    return read_local(zip, member, (size_t)dir->offset, err);
}

static int compare_members(const void *a, const void *b)
{
    const pl_zip_member *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* Members that share bytes are how a small archive unpacks to a huge one. */
static pali_status refuse_overlaps(const pl_zip *zip, pali_error *err)
{
    char where[400];
    for (size_t i = 1; i < zip->count; i++) {
        const pl_zip_member *before = &zip->members[i - 1];
        if (zip->members[i].begin < before->offset + before->stored)
            return pl_fail(err, PALI_MODEL, "%s overlaps the member before it", label(zip, &zip->members[i], where));
    }
    return PALI_OK;
}

pali_status pl_zip_read(pl_zip *zip, const void *bytes, size_t size, const char *path, pali_error *err)
{
    *zip = (pl_zip){.bytes = bytes, .size = size, .path = path};
    directory dir;
    pali_status status = find_directory(zip, &dir, err);
    if (status != PALI_OK)
        return status;
    zip->members = pl_new((size_t)dir.count, sizeof *zip->members, "zip directory", err);
    if (!zip->members)
        return PALI_MEMORY;
    const unsigned char *entry = zip->bytes + dir.offset;
    size_t left = (size_t)dir.size;
    while (status == PALI_OK && zip->count < dir.count) {
        size_t length = left;
        status = read_member(zip, &dir, entry, &length, &zip->members[zip->count], err);
        entry += length;
        left -= length;
        zip->count += status == PALI_OK;
    }
    if (status == PALI_OK) {
        qsort(zip->members, zip->count, sizeof *zip->members, compare_members);
        status = refuse_overlaps(zip, err);
    }
    if (status != PALI_OK)
        pl_zip_free(zip);
    return status;
}

void pl_zip_free(pl_zip *zip)
{
    free(zip->members);
    *zip = (pl_zip){0};
}

/* zlib counts in 32 bits. */
static uInt chunk(size_t bytes)
{
    return (uInt)pl_min(bytes, 1u << 30);
}

/* CRC-32 of any number of bytes. */
static uint32_t checksum(const unsigned char *bytes, size_t size)
{
    uLong crc = crc32(0, NULL, 0);
    for (size_t done = 0; done < size; done += chunk(size - done))
        crc = crc32(crc, bytes + done, chunk(size - done));
    return (uint32_t)crc;
}

static pali_status compare_checksum(const pl_zip *zip, const pl_zip_member *member, const unsigned char *bytes, pali_error *err)
{
    char where[400];
    const uint32_t found = checksum(bytes, member->size);
    if (found == member->crc)
        return PALI_OK;
    return pl_fail(err, PALI_MODEL, "%s: found CRC-32 %08x, expected %08x (the file is damaged)", label(zip, member, where), found, member->crc);
}

pali_status pl_zip_check(const pl_zip *zip, const pl_zip_member *member, pali_error *err)
{
    return compare_checksum(zip, member, zip->bytes + member->offset, err);
}

/* Runs zlib until `count` bytes are out, or the end or a fault; returns zlib's word and how many are out. */
static int run_inflate(z_stream *stream, const unsigned char *in, size_t in_size, unsigned char *out, size_t count, size_t *produced)
{
    int word = Z_OK;
    size_t consumed = 0;
    *produced = 0;
    while (word == Z_OK && (*produced < count || consumed < in_size)) {
        unsigned char spare; /* room for one byte too many, so that it shows */
        const bool full = *produced == count;
        stream->next_in = (Bytef *)(uintptr_t)(in + consumed);
        stream->avail_in = chunk(in_size - consumed);
        stream->next_out = full ? &spare : out + *produced;
        stream->avail_out = full ? 1 : chunk(count - *produced);
        const uInt in_before = stream->avail_in, out_before = stream->avail_out;
        word = inflate(stream, Z_NO_FLUSH);
        consumed += in_before - stream->avail_in;
        *produced += out_before - stream->avail_out;
        if (*produced > count)
            break;
        if (word == Z_OK && in_before == stream->avail_in && out_before == stream->avail_out)
            word = Z_BUF_ERROR;
    }
    return word;
}

pali_status pl_zip_inflate(const pl_zip *zip, const pl_zip_member *member, void *out, size_t count, pali_error *err)
{
    char where[400];
    z_stream stream = {0};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return pl_fail_memory(err, "inflating an .npz", 0);
    size_t produced;
    const int word = run_inflate(&stream, zip->bytes + member->offset, member->stored, out, count, &produced);
    inflateEnd(&stream);
    if (word == Z_MEM_ERROR)
        return pl_fail_memory(err, "inflating an .npz", 0);
    const bool whole = count == member->size;
    const bool good = whole ? word == Z_STREAM_END && produced == count : produced >= count;
    if (!good)
        return pl_fail(err, PALI_MODEL, "%s: its deflated data is damaged, or does not give the %zu bytes it should", label(zip, member, where),
            member->size);
    return whole ? compare_checksum(zip, member, out, err) : PALI_OK;
}
