/*
 * What is written can be read: GGUF keys of every kind, matrices in tiles and
 * what is wrong with them, npz members of every shape, a tokenizer of awkward
 * pieces; and a file that is not finished is not there.
 */
#include "formats/gguf_layout.h"
#include "formats/npz_write.h"
#include "formats/tokenizer_json.h"
#include "formats/tokenizer_write.h"
#include "support.h"

#include <unistd.h>

static char path[64];

static void good(pali_status status, const pali_error *err)
{
    if (status != PALI_OK)
        fail_msg("%s", err->message);
}

static int make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/pali-writers-%ld", (long)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static void test_output(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_output out = {0};
    char temporary[128];
    pl_output_abandon(&out); /* nothing */
    good(pl_output_open(&out, path, &err), &err);
    snprintf(temporary, sizeof temporary, "%s", out.temporary);
    unsigned char *large = calloc(1, 3 << 20);
    memset(large, 7, 3 << 20);
    good(pl_output_write(&out, "abc", 3, &err), &err);
    good(pl_output_pad(&out, 64, &err), &err);
    good(pl_output_pad(&out, 64, &err), &err);
    good(pl_output_write(&out, large, 3 << 20, &err), &err); /* past the buffer */
    good(pl_output_rewrite(&out, 1, "XY", 2, &err), &err);
    assert_true(pl_is_file(temporary) && !pl_is_file(path));
    assert_int_equal(out.size, 64 + (3 << 20));
    good(pl_output_commit(&out, &err), &err);
    assert_true(!pl_is_file(temporary) && pl_is_file(path));
    size_t size;
    char *bytes = pl_file_read(path, 4 << 20, &size, PALI_INPUT, &err);
    assert_int_equal(size, 64 + (3 << 20));
    assert_memory_equal(bytes, "aXY\0\0", 5);
    assert_memory_equal(bytes + 64, large, 3 << 20);
    free(bytes);
    good(pl_output_open(&out, path, &err), &err);
    good(pl_output_write(&out, "new", 3, &err), &err);
    pl_output_abandon(&out);
    assert_true(!pl_is_file(temporary) && pl_is_file(path)); /* the old one stays */
    assert_int_equal(pl_output_open(&out, "/no/such/folder/x", &err), PALI_FAILED);
    assert_non_null(strstr(err.message, "/no/such/folder/x: cannot write"));
    free(large);
}

/* Writes what was declared, with zeros for data, and opens it. */
static pl_tensor_file *reopen(pl_gguf_writer *w, pali_error *err)
{
    pl_output out = {0};
    good(pl_output_open(&out, path, err), err);
    good(pl_gguf_begin(w, &out, err), err);
    unsigned char *zeros = calloc(1, (size_t)w->data_bytes + 1);
    good(pl_output_write(&out, zeros, (size_t)w->data_bytes, err), err);
    good(pl_output_commit(&out, err), err);
    free(zeros);
    pl_gguf_writer_free(w);
    return pl_gguf_open(path, err);
}

static void test_gguf(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_gguf_writer w = {0};
    static const int32_t integers[2] = {-1, 7};
    static const float floats[3] = {0.5f, -1, 1e-6f};
    static const size_t shape[3] = {3, 2, 64}, tiles[2] = {20, 96};
    pl_gguf_put_string(&w, "text", "caf\xc3\xa9", &err);
    pl_gguf_put_bool(&w, "yes", true, &err);
    pl_gguf_put_u32(&w, "number", 42, &err);
    pl_gguf_put_f32(&w, "eps", 1e-6f, &err);
    pl_gguf_put_i32s(&w, "integers", integers, 2, &err);
    pl_gguf_put_f32s(&w, "floats", floats, 3, &err);
    pl_gguf_put_strings(&w, "strings", 2, &err);
    pl_gguf_push_string(&w, "", 0, &err);
    pl_gguf_push_string(&w, "b", 1, &err);
    pl_gguf_put_u32(&w, "general.alignment", PL_GGUF_ALIGNMENT, &err);
    pl_gguf_declare(&w, "plain", PL_Q8_0, shape, 3, &err);
    pl_gguf_declare_tiles(&w, "m.weight", PL_Q8_TILES, tiles, &err);
    pl_gguf_declare_tiles(&w, "n.weight", PL_Q4_0_TILES, tiles, &err);
    pl_tensor_file *file = reopen(&w, &err);
    if (!file)
        fail_msg("%s", err.message);
    uint64_t number = 0;
    bool yes = false;
    pl_gguf_string text, *strings;
    size_t count;
    good(pl_gguf_get_u64(file, "number", &number, &err), &err);
    good(pl_gguf_get_bool(file, "yes", &yes, &err), &err);
    good(pl_gguf_get_string(file, "text", &text, &err), &err);
    good(pl_gguf_get_strings(file, "strings", &strings, &count, &err), &err);
    assert_true(number == 42 && yes && pl_gguf_string_is(text, "caf\xc3\xa9") && count == 2 && strings[0].length == 0 && pl_gguf_string_is(strings[1], "b"));
    free(strings);
    const pl_tensor *plain = pl_tensor_file_use(file, "plain", &err), *m = pl_tensor_file_use(file, "m.weight", &err), *n = pl_tensor_file_use(file, "n.weight", &err);
    assert_true(plain->rank == 3 && plain->shape[0] == 3 && plain->shape[2] == 64 && plain->dtype == PL_Q8_0);
    assert_true(m->dtype == PL_Q8_TILES && m->rank == 2 && m->shape[0] == 20 && m->shape[1] == 96 && m->scale && (uintptr_t)m->data % 64 == 0);
    assert_true(n->dtype == PL_Q4_0_TILES && !n->scale);
    pl_tensor_file_close(file);
}

