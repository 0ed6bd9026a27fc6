/*
 * SentencePiece models: sentencepiece_model.proto of google/sentencepiece read
 * field by field. Fields that do not change ids are skipped; those that do and
 * that the encoder does not implement are refused by name.
 */
#include "formats/sentencepiece.h"

#include "base/file.h"

#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* What remains to be read of one message. */
typedef struct span {
    const unsigned char *at;
    size_t size;
} span;

/* One field: its number and wire type, and its value in one of two forms. */
typedef struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value; /* varint, 64 and 32 bits */
    span bytes;     /* WIRE_BYTES */
} field;

/* What the model says beside its pieces, with the proto's defaults. */
typedef struct settings {
    uint64_t model_type; /* 1 unigram, 2 BPE */
    bool whitespace_as_suffix, byte_fallback;
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
    span unk_piece, bos_piece, eos_piece, pad_piece;
    size_t charsmap, denormalizer_charsmap; /* bytes */
} settings;

static bool read_varint(span *in, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70 && in->size; shift += 7) {
        const unsigned char byte = *in->at++;
        in->size--;
        if (shift == 63 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool read_fixed(span *in, size_t bytes, uint64_t *value)
{
    if (in->size < bytes)
        return false;
    *value = 0;
    for (size_t i = 0; i < bytes; i++)
        *value |= (uint64_t)in->at[i] << (8 * i);
    in->at += bytes;
    in->size -= bytes;
    return true;
}

/* The next field of a message; false on bytes that are no protobuf. */
static bool read_field(span *in, field *f)
{
    uint64_t tag;
    if (!read_varint(in, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3)
        return false;
    *f = (field){.number = (uint32_t)(tag >> 3), .wire = (enum wire)(tag & 7)};
    switch (tag & 7) {
    case WIRE_VARINT:
        return read_varint(in, &f->value);
    case WIRE_64:
        return read_fixed(in, 8, &f->value);
    case WIRE_32:
        return read_fixed(in, 4, &f->value);
    case WIRE_BYTES:
        if (!read_varint(in, &f->value) || f->value > in->size)
            return false;
        f->bytes = (span){.at = in->at, .size = (size_t)f->value};
        in->at += f->bytes.size;
        in->size -= f->bytes.size;
        return true;
    default: /* groups and the unassigned types */
        return false;
    }
}

static pali_status broken(const char *message, size_t left, pali_error *err)
{
    return pl_fail(err, PALI_MODEL, "%s: not a protobuf message (a cut or broken field %zu bytes before its end)",
                   message, left);
}

static pali_status wrong_wire(const char *name, const field *f, enum wire expected, pali_error *err)
{
    return pl_fail(err, PALI_MODEL, "%s: found wire type %d, expected %d", name, (int)f->wire, (int)expected);
}

/* The fields that are read, by number: a name for messages, its wire type, where it goes. */
typedef struct rule {
    uint32_t number;
    enum wire wire;
    const char *name;
    bool *flag;
    uint64_t *number_out;
    span *bytes;
    size_t *size;
} rule;

static pali_status apply_rules(span in, const char *message, const rule *rules, size_t count, pali_error *err)
{
    while (in.size) {
        field f;
        const size_t left = in.size;
        if (!read_field(&in, &f))
            return broken(message, left, err);
        for (size_t i = 0; i < count; i++) {
            const rule *r = &rules[i];
            if (r->number != f.number)
                continue;
            if (r->wire != f.wire)
                return wrong_wire(r->name, &f, r->wire, err);
            if (r->flag)
                *r->flag = f.value != 0;
            if (r->number_out)
                *r->number_out = f.value;
            if (r->bytes)
                *r->bytes = f.bytes;
            if (r->size)
                *r->size = f.bytes.size;
        }
    }
    return PALI_OK;
}

static pali_status read_trainer(span in, settings *s, pali_error *err)
{
    const rule rules[] = {
        {.number = 3, .wire = WIRE_VARINT, .name = "trainer_spec.model_type", .number_out = &s->model_type},
        {.number = 24, .wire = WIRE_VARINT, .name = "trainer_spec.treat_whitespace_as_suffix", .flag = &s->whitespace_as_suffix},
        {.number = 35, .wire = WIRE_VARINT, .name = "trainer_spec.byte_fallback", .flag = &s->byte_fallback},
        {.number = 45, .wire = WIRE_BYTES, .name = "trainer_spec.unk_piece", .bytes = &s->unk_piece},
        {.number = 46, .wire = WIRE_BYTES, .name = "trainer_spec.bos_piece", .bytes = &s->bos_piece},
        {.number = 47, .wire = WIRE_BYTES, .name = "trainer_spec.eos_piece", .bytes = &s->eos_piece},
        {.number = 48, .wire = WIRE_BYTES, .name = "trainer_spec.pad_piece", .bytes = &s->pad_piece},
    };
    return apply_rules(in, "trainer_spec", rules, sizeof rules / sizeof *rules, err);
}

static pali_status read_normalizer(span in, settings *s, pali_error *err)
{
    const rule rules[] = {
        {.number = 2, .wire = WIRE_BYTES, .name = "normalizer_spec.precompiled_charsmap", .size = &s->charsmap},
        {.number = 3, .wire = WIRE_VARINT, .name = "normalizer_spec.add_dummy_prefix", .flag = &s->add_dummy_prefix},
        {.number = 4, .wire = WIRE_VARINT, .name = "normalizer_spec.remove_extra_whitespaces", .flag = &s->remove_extra_whitespaces},
        {.number = 5, .wire = WIRE_VARINT, .name = "normalizer_spec.escape_whitespaces", .flag = &s->escape_whitespaces},
    };
    return apply_rules(in, "normalizer_spec", rules, sizeof rules / sizeof *rules, err);
}

static pali_status read_denormalizer(span in, settings *s, pali_error *err)
{
    const rule rules[] = {
        {.number = 2, .wire = WIRE_BYTES, .name = "denormalizer_spec.precompiled_charsmap", .size = &s->denormalizer_charsmap},
    };
    return apply_rules(in, "denormalizer_spec", rules, 1, err);
}

static pali_status read_piece(pl_vocabulary *v, span in, pali_error *err)
{
    span text = {0};
    uint64_t score_bits = 0, type = PL_PIECE_NORMAL;
    const rule rules[] = {
        {.number = 1, .wire = WIRE_BYTES, .name = "pieces.piece", .bytes = &text},
        {.number = 2, .wire = WIRE_32, .name = "pieces.score", .number_out = &score_bits},
        {.number = 3, .wire = WIRE_VARINT, .name = "pieces.type", .number_out = &type},
    };
    const pali_status status = apply_rules(in, "pieces", rules, sizeof rules / sizeof *rules, err);
    if (status != PALI_OK)
        return status;
    const uint32_t bits = (uint32_t)score_bits;
    float score;
    memcpy(&score, &bits, sizeof score);
    return pl_vocabulary_push(v, (const char *)text.at, text.size, score,
                              (pl_piece_type)(type < 100 ? type : 100), err);
}

static pali_status read_model(pl_vocabulary *v, span in, settings *s, pali_error *err)
{
    pali_status status = PALI_OK;
    while (in.size && status == PALI_OK) {
        field f;
        const size_t left = in.size;
        if (!read_field(&in, &f))
            return broken("model", left, err);
        const bool known = f.number == 1 || f.number == 2 || f.number == 3 || f.number == 5;
        if (known && f.wire != WIRE_BYTES)
            return wrong_wire("model", &f, WIRE_BYTES, err);
        if (f.number == 1)
            status = read_piece(v, f.bytes, err);
        else if (f.number == 2)
            status = read_trainer(f.bytes, s, err);
        else if (f.number == 3)
            status = read_normalizer(f.bytes, s, err);
        else if (f.number == 5)
            status = read_denormalizer(f.bytes, s, err);
    }
    return status;
}

static pali_status check_settings(const settings *s, pali_error *err)
{
    if (s->model_type != 2)
        return pl_fail(err, PALI_MODEL, "trainer_spec.model_type: found %llu, expected 2 (BPE)",
                       (unsigned long long)s->model_type);
    if (s->whitespace_as_suffix)
        return pl_fail(err, PALI_MODEL, "trainer_spec.treat_whitespace_as_suffix: found true, expected false");
    if (s->charsmap)
        return pl_fail(err, PALI_MODEL, "normalizer_spec.precompiled_charsmap: found %zu bytes, expected none (identity)",
                       s->charsmap);
    if (s->denormalizer_charsmap)
        return pl_fail(err, PALI_MODEL, "denormalizer_spec.precompiled_charsmap: found %zu bytes, expected none",
                       s->denormalizer_charsmap);
    if (s->remove_extra_whitespaces)
        return pl_fail(err, PALI_MODEL, "normalizer_spec.remove_extra_whitespaces: found true, expected false");
    if (!s->escape_whitespaces)
        return pl_fail(err, PALI_MODEL, "normalizer_spec.escape_whitespaces: found false, expected true");
    return PALI_OK;
}

/* A special id goes by its piece's name; a piece of another type is not it (as in the library). */
static int32_t special_id(const pl_vocabulary *v, span name, pl_piece_type type)
{
    const int32_t id = pl_vocabulary_find(v, (const char *)name.at, name.size);
    return id >= 0 && v->types[id] == type ? id : -1;
}

#define SPAN_OF(text) ((span){.at = (const unsigned char *)(text), .size = sizeof(text) - 1})

pali_status pl_sentencepiece_parse(pl_vocabulary *v, const void *bytes, size_t size, const char *name, pali_error *err)
{
    settings s = {
        .model_type = 1,
        .add_dummy_prefix = true,
        .remove_extra_whitespaces = true,
        .escape_whitespaces = true,
        .unk_piece = SPAN_OF("<unk>"),
        .bos_piece = SPAN_OF("<s>"),
        .eos_piece = SPAN_OF("</s>"),
        .pad_piece = SPAN_OF("<pad>"),
    };
    pl_vocabulary_init(v);
    pali_status status = read_model(v, (span){.at = bytes, .size = size}, &s, err);
    if (status == PALI_OK && v->count == 0)
        status = pl_fail(err, PALI_MODEL, "pieces: found none, expected a SentencePiece model");
    if (status == PALI_OK)
        status = check_settings(&s, err);
    if (status == PALI_OK) {
        v->unk = special_id(v, s.unk_piece, PL_PIECE_UNKNOWN);
        v->bos = special_id(v, s.bos_piece, PL_PIECE_CONTROL);
        v->eos = special_id(v, s.eos_piece, PL_PIECE_CONTROL);
        v->pad = special_id(v, s.pad_piece, PL_PIECE_CONTROL);
        v->byte_fallback = s.byte_fallback;
        v->add_dummy_prefix = s.add_dummy_prefix;
        status = pl_vocabulary_finish(v, err);
    }
    if (status != PALI_OK) {
        pl_error_prefix(err, "%s", name);
        pl_vocabulary_free(v);
    }
    return status;
}

pali_status pl_sentencepiece_read(pl_vocabulary *v, const char *path, pali_error *err)
{
    pl_map map;
    pl_vocabulary_init(v);
    pali_status status = pl_map_open(&map, path, PALI_MODEL, err);
    if (status != PALI_OK)
        return status;
    status = pl_sentencepiece_parse(v, map.data, map.size, path, err);
    pl_map_close(&map);
    return status;
}
