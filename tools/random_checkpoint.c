/* pali-random-checkpoint: writes a full-size Hugging Face folder of PaliGemma with random weights, for measuring
   loading, conversion and other programs where released weights are not at hand. Names, shapes, configuration and
   sharding follow the released files; a shard is renamed when complete. */

#include "model/random.h"
#include "model/shapes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SPARE_ROWS = 64, /* of the embedding, behind the tokenizer's pieces: <image> is the first */
    MAX_TENSORS = 1024,
    HEADER_BYTES = MAX_TENSORS * 256, /* of safetensors, filled up with spaces; an entry is shorter than 256 */
    CHUNK = 1 << 20                   /* bytes written at a time */
};
static const int64_t shard_bytes = 5000000000;

struct tensor {
    char name[128];
    const pl_weight *weight;
    int64_t rows, columns; /* columns 0: a vector */
    int64_t bytes;
    int shard;
};

struct plan {
    const char *folder;
    pl_config config;
    uint64_t seed;
    pl_dtype type;
    struct tensor tensors[MAX_TENSORS]; /* the largest shape has 947 */
    size_t count;
    int shards;
    int64_t total_bytes;
};

static int fail(const char *path, const char *what)
{
    fprintf(stderr, "pali-random-checkpoint: %s: %s: %s\n", path, what, strerror(errno));
    return 1;
}

/* A canonical name as released files spell it. */
static void released_name(const char *canonical, char name[128])
{
    static const char *const prefixes[][2] = {
        {"vision.", "vision_tower.vision_model."},
        {"projector.", "multi_modal_projector."},
        {"text.", "language_model.model."},
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(canonical, prefixes[i][0], strlen(prefixes[i][0])) == 0)
            (void)snprintf(name, 128, "%s%s", prefixes[i][1], canonical + strlen(prefixes[i][0]));
}

static void plan_tensors(struct plan *plan)
{
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++) {
        if (!pl_weight_present(&plan->config, w))
            continue;
        for (size_t layer = 0; layer < pl_part_layers(&plan->config, w->part); layer++) {
            struct tensor *const t = &plan->tensors[plan->count++];
            char canonical[160];
            released_name(pl_weight_name(w, &plan->config, layer, canonical), t->name);
            t->weight = w;
            t->rows = (int64_t)pl_dim_size(&plan->config, w->rows);
            t->columns = w->columns == PL_DIM_NONE ? 0 : (int64_t)pl_dim_size(&plan->config, w->columns);
            t->bytes = t->rows * (t->columns ? t->columns : 1) * (int64_t)pl_dtype_bytes(plan->type);
            plan->total_bytes += t->bytes;
        }
    }
}

static void plan_shards(struct plan *plan)
{
    int64_t used = 0;
    plan->shards = 1;
    for (size_t i = 0; i < plan->count; i++) {
        struct tensor *const t = &plan->tensors[i];
        if (used && used + t->bytes > shard_bytes) {
            plan->shards++;
            used = 0;
        }
        t->shard = plan->shards - 1;
        used += t->bytes;
    }
}

/* One tensor in chunks; false when there is no memory. */
static bool write_tensor(FILE *file, const struct plan *plan, const struct tensor *tensor)
{
    static unsigned char chunk[CHUNK];
    const uint64_t index = (uint64_t)(tensor - plan->tensors);
    double mean, deviation;
    pl_random_values values;
    pl_random_spread(tensor->weight, &plan->config, &mean, &deviation);
    if (pl_random_values_init(&values, plan->type, mean, deviation, plan->seed << 16 | index, NULL) != PALI_OK)
        return false;
    for (int64_t at = 0; at < tensor->bytes && !ferror(file); at += CHUNK) {
        const size_t n = tensor->bytes - at < CHUNK ? (size_t)(tensor->bytes - at) : CHUNK;
        pl_random_values_copy(&values, (uint64_t)at, chunk, n);
        (void)fwrite(chunk, 1, n, file);
    }
    free(values.blocks);
    return true;
}

static FILE *create(const struct plan *plan, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", plan->folder, name);
    FILE *const file = fopen(path, "wb");
    if (!file)
        (void)fail(path, "create");
    return file;
}

static int finish(const struct plan *plan, FILE *file)
{
    const int failed = ferror(file);
    return fclose(file) || failed ? fail(plan->folder, "write") : 0;
}

static void shard_name(const struct plan *plan, int shard, char *name, size_t size)
{
    if (plan->shards == 1)
        (void)snprintf(name, size, "model.safetensors");
    else
        (void)snprintf(name, size, "model-%05d-of-%05d.safetensors", shard + 1, plan->shards);
}

