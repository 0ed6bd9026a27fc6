/*
 * The common vocabulary: growing arrays, an index from text to id, and the
 * rules that hold whatever file the pieces came from.
 */
#include "formats/vocabulary.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_PIECE = 4096, /* bytes; real ones stay below 100 */
    MOST_PIECES = 1 << 24, /* so that a rank is exact in a float */
    LOCATIONS = 1024,
    SEGMENTS = 128
};

void pl_vocabulary_init(pl_vocabulary *v)
{
    *v = (pl_vocabulary){.bos = -1, .eos = -1, .pad = -1, .unk = -1};
    for (int b = 0; b < 256; b++)
        v->bytes[b] = -1;
}

void pl_vocabulary_free(pl_vocabulary *v)
{
    free(v->text);
    free(v->ends);
    free(v->scores);
    free(v->types);
    free(v->merges);
    free(v->slots);
    pl_vocabulary_init(v);
}

const char *pl_vocabulary_piece(const pl_vocabulary *v, int32_t id, size_t *length)
{
    const uint32_t start = id ? v->ends[id - 1] : 0;
    *length = v->ends[id] - start;
    return v->text + start;
}

static uint32_t tag_of(const char *text, size_t length)
{
    const uint64_t hash = pl_hash(text, length);
    return (uint32_t)(hash ^ hash >> 32);
}

/* The slot of a piece, or the empty one where it belongs. */
static pl_piece_slot *find_slot(const pl_vocabulary *v, uint32_t tag, const char *text, size_t length)
{
    for (size_t i = tag & (v->slot_count - 1);; i = (i + 1) & (v->slot_count - 1)) {
        pl_piece_slot *const slot = &v->slots[i];
        if (slot->id < 0)
            return slot;
        if (slot->tag != tag)
            continue;
        size_t size;
        const char *piece = pl_vocabulary_piece(v, slot->id, &size);
        if (size == length && memcmp(piece, text, length) == 0)
            return slot;
    }
}

int32_t pl_vocabulary_find(const pl_vocabulary *v, const char *text, size_t length)
{
    return length == 0 || length > v->longest ? -1 : find_slot(v, tag_of(text, length), text, length)->id;
}

/* Keeps the index at most half full with as many pieces. */
static pali_status grow_index(pl_vocabulary *v, size_t pieces, pali_error *err)
{
    if (2 * pieces <= v->slot_count)
        return PALI_OK;
    size_t count = 1024;
    while (count < 2 * pieces)
        count *= 2;
    pl_piece_slot *slots = pl_new_raw(count, sizeof *slots, "piece index", err);
    if (!slots)
        return PALI_MEMORY;
    memset(slots, 0xff, count * sizeof *slots);
    for (size_t i = 0; i < v->slot_count; i++) {
        size_t at = v->slots[i].tag & (count - 1);
        if (v->slots[i].id < 0)
            continue;
        while (slots[at].id >= 0)
            at = (at + 1) & (count - 1);
        slots[at] = v->slots[i];
    }
    free(v->slots);
    v->slots = slots;
    v->slot_count = count;
    return PALI_OK;
}

pali_status pl_vocabulary_reserve(pl_vocabulary *v, size_t pieces, size_t bytes, pali_error *err)
{
    if (pieces > MOST_PIECES)
        return pl_fail(err, PALI_MODEL, "found %zu pieces, expected at most %d", pieces, MOST_PIECES);
    pali_status status = pl_grow(&v->text, &v->text_capacity, bytes, 1, "pieces", err);
    if (status == PALI_OK)
        status = pl_grow(&v->ends, &v->ends_capacity, pieces, sizeof *v->ends, "pieces", err);
    if (status == PALI_OK)
        status = pl_grow(&v->scores, &v->scores_capacity, pieces, sizeof *v->scores, "pieces", err);
    if (status == PALI_OK)
        status = pl_grow(&v->types, &v->types_capacity, pieces, 1, "pieces", err);
    return status == PALI_OK ? grow_index(v, pieces, err) : status;
}

