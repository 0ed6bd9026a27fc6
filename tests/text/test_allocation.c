/*
 * Memory that runs out at the n-th call, for every n, while a tokenizer is
 * opened and used: always PALI_MEMORY, the caller's lists as they were, and
 * nothing left behind. What jansson makes of its own failed calls is not
 * always an error of memory; of those only the last holds.
 */
#include <jansson.h>

#include "text/support.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static size_t calls, failing; /* the call that fails, from 1; 0: none */
static bool in_jansson;       /* it was one of jansson's */
static ptrdiff_t jansson_live; /* blocks that jansson holds */

static bool fails(void)
{
    return ++calls == failing;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return fails() ? NULL : __real_realloc(block, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

static void *jansson_malloc(size_t size)
{
    void *block = __wrap_malloc(size);
    in_jansson = in_jansson || !block;
    jansson_live += block != NULL;
    return block;
}

static void jansson_free(void *block)
{
    jansson_live -= block != NULL;
    free(block);
}

static pl_buffer model;

/* A model with every kind of piece, unused ones among them; kept over all rounds. */
static void make_model(void)
{
    put_piece(&model, "<unk>", 0, PL_PIECE_UNKNOWN);
    put_piece(&model, "<s>", 0, PL_PIECE_CONTROL);
    put_piece(&model, "other", 0, PL_PIECE_USER_DEFINED);
    put_piece(&model, "the", -2, PL_PIECE_UNUSED);
    put_piece(&model, "th", -1, PL_PIECE_NORMAL);
    put_piece(&model, "\n", -3, PL_PIECE_NORMAL);
    for (char c = 'a'; c <= 'z'; c++)
        put_piece(&model, (char[]){c, '\0'}, -4, PL_PIECE_NORMAL);
    put_bytes(&model);
    put_settings(&model, true);
}

static pl_tokenizer *open_model(pali_error *err)
{
    pl_vocabulary v;
    pali_status status = pl_sentencepiece_parse(&v, model.data, model.length, "m", err);
    if (status == PALI_OK)
        status = pl_vocabulary_add_locations(&v, err);
    if (status == PALI_OK)
        return pl_tokenizer_new(&v, err);
    pl_vocabulary_free(&v);
    return NULL;
}

static pl_tokenizer *open_json(const char *merges, pali_error *err)
{
    static const char config[] = "{\"bos_token\":\"<s>\",\"added_tokens_decoder\":{\"9\":{\"content\":\"<x>\"}}}";
    static const char added[] = "{\"<image>\":10}";
    char json[700];
    snprintf(json, sizeof json,
             "{\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true}],\"model\":{\"type\":\"BPE\","
             "\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"\\n\":2,\"t\":3,\"h\":4,"
             "\"e\":5,\"th\":6,\"he\":7,\"the\":8},\"merges\":%s},\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
             "\"content\":\"" SPACE "\"}}", merges);
    pl_vocabulary v;
    pali_status status = pl_tokenizer_json_parse(&v, json, strlen(json), "j", err);
    if (status == PALI_OK)
        status = pl_tokenizer_config_parse(&v, config, strlen(config), "c", err);
    if (status == PALI_OK)
        status = pl_added_tokens_parse(&v, added, strlen(added), "a", err);
    if (status == PALI_OK)
        return pl_tokenizer_new(&v, err);
    pl_vocabulary_free(&v);
    return NULL;
}

static pl_tokenizer *open_learned(pali_error *err)
{
    return open_json("[\"t h\",\"h e\",\"t he\",\"th e\"]", err);
}

/* One way to make "the" is left out: played pair by pair. */
static pl_tokenizer *open_pairs(pali_error *err)
{
    return open_json("[[\"t\",\"h\"],[\"h\",\"e\"],[\"th\",\"e\"]]", err);
}

static pl_tokenizer *open_folder(pali_error *err)
{
    return pl_tokenizer_open("tests/text", false, err); /* has none: fails after the paths were made */
}

/* Text, prompt, and back; the lists must be as before where a call fails. */
static pali_status use(const pl_tokenizer *t, pali_error *err)
{
    static const char text[] = "the other <loc0000> thing \xff\xe4\xbd\xa0 the the the the the the the the the";
    pl_ids ids = {0};
    pl_buffer out = {0};
    pali_status status = pl_tokenizer_encode(t, text, strlen(text), PL_TEXT_SPECIAL, &ids, err);
    if (status != PALI_OK)
        assert_int_equal(ids.count, 0);
    const size_t before = ids.count;
    if (status == PALI_OK) {
        status = pl_prompt_encode(t, text, strlen(text), &(pl_prompt_options){.joint = true}, &ids, err);
        assert_true(status == PALI_OK || ids.count == before);
    }
    if (status == PALI_OK)
        status = pl_prompt_suffix(t, text, strlen(text), false, &ids, err);
    if (status == PALI_OK)
        status = pl_tokenizer_decode(t, ids.data, ids.count, &out, err);
    free(out.data);
    pl_ids_free(&ids);
    return status;
}

typedef pl_tokenizer *open_fn(pali_error *err);

static void exhaust(open_fn *open, pali_status last)
{
    for (size_t n = 1;; n++) {
        pali_error err = {0};
        calls = 0;
        failing = n;
        in_jansson = false;
        pl_tokenizer *t = open(&err);
        const pali_status status = t ? use(t, &err) : err.status;
        pl_tokenizer_free(t);
        failing = 0;
        assert_int_equal(jansson_live, 0);
        if (calls < n) { /* nothing failed: done */
            if (status != last)
                fail_msg("found status %d \"%s\"", status, err.message);
            assert_true(n > 2);
            print_message("%zu allocations\n", n - 1);
            return;
        }
        if (!in_jansson && status != PALI_MEMORY)
            fail_msg("call %zu fails: found status %d \"%s\", expected out of memory", n, status, err.message);
    }
}

static void test_exhaustion(void **state)
{
    (void)state;
    make_model();
    exhaust(open_model, PALI_OK);
    exhaust(open_learned, PALI_OK);
    exhaust(open_pairs, PALI_OK);
    exhaust(open_folder, PALI_MODEL);
    free(model.data);
}

int main(void)
{
    json_set_alloc_funcs(jansson_malloc, jansson_free);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exhaustion)};
    return cmocka_run_group_tests_name("text: allocation", tests, NULL, NULL);
}
