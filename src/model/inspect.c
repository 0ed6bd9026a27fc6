/*
 * Describing a checkpoint: what the files say, parameters and bytes by part,
 * what is missing or unexpected, and on request every value read for NaN,
 * infinity and range.
 */
#include "model/inspect.h"

#include "model/codec_source.h"
#include "model/paligemma.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct part_sum {
    size_t tensors;
    uint64_t parameters, bytes;
    bool types[PL_DTYPE_COUNT];
} part_sum;

static void set_size(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *describe_config(const pl_config *config)
{
    const pl_siglip_config *v = &config->vision;
    const pl_gemma_config *t = &config->text;
    json_t *vision = json_object(), *text = json_object(), *both = json_object();
    set_size(vision, "image_size", v->image_size);
    set_size(vision, "patch_size", v->patch);
    set_size(vision, "image_tokens", pl_siglip_tokens(v));
    set_size(vision, "width", v->width);
    set_size(vision, "layers", v->layers);
    set_size(vision, "heads", v->heads);
    set_size(vision, "mlp", v->mlp);
    set_size(text, "width", t->width);
    set_size(text, "layers", t->layers);
    set_size(text, "heads", t->heads);
    set_size(text, "kv_heads", t->kv_heads);
    set_size(text, "head_dim", t->head_dim);
    set_size(text, "mlp", t->mlp);
    set_size(text, "vocabulary", t->vocabulary);
    json_object_set_new(text, "query_scale", json_real((double)t->query_scale));
    json_object_set_new(text, "attention_softcap", json_real((double)t->attention_softcap));
    json_object_set_new(text, "final_softcap", json_real((double)t->final_softcap));
    json_object_set_new(both, "vision", vision);
    json_object_set_new(both, "text", text);
    return both;
}

/* Sums each part; lists missing tensors, and weights that cannot be used as problems. */
static void survey(const pl_checkpoint *checkpoint, part_sum sums[PL_PART_COUNT], json_t *missing, json_t *problems)
{
    for (size_t w = 0; w < pl_weight_count; w++) {
        const pl_weight *weight = &pl_weights[w];
        if (!pl_weight_present(&checkpoint->config, weight))
            continue;
        for (size_t layer = 0; layer < pl_part_layers(&checkpoint->config, weight->part); layer++) {
            char name[160];
            pl_source source;
            pali_error why = {0};
            if (!pl_checkpoint_find(checkpoint, weight, layer)) {
                json_array_append_new(missing, json_string(pl_checkpoint_weight_name(checkpoint, weight, layer, name)));
                continue;
            }
            if (pl_checkpoint_source(checkpoint, weight, layer, &source, &why) != PALI_OK) {
                json_array_append_new(problems, json_string(why.message));
                continue;
            }
            const pl_tensor tensor = pl_source_tensor(&source, weight);
            size_t bytes = 0;
            pl_tensor_bytes(&tensor, &bytes);
            part_sum *sum = &sums[weight->part];
            sum->tensors++;
            sum->parameters += source.rows * source.columns;
            sum->bytes += bytes;
            sum->types[source.dtype] = true;
        }
    }
}

/* An output matrix of its own counts too; one that only repeats the embedding does not. */
static void survey_head(const pl_checkpoint *checkpoint, part_sum *text, json_t *missing)
{
    const pl_entry *entry = pl_checkpoint_entry(checkpoint, "head.weight");
    if (!checkpoint->config.untied_head)
        return;
    if (!entry) {
        json_array_append_new(missing, json_string("lm_head.weight"));
        return;
    }
    size_t count = 0;
    if (entry->tensor->problem || !pl_tensor_count(&entry->tensor->tensor, &count))
        return;
    text->tensors++;
    text->parameters += count;
    text->bytes += entry->tensor->size;
    text->types[entry->tensor->tensor.dtype] = true;
}

/* Parts as a user sees them: their repeated and single weights together. */
static json_t *describe_parts(part_sum sums[PL_PART_COUNT], uint64_t *parameters, uint64_t *bytes)
{
    json_t *parts = json_array();
    *parameters = *bytes = 0;
    for (size_t p = 0; p < PL_PART_COUNT; p++) {
        const bool again = p > 0 && strcmp(pl_part_name((pl_part)p), pl_part_name((pl_part)(p - 1))) == 0;
        json_t *part = again ? json_array_get(parts, json_array_size(parts) - 1) : json_object();
        json_t *types = again ? json_object_get(part, "dtypes") : json_array();
        const json_int_t base[3] = {json_integer_value(json_object_get(part, "tensors")), json_integer_value(json_object_get(part, "parameters")),
                                    json_integer_value(json_object_get(part, "bytes"))};
        json_object_set_new(part, "name", json_string(pl_part_name((pl_part)p)));
        set_size(part, "tensors", (uint64_t)base[0] + sums[p].tensors);
        set_size(part, "parameters", (uint64_t)base[1] + sums[p].parameters);
        set_size(part, "bytes", (uint64_t)base[2] + sums[p].bytes);
        for (size_t t = 0; t < PL_DTYPE_COUNT; t++) {
            bool listed = false;
            for (size_t i = 0; i < json_array_size(types); i++)
                listed |= strcmp(json_string_value(json_array_get(types, i)), pl_dtype_name((pl_dtype)t)) == 0;
            if (sums[p].types[t] && !listed)
                json_array_append_new(types, json_string(pl_dtype_name((pl_dtype)t)));
        }
        if (!again) {
            json_object_set_new(part, "dtypes", types);
            json_array_append_new(parts, part);
        }
        *parameters += sums[p].parameters;
        *bytes += sums[p].bytes;
    }
    return parts;
}

static json_t *describe_unexpected(const pl_checkpoint *checkpoint)
{
    json_t *names = json_array();
    for (size_t i = 0; i < checkpoint->entry_count; i++)
        if (!checkpoint->entries[i].known && strcmp(checkpoint->entries[i].name, "head.weight") != 0)
            json_array_append_new(names, json_string(checkpoint->entries[i].tensor->name));
    return names;
}

static json_t *describe_tensors(const pl_checkpoint *checkpoint)
{
    json_t *list = json_array();
    for (size_t i = 0; i < checkpoint->entry_count; i++) {
        const pl_named_tensor *named = checkpoint->entries[i].tensor;
        json_t *one = json_object(), *shape = json_array();
        json_object_set_new(one, "name", json_string(named->name));
        json_object_set_new(one, "file", json_string(named->file));
        json_object_set_new(one, "dtype", json_string(named->type));
        if (named->problem)
            json_object_set_new(one, "problem", json_string(named->problem));
        for (size_t d = 0; !named->problem && d < named->tensor.rank; d++)
            json_array_append_new(shape, json_integer((json_int_t)named->tensor.shape[d]));
        json_object_set_new(one, "shape", shape);
        set_size(one, "bytes", named->size);
        json_array_append_new(list, one);
    }
    return list;
}

/* What a tensor's values are like. */
typedef struct value_range {
    size_t count, bad; /* bad: not finite */
    float low, high;
    double squares;
} value_range;

static void add_values(value_range *range, const float *values, size_t n)
{
    range->count += n;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) {
            range->bad++;
            continue;
        }
        range->low = fminf(range->low, values[i]);
        range->high = fmaxf(range->high, values[i]);
        range->squares += (double)values[i] * (double)values[i];
    }
}

