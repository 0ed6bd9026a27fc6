/* The directory of named tensors that all containers are read into. */
#include "formats/tensor_file.h"

#include "base/text.h"
#include "formats/tensor_build.h"

#include <stdio.h>
#include <stdlib.h>

pl_tensor_file *pl_tensor_file_new(pali_error *err)
{
    return pl_new(1, sizeof(pl_tensor_file), "tensor directory", err);
}

void pl_tensor_file_close(pl_tensor_file *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->source_count; i++) {
        pl_map_close(&file->sources[i].map);
        free(file->sources[i].path);
    }
    for (size_t i = 0; i < file->block_count; i++)
        free(file->blocks[i]);
    free(file->sources);
    free(file->tensors);
    free(file->by_name);
    free(file->blocks);
    free(file);
}

/* What a clone leaves in place of a large file that was not fetched. */
static bool is_lfs_pointer(const pl_tensor_source *source)
{
    static const char mark[] = "version https://git-lfs";
    return source->size > sizeof mark && memcmp(source->data, mark, sizeof mark - 1) == 0;
}

/* Takes over map and path, also on failure. */
static const pl_tensor_source *add_source(pl_tensor_file *file, pl_tensor_source source, pali_error *err)
{
    pali_status status = source.path ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK && is_lfs_pointer(&source))
        status = pl_fail(err, PALI_MODEL, "%s: found a Git LFS pointer, expected the file itself (git lfs pull fetches it)", source.path);
    if (status == PALI_OK)
        status = pl_grow(&file->sources, &file->source_capacity, file->source_count + 1, sizeof source, "list of files", err);
    if (status != PALI_OK) {
        pl_map_close(&source.map);
        free(source.path);
        return NULL;
    }
    file->sources[file->source_count] = source;
    return &file->sources[file->source_count++];
}

const pl_tensor_source *pl_tensor_file_add_path(pl_tensor_file *file, const char *path, pali_error *err)
{
    pl_map map;
    if (pl_map_open(&map, path, PALI_MODEL, err) != PALI_OK)
        return NULL;
    return add_source(file, (pl_tensor_source){.data = map.data, .size = map.size, .path = pl_strdup(path, err), .map = map}, err);
}

const pl_tensor_source *pl_tensor_file_add_memory(pl_tensor_file *file, const void *bytes, size_t size, const char *name, pali_error *err)
{
    return add_source(file, (pl_tensor_source){.data = bytes, .size = size, .path = pl_strdup(name, err)}, err);
}

void *pl_tensor_file_keep(pl_tensor_file *file, void *block, pali_error *err)
{
    if (!block)
        return NULL;
    if (pl_grow(&file->blocks, &file->block_capacity, file->block_count + 1, sizeof(void *), "tensor directory", err) != PALI_OK) {
        free(block);
        return NULL;
    }
    file->blocks[file->block_count++] = block;
    return block;
}

bool pl_name_is_text(const char *name, size_t length)
{
    bool valid = memchr(name, 0, length) == NULL;
    for (size_t i = 0; valid && i < length;) {
        uint32_t code;
        i += pl_utf8_read(name + i, length - i, &code, &valid);
    }
    return valid;
}

/* "file: tensor 'name'" of an entry, for messages; returns buf. */
static const char *label(const pl_tensor_file *file, const pl_tensor_entry *entry, char buf[400])
{
    char name[80];
    snprintf(buf, 400, "%s: tensor %s", file->sources[entry->source].path, pl_printable(entry->name, entry->name_length, name));
    return buf;
}

/* Why this reader cannot use the entry, kept by the file; *failed tells of memory. */
static const char *find_problem(pl_tensor_file *file, const pl_tensor_entry *entry, bool *failed, pali_error *err)
{
    char *problem = NULL;
    if (entry->problem)
        problem = pl_strdup(entry->problem, err);
    else if (entry->rank > PL_MAX_RANK)
        problem = pl_format(err, "found %zu axes, expected at most %d", entry->rank, PL_MAX_RANK);
    else if (entry->dtype == PL_DTYPE_COUNT)
        problem = pl_format(err, "element type %.20s is not supported", entry->type);
    else
        return NULL;
    problem = pl_tensor_file_keep(file, problem, err);
    *failed = problem == NULL;
    return problem;
}