/* The same as ggml's package writes it. */
static void test_foreign_tiles(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_tensor_file *file = pl_gguf_open(DATA "tiles.gguf", &err);
    if (!file)
        fail_msg("%s", err.message);
    const pl_tensor *a = pl_tensor_file_use(file, "a", &err), *b = pl_tensor_file_use(file, "b", &err);
    assert_true(a && a->dtype == PL_Q8_TILES && a->shape[0] == 20 && a->shape[1] == 60);
    assert_ptr_equal(a->scale, pl_tensor_file_use(file, "a.scale", &err)->data);
    assert_true(b && b->dtype == PL_Q4_0_TILES && b->shape[0] == 16 && b->shape[1] == 64 && !b->scale);
    pl_tensor_file_close(file);
}

/* One I8 tensor with these keys; returns what opening or using it says. */
static const char *meaning(const char *type, const char *layout, const uint32_t *shape, size_t sizes, size_t bytes, size_t scales, pali_error *err)
{
    pl_gguf_writer w = {0};
    pl_gguf_put_string(&w, "pali.tensor.m.weight.type", type, err);
    pl_gguf_put_string(&w, "pali.tensor.m.weight.layout", layout, err);
    pl_gguf_put_u32s(&w, "pali.tensor.m.weight.shape", shape, sizes, err);
    pl_gguf_declare(&w, "m.weight", PL_I8, &bytes, 1, err);
    if (scales)
        pl_gguf_declare(&w, "m.weight.scale", PL_F32, &scales, 1, err);
    pl_tensor_file *file = reopen(&w, err);
    if (file)
        pl_tensor_file_use(file, "m.weight", err);
    pl_tensor_file_close(file);
    return err->message;
}

