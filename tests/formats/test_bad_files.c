/*
 * Damaged and lying files: edits of the goldens, headers written by hand, every
 * truncation, and every byte replaced. All are refused with PALI_MODEL and a
 * message that says where, or are read; nothing else may happen.
 */
#include "support.h"

/* Opens, and expects PALI_MODEL with the file's name and these words. */
static void refused(const void *bytes, size_t size, const char *name, const char *words)
{
    pali_error err = {0};
    pl_tensor_file *file = open_bytes(bytes, size, name, &err);
    if (file)
        fail_msg("%s was read, expected \"%s\"", name, words);
    if (err.status != PALI_MODEL || !strstr(err.message, words) || strncmp(err.message, name, strlen(name)) != 0)
        fail_msg("found %d \"%s\", expected \"%s\"", err.status, err.message, words);
}

/* Where `anchor` stands in bytes, the nth time (from 0). */
static size_t find(const unsigned char *bytes, size_t size, const char *anchor, size_t length, size_t nth)
{
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(bytes + i, anchor, length) == 0 && nth-- == 0)
            return i;
    fail_msg("no anchor \"%.*s\"", (int)length, anchor);
    return 0;
}

/* `width` bytes of `value` put `offset` bytes behind the nth `anchor` of a golden. */
typedef struct edit {
    const char *file, *anchor;
    size_t length, nth;
    ptrdiff_t offset;
    size_t width;
    uint64_t value;
    const char *words;
} edit;
#define EDIT(file, anchor, nth, offset, width, value, words) {file, anchor, sizeof anchor - 1, nth, offset, width, value, words}
#define LOCAL "PK\3\4"
#define CENTRAL "PK\1\2"
#define END "PK\5\6"
#define END64 "PK\6\6"
#define LOCATOR "PK\6\7"
#define NPY "\x93NUMPY"
#define F32_ENTRY "f32\2\0\0\0" /* GGUF: name, axes, 2 sizes, type, offset */

