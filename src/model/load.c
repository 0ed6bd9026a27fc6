/*
 * Opening a model: checkpoint, weights into their places, tokenizer, adapters,
 * and the ids that are never an answer.
 */
#include "model/paligemma.h"

#include "base/file.h"
#include "base/machine.h"
#include "base/text.h"
#include "model/recast.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *pl_paligemma_block(pl_paligemma *model, size_t bytes, const char *what, pali_error *err)
{
    if (pl_grow(&model->blocks, &model->block_capacity, model->block_count + 1, sizeof *model->blocks, what, err) != PALI_OK)
        return NULL;
    static unsigned char planned[64];
    void *block = model->planning ? planned : pl_new_aligned(bytes, what, err);
    if (block) {
        model->blocks[model->block_count++] = model->planning ? NULL : block;
        model->copied_bytes += bytes;
        model->copied_peak = model->copied_bytes > model->copied_peak ? model->copied_bytes : model->copied_peak;
    }
    return block;
}

/* The block's index, or block_count. A model without a checkpoint has all its weights in one block. */
static size_t find_block(const pl_paligemma *model, const void *data)
{
    size_t i = model->checkpoint ? 0 : model->block_count;
    while (i < model->block_count && model->blocks[i] != data)
        i++;
    return i;
}

bool pl_paligemma_owns(const pl_paligemma *model, const void *data)
{
    return find_block(model, data) < model->block_count;
}

void pl_paligemma_drop(pl_paligemma *model, const void *data, size_t bytes)
{
    const size_t i = find_block(model, data);
    if (i == model->block_count)
        return;
    free(model->blocks[i]);
    model->blocks[i] = model->blocks[--model->block_count];
    model->copied_bytes -= pl_min(bytes, model->copied_bytes);
}

/* The type that a wish for one leads to: blocks are tiled where the processor multiplies their codes. */
static pali_status parse_type(const char *text, const pl_kernels *kernels, pl_dtype *type, pali_error *err)
{
    kernels = kernels ? kernels : pl_kernels_get(NULL, err);
    if (!kernels)
        return pl_status_of(err, PALI_FAILED);
    const pali_status status = pl_type_parse(text, "type", type, err);
    if (kernels->few_i8[PL_Q8_0_TILES] && *type == PL_Q8_0)
        *type = PL_Q8_0_TILES;
    if (kernels->few_i8[PL_Q4_0_TILES] && *type == PL_Q4_0)
        *type = PL_Q4_0_TILES;
    return status;
}

/* Weights are turned or converted while they are placed, not used where they lie. */
static bool copies_weights(const pl_paligemma *model, const pl_load_options *options)
{
    return options->type || model->checkpoint->container == PL_CONTAINER_NPZ;
}

/* Puts one weight in its place and counts it. */
static pali_status place(pl_paligemma *model, const pl_weight *weight, size_t layer, const pl_source *source, const pl_load_options *options, pl_dtype type, pali_error *err)
{
    const pl_tensor tensor = pl_source_tensor(source, weight);
    size_t bytes = 0;
    const uint64_t copied = model->copied_bytes;
    pl_tensor_bytes(&tensor, &bytes);
    model->parameters += source->rows * source->columns;
    model->weight_bytes += bytes;
    if (options->outline) {
        pl_paligemma_point(model, weight, layer, &tensor);
        return PALI_OK;
    }
    const pali_status status = pl_paligemma_place(model, weight, layer, source, type, options->pool, err);
    if (model->copied_bytes == copied && !source->named->copied)
        model->mapped_bytes += bytes;
    if (options->progress && !model->planning && copies_weights(model, options))
        options->progress(options->progress_context, pl_min(model->weight_bytes, model->total_bytes), model->total_bytes);
    return status;
}

/* An output matrix of its own, where the checkpoint asks for one. */
static pali_status place_head(pl_paligemma *model, const pl_load_options *options, pl_dtype type, pali_error *err)
{
    model->gemma.head = (pl_linear){.weight = model->gemma.embedding};
    pl_entry *entry = pl_checkpoint_entry(model->checkpoint, "head.weight");
    if (entry)
        entry->known = true;
    if (!model->config.untied_head)
        return PALI_OK;
    if (!entry)
        return pl_fail(err, PALI_MODEL, "%s: tensor lm_head.weight is missing, expected as tie_word_embeddings is false", model->checkpoint->path);
    pl_source source;
    const pali_status status = pl_checkpoint_source_of(model->checkpoint, entry, &pl_head_weight, 0, &source, err);
    return status == PALI_OK ? place(model, &pl_head_weight, 0, &source, options, type, err) : status;
}

