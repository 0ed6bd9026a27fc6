/* One file a picture: a header that names what it is of, then the rows. FOLDER/KEY/PP/PICTURE.rows, PP being the picture's first two digits. */
#include "train/feature_cache.h"

#include "base/file.h"
#include "base/folder.h"
#include "base/output.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The words that a file begins with. */
enum { WORD_MAGIC, WORD_KEY, WORD_HASH, WORD_BYTES, WORD_PAYLOAD, WORD_WIDTH, WORD_HEIGHT, WORD_CHECK, WORDS };
enum { MOST_PATH = 4096 };

static const uint64_t magic = 0x3153574f52494c50u; /* "PLIROWS1" */

struct pl_feature_cache {
    pl_feature_options options; /* no strings */
    char *folder;               /* FOLDER/KEY, owned */
    uint64_t key;               /* of everything but the picture */
    size_t values, value_bytes; /* of a picture's rows */
    atomic_uint_fast64_t hits, misses, written, damaged;
    atomic_bool made[256];      /* folders PP that are there */
};

/* ---- Keys -------------------------------------------------------------- */

static uint64_t join(uint64_t hash, const void *bytes, size_t length)
{
    const uint64_t both[2] = {hash, pl_hash_block(bytes, length)};
    return pl_hash(both, sizeof both);
}

static uint64_t join_tensor(uint64_t hash, const pl_tensor *tensor)
{
    size_t bytes;
    hash = join(hash, &(uint64_t){tensor->dtype}, sizeof(uint64_t));
    hash = join(hash, tensor->shape, tensor->rank * sizeof *tensor->shape);
    if (tensor->data && pl_tensor_bytes(tensor, &bytes))
        hash = join(hash, tensor->data, bytes);
    return tensor->scale ? join(hash, tensor->scale, tensor->shape[0] * sizeof *tensor->scale) : hash;
}

static uint64_t join_linear(uint64_t hash, const pl_linear *linear)
{
    const size_t out = linear->weight.shape[0], in = linear->weight.shape[1];
    hash = join_tensor(hash, &linear->weight);
    if (linear->bias)
        hash = join(hash, linear->bias, out * sizeof *linear->bias);
    for (const pl_low_rank *a = linear->adapters; a; a = a->next) {
        hash = join(hash, &a->scale, sizeof a->scale);
        hash = join(hash, a->a, a->rank * in * sizeof *a->a);
        hash = join(hash, a->b, a->rank * out * sizeof *a->b);
    }
    return hash;
}

static uint64_t join_norm(uint64_t hash, const pl_layernorm_weights *norm, size_t width)
{
    return join(join(hash, norm->scale, width * sizeof *norm->scale), norm->bias, width * sizeof *norm->bias);
}

uint64_t pl_feature_model(const pl_siglip *siglip)
{
    const pl_siglip_config *const c = &siglip->config;
    const uint64_t sizes[] = {c->image_size, c->patch, c->width, c->layers, c->heads, c->mlp};
    uint64_t hash = join(pl_hash(sizes, sizeof sizes), &c->eps, sizeof c->eps);
    hash = join_tensor(join_linear(hash, &siglip->patch), &siglip->position);
    for (size_t i = 0; i < c->layers; i++) {
        const pl_siglip_block *const block = &siglip->blocks[i];
        const pl_linear *const linears[] = {&block->q, &block->k, &block->v, &block->out, &block->fc1, &block->fc2};
        for (size_t l = 0; l < sizeof linears / sizeof *linears; l++)
            hash = join_linear(hash, linears[l]);
        hash = join_norm(join_norm(hash, &block->norm1, c->width), &block->norm2, c->width);
    }
    return join_norm(hash, &siglip->norm, c->width);
}

/* ---- Opening ----------------------------------------------------------- */

static char *base_folder(const char *asked, pali_error *err)
{
    const char *const cache = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");
    if (asked)
        return pl_strdup(asked, err);
    if (cache && *cache)
        return pl_format(err, "%s/pali/features", cache);
    return pl_format(err, "%s/.cache/pali/features", home ? home : "");
}

