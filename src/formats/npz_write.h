/*
 * Writing an .npz: stored members one after the other, with Zip64 where sizes
 * need it. Data begin at multiples of 64 bytes, so that they can be used where
 * they lie.
 */
#ifndef PL_FORMATS_NPZ_WRITE_H
#define PL_FORMATS_NPZ_WRITE_H

#include "base/output.h"
#include "base/text.h"
#include "tensor/tensor.h"

typedef struct pl_npz_writer {
    pl_output out;
    pl_buffer directory; /* owned: the central directory so far */
    uint64_t count;
    /* the member that is being written */
    char name[200];
    uint64_t begin, size; /* of its local header; bytes it has */
    uint32_t crc;
} pl_npz_writer;

pali_status pl_npz_create(pl_npz_writer *w, const char *path, pali_error *err);

/* An array `name`.npy of F32, F16 or BF16 (as "|V2", as big_vision has it), whose data follow in any pieces. */
pali_status pl_npz_begin(pl_npz_writer *w, const char *name, pl_dtype dtype, const size_t *shape, size_t rank, pali_error *err);
pali_status pl_npz_write(pl_npz_writer *w, const void *bytes, size_t size, pali_error *err);
pali_status pl_npz_end(pl_npz_writer *w, pali_error *err);

/* Ends the archive and gives the file its name; the writer is freed, also on failure. */
pali_status pl_npz_commit(pl_npz_writer *w, pali_error *err);

/* Removes what was written. Does nothing to a writer that is freed or all zero. */
void pl_npz_abandon(pl_npz_writer *w);

#endif
