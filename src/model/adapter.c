/*
 * PEFT LoRA adapters (arXiv 2106.09685; rank-stabilised: arXiv 2312.03732). An
 * adapter stays beside the weight it changes, y = W x + s B (A x), so that
 * weights stay mapped; modules saved whole take the weight's place.
 */
#include "model/paligemma.h"

#include "base/file.h"
#include "base/pattern.h"
#include "base/text.h"
#include "formats/safetensors.h"
#include "model/find.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct adapter {
    pl_paligemma *model;
    const pl_tensor_file *file;
    pl_json *config;
    double alpha;
    bool rank_stabilised;
    float factor; /* what the user asked for on top */
    size_t used;
} adapter;

/* "FOLDER:scale" into its parts; a folder of that very name wins. */
static pali_status split_spec(const char *spec, char **folder, float *factor, pali_error *err)
{
    *factor = 1;
    const char *colon = strrchr(spec, ':');
    char *end = NULL;
    const float number = colon ? strtof(colon + 1, &end) : 0;
    const bool scaled = colon && end != colon + 1 && *end == '\0' && !pl_is_folder(spec);
    if (scaled && !isfinite(number))
        return pl_fail(err, PALI_USAGE, "lora: found \"%s\", expected a finite scale after the colon", spec);
    if (scaled)
        *factor = number;
    *folder = scaled ? pl_strndup(spec, (size_t)(colon - spec), err) : pl_strdup(spec, err);
    return *folder ? PALI_OK : PALI_MEMORY;
}

/* Fields that change the arithmetic in ways that are not built in are refused. */
static pali_status read_config(adapter *a, pali_error *err)
{
    const char *type = "LORA", *bias = "none";
    bool dora = false, transposed = false;
    a->alpha = 8;
    pali_status status = pl_json_get_string(a->config, "peft_type", &type, err);
    if (status == PALI_OK)
        status = pl_json_get_string(a->config, "bias", &bias, err);
    if (status == PALI_OK)
        status = pl_json_get_bool(a->config, "use_dora", &dora, err);
    if (status == PALI_OK)
        status = pl_json_get_bool(a->config, "fan_in_fan_out", &transposed, err);
    if (status == PALI_OK)
        status = pl_json_get_bool(a->config, "use_rslora", &a->rank_stabilised, err);
    if (status == PALI_OK)
        status = pl_json_get_f64(a->config, "lora_alpha", &a->alpha, err);
    if (status != PALI_OK)
        return status;
    if (strcmp(type, "LORA") != 0)
        return pl_json_refuse(a->config, "peft_type", "\"LORA\"", err);
    if (strcmp(bias, "none") != 0)
        return pl_json_refuse(a->config, "bias", "\"none\"", err);
    if (dora)
        return pl_json_refuse(a->config, "use_dora", "false: weight-decomposed adapters are not supported", err);
    if (transposed)
        return pl_json_refuse(a->config, "fan_in_fan_out", "false", err);
    return PALI_OK;
}

/* Does a key of alpha_pattern name this module? A suffix or a regular expression, as PEFT has it. */
static pali_status pattern_names(const adapter *a, const char *key, const char *module, bool *names, pali_error *err)
{
    char found[80];
    regex_t compiled;
    if (!pl_pattern_compile(&compiled, key, true))
        return pl_fail(err, PALI_MODEL, "%s: field alpha_pattern: found the key %s, expected a module's name or a simple pattern", pl_json_path(a->config),
                       pl_printable(key, strlen(key), found));
    *names = regexec(&compiled, module, 0, NULL, 0) == 0;
    regfree(&compiled);
    return PALI_OK;
}

static pali_status alpha_of(const adapter *a, const char *module, double *alpha, pali_error *err)
{
    const char *key;
    json_t *value;
    json_t *patterns = (json_t *)(uintptr_t)pl_json_at(a->config, "alpha_pattern");
    *alpha = a->alpha;
    json_object_foreach (patterns, key, value) { /* none, unless it is an object */
        bool names = false;
        const pali_status status = pattern_names(a, key, module, &names, err);
        if (status != PALI_OK)
            return status;
        if (!names)
            continue;
        if (!json_is_number(value))
            return pl_fail(err, PALI_MODEL, "%s: field alpha_pattern: found no number for %s, expected one", pl_json_path(a->config), module);
        *alpha = json_number_value(value);
        return PALI_OK;
    }
    return PALI_OK;
}