static pali_status place_weights(pl_paligemma *model, const pl_load_options *options, pl_dtype type, pali_error *err)
{
    for (size_t i = 0; i < model->checkpoint->entry_count; i++)
        model->total_bytes += model->checkpoint->entries[i].tensor->size;
    for (size_t w = 0; w < pl_weight_count; w++) {
        const pl_weight *weight = &pl_weights[w];
        if (!pl_weight_present(&model->config, weight))
            continue;
        for (size_t layer = 0; layer < pl_part_layers(&model->config, weight->part); layer++) {
            pl_source source;
            pali_status status = pl_checkpoint_source(model->checkpoint, weight, layer, &source, err);
            if (status == PALI_OK)
                status = place(model, weight, layer, &source, options, type, err);
            if (status != PALI_OK)
                return status;
        }
    }
    return place_head(model, options, type, err);
}

/* Places the weights without copying any, for options->check. */
static pali_status plan_weights(pl_paligemma *model, const pl_load_options *options, pl_dtype type, pali_error *err)
{
    if (!options->check)
        return PALI_OK;
    model->planning = true;
    pali_status status = place_weights(model, options, type, err);
    if (status == PALI_OK)
        status = options->check(options->check_context, model, err);
    model->planning = false;
    model->block_count = 0;
    model->parameters = model->weight_bytes = model->total_bytes = model->mapped_bytes = model->copied_bytes = model->copied_peak = 0;
    return status;
}

