/*
 * Snapshots: what is saved comes back to the bit; a full disk, damage, a second
 * run and a kill at any moment leave something whole to go on with.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/folder.h"
#include "formats/safetensors.h"
#include "train/snapshot.h"

#define TINY "tests/data/tiny/"

static char out[64];

static int begin(void **state)
{
    (void)state;
    snprintf(out, sizeof out, "/tmp/pali-snapshot-XXXXXX");
    return mkdtemp(out) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return pl_folder_remove(out);
}

static char *in_out(const char *name, char path[192])
{
    snprintf(path, 192, "%s/%s", out, name);
    return path;
}

static bool there(const char *name)
{
    char path[192];
    struct stat info;
    return lstat(in_out(name, path), &info) == 0;
}

static void expect_ok(pali_status status, const pali_error *err)
{
    if (status != PALI_OK)
        fail_msg("%s: %s", pali_status_text(status), err->message);
}

static void expect_message(const pali_error *err, const char *part)
{
    if (!strstr(err->message, part))
        fail_msg("\"%s\" has no \"%s\"", err->message, part);
}

/* Where a link leads. */
static const char *link_of(const char *name, char target[64])
{
    char path[192];
    const ssize_t length = readlink(in_out(name, path), target, 63);
    target[length > 0 ? length : 0] = '\0';
    return target;
}

/* A small state that is a function of the step. */
enum { VALUES = 300000 };
static float matrix[VALUES], vector[3];
static const pl_state_tensor tensors[] = {{"text.weight", matrix, 1000, VALUES / 1000}, {"text.weight.mean", vector, 3, 1}};

static void fill(uint64_t step)
{
    for (size_t i = 0; i < VALUES; i++)
        matrix[i] = (float)(step * 7 + i) / 3;
    vector[0] = -0.0f;
    vector[1] = (float)step;
    vector[2] = NAN;
}

static bool is_filled(uint64_t step)
{
    static float before[VALUES];
    memcpy(before, matrix, sizeof before);
    const float mark = vector[1];
    fill(step);
    return memcmp(before, matrix, sizeof before) == 0 && mark == vector[1];
}

static pali_status save(pl_run_folder *folder, uint64_t step, bool best, size_t keep, pl_snapshot_report *report, pali_error *err)
{
    json_t *const notes = json_pack("{s:I, s:f, s:s}", "row", (json_int_t)step * 10, "loss", 0.1, "recipe", "model: nano\n");
    fill(step);
    const pali_status status = pl_snapshot_save(folder, &(pl_snapshot){.step = step, .tensors = tensors, .count = 2, .notes = notes, .best = best, .keep = keep}, report, err);
    json_decref(notes);
    return status;
}

static void save_ok(pl_run_folder *folder, uint64_t step, bool best, size_t keep)
{
    pali_error err = {0};
    pl_snapshot_report report;
    expect_ok(save(folder, step, best, keep, &report, &err), &err);
    assert_true(report.bytes > sizeof matrix);
}

static void open_ok(pl_run_folder *folder)
{
    pali_error err = {0};
    expect_ok(pl_run_folder_open(folder, out, &err), &err);
}

static void clear(pl_run_folder *folder)
{
    pali_error err = {0};
    expect_ok(pl_run_folder_clear(folder, &err), &err);
    assert_false(there("last"));
    assert_false(there("best"));
    pl_run_folder_close(folder);
}