/* Eight bytes of length, JSON, spaces. */
static void write_header(FILE *file, const struct plan *plan, int shard)
{
    int64_t offset = 0;
    for (int i = 0; i < 8; i++)
        fputc((int)((uint64_t)HEADER_BYTES >> (8 * i) & 255), file);
    fputs("{\"__metadata__\":{\"format\":\"pt\"}", file);
    for (const struct tensor *t = plan->tensors; t < plan->tensors + plan->count; t++) {
        if (t->shard != shard)
            continue;
        fprintf(file, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, plan->type == PL_BF16 ? "BF16" : "F32");
        fprintf(file, "%" PRId64, t->rows);
        if (t->weight->columns == PL_DIM_PATCH) /* the convolution's kernel */
            fprintf(file, ",3,%zu,%zu", plan->config.vision.patch, plan->config.vision.patch);
        else if (t->columns)
            fprintf(file, ",%" PRId64, t->columns);
        fprintf(file, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", offset, offset + t->bytes);
        offset += t->bytes;
    }
    fputc('}', file);
    for (long at = ftell(file); at < 8 + HEADER_BYTES; at++)
        fputc(' ', file);
}

static int write_shard(const struct plan *plan, int shard)
{
    char name[64], part[80], from[4096], to[4096];
    shard_name(plan, shard, name, sizeof name);
    (void)snprintf(part, sizeof part, "%s.part", name);
    (void)snprintf(from, sizeof from, "%s/%s", plan->folder, part);
    (void)snprintf(to, sizeof to, "%s/%s", plan->folder, name);
    FILE *const file = create(plan, part);
    if (!file)
        return 1;
    write_header(file, plan, shard);
    bool complete = true;
    for (size_t i = 0; i < plan->count && complete && !ferror(file); i++)
        if (plan->tensors[i].shard == shard)
            complete = write_tensor(file, plan, &plan->tensors[i]);
    if (finish(plan, file) == 0 && complete)
        return rename(from, to) ? fail(to, "rename") : 0;
    (void)remove(from);
    return 1;
}

static int write_index(const struct plan *plan)
{
    char name[64];
    FILE *const out = create(plan, "model.safetensors.index.json");
    if (!out)
        return 1;
    fprintf(out, "{\n  \"metadata\": {\n    \"total_size\": %" PRId64 "\n  },\n  \"weight_map\": {", plan->total_bytes);
    for (size_t i = 0; i < plan->count; i++) {
        shard_name(plan, plan->tensors[i].shard, name, sizeof name);
        fprintf(out, "%s\n    \"%s\": \"%s\"", i ? "," : "", plan->tensors[i].name, name);
    }
    fputs("\n  }\n}\n", out);
    return finish(plan, out);
}

/* Fields as released files have them; what PaliGemma 1 leaves to defaults is left out here too. */
static int write_config(const struct plan *plan)
{
    const pl_siglip_config *const vision = &plan->config.vision;
    const pl_gemma_config *const text = &plan->config.text;
    const size_t tokens = pl_siglip_tokens(vision), pieces = text->vocabulary - SPARE_ROWS;
    FILE *const out = create(plan, "config.json");
    if (!out)
        return 1;
    fputs("{\n  \"architectures\": [\"PaliGemmaForConditionalGeneration\"], \"model_type\": \"paligemma\",\n", out);
    fputs("  \"bos_token_id\": 2, \"eos_token_id\": 1, \"pad_token_id\": 0, \"ignore_index\": -100,\n", out);
    fprintf(out, "  \"_vocab_size\": %zu, \"image_token_index\": %zu, \"torch_dtype\": \"%s\",\n", pieces, pieces, plan->type == PL_BF16 ? "bfloat16" : "float32");
    fprintf(out, "  \"hidden_size\": %zu, \"projection_dim\": %zu,\n", text->width, text->width);
    fprintf(out, "  \"text_config\": {\n    \"model_type\": \"%s\", \"vocab_size\": %zu,\n", plan->config.gemma2 ? "gemma2" : "gemma", text->vocabulary);
    if (plan->config.gemma2) {
        fprintf(out, "    \"attn_logit_softcapping\": %.1f, \"final_logit_softcapping\": %.1f, \"sliding_window\": 4096,\n", (double)text->attention_softcap,
                (double)text->final_softcap);
        fputs("    \"hidden_activation\": \"gelu_pytorch_tanh\",\n", out);
        fprintf(out, "    \"query_pre_attn_scalar\": %.0f,\n", 1 / ((double)text->query_scale * (double)text->query_scale));
    }
    if (plan->config.gemma2 || text->head_dim != 256)
        fprintf(out, "    \"head_dim\": %zu,\n", text->head_dim);
    fprintf(out, "    \"hidden_size\": %zu, \"intermediate_size\": %zu,\n", text->width, text->mlp);
    fprintf(out, "    \"num_attention_heads\": %zu, \"num_key_value_heads\": %zu,\n", text->heads, text->kv_heads);
    fprintf(out, "    \"num_hidden_layers\": %zu, \"num_image_tokens\": %zu\n  },\n", text->layers, tokens);
    fputs("  \"vision_config\": {\n    \"model_type\": \"siglip_vision_model\", \"vision_use_head\": false,\n", out);
    if (vision->image_size != 224)
        fprintf(out, "    \"image_size\": %zu,\n", vision->image_size);
    fprintf(out, "    \"hidden_size\": %zu, \"intermediate_size\": %zu,\n", vision->width, vision->mlp);
    fprintf(out, "    \"num_attention_heads\": %zu, \"num_hidden_layers\": %zu,\n", vision->heads, vision->layers);
    fprintf(out, "    \"num_image_tokens\": %zu, \"patch_size\": %zu, \"projection_dim\": %zu\n  }\n}\n", tokens, vision->patch, text->width);
    return finish(plan, out);
}

static int write_preprocessor(const struct plan *plan)
{
    const size_t side = plan->config.vision.image_size;
    FILE *const out = create(plan, "preprocessor_config.json");
    if (!out)
        return 1;
    fputs("{\n  \"do_convert_rgb\": null, \"do_normalize\": true, \"do_rescale\": true, \"do_resize\": true,\n", out);
    fputs("  \"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [0.5, 0.5, 0.5], \"resample\": 3,\n", out);
    fputs("  \"image_processor_type\": \"SiglipImageProcessor\", \"processor_class\": \"PaliGemmaProcessor\",\n", out);
    fprintf(out, "  \"image_seq_length\": %zu, \"rescale_factor\": 0.00392156862745098,\n", pl_siglip_tokens(&plan->config.vision));
    fprintf(out, "  \"size\": {\"height\": %zu, \"width\": %zu}\n}\n", side, side);
    return finish(plan, out);
}

/* Copies the tokenizer files that are there; one of them has to be. */
static int copy_tokenizer(const struct plan *plan, const char *from)
{
    static const char *const names[] = {"tokenizer.model", "tokenizer.json", "tokenizer_config.json", "added_tokens.json"};
    int copied = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096], block[4096];
        (void)snprintf(path, sizeof path, "%s/%s", from, names[i]);
        FILE *const in = fopen(path, "rb");
        FILE *const out = in ? create(plan, names[i]) : NULL;
        for (size_t n; out && (n = fread(block, 1, sizeof block, in)) > 0;)
            (void)fwrite(block, 1, n, out);
        if (in && (fclose(in) || !out || finish(plan, out)))
            return 1;
        copied += in != NULL;
    }
    return copied ? 0 : fail(from, "tokenizer files");
}