/* The weight with this canonical name, and its layer; NULL when there is none. */
static const pl_weight *weight_named(const pl_config *config, const char *canonical, size_t *layer)
{
    char name[160];
    for (size_t w = 0; w < pl_weight_count; w++) {
        if (!pl_weight_present(config, &pl_weights[w]))
            continue;
        for (*layer = 0; *layer < pl_part_layers(config, pl_weights[w].part); ++*layer)
            if (strcmp(pl_weight_name(&pl_weights[w], config, *layer, name), canonical) == 0)
                return &pl_weights[w];
    }
    return NULL;
}

/* The affine map a module path names, or NULL. */
static pl_linear *linear_named(adapter *a, const char *module)
{
    char name[320], canonical[160];
    snprintf(name, sizeof name, "%s.weight", module);
    if (!pl_canonical_name(name, canonical))
        return NULL;
    if (strcmp(canonical, "head.weight") == 0)
        return &a->model->gemma.head;
    size_t layer;
    const pl_weight *weight = weight_named(&a->model->config, canonical, &layer);
    return weight && weight->target == PL_TARGET_LINEAR ? pl_weight_target(a->model, weight, layer) : NULL;
}

pl_low_rank *pl_paligemma_attach(pl_paligemma *model, pl_linear *linear, size_t rank, float scale, pali_error *err)
{
    const size_t out = linear->weight.shape[0], in = linear->weight.shape[1];
    size_t a_bytes, b_bytes;
    if (!pl_mul(rank * sizeof(float), in, &a_bytes) || !pl_mul(rank * sizeof(float), out, &b_bytes)) {
        pl_fail_memory(err, "adapter", SIZE_MAX);
        return NULL;
    }
    pl_low_rank *change = pl_paligemma_block(model, sizeof *change, "adapter", err);
    const float *a = change ? pl_paligemma_block(model, a_bytes, "adapter", err) : NULL, *b = a ? pl_paligemma_block(model, b_bytes, "adapter", err) : NULL;
    if (!b)
        return NULL;
    *change = (pl_low_rank){.a = a, .b = b, .rank = rank, .scale = scale, .next = linear->adapters};
    linear->adapters = change;
    return change;
}

/* The values of a tensor as f32 into one matrix of an adapter. */
static void unpack(const pl_kernels *kernels, const pl_tensor *tensor, const float *values)
{
    size_t count = 0;
    pl_tensor_count(tensor, &count);
    kernels->unpack[tensor->dtype](count, tensor->data, (float *)(uintptr_t)values);
}

static pali_status check_usable(const pl_named_tensor *named, pali_error *err)
{
    if (named->problem)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: %s", named->file, named->name, named->problem);
    if (!pl_dtype_is_float(named->tensor.dtype) || named->tensor.rank == 0)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: found type %s with %zu axes, expected a floating-point matrix", named->file, named->name, pl_dtype_name(named->tensor.dtype),
                       named->tensor.rank);
    return PALI_OK;
}

/* Has the tensor first axis `rows` and rows * columns values? A product that does not fit is no match. */
static bool is_matrix(const pl_tensor *tensor, size_t rows, size_t columns)
{
    size_t count, expected;
    return tensor->shape[0] == rows && pl_tensor_count(tensor, &count) && pl_mul(rows, columns, &expected) && count == expected;
}

/* Hangs the pair (A, B) of one module on its weight. */
static pali_status add_pair(adapter *a, const char *module, const pl_named_tensor *down, const pl_named_tensor *up, pali_error *err)
{
    pali_status status = check_usable(down, err);
    if (status == PALI_OK)
        status = check_usable(up, err);
    if (status != PALI_OK)
        return status;
    pl_linear *linear = linear_named(a, module);
    if (!linear)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: found module %s, expected a linear layer of the model", down->file, down->name, module);
    const size_t rank = down->tensor.shape[0], out = linear->weight.shape[0], in = linear->weight.shape[1];
    if (rank == 0 || !is_matrix(&down->tensor, rank, in) || !is_matrix(&up->tensor, out, rank)) {
        char found_a[96], found_b[96];
        return pl_fail(err, PALI_MODEL, "%s: adapter of %s: found shapes %s and %s, expected [r, %zu] and [%zu, r]", down->file, module,
                       pl_shape_text(down->tensor.shape, down->tensor.rank, found_a), pl_shape_text(up->tensor.shape, up->tensor.rank, found_b), in, out);
    }
    double alpha;
    status = alpha_of(a, module, &alpha, err);
    if (status != PALI_OK)
        return status;
    const pl_kernels *kernels = pl_kernels_get(NULL, err);
    const float scale = a->factor * (float)(alpha / (a->rank_stabilised ? sqrt((double)rank) : (double)rank));
    const pl_low_rank *change = kernels ? pl_paligemma_attach(a->model, linear, rank, scale, err) : NULL;
    if (!change)
        return pl_status_of(err, PALI_MEMORY);
    unpack(kernels, &down->tensor, change->a);
    unpack(kernels, &up->tensor, change->b);
    a->used += 2;
    return PALI_OK;
}

