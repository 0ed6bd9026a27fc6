/*
 * Saved models answer as the model they were made of: the same tokens and the
 * very log-probabilities where types are kept, through every format and back;
 * weights come back byte for byte. What must be refused is, and leaves nothing.
 */
#include <dirent.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "formats/npz.h"
#include "formats/safetensors.h"
#include "formats/safetensors_write.h"
#include "model/save.h"
#include "model/tiny.h"

static char work[64];

static int begin(void **state)
{
    (void)state;
    snprintf(work, sizeof work, "/tmp/pali-save-XXXXXX");
    return mkdtemp(work) ? 0 : -1;
}

/* Removes what a test made; says how many files and folders there were. */
static size_t clear_folder(const char *path)
{
    size_t count = 0;
    DIR *entries = opendir(path);
    assert_non_null(entries);
    for (const struct dirent *e; (e = readdir(entries));) {
        char file[512];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        if (pl_is_folder(file)) {
            clear_folder(file);
            rmdir(file);
        } else {
            unlink(file);
        }
        count++;
    }
    closedir(entries);
    return count;
}

static int end(void **state)
{
    (void)state;
    clear_folder(work);
    return rmdir(work);
}

static char *in_work(const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", work, name);
    return path;
}

static const pl_save_options as_it_is = {.vision = PL_DTYPE_COUNT, .language = PL_DTYPE_COUNT, .embedding = PL_DTYPE_COUNT, .head = PL_DTYPE_COUNT};

static pali_status save(const char *from, const pl_load_options *load, const char *to, const pl_save_options *options, pali_error *err)
{
    pl_load_options outline = load ? *load : (pl_load_options){0};
    pl_save_report report;
    outline.outline = true;
    pl_paligemma *model = pl_paligemma_open(from, &outline, err);
    if (!model)
        return pl_status_of(err, PALI_MODEL);
    const pali_status status = pl_paligemma_save(model, to, options, &report, err);
    pl_paligemma_close(model);
    return status;
}

static pl_container container_of(const char *path)
{
    return strstr(path, ".gguf") ? PL_CONTAINER_GGUF : strstr(path, ".npz") ? PL_CONTAINER_NPZ : PL_CONTAINER_SAFETENSORS;
}

static void save_ok(const char *from, const pl_load_options *load, const char *to)
{
    pali_error err = {0};
    pl_save_options options = as_it_is;
    options.container = container_of(to);
    expect_ok(save(from, load, to, &options, &err), &err);
}

enum { TOKENS = 8 };

static void ask(tiny_model *tiny, const char *path, const pl_load_options *load)
{
    tiny_open(tiny, path, load, "ref", 2);
    tiny_images(tiny, "a");
    tiny_ask(tiny, "caption en", TOKENS);
}

/* Two models give the same tokens, with log-probabilities that differ by `allowed` at most. */
static void expect_same(const char *a, const pl_load_options *load_a, const char *b, const pl_load_options *load_b, float allowed)
{
    tiny_model one, two;
    ask(&one, a, load_a);
    ask(&two, b, load_b);
    assert_int_equal(one.timeline.tokens.count, two.timeline.tokens.count);
    assert_memory_equal(one.timeline.tokens.data, two.timeline.tokens.data, one.timeline.tokens.count * sizeof(int32_t));
    for (size_t i = 0; i < one.timeline.tokens.count; i++) {
        const float difference = one.timeline.logprobs[i] - two.timeline.logprobs[i];
        if (!(difference <= allowed && difference >= -allowed))
            fail_msg("%s and %s: token %zu: log-probabilities differ by %g", a, b, i, (double)difference);
    }
    tiny_close(&one);
    tiny_close(&two);
}