static const edit edits[] = {
    /* zip: end records */
    EDIT("stored.npz", END, 0, 0, 1, 'X', "found no end of a zip archive"),
    EDIT("stored.npz", END, 0, 20, 2, 1, "found no end of a zip archive"),
    EDIT("stored.npz", END, 0, 4, 2, 1, "found an archive in several parts"),
    EDIT("stored.npz", END, 0, 6, 2, 1, "found an archive in several parts"),
    EDIT("stored.npz", END, 0, 10, 2, 14, "the directory ends early or is damaged"),
    EDIT("stored.npz", END, 0, 10, 2, 60000, "found 60000 members in a directory of"),
    EDIT("stored.npz", END, 0, 12, 4, 100, "found 13 members in a directory of 100 bytes"),
    EDIT("stored.npz", END, 0, 12, 4, 700, "the directory ends early or is damaged"),
    EDIT("stored.npz", END, 0, 12, 4, UINT32_MAX, "does not fit in"),
    EDIT("stored.npz", END, 0, 16, 4, UINT32_MAX, "does not fit in"),
    EDIT("stored.npz", END, 0, 16, 4, 0, "the directory ends early or is damaged"),
    EDIT("zip64.npz", LOCATOR, 0, 8, 8, 5, "found no Zip64 end record at byte 5"),
    EDIT("zip64.npz", LOCATOR, 0, 8, 8, UINT64_MAX, "found no Zip64 end record at byte 18446744073709551615"),
    EDIT("zip64.npz", LOCATOR, 0, 0, 1, 'X', "does not fit in"),
    EDIT("zip64.npz", END64, 0, 0, 1, 'X', "found no Zip64 end record at byte"),
    EDIT("zip64.npz", END64, 0, 16, 4, 1, "found an archive in several parts"),
    EDIT("zip64.npz", END64, 0, 32, 8, UINT64_MAX, "members in a directory of"),
    EDIT("zip64.npz", END64, 0, 40, 8, UINT64_MAX, "does not fit in"),
    EDIT("zip64.npz", END64, 0, 48, 8, UINT64_MAX, "does not fit in"),
    EDIT("zip64.npz", END64, 0, 48, 8, (uint64_t)1 << 63, "does not fit in"),
    /* zip: directory entries */
    EDIT("stored.npz", CENTRAL, 1, 0, 1, 'X', "the directory ends early or is damaged"),
    EDIT("stored.npz", CENTRAL, 0, 8, 2, 1, "found an encrypted member, expected a plain one"),
    EDIT("stored.npz", CENTRAL, 0, 10, 2, 14, "found compression method 14, expected 0 (stored) or 8 (deflate)"),
    EDIT("stored.npz", CENTRAL, 0, 10, 2, 8, "its local header has another compression method"),
    EDIT("deflated.npz", CENTRAL, 0, 10, 2, 0, "cannot come from the"),
    EDIT("stored.npz", CENTRAL, 0, 16, 4, 1, "expected 00000001 (the file is damaged)"),
    EDIT("deflated.npz", CENTRAL, 0, 16, 4, 1, "expected 00000001 (the file is damaged)"),
    EDIT("stored.npz", CENTRAL, 0, 20, 4, 10, "176 bytes cannot come from the 10 that are there"),
    EDIT("stored.npz", CENTRAL, 0, 20, 4, 0x7fffffff, "2147483647 bytes at byte 0 do not fit in the file's"),
    EDIT("stored.npz", CENTRAL, 0, 24, 4, 1000, "1000 bytes cannot come from the 176 that are there"),
    EDIT("stored.npz", CENTRAL, 0, 24, 4, UINT32_MAX, "its Zip64 sizes are missing or damaged"),
    EDIT("deflated.npz", CENTRAL, 0, 24, 4, 0x7fffffff, "2147483647 bytes cannot come from the"),
    EDIT("deflated.npz", CENTRAL, 0, 24, 4, 1000, "damaged, or does not give the 1000 bytes"),
    EDIT("deflated.npz", CENTRAL, 0, 24, 4, 170, "deflated data is damaged"),
    EDIT("deflated.npz", CENTRAL, 12, 24, 4, 17000, "deflated data is damaged"),
    EDIT("deflated.npz", CENTRAL, 12, 20, 4, 20, "deflated data is damaged"),
    EDIT("stored.npz", CENTRAL, 0, 28, 2, 65535, "the directory ends early or is damaged"),
    EDIT("stored.npz", CENTRAL, 0, 28, 2, 5, "its local header has another name"),
    EDIT("stored.npz", CENTRAL, 12, 30, 2, 100, "the directory ends early or is damaged"),
    EDIT("stored.npz", CENTRAL, 12, 32, 2, 100, "the directory ends early or is damaged"),
    EDIT("stored.npz", CENTRAL, 0, 42, 4, 3, "found no local header at byte 3"),
    EDIT("stored.npz", CENTRAL, 0, 42, 4, 7000, "found no local header at byte 7000"),
    EDIT("stored.npz", CENTRAL, 0, 42, 4, 0x7fffffff, "do not fit in the file's"),
    EDIT("stored.npz", CENTRAL, 0, 46, 1, 0, "a member's name is not UTF-8 text or holds NUL"),
    EDIT("stored.npz", CENTRAL, 0, 46, 1, 0xff, "a member's name is not UTF-8 text or holds NUL"),
    EDIT("stored.npz", CENTRAL, 0, 46, 1, 'X', "its local header has another name"),
    EDIT("twice.npz", CENTRAL, 1, 42, 4, 0, "overlaps the member before it"),
    EDIT("zip64.npz", "\1\0\x18\0", 0, 0, 2, 9, "its Zip64 sizes are missing or damaged"),
    EDIT("zip64.npz", "\1\0\x18\0", 0, 2, 2, 16, "its Zip64 sizes are missing or damaged"),
    EDIT("zip64.npz", "\1\0\x18\0", 0, 2, 2, 25, "its Zip64 sizes are missing or damaged"),
    EDIT("zip64.npz", "\1\0\x18\0", 0, 12, 8, UINT64_MAX, "18446744073709551615 bytes at byte 0 do not fit"),
    EDIT("zip64.npz", "\1\0\x18\0", 0, 20, 8, UINT64_MAX, "do not fit in the file's"),
    /* zip: local headers */
    EDIT("stored.npz", LOCAL, 0, 0, 1, 'X', "found no local header at byte 0"),
    EDIT("stored.npz", LOCAL, 0, 8, 2, 8, "its local header has another compression method"),
    EDIT("stored.npz", LOCAL, 0, 26, 2, 65535, "run into the directory"),
    EDIT("stored.npz", LOCAL, 0, 26, 2, 3, "its local header has another name"),
    EDIT("stored.npz", LOCAL, 0, 30, 1, 'X', "its local header has another name"),
    EDIT("stored.npz", LOCAL, 0, 28, 2, 1, "overlaps the member before it"),
    EDIT("deflated.npz", LOCAL, 0, 44, 1, 0xff, "deflated data is damaged"),
    /* npy */
    EDIT("stored.npz", NPY, 0, 1, 1, 'X', "found no .npy header"),
    EDIT("stored.npz", NPY, 0, 6, 1, 4, "found .npy version 4, expected 1, 2 or 3"),
    EDIT("stored.npz", NPY, 0, 6, 1, 0, "found .npy version 0, expected 1, 2 or 3"),
    EDIT("stored.npz", NPY, 0, 8, 2, 65535, "found a .npy header of 65535 bytes"),
    EDIT("stored.npz", NPY, 0, 8, 2, 1000, "the .npy header is cut off"),
    EDIT("stored.npz", NPY, 0, 8, 2, 20, "the .npy header is damaged"),
    EDIT("stored.npz", "{'descr': '<f4'", 0, 0, 1, '[', "the .npy header is damaged"),
    EDIT("stored.npz", "{'descr': '<f4'", 0, 2, 1, 'D', "the .npy header is damaged"),
    EDIT("stored.npz", "{'descr': '<f4'", 0, 8, 1, ';', "the .npy header is damaged"),
    EDIT("stored.npz", "{'descr': '<f4'", 0, 14, 1, ' ', "the .npy header is damaged"),
    EDIT("stored.npz", "{'descr': '<f4'", 0, 13, 1, '8', "found CRC-32"),
    EDIT("stored.npz", "False", 0, 0, 1, 'f', "the .npy header is damaged"),
    EDIT("stored.npz", "(3, 4)", 0, 0, 1, '[', "the .npy header is damaged"),
    EDIT("stored.npz", "(3, 4)", 0, 1, 1, '-', "the .npy header is damaged"),
    EDIT("stored.npz", "(3, 4)", 0, 1, 1, '9', "found CRC-32"),
    EDIT("stored.npz", "(3, 4)", 0, 2, 1, ' ', "the .npy header is damaged"),
    EDIT("stored.npz", "(3, 4)", 0, 5, 1, ' ', "the .npy header is damaged"),
    EDIT("stored.npz", "(3, 4), }", 0, 9, 1, 'x', "the .npy header is damaged"),
    /* GGUF: header and keys */
    EDIT("all.gguf", "GGUF", 0, 3, 1, 'X', "found no GGUF mark at its beginning"),
    EDIT("all.gguf", "GGUF", 0, 4, 4, 1, "found GGUF version 1, expected 2 or 3"),
    EDIT("all.gguf", "GGUF", 0, 4, 4, 0, "found GGUF version 0, expected 2 or 3"),
    EDIT("all.gguf", "GGUF", 0, 4, 4, 4, "found GGUF version 4, expected 2 or 3"),
    EDIT("all.gguf", "GGUF", 0, 4, 4, 0x03000000, "found a big-endian GGUF"),
    EDIT("all.gguf", "GGUF", 0, 8, 8, (uint64_t)1 << 60, "found 1152921504606846976 tensors in"),
    EDIT("all.gguf", "GGUF", 0, 8, 8, 100, "its entry is cut off"),
    EDIT("all.gguf", "GGUF", 0, 16, 8, (uint64_t)1 << 60, "found 1152921504606846976 metadata keys in"),
    EDIT("all.gguf", "GGUF", 0, 16, 8, 24, "metadata key 'f32' stands twice, expected once"),
    EDIT("all.gguf", "GGUF", 0, 24, 8, UINT64_MAX, "metadata key 0 '' is damaged or cut off"),
    EDIT("all.gguf", "u16\2\0\0\0", 0, 3, 4, 13, "metadata key 3 'u16' is damaged or cut off"),
    EDIT("all.gguf", "u16\2\0\0\0", 0, 0, 1, 'i', "metadata key 'i16' stands twice"),
    EDIT("all.gguf", "u16\2\0\0\0", 0, 1, 1, 0, "metadata key 3 is not UTF-8 text or holds NUL"),
    EDIT("all.gguf", "u16\2\0\0\0", 0, 1, 1, 0xff, "metadata key 3 is not UTF-8 text or holds NUL"),
    EDIT("all.gguf", "text\10\0\0\0", 0, 8, 8, UINT64_MAX, "metadata key 13 'text' is damaged or cut off"),
    EDIT("all.gguf", "strings\11\0\0\0", 0, 11, 4, 99, "metadata key 15 'strings' is damaged or cut off"),
    EDIT("all.gguf", "strings\11\0\0\0", 0, 15, 8, (uint64_t)1 << 60, "metadata key 15 'strings' is damaged or cut off"),
    EDIT("all.gguf", "f32s\11\0\0\0", 0, 12, 8, (uint64_t)1 << 62, "metadata key 16 'f32s' is damaged or cut off"),
    EDIT("all.gguf", "f32s\11\0\0\0", 0, 12, 8, 2000, "metadata key 16 'f32s' is damaged or cut off"),
    EDIT("aligned64.gguf", "general.alignment", 0, 21, 4, 0, "general.alignment: found 0, expected a power of two"),
    EDIT("aligned64.gguf", "general.alignment", 0, 21, 4, 24, "general.alignment: found 24, expected a power of two"),
    EDIT("aligned64.gguf", "general.alignment", 0, 21, 4, 1 << 30, "general.alignment: found 1073741824, expected a power of two"),
    EDIT("aligned64.gguf", "general.alignment", 0, 17, 4, 6, "metadata key 'general.alignment': found f32"),
    /* GGUF: tensors */
    EDIT("all.gguf", F32_ENTRY, 0, 0, 1, 0, "a tensor's name is not UTF-8 text or holds NUL"),
    EDIT("all.gguf", F32_ENTRY, 0, 0, 3, 0x363166 /* f16 */, "tensor 'f16' stands twice, expected once"),
    EDIT("all.gguf", F32_ENTRY, 0, 3, 4, 9, "tensor 'f32': found 9 axes, expected at most 8"),
    EDIT("all.gguf", F32_ENTRY, 0, 3, 4, UINT32_MAX, "expected at most 8"),
    EDIT("all.gguf", F32_ENTRY, 0, 7, 8, UINT64_MAX, "is not a whole number of blocks, or too large"),
    EDIT("all.gguf", F32_ENTRY, 0, 7, 8, (uint64_t)1 << 62, "is not a whole number of blocks, or too large"),
    EDIT("all.gguf", F32_ENTRY, 0, 15, 8, (uint64_t)1 << 60, "is not a whole number of blocks, or too large"),
    EDIT("all.gguf", F32_ENTRY, 0, 15, 8, 1000, "tensor 'f32': 16000 bytes at byte 0 of the data, but the file holds"),
    EDIT("all.gguf", F32_ENTRY, 0, 15, 8, 5, "tensors 'f32' and 'f16' overlap at byte"),
    EDIT("all.gguf", F32_ENTRY, 0, 23, 4, 12, "shape [3, 4] of Q4_K is not a whole number of blocks"),
    EDIT("all.gguf", F32_ENTRY, 0, 27, 8, 4, "found offset 4, expected a multiple of 32"),
    EDIT("all.gguf", F32_ENTRY, 0, 27, 8, (uint64_t)1 << 40, "(is it cut off?)"),
    EDIT("all.gguf", F32_ENTRY, 0, 27, 8, UINT64_MAX - 31, "(is it cut off?)"),
    EDIT("all.gguf", F32_ENTRY, 0, 27, 8, 64, "tensors 'f16' and 'f32' overlap at byte"),
    /* safetensors: the length before the header */
    EDIT("types.safetensors", "{", 0, -8, 8, UINT64_MAX, "found a header of 18446744073709551615 bytes, expected at most 100000000"),
    EDIT("types.safetensors", "{", 0, -8, 8, 100000001, "found a header of 100000001 bytes"),
    EDIT("types.safetensors", "{", 0, -8, 8, 99999999, "the header takes 99999999 bytes, but the file holds"),
    EDIT("types.safetensors", "{", 0, -8, 8, 0, "the header is not valid JSON"),
    EDIT("types.safetensors", "{", 0, -8, 8, 100, "the header is not valid JSON"),
    EDIT("types.safetensors", "{", 0, 0, 1, '[', "the header is not valid JSON"),
};

