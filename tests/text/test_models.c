/*
 * Small vocabularies with what Gemma's does not have (models.json, made by
 * make_models.py), against the sentencepiece library; and the committed tiny
 * checkpoints, whose two tokenizer files must agree.
 */
#include <jansson.h>
#include <unistd.h>

#include "text/support.h"

static json_t *load_json(const char *path)
{
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);
    if (!json)
        fail_msg("%s: %s", path, error.text);
    return json;
}

static pl_tokenizer *build(const json_t *model, bool through_arrays)
{
    const json_t *pieces = json_object_get(model, "pieces");
    const bool fallback = json_is_true(json_object_get(model, "byte_fallback"));
    const bool dummy = json_is_true(json_object_get(model, "add_dummy_prefix"));
    const size_t count = json_array_size(pieces);
    pl_buffer file = {0};
    pali_error err = {0};
    pl_vocabulary v;
    const char *names[512];
    float scores[512];
    int32_t types[512];
    char bytes[256][8];
    for (size_t i = 0; i < count; i++) {
        const json_t *piece = json_array_get(pieces, i);
        names[i] = json_string_value(json_array_get(piece, 0));
        scores[i] = (float)json_number_value(json_array_get(piece, 1));
        types[i] = (int32_t)json_integer_value(json_array_get(piece, 2));
        put_piece(&file, names[i], scores[i], (pl_piece_type)types[i]);
    }
    for (size_t b = 0; b < (fallback ? 256 : 0); b++) {
        snprintf(bytes[b], sizeof bytes[b], "<0x%02X>", (unsigned)b);
        names[count + b] = bytes[b];
        scores[count + b] = 0;
        types[count + b] = PL_PIECE_BYTE;
    }
    if (fallback)
        put_bytes(&file);
    put_settings(&file, fallback);
    const unsigned char normalizer[] = {3 << 3, dummy};
    put_field(&file, 3, normalizer, sizeof normalizer);
    const pl_vocabulary_arrays arrays = {.count = count + (fallback ? 256 : 0), .pieces = names, .scores = scores,
        .types = types, .bos = 1, .eos = 2, .pad = 3, .unk = 0, .add_dummy_prefix = dummy};
    const pali_status status = through_arrays ? pl_vocabulary_from_arrays(&v, &arrays, "arrays", &err)
                                              : pl_sentencepiece_parse(&v, file.data, file.length, "model", &err);
    free(file.data);
    if (status != PALI_OK)
        fail_msg("%s", err.message);
    pl_tokenizer *t = pl_tokenizer_new(&v, &err);
    assert_non_null(t);
    return t;
}

static void check_row(const pl_tokenizer *t, const json_t *row)
{
    const char *text = json_string_value(json_array_get(row, 0));
    const json_t *list = json_array_get(row, 1);
    int32_t expected[256];
    for (size_t i = 0; i < json_array_size(list); i++)
        expected[i] = (int32_t)json_integer_value(json_array_get(list, i));
    pl_ids ids = encode(t, text, strlen(text), PL_TEXT_USER);
    assert_ids(&ids, expected, json_array_size(list), text);
    bool unknown = false;
    for (size_t i = 0; i < ids.count; i++)
        unknown = unknown || ids.data[i] == pl_tokenizer_special(t)->unk;
    pl_buffer back = {0};
    assert_int_equal(pl_tokenizer_decode(t, ids.data, ids.count, &back, NULL), PALI_OK);
    if (!unknown) /* which the library prints in a way of its own */
        assert_string_equal(back.data ? back.data : "", json_string_value(json_array_get(row, 2)));
    free(back.data);
    pl_ids_free(&ids);
}

static void test_small_models(void **state)
{
    (void)state;
    json_t *models = load_json("tests/data/text/models.json");
    size_t texts = 0;
    for (size_t i = 0; i < json_array_size(models); i++)
        for (int through_arrays = 0; through_arrays < 2; through_arrays++) {
            const json_t *model = json_array_get(models, i), *rows = json_object_get(model, "texts");
            pl_tokenizer *t = build(model, through_arrays);
            for (size_t k = 0; k < json_array_size(rows); k++, texts++)
                check_row(t, json_array_get(rows, k));
            pl_tokenizer_free(t);
        }
    print_message("%zu models, %zu texts\n", json_array_size(models), texts);
    json_decref(models);
}

/* tests/data/tiny/tokenizer.json holds texts and the ids of both libraries. */
static void check_tiny(const char *path, bool add_locations)
{
    json_t *golden = load_json("tests/data/tiny/tokenizer.json");
    const json_t *rows = json_object_get(golden, "rows");
    pl_tokenizer *t = open_or_fail(path, add_locations);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *list = json_object_get(row, "ids");
        const char *text = json_string_value(json_object_get(row, "text"));
        int32_t expected[256];
        for (size_t k = 0; k < json_array_size(list); k++)
            expected[k] = (int32_t)json_integer_value(json_array_get(list, k));
        pl_ids ids = encode(t, text, strlen(text), PL_TEXT_USER);
        assert_ids(&ids, expected, json_array_size(list), text);
        pl_buffer back = {0};
        assert_int_equal(pl_tokenizer_decode(t, ids.data, ids.count, &back, NULL), PALI_OK);
        assert_string_equal(back.data ? back.data : "", json_string_value(json_object_get(row, "decoded")));
        free(back.data);
        pl_ids_free(&ids);
        /* where Hugging Face finds a special token in the text, so do we when told to */
        const json_t *special = json_object_get(row, "json_ids");
        if (special && !add_locations && strcmp(text, "<unk>") != 0) {
            for (size_t k = 0; k < json_array_size(special); k++)
                expected[k] = (int32_t)json_integer_value(json_array_get(special, k));
            ids = encode(t, text, strlen(text), PL_TEXT_SPECIAL);
            assert_ids(&ids, expected, json_array_size(special), text);
            pl_ids_free(&ids);
        }
    }
    pl_tokenizer_free(t);
    json_decref(golden);
}

