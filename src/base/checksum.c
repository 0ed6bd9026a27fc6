/* The tables are made once; they are constants that need no line of source each. */
#include "base/checksum.h"

#include <pthread.h>
#include <string.h>

static uint32_t tables[8][256]; /* [k][byte]: what the byte does k bytes further on */
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0x82f63b78 : value >> 1;
        tables[0][i] = value;
    }
    for (size_t k = 1; k < 8; k++)
        for (size_t i = 0; i < 256; i++)
            tables[k][i] = tables[k - 1][i] >> 8 ^ tables[0][tables[k - 1][i] & 255];
}

uint32_t pl_crc32c_by_tables(uint32_t before, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint32_t value = ~before;
    pthread_once(&made, make_tables);
    for (; size >= 8; size -= 8, at += 8) {
        const uint32_t low = value ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
        value = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^ tables[4][low >> 24] ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^
                tables[0][at[7]];
    }
    for (; size; size--, at++)
        value = value >> 8 ^ tables[0][(value ^ *at) & 255];
    return ~value;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t before, const unsigned char *at, size_t size)
{
    uint64_t value = ~before;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        value = __builtin_ia32_crc32di(value, word);
    }
    for (; size; size--, at++)
        value = __builtin_ia32_crc32qi((uint32_t)value, *at);
    return ~(uint32_t)value;
}
#endif

uint32_t pl_crc32c(uint32_t before, const void *bytes, size_t size)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return by_instruction(before, bytes, size);
#endif
    return pl_crc32c_by_tables(before, bytes, size);
}