pali_status pl_vocabulary_copy(pl_vocabulary *copy, const pl_vocabulary *v, pali_error *err)
{
    pl_vocabulary_init(copy);
    pali_status status = pl_vocabulary_reserve(copy, v->count, v->text_size, err);
    for (size_t id = 0; status == PALI_OK && id < v->count; id++) {
        size_t length;
        const char *text = pl_vocabulary_piece(v, (int32_t)id, &length);
        status = pl_vocabulary_push(copy, text, length, v->scores[id], (pl_piece_type)v->types[id], err);
    }
    if (status == PALI_OK && v->merges && !(copy->merges = pl_new_raw(v->merge_count, sizeof *copy->merges, "merges", err)))
        status = PALI_MEMORY;
    if (status != PALI_OK) {
        pl_vocabulary_free(copy);
        return status;
    }
    if (v->merges)
        memcpy(copy->merges, v->merges, v->merge_count * sizeof *copy->merges);
    copy->merge_count = v->merge_count;
    memcpy(copy->bytes, v->bytes, sizeof copy->bytes);
    copy->bos = v->bos;
    copy->eos = v->eos;
    copy->pad = v->pad;
    copy->unk = v->unk;
    copy->byte_fallback = v->byte_fallback;
    copy->add_dummy_prefix = v->add_dummy_prefix;
    return PALI_OK;
}

static bool is_utf8(const char *text, size_t length)
{
    bool valid = true;
    for (size_t at = 0; at < length && valid;) {
        uint32_t code;
        at += pl_utf8_read(text + at, length - at, &code, &valid);
    }
    return valid;
}

static pali_status check_piece(const pl_vocabulary *v, const char *text, size_t length, float score,
                               pl_piece_type type, pali_error *err)
{
    char name[80];
    if (v->count >= MOST_PIECES)
        return pl_fail(err, PALI_MODEL, "piece %zu: expected at most %d pieces", v->count, MOST_PIECES);
    if (length == 0 || length > LONGEST_PIECE)
        return pl_fail(err, PALI_MODEL, "piece %zu: found %zu bytes, expected 1 to %d", v->count, length, LONGEST_PIECE);
    if (!is_utf8(text, length))
        return pl_fail(err, PALI_MODEL, "piece %zu: %s is not UTF-8", v->count, pl_printable(text, length, name));
    if (!isfinite(score))
        return pl_fail(err, PALI_MODEL, "piece %zu: score is not a finite number", v->count);
    if ((int)type < PL_PIECE_NORMAL || (int)type > PL_PIECE_BYTE)
        return pl_fail(err, PALI_MODEL, "piece %zu: found type %d, expected 1 to 6", v->count, (int)type);
    if (v->text_size + length > UINT32_MAX)
        return pl_fail(err, PALI_MODEL, "piece %zu: more than 4 GiB of pieces", v->count);
    return PALI_OK;
}

pali_status pl_vocabulary_push(pl_vocabulary *v, const char *text, size_t length, float score, pl_piece_type type,
                               pali_error *err)
{
    pali_status status = check_piece(v, text, length, score, type, err);
    if (status == PALI_OK)
        status = pl_vocabulary_reserve(v, v->count + 1, v->text_size + length, err);
    if (status != PALI_OK)
        return status;
    const uint32_t tag = tag_of(text, length);
    pl_piece_slot *const slot = find_slot(v, tag, text, length);
    char name[80];
    if (slot->id >= 0)
        return pl_fail(err, PALI_MODEL, "piece %zu: %s stands already at id %d", v->count,
                       pl_printable(text, length, name), (int)slot->id);
    *slot = (pl_piece_slot){.tag = tag, .id = (int32_t)v->count};
    memcpy(v->text + v->text_size, text, length);
    v->text_size += length;
    v->longest = pl_max(v->longest, length);
    v->ends[v->count] = (uint32_t)v->text_size;
    v->scores[v->count] = score;
    v->types[v->count] = (uint8_t)type;
    v->count++;
    return PALI_OK;
}