enum { PIECE = 4096 }; /* values looked at together, a multiple of every block */

static void read_tiles(const pl_kernels *kernels, const pl_tensor *tensor, value_range *range)
{
    float values[PIECE];
    size_t row_bytes = 0;
    pl_dtype_row_bytes(tensor->dtype, tensor->shape[1], &row_bytes);
    for (size_t r = 0; r < tensor->shape[0]; r++)
        for (size_t k = 0; k < tensor->shape[1]; k += PIECE) {
            const size_t n = pl_min(PIECE, tensor->shape[1] - k);
            pl_read_row(tensor->dtype, tensor->data, row_bytes, r, k, n, values);
            if (tensor->scale)
                kernels->scale(n, tensor->scale[r], values);
            add_values(range, values, n);
        }
}

static void read_rows(const pl_kernels *kernels, const pl_tensor *tensor, value_range *range)
{
    const size_t block = pl_dtype_block(tensor->dtype), width = pl_dtype_bytes(tensor->dtype);
    size_t count = 0;
    float values[PIECE];
    pl_tensor_count(tensor, &count);
    for (size_t i = 0; i < count; i += PIECE) {
        const size_t n = pl_min(PIECE, count - i);
        kernels->unpack[tensor->dtype](n, (const unsigned char *)tensor->data + i / block * width, values);
        add_values(range, values, n);
    }
}