static void test_tiny_files(void **state)
{
    (void)state;
    check_tiny("tests/data/tiny/pg1", false);
    check_tiny("tests/data/tiny/pg2", false);
    check_tiny("tests/data/tiny/pg1/tokenizer.json", false);
    check_tiny("tests/data/tiny/pg1/tokenizer.model", true);
}

static void test_tiny_special_ids(void **state)
{
    (void)state;
    pl_tokenizer *t = open_or_fail("tests/data/tiny/pg1", false);
    const pl_special_ids s = *pl_tokenizer_special(t);
    assert_int_equal(s.loc, pl_tokenizer_find(t, "<loc0000>", 9));
    assert_int_equal(s.loc_count, 1024);
    assert_int_equal(s.seg, s.loc + 1024);
    assert_int_equal(s.seg_count, 128);
    assert_int_equal(s.image, s.seg + 128);
    assert_int_equal(s.newline, pl_tokenizer_find(t, "\n", 1));
    assert_true(pl_tokenizer_is_control(t, s.image));
    assert_false(pl_tokenizer_is_control(t, s.loc));
    assert_false(pl_tokenizer_is_control(t, -1));
    assert_false(pl_tokenizer_is_control(t, 1 << 30));
    size_t length = 7;
    assert_null(pl_tokenizer_piece(t, (int32_t)pl_tokenizer_count(t), &length));
    assert_int_equal(length, 0);
    pl_tokenizer_free(t);
    /* the plain model has neither, and says so */
    t = open_or_fail("tests/data/tiny/pg1/tokenizer.model", false);
    assert_int_equal(pl_tokenizer_special(t)->loc, -1);
    assert_int_equal(pl_tokenizer_special(t)->seg_count, 0);
    assert_int_equal(pl_tokenizer_special(t)->image, -1);
    assert_int_equal(pl_tokenizer_special(t)->bos, 2);
    pl_tokenizer_free(t);
}

static void copy_file(const char *from, const char *folder, const char *name)
{
    pl_map map;
    char path[200];
    pali_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(pl_map_open(&map, from, PALI_MODEL, &err), PALI_OK);
    assert_int_equal(pl_file_write(path, map.data, map.size, &err), PALI_OK);
    pl_map_close(&map);
}

static void remove_file(const char *folder, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(remove(path), 0);
}

/* A folder with the plain model: its files say by and by what it lacks. */
static void test_folder_of_a_plain_model(void **state)
{
    (void)state;
    char folder[] = "/tmp/pali-text-XXXXXX";
    pali_error err = {0};
    assert_non_null(mkdtemp(folder));
    copy_file("tests/data/tiny/pg1/tokenizer.model", folder, "tokenizer.model");
    pl_tokenizer *t = open_or_fail(folder, false);
    assert_int_equal(pl_tokenizer_count(t), 384);
    pl_tokenizer_free(t);
    /* <image> is said to be 1536, which the plain pieces do not reach */
    copy_file("tests/data/tiny/pg1/added_tokens.json", folder, "added_tokens.json");
    assert_null(pl_tokenizer_open(folder, false, &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_non_null(strstr(err.message, "'<image>': found id 1536, expected at most 384"));
    t = open_or_fail(folder, true);
    assert_int_equal(pl_tokenizer_special(t)->image, 1536);
    assert_int_equal(pl_tokenizer_special(t)->loc, 384);
    pl_tokenizer_free(t);
    /* tokenizer_config.json may list <image> instead */
    static const char config[] = "{\"bos_token\":\"<eos>\",\"added_tokens_decoder\":{\"1536\":{\"content\":\"<image>\","
                                 "\"special\":true}}}";
    remove_file(folder, "added_tokens.json");
    char path[200];
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    assert_int_equal(pl_file_write(path, config, strlen(config), &err), PALI_OK);
    t = open_or_fail(folder, true);
    assert_int_equal(pl_tokenizer_special(t)->image, 1536);
    assert_int_equal(pl_tokenizer_special(t)->bos, 1);
    pl_tokenizer_free(t);
    remove_file(folder, "tokenizer_config.json");
    /* tokenizer.json wins */
    copy_file("tests/data/tiny/pg1/tokenizer.json", folder, "tokenizer.json");
    t = open_or_fail(folder, false);
    assert_int_equal(pl_tokenizer_count(t), 1537);
    pl_tokenizer_free(t);
    remove_file(folder, "tokenizer.json");
    remove_file(folder, "tokenizer.model");
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_models),
        cmocka_unit_test(test_tiny_files),
        cmocka_unit_test(test_tiny_special_ids),
        cmocka_unit_test(test_folder_of_a_plain_model),
    };
    return cmocka_run_group_tests_name("text: models", tests, NULL, NULL);
}