int pl_byte_of_piece(const char *text, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' || !text[3] || !text[4])
        return -1;
    const char *high = strchr(digits, text[3]), *low = strchr(digits, text[4]);
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

bool pl_is_location_piece(const char *text, size_t length)
{
    const bool loc = length == 9 && memcmp(text, "<loc", 4) == 0;
    const bool seg = length == 8 && memcmp(text, "<seg", 4) == 0;
    if ((!loc && !seg) || text[length - 1] != '>')
        return false;
    for (size_t i = 4; i < length - 1; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

/* Ids for all 256 bytes; a file may have the character itself in place of the
 * byte piece of an ASCII byte (Gemma's tokenizer.json prints the tab so). */
static pali_status fill_bytes(pl_vocabulary *v, pali_error *err)
{
    for (size_t id = 0; id < v->count; id++) {
        if (v->types[id] != PL_PIECE_BYTE)
            continue;
        size_t length;
        char name[80];
        const char *text = pl_vocabulary_piece(v, (int32_t)id, &length);
        const int byte = pl_byte_of_piece(text, length);
        if (byte < 0)
            return pl_fail(err, PALI_MODEL, "piece %zu: found %s of type byte, expected <0x00> to <0xFF>", id,
                           pl_printable(text, length, name));
        v->bytes[byte] = (int32_t)id;
    }
    for (int b = 0; b < 256 && v->byte_fallback; b++) {
        const char character = (char)b;
        const int32_t alone = b < 128 ? pl_vocabulary_find(v, &character, 1) : -1;
        if (v->bytes[b] < 0 && alone >= 0 && v->types[alone] != PL_PIECE_CONTROL && v->types[alone] != PL_PIECE_UNKNOWN)
            v->bytes[b] = alone;
        if (v->bytes[b] < 0)
            return pl_fail(err, PALI_MODEL, "byte_fallback: is on, but the piece <0x%02X> is missing", (unsigned)b);
    }
    return PALI_OK;
}

static pali_status check_special(pl_vocabulary *v, const char *name, int32_t id, pl_piece_type type, pali_error *err)
{
    if (id < 0)
        return PALI_OK;
    if ((size_t)id >= v->count)
        return pl_fail(err, PALI_MODEL, "%s id: found %d, expected below %zu pieces", name, (int)id, v->count);
    v->types[id] = (uint8_t)type;
    return PALI_OK;
}

/* Types that some files have wrong: locations must be found in text, <image> must not. */
static void settle_types(pl_vocabulary *v)
{
    for (size_t id = 0; id < v->count; id++) {
        size_t length;
        const char *text = pl_vocabulary_piece(v, (int32_t)id, &length);
        if (pl_is_location_piece(text, length))
            v->types[id] = PL_PIECE_USER_DEFINED;
    }
    const int32_t image = pl_vocabulary_find(v, "<image>", 7);
    if (image >= 0)
        v->types[image] = PL_PIECE_CONTROL;
}

pali_status pl_vocabulary_finish(pl_vocabulary *v, pali_error *err)
{
    if (v->count == 0)
        return pl_fail(err, PALI_MODEL, "no pieces");
    settle_types(v);
    pali_status status = check_special(v, "bos", v->bos, PL_PIECE_CONTROL, err);
    if (status == PALI_OK)
        status = check_special(v, "eos", v->eos, PL_PIECE_CONTROL, err);
    if (status == PALI_OK)
        status = check_special(v, "pad", v->pad, PL_PIECE_CONTROL, err);
    if (status == PALI_OK)
        status = check_special(v, "unk", v->unk, PL_PIECE_UNKNOWN, err);
    if (status == PALI_OK)
        status = fill_bytes(v, err);
    if (status == PALI_OK && !v->byte_fallback && v->unk < 0)
        status = pl_fail(err, PALI_MODEL, "found neither byte pieces nor an unknown piece, expected one of them");
    return status;
}

pali_status pl_vocabulary_add_locations(pl_vocabulary *v, pali_error *err)
{
    pali_status status = PALI_OK;
    for (int i = 0; i < LOCATIONS + SEGMENTS && status == PALI_OK; i++) {
        char text[24];
        const int length = i < LOCATIONS ? snprintf(text, sizeof text, "<loc%04d>", i)
                                         : snprintf(text, sizeof text, "<seg%03d>", i - LOCATIONS);
        if (pl_vocabulary_find(v, text, (size_t)length) < 0)
            status = pl_vocabulary_push(v, text, (size_t)length, 0, PL_PIECE_USER_DEFINED, err);
    }
    return status;
}

pali_status pl_vocabulary_from_arrays(pl_vocabulary *v, const pl_vocabulary_arrays *arrays, const char *name,
                                      pali_error *err)
{
    pl_vocabulary_init(v);
    pali_status status = pl_vocabulary_reserve(v, arrays->count, 0, err);
    for (size_t i = 0; i < arrays->count && status == PALI_OK; i++) {
        const size_t length = arrays->lengths ? arrays->lengths[i] : strlen(arrays->pieces[i]);
        const pl_piece_type type = (pl_piece_type)arrays->types[i];
        status = pl_vocabulary_push(v, arrays->pieces[i], length, arrays->scores[i], type, err);
        v->byte_fallback = v->byte_fallback || type == PL_PIECE_BYTE;
    }
    v->bos = arrays->bos;
    v->eos = arrays->eos;
    v->pad = arrays->pad;
    v->unk = arrays->unk;
    v->add_dummy_prefix = arrays->add_dummy_prefix;
    if (status == PALI_OK)
        status = pl_vocabulary_finish(v, err);
    if (status != PALI_OK) {
        pl_error_prefix(err, "%s", name);
        pl_vocabulary_free(v);
    }
    return status;
}