/* Reads every value of a tensor: how many are not finite, and the range of the others. */
static json_t *check_tensor(const pl_kernels *kernels, const pl_named_tensor *named, size_t *bad)
{
    value_range range = {.low = INFINITY, .high = -INFINITY};
    if (pl_dtype_is_tiled(named->tensor.dtype))
        read_tiles(kernels, &named->tensor, &range);
    else
        read_rows(kernels, &named->tensor, &range);
    const size_t good = range.count - range.bad;
    json_t *object = json_object();
    *bad = range.bad;
    json_object_set_new(object, "name", json_string(named->name));
    json_object_set_new(object, "min", good ? json_real((double)range.low) : json_null());
    json_object_set_new(object, "max", good ? json_real((double)range.high) : json_null());
    json_object_set_new(object, "rms", good ? json_real(sqrt(range.squares / (double)good)) : json_null());
    set_size(object, "non_finite", range.bad);
    return object;
}

static json_t *check_values(const pl_checkpoint *checkpoint, json_t *problems)
{
    const pl_kernels *kernels = pl_kernels_get(NULL, NULL);
    json_t *check = json_object(), *ranges = json_array(), *broken = json_array();
    size_t checked = 0;
    for (size_t i = 0; kernels && i < checkpoint->entry_count; i++) {
        const pl_named_tensor *named = checkpoint->entries[i].tensor;
        if (named->problem || (!pl_dtype_is_float(named->tensor.dtype) && !pl_dtype_is_tiled(named->tensor.dtype)))
            continue;
        size_t bad;
        json_array_append_new(ranges, check_tensor(kernels, named, &bad));
        checked++;
        if (bad) {
            pali_error text = {0};
            pl_fail(&text, PALI_MODEL, "%s: tensor %s: found %zu values that are not finite, expected none", named->file, named->name, bad);
            json_array_append_new(problems, json_string(text.message));
            json_array_append_new(broken, json_string(named->name));
        }
    }
    set_size(check, "tensors_checked", checked);
    json_object_set_new(check, "non_finite", broken);
    json_object_set_new(check, "ranges", ranges);
    return check;
}

static json_t *describe_tokenizer(const pl_tokenizer *tokenizer)
{
    const pl_special_ids *ids = pl_tokenizer_special(tokenizer);
    const struct {
        const char *name;
        int32_t value;
    } fields[] = {{"bos", ids->bos}, {"eos", ids->eos}, {"pad", ids->pad}, {"unk", ids->unk}, {"newline", ids->newline}, {"image", ids->image}, {"loc", ids->loc}, {"loc_count", ids->loc_count}, {"seg", ids->seg}, {"seg_count", ids->seg_count}};
    json_t *object = json_object();
    set_size(object, "pieces", pl_tokenizer_count(tokenizer));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json_object_set_new(object, fields[i].name, fields[i].value < 0 ? json_null() : json_integer(fields[i].value));
    return object;
}