/* Puts a module that was saved whole in the place of the model's. */
static pali_status replace(adapter *a, const pl_named_tensor *named, const char *path, pali_error *err)
{
    char canonical[160];
    size_t layer = 0;
    const bool known = pl_canonical_name(path, canonical);
    const bool head = known && strcmp(canonical, "head.weight") == 0;
    const pl_weight *weight = head ? weight_named(&a->model->config, "text.embed_tokens.weight", &layer) : known ? weight_named(&a->model->config, canonical, &layer) : NULL;
    if (!weight)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: found nothing of that name in the model, expected a LoRA pair or a saved module", named->file, named->name);
    if (a->factor < 0)
        return pl_fail(err, PALI_USAGE, "lora: %s: found a module saved whole, %s, expected pairs alone to take off: what it replaced is not in it", named->file, named->name);
    const pali_status status = check_usable(named, err);
    if (status != PALI_OK)
        return status;
    size_t rows = pl_dim_size(&a->model->config, weight->rows);
    if (weight->rows == PL_DIM_VOCABULARY) /* new tokens came with it */
        rows = pl_max(rows, named->tensor.shape[0]);
    const pl_source source = {.named = named, .data = named->tensor.data, .dtype = named->tensor.dtype, .rows = rows, .columns = pl_dim_size(&a->model->config, weight->columns)};
    if (!is_matrix(&named->tensor, source.rows, source.columns)) {
        char found[96];
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: found shape %s, expected [%zu, %zu]", named->file, named->name,
                       pl_shape_text(named->tensor.shape, named->tensor.rank, found), source.rows, source.columns);
    }
    a->used++;
    if (head) {
        a->model->gemma.head.weight = (pl_tensor){.dtype = source.dtype, .rank = 2, .shape = {source.rows, source.columns}, .data = source.data};
        return PALI_OK;
    }
    const bool tied = pl_head_is_tied(a->model);
    const pali_status placed = pl_paligemma_place(a->model, weight, layer, &source, PL_DTYPE_COUNT, NULL, err);
    if (tied)
        a->model->gemma.head.weight = a->model->gemma.embedding;
    return placed;
}

/* Cuts `what` out of a name; false if it is not there. */
static bool cut(char *name, const char *what)
{
    char *at = strstr(name, what);
    if (at)
        memmove(at, at + strlen(what), strlen(at + strlen(what)) + 1);
    return at != NULL;
}

static pali_status take_tensor(adapter *a, const pl_named_tensor *named, pali_error *err)
{
    static const char prefix[] = "base_model.model.";
    char name[256];
    if (snprintf(name, sizeof name, "%s", named->name) >= (int)sizeof name)
        return pl_fail(err, PALI_MODEL, "%s: found a tensor name of more than %zu bytes", named->file, sizeof name - 1);
    if (pl_starts_with(name, prefix))
        memmove(name, name + strlen(prefix), strlen(name + strlen(prefix)) + 1);
    if (pl_ends_with(name, ".lora_B.weight") || pl_ends_with(name, ".lora_B.default.weight"))
        return PALI_OK; /* taken with its A */
    char *at = strstr(name, ".lora_A.");
    if (!at) {
        if (!cut(name, "modules_to_save.default."))
            cut(name, "modules_to_save.");
        cut(name, "base_layer.");
        return replace(a, named, name, err);
    }
    char other[256];
    snprintf(other, sizeof other, "%s", named->name);
    strstr(other, ".lora_A.")[6] = 'B';
    const pl_named_tensor *up = pl_tensor_file_find(a->file, other);
    if (!up)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s is missing, expected beside %s", named->file, other, named->name);
    *at = '\0';
    return add_pair(a, name, named, up, err);
}

/*
 * New tokens of the adapter: their rows stand in an embedding that it replaces, their pieces in a tokenizer beside it,
 * which is taken where it has more of them than the model's.
 */
