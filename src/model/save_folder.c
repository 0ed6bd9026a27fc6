/*
 * A Hugging Face folder: weights in shards of at most 5 GB, configuration,
 * processor and tokenizer. It is made under another name and renamed when all
 * of it is on the disk: beside its place; or, where a folder stands already,
 * within it, as that may be a mount or the current one, which take no rename.
 */
#include "model/save_config.h"

#include "base/file.h"
#include "base/text.h"
#include "formats/safetensors_write.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t SHARD = 5000000000; /* bytes, as the hub's tools have it */
enum { LARGEST_FILE = 256 << 20 };        /* of those that are copied */

/* A weight with its name, in the order of the file. */
typedef struct entry {
    pl_saved_tensor tensor;
    const pl_item *item;
    size_t shard;
    char name[160];
} entry;

typedef struct folder {
    pl_saving *saving;
    const char *path;
    bool there;      /* a folder stands at the path */
    char *temporary; /* owned */
    entry *entries;  /* [saving->count] owned */
    size_t shards;
} folder;

static int by_place(const void *a, const void *b)
{
    return pl_safetensors_order(&((const entry *)a)->tensor, &((const entry *)b)->tensor);
}

/* Names, shapes as the hub has them, and which shard each goes to. */
static pali_status list_entries(folder *f, pali_error *err)
{
    const pl_config *config = &f->saving->model->config;
    f->entries = pl_new(f->saving->count, sizeof *f->entries, "list of weights", err);
    if (!f->entries)
        return PALI_MEMORY;
    for (size_t i = 0; i < f->saving->count; i++) {
        const pl_item *item = &f->saving->items[i];
        entry *e = &f->entries[i];
        pl_weight_hub_name(item->weight, config, item->layer, e->name);
        e->item = item;
        e->tensor = (pl_saved_tensor){.dtype = item->saved.dtype, .bytes = item->bytes, .rank = 2, .shape = {item->saved.shape[0], item->saved.shape[1]}};
        if (item->weight->columns == PL_DIM_NONE) {
            e->tensor.rank = 1;
            e->tensor.shape[0] = item->order.rows;
        } else if (item->weight->columns == PL_DIM_PATCH) {
            e->tensor.rank = 4;
            e->tensor.shape[1] = 3;
            e->tensor.shape[2] = e->tensor.shape[3] = config->vision.patch;
        }
    }
    for (size_t i = 0; i < f->saving->count; i++)
        f->entries[i].tensor.name = f->entries[i].name;
    qsort(f->entries, f->saving->count, sizeof *f->entries, by_place);
    uint64_t bytes = 0;
    for (size_t i = 0; i < f->saving->count; i++) {
        entry *e = &f->entries[i];
        e->tensor.name = e->name; /* moved by sorting */
        if (bytes && bytes + e->tensor.bytes > SHARD) {
            f->shards++;
            bytes = 0;
        }
        bytes += e->tensor.bytes;
        e->shard = f->shards;
    }
    f->shards++;
    return PALI_OK;
}

static const char *shard_name(const folder *f, size_t shard, char buf[64])
{
    if (f->shards == 1)
        snprintf(buf, 64, "model.safetensors");
    else
        snprintf(buf, 64, "model-%05zu-of-%05zu.safetensors", shard + 1, f->shards);
    return buf;
}

static pali_status write_data(folder *f, pl_output *out, const entry *entries, size_t count, pali_error *err)
{
    const pl_saved_tensor **tensors = pl_new(count, sizeof *tensors, "list of weights", err);
    pl_buffer head = {0};
    for (size_t i = 0; tensors && i < count; i++)
        tensors[i] = &entries[i].tensor;
    pali_status status = tensors ? pl_safetensors_head(tensors, count, NULL, 0, &head, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = pl_output_write(out, head.data, head.length, err);
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        status = pl_item_write(f->saving, entries[i].item, pl_output_sink, out, NULL, err);
    free(tensors);
    free(head.data);
    return status;
}

/* Opens a file of the folder that is being made. */
static pali_status open_file(const folder *f, const char *name, pl_output *out, pali_error *err)
{
    char *path = pl_path_join(f->temporary, name, err);
    const pali_status status = path ? pl_output_open(out, path, err) : PALI_MEMORY;
    free(path);
    return status;
}

static pali_status write_shards(folder *f, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t first = 0, last; status == PALI_OK && first < f->saving->count; first = last) {
        char name[64];
        pl_output out = {0};
        for (last = first; last < f->saving->count && f->entries[last].shard == f->entries[first].shard;)
            last++;
        status = open_file(f, shard_name(f, f->entries[first].shard, name), &out, err);
        if (status == PALI_OK)
            status = write_data(f, &out, &f->entries[first], last - first, err);
        if (status == PALI_OK)
            status = pl_output_commit(&out, err);
        pl_output_abandon(&out);
    }
    return status;
}