static void test_wrong_tiles(void **state)
{
    (void)state;
    static const uint32_t shape[3] = {16, 64, 1}, zero[2] = {0, 64}, large[2] = {0x7fffffff, 0x7fffffff};
    static const struct {
        const char *type, *layout;
        const uint32_t *shape;
        size_t sizes, bytes, scales;
        const char *expected;
    } cases[] = {
        {"q8_0", "tiles", shape, 2, 1088, 0, ""},
        {"q8", "tiles", shape, 2, 1024, 16, ""},
        {"q5_0", "tiles", shape, 2, 1088, 0, "tensor 'm.weight': found type 'q5_0' in layout 'tiles', expected bf16, q8_0, q4_0 or q8 in tiles"},
        {"q8_0", "waves", shape, 2, 1088, 0, "found type 'q8_0' in layout 'waves'"},
        {"q8_0", "tiles", shape, 3, 1088, 0, "key pali.tensor.m.weight.shape: found 3 numbers, expected rows and columns"},
        {"q8_0", "tiles", zero, 2, 1088, 0, "expected rows and columns"},
        {"q8_0", "tiles", shape, 2, 1087, 0, "found 1087 bytes, expected 1088 for shape [16, 64] of q8_0_tiles"},
        {"bf16", "tiles", large, 2, 1024, 0, "found 1024 bytes, expected"},
        {"q8", "tiles", shape, 2, 1024, 0, "tensor 'm.weight.scale' is missing"},
        {"q8", "tiles", shape, 2, 1024, 15, "m.weight.scale: found f32 of shape [15], expected f32 [16]"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        pali_error err = {0};
        const char *found = meaning(cases[i].type, cases[i].layout, cases[i].shape, cases[i].sizes, cases[i].bytes, cases[i].scales, &err);
        if (*cases[i].expected ? !strstr(found, cases[i].expected) : *found)
            fail_msg("case %zu: found \"%s\", expected \"%s\"", i, found, cases[i].expected);
    }
}

static void test_npz(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_npz_writer w = {0};
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    static const size_t shapes[3][3] = {{6}, {2, 3}, {1, 6, 0}};
    pl_npz_abandon(&w); /* nothing */
    good(pl_npz_create(&w, path, &err), &err);
    for (size_t rank = 1; rank <= 3; rank++) {
        char name[16];
        snprintf(name, sizeof name, "params/%zu", rank);
        good(pl_npz_begin(&w, name, PL_F32, shapes[rank - 1], rank, &err), &err);
        if (rank < 3) {
            good(pl_npz_write(&w, values, 4, &err), &err);
            good(pl_npz_write(&w, values + 1, 20, &err), &err);
        }
        good(pl_npz_end(&w, &err), &err);
    }
    good(pl_npz_commit(&w, &err), &err);
    pl_tensor_file *file = pl_npz_open(path, &err);
    if (!file)
        fail_msg("%s", err.message);
    for (size_t rank = 1; rank <= 3; rank++) {
        char name[16];
        snprintf(name, sizeof name, "params/%zu", rank);
        const pl_named_tensor *t = pl_tensor_file_find(file, name);
        assert_true(t && t->tensor.dtype == PL_F32 && t->tensor.rank == rank && t->offset % 64 == 0);
        assert_memory_equal(t->tensor.shape, shapes[rank - 1], rank * sizeof(size_t));
        if (rank < 3)
            assert_memory_equal(t->tensor.data, values, sizeof values);
    }
    pl_tensor_file_close(file);
    good(pl_npz_create(&w, path, &err), &err);
    assert_int_equal(pl_npz_begin(&w, "x", PL_Q8_0, shapes[0], 1, &err), PALI_MODEL);
    pl_npz_abandon(&w);
}

/* Pieces that JSON must escape, runs that are cut out, a dummy prefix: read back, the same pieces, types and order of merges. */
static void test_tokenizer(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        float score;
        pl_piece_type type;
    } pieces[] = {
        {"<unk>", 0, PL_PIECE_UNKNOWN}, {"<bos>", 0, PL_PIECE_CONTROL},       {"\n", 0, PL_PIECE_USER_DEFINED}, {"\xe2\x96\x81\xe2\x96\x81", 0, PL_PIECE_USER_DEFINED},
        {"a", -10, PL_PIECE_NORMAL},    {"\"", -11, PL_PIECE_NORMAL},         {"\\", -12, PL_PIECE_NORMAL},     {"\xc3\xa9", -13, PL_PIECE_NORMAL},
        {"a\"", -1, PL_PIECE_NORMAL},   {"a\"\\", -2, PL_PIECE_NORMAL},       {"\xc3\xa9" "a", -3, PL_PIECE_NORMAL}, {"\t", -14, PL_PIECE_NORMAL},
    };
    for (int prefix = 0; prefix < 2; prefix++) {
        pali_error err = {0};
        pl_vocabulary v, back;
        pl_output out = {0};
        pl_vocabulary_init(&v);
        for (size_t i = 0; i < LENGTH(pieces); i++)
            good(pl_vocabulary_push(&v, pieces[i].text, strlen(pieces[i].text), pieces[i].score, pieces[i].type, &err), &err);
        v.unk = 0;
        v.bos = 1;
        v.add_dummy_prefix = prefix;
        good(pl_vocabulary_finish(&v, &err), &err);
        good(pl_output_open(&out, path, &err), &err);
        good(pl_tokenizer_json_write(&v, v.count, &out, &err), &err);
        good(pl_output_commit(&out, &err), &err);
        good(pl_tokenizer_json_read(&back, path, &err), &err);
        assert_int_equal(back.count, v.count);
        assert_true(back.unk == 0 && back.bos == 1 && back.add_dummy_prefix == (prefix != 0) && !back.merges);
        for (size_t i = 0; i < v.count; i++) {
            size_t length;
            const char *text = pl_vocabulary_piece(&back, (int32_t)i, &length);
            assert_int_equal(length, strlen(pieces[i].text));
            assert_memory_equal(text, pieces[i].text, length);
            assert_int_equal(back.types[i], pieces[i].type);
        }
        assert_true(back.scores[8] > back.scores[9] && back.scores[9] > back.scores[10] && back.scores[10] > back.scores[4]);
        pl_vocabulary_free(&v);
        pl_vocabulary_free(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output), cmocka_unit_test(test_gguf),      cmocka_unit_test(test_foreign_tiles), cmocka_unit_test(test_wrong_tiles),
        cmocka_unit_test(test_npz),    cmocka_unit_test(test_tokenizer),
    };
    return cmocka_run_group_tests_name("writers", tests, make_path, remove_path);
}
