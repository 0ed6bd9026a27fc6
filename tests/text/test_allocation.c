/*
 * Memory that runs out at the n-th call, for every n, while a tokenizer is
 * opened and used: always PALI_MEMORY, the caller's lists as they were, and
 * nothing left behind.
 */
#include "exhaust.h"
#include "text/support.h"

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

typedef struct way {
    open_fn *open;
} way;

static pali_status open_and_use(const void *context, pali_error *err)
{
    pl_tokenizer *t = ((const way *)context)->open(err);
    const pali_status status = t ? use(t, err) : err->status;
    pl_tokenizer_free(t);
    return status;
}

static void test_exhaustion(void **state)
{
    (void)state;
    make_model();
    exhaust("open_model", open_and_use, &(way){open_model}, PALI_OK);
    exhaust("open_learned", open_and_use, &(way){open_learned}, PALI_OK);
    exhaust("open_pairs", open_and_use, &(way){open_pairs}, PALI_OK);
    exhaust("open_folder", open_and_use, &(way){open_folder}, PALI_MODEL);
    free(model.data);
}

int main(void)
{
    exhaust_jansson();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exhaustion)};
    return cmocka_run_group_tests_name("text: allocation", tests, NULL, NULL);
}