static void test_edits(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(edits); i++) {
        const edit *e = &edits[i];
        size_t size;
        unsigned char *bytes = load(e->file, &size);
        memcpy(bytes + find(bytes, size, e->anchor, e->length, e->nth) + e->offset, &e->value, e->width);
        refused(bytes, size, e->file, e->words);
        free(bytes);
    }
}

/* A safetensors header by hand, `%` standing for a quote, and bytes of data behind it. */
static const struct {
    const char *header;
    size_t data;
    const char *words;
} headers[] = {
    {"{%a%: 1}", 4, "tensor 'a': field (all): expected an object"},
    {"{%a%: {%shape%:[1],%data_offsets%:[0,4]}}", 4, "tensor 'a': field dtype: expected a string"},
    {"{%a%: {%dtype%:5,%shape%:[1],%data_offsets%:[0,4]}}", 4, "tensor 'a': field dtype: expected a string"},
    {"{%a%: {%dtype%:%F32%,%data_offsets%:[0,4]}}", 4, "tensor 'a': field shape: expected an array"},
    {"{%a%: {%dtype%:%F32%,%shape%:1,%data_offsets%:[0,4]}}", 4, "tensor 'a': field shape: expected an array"},
    {"{%a%: {%dtype%:%F32%,%shape%:[-1],%data_offsets%:[0,4]}}", 4, "tensor 'a': field shape: expected an array"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1.0],%data_offsets%:[0,4]}}", 4, "tensor 'a': field shape: expected an array"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],%data_offsets%:[0,4]}}", 4, "tensor 'a': field shape: expected an array"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1]}}", 4, "tensor 'a': field data_offsets: expected [begin, end]"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[0]}}", 4, "tensor 'a': field data_offsets: expected [begin, end]"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[0,4,8]}}", 4, "tensor 'a': field data_offsets: expected [begin, end]"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[4,0]}}", 4, "tensor 'a': field data_offsets: expected [begin, end]"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[-4,0]}}", 4, "tensor 'a': field data_offsets: expected [begin, end]"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[0,%4%]}}", 4, "tensor 'a': field data_offsets: expected [begin, end]"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[0,8]}}", 4, "tensor 'a' ends at byte 8 of the data, but the file holds 4"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[0,9223372036854775807]}}", 4, "but the file holds 4 (is it cut off?)"},
    {"{%a%: {%dtype%:%F32%,%shape%:[2],%data_offsets%:[0,4]}}", 4, "tensor 'a': found 4 bytes, expected 8 for shape [2] of F32"},
    {"{%a%: {%dtype%:%BF16%,%shape%:[],%data_offsets%:[0,4]}}", 4, "tensor 'a': found 4 bytes, expected 2 for shape [] of BF16"},
    {"{%a%: {%dtype%:%F32%,%shape%:[0],%data_offsets%:[0,4]}}", 4, "tensor 'a': found 4 bytes, expected 0 for shape [0] of F32"},
    {"{%a%: {%dtype%:%F32%,%shape%:[4611686018427387904,2],%data_offsets%:[0,4]}}", 4, "or too large"},
    {"{%a%: {%dtype%:%F32%,%shape%:[4294967296,4294967296,4294967296],%data_offsets%:[0,0]}}", 4, "or too large"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[0,4]},%a%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[4,8]}}", 8, "duplicate"},
    {"{%a%: {%dtype%:%F32%,%shape%:[2],%data_offsets%:[0,8]},%b%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[4,8]}}", 8,
        "tensors 'a' and 'b' overlap at byte"},
    {"{%a%: {%dtype%:%F32%,%shape%:[2],%data_offsets%:[0,8]},%b%: {%dtype%:%F32%,%shape%:[0],%data_offsets%:[2,2]},"
     "%c%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[4,8]}}", 8, "tensors 'a' and 'c' overlap at byte"},
    {"{%a%: {%dtype%:%XYZ%,%shape%:[2],%data_offsets%:[0,8]},%b%: {%dtype%:%F32%,%shape%:[2],%data_offsets%:[0,8]}}", 8,
        "overlap at byte"},
    {"{%a\\u0000b%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[0,4]}}", 4, "is not valid JSON"},
    {"{%a%: {%dtype%:%F32%,%shape%:[1],%data_offsets%:[0,4]}", 4, "is not valid JSON: line 1"},
    {"[]", 0, "the header is not a JSON object"},
    {"7", 0, "the header is not valid JSON"},
};