/* Writes a text that is new, and releases it; NULL is a failure that is recorded. */
static pali_status write_text(const folder *f, const char *name, char *text, pali_error *err)
{
    pl_output out = {0};
    pali_status status = text ? open_file(f, name, &out, err) : pl_status_of(err, PALI_MEMORY);
    if (status == PALI_OK)
        status = pl_output_write(&out, text, strlen(text), err);
    if (status == PALI_OK)
        status = pl_output_write(&out, "\n", 1, err);
    if (status == PALI_OK)
        status = pl_output_commit(&out, err);
    pl_output_abandon(&out);
    free(text);
    return status;
}

static pali_status write_index(const folder *f, pali_error *err)
{
    if (f->shards == 1)
        return PALI_OK;
    json_t *map = json_object();
    for (size_t i = 0; i < f->saving->count; i++) {
        char name[64];
        json_object_set_new(map, f->entries[i].name, json_string(shard_name(f, f->entries[i].shard, name)));
    }
    json_t *index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)f->saving->total, "weight_map", map);
    char *text = index ? json_dumps(index, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(index);
    if (!text)
        pl_fail_memory(err, "index of shards", 0);
    return write_text(f, "model.safetensors.index.json", text, err);
}

/* Copies a file of the source's folder, if it is there. */
static pali_status copy_file(const folder *f, const char *from, const char *name, bool *found, pali_error *err)
{
    char *path = pl_path_join(from, name, err), *bytes = NULL;
    size_t size = 0;
    pl_output out = {0};
    if (!path)
        return PALI_MEMORY;
    *found = pl_is_file(path);
    pali_status status = PALI_OK;
    if (*found) {
        bytes = pl_file_read(path, LARGEST_FILE, &size, PALI_MODEL, err);
        status = bytes ? open_file(f, name, &out, err) : pl_status_of(err, PALI_MODEL);
    }
    if (status == PALI_OK && bytes)
        status = pl_output_write(&out, bytes, size, err);
    if (status == PALI_OK && bytes)
        status = pl_output_commit(&out, err);
    pl_output_abandon(&out);
    free(bytes);
    free(path);
    return status;
}

/* Tokenizer and processor: the source's own files where it has them, else made of what was read. */
static pali_status write_others(const folder *f, pali_error *err)
{
    const pl_paligemma *model = f->saving->model;
    static const char *const copied[] = {"tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "generation_config.json",
                                         "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "processor_config.json", "chat_template.jinja"};
    bool found[sizeof copied / sizeof *copied] = {false};
    pali_status status = write_text(f, "config.json", pl_config_json(f->saving, err), err);
    for (size_t i = 0; i < sizeof copied / sizeof *copied && model->checkpoint->container == PL_CONTAINER_SAFETENSORS; i++)
        if (status == PALI_OK && !((f->saving->options->own_tokenizer || model->extended) && strstr(copied[i], "token")))
            status = copy_file(f, model->checkpoint->path, copied[i], &found[i], err);
    if (status == PALI_OK && !found[0])
        status = pl_save_tokenizer(model->tokenizer, f->temporary, err);
    if (status == PALI_OK && !found[1])
        status = write_text(f, copied[1], pl_tokenizer_config_json(model->tokenizer, err), err);
    if (status == PALI_OK && !found[2])
        status = write_text(f, copied[2], pl_preprocessor_json(&model->config, err), err);
    if (status == PALI_OK && !found[3])
        status = write_text(f, copied[3], pl_generation_json(model->tokenizer, err), err);
    return status;
}

/* The mask codec: the file that stands beside the weights, or one made of a GGUF's arrays. */
static pali_status write_codec(const folder *f, pali_error *err)
{
    const pl_codec_source *source = &f->saving->codec;
    char *path = source->file ? pl_path_join(f->temporary, PL_CODEC_FILE, err) : NULL, *bytes = NULL;
    size_t size = 0;
    if (!source->file)
        return PALI_OK;
    pali_status status = path ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK && !source->path)
        status = pl_codec_source_save(source, path, err);
    else if (status == PALI_OK && !(bytes = pl_file_read(source->path, LARGEST_FILE, &size, PALI_MODEL, err)))
        status = pl_status_of(err, PALI_MODEL);
    if (bytes)
        status = pl_file_write(path, bytes, size, err);
    free(bytes);
    free(path);
    return status;
}