static void test_there_and_back(void **state)
{
    (void)state;
    pali_error err = {0};
    char target[64];
    pl_run_folder folder;
    pl_found_snapshot found;
    expect_ok(pl_snapshot_find("/no/such/folder", &found, &err), &err);
    assert_null(found.path);
    open_ok(&folder);
    expect_ok(pl_snapshot_find(out, &found, &err), &err);
    assert_null(found.path);
    save_ok(&folder, 9, true, 0);
    save_ok(&folder, 10, false, 0);
    assert_string_equal(link_of("last", target), "checkpoint-10");
    assert_string_equal(link_of("best", target), "checkpoint-9");
    expect_ok(pl_snapshot_find(out, &found, &err), &err);
    assert_int_equal(found.step, 10);
    assert_int_equal(found.refused, 0);
    assert_int_equal(json_integer_value(json_object_get(found.notes, "row")), 100);
    assert_true(json_real_value(json_object_get(found.notes, "loss")) == 0.1);
    fill(0);
    expect_ok(pl_snapshot_read(&found, tensors, 2, &err), &err);
    assert_true(signbit(vector[0]) && isnan(vector[2]));
    assert_true(is_filled(10));
    pl_found_snapshot_close(&found);
    char path[192];
    expect_ok(pl_snapshot_open(in_out("best", path), &found, &err), &err);
    assert_int_equal(found.step, 9);
    pl_found_snapshot_close(&found);
    clear(&folder);
}

static void test_which_stay(void **state)
{
    (void)state;
    pali_error err = {0};
    char target[64];
    pl_run_folder folder;
    open_ok(&folder);
    save_ok(&folder, 1, true, 2);
    for (uint64_t step = 2; step < 12; step++)
        save_ok(&folder, step, false, 2);
    pl_snapshot_entry *entries;
    size_t count;
    expect_ok(pl_snapshot_list(out, &entries, &count, &err), &err);
    assert_int_equal(count, 3);
    assert_true(entries[0].step == 1 && entries[0].best && !entries[0].last);
    assert_true(entries[1].step == 10 && !entries[1].best && !entries[1].last);
    assert_true(entries[2].step == 11 && !entries[2].best && entries[2].last);
    free(entries);
    save_ok(&folder, 4, true, 2); /* gone back: what came after is not of this run any more */
    assert_true(there("checkpoint-4") && !there("checkpoint-10") && !there("checkpoint-11") && there("checkpoint-1"));
    assert_string_equal(link_of("last", target), "checkpoint-4");
    assert_string_equal(link_of("best", target), "checkpoint-4");
    save_ok(&folder, 4, false, 2); /* the same again takes its place */
    assert_true(there("checkpoint-4") && !there("checkpoint-4.tmp") && !there("checkpoint-4.old.tmp"));
    clear(&folder);
}

static void flip(const char *name, long offset)
{
    char path[192];
    FILE *const file = fopen(in_out(name, path), "r+b");
    assert_non_null(file);
    fseek(file, offset, SEEK_SET);
    const int byte = fgetc(file);
    fseek(file, offset, SEEK_SET);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void test_damage(void **state)
{
    (void)state;
    static const struct {
        const char *file, *message;
        long offset; /* negative: cut off so many bytes */
    } damages[] = {
        {"checkpoint-3/state/tensors.safetensors", "checksum", 5000},
        {"checkpoint-3/state/tensors.safetensors", "checksum", 8},
        {"checkpoint-3/state/tensors.safetensors", "bytes, expected", -1},
        {"checkpoint-3/state/state.json", "damaged", 40},
        {"checkpoint-3/state/state.json", "damaged", -20},
    };
    pali_error err = {0};
    pl_run_folder folder;
    pl_found_snapshot found;
    open_ok(&folder);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        char path[192];
        save_ok(&folder, 2, false, 0);
        save_ok(&folder, 3, false, 0);
        if (damages[i].offset >= 0) {
            flip(damages[i].file, damages[i].offset);
        } else {
            struct stat info;
            assert_int_equal(stat(in_out(damages[i].file, path), &info), 0);
            assert_int_equal(truncate(path, info.st_size + damages[i].offset), 0);
        }
        expect_ok(pl_snapshot_find(out, &found, &err), &err);
        assert_int_equal(found.step, 2);
        assert_int_equal(found.refused, 1);
        if (!strstr(found.warning, damages[i].message) || !strstr(found.warning, "checkpoint-3"))
            fail_msg("%zu: %s", i, found.warning);
        pl_found_snapshot_close(&found);
    }
    char path[192];
    size_t size;
    save_ok(&folder, 3, false, 0);
    char *const notes = pl_file_read(in_out("checkpoint-3/state/state.json", path), 1 << 16, &size, PALI_INPUT, &err), *const row = strstr(notes, "\"row\": 30");
    assert_non_null(row);
    row[strlen("\"row\": 3")] = '1'; /* still JSON */
    expect_ok(pl_file_write(path, notes, size, &err), &err);
    free(notes);
    expect_ok(pl_snapshot_find(out, &found, &err), &err);
    assert_true(found.step == 2 && strstr(found.warning, "changed by hand"));
    pl_found_snapshot_close(&found);
    flip("checkpoint-2/state/tensors.safetensors", 100);
    assert_int_equal(pl_snapshot_find(out, &found, &err), PALI_MODEL);
    expect_message(&err, "found 2 checkpoints, none of which is whole");
    clear(&folder);
}