pl_feature_cache *pl_feature_cache_open(const pl_feature_options *options, pali_error *err)
{
    pl_feature_cache *const cache = pl_new(1, sizeof *cache, "cache of features", err);
    if (!cache)
        return NULL;
    cache->options = *options;
    cache->value_bytes = options->type == PL_FEATURE_BF16 ? sizeof(uint16_t) : sizeof(float);
    const char *const made = options->made ? options->made : "";
    const uint64_t parts[] = {options->model, options->tokens, options->width, options->type, pl_hash(made, strlen(made))};
    cache->key = pl_hash(parts, sizeof parts);
    cache->options.folder = cache->options.made = NULL;
    char *const base = base_folder(options->folder, err);
    cache->folder = base ? pl_format(err, "%s/%016llx", base, (unsigned long long)cache->key) : NULL;
    free(base);
    size_t bytes;
    pali_status status = cache->folder ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK && (!pl_mul(options->tokens, options->width, &cache->values) || cache->values == 0 || !pl_mul(cache->values, sizeof(float), &bytes)))
        status = pl_fail(err, PALI_USAGE, "features: found %zu rows of %zu values, expected some", options->tokens, options->width);
    if (status == PALI_OK && strlen(cache->folder) > MOST_PATH - 32)
        status = pl_fail(err, PALI_FAILED, "features: found a folder of %zu characters, expected a shorter path", strlen(cache->folder));
    if (status == PALI_OK)
        status = pl_folder_make(cache->folder, err);
    if (status == PALI_OK && access(cache->folder, W_OK) != 0)
        status = pl_fail(err, PALI_FAILED, "%s: cannot be written to, expected a folder for features", cache->folder);
    if (status == PALI_OK)
        return cache;
    pl_feature_cache_free(cache);
    return NULL;
}

void pl_feature_cache_free(pl_feature_cache *cache)
{
    if (!cache)
        return;
    free(cache->folder);
    free(cache);
}

/* ---- Files ------------------------------------------------------------- */

/* On the stack, so that looking for a picture cannot fail for want of memory; opening saw to it that there is room. */
static void path_of(const pl_feature_cache *cache, const pl_feature_picture *picture, char path[MOST_PATH])
{
    snprintf(path, MOST_PATH, "%s/%02x/%016llx.rows", cache->folder, (unsigned)(picture->hash >> 56), (unsigned long long)picture->hash);
}

static void set_words(const pl_feature_cache *cache, const pl_feature_picture *picture, uint64_t words[WORDS])
{
    words[WORD_MAGIC] = magic;
    words[WORD_KEY] = cache->key;
    words[WORD_HASH] = picture->hash;
    words[WORD_BYTES] = picture->bytes;
    words[WORD_PAYLOAD] = cache->values * cache->value_bytes;
    words[WORD_WIDTH] = picture->width;
    words[WORD_HEIGHT] = picture->height;
    words[WORD_CHECK] = 0;
}

/* Of the rows, and of the words that stand before the checksum. */
static uint64_t checksum(const uint64_t words[WORDS], const void *payload)
{
    const uint64_t both[2] = {pl_hash(words, WORD_CHECK * sizeof *words), pl_hash_block(payload, (size_t)words[WORD_PAYLOAD])};
    return pl_hash(both, sizeof both);
}