/* Calls `use` with the path of every file of a folder of ours; the first failure ends it. */
static int each_file(const char *path, int (*use)(const char *file, const char *name, const char *other), const char *other)
{
    DIR *entries = opendir(path);
    int reason = entries ? 0 : errno;
    for (const struct dirent *e; reason == 0 && entries && (e = readdir(entries));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *file = pl_path_join(path, e->d_name, NULL);
        reason = file ? use(file, e->d_name, other) : ENOMEM;
        free(file);
    }
    if (entries)
        closedir(entries);
    return reason;
}

static int remove_file(const char *file, const char *name, const char *other)
{
    (void)name;
    (void)other;
    return unlink(file) == 0 ? 0 : errno;
}

/* Weights of an earlier model must not stay beside those of this one. */
static int remove_weights(const char *file, const char *name, const char *other)
{
    (void)other;
    const bool weights = pl_starts_with(name, "model") && (pl_ends_with(name, ".safetensors") || pl_ends_with(name, ".safetensors.index.json"));
    return !weights || unlink(file) == 0 ? 0 : errno;
}

static const char last[] = "config.json"; /* without it a folder is no model: no half of one is taken for it */

static int move_file(const char *file, const char *name, const char *other)
{
    char *to = pl_path_join(other, name, NULL);
    const int reason = !to ? ENOMEM : rename(file, to) == 0 ? 0 : errno;
    free(to);
    return reason;
}

static int move_unless_last(const char *file, const char *name, const char *other)
{
    return strcmp(name, last) == 0 ? 0 : move_file(file, name, other);
}

/* Gives the finished folder its name; one that is there gets our files in place of its weights. */
static pali_status install(const folder *f, pali_error *err)
{
    int reason = 0;
    pl_folder_sync(f->temporary);
    if (!f->there)
        reason = rename(f->temporary, f->path) == 0 ? 0 : errno;
    else
        reason = each_file(f->path, remove_weights, NULL);
    if (f->there && reason == 0)
        reason = each_file(f->temporary, move_unless_last, f->path);
    if (f->there && reason == 0)
        reason = each_file(f->temporary, move_file, f->path);
    if (f->there && reason == 0)
        rmdir(f->temporary);
    return reason ? pl_fail(err, PALI_FAILED, "%s: cannot write: %s", f->path, strerror(reason)) : PALI_OK;
}

static char *temporary_name(const folder *f, pali_error *err)
{
    size_t length = strlen(f->path);
    while (length > 1 && f->path[length - 1] == '/')
        length--;
    return pl_format(err, "%.*s%s.%ld.tmp", (int)length, f->path, f->there ? "/" : "", (long)getpid());
}

pali_status pl_save_folder(pl_saving *saving, const char *path, pali_error *err)
{
    folder f = {.saving = saving, .path = path, .there = pl_is_folder(path)};
    f.temporary = temporary_name(&f, err);
    pali_status status = f.temporary ? list_entries(&f, err) : PALI_MEMORY;
    bool made = false;
    if (status == PALI_OK) {
        made = mkdir(f.temporary, 0777) == 0;
        status = made ? PALI_OK : pl_fail(err, PALI_FAILED, "%s: cannot make the folder: %s", path, strerror(errno));
    }
    if (status == PALI_OK)
        status = write_shards(&f, err);
    if (status == PALI_OK)
        status = write_index(&f, err);
    if (status == PALI_OK)
        status = write_others(&f, err);
    if (status == PALI_OK)
        status = write_codec(&f, err);
    if (status == PALI_OK)
        status = install(&f, err);
    if (made && status != PALI_OK) {
        each_file(f.temporary, remove_file, NULL);
        rmdir(f.temporary);
    }
    free(f.entries);
    free(f.temporary);
    return status;
}