/* The tokenizer that a GGUF carries. */
static pl_tokenizer *tokenizer_of_gguf(const pl_tensor_file *file, pali_error *err)
{
    pl_gguf_string *pieces = NULL;
    float *scores = NULL;
    int32_t *types = NULL;
    size_t count = 0, score_count = 0, type_count = 0;
    const char **texts = NULL;
    size_t *lengths = NULL;
    pl_tokenizer *tokenizer = NULL;
    const char *path = pl_tensor_file_path(file, 0);
    uint64_t ids[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    static const char *const id_keys[4] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.padding_token_id", "tokenizer.ggml.unknown_token_id"};
    bool space_prefix = true;

    pali_status status = pl_gguf_get_strings(file, "tokenizer.ggml.tokens", &pieces, &count, err);
    if (status == PALI_OK)
        status = pl_gguf_get_f32s(file, "tokenizer.ggml.scores", &scores, &score_count, err);
    if (status == PALI_OK)
        status = pl_gguf_get_i32s(file, "tokenizer.ggml.token_type", &types, &type_count, err);
    for (size_t i = 0; status == PALI_OK && i < 4; i++)
        status = pl_gguf_get_u64(file, id_keys[i], &ids[i], err);
    if (status == PALI_OK)
        status = pl_gguf_get_bool(file, "tokenizer.ggml.add_space_prefix", &space_prefix, err);
    if (status == PALI_OK && (count == 0 || score_count != count || type_count != count))
        status = pl_fail(err, PALI_MODEL, "%s: tokenizer: found %zu tokens, %zu scores and %zu types, expected as many of each", path, count, score_count, type_count);
    if (status == PALI_OK && (texts = pl_new(count, sizeof *texts, "tokenizer", err)) && (lengths = pl_new(count, sizeof *lengths, "tokenizer", err))) {
        for (size_t i = 0; i < count; i++) {
            texts[i] = pieces[i].text;
            lengths[i] = pieces[i].length;
        }
        int32_t special[4];
        for (size_t i = 0; i < 4; i++)
            special[i] = ids[i] < count ? (int32_t)ids[i] : -1;
        const pl_vocabulary_arrays arrays = {.count = count, .pieces = texts, .lengths = lengths, .scores = scores, .types = types, .bos = special[0], .eos = special[1],
                                             .pad = special[2], .unk = special[3], .add_dummy_prefix = space_prefix};
        pl_vocabulary vocabulary;
        if (pl_vocabulary_from_arrays(&vocabulary, &arrays, path, err) == PALI_OK)
            tokenizer = pl_tokenizer_new(&vocabulary, err);
    }
    free(lengths);
    free(texts);
    free(types);
    free(scores);
    free(pieces);
    return tokenizer;
}

/* The folder a file stands in, or the folder itself; new. */
static char *folder_of(const char *path, pali_error *err)
{
    if (pl_is_folder(path))
        return pl_strdup(path, err);
    const char *slash = strrchr(path, '/');
    return slash ? pl_strndup(path, pl_max((size_t)(slash - path), 1), err) : pl_strdup(".", err);
}

/* Location pieces that the files lack are added (a plain Gemma tokenizer), unless the embedding has no rows for them. */
static pl_tokenizer *tokenizer_of_files(const char *path, size_t rows, pali_error *err)
{
    pl_tokenizer *tokenizer = pl_tokenizer_open(path, true, err);
    if (!tokenizer || pl_tokenizer_count(tokenizer) <= rows + 1) /* <image>, the last, may do without a row */
        return tokenizer;
    pl_tokenizer_free(tokenizer);
    return pl_tokenizer_open(path, false, err);
}

static pali_status open_tokenizer(pl_paligemma *model, const char *path, pali_error *err)
{
    const size_t rows = model->config.text.vocabulary;
    if (path) {
        model->tokenizer = tokenizer_of_files(path, rows, err);
    } else if (model->checkpoint->container == PL_CONTAINER_GGUF && pl_gguf_has(model->checkpoint->files[0], "tokenizer.ggml.tokens")) {
        model->tokenizer = tokenizer_of_gguf(model->checkpoint->files[0], err);
    } else {
        char *folder = folder_of(model->checkpoint->path, err);
        model->tokenizer = folder ? tokenizer_of_files(folder, rows, err) : NULL;
        free(folder);
    }
    if (!model->tokenizer)
        return pl_status_of(err, PALI_MODEL);
    const size_t pieces = pl_tokenizer_count(model->tokenizer);
    const pl_special_ids *special = pl_tokenizer_special(model->tokenizer);
    size_t highest = pieces;
    if (special->image >= 0 && (size_t)special->image + 1 == pieces) /* a placeholder needs no row */
        highest--;
    if (highest > rows)
        return pl_fail(err, PALI_MODEL, "%s: tokenizer: found %zu pieces, expected at most the %zu rows of the embedding", model->checkpoint->path, pieces, rows);
    if (special->bos < 0 || special->eos < 0 || special->newline < 0)
        return pl_fail(err, PALI_MODEL, "%s: tokenizer: %s is missing", model->checkpoint->path,
                       special->bos < 0 ? "the beginning-of-text token" : special->eos < 0 ? "the end-of-text token" : "a token for the newline");
    return PALI_OK;
}

/*
 * Ids without a piece (or with one that a GGUF only fills rows with), and the
 * image placeholder, are rows that nobody trained as answers.
 */
pali_status pl_paligemma_ban_ids(pl_paligemma *model, pali_error *err)
{
    const size_t rows = model->config.text.vocabulary, pieces = pl_tokenizer_count(model->tokenizer);
    unsigned char *banned = pl_new(rows, 1, "vocabulary", err);
    if (!banned)
        return PALI_MEMORY;
    free(model->banned);
    model->banned = banned;
    const uint8_t *types = pl_tokenizer_vocabulary(model->tokenizer)->types;
    for (size_t id = 0; id < rows; id++)
        model->banned[id] = id >= pieces || types[id] == PL_PIECE_UNUSED;
    const int64_t placeholders[2] = {pl_tokenizer_special(model->tokenizer)->image, model->config.image_id};
    for (size_t i = 0; i < 2; i++)
        if (placeholders[i] >= 0 && (size_t)placeholders[i] < rows)
            model->banned[placeholders[i]] = 1;
    return PALI_OK;
}

/* Is the file behind these mapped bytes in memory already, as far as one page in each megabyte tells? */
static bool is_cached(uintptr_t first, size_t bytes, size_t page)
{
#ifdef __linux__
    unsigned char there = 1;
    for (size_t at = 0; at < bytes && there; at += (size_t)1 << 20)
        if (mincore((void *)(first + at), page, &there) != 0)
            there = 0;
    return there;
#else
    (void)first, (void)bytes, (void)page;
    return false;
#endif
}

/*
 * Brings mapped weights into memory a piece at a time, so that waiting can be
 * shown. What is in memory is left alone: the page faults of its first use
 * cost less than mapping it all here would.
 */
static void read_ahead(const pl_paligemma *model, const pl_load_options *options)
{
    enum { STEP = 64 << 20 };
    const pl_checkpoint *checkpoint = model->checkpoint;
    const uint64_t total = model->weight_bytes;
    pl_memory_limit limit;
    pl_memory_limit_read("", &limit);
    if (!options->progress || copies_weights(model, options) || total > limit.left / 4 * 3)
        return;
    uint64_t done = 0;
    for (size_t i = 0; i < checkpoint->entry_count; i++) {
        const pl_named_tensor *tensor = checkpoint->entries[i].tensor;
        if (!checkpoint->entries[i].known || tensor->problem || tensor->copied)
            continue;
        for (size_t at = 0; at < tensor->size; at += STEP) {
            const size_t bytes = pl_min(STEP, tensor->size - at), page = (size_t)sysconf(_SC_PAGESIZE);
            const uintptr_t first = (uintptr_t)((const unsigned char *)tensor->tensor.data + at) & ~(uintptr_t)(page - 1);
            const size_t length = (size_t)((uintptr_t)tensor->tensor.data + at + bytes - first);
            bool missing = !is_cached(first, length, page);
#ifdef MADV_POPULATE_READ
            missing = missing && madvise((void *)first, length, MADV_POPULATE_READ) != 0;
#endif
            if (missing)
                madvise((void *)first, length, MADV_WILLNEED);
            done += bytes;
            options->progress(options->progress_context, pl_min(done, total), total);
        }
    }
}

static pali_status load(pl_paligemma *model, const char *path, const pl_load_options *options, pali_error *err)
{
    pl_dtype type;
    pali_status status = parse_type(options->type, options->kernels, &type, err);
    if (status != PALI_OK)
        return status;
    char *base = NULL; /* of an adapter */
    status = pl_adapter_base(path, &base, err);
    if (status == PALI_OK && !(model->checkpoint = pl_checkpoint_open(base ? base : path, options->vision, err)))
        status = pl_status_of(err, PALI_MODEL);
    const bool is_adapter = base != NULL;
    free(base);
    if (status != PALI_OK)
        return status;
    model->config = model->checkpoint->config;
    if (options->no_final_softcap)
        model->config.text.final_softcap = 0;
    if (options->preprocess)
        status = pl_preprocess_parse(options->preprocess, &model->config.preprocess.kind, err);
    if (status != PALI_OK)
        return status;
    model->siglip.config = model->config.vision;
    model->gemma.config = model->config.text;
    model->siglip.blocks = pl_new(model->config.vision.layers, sizeof *model->siglip.blocks, "model", err);
    model->gemma.layers = pl_new(model->config.text.layers, sizeof *model->gemma.layers, "model", err);
    status = model->siglip.blocks && model->gemma.layers ? plan_weights(model, options, type, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = place_weights(model, options, type, err);
    if (status == PALI_OK)
        status = open_tokenizer(model, options->tokenizer, err);
    if (status == PALI_OK && is_adapter)
        status = pl_paligemma_add_adapter(model, path, err);
    for (size_t i = 0; status == PALI_OK && i < options->lora_count; i++)
        status = pl_paligemma_add_adapter(model, options->lora[i], err);
    if (status == PALI_OK)
        status = pl_paligemma_ban_ids(model, err);
    for (size_t i = 0; i < 2 && model->checkpoint->files[i]; i++)
        model->copied_bytes += pl_tensor_file_bytes_copied(model->checkpoint->files[i]);
    for (size_t i = 0; i < model->adapter_count; i++)
        model->copied_bytes += pl_tensor_file_bytes_copied(model->adapters[i]);
    if (status == PALI_OK)
        read_ahead(model, options);
    return status;
}

pl_paligemma *pl_paligemma_open(const char *path, const pl_load_options *options, pali_error *err)
{
    pali_error own = {0}; /* callees' status is needed even if the caller wants no text */
    pl_paligemma *model = pl_new(1, sizeof *model, "model", err);
    if (!model)
        return NULL;
    if (load(model, path, options, err ? err : &own) == PALI_OK)
        return model;
    pl_paligemma_close(model);
    return NULL;
}

void pl_paligemma_close(pl_paligemma *model)
{
    if (!model)
        return;
    for (size_t i = 0; i < model->block_count; i++)
        free(model->blocks[i]);
    free(model->blocks);
    for (size_t i = 0; i < model->adapter_count; i++)
        pl_tensor_file_close(model->adapters[i]);
    free(model->adapters);
    free(model->siglip.blocks);
    free(model->gemma.layers);
    free(model->banned);
    pl_tokenizer_free(model->tokenizer);
    pl_checkpoint_close(model->checkpoint);
    free(model);
}

void pl_paligemma_encode(pl_context *ctx, const pl_paligemma *model, const float *pixels, pl_rows out)
{
    const pl_siglip_config *vision = &model->config.vision;
    const size_t tokens = pl_siglip_tokens(vision), mark = pl_arena_mark(ctx->arena);
    const pl_rows encoded = pl_rows_push(ctx, tokens, vision->width);
    const pl_rows patches = pl_rows_push(ctx, tokens, 3 * vision->patch * vision->patch);
    if (!pl_dry(ctx))
        pl_patches(pixels, vision->image_size, vision->patch, patches.data);
    pl_siglip_forward(ctx, &model->siglip, patches, encoded);
    pl_projector_forward(ctx, &model->siglip, encoded, out);
    pl_arena_release(ctx->arena, mark);
}
