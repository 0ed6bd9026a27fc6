/*
 * The rules one by one on vocabularies of a few pieces: merges listed as
 * pairs, the two forms of a merge, control pieces in and out of the text,
 * special ids, prompts and their limits, decoding at the edges.
 */
#include "text/support.h"

#define NORMALIZER "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" SPACE "\"}"

static pl_tokenizer *from_json(const char *json)
{
    pl_vocabulary v;
    pali_error err = {0};
    if (pl_tokenizer_json_parse(&v, json, strlen(json), "test.json", &err) != PALI_OK)
        fail_msg("%s", err.message);
    pl_tokenizer *t = pl_tokenizer_new(&v, &err);
    if (!t)
        fail_msg("%s", err.message);
    return t;
}

static void check(const pl_tokenizer *t, const char *text, pl_text_mode mode, const int32_t *expected, size_t count)
{
    pl_ids ids = encode(t, text, strlen(text), mode);
    assert_ids(&ids, expected, count, text);
    pl_ids_free(&ids);
}
#define CHECK(t, text, mode, ...) \
    check(t, text, mode, (const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static void test_pairs_are_played_as_listed(void **state)
{
    (void)state;
    /* "ab"+"c" is listed, "a"+"bc" is not: no SentencePiece model gives this list */
    pl_tokenizer *t = from_json("{\"model\":{\"type\":\"BPE\",\"fuse_unk\":true,\"unk_token\":\"?\",\"vocab\":{\"?\":0,"
                                "\"a\":1,\"b\":2,\"c\":3,\"ab\":4,\"bc\":5,\"abc\":6,\"dead\":7},"
                                "\"merges\":[\"b c\",[\"a\",\"b\"],\"ab c\"]}," NORMALIZER "}");
    assert_non_null(pl_tokenizer_vocabulary(t)->merges);
    CHECK(t, "abc", PL_TEXT_USER, 1, 5); /* bc first, and a + bc is no merge */
    CHECK(t, "ab", PL_TEXT_USER, 4);
    CHECK(t, "abab", PL_TEXT_USER, 4, 4);
    CHECK(t, "axxyb", PL_TEXT_USER, 1, 0, 2); /* one unk for the run */
    CHECK(t, "dead", PL_TEXT_USER, 0, 1, 0);  /* no merge makes it */
    assert_int_equal(pl_tokenizer_special(t)->newline, -1);
    pl_tokenizer_free(t);
}

static void test_learned_merges_become_scores(void **state)
{
    (void)state;
    pl_tokenizer *t = from_json("{\"model\":{\"type\":\"BPE\",\"fuse_unk\":true,\"unk_token\":\"?\",\"vocab\":{\"?\":0,"
                                "\"a\":1,\"b\":2,\"c\":3,\"ab\":4,\"bc\":5,\"abc\":6,\"<tag>\":7,\"\\n\":8,\"\\n\\n\":9,"
                                "\"\\n\\n\\n\":10},\"merges\":[\"\\n \\n\",\"\\n\\n \\n\",\"\\n \\n\\n\",\"b c\",\"a b\","
                                "\"a bc\",\"ab c\"]}," NORMALIZER "}");
    const pl_vocabulary *const v = pl_tokenizer_vocabulary(t);
    assert_null(v->merges);
    assert_int_equal(v->types[7], PL_PIECE_USER_DEFINED); /* no merge makes it: it was cut out first */
    assert_int_equal(v->types[9], PL_PIECE_USER_DEFINED);
    assert_int_equal(v->types[8], PL_PIECE_NORMAL);
    assert_true(v->scores[5] > v->scores[4] && v->scores[4] > v->scores[6]);
    CHECK(t, "abc", PL_TEXT_USER, 6);
    CHECK(t, "a<tag>b", PL_TEXT_USER, 1, 7, 2);
    CHECK(t, "\n\n\n\n\n", PL_TEXT_USER, 10, 9);
    pl_tokenizer_free(t);
}

#define SPECIAL_JSON                                                                                                  \
    "{\"added_tokens\":[{\"id\":1,\"content\":\"<bos>\",\"special\":true},{\"id\":2,\"content\":\"<eos>\","           \
    "\"special\":true},{\"id\":8,\"content\":\"<image>\",\"special\":true},{\"id\":9,\"content\":\"<loc0000>\","      \
    "\"special\":true},{\"id\":10,\"content\":\"two words\",\"special\":false}],"                                     \
    "\"model\":{\"type\":\"BPE\",\"fuse_unk\":true,\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"<bos>\":1,"       \
    "\"<eos>\":2,\"<\":3,\">\":4,\"b\":5,\"" SPACE "\":6,\"\\n\":7},\"merges\":[]}," NORMALIZER "}"

static void test_control_pieces(void **state)
{
    (void)state;
    pl_tokenizer *t = from_json(SPECIAL_JSON);
    CHECK(t, "<bos>b<image>", PL_TEXT_USER, 3, 5, 0, 4, 5, 3, 0, 4);
    CHECK(t, "<bos>b<image>", PL_TEXT_SPECIAL, 1, 5, 8);
    CHECK(t, "<unk>", PL_TEXT_SPECIAL, 3, 0, 4);
    /* a location is for users, whatever the file says */
    CHECK(t, "<loc0000>", PL_TEXT_USER, 9);
    CHECK(t, "b two words", PL_TEXT_USER, 5, 6, 10);
    const pl_special_ids s = *pl_tokenizer_special(t);
    assert_int_equal(s.bos, 1);
    assert_int_equal(s.eos, 2);
    assert_int_equal(s.pad, -1);
    assert_int_equal(s.image, 8);
    assert_int_equal(s.loc_count, 1);
    assert_int_equal(s.seg, -1);
    pl_tokenizer_free(t);
}

static void test_config_names_special_pieces(void **state)
{
    (void)state;
    static const char config[] = "{\"bos_token\":\"b\",\"eos_token\":{\"content\":\"<eos>\"},\"pad_token\":null,"
                                 "\"added_tokens_decoder\":{\"0\":{\"content\":\"<unk>\",\"special\":true},"
                                 "\"12\":{\"content\":\"<extra>\",\"special\":false},"
                                 "\"11\":{\"content\":\"<secret>\",\"special\":true}}}";
    pl_vocabulary v;
    pali_error err = {0};
    assert_int_equal(pl_tokenizer_json_parse(&v, SPECIAL_JSON, strlen(SPECIAL_JSON), "a", &err), PALI_OK);
    assert_int_equal(pl_tokenizer_config_parse(&v, config, strlen(config), "c", &err), PALI_OK);
    static const char added[] = "{\"<more>\":13,\"<image>\":8}";
    assert_int_equal(pl_added_tokens_parse(&v, added, strlen(added), "d", &err), PALI_OK);
    pl_tokenizer *t = pl_tokenizer_new(&v, &err);
    assert_non_null(t);
    assert_int_equal(pl_tokenizer_special(t)->bos, 5);
    assert_true(pl_tokenizer_is_control(t, 5));
    assert_int_equal(pl_tokenizer_find(t, "<secret>", 8), 11);
    assert_true(pl_tokenizer_is_control(t, 11));
    CHECK(t, "<extra><more>", PL_TEXT_USER, 12, 13);
    /* a control piece is not reached as a character either */
    CHECK(t, "b", PL_TEXT_USER, 0);
    pl_tokenizer_free(t);
}

static void test_decoder_edges(void **state)
{
    (void)state;
    pl_buffer model = {0}, out = {0};
    pali_error err = {0};
    pl_vocabulary v;
    put_piece(&model, "<unk>", 0, PL_PIECE_UNKNOWN);
    put_piece(&model, "<s>", 0, PL_PIECE_CONTROL);
    put_bytes(&model); /* 2 + b */
    put_piece(&model, SPACE "a" SPACE, 0, PL_PIECE_NORMAL);
    put_settings(&model, true);
    assert_int_equal(pl_sentencepiece_parse(&v, model.data, model.length, "m", &err), PALI_OK);
    free(model.data);
    pl_tokenizer *t = pl_tokenizer_new(&v, &err);
    assert_non_null(t);
    pl_detokenizer d;
    pl_detokenizer_init(&d, t);
    const struct {
        int32_t id;
        const char *text; /* what is out after it */
    } steps[] = {
        {2 + 0xe2, ""}, {2 + 0x82, ""}, {2 + 0xac, "\xe2\x82\xac"},             /* a euro sign in three ids */
        {2 + 0xf0, ""}, {2 + 0x9f, ""}, {1, "\xef\xbf\xbd\xef\xbf\xbd"},        /* cut short by a control piece */
        {2 + 0x80, "\xef\xbf\xbd"},                                             /* never a start */
        {2 + 0xe2, ""}, {2 + 'x', "\xef\xbf\xbdx"},                             /* cut short by ASCII */
        {2 + 0xe0, ""}, {2 + 0x80, ""}, {2 + 0x80, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
        {258, " a "}, {0, ""}, {2 + 0xc3, ""},
    };
    for (size_t i = 0; i < LENGTH(steps); i++) {
        out.length = 0;
        assert_int_equal(pl_detokenizer_push(&d, steps[i].id, &out, &err), PALI_OK);
        assert_int_equal(out.length, strlen(steps[i].text));
        assert_memory_equal(out.data, steps[i].text, out.length);
    }
    out.length = 0;
    assert_int_equal(pl_detokenizer_flush(&d, &out, &err), PALI_OK);
    assert_string_equal(out.data, "\xef\xbf\xbd");
    assert_int_equal(pl_detokenizer_push(&d, 259, &out, &err), PALI_INPUT);
    assert_string_equal(err.message, "id: found 259, expected 0 to 258");
    assert_int_equal(pl_detokenizer_push(&d, -1, &out, &err), PALI_INPUT);
    free(out.data);
    pl_tokenizer_free(t);
}

static void test_prompt_failures(void **state)
{
    (void)state;
    pl_tokenizer *t = from_json(SPECIAL_JSON);
    pl_ids ids = {0};
    pali_error err = {0};
    assert_int_equal(pl_ids_push(&ids, 77, &err), PALI_OK);
    const pl_prompt_options tight = {.images = 2, .image_tokens = 3, .limit = 3};
    assert_int_equal(pl_prompt_encode(t, "b", 1, &tight, &ids, &err), PALI_OK); /* bos b newline */
    assert_ids(&ids, (const int32_t[]){77, 8, 8, 8, 8, 8, 8, 1, 5, 7}, 10, "b");
    assert_int_equal(pl_prompt_encode(t, "bb", 2, &tight, &ids, &err), PALI_INPUT);
    assert_string_equal(err.message, "prompt: found 4 tokens, expected at most 3");
    assert_int_equal(ids.count, 10); /* untouched */
    const pl_prompt_options absurd = {.images = SIZE_MAX, .image_tokens = 2};
    assert_int_equal(pl_prompt_encode(t, "b", 1, &absurd, &ids, &err), PALI_INPUT);
    assert_int_equal(ids.count, 10);
    assert_int_equal(pl_prompt_suffix(t, "b", 1, false, &ids, &err), PALI_OK);
    assert_int_equal(ids.data[10], 5);
    pl_tokenizer_free(t);
    t = from_json("{\"model\":{\"type\":\"BPE\",\"fuse_unk\":true,\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"b\":1},"
                  "\"merges\":[]}," NORMALIZER "}");
    assert_int_equal(pl_prompt_encode(t, "b", 1, NULL, &ids, &err), PALI_MODEL);
    assert_non_null(strstr(err.message, "<bos>"));
    assert_int_equal(pl_prompt_encode(t, "b", 1, &(pl_prompt_options){.images = 1, .image_tokens = 1}, &ids, &err), PALI_MODEL);
    assert_non_null(strstr(err.message, "<image>"));
    assert_int_equal(pl_prompt_suffix(t, "b", 1, true, &ids, &err), PALI_MODEL);
    assert_int_equal(ids.count, 11);
    pl_ids_free(&ids);
    pl_tokenizer_free(t);
}

static void test_empty_text(void **state)
{
    (void)state;
    pl_tokenizer *t = from_json(SPECIAL_JSON);
    pl_ids ids = encode(t, "", 0, PL_TEXT_USER);
    assert_int_equal(ids.count, 0);
    pl_buffer out = {0};
    assert_int_equal(pl_tokenizer_decode(t, NULL, 0, &out, NULL), PALI_OK);
    assert_int_equal(out.length, 0);
    ids = encode(t, "b\0b", 3, PL_TEXT_USER); /* NUL is a character like any other */
    assert_ids(&ids, (const int32_t[]){5, 0, 5}, 3, "b NUL b");
    pl_ids_free(&ids);
    free(out.data);
    pl_tokenizer_free(t);
}

static void test_dummy_prefix(void **state)
{
    (void)state;
    pl_tokenizer *t = from_json(
        "{\"model\":{\"type\":\"BPE\",\"fuse_unk\":true,\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"a\":1,\"" SPACE
        "\":2,\"" SPACE "a\":3},\"merges\":[\"" SPACE " a\"]},\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
        "{\"type\":\"Prepend\",\"prepend\":\"" SPACE "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
        "\"content\":\"" SPACE "\"}]},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},"
        "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}}");
    CHECK(t, "aa a", PL_TEXT_USER, 3, 1, 3);
    pl_buffer out = {0};
    assert_int_equal(pl_tokenizer_decode(t, (const int32_t[]){3, 1, 3}, 3, &out, NULL), PALI_OK);
    assert_string_equal(out.data, "aa a");
    free(out.data);
    pl_ids ids = encode(t, "", 0, PL_TEXT_USER);
    assert_int_equal(ids.count, 0);
    pl_ids_free(&ids);
    pl_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_are_played_as_listed),
        cmocka_unit_test(test_learned_merges_become_scores),
        cmocka_unit_test(test_control_pieces),
        cmocka_unit_test(test_config_names_special_pieces),
        cmocka_unit_test(test_decoder_edges),
        cmocka_unit_test(test_prompt_failures),
        cmocka_unit_test(test_empty_text),
        cmocka_unit_test(test_dummy_prefix),
    };
    return cmocka_run_group_tests_name("text: rules", tests, NULL, NULL);
}
