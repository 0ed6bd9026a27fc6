/*
 * Files that lie: every truncation and many byte edits of a small model,
 * fields of wrong types, JSON that asks for what we do not do. Each must be
 * refused with a message that names the file and the field, or open into
 * something that encodes and decodes without harm.
 */
#include "text/support.h"

/* A block of exactly this size, so that a sanitizer sees a read past the end. */
static void *exact(const void *bytes, size_t size)
{
    void *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

/* Uses what opened. */
static void use(pl_vocabulary *v)
{
    static const char text[] = "the cat <bos>\n\n  <loc0000>\xff\xf0\x9f\x98\x80 a";
    pali_error err = {0};
    pl_tokenizer *t = pl_tokenizer_new(v, &err);
    if (!t)
        return;
    pl_ids ids = {0};
    pl_buffer out = {0};
    for (int mode = 0; mode < 2; mode++)
        assert_int_equal(pl_tokenizer_encode(t, text, strlen(text), (pl_text_mode)mode, &ids, &err), PALI_OK);
    assert_int_equal(pl_tokenizer_decode(t, ids.data, ids.count, &out, &err), PALI_OK);
    free(out.data);
    pl_ids_free(&ids);
    pl_tokenizer_free(t);
}

/* Opens bytes as a model; returns whether that went well. A failure must name the file. */
static bool open_model(const void *bytes, size_t size, pali_error *err)
{
    void *copy = exact(bytes, size);
    pl_vocabulary v;
    *err = (pali_error){0};
    const pali_status status = pl_sentencepiece_parse(&v, copy, size, "bad.model", err);
    free(copy);
    if (status == PALI_OK) {
        use(&v);
        return true;
    }
    assert_int_equal(status, PALI_MODEL);
    assert_int_equal(err->status, PALI_MODEL);
    assert_int_equal(strncmp(err->message, "bad.model: ", 11), 0);
    assert_int_equal(v.count, 0);
    assert_null(v.text);
    return false;
}

static void refuse_model(const pl_buffer *model, const char *reason)
{
    pali_error err;
    assert_false(open_model(model->data, model->length, &err));
    if (!strstr(err.message, reason))
        fail_msg("found \"%s\", expected \"%s\" in it", err.message, reason);
}

static void small_model(pl_buffer *model)
{
    *model = (pl_buffer){0};
    put_piece(model, "<unk>", 0, PL_PIECE_UNKNOWN);
    put_piece(model, "<s>", 0, PL_PIECE_CONTROL);
    put_piece(model, "<loc0000>", 0, PL_PIECE_USER_DEFINED);
    put_piece(model, "th", -1, PL_PIECE_NORMAL);
    put_piece(model, "the", -2, PL_PIECE_UNUSED);
    put_piece(model, "a", -3, PL_PIECE_NORMAL);
    put_piece(model, SPACE, -4, PL_PIECE_NORMAL);
    put_settings(model, false);
}

static void test_truncations(void **state)
{
    (void)state;
    pl_buffer model;
    pali_error err;
    small_model(&model);
    assert_true(open_model(model.data, model.length, &err));
    for (size_t size = 0; size < model.length; size++)
        assert_false(open_model(model.data, size, &err)); /* the last field turns whitespace removal off */
    print_message("%zu truncations refused\n", model.length);
    free(model.data);
}

static void test_byte_edits(void **state)
{
    (void)state;
    pl_buffer model;
    pali_error err;
    size_t opened = 0, edits = 0;
    small_model(&model);
    static const unsigned char values[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x1a, 0x0d};
    for (size_t at = 0; at < model.length; at++) {
        const char was = model.data[at];
        for (size_t i = 0; i < LENGTH(values) + 8; i++, edits++) {
            model.data[at] = (char)(i < LENGTH(values) ? values[i] : was ^ 1 << (i - LENGTH(values)));
            opened += open_model(model.data, model.length, &err);
        }
        model.data[at] = was;
    }
    print_message("%zu byte edits, %zu of them harmless\n", edits, opened);
    assert_true(edits > 60 && opened > 0 && opened < edits);
    free(model.data);
}

static void test_model_fields(void **state)
{
    (void)state;
    static const struct {
        int field;
        const char *bytes;
        size_t size;
        const char *reason;
    } cases[] = {
        {2, "\x18\x01", 2, "trainer_spec.model_type: found 1, expected 2 (BPE)"},
        {2, "\x1a\x01\x02", 3, "trainer_spec.model_type: found wire type 2, expected 0"},
        {2, "\xc0\x01\x01", 3, "trainer_spec.treat_whitespace_as_suffix: found true"},
        {2, "\x18", 1, "trainer_spec: not a protobuf message"},
        {2, "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "trainer_spec: not a protobuf message"},
        {2, "\x00\x01", 2, "trainer_spec: not a protobuf message"},
        {2, "\x0b\x0c", 2, "trainer_spec: not a protobuf message"}, /* a group */
        {2, "\x98\x02\x01", 3, "byte_fallback: is on, but the piece <0x00> is missing"},
        {3, "\x12\x03" "abc", 5, "normalizer_spec.precompiled_charsmap: found 3 bytes, expected none"},
        {3, "\x20\x01", 2, "normalizer_spec.remove_extra_whitespaces: found true"},
        {3, "\x28\x00", 2, "normalizer_spec.escape_whitespaces: found false"},
        {3, "\x12\x7f" "abc", 5, "normalizer_spec: not a protobuf message"},
        {5, "\x12\x01" "a", 3, "denormalizer_spec.precompiled_charsmap: found 1 bytes"},
        {1, "\x0a\x01" "b\x15\x00\x00\xc0\x7f", 8, "score is not a finite number"},
        {1, "\x0a\x01" "b\x18\x07", 5, "piece 7: found type 7, expected 1 to 6"},
        {1, "\x0a\x01" "b\x18\x00", 5, "piece 7: found type 0, expected 1 to 6"},
        {1, "\x0a\x01" "b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 14, "piece 7: found type"},
        {1, "\x0a\x01" "b\x18\x06", 5, "found 'b' of type byte, expected <0x00> to <0xFF>"},
        {1, "\x0a\x01" "a", 3, "piece 7: 'a' stands already at id 5"},
        {1, "\x0a\x01\xff", 3, "is not UTF-8"},
        {1, "", 0, "piece 7: found 0 bytes, expected 1 to 4096"},
        {1, "\x08\x01", 2, "pieces.piece: found wire type 0, expected 2"},
        {1, "\x0a\x05" "b", 3, "pieces: not a protobuf message"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        pl_buffer model;
        small_model(&model);
        put_field(&model, cases[i].field, cases[i].bytes, cases[i].size);
        refuse_model(&model, cases[i].reason);
        free(model.data);
    }
}

static void test_model_wholes(void **state)
{
    (void)state;
    pl_buffer model = {0};
    pali_error err;
    refuse_model(&model, "pieces: found none");
    put_settings(&model, false);
    refuse_model(&model, "pieces: found none");
    put_piece(&model, "a", 0, PL_PIECE_NORMAL);
    refuse_model(&model, "neither byte pieces nor an unknown piece");
    put_piece(&model, "<unk>", 0, PL_PIECE_UNKNOWN);
    put_field(&model, 77, "skipped", 7); /* unknown fields are no failure */
    assert_true(open_model(model.data, model.length, &err));
    char *longer = malloc(5000);
    assert_non_null(longer);
    memset(longer, 'x', 4999);
    longer[4999] = '\0';
    put_piece(&model, longer, 0, PL_PIECE_NORMAL);
    refuse_model(&model, "found 4999 bytes, expected 1 to 4096");
    free(longer);
    free(model.data);
    assert_false(open_model("{\"a\": 1}", 8, &err));
    assert_false(open_model("\x0a\xff\xff\xff\xff\x0f", 6, &err)); /* a length of 4 GiB */
    assert_false(open_model("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, &err));
}

#define VOCAB "\"vocab\":{\"<unk>\":0,\"a\":1,\"b\":2,\"ab\":3}"
#define MODEL(rest) "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true," rest "}"
#define GOOD MODEL(VOCAB ",\"merges\":[\"a b\"]")
#define REPLACE "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" SPACE "\"}"
#define NORMALIZER "\"normalizer\":" REPLACE

static const struct {
    const char *json, *reason; /* NULL: opens */
} jsons[] = {
    {"{" GOOD "," NORMALIZER "}", NULL},
    {"{" GOOD "," NORMALIZER ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":"
     "\"MergedWithPrevious\",\"invert\":false}}", NULL},
    {"{" GOOD "," NORMALIZER ",\"truncation\":{\"max_length\":3},\"padding\":{\"pad_id\":0}}", NULL},
    {"", "not valid JSON"},
    {"[]", "not a JSON object"},
    {"{", "not valid JSON"},
    {"{}", "field model: found nothing, expected an object with \"type\""},
    {"{\"model\":3}", "field model: found 3"},
    {"{\"model\":{\"type\":\"Unigram\"}}", "model.type: found string 'Unigram', expected \"BPE\""},
    {"{\"model\":{\"type\":7}}", "model.type"},
    {"{" MODEL("\"dropout\":0.1," VOCAB ",\"merges\":[]") "," NORMALIZER "}", "model.dropout"},
    {"{" MODEL("\"ignore_merges\":true," VOCAB ",\"merges\":[]") "," NORMALIZER "}", "model.ignore_merges"},
    {"{" MODEL("\"continuing_subword_prefix\":\"##\"," VOCAB ",\"merges\":[]") "," NORMALIZER "}",
     "model.continuing_subword_prefix"},
    {"{" MODEL("\"end_of_word_suffix\":\"</w>\"," VOCAB ",\"merges\":[]") "," NORMALIZER "}", "model.end_of_word_suffix"},
    {"{" MODEL("\"byte_fallback\":true," VOCAB ",\"merges\":[]") "," NORMALIZER "}", "<0x00> is missing"},
    {"{" MODEL("\"byte_fallback\":1," VOCAB ",\"merges\":[]") "," NORMALIZER "}", "model.byte_fallback"},
    {"{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[]}," NORMALIZER "}", "model.fuse_unk: found false"},
    {"{\"model\":{\"type\":\"BPE\",\"fuse_unk\":true," VOCAB ",\"merges\":[]}," NORMALIZER "}",
     "neither byte pieces nor an unknown piece"},
    {"{\"model\":{\"type\":\"BPE\",\"fuse_unk\":true,\"unk_token\":\"?\"," VOCAB ",\"merges\":[]}," NORMALIZER "}",
     "model.unk_token"},
    {"{" GOOD "}", "normalizer: found null"},
    {"{" GOOD ",\"normalizer\":{\"type\":\"NFC\"}}", "normalizer: found 'NFC'"},
    {"{" GOOD ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[" REPLACE ",{\"type\":\"Lowercase\"}]}}",
     "normalizer: found 'Lowercase'"},
    {"{" GOOD ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[]}}", "normalizer: found 'Sequence'"},
    {"{" GOOD ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" \"},\"content\":\"" SPACE "\"}}",
     "normalizer: found 'Replace'"},
    {"{" GOOD ",\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"x\"}}", "normalizer: found 'Prepend'"},
    {"{" GOOD ",\"normalizer\":\"NFC\"}", "normalizer: found no type"},
    {"{" GOOD "," NORMALIZER ",\"pre_tokenizer\":{\"type\":\"ByteLevel\"}}", "pre_tokenizer: found 'ByteLevel'"},
    {"{" GOOD "," NORMALIZER ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"}}}",
     "pre_tokenizer: found 'Split'"},
    {"{" GOOD "," NORMALIZER ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"}]}}",
     "pre_tokenizer: found 'Digits'"},
    {"{" GOOD "," NORMALIZER ",\"decoder\":{\"type\":\"WordPiece\"}}", "decoder: found 'WordPiece'"},
    {"{" MODEL(VOCAB) "," NORMALIZER "}", "model.merges: expected an array"},
    {"{" MODEL(VOCAB ",\"merges\":{}") "," NORMALIZER "}", "model.merges: expected an array"},
    {"{" MODEL("\"merges\":[]") "," NORMALIZER "}", "model.vocab: expected an object"},
    {"{" MODEL("\"vocab\":[],\"merges\":[]") "," NORMALIZER "}", "model.vocab: expected an object"},
    {"{" MODEL("\"vocab\":{},\"merges\":[]") "," NORMALIZER "}", "model.unk_token"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\"a\":2},\"merges\":[]") "," NORMALIZER "}", "'a': expected an id from 0 to 1"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\"a\":-1},\"merges\":[]") "," NORMALIZER "}", "'a': expected an id from 0 to 1"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\"a\":\"1\"},\"merges\":[]") "," NORMALIZER "}", "'a': expected an id"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\"a\":1.5},\"merges\":[]") "," NORMALIZER "}", "'a': expected an id"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\"a\":0},\"merges\":[]") "," NORMALIZER "}", "id 0 is given twice"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\"\":1},\"merges\":[]") "," NORMALIZER "}", "piece 1: found 0 bytes"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\"a\":99999999999999999999},\"merges\":[]") "," NORMALIZER "}", "'a': expected an id"},
    {"{" MODEL(VOCAB ",\"merges\":[\"a c\"]") "," NORMALIZER "}", "model.merges[0]: 'c' is no piece"},
    {"{" MODEL(VOCAB ",\"merges\":[\"a b\",\"b a\"]") "," NORMALIZER "}", "model.merges[1]: what 'b' begins"},
    {"{" MODEL(VOCAB ",\"merges\":[\"ab\"]") "," NORMALIZER "}", "model.merges[0]: expected"},
    {"{" MODEL(VOCAB ",\"merges\":[\"a b c\"]") "," NORMALIZER "}", "model.merges[0]: expected"},
    {"{" MODEL(VOCAB ",\"merges\":[\" \"]") "," NORMALIZER "}", "model.merges[0]: '' is no piece"},
    {"{" MODEL(VOCAB ",\"merges\":[[\"a\"]]") "," NORMALIZER "}", "model.merges[0]: expected"},
    {"{" MODEL(VOCAB ",\"merges\":[[\"a\",1]]") "," NORMALIZER "}", "model.merges[0]: expected"},
    {"{" MODEL(VOCAB ",\"merges\":[7]") "," NORMALIZER "}", "model.merges[0]: expected"},
    {"{" MODEL(VOCAB ",\"merges\":[\"\\u0061 b\",[\"a\",\"\\u0062\"]]") "," NORMALIZER "}", NULL},
    {"{" MODEL("\"merges\":[\"\\n \\n\"],\"vocab\":{\"<\\u0075nk>\":0,\"\\n\":2,\"\\n\\n\":1}") "," NORMALIZER "}", NULL},
    {"{" MODEL("\"merges\":[\"\\n x\"],\"vocab\":{\"<unk>\":0,\"\\n\":2,\"\\n\\n\":1}") "," NORMALIZER "}", "model.merges[0]: 'x' is no piece"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\n\"a\",1},\"merges\":[]") "," NORMALIZER "}", "not valid JSON: line 2"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\n\"a\":1]},\"merges\":[]") "," NORMALIZER "}", "not valid JSON: line 2"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\n\"\\ud800\":1},\"merges\":[]") "," NORMALIZER "}", "not valid JSON: line 2"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\n\"a\":01},\"merges\":[]") "," NORMALIZER "}", "not valid JSON: line 2"},
    {"{" MODEL("\"vocab\":{\"<unk>\":0,\"<unk>\":1},\"merges\":[]") "," NORMALIZER "}", "not valid JSON"}, /* one key twice */
    {"{" MODEL(VOCAB ",\"merges\":[\"a b\",\n]") "," NORMALIZER "}", "not valid JSON: line 2"},
    {"{" MODEL(VOCAB ",\"merges\":[\"a b\"\n\"a b\"]") "," NORMALIZER "}", "not valid JSON: line 2"},
    {"{" MODEL(VOCAB ",\"merges\":[\"a \\x\"]") "," NORMALIZER "}", "not valid JSON"},
    {"{" GOOD "," NORMALIZER ",\"added_tokens\":3}", "added_tokens: expected an array"},
    {"{" GOOD "," NORMALIZER ",\"added_tokens\":[3]}", "added_tokens[0]: expected an id and a content"},
    {"{" GOOD "," NORMALIZER ",\"added_tokens\":[{\"id\":4}]}", "added_tokens[0]: expected an id and a content"},
    {"{" GOOD "," NORMALIZER ",\"added_tokens\":[{\"id\":9,\"content\":\"x\"}]}", "added_tokens[0].id: found 9"},
    {"{" GOOD "," NORMALIZER ",\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]}", "added_tokens[0].id: 1 is already 'a'"},
    {"{" GOOD "," NORMALIZER ",\"added_tokens\":[{\"id\":4,\"content\":\"a\"}]}", "'a' stands already at id 1"},
    {"{" GOOD "," NORMALIZER ",\"added_tokens\":[{\"id\":4,\"content\":\"x\",\"lstrip\":true}]}", "added_tokens[0].lstrip"},
    {"{" GOOD "," NORMALIZER ",\"added_tokens\":[{\"id\":4,\"content\":\"x\",\"rstrip\":true}]}", "added_tokens[0].rstrip"},
    {"{" GOOD "," NORMALIZER ",\"added_tokens\":[{\"id\":4,\"content\":\"x\",\"single_word\":true}]}",
     "added_tokens[0].single_word"},
};