static void test_other_tensors(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_run_folder folder;
    pl_found_snapshot found;
    open_ok(&folder);
    save_ok(&folder, 1, false, 0);
    expect_ok(pl_snapshot_find(out, &found, &err), &err);
    const pl_state_tensor renamed[] = {tensors[0], {"text.bias.mean", vector, 3, 1}}, reshaped[] = {{"text.weight", matrix, VALUES / 1000, 1000}, tensors[1]};
    assert_int_equal(pl_snapshot_read(&found, renamed, 2, &err), PALI_MODEL);
    expect_message(&err, "tensor text.bias.mean is missing, expected one of shape [3]");
    assert_int_equal(pl_snapshot_read(&found, reshaped, 2, &err), PALI_MODEL);
    expect_message(&err, "tensor text.weight: found f32 of shape [1000, 300], expected f32 of shape [300, 1000]");
    assert_int_equal(pl_snapshot_read(&found, tensors, 1, &err), PALI_MODEL);
    expect_message(&err, "found a tensor text.weight.mean, expected none");
    pl_found_snapshot_close(&found);
    clear(&folder);
}

/* Files that may not grow stand for a full disk. */
static void test_full_disk(void **state)
{
    (void)state;
    pali_error err = {0};
    char target[64];
    struct rlimit before;
    pl_run_folder folder;
    pl_found_snapshot found;
    open_ok(&folder);
    save_ok(&folder, 5, true, 1);
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t room = 0; room < sizeof matrix; room += 300000) {
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){room, before.rlim_max});
        const pali_status status = save(&folder, 6, true, 1, NULL, &err);
        setrlimit(RLIMIT_FSIZE, &before);
        assert_int_equal(status, PALI_FAILED);
        expect_message(&err, "checkpoint of step 6 not saved: ");
        expect_message(&err, strerror(EFBIG));
        assert_false(there("checkpoint-6") || there("checkpoint-6.tmp"));
    }
    assert_string_equal(link_of("last", target), "checkpoint-5");
    assert_string_equal(link_of("best", target), "checkpoint-5");
    expect_ok(pl_snapshot_find(out, &found, &err), &err);
    assert_int_equal(found.step, 5);
    pl_found_snapshot_close(&found);
    save_ok(&folder, 6, false, 1);
    clear(&folder);
}

static void test_two_runs(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_run_folder one, two;
    open_ok(&one);
    assert_int_equal(pl_run_folder_open(&two, out, &err), PALI_FAILED);
    expect_message(&err, "another run is training in it");
    pl_run_folder_close(&one);
    open_ok(&two);
    pl_run_folder_close(&two);
    pl_run_folder_close(&two);
}

