/* .npy 1.0: mark, version, length, a Python dictionary, spaces, a newline (NumPy's format description). */
#include "formats/npy_write.h"

#include <stdio.h>
#include <string.h>

enum { BEGIN = 10 /* mark, version, length of the header */ };

size_t pl_npy_header(char text[PL_NPY_WRITE_HEADER], uint64_t before, pl_dtype dtype, const size_t *shape, size_t rank)
{
    const size_t capacity = PL_NPY_WRITE_HEADER;
    const char *descr = dtype == PL_BF16 ? "|V2" : dtype == PL_F16 ? "<f2" : "<f4";
    size_t used = (size_t)snprintf(text + BEGIN, capacity - BEGIN, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr) + BEGIN;
    for (size_t i = 0; i < rank; i++)
        used += (size_t)snprintf(text + used, capacity - used, i ? " %zu," : "%zu,", shape[i]);
    used -= rank > 1; /* (3,) but (3, 4) */
    used += (size_t)snprintf(text + used, capacity - used, "), }");
    while ((before + used + 1) % PL_NPY_WRITE_ALIGNMENT)
        text[used++] = ' ';
    text[used++] = '\n';
    const uint16_t length = (uint16_t)(used - BEGIN);
    memcpy(text, "\x93NUMPY\1\0", 8);
    memcpy(text + 8, &length, sizeof length);
    return used;
}