/* Opens the model as running it would: whatever stops that is a problem. */
static json_t *try_opening(const char *path, const pl_inspect_options *options, json_t *problems)
{
    pali_error why = {0};
    const pl_load_options load = {.tokenizer = options->tokenizer, .vision = options->vision};
    pl_paligemma *model = pl_paligemma_open(path, &load, &why);
    json_t *tokenizer = model ? describe_tokenizer(model->tokenizer) : json_null();
    if (!model && json_array_size(problems) == 0)
        json_array_append_new(problems, json_string(why.message));
    pl_paligemma_close(model);
    return tokenizer;
}

/* Where the mask codec is, or null; one that cannot be opened is a problem. */
static json_t *describe_codec(const pl_checkpoint *checkpoint, json_t *problems)
{
    pl_codec_source codec = {0};
    pali_error why = {0};
    if (pl_codec_source_open(checkpoint, &codec, &why) != PALI_OK)
        json_array_append_new(problems, json_string(why.message));
    json_t *place = codec.file ? json_string(codec.path ? codec.path : checkpoint->path) : json_null();
    pl_codec_source_close(&codec);
    return place;
}

static json_t *describe_preprocessor(const pl_config *config)
{
    json_t *object = json_object();
    set_size(object, "size", config->vision.image_size);
    json_object_set_new(object, "resample", json_string(pl_filter_name(config->preprocess.filter)));
    return object;
}

char *pl_model_inspect(const char *path, const pl_inspect_options *options, pali_error *err)
{
    char *base = NULL; /* of an adapter's folder: what is described */
    pl_checkpoint *checkpoint = pl_adapter_base(path, &base, err) == PALI_OK ? pl_checkpoint_open(base ? base : path, options->vision, err) : NULL;
    if (!checkpoint) {
        free(base);
        return NULL;
    }
    json_t *report = json_object(), *files = json_array(), *missing = json_array(), *problems = json_array();
    part_sum sums[PL_PART_COUNT] = {{0}};
    uint64_t parameters, bytes;
    for (size_t f = 0; f < 2 && checkpoint->files[f]; f++)
        for (size_t i = 0; i < pl_tensor_file_paths(checkpoint->files[f]); i++)
            json_array_append_new(files, json_string(pl_tensor_file_path(checkpoint->files[f], i)));
    survey(checkpoint, sums, missing, problems);
    survey_head(checkpoint, &sums[PL_PART_TEXT], missing);
    json_object_set_new(report, "path", json_string(path));
    if (base)
        json_object_set_new(report, "adapter_of", json_string(base));
    json_object_set_new(report, "format", json_string(pl_container_name(checkpoint->container)));
    json_object_set_new(report, "family", json_string(checkpoint->config.gemma2 ? "paligemma2" : "paligemma"));
    json_object_set_new(report, "files", files);
    json_object_set_new(report, "config", describe_config(&checkpoint->config));
    json_object_set_new(report, "parts", describe_parts(sums, &parameters, &bytes));
    set_size(report, "parameters", parameters);
    set_size(report, "bytes", bytes);
    json_object_set_new(report, "missing", missing);
    json_object_set_new(report, "unexpected", describe_unexpected(checkpoint));
    json_object_set_new(report, "preprocessor", describe_preprocessor(&checkpoint->config));
    if (options->check)
        json_object_set_new(report, "check", check_values(checkpoint, problems));
    if (options->tensors)
        json_object_set_new(report, "tensors", describe_tensors(checkpoint));
    json_object_set_new(report, "tokenizer", try_opening(path, options, problems));
    json_object_set_new(report, "codec", describe_codec(checkpoint, problems));
    json_object_set_new(report, "usable", json_boolean(json_array_size(problems) == 0 && json_array_size(missing) == 0));
    json_object_set_new(report, "problems", problems);
    char *text = json_dumps(report, JSON_INDENT(2));
    json_decref(report);
    pl_checkpoint_close(checkpoint);
    free(base);
    if (!text)
        pl_fail_memory(err, "inspect", 0);
    return text;
}