static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(headers); i++) {
        const uint64_t length = strlen(headers[i].header);
        const size_t size = 8 + (size_t)length + headers[i].data;
        unsigned char *bytes = calloc(size, 1);
        assert_non_null(bytes);
        memcpy(bytes, &length, 8);
        for (size_t k = 0; k < length; k++)
            bytes[8 + k] = headers[i].header[k] == '%' ? '"' : (unsigned char)headers[i].header[k];
        refused(bytes, size, "by-hand.safetensors", headers[i].words);
        free(bytes);
    }
}

/* Bytes that no tensor uses are let stand: some writers align by padding. */
static void test_holes(void **state)
{
    (void)state;
    static const char header[] = "{\"a\": {\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[3,4]}}";
    unsigned char bytes[8 + sizeof header - 1 + 9] = {sizeof header - 1};
    memcpy(bytes + 8, header, sizeof header - 1);
    pl_tensor_file *file = pl_safetensors_open_memory(bytes, sizeof bytes, "holes", NULL);
    assert_non_null(file);
    pl_tensor_file_close(file);
}

static void test_whole_files(void **state)
{
    (void)state;
    static const struct {
        const char *file, *words;
    } bad[] = {
        {"twice.npz", "tensor 'same' stands twice, expected once"},
        {"mismatch.npz", "found 40020 bytes of data, expected shape [5] of <f4"},
        {"mismatch_stored.npz", "tensor 'a': found 24 bytes, expected 20 for shape [5] of <f4"},
        {"bomb.npz", "deflated data is damaged, or does not give the 528 bytes"},
        {"short.npz", "deflated data is damaged, or does not give the 528 bytes"},
        {"big.gguf", "found a big-endian GGUF, expected little-endian"},
    };
    for (size_t i = 0; i < LENGTH(bad); i++) {
        size_t size;
        unsigned char *bytes = load(bad[i].file, &size);
        refused(bytes, size, bad[i].file, bad[i].words);
        free(bytes);
    }
    static const char *const names[] = {"x.npz", "x.gguf", "x.safetensors"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
        refused(pointer, sizeof pointer - 1, names[i], "found a Git LFS pointer, expected the file itself");
        refused("", 0, names[i], "found");
        refused("<!DOCTYPE html><html><body>Access denied, log in first</body></html>", 68, names[i], "found");
    }
}

