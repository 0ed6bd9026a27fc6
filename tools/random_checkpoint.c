/* pali-random-checkpoint: writes a full-size Hugging Face folder of PaliGemma with random weights, for measuring
   speed and memory where released weights are not at hand. Each tensor draws from its own table of 4096 normal
   values of a scale that keeps activations finite, twelve random bits an element, so that billions of elements take
   seconds. Names, shapes, configuration and sharding follow the released files; a shard is renamed when complete. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    VOCABULARY = 257152,
    ROWS = VOCABULARY + 64, /* <image>, a pad slot, rounded up */
    PATCH = 14,
    PATCH_VALUES = 3 * PATCH * PATCH,
    VISION_WIDTH = 1152,
    VISION_MLP = 4304,
    VISION_LAYERS = 27,
    VISION_HEADS = 16,
    MAX_TENSORS = 1024,
    HEADER_BYTES = MAX_TENSORS * 256, /* of safetensors, filled up with spaces; an entry is shorter than 256 */
    TABLE_BITS = 12,
    TABLE_SIZE = 1 << TABLE_BITS,
    CHUNK = 1 << 18 /* elements generated between two writes */
};
static const int64_t shard_bytes = 5000000000;

struct shape {
    const char *name; /* before "-224" and so on */
    const char *family;
    int64_t width, layers, mlp, heads, kv_heads, head_dim;
    int64_t query_scalar; /* 0: Gemma 1, which has none */
    int image;
};

static const struct shape shapes[] = {
    {"paligemma-3b", "gemma", 2048, 18, 16384, 8, 1, 256, 0, 0},
    {"paligemma2-3b", "gemma2", 2304, 26, 9216, 8, 4, 256, 256, 0},
    {"paligemma2-10b", "gemma2", 3584, 42, 14336, 16, 8, 256, 256, 0},
    {"paligemma2-28b", "gemma2", 4608, 46, 36864, 32, 16, 128, 144, 0},
};

struct tensor {
    char name[112];
    int64_t rows, columns; /* columns 0: a vector; PATCH_VALUES: the convolution kernel [rows, 3, 14, 14] */
    double mean, deviation;
    int64_t bytes;
    int shard;
};

struct plan {
    const char *folder;
    uint64_t seed;
    size_t element;                     /* bytes: 2 bf16, 4 f32 */
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

static void add(struct plan *plan, const char *prefix, const char *name, struct tensor tensor)
{
    (void)snprintf(tensor.name, sizeof tensor.name, "%s%s", prefix, name);
    tensor.bytes = tensor.rows * (tensor.columns ? tensor.columns : 1) * (int64_t)plan->element;
    plan->tensors[plan->count++] = tensor;
    plan->total_bytes += tensor.bytes;
}

/* [out, in], scaled so that outputs are about as large as inputs; in 0: an RMSNorm weight [out], offsets from one */
static void add_plain(struct plan *plan, const char *prefix, const char *name, int64_t out, int64_t in)
{
    add(plan, prefix, name, (struct tensor){.rows = out, .columns = in, .deviation = in ? 1 / sqrt((double)in) : 0.1});
}

/* in 0: a LayerNorm */
static void add_affine(struct plan *plan, const char *prefix, const char *name, int64_t out, int64_t in)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s%s", prefix, name);
    if (in)
        add_plain(plan, path, ".weight", out, in);
    else
        add(plan, path, ".weight", (struct tensor){.rows = out, .mean = 1, .deviation = 0.1});
    add(plan, path, ".bias", (struct tensor){.rows = out, .deviation = 0.02});
}

static void plan_vision(struct plan *plan, const struct shape *s)
{
    const char *const vision = "vision_tower.vision_model.";
    const int64_t tokens = (s->image / PATCH) * (s->image / PATCH);
    add_affine(plan, vision, "embeddings.patch_embedding", VISION_WIDTH, PATCH_VALUES);
    add_plain(plan, vision, "embeddings.position_embedding.weight", tokens, VISION_WIDTH);
    for (int n = 0; n < VISION_LAYERS; n++) {
        char layer[64];
        (void)snprintf(layer, sizeof layer, "%sencoder.layers.%d.", vision, n);
        add_affine(plan, layer, "layer_norm1", VISION_WIDTH, 0);
        add_affine(plan, layer, "layer_norm2", VISION_WIDTH, 0);
        add_affine(plan, layer, "mlp.fc1", VISION_MLP, VISION_WIDTH);
        add_affine(plan, layer, "mlp.fc2", VISION_WIDTH, VISION_MLP);
        add_affine(plan, layer, "self_attn.k_proj", VISION_WIDTH, VISION_WIDTH);
        add_affine(plan, layer, "self_attn.out_proj", VISION_WIDTH, VISION_WIDTH);
        add_affine(plan, layer, "self_attn.q_proj", VISION_WIDTH, VISION_WIDTH);
        add_affine(plan, layer, "self_attn.v_proj", VISION_WIDTH, VISION_WIDTH);
    }
    add_affine(plan, vision, "post_layernorm", VISION_WIDTH, 0);
    add_affine(plan, "multi_modal_projector.", "linear", s->width, VISION_WIDTH);
}