/* Every tensor of one file is in the other, with the same type, shape and bytes. */
static void expect_same_weights(pl_tensor_file *a, pl_tensor_file *b)
{
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(pl_tensor_file_count(a), pl_tensor_file_count(b));
    for (size_t i = 0; i < pl_tensor_file_count(a); i++) {
        const pl_named_tensor *one = pl_tensor_file_at(a, i), *two = pl_tensor_file_find(b, one->name);
        if (!two)
            fail_msg("%s is missing", one->name);
        assert_int_equal(one->tensor.dtype, two->tensor.dtype);
        assert_int_equal(one->tensor.rank, two->tensor.rank);
        assert_memory_equal(one->tensor.shape, two->tensor.shape, one->tensor.rank * sizeof(size_t));
        assert_int_equal(one->size, two->size);
        assert_memory_equal(one->tensor.data, two->tensor.data, one->size);
    }
    pl_tensor_file_close(a);
    pl_tensor_file_close(b);
}

/* From each source through each format, and from there back to a folder. */
static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *path, *tokenizer, *vision;
        bool exact; /* its configuration can be had from shapes alone, as in an npz */
    } sources[] = {
        {TINY "pg1", NULL, NULL, true},
        {TINY "pg2", NULL, NULL, false},
        {TINY "pg1-bf16-sharded", TINY "pg1", NULL, true},
        {TINY "pg1.npz", TINY "pg1", NULL, true},
        {TINY "pg1-text.gguf", NULL, TINY "pg1-mmproj.gguf", true},
        {TINY "pg1-q8_0.gguf", NULL, NULL, true},
    };
    static const char *const targets[] = {"a.gguf", "a.npz", "a"};
    for (size_t s = 0; s < sizeof sources / sizeof *sources; s++) {
        const pl_load_options load = {.tokenizer = sources[s].tokenizer, .vision = sources[s].vision, .preprocess = "hf"};
        for (size_t t = 0; t < 3; t++) {
            char to[128], back[128];
            const bool npz = strcmp(targets[t], "a.npz") == 0;
            const pl_load_options again = {.tokenizer = npz ? TINY "pg1" : NULL, .preprocess = "hf"};
            if (npz && !sources[s].exact)
                continue;
            save_ok(sources[s].path, &load, in_work(targets[t], to));
            /* norms that had 1 added lose a last bit where it is taken off again */
            const float allowed = strstr(sources[s].path, "-text") ? 1e-4f : 0;
            expect_same(sources[s].path, &load, to, &again, allowed);
            save_ok(to, &again, in_work("back", back));
            expect_same(to, &again, back, &(pl_load_options){.preprocess = "hf"}, 0);
            clear_folder(work);
        }
    }
}

/* Weights are the same after the way there and back; a model of one file is the same file. */
static void test_bytes(void **state)
{
    (void)state;
    static const char *const folders[] = {TINY "pg1", TINY "pg2", "models/nano", TINY "pg1-bf16-sharded"};
    static const char *const between[] = {"a.gguf", "a.npz", "a"};
    pali_error err = {0};
    for (size_t f = 0; f < 4; f++)
        for (size_t t = 0; t < 3; t++) {
            char to[128], back[128], file[192];
            const pl_load_options load = {.tokenizer = f == 2 ? NULL : TINY "pg1"}, named = {.tokenizer = f == 2 ? "models/nano" : TINY "pg1"};
            save_ok(folders[f], &load, in_work(between[t], to));
            save_ok(to, &named, in_work("back", back));
            expect_same_weights(pl_safetensors_open_folder(folders[f], &err), pl_safetensors_open_folder(back, &err));
            snprintf(file, sizeof file, "%s/model.safetensors", folders[f]);
            if (pl_is_file(file)) {
                pl_map one, two;
                expect_ok(pl_map_open(&one, file, PALI_MODEL, &err), &err);
                snprintf(file, sizeof file, "%s/model.safetensors", back);
                expect_ok(pl_map_open(&two, file, PALI_MODEL, &err), &err);
                assert_int_equal(one.size, two.size);
                assert_memory_equal(one.data, two.data, one.size);
                pl_map_close(&one);
                pl_map_close(&two);
            }
            clear_folder(work);
        }
    char back[128]; /* an npz too */
    save_ok(TINY "pg1.npz", &(pl_load_options){.tokenizer = TINY "pg1"}, in_work("back.npz", back));
    expect_same_weights(pl_npz_open(TINY "pg1.npz", &err), pl_npz_open(back, &err));
    clear_folder(work);
}