static int usage(void)
{
    fputs("usage: pali-random-checkpoint SHAPE OUTDIR [--dtype bf16|f32] [--seed N] [--tokenizer DIR]\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static struct plan plan = {.type = PL_BF16, .seed = 1};
    const char *tokenizer = NULL;
    if (argc < 3 || argc % 2 == 0)
        return usage();
    pali_error err = {0};
    if (pl_config_from_shape(&plan.config, argv[1], &err) != PALI_OK) {
        fprintf(stderr, "pali-random-checkpoint: %s\n", err.message);
        return 2;
    }
    plan.folder = argv[2];
    for (int i = 3; i < argc; i += 2) {
        if (!strcmp(argv[i], "--dtype") && (!strcmp(argv[i + 1], "bf16") || !strcmp(argv[i + 1], "f32")))
            plan.type = argv[i + 1][0] == 'b' ? PL_BF16 : PL_F32;
        else if (!strcmp(argv[i], "--seed"))
            plan.seed = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--tokenizer"))
            tokenizer = argv[i + 1];
        else
            return usage();
    }
    if (mkdir(plan.folder, 0777) && errno != EEXIST)
        return fail(plan.folder, "create");

    plan_tensors(&plan);
    plan_shards(&plan);
    int failed = write_config(&plan) || write_preprocessor(&plan);
    failed = failed || (tokenizer && copy_tokenizer(&plan, tokenizer));
    for (int i = 0; i < plan.shards; i++)
        failed = failed || write_shard(&plan, i);
    failed = failed || (plan.shards > 1 && write_index(&plan));
    if (!failed)
        printf("%s: %zu tensors, %" PRId64 " bytes, %d files\n", plan.folder, plan.count, plan.total_bytes, plan.shards);
    return failed;
}