static pali_status open_json(const char *json, pl_vocabulary *v, pali_error *err)
{
    const size_t size = strlen(json);
    void *copy = exact(json, size);
    *err = (pali_error){0};
    const pali_status status = pl_tokenizer_json_parse(v, copy, size, "bad.json", err);
    free(copy);
    return status;
}

static void test_json_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(jsons); i++) {
        pl_vocabulary v;
        pali_error err;
        const pali_status status = open_json(jsons[i].json, &v, &err);
        if (!jsons[i].reason) {
            if (status != PALI_OK)
                fail_msg("%s: %s", jsons[i].json, err.message);
            use(&v);
            continue;
        }
        assert_int_equal(status, PALI_MODEL);
        assert_int_equal(strncmp(err.message, "bad.json: ", 10), 0);
        if (!strstr(err.message, jsons[i].reason))
            fail_msg("found \"%s\", expected \"%s\" in it", err.message, jsons[i].reason);
        assert_int_equal(v.count, 0);
    }
}

static void test_json_edits(void **state)
{
    (void)state;
    char json[2000];
    size_t opened = 0, edits = 0;
    snprintf(json, sizeof json, "%s", jsons[1].json);
    const size_t size = strlen(json);
    static const char values[] = "\"{}[],:0a \\\n\xff";
    for (size_t at = 0; at < size; at++)
        for (size_t i = 0; i < sizeof values; i++, edits++) {
            pl_vocabulary v;
            pali_error err = {0};
            char *copy = exact(json, size);
            copy[at] = values[i];
            const pali_status status = pl_tokenizer_json_parse(&v, copy, i + 1 < sizeof values ? size : at, "bad.json", &err);
            free(copy);
            assert_true(status == PALI_OK || status == PALI_MODEL);
            opened += status == PALI_OK;
            if (status == PALI_OK)
                use(&v);
        }
    print_message("%zu edits and truncations, %zu of them harmless\n", edits, opened);
    assert_true(opened > 0 && opened < edits);
}