/* What is saved in a type is what opening with that type computes, in rows and in tiles. */
static void test_types(void **state)
{
    (void)state;
    static const struct {
        pl_dtype type;
        const char *name;
        pl_save_layout layout;
    } wishes[] = {
        {PL_BF16, "bf16", PL_LAYOUT_ROWS},   {PL_BF16, "bf16", PL_LAYOUT_TILES}, {PL_F16, "f16", PL_LAYOUT_ROWS},      {PL_Q8_0, "q8_0", PL_LAYOUT_ROWS},
        {PL_Q8_0, "q8_0", PL_LAYOUT_TILES}, {PL_Q4_0, "q4_0", PL_LAYOUT_ROWS},  {PL_Q4_0, "q4_0", PL_LAYOUT_TILES}, {PL_Q8_TILES, "q8", PL_LAYOUT_KEEP},
    };
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        char to[128], again[128];
        pali_error err = {0};
        pl_save_options options = {.container = PL_CONTAINER_GGUF, .vision = wishes[i].type, .language = wishes[i].type, .embedding = wishes[i].type, .head = wishes[i].type,
                                   .layout = wishes[i].layout};
        expect_ok(save(TINY "pg1", NULL, in_work("a.gguf", to), &options, &err), &err);
        /* sums over rows and tiles round differently; positions stay f32 in the file */
        expect_same(TINY "pg1", &(pl_load_options){.type = wishes[i].name}, to, NULL, wishes[i].type == PL_BF16 || wishes[i].type == PL_F16 ? 0.01f : 1e-4f);
        save_ok(to, NULL, in_work("b.gguf", again)); /* as it is: the same file */
        pl_map one, two;
        expect_ok(pl_map_open(&one, to, PALI_MODEL, &err), &err);
        expect_ok(pl_map_open(&two, again, PALI_MODEL, &err), &err);
        assert_int_equal(one.size, two.size);
        assert_memory_equal(one.data, two.data, one.size);
        pl_map_close(&one);
        pl_map_close(&two);
        clear_folder(work);
    }
}

/* An output matrix of its own type is a second one; big_vision has none. */
static void test_head(void **state)
{
    (void)state;
    char to[128], folder[128], npz[128];
    pali_error err = {0};
    pl_save_options options = as_it_is;
    options.container = PL_CONTAINER_GGUF;
    options.head = PL_Q8_TILES;
    expect_ok(save(TINY "pg1", NULL, in_work("a.gguf", to), &options, &err), &err);
    tiny_model tiny;
    tiny_open(&tiny, to, NULL, NULL, 1);
    assert_int_equal(tiny.model->gemma.head.weight.dtype, PL_Q8_TILES);
    assert_int_equal(tiny.model->gemma.embedding.dtype, PL_F32);
    tiny_close(&tiny);
    save_ok(to, NULL, in_work("folder", folder));
    expect_same(to, NULL, folder, NULL, 1e-4f);
    options = as_it_is;
    options.container = PL_CONTAINER_NPZ;
    assert_int_equal(save(to, NULL, in_work("b.npz", npz), &options, &err), PALI_USAGE);
    assert_non_null(strstr(err.message, "expected one tied to the embedding"));
    clear_folder(work);
}

/* Merged adapters answer as those that stand beside their weights, to rounding. */
static void test_merge(void **state)
{
    (void)state;
    static const char *const adapters[] = {TINY "lora/text-old", TINY "lora/all-new", TINY "lora/saved"};
    static const char *const targets[] = {"a.gguf", "a"};
    for (size_t i = 0; i < 3; i++)
        for (size_t t = 0; t < 2; t++) {
            char to[128];
            const pl_load_options load = {.lora = &adapters[i], .lora_count = 1};
            save_ok(TINY "pg1", &load, in_work(targets[t], to));
            expect_same(TINY "pg1", &load, to, NULL, 1e-3f);
            clear_folder(work);
        }
}

