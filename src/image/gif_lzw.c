/* LZW as GIF has it: codes of 2 to 12 bits, low bits first, a table of 4096 entries. */
#include "image/gif_lzw.h"

#include "base/memory.h"

#include <string.h>

static void take_block(pl_lzw *lzw, const GifByteType *block)
{
    lzw->block = block ? block + 1 : NULL; /* its length comes first */
    lzw->block_left = block ? block[0] : 0;
}

static void reset(pl_lzw *lzw)
{
    lzw->code_bits = lzw->start_bits + 1;
    lzw->next = lzw->clear + 2;
    lzw->last = -1;
}

bool pl_lzw_begin(pl_lzw *lzw, GifFileType *gif)
{
    int start_bits;
    GifByteType *block;
    if (DGifGetCode(gif, &start_bits, &block) == GIF_ERROR)
        return false;
    lzw->gif = gif;
    lzw->bits = 0;
    lzw->bit_count = 0;
    lzw->string_left = 0;
    lzw->start_bits = (unsigned)start_bits; /* at most 8: giflib has looked */
    lzw->clear = 1u << lzw->start_bits;
    take_block(lzw, block);
    reset(lzw);
    return true;
}

/* One more code, or -1 when the blocks are at their end. */
static int read_code(pl_lzw *lzw)
{
    while (lzw->bit_count < lzw->code_bits) {
        if (lzw->block_left == 0) {
            GifByteType *block;
            if (!lzw->block || DGifGetCodeNext(lzw->gif, &block) == GIF_ERROR)
                return -1;
            take_block(lzw, block);
            if (!block)
                return -1;
            continue;
        }
        lzw->bits |= (uint32_t)*lzw->block++ << lzw->bit_count;
        lzw->block_left--;
        lzw->bit_count += 8;
    }
    const uint32_t code = lzw->bits & ((1u << lzw->code_bits) - 1);
    lzw->bits >>= lzw->code_bits;
    lzw->bit_count -= lzw->code_bits;
    return (int)code;
}

/* Writes a code's string backwards to the end of lzw->string; false for one too long to be true. */
static bool expand(pl_lzw *lzw, unsigned code, size_t at)
{
    while (code >= lzw->clear) {
        if (at == 1)
            return false;
        lzw->string[--at] = lzw->tail[code];
        code = lzw->prefix[code];
    }
    lzw->string[--at] = (unsigned char)code;
    lzw->string_left = PL_LZW_CODES - at;
    return true;
}

/* The string of `code` becomes the one to hand out, and the table's new entry is made. */
static const char *take_code(pl_lzw *lzw, unsigned code)
{
    size_t at = PL_LZW_CODES;
    if (lzw->last < 0) {
        if (code >= lzw->clear)
            return "a code before its entry";
        lzw->last = (int)code;
        return expand(lzw, code, at) ? NULL : "an endless code";
    }
    if (code > lzw->next || (code == lzw->next && lzw->next == PL_LZW_CODES))
        return "a code before its entry";
    /* The entry about to be made: the last string, then its own first index. */
    const bool own = code == lzw->next;
    if (!expand(lzw, own ? (unsigned)lzw->last : code, own ? at - 1 : at))
        return "an endless code";
    const unsigned char first = lzw->string[PL_LZW_CODES - lzw->string_left];
    if (own)
        lzw->string[PL_LZW_CODES - 1] = first;
    if (lzw->next < PL_LZW_CODES) {
        lzw->prefix[lzw->next] = (uint16_t)lzw->last;
        lzw->tail[lzw->next] = first;
        if (++lzw->next == 1u << lzw->code_bits && lzw->code_bits < PL_LZW_BITS)
            lzw->code_bits++;
    }
    lzw->last = (int)code;
    return NULL;
}

const char *pl_lzw_read(pl_lzw *lzw, unsigned char *indices, size_t count)
{
    while (count) {
        if (lzw->string_left == 0) {
            const int code = read_code(lzw);
            if (code < 0 || (unsigned)code == lzw->clear + 1)
                return "too few codes";
            if ((unsigned)code == lzw->clear) {
                reset(lzw);
                continue;
            }
            const char *wrong = take_code(lzw, (unsigned)code);
            if (wrong)
                return wrong;
        }
        const size_t part = pl_min(count, lzw->string_left);
        memcpy(indices, lzw->string + PL_LZW_CODES - lzw->string_left, part);
        indices += part;
        count -= part;
        lzw->string_left -= part;
    }
    return NULL;
}

bool pl_lzw_end(pl_lzw *lzw)
{
    GifByteType *block = NULL;
    if (!lzw->block)
        return true;
    do {
        if (DGifGetCodeNext(lzw->gif, &block) == GIF_ERROR)
            return false;
    } while (block);
    return true;
}
