/*
 * CRC-32C (Castagnoli), the check of TensorBoard's records and of what
 * snapshots of training hold: by the processor's instruction for it, or by
 * eight tables, a byte of each eight at a time (Kounavis and Berry, "A systematic
 * approach to building high performance software-based CRC generators", 2005).
 */
#ifndef PL_BASE_CHECKSUM_H
#define PL_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Of some bytes that follow those which gave `before`; 0 at the beginning. */
uint32_t pl_crc32c(uint32_t before, const void *bytes, size_t size);

/* The same by the tables, on any processor. */
uint32_t pl_crc32c_by_tables(uint32_t before, const void *bytes, size_t size);

#endif