static pali_status take_tokens(const adapter *a, const char *folder, pali_error *err)
{
    pl_paligemma *model = a->model;
    const size_t rows = model->gemma.embedding.shape[0], head = model->gemma.head.weight.shape[0];
    if (rows != head)
        return pl_fail(err, PALI_MODEL, "%s: found %zu rows of the embedding and %zu of the output matrix, expected as many", folder, rows, head);
    model->config.text.vocabulary = model->gemma.config.vocabulary = rows;
    char *const path = pl_path_join(folder, "tokenizer.json", err);
    if (!path)
        return PALI_MEMORY;
    const bool found = pl_is_file(path);
    free(path);
    if (!found)
        return PALI_OK;
    pl_tokenizer *tokenizer = pl_tokenizer_open(folder, false, err);
    if (!tokenizer)
        return pl_status_of(err, PALI_MODEL);
    const size_t pieces = pl_tokenizer_count(tokenizer), known = pl_tokenizer_count(model->tokenizer);
    if (pieces <= known || pieces > rows) { /* the base's own, or one for a model with more rows */
        pl_tokenizer_free(tokenizer);
        return PALI_OK;
    }
    pl_tokenizer_free(model->tokenizer);
    model->tokenizer = tokenizer;
    model->extended = true;
    return PALI_OK;
}

/* The base by its name as it stands; a path that leads nowhere from here may do so from the adapter's folder. */
static char *find_base(const char *folder, const char *name, pali_error *err)
{
    if (!pl_is_folder(name) && !pl_is_file(name) && *name != '/') {
        char *const beside = pl_path_join(folder, name, err);
        if (!beside || pl_is_folder(beside) || pl_is_file(beside))
            return beside;
        free(beside);
    }
    return pl_model_find(name, err);
}

pali_status pl_adapter_base(const char *folder, char **base, pali_error *err)
{
    *base = NULL;
    char *const path = pl_path_join(folder, "adapter_config.json", err), *const own = path ? pl_path_join(folder, "config.json", err) : NULL;
    pali_status status = own ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK && pl_is_file(path) && !pl_is_file(own)) {
        const char *name = NULL;
        pl_json *const config = pl_json_open(path, err);
        status = config ? pl_json_get_string(config, "base_model_name_or_path", &name, err) : pl_status_of(err, PALI_MODEL);
        if (status == PALI_OK && !name)
            status = pl_json_refuse(config, "base_model_name_or_path", "the model that the adapter is for; else open that model, with the adapter on top", err);
        if (status == PALI_OK && !(*base = find_base(folder, name, err))) {
            status = pl_status_of(err, PALI_MODEL);
            pl_error_prefix(err, "%s: its base model", folder);
        }
        pl_json_close(config);
    }
    free(own);
    free(path);
    return status;
}

pali_status pl_paligemma_add_adapter(pl_paligemma *model, const char *spec, pali_error *err)
{
    adapter a = {.model = model};
    char *folder = NULL, *config = NULL, *weights = NULL;
    pl_tensor_file *file = NULL;
    pali_status status = split_spec(spec, &folder, &a.factor, err);
    if (status == PALI_OK)
        status = (config = pl_path_join(folder, "adapter_config.json", err)) && (weights = pl_path_join(folder, "adapter_model.safetensors", err)) ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK)
        status = (a.config = pl_json_open(config, err)) ? read_config(&a, err) : pl_status_of(err, PALI_MODEL);
    if (status == PALI_OK)
        status = (file = pl_safetensors_open(weights, err)) ? PALI_OK : pl_status_of(err, PALI_MODEL);
    if (status == PALI_OK)
        status = pl_grow(&model->adapters, &model->adapter_capacity, model->adapter_count + 1, sizeof(pl_tensor_file *), "adapter", err);
    if (status == PALI_OK) {
        model->adapters[model->adapter_count++] = file; /* saved modules are used where they lie */
        a.file = file;
        file = NULL;
        for (size_t i = 0; status == PALI_OK && i < pl_tensor_file_count(a.file); i++)
            status = take_tensor(&a, pl_tensor_file_at(a.file, i), err);
        if (status == PALI_OK && a.used != pl_tensor_file_count(a.file))
            status = pl_fail(err, PALI_MODEL, "%s: found %zu tensors, of which only %zu belong to a LoRA pair or a saved module", weights, pl_tensor_file_count(a.file), a.used);
    }
    if (status == PALI_OK)
        status = take_tokens(&a, folder, err);
    pl_tensor_file_close(file);
    pl_json_close(a.config);
    free(weights);
    free(config);
    free(folder);
    return status;
}