/* Only what has our names is cleared away. */
static void test_left_over(void **state)
{
    (void)state;
    pali_error err = {0};
    char path[192];
    expect_ok(pl_folder_make(in_out("checkpoint-7.tmp/state", path), &err), &err);
    expect_ok(pl_folder_make(in_out("checkpoint-3.tmp.99.tmp", path), &err), &err);
    expect_ok(pl_folder_make(in_out("other.tmp", path), &err), &err);
    expect_ok(pl_file_write(in_out("checkpoint-7.tmp/a", path), "x", 1, &err), &err);
    expect_ok(pl_file_write(in_out("notes.tmp", path), "x", 1, &err), &err);
    assert_int_equal(symlink("checkpoint-7", in_out("last.12.tmp", path)), 0);
    pl_run_folder folder;
    open_ok(&folder);
    assert_false(there("checkpoint-7.tmp") || there("last.12.tmp") || there("checkpoint-3.tmp.99.tmp"));
    assert_true(there("other.tmp") && there("notes.tmp"));
    pl_run_folder_close(&folder);
    assert_int_equal(pl_folder_remove(in_out("other.tmp", path)), 0);
    assert_int_equal(unlink(in_out("notes.tmp", path)), 0);
}

/* Saves until it is killed, and tells of each. */
static void save_on(bool same, int tell)
{
    pl_run_folder folder;
    pl_found_snapshot found;
    uint64_t step = 1;
    if (pl_run_folder_open(&folder, out, NULL) != PALI_OK || pl_snapshot_find(out, &found, NULL) != PALI_OK)
        _exit(1);
    if (found.path) /* one that is there is exchanged */
        step = found.step + !same;
    for (;; step++)
        if (save(&folder, step, step % 3 == 0, 2, NULL, NULL) != PALI_OK || write(tell, "x", 1) != 1)
            _exit(2);
}