static void test_folders(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *words;
    } bad[] = {
        {"absent", "absent: found neither model.safetensors nor model.safetensors.index.json"},
        {"shards_missing_shard", "index.json: shard 'three.safetensors' is missing"},
        {"shards_wrong_shard", "index.json: tensor 'b' is not in shard 'one.safetensors'"},
        {"shards_absent_tensor", "index.json: tensor 'd' is not in shard 'one.safetensors'"},
        {"shards_upward", "found shard '../shards/two.safetensors', expected the name of a file in the same folder"},
        {"shards_absolute", "found shard '/etc/passwd', expected the name of a file in the same folder"},
        {"shards_dots", "found shard '..', expected the name of a file in the same folder"},
        {"shards_no_name", "found shard '', expected the name of a file in the same folder"},
        {"shards_number", "weight_map: tensor 'b': expected the name of a shard"},
        {"shards_twice", "copy.safetensors: tensor 'a' stands also in"},
        {"shards_no_map", "field weight_map: expected an object of tensor names and shards"},
        {"shards_empty_map", "field weight_map: expected an object of tensor names and shards"},
        {"shards_list", "the index is not a JSON object"},
        {"shards_not_json", "the index is not valid JSON: line 2"},
    };
    for (size_t i = 0; i < LENGTH(bad); i++) {
        char folder[100];
        pali_error err = {0};
        snprintf(folder, sizeof folder, DATA "%s", bad[i].folder);
        assert_null(pl_safetensors_open_folder(folder, &err));
        assert_int_equal(err.status, PALI_MODEL);
        if (!strstr(err.message, bad[i].words) || strncmp(err.message, folder, strlen(folder)) != 0)
            fail_msg("found \"%s\", expected \"%s\"", err.message, bad[i].words);
    }
}

