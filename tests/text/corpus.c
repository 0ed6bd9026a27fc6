/* Each function here stands against the one of the same name in make_corpus.py. */
#include "text/corpus.h"

#include "text/support.h"

static const char *const runs[] = {" ", "\n", "\t", "\r", SPACE, "a", "\xc2\xa0", " \n", "<", "\xf0\x9f\x98\x80"};
static const uint32_t ranges[][2] = {
    {0x20, 0x7f},      {0xa0, 0x250},     {0x250, 0x370},   {0x370, 0x400},   {0x400, 0x530},
    {0x530, 0x600},    {0x600, 0x700},    {0x900, 0xe00},   {0xe00, 0x1000},  {0x1000, 0x1200},
    {0x1200, 0x1400},  {0x1e00, 0x2000},  {0x2000, 0x2300}, {0x2300, 0x2c00}, {0x3000, 0x3400},
    {0x4e00, 0xa000},  {0xac00, 0xd7a4},  {0xe000, 0xffff}, {0x10000, 0x10400}, {0x1d400, 0x1d800},
    {0x1f000, 0x1fb00}, {0x20000, 0x2a700}, {0xe0000, 0x10ffff},
};
static const char letters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?-_/'\"()[]{}<>=+*&%$#@^~`|\\";

uint64_t corpus_next(corpus *c)
{
    c->state += 0x9e3779b97f4a7c15u;
    uint64_t z = c->state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t below(corpus *c, uint64_t n)
{
    return corpus_next(c) % n;
}

static void add(pl_buffer *text, const void *bytes, size_t size)
{
    assert_int_equal(pl_buffer_append(text, bytes, size, NULL), PALI_OK);
}

static void add_fragment(corpus *c, pl_buffer *text)
{
    const char *fragment = c->fragment[below(c, c->fragment_count)];
    add(text, fragment, strcspn(fragment, "\n"));
}

static uint32_t character(corpus *c, const uint32_t range[2])
{
    return range[0] + (uint32_t)below(c, range[1] - range[0]);
}

static void add_characters(corpus *c, pl_buffer *text)
{
    const uint32_t *const range = ranges[below(c, LENGTH(ranges))];
    for (uint64_t n = 1 + below(c, 6); n > 0; n--) {
        char utf8[4];
        add(text, utf8, pl_utf8_write(character(c, range), utf8));
    }
}

static void add_piece(corpus *c, pl_buffer *text, bool spaces)
{
    size_t length;
    const char *piece = pl_tokenizer_piece(c->pieces, (int32_t)below(c, pl_tokenizer_count(c->pieces)), &length);
    for (size_t at = 0; at < length;) {
        const bool space = spaces && length - at >= 3 && memcmp(piece + at, SPACE, 3) == 0;
        add(text, space ? " " : piece + at, 1);
        at += space ? 3 : 1;
    }
}

static void add_location(corpus *c, pl_buffer *text)
{
    char location[32];
    snprintf(location, sizeof location, "<loc%04d>", (int)below(c, 1100));
    if (below(c, 4) == 0)
        snprintf(location, sizeof location, "<seg%03d>", (int)below(c, 140));
    add(text, location, strlen(location));
}

static void add_part(corpus *c, uint64_t kind, pl_buffer *text)
{
    if (kind < 4) {
        if (kind == 3)
            add(text, " ", 1);
        add_fragment(c, text);
    } else if (kind == 4) {
        const char *unit = runs[below(c, LENGTH(runs))];
        for (uint64_t n = 1 + below(c, 70); n > 0; n--)
            add(text, unit, strlen(unit));
    } else if (kind == 5) {
        add_characters(c, text);
    } else if (kind == 6) {
        for (uint64_t n = 1 + below(c, 5); n > 0; n--)
            add(text, &(char){(char)below(c, 256)}, 1);
    } else if (kind == 7) {
        add_location(c, text);
    } else if (kind < 11) {
        add_piece(c, text, kind < 10);
    } else {
        for (uint64_t n = 1 + below(c, 12); n > 0; n--)
            add(text, &letters[below(c, sizeof letters - 1)], 1);
    }
}

static void set_stream(corpus *c, size_t stream)
{
    c->state = c->seed + stream * 0xd1b54a32d192ed03u;
}

void corpus_string(corpus *c, size_t stream, pl_buffer *text)
{
    set_stream(c, stream);
    text->length = 0;
    for (uint64_t n = stream % 128 == 0 ? 60 : 1 + below(c, 6); n > 0; n--)
        add_part(c, below(c, 12), text);
}

static void add_id(const corpus *c, pl_ids *ids, int32_t id)
{
    if (id != pl_tokenizer_special(c->pieces)->unk)
        assert_int_equal(pl_ids_push(ids, id, NULL), PALI_OK);
}

void corpus_sequence(corpus *c, size_t stream, pl_ids *ids)
{
    const int32_t first_byte = pl_tokenizer_find(c->pieces, "<0x00>", 6);
    set_stream(c, stream);
    ids->count = 0;
    for (uint64_t n = 1 + below(c, 24); n > 0; n--) {
        const uint64_t kind = below(c, 8);
        if (kind < 2) {
            add_id(c, ids, first_byte + (int32_t)below(c, 256));
        } else if (kind < 5) {
            char utf8[4];
            const uint32_t *const range = ranges[below(c, LENGTH(ranges))];
            const size_t size = pl_utf8_write(character(c, range), utf8);
            for (size_t i = 0; i < size; i++)
                add_id(c, ids, first_byte + (unsigned char)utf8[i]);
            if (below(c, 3) == 0)
                ids->count--;
        } else {
            add_id(c, ids, (int32_t)below(c, pl_tokenizer_count(c->pieces)));
        }
    }
}

uint32_t corpus_fold(const void *bytes, size_t size)
{
    const uint64_t hash = pl_hash(bytes, size);
    return (uint32_t)(hash ^ hash >> 32);
}

static uint32_t read_u32(const char *bytes)
{
    const unsigned char *c = (const unsigned char *)bytes;
    return c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 | (uint32_t)c[3] << 24;
}

static char *load(const char *path, size_t *size)
{
    pali_error err = {0};
    char *bytes = pl_file_read(path, 16 << 20, size, PALI_INPUT, &err);
    if (!bytes)
        fail_msg("%s", err.message);
    return bytes;
}

void corpus_open(corpus *c, const pl_tokenizer *pieces)
{
    size_t size;
    *c = (corpus){.pieces = pieces};
    char *hash = load("tests/data/text/corpus.hash", &size);
    assert_true(size >= 16 && memcmp(hash, "PLTK", 4) == 0);
    c->seed = read_u32(hash + 4);
    c->strings = read_u32(hash + 8);
    c->sequences = read_u32(hash + 12);
    assert_int_equal(size, 16 + 4 * (c->strings + c->sequences));
    c->hashes = malloc((c->strings + c->sequences) * sizeof *c->hashes);
    assert_non_null(c->hashes);
    for (size_t i = 0; i < c->strings + c->sequences; i++)
        c->hashes[i] = read_u32(hash + 16 + 4 * i);
    free(hash);
    c->fragments = load("tests/data/text/fragments.txt", &size);
    c->fragment = malloc((size + 1) * sizeof *c->fragment);
    assert_non_null(c->fragment);
    for (const char *at = c->fragments; at < c->fragments + size; at += strcspn(at, "\n") + 1)
        c->fragment[c->fragment_count++] = at;
}

void corpus_close(corpus *c)
{
    free(c->hashes);
    free(c->fragments);
    free(c->fragment);
}