pali_status pl_tensor_file_add(pl_tensor_file *file, const pl_tensor_entry *entry, pali_error *err)
{
    char where[400], shape[96];
    if (!pl_name_is_text(entry->name, entry->name_length))
        return pl_fail(err, PALI_MODEL, "%s: a tensor's name is not UTF-8 text or holds NUL", file->sources[entry->source].path);
    size_t bytes = 0;
    const bool known = entry->dtype != PL_DTYPE_COUNT;
    if (known && !pl_shape_bytes(entry->dtype, entry->shape, entry->rank, &bytes))
        return pl_fail(err, PALI_MODEL, "%s: shape %s of %s is not a whole number of blocks, or too large", label(file, entry, where),
            pl_shape_text(entry->shape, entry->rank, shape), entry->type);
    if (known && !entry->inflated && bytes != entry->size)
        return pl_fail(err, PALI_MODEL, "%s: found %zu bytes, expected %zu for shape %s of %s", label(file, entry, where), entry->size, bytes,
            pl_shape_text(entry->shape, entry->rank, shape), entry->type);
    if (pl_grow(&file->tensors, &file->capacity, file->count + 1, sizeof *file->tensors, "tensor directory", err) != PALI_OK)
        return PALI_MEMORY;

    const char *name = pl_tensor_file_keep(file, pl_strndup(entry->name, entry->name_length, err), err);
    const char *type = name ? pl_tensor_file_keep(file, pl_strndup(entry->type, strnlen(entry->type, 20), err), err) : NULL;
    bool failed = type == NULL;
    const char *problem = failed ? NULL : find_problem(file, entry, &failed, err);
    if (failed)
        return PALI_MEMORY;
    pl_named_tensor *added = &file->tensors[file->count++];
    *added = (pl_named_tensor){.name = name, .type = type, .problem = problem, .offset = entry->offset, .size = entry->size,
        .file_index = entry->source, .copied = entry->inflated != NULL, .tensor.dtype = known ? entry->dtype : PL_U8};
    if (entry->rank <= PL_MAX_RANK) {
        added->tensor.rank = entry->rank;
        for (size_t i = 0; i < entry->rank; i++)
            added->tensor.shape[i] = entry->shape[i];
    }
    if (problem)
        return PALI_OK;
    added->tensor.data = entry->inflated ? entry->inflated : file->sources[entry->source].data + entry->offset;
    if (entry->inflated)
        file->bytes_copied += bytes;
    return PALI_OK;
}

