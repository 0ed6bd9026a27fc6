/*
 * Zip members that are .npy arrays into the directory of tensors. An array is
 * inflated only after its header has told that its shape takes exactly the
 * bytes that the archive claims.
 */
#include "formats/npz.h"

#include "base/text.h"
#include "formats/npy.h"
#include "formats/tensor_build.h"
#include "formats/zip.h"

#include <stdio.h>
#include <stdlib.h>

/* Stored members up to this size have their CRC checked; larger ones would have to be read whole. */
enum { LARGEST_CHECKED = 4 << 20 };

/* The array's header, and for a deflated one the whole member inflated into a kept block. */
static pali_status read_array(pl_tensor_file *file, const pl_zip *zip, const pl_zip_member *member, const char *where, pl_npy *npy,
    const unsigned char **inflated, pali_error *err)
{
    *inflated = NULL;
    if (!member->deflated)
        return pl_npy_read(npy, zip->bytes + member->offset, member->size, where, err);
    unsigned char head[PL_NPY_MAX_HEADER];
    const size_t head_size = pl_min(member->size, sizeof head);
    pali_status status = pl_zip_inflate(zip, member, head, head_size, err);
    if (status == PALI_OK)
        status = pl_npy_read(npy, head, head_size, where, err);
    if (status != PALI_OK || npy->problem || npy->dtype == PL_DTYPE_COUNT || npy->rank > PL_MAX_RANK)
        return status;
    size_t bytes;
    if (!pl_shape_bytes(npy->dtype, npy->shape, npy->rank, &bytes) || bytes != member->size - npy->header) {
        char shape[96];
        return pl_fail(err, PALI_MODEL, "%s: found %zu bytes of data, expected shape %s of %s", where, member->size - npy->header,
            pl_shape_text(npy->shape, npy->rank, shape), npy->type);
    }
    unsigned char *block = pl_tensor_file_keep(file, pl_new_aligned(member->size, where, err), err);
    *inflated = block;
    return block ? pl_zip_inflate(zip, member, block, member->size, err) : PALI_MEMORY;
}

static pali_status add_member(pl_tensor_file *file, const pl_zip *zip, const pl_zip_member *member, pali_error *err)
{
    static const char suffix[] = ".npy";
    const size_t tail = sizeof suffix - 1;
    if (member->name_length < tail || memcmp(member->name + member->name_length - tail, suffix, tail) != 0)
        return PALI_OK; /* no array */
    char where[400], name[80];
    snprintf(where, sizeof where, "%s: array %s", zip->path, pl_printable(member->name, member->name_length, name));
    pl_npy npy;
    const unsigned char *inflated;
    pali_status status = read_array(file, zip, member, where, &npy, &inflated, err);
    if (status == PALI_OK && !member->deflated && member->size <= LARGEST_CHECKED)
        status = pl_zip_check(zip, member, err);
    if (status != PALI_OK)
        return status;
    pl_tensor_entry entry = {.source = file->source_count - 1, .name = member->name, .name_length = member->name_length - tail, .type = npy.type,
        .problem = npy.problem, .dtype = npy.dtype, .shape = npy.shape, .rank = npy.rank, .offset = member->offset, .size = member->stored};
    if (member->deflated)
        entry.inflated = inflated ? inflated + npy.header : NULL;
    else {
        entry.offset += npy.header;
        entry.size -= npy.header;
    }
    if (member->deflated && !inflated) /* listed only; its size is not the tensor's */
        entry.dtype = PL_DTYPE_COUNT;
    return pl_tensor_file_add(file, &entry, err);
}

static pl_tensor_file *read_archive(pl_tensor_file *file, const pl_tensor_source *source, pali_error *err)
{
    pl_zip zip;
    pali_status status = source ? pl_zip_read(&zip, source->data, source->size, source->path, err) : PALI_MODEL;
    if (status == PALI_OK) {
        for (size_t i = 0; status == PALI_OK && i < zip.count; i++)
            status = add_member(file, &zip, &zip.members[i], err);
        pl_zip_free(&zip);
    }
    if (status == PALI_OK)
        status = pl_tensor_file_finish(file, false, err);
    if (status == PALI_OK)
        return file;
    pl_tensor_file_close(file);
    return NULL;
}

pl_tensor_file *pl_npz_open(const char *path, pali_error *err)
{
    pl_tensor_file *file = pl_tensor_file_new(err);
    return file ? read_archive(file, pl_tensor_file_add_path(file, path, err), err) : NULL;
}

pl_tensor_file *pl_npz_open_memory(const void *bytes, size_t size, const char *name, pali_error *err)
{
    pl_tensor_file *file = pl_tensor_file_new(err);
    return file ? read_archive(file, pl_tensor_file_add_memory(file, bytes, size, name, err), err) : NULL;
}