static bool stop_at_once(void *context)
{
    ++*(size_t *)context;
    return true;
}

static void refused(const char *to, const pl_save_options *options, pali_status status, const char *message)
{
    pali_error err = {0};
    assert_int_equal(save(TINY "pg1", NULL, to, options, &err), status);
    if (!strstr(err.message, message))
        fail_msg("found \"%s\", expected \"%s\"", err.message, message);
}

static void test_refused(void **state)
{
    (void)state;
    char to[128];
    for (size_t c = 0; c < 3; c++) {
        pl_save_options options = as_it_is;
        options.container = (pl_container)c;
        refused("/no/such/folder/a", &options, PALI_USAGE, "/no/such/folder/a: folder /no/such/folder/ is missing");
        size_t asked = 0;
        options.stop = stop_at_once;
        options.stop_context = &asked;
        refused(in_work("a", to), &options, PALI_CANCELLED, "interrupted");
        assert_int_equal(asked, 1);
        assert_int_equal(clear_folder(work), 0);
        options.stop = NULL;
        if (options.container == PL_CONTAINER_GGUF)
            continue;
        options.language = PL_Q8_0;
        refused(to, &options, PALI_USAGE, "type: found q8_0, expected f32, bf16 or f16 in this format");
        assert_int_equal(clear_folder(work), 0);
    }
    pl_save_options options = as_it_is;
    options.container = PL_CONTAINER_GGUF;
    options.layout = PL_LAYOUT_TILES;
    refused(in_work("a.gguf", to), &options, PALI_USAGE, "found layout tiles for type f32, expected rows, or --type bf16, q8_0, q4_0 or q8");
    options.layout = PL_LAYOUT_ROWS;
    options.vision = PL_Q8_TILES;
    refused(to, &options, PALI_USAGE, "found layout rows for type q8, expected tiles");
    assert_int_equal(clear_folder(work), 0);
}

/* What is there stays, unless it is to be replaced; an empty folder is a free name. */
static void test_existing(void **state)
{
    (void)state;
    char to[128], other[192];
    pali_error err = {0};
    for (size_t c = 0; c < 3; c++) {
        pl_save_options options = as_it_is;
        options.container = (pl_container)c;
        const bool folder = options.container == PL_CONTAINER_SAFETENSORS;
        in_work("a", to);
        if (folder)
            assert_int_equal(mkdir(to, 0777), 0);
        expect_ok(save(TINY "pg1", NULL, to, &options, &err), &err);
        refused(to, &options, PALI_USAGE, "(--force replaces it)");
        if (folder) { /* a stranger's file stays; stale weights do not */
            snprintf(other, sizeof other, "%s/notes.txt", to);
            expect_ok(pl_file_write(other, "x", 1, &err), &err);
            snprintf(other, sizeof other, "%s/model-00001-of-00002.safetensors", to);
            expect_ok(pl_file_write(other, "x", 1, &err), &err);
        }
        options.force = true;
        expect_ok(save(TINY "pg1", NULL, to, &options, &err), &err);
        if (folder) {
            assert_false(pl_is_file(other));
            snprintf(other, sizeof other, "%s/notes.txt", to);
            assert_true(pl_is_file(other));
            expect_same(TINY "pg1", NULL, to, NULL, 0);
        }
        options.container = folder ? PL_CONTAINER_GGUF : PL_CONTAINER_SAFETENSORS;
        refused(to, &options, PALI_USAGE, folder ? "found a folder, expected" : "found a file, expected");
        assert_int_equal(clear_folder(work), 1); /* no temporary file or folder */
    }
}