static int compare_names(const void *a, const void *b)
{
    const pl_named_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int compare_places(const void *a, const void *b)
{
    const pl_named_tensor *x = *(const pl_named_tensor *const *)a, *y = *(const pl_named_tensor *const *)b;
    if (x->file_index != y->file_index)
        return x->file_index < y->file_index ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

/* Two tensors that share bytes are a damaged or hostile file. `list` is sorted here. */
static pali_status refuse_overlaps(const pl_tensor_file *file, const pl_named_tensor **list, pali_error *err)
{
    char first[80], second[80];
    qsort(list, file->count, sizeof *list, compare_places);
    const pl_named_tensor *a = NULL; /* the last one that holds bytes */
    for (size_t i = 0; i < file->count; i++) {
        const pl_named_tensor *b = list[i];
        if (b->size == 0)
            continue;
        if (a && a->file_index == b->file_index && b->offset - a->offset < a->size)
            return pl_fail(err, PALI_MODEL, "%s: tensors %s and %s overlap at byte %zu", b->file, pl_printable(a->name, strlen(a->name), first),
                pl_printable(b->name, strlen(b->name), second), b->offset);
        a = b;
    }
    return PALI_OK;
}

static pali_status refuse_duplicates(const pl_tensor_file *file, const pl_named_tensor **list, pali_error *err)
{
    char name[80];
    qsort(list, file->count, sizeof *list, compare_names);
    for (size_t i = 1; i < file->count; i++) {
        const pl_named_tensor *a = list[i - 1], *b = list[i];
        if (strcmp(a->name, b->name) != 0)
            continue;
        pl_printable(b->name, strlen(b->name), name);
        if (a->file_index == b->file_index)
            return pl_fail(err, PALI_MODEL, "%s: tensor %s stands twice, expected once", b->file, name);
        return pl_fail(err, PALI_MODEL, "%s: tensor %s stands also in %s, expected once", b->file, name, a->file);
    }
    return PALI_OK;
}

/* Moves what is not aligned to its element into blocks of the heap. */
static pali_status align_data(pl_tensor_file *file, pali_error *err)
{
    for (size_t i = 0; i < file->count; i++) {
        pl_named_tensor *t = &file->tensors[i];
        if (t->problem || t->size == 0 || pl_tensor_aligned(&t->tensor))
            continue;
        void *copy = pl_tensor_file_keep(file, pl_new_aligned(t->size, t->name, err), err);
        if (!copy)
            return PALI_MEMORY;
        memcpy(copy, t->tensor.data, t->size);
        t->tensor.data = copy;
        t->copied = true;
        file->bytes_copied += t->size;
    }
    return PALI_OK;
}

pali_status pl_tensor_file_finish(pl_tensor_file *file, bool align, pali_error *err)
{
    file->by_name = pl_new(file->count, sizeof *file->by_name, "tensor directory", err);
    if (!file->by_name)
        return PALI_MEMORY;
    for (size_t i = 0; i < file->count; i++) {
        file->tensors[i].file = file->sources[file->tensors[i].file_index].path;
        file->by_name[i] = &file->tensors[i];
    }
    pali_status status = refuse_overlaps(file, file->by_name, err);
    if (status == PALI_OK)
        status = refuse_duplicates(file, file->by_name, err);
    if (status == PALI_OK && align)
        status = align_data(file, err);
    return status;
}

size_t pl_tensor_file_count(const pl_tensor_file *file)
{
    return file->count;
}

const pl_named_tensor *pl_tensor_file_at(const pl_tensor_file *file, size_t i)
{
    return &file->tensors[i];
}

const pl_named_tensor *pl_tensor_file_find(const pl_tensor_file *file, const char *name)
{
    const pl_named_tensor key = {.name = name}, *pointer = &key;
    const pl_named_tensor *const *found =
        file->count ? bsearch(&pointer, file->by_name, file->count, sizeof *file->by_name, compare_names) : NULL;
    return found ? *found : NULL;
}

const pl_tensor *pl_tensor_file_use(const pl_tensor_file *file, const char *name, pali_error *err)
{
    char printable[80];
    const pl_named_tensor *found = pl_tensor_file_find(file, name);
    if (found && !found->problem)
        return &found->tensor;
    pl_printable(name, strlen(name), printable);
    if (found)
        pl_fail(err, PALI_MODEL, "%s: tensor %s: %s", found->file, printable, found->problem);
    else if (file->source_count > 1)
        pl_fail(err, PALI_MODEL, "%s and %zu more: tensor %s is missing", file->sources[0].path, file->source_count - 1, printable);
    else
        pl_fail(err, PALI_MODEL, "%s: tensor %s is missing", file->sources[0].path, printable);
    return NULL;
}

size_t pl_tensor_file_paths(const pl_tensor_file *file)
{
    return file->source_count;
}

const char *pl_tensor_file_path(const pl_tensor_file *file, size_t i)
{
    return file->sources[i].path;
}

size_t pl_tensor_file_bytes_mapped(const pl_tensor_file *file)
{
    size_t bytes = 0;
    for (size_t i = 0; i < file->source_count; i++)
        bytes += file->sources[i].map.size;
    return bytes;
}

size_t pl_tensor_file_bytes_copied(const pl_tensor_file *file)
{
    return file->bytes_copied;
}

void pl_tensor_file_will_need(const pl_tensor_file *file, const pl_named_tensor *tensor)
{
    if (!tensor->copied)
        pl_map_will_need(&file->sources[tensor->file_index].map, tensor->offset, tensor->size);
}

void pl_tensor_file_drop(const pl_tensor_file *file, const pl_named_tensor *tensor)
{
    if (!tensor->copied)
        pl_map_drop(&file->sources[tensor->file_index].map, tensor->offset, tensor->size);
}