static void test_paths(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_tensor_file *(*const openers[])(const char *, pali_error *) = {pl_safetensors_open, pl_npz_open, pl_gguf_open};
    for (size_t i = 0; i < LENGTH(openers); i++) {
        err = (pali_error){0};
        assert_null(openers[i](DATA "absent", &err));
        assert_int_equal(err.status, PALI_MODEL);
        assert_non_null(strstr(err.message, DATA "absent: cannot open"));
        assert_null(openers[i](DATA, &err));
        assert_null(openers[i](DATA "absent", NULL));
    }
}

/* GGUF arrays in arrays: four levels are read, more are refused before the stack is used up. */
static void test_nested_arrays(void **state)
{
    (void)state;
    for (size_t depth = 1; depth <= 5000; depth = depth < 8 ? depth + 1 : 5000) {
        const size_t size = 24 + 9 + 4 + depth * 12;
        unsigned char *bytes = calloc(size, 1), *at = bytes;
        assert_non_null(bytes);
        memcpy(at, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0k\11\0\0\0", 37);
        at += 37;
        for (size_t i = 0; i < depth; i++, at += 12)
            memcpy(at, i + 1 < depth ? "\11\0\0\0\1\0\0\0\0\0\0\0" : "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
        pl_tensor_file *file = pl_gguf_open_memory(bytes, size, "nested.gguf", NULL);
        assert_int_equal(file != NULL, depth <= 4);
        pl_tensor_file_close(file);
        free(bytes);
        if (depth == 5000)
            break;
    }
}

/* One of several files of a split model. */
static void test_split_gguf(void **state)
{
    (void)state;
    static const unsigned char bytes[] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\13\0\0\0\0\0\0\0split.count\2\0\0\0\3";
    refused(bytes, sizeof bytes, "split.gguf", "found one of 3 parts of a GGUF, expected one whole file");
}

static const char *const goldens[] = {"types.safetensors", "unaligned.safetensors", "stored.npz", "deflated.npz", "zip64.npz", "odd.npz",
    "odd_deflated.npz", "all.gguf", "aligned64.gguf"};

/* Opens bytes of which nothing is known: read or refused. */
static bool opens(const void *bytes, size_t size, const char *name)
{
    pali_error err = {0};
    pl_tensor_file *file = open_bytes(bytes, size, name, &err);
    if (!file && (err.status != PALI_MODEL || !*err.message))
        fail_msg("%s: found status %d \"%s\"", name, err.status, err.message);
    const bool good = file != NULL;
    for (size_t i = 0; good && i < pl_tensor_file_count(file); i++) { /* whatever it says is there is there */
        const pl_named_tensor *t = pl_tensor_file_at(file, i);
        size_t count;
        if (!t->problem && pl_dtype_block(t->tensor.dtype) == 1 && pl_tensor_count(&t->tensor, &count) && count)
            (void)element(&t->tensor, count - 1);
    }
    pl_tensor_file_close(file);
    return good;
}

/* Every beginning of a file, in a block of its own size. A GGUF may lose its last padding. */
static void test_truncations(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(goldens); i++) {
        size_t size;
        unsigned char *bytes = load(goldens[i], &size);
        const size_t padding = strstr(goldens[i], ".gguf") ? 63 : 0;
        for (size_t length = 0; length < size; length++) {
            unsigned char *part = malloc(length ? length : 1);
            assert_non_null(part);
            memcpy(part, bytes, length);
            if (opens(part, length, goldens[i]) && length < size - padding)
                fail_msg("%s was read from its first %zu of %zu bytes", goldens[i], length, size);
            free(part);
        }
        free(bytes);
    }
}

/* Every byte once 0, once 0xff, once with its lowest and once with its highest bit turned. */
static void test_flips(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(goldens); i++) {
        size_t size, read = 0;
        unsigned char *bytes = load(goldens[i], &size);
        for (size_t k = 0; k < size; k++) {
            const unsigned char was = bytes[k], others[] = {0, 0xff, was ^ 1, was ^ 0x80};
            for (size_t v = 0; v < LENGTH(others); v++) {
                bytes[k] = others[v];
                read += opens(bytes, size, goldens[i]);
            }
            bytes[k] = was;
        }
        assert_true(read > 0 && read < 4 * size);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edits), cmocka_unit_test(test_headers), cmocka_unit_test(test_holes), cmocka_unit_test(test_whole_files),
        cmocka_unit_test(test_folders), cmocka_unit_test(test_paths), cmocka_unit_test(test_nested_arrays), cmocka_unit_test(test_split_gguf), cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_flips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