static void test_locations_must_be_a_row(void **state)
{
    (void)state;
    static const char *const rows[][4] = {
        {"<loc0000>", "<loc0002>", "x", "tokenizer: piece <loc0002>: found id 5, expected <loc0000> and up in a row"},
        {"<loc0000>", "x", "<loc0002>", "tokenizer: found 2 pieces from <loc0000> up, expected 3 in a row"},
        {"<loc0001>", "<loc0002>", "x", "tokenizer: piece <loc0001>: found id 4, expected <loc0000> and up in a row"},
        {"<loc0001>", "<loc0000>", "x", "tokenizer: piece <loc0001>: found id 4, expected <loc0000> and up in a row"},
        {"<seg000>", "<seg002>", "x", "tokenizer: piece <seg002>: found id 5, expected <seg000> and up in a row"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        pl_vocabulary v;
        pali_error err;
        assert_int_equal(open_json(jsons[0].json, &v, &err), PALI_OK);
        for (int k = 0; k < 3; k++)
            assert_int_equal(pl_vocabulary_push(&v, rows[i][k], strlen(rows[i][k]), 0, PL_PIECE_USER_DEFINED, &err), PALI_OK);
        assert_null(pl_tokenizer_new(&v, &err));
        assert_int_equal(err.status, PALI_MODEL);
        assert_string_equal(err.message, rows[i][3]);
        assert_int_equal(v.count, 0);
    }
}

static void test_config_files(void **state)
{
    (void)state;
    static const struct {
        const char *json, *reason;
    } cases[] = {
        {"{\"added_tokens_decoder\":{\"4\":{\"special\":true}}}", "c.json: added_tokens_decoder.4: expected a content"},
        {"{\"added_tokens_decoder\":{\"4\":{\"content\":\"a\"}}}", "'a': found id 4, but the vocabulary has it at 1"},
        {"{\"bos_token\":", "not valid JSON"},
    };
    static const struct {
        const char *json, *reason;
    } lists[] = {
        {"{\"x\":5}", "c.json: 'x': found id 5, expected at most 4"},
        {"{\"x\":-1}", "'x': found id -1"},
        {"{\"x\":\"4\"}", "'x': found id -1"},
        {"{\"a\":4}", "'a': found id 4, but the vocabulary has it at 1"},
        {"[]", "not a JSON object"},
    };
    for (size_t i = 0; i < LENGTH(cases) + LENGTH(lists); i++) {
        const bool list = i >= LENGTH(cases);
        const char *json = list ? lists[i - LENGTH(cases)].json : cases[i].json;
        const char *reason = list ? lists[i - LENGTH(cases)].reason : cases[i].reason;
        pl_vocabulary v;
        pali_error err;
        assert_int_equal(open_json(jsons[0].json, &v, &err), PALI_OK);
        const pali_status status = (list ? pl_added_tokens_parse : pl_tokenizer_config_parse)(&v, json, strlen(json), "c.json", &err);
        assert_int_equal(status, PALI_MODEL);
        if (!strstr(err.message, reason))
            fail_msg("found \"%s\", expected \"%s\" in it", err.message, reason);
        pl_vocabulary_free(&v);
    }
}

static void test_paths(void **state)
{
    (void)state;
    pali_error err = {0};
    assert_null(pl_tokenizer_open("tests/text", false, &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_string_equal(err.message, "tests/text: found neither tokenizer.json nor tokenizer.model, expected one of them");
    assert_null(pl_tokenizer_open("tests/text/none.model", false, &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_non_null(strstr(err.message, "none.model"));
    /* any file is one kind or the other, and fails as that */
    assert_null(pl_tokenizer_open("tests/text/test_bad_files.c", false, &err));
    assert_non_null(strstr(err.message, "not a protobuf message"));
    assert_null(pl_tokenizer_open("tests/data/tiny/pg1/config.json", false, &err));
    assert_non_null(strstr(err.message, "field model: found nothing"));
    assert_null(pl_tokenizer_open("tests/text/none.model", false, NULL));
    assert_null(pl_tokenizer_open("tests/data/tiny/pg1/config.json", false, NULL));
}

static void test_arrays(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<unk>", "a", "ab"};
    static const float scores[] = {0, -1, -2};
    static const int32_t types[] = {2, 1, 1}, bad_types[] = {2, 1, 9};
    pl_vocabulary v;
    pali_error err = {0};
    pl_vocabulary_arrays arrays = {.count = 3, .pieces = pieces, .scores = scores, .types = types,
                                   .bos = -1, .eos = -1, .pad = -1, .unk = 0};
    assert_int_equal(pl_vocabulary_from_arrays(&v, &arrays, "x.gguf", &err), PALI_OK);
    use(&v);
    arrays.types = bad_types;
    assert_int_equal(pl_vocabulary_from_arrays(&v, &arrays, "x.gguf", &err), PALI_MODEL);
    assert_string_equal(err.message, "x.gguf: piece 2: found type 9, expected 1 to 6");
    arrays.types = types;
    arrays.eos = 3;
    assert_int_equal(pl_vocabulary_from_arrays(&v, &arrays, "x.gguf", &err), PALI_MODEL);
    assert_string_equal(err.message, "x.gguf: eos id: found 3, expected below 3 pieces");
    arrays.eos = -1;
    arrays.lengths = (const size_t[]){5, 1, 0};
    assert_int_equal(pl_vocabulary_from_arrays(&v, &arrays, "x.gguf", &err), PALI_MODEL);
    arrays.count = 0;
    assert_int_equal(pl_vocabulary_from_arrays(&v, &arrays, "x.gguf", &err), PALI_MODEL);
    assert_int_equal(v.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_byte_edits),
        cmocka_unit_test(test_model_fields),
        cmocka_unit_test(test_model_wholes),
        cmocka_unit_test(test_json_fields),
        cmocka_unit_test(test_json_edits),
        cmocka_unit_test(test_locations_must_be_a_row),
        cmocka_unit_test(test_config_files),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_arrays),
    };
    return cmocka_run_group_tests_name("text: bad files", tests, NULL, NULL);
}