static void test_kill(void **state)
{
    (void)state;
    pali_error err = {0};
    uint64_t before = 0;
    unsigned random = 1;
    for (int turn = 0; turn < 20; turn++) {
        int told[2];
        char byte;
        assert_int_equal(pipe(told), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            save_on(turn % 3 == 0, told[1]);
        random = random * 1664525 + 1013904223;
        if (turn % 4) /* else within its first */
            assert_int_equal(read(told[0], &byte, 1), 1);
        usleep(random >> 8 & 0xffff);
        assert_int_equal(kill(child, SIGKILL), 0);
        close(told[0]);
        close(told[1]);
        int ended;
        assert_int_equal(waitpid(child, &ended, 0), child);
        assert_true(WIFSIGNALED(ended));
        char path[192];
        pl_found_snapshot found;
        expect_ok(pl_snapshot_find(out, &found, &err), &err);
        assert_int_equal(found.refused, 0);
        assert_true(found.step >= before);
        before = found.step;
        if (!found.path)
            continue;
        expect_ok(pl_snapshot_read(&found, tensors, 2, &err), &err);
        assert_true(is_filled(found.step));
        pl_found_snapshot_close(&found);
        if (!there("last"))
            continue;
        expect_ok(pl_snapshot_open(in_out("last", path), &found, &err), &err);
        assert_true(found.step + 1 >= before);
        pl_found_snapshot_close(&found);
    }
    assert_true(before > 5);
    pl_run_folder folder;
    open_ok(&folder);
    clear(&folder);
}

/* A weight that was trained: f32 values of its own in the model. */
static float *train(pl_paligemma *model, const char *name, size_t layer, const pl_weight **weight)
{
    char buf[160];
    pali_error err = {0};
    *weight = NULL;
    for (size_t w = 0; w < pl_weight_count; w++)
        if (strcmp(pl_weight_name(&pl_weights[w], &model->config, layer, buf), name) == 0)
            *weight = &pl_weights[w];
    assert_non_null(*weight);
    const size_t rows = pl_dim_size(&model->config, (*weight)->rows), columns = (*weight)->columns == PL_DIM_NONE ? 1 : pl_dim_size(&model->config, (*weight)->columns);
    float *const values = pl_paligemma_block(model, rows * columns * sizeof *values, name, &err);
    assert_non_null(values);
    for (size_t i = 0; i < rows * columns; i++)
        values[i] = (float)((int)(i % 17) - 8) / 8 + 1e-6f; /* does not fit bf16 */
    pl_paligemma_point(model, *weight, layer, &(pl_tensor){.dtype = PL_F32, .rank = 2, .shape = {rows, columns}, .data = values});
    return values;
}

/* The whole model of bf16 files: what was trained in f32 is rounded to that, the rest is as it was, and last opens. */
static void test_full_model(void **state)
{
    (void)state;
    pali_error err = {0};
    char path[192];
    const pl_weight *weight;
    pl_run_folder folder;
    pl_paligemma *model = pl_paligemma_open(TINY "pg1-bf16-sharded", &(pl_load_options){.tokenizer = TINY "pg1"}, &err);
    expect_ok(model ? PALI_OK : err.status, &err);
    train(model, "text.layers.1.self_attn.q_proj.weight", 1, &weight);
    train(model, "text.layers.0.input_layernorm.weight", 0, &weight);
    open_ok(&folder);
    const pl_save_options options = {.vision = PL_DTYPE_COUNT, .language = PL_DTYPE_COUNT, .embedding = PL_DTYPE_COUNT, .head = PL_DTYPE_COUNT, .as_source = true};
    expect_ok(pl_snapshot_save(&folder, &(pl_snapshot){.step = 20, .model = model, .full = &options, .tensors = tensors, .count = 2}, NULL, &err), &err);
    pl_paligemma_close(model);
    pl_tensor_file *const file = pl_safetensors_open_folder(in_out("last", path), &err), *const source = pl_safetensors_open_folder(TINY "pg1-bf16-sharded", &err);
    assert_true(file && source);
    size_t changed = 0;
    for (size_t i = 0; i < pl_tensor_file_count(file); i++) {
        const pl_named_tensor *const tensor = pl_tensor_file_at(file, i), *const before = pl_tensor_file_find(source, tensor->name);
        assert_non_null(before);
        assert_int_equal(tensor->tensor.dtype, PL_BF16);
        changed += memcmp(tensor->tensor.data, before->tensor.data, tensor->size) != 0;
    }
    assert_int_equal(changed, 2);
    pl_tensor_file_close(file);
    pl_tensor_file_close(source);
    model = pl_paligemma_open(path, &(pl_load_options){0}, &err);
    expect_ok(model ? PALI_OK : err.status, &err);
    assert_true(model->gemma.layers[0].attention_norm[0] == -1.0f);
    pl_paligemma_close(model);
    clear(&folder);
}

/* An adapter: last opens as the base with it. */
static void test_adapter(void **state)
{
    (void)state;
    pali_error err = {0};
    char path[192];
    pl_run_folder folder;
    const char *const adapter = TINY "lora/text-old";
    pl_paligemma *model = pl_paligemma_open(TINY "pg1", &(pl_load_options){.lora = &adapter, .lora_count = 1}, &err);
    expect_ok(model ? PALI_OK : err.status, &err);
    open_ok(&folder);
    expect_ok(pl_snapshot_save(&folder, &(pl_snapshot){.step = 20, .model = model, .adapter = &(pl_adapter_save_options){0}, .tensors = tensors, .count = 2}, NULL, &err), &err);
    pl_paligemma *const again = pl_paligemma_open(in_out("last", path), &(pl_load_options){0}, &err);
    expect_ok(again ? PALI_OK : err.status, &err);
    const pl_low_rank *const one = model->gemma.layers[1].down.adapters, *const two = again->gemma.layers[1].down.adapters;
    assert_memory_equal(one->b, two->b, one->rank * model->config.text.width * sizeof(float));
    assert_true(one->scale == two->scale);
    pl_paligemma_close(again);
    pl_paligemma_close(model);
    clear(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_which_stay), cmocka_unit_test(test_damage),     cmocka_unit_test(test_other_tensors),
        cmocka_unit_test(test_full_disk),      cmocka_unit_test(test_two_runs),   cmocka_unit_test(test_left_over),  cmocka_unit_test(test_kill),
        cmocka_unit_test(test_full_model),     cmocka_unit_test(test_adapter),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