static void plan_text(struct plan *plan, const struct shape *s)
{
    const char *const text = "language_model.model.";
    add_plain(plan, text, "embed_tokens.weight", ROWS, s->width);
    for (int64_t n = 0; n < s->layers; n++) {
        char layer[64];
        (void)snprintf(layer, sizeof layer, "%slayers.%" PRId64 ".", text, n);
        add_plain(plan, layer, "input_layernorm.weight", s->width, 0);
        add_plain(plan, layer, "mlp.down_proj.weight", s->width, s->mlp);
        add_plain(plan, layer, "mlp.gate_proj.weight", s->mlp, s->width);
        add_plain(plan, layer, "mlp.up_proj.weight", s->mlp, s->width);
        add_plain(plan, layer, "post_attention_layernorm.weight", s->width, 0);
        if (s->query_scalar) {
            add_plain(plan, layer, "post_feedforward_layernorm.weight", s->width, 0);
            add_plain(plan, layer, "pre_feedforward_layernorm.weight", s->width, 0);
        }
        add_plain(plan, layer, "self_attn.k_proj.weight", s->kv_heads * s->head_dim, s->width);
        add_plain(plan, layer, "self_attn.o_proj.weight", s->width, s->heads * s->head_dim);
        add_plain(plan, layer, "self_attn.q_proj.weight", s->heads * s->head_dim, s->width);
        add_plain(plan, layer, "self_attn.v_proj.weight", s->kv_heads * s->head_dim, s->width);
    }
    add_plain(plan, text, "norm.weight", s->width, 0);
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

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* One sample of the normal distribution, by Box and Muller. */
static double next_normal(uint64_t *state)
{
    const double u = ((double)(next_random(state) >> 11) + 0.5) / 9007199254740992.0;
    const double v = (double)(next_random(state) >> 11) / 9007199254740992.0;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* One tensor in chunks of table entries, five to each 64-bit draw. Both tables are filled, one is used. */
static void write_tensor(FILE *file, const struct plan *plan, const struct tensor *tensor)
{
    static float table32[TABLE_SIZE], chunk32[CHUNK];
    static uint16_t table16[TABLE_SIZE], chunk16[CHUNK];
    uint64_t state = plan->seed * UINT64_C(0xd1342543de82ef95) + (uint64_t)(tensor - plan->tensors) * UINT64_C(0x2545f4914f6cdd1d);
    for (int i = 0; i < TABLE_SIZE; i++) {
        table32[i] = (float)(tensor->mean + tensor->deviation * next_normal(&state));
        uint32_t word;
        memcpy(&word, &table32[i], sizeof word);
        table16[i] = (uint16_t)(word >> 16);
    }
    uint64_t bits = 0;
    for (int64_t left = tensor->bytes / (int64_t)plan->element; left > 0 && !ferror(file);) {
        const size_t n = left < CHUNK ? (size_t)left : CHUNK;
        for (size_t i = 0; i < n; i++) {
            bits = i % 5 == 0 ? next_random(&state) : bits >> TABLE_BITS;
            if (plan->element == 2)
                chunk16[i] = table16[bits & (TABLE_SIZE - 1)];
            else
                chunk32[i] = table32[bits & (TABLE_SIZE - 1)];
        }
        left -= (int64_t)fwrite(plan->element == 2 ? (void *)chunk16 : (void *)chunk32, plan->element, n, file);
    }
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
        fprintf(file, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, plan->element == 2 ? "BF16" : "F32");
        fprintf(file, t->columns == PATCH_VALUES ? "%" PRId64 ",3,14,14" : "%" PRId64, t->rows);
        if (t->columns && t->columns != PATCH_VALUES)
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
    for (size_t i = 0; i < plan->count && !ferror(file); i++)
        if (plan->tensors[i].shard == shard)
            write_tensor(file, plan, &plan->tensors[i]);
    if (finish(plan, file) == 0)
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
static int write_config(const struct plan *plan, const struct shape *s)
{
    const int tokens = (s->image / PATCH) * (s->image / PATCH);
    FILE *const out = create(plan, "config.json");
    if (!out)
        return 1;
    fputs("{\n  \"architectures\": [\"PaliGemmaForConditionalGeneration\"], \"model_type\": \"paligemma\",\n", out);
    fputs("  \"bos_token_id\": 2, \"eos_token_id\": 1, \"pad_token_id\": 0, \"ignore_index\": -100,\n", out);
    fprintf(out, "  \"_vocab_size\": %d, \"image_token_index\": %d, \"torch_dtype\": \"%s\",\n", VOCABULARY, VOCABULARY, plan->element == 2 ? "bfloat16" : "float32");
    fprintf(out, "  \"hidden_size\": %" PRId64 ", \"projection_dim\": %" PRId64 ",\n", s->width, s->width);
    fprintf(out, "  \"text_config\": {\n    \"model_type\": \"%s\", \"vocab_size\": %d,\n", s->family, ROWS);
    if (s->query_scalar) {
        fputs("    \"attn_logit_softcapping\": 50.0, \"final_logit_softcapping\": 30.0, \"sliding_window\": 4096,\n", out);
        fputs("    \"hidden_activation\": \"gelu_pytorch_tanh\",\n", out);
        fprintf(out, "    \"head_dim\": %" PRId64 ", \"query_pre_attn_scalar\": %" PRId64 ",\n", s->head_dim, s->query_scalar);
    }
    fprintf(out, "    \"hidden_size\": %" PRId64 ", \"intermediate_size\": %" PRId64 ",\n", s->width, s->mlp);
    fprintf(out, "    \"num_attention_heads\": %" PRId64 ", \"num_key_value_heads\": %" PRId64 ",\n", s->heads, s->kv_heads);
    fprintf(out, "    \"num_hidden_layers\": %" PRId64 ", \"num_image_tokens\": %d\n  },\n", s->layers, tokens);
    fprintf(out, "  \"vision_config\": {\n    \"model_type\": \"siglip_vision_model\", \"vision_use_head\": false,\n");
    if (s->image != 224)
        fprintf(out, "    \"image_size\": %d,\n", s->image);
    fprintf(out, "    \"hidden_size\": %d, \"intermediate_size\": %d,\n", VISION_WIDTH, VISION_MLP);
    fprintf(out, "    \"num_attention_heads\": %d, \"num_hidden_layers\": %d,\n", VISION_HEADS, VISION_LAYERS);
    fprintf(out, "    \"num_image_tokens\": %d, \"patch_size\": %d, \"projection_dim\": %" PRId64 "\n  }\n}\n", tokens, PATCH, s->width);
    return finish(plan, out);
}

static int write_preprocessor(const struct plan *plan, int image)
{
    FILE *const out = create(plan, "preprocessor_config.json");
    if (!out)
        return 1;
    fputs("{\n  \"do_convert_rgb\": null, \"do_normalize\": true, \"do_rescale\": true, \"do_resize\": true,\n", out);
    fputs("  \"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [0.5, 0.5, 0.5], \"resample\": 3,\n", out);
    fputs("  \"image_processor_type\": \"SiglipImageProcessor\", \"processor_class\": \"PaliGemmaProcessor\",\n", out);
    fprintf(out, "  \"image_seq_length\": %d, \"rescale_factor\": 0.00392156862745098,\n", (image / PATCH) * (image / PATCH));
    fprintf(out, "  \"size\": {\"height\": %d, \"width\": %d}\n}\n", image, image);
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

/* "paligemma2-3b-448": a row of the table and its resolution; image 0 if there is no such shape. */
static struct shape find_shape(const char *name)
{
    static const int images[] = {224, 448, 896};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes * 3; i++) {
        struct shape shape = shapes[i / 3];
        char full[64];
        shape.image = images[i % 3];
        (void)snprintf(full, sizeof full, "%s-%d", shape.name, shape.image);
        if (strcmp(full, name) == 0)
            return shape;
    }
    return (struct shape){.image = 0};
}

static int usage(void)
{
    fputs("usage: pali-random-checkpoint SHAPE OUTDIR [--dtype bf16|f32] [--seed N] [--tokenizer DIR]\n", stderr);
    fputs("SHAPE: paligemma-3b, paligemma2-3b, paligemma2-10b or paligemma2-28b, then -224, -448 or -896\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static struct plan plan = {.element = 2, .seed = 1};
    const char *tokenizer = NULL;
    if (argc < 3 || argc % 2 == 0)
        return usage();
    const struct shape shape = find_shape(argv[1]);
    plan.folder = argv[2];
    for (int i = 3; i < argc; i += 2) {
        if (!strcmp(argv[i], "--dtype") && (!strcmp(argv[i + 1], "bf16") || !strcmp(argv[i + 1], "f32")))
            plan.element = argv[i + 1][0] == 'b' ? 2 : 4;
        else if (!strcmp(argv[i], "--seed"))
            plan.seed = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--tokenizer"))
            tokenizer = argv[i + 1];
        else
            return usage();
    }
    if (!shape.image)
        return usage();
    if (mkdir(plan.folder, 0777) && errno != EEXIST)
        return fail(plan.folder, "create");

    plan_text(&plan, &shape);
    plan_vision(&plan, &shape);
    plan_shards(&plan);
    int failed = write_config(&plan, &shape) || write_preprocessor(&plan, shape.image);
    failed = failed || (tokenizer && copy_tokenizer(&plan, tokenizer));
    for (int i = 0; i < plan.shards; i++)
        failed = failed || write_shard(&plan, i);
    failed = failed || (plan.shards > 1 && write_index(&plan));
    if (!failed)
        printf("%s: %zu tensors, %" PRId64 " bytes, %d files\n", plan.folder, plan.count, plan.total_bytes, plan.shards);
    return failed;
}