static bool read_bytes(int fd, void *to, size_t size)
{
    unsigned char *at = to;
    while (size) {
        const ssize_t got = read(fd, at, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

/* The words of a file that is of this picture; false: it is damaged, or another one's. */
static bool read_words(const pl_feature_cache *cache, int fd, pl_feature_picture *picture, uint64_t words[WORDS])
{
    uint64_t expected[WORDS];
    set_words(cache, picture, expected);
    if (!read_bytes(fd, words, WORDS * sizeof *words) || memcmp(words, expected, WORD_WIDTH * sizeof *words) != 0)
        return false;
    picture->width = (size_t)words[WORD_WIDTH];
    picture->height = (size_t)words[WORD_HEIGHT];
    return true;
}

/* The rows behind the words; as many bytes as there are to be, and right. */
static bool read_rows(const pl_feature_cache *cache, int fd, const uint64_t words[WORDS], float *rows)
{
    if (cache->options.type == PL_FEATURE_F32)
        return read_bytes(fd, rows, (size_t)words[WORD_PAYLOAD]) && checksum(words, rows) == words[WORD_CHECK];
    /* The halves are read into the end of the block and spread from its beginning: none is written over before it was read. */
    uint16_t *const halves = (uint16_t *)rows + cache->values;
    if (!read_bytes(fd, halves, (size_t)words[WORD_PAYLOAD]) || checksum(words, halves) != words[WORD_CHECK])
        return false;
    for (size_t i = 0; i < cache->values; i++) {
        uint16_t half;
        memcpy(&half, (const unsigned char *)halves + i * sizeof half, sizeof half);
        const float value = pl_bf16_to_f32(half);
        memcpy((unsigned char *)rows + i * sizeof value, &value, sizeof value);
    }
    return true;
}

bool pl_feature_cache_get(pl_feature_cache *cache, pl_feature_picture *picture, float *rows)
{
    char path[MOST_PATH];
    path_of(cache, picture, path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool found = false;
    if (fd >= 0) {
        uint64_t words[WORDS];
        struct stat info;
        found = fstat(fd, &info) == 0 && (uint64_t)info.st_size == pl_feature_cache_bytes(cache) && read_words(cache, fd, picture, words) &&
                (!rows || read_rows(cache, fd, words, rows));
        close(fd);
        if (!found)
            atomic_fetch_add(&cache->damaged, 1);
    }
    if (rows || !found)
        atomic_fetch_add(found ? &cache->hits : &cache->misses, 1);
    return found;
}

/* The folder of a picture's first two digits, made once. */
static pali_status make_part(pl_feature_cache *cache, const pl_feature_picture *picture, pali_error *err)
{
    const unsigned part = (unsigned)(picture->hash >> 56);
    if (atomic_load(&cache->made[part]))
        return PALI_OK;
    char *const path = pl_format(err, "%s/%02x", cache->folder, part);
    if (!path)
        return PALI_MEMORY;
    pali_status status = PALI_OK;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        status = pl_fail(err, PALI_FAILED, "%s: cannot make the folder: %s", path, strerror(errno));
    free(path);
    atomic_store(&cache->made[part], status == PALI_OK);
    return status;
}

static pali_status write_file(const char *path, const uint64_t words[WORDS], const void *payload, pali_error *err)
{
    pl_output out;
    pali_status status = pl_output_open(&out, path, err);
    if (status == PALI_OK)
        status = pl_output_write(&out, words, WORDS * sizeof *words, err);
    if (status == PALI_OK)
        status = pl_output_write(&out, payload, (size_t)words[WORD_PAYLOAD], err);
    if (status == PALI_OK)
        status = pl_output_commit_soon(&out, err);
    pl_output_abandon(&out);
    return status;
}

static uint16_t *halves_of(const pl_feature_cache *cache, const float *rows, pali_error *err)
{
    uint16_t *const halves = pl_new_raw(cache->values, sizeof *halves, "features of a picture", err);
    for (size_t i = 0; halves && i < cache->values; i++)
        halves[i] = pl_f32_to_bf16(rows[i]);
    return halves;
}

pali_status pl_feature_cache_put(pl_feature_cache *cache, const pl_feature_picture *picture, const float *rows, pali_error *err)
{
    const bool whole = cache->options.type == PL_FEATURE_F32;
    uint16_t *const halves = whole ? NULL : halves_of(cache, rows, err);
    pali_status status = whole || halves ? make_part(cache, picture, err) : PALI_MEMORY;
    if (status == PALI_OK) {
        const void *const payload = whole ? (const void *)rows : halves;
        uint64_t words[WORDS];
        char path[MOST_PATH];
        path_of(cache, picture, path);
        set_words(cache, picture, words);
        words[WORD_CHECK] = checksum(words, payload);
        status = write_file(path, words, payload, err);
    }
    free(halves);
    if (status == PALI_OK)
        atomic_fetch_add(&cache->written, 1);
    return status;
}

void pl_feature_cache_round(const pl_feature_cache *cache, float *rows)
{
    if (cache->options.type == PL_FEATURE_BF16)
        for (size_t i = 0; i < cache->values; i++)
            rows[i] = pl_bf16_to_f32(pl_f32_to_bf16(rows[i]));
}

size_t pl_feature_cache_tokens(const pl_feature_cache *cache)
{
    return cache->options.tokens;
}

size_t pl_feature_cache_width(const pl_feature_cache *cache)
{
    return cache->options.width;
}

uint64_t pl_feature_cache_bytes(const pl_feature_cache *cache)
{
    return WORDS * sizeof(uint64_t) + (uint64_t)cache->values * cache->value_bytes;
}

pl_feature_counts pl_feature_cache_counts(const pl_feature_cache *cache)
{
    return (pl_feature_counts){.hits = cache->hits, .misses = cache->misses, .written = cache->written, .damaged = cache->damaged};
}