/* A disk that is full, or a limit on files: the write fails, and nothing stays. */
static void test_full(void **state)
{
    (void)state;
    struct rlimit limit, before;
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 50000;
    for (size_t c = 0; c < 3; c++) {
        char to[128];
        pl_save_options options = as_it_is;
        options.container = (pl_container)c;
        setrlimit(RLIMIT_FSIZE, &limit);
        refused(in_work("a", to), &options, PALI_FAILED, "cannot write: File too large");
        setrlimit(RLIMIT_FSIZE, &before);
        assert_int_equal(clear_folder(work), 0);
    }
}

enum { LARGE_MLP = 400000 };

/* The tiny model with an MLP that is wide, all zeros: its file is a hole of 300 MB. */
static void make_large(const char *folder)
{
    enum { MOST = 100 };
    char path[192], text[4096];
    pali_error err = {0};
    pl_saved_tensor tensors[MOST];
    const pl_saved_tensor *list[MOST];
    pl_buffer head = {0};
    pl_tensor_file *tiny = pl_safetensors_open(TINY "pg1/model.safetensors", &err);
    const size_t count = pl_tensor_file_count(tiny);
    assert_true(count <= MOST);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const pl_named_tensor *t = pl_tensor_file_at(tiny, i);
        tensors[i] = (pl_saved_tensor){.name = t->name, .dtype = t->tensor.dtype, .rank = t->tensor.rank};
        memcpy(tensors[i].shape, t->tensor.shape, sizeof tensors[i].shape);
        if (strstr(t->name, "language_model") && strstr(t->name, ".mlp."))
            tensors[i].shape[strstr(t->name, "down") != NULL] = LARGE_MLP;
        assert_true(pl_shape_bytes(tensors[i].dtype, tensors[i].shape, tensors[i].rank, &tensors[i].bytes));
        bytes += tensors[i].bytes;
        list[i] = &tensors[i];
    }
    expect_ok(pl_safetensors_head(list, count, NULL, 0, &head, &err), &err);
    pl_tensor_file_close(tiny);
    assert_int_equal(mkdir(folder, 0777), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    expect_ok(pl_file_write(path, head.data, head.length, &err), &err);
    assert_int_equal(truncate(path, (off_t)(head.length + bytes)), 0);
    free(head.data);
    size_t size;
    char *config = pl_file_read(TINY "pg1/config.json", sizeof text, &size, PALI_INPUT, &err);
    const char *at = strstr(config, "\"intermediate_size\": 96");
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s\"intermediate_size\": %d%s", (int)(at - config), config, LARGE_MLP, at + strlen("\"intermediate_size\": 96"));
    free(config);
    snprintf(path, sizeof path, "%s/config.json", folder);
    expect_ok(pl_file_write(path, text, strlen(text), &err), &err);
}

/* Memory does not grow with the model: what is mapped is given back, what is made is made in pieces. */
static void test_memory(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* a sanitizer keeps what is freed */
#endif
    char from[128], to[128];
    pali_error err = {0};
    struct rusage before, after;
    pl_save_options options = as_it_is;
    make_large(in_work("large", from));
    options.container = PL_CONTAINER_GGUF;
    options.language = PL_Q4_0;
    getrusage(RUSAGE_SELF, &before);
    expect_ok(save(from, &(pl_load_options){.tokenizer = TINY "pg1"}, in_work("a.gguf", to), &options, &err), &err);
    getrusage(RUSAGE_SELF, &after);
    const long grown = after.ru_maxrss - before.ru_maxrss;
    print_message("resident memory grew by %ld MB\n", grown >> 10);
    assert_true(grown < 100 << 10); /* KB; the model has 300 MB, its widest group of rows 25 */
    clear_folder(work);
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers), cmocka_unit_test(test_bytes),   cmocka_unit_test(test_types), cmocka_unit_test(test_head),
        cmocka_unit_test(test_merge),   cmocka_unit_test(test_refused), cmocka_unit_test(test_existing), cmocka_unit_test(test_full),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("save", tests, begin, end);
}
