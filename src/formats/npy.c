/*
 * .npy 1.0, 2.0 and 3.0: a mark, a version, a length, and a Python dictionary
 * with exactly three keys (NumPy enhancement proposal 1). NumPy knows no
 * bfloat16; big_vision's arrays have it as two-byte void, "|V2".
 */
#include "formats/npy.h"

#include "base/memory.h"
#include "formats/tensor_build.h"

/* A place in the dictionary's text. */
typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_space(cursor *c)
{
    while (c->at < c->end && strchr(" \t\r\n", *c->at) && *c->at)
        c->at++;
}

/* Skips space and takes this character, if it is next. */
static bool take(cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

/* Skips space and takes this word, if it is next. */
static bool take_word(cursor *c, const char *word)
{
    const size_t length = strlen(word);
    skip_space(c);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

/* A quoted string without escapes, cut to fit in text. */
static bool take_string(cursor *c, char *text, size_t capacity)
{
    const char quote = take(c, '\'') ? '\'' : take(c, '"') ? '"' : 0;
    const char *begin = c->at;
    while (quote && c->at < c->end && *c->at != quote && *c->at != '\\')
        c->at++;
    if (!quote || c->at == c->end || *c->at != quote)
        return false;
    const size_t length = pl_min((size_t)(c->at - begin), capacity - 1);
    memcpy(text, begin, length);
    text[length] = '\0';
    c->at++;
    return true;
}

/* A whole number; Python 2 wrote an L behind it. */
static bool take_size(cursor *c, size_t *value)
{
    skip_space(c);
    const char *begin = c->at;
    *value = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (!pl_mul(*value, 10, value) || !pl_add(*value, (size_t)(*c->at - '0'), value))
            return false;
    if (c->at == begin)
        return false;
    take(c, 'L');
    return true;
}

/* (), (3,), (3, 4) or (3, 4,) */
static bool take_shape(cursor *c, pl_npy *npy)
{
    if (!take(c, '('))
        return false;
    npy->rank = 0;
    while (!take(c, ')')) {
        if (npy->rank == PL_NPY_MAX_RANK || !take_size(c, &npy->shape[npy->rank]))
            return false;
        npy->rank++;
        if (!take(c, ',') && (c->at == c->end || *c->at != ')'))
            return false;
    }
    return true;
}

/* The list that describes a record type: skipped to its closing bracket. */
static bool skip_list(cursor *c)
{
    size_t depth = 0;
    for (skip_space(c); c->at < c->end; c->at++) {
        depth += *c->at == '[';
        depth -= *c->at == ']';
        if (depth == 0) {
            c->at++;
            return true;
        }
    }
    return false;
}

static void find_type(pl_npy *npy)
{
    static const struct {
        const char *name;
        pl_dtype dtype;
    } types[] = {
        {"f4", PL_F32}, {"V2", PL_BF16}, {"f2", PL_F16}, {"f8", PL_F64},
        {"i1", PL_I8}, {"u1", PL_U8}, {"i4", PL_I32}, {"i8", PL_I64},
    };
    const bool order = npy->type[0] && strchr("<>|=", npy->type[0]);
    const char *kind = npy->type + order;
    npy->dtype = PL_DTYPE_COUNT;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(kind, types[i].name) == 0)
            npy->dtype = types[i].dtype;
    if (npy->type[0] == '>' && npy->dtype != PL_DTYPE_COUNT && pl_dtype_bytes(npy->dtype) > 1)
        npy->problem = "found big-endian numbers, expected little-endian";
    else if (*kind == 'O')
        npy->problem = "found Python objects, expected numbers";
}

static bool take_type(cursor *c, pl_npy *npy)
{
    skip_space(c);
    if (c->at < c->end && *c->at == '[') {
        memcpy(npy->type, "record", sizeof "record");
        npy->dtype = PL_DTYPE_COUNT;
        return skip_list(c);
    }
    if (!take_string(c, npy->type, sizeof npy->type))
        return false;
    find_type(npy);
    return true;
}

/* {'descr': ..., 'fortran_order': ..., 'shape': ..., } in any order. */
static bool take_dictionary(cursor *c, pl_npy *npy)
{
    enum { DESCR = 1, ORDER = 2, SHAPE = 4, ALL = 7 };
    unsigned seen = 0;
    bool fortran = false;
    if (!take(c, '{'))
        return false;
    while (!take(c, '}')) {
        char key[16];
        if (!take_string(c, key, sizeof key) || !take(c, ':'))
            return false;
        const unsigned field = strcmp(key, "descr") == 0 ? DESCR : strcmp(key, "fortran_order") == 0 ? ORDER : strcmp(key, "shape") == 0 ? SHAPE : 0;
        if (!field || seen & field)
            return false;
        seen |= field;
        bool good = true;
        if (field == DESCR)
            good = take_type(c, npy);
        else if (field == SHAPE)
            good = take_shape(c, npy);
        else
            good = (fortran = take_word(c, "True")) || take_word(c, "False");
        if (!good || (!take(c, ',') && (c->at == c->end || *c->at != '}')))
            return false;
    }
    skip_space(c);
    if (fortran && npy->rank > 1 && !npy->problem)
        npy->problem = "found Fortran order (fortran_order True), expected C order";
    return seen == ALL && c->at == c->end;
}

pali_status pl_npy_read(pl_npy *npy, const unsigned char *bytes, size_t size, const char *where, pali_error *err)
{
    static const unsigned char mark[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    *npy = (pl_npy){.dtype = PL_DTYPE_COUNT};
    if (size < 10 || memcmp(bytes, mark, sizeof mark) != 0)
        return pl_fail(err, PALI_MODEL, "%s: found no .npy header", where);
    const unsigned version = bytes[6];
    if (version < 1 || version > 3)
        return pl_fail(err, PALI_MODEL, "%s: found .npy version %u, expected 1, 2 or 3", where, version);
    const size_t begin = version == 1 ? 10 : 12;
    if (size < begin)
        return pl_fail(err, PALI_MODEL, "%s: the .npy header is cut off", where);
    const size_t length = version == 1 ? pl_read_u16(bytes + 8) : pl_read_u32(bytes + 8);
    if (length > PL_NPY_MAX_HEADER - begin)
        return pl_fail(err, PALI_MODEL, "%s: found a .npy header of %zu bytes, expected at most %zu", where, length, PL_NPY_MAX_HEADER - begin);
    if (length > size - begin)
        return pl_fail(err, PALI_MODEL, "%s: the .npy header is cut off", where);
    cursor c = {(const char *)bytes + begin, (const char *)bytes + begin + length};
    if (!take_dictionary(&c, npy))
        return pl_fail(err, PALI_MODEL, "%s: the .npy header is damaged; expected descr, fortran_order and a shape of at most %d axes", where,
            PL_NPY_MAX_RANK);
    npy->header = begin + length;
    return PALI_OK;
}
