/*
 * A stretch of random blocks is made once for each weight of the list; layers
 * are filled with pieces of it, each from another place, by all threads. Speed
 * does not depend on values, as long as they stay normal numbers.
 */
#include "model/random.h"

#include "base/random.h"
#include "base/text.h"
#include "model/recast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    STRETCH = 1 << 18,   /* bytes of a stretch, about */
    PIECE = 1 << 20,     /* bytes copied as one task, about */
    LARGE_PAGE = 2 << 20, /* weights lie in large pages: fewer misses of the address cache */
    ALIGNMENT = 64
};

static double uniform(uint64_t *state)
{
    return ((double)(pl_random_next(state) >> 11) + 0.5) * 0x1p-53;
}

/* Box and Muller. */
static double normal(uint64_t *state)
{
    const double radius = sqrt(-2 * log(uniform(state)));
    return radius * cos(6.283185307179586 * uniform(state));
}

/*
 * Quantised types: where the f16 scales stand in a block and how many, where a
 * minimum does and what multiple of the scale makes the mean 0, and the
 * deviation of the values when the scale is 1 and all other bits are uniform.
 */
static const struct quantised {
    pl_dtype type;
    size_t scale_at, scales, minimum_at; /* minimum_at 0: none */
    double minimum, deviation;
} quantised[] = {
    {PL_Q8_0, 0, 1, 0, 0, 73.6},
    {PL_Q4_0, 0, 1, 0, 0, 4.64},
    {PL_Q4_K, 0, 1, 2, 7.5, 258},
    {PL_Q5_K, 0, 1, 2, 15.5, 527},
    {PL_Q6_K, 208, 1, 0, 0, 1364},
    {PL_Q8_TILES, 0, 0, 0, 0, 73.6}, /* its scales stand apart, one for each row */
    {PL_Q8_0_TILES, 0, 32, 0, 0, 73.6},
    {PL_Q4_0_TILES, 0, 32, 0, 0, 4.64},
};

/* The row of that type, or NULL. */
static const struct quantised *find_quantised(pl_dtype type)
{
    for (size_t i = 0; i < sizeof quantised / sizeof *quantised; i++)
        if (quantised[i].type == type)
            return &quantised[i];
    return NULL;
}

static void put_f16(unsigned char *at, double value)
{
    const uint16_t bits = pl_f32_to_f16((float)value);
    memcpy(at, &bits, sizeof bits);
}

static void make_quantised(const struct quantised *q, double deviation, uint64_t *state, unsigned char *blocks, size_t count)
{
    const size_t size = pl_dtype_bytes(q->type);
    for (size_t i = 0; i < size * count; i++) {
        const unsigned char bits = (unsigned char)(pl_random_next(state) >> 56);
        blocks[i] = bits == 0x80 ? 0 : bits; /* int8 codes go from -127 to 127 */
    }
    for (size_t i = 0; i < count; i++)
        for (size_t s = 0; s < q->scales; s++) {
            /* 4-bit codes reach one further down than up: alternating signs even that out. */
            const double scale = ((i + s) % 2 ? -deviation : deviation) / q->deviation;
            put_f16(blocks + i * size + q->scale_at + 2 * s, scale);
            if (q->minimum_at)
                put_f16(blocks + i * size + q->minimum_at, scale * q->minimum);
        }
}

/* n values of f32, f16 or bf16. */
static void make_plain(pl_dtype type, double mean, double deviation, uint64_t *state, unsigned char *out, size_t n)
{
    const size_t size = type == PL_F32 ? sizeof(float) : sizeof(uint16_t);
    for (size_t i = 0; i < n; i++) {
        const float value = (float)(mean + deviation * normal(state));
        const uint16_t bits = type == PL_F16 ? pl_f32_to_f16(value) : pl_f32_to_bf16(value);
        memcpy(out + i * size, type == PL_F32 ? (const void *)&value : &bits, size);
    }
}

pali_status pl_random_values_init(pl_random_values *values, pl_dtype type, double mean, double deviation, uint64_t seed, pali_error *err)
{
    const struct quantised *q = find_quantised(type);
    if (!q && type != PL_F32 && type != PL_BF16 && type != PL_F16 && type != PL_BF16_TILES)
        return pl_fail(err, PALI_USAGE, "type: found %s, of which no random weights can be made", pl_dtype_name(type));
    const size_t count = STRETCH / pl_dtype_bytes(type);
    *values = (pl_random_values){.type = type, .count = count, .blocks = pl_new_raw(count, pl_dtype_bytes(type), "random values", err)};
    if (!values->blocks)
        return PALI_MEMORY;
    uint64_t state = seed * 0xd1342543de82ef95u;
    if (q)
        make_quantised(q, deviation, &state, values->blocks, count);
    else
        make_plain(type, mean, deviation, &state, values->blocks, count * pl_dtype_block(type) * pl_dtype_rows(type));
    return PALI_OK;
}

void pl_random_values_copy(const pl_random_values *values, uint64_t piece, unsigned char *out, size_t bytes)
{
    const size_t size = pl_dtype_bytes(values->type), whole = values->count * size;
    size_t at = pl_random_next(&piece) % values->count * size;
    while (bytes) {
        const size_t n = pl_min(bytes, whole - at);
        memcpy(out, values->blocks + at, n);
        out += n;
        bytes -= n;
        at = 0;
    }
}

void pl_random_spread(const pl_weight *weight, const pl_config *config, double *mean, double *deviation)
{
    const bool language = weight->part == PL_PART_TEXT || weight->part == PL_PART_TEXT_LAYER;
    *mean = 0;
    if (weight->columns != PL_DIM_NONE) {
        *deviation = 1 / sqrt((double)pl_dim_size(config, weight->columns));
    } else if (pl_ends_with(weight->name, ".bias")) {
        *deviation = 0.02;
    } else { /* RMSNorm weights are offsets from one */
        *mean = language ? 1 - (double)config->text.norm_offset : 1;
        *deviation = 0.1;
    }
}

pl_dtype pl_random_type(const pl_weight *weight, const pl_config *config, pl_dtype type, size_t *bytes)
{
    const size_t shape[2] = {pl_dim_size(config, weight->rows), pl_dim_size(config, weight->columns)};
    type = pl_weight_type(weight, config, type);
    pl_shape_bytes(type, shape, 2, bytes);
    return type;
}

/* Of the scales of rows that stand beside a weight. */
static size_t scale_bytes(pl_dtype type, size_t rows)
{
    return type == PL_Q8_TILES ? rows * sizeof(float) : 0;
}

size_t pl_random_bytes(const pl_config *config, pl_dtype type)
{
    size_t total = 0, bytes;
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++) {
        if (!pl_weight_present(config, w))
            continue;
        const pl_dtype own = pl_random_type(w, config, type, &bytes);
        bytes = pl_round_up(bytes, ALIGNMENT) + pl_round_up(scale_bytes(own, pl_dim_size(config, w->rows)), ALIGNMENT);
        total += pl_part_layers(config, w->part) * bytes;
    }
    return total;
}

typedef struct fill_job {
    const pl_random_values *values;
    unsigned char *out;
    size_t bytes, step; /* of the weight, of a task */
    uint64_t layer;
} fill_job;

static void fill_piece(void *context, size_t task, size_t thread)
{
    (void)thread;
    const fill_job *job = context;
    const size_t at = task * job->step;
    pl_random_values_copy(job->values, job->layer << 32 | task, job->out + at, pl_min(job->step, job->bytes - at));
}

/* Makes one weight in every layer, from *at on. */
static pali_status fill_weight(pl_paligemma *model, const pl_weight *weight, pl_dtype type, pl_pool *pool, unsigned char **at, pali_error *err)
{
    size_t bytes;
    double mean, deviation;
    pl_random_values values;
    pl_random_spread(weight, &model->config, &mean, &deviation);
    type = pl_random_type(weight, &model->config, type, &bytes);
    const pali_status status = pl_random_values_init(&values, type, mean, deviation, (uint64_t)(weight - pl_weights) + 1, err);
    if (status != PALI_OK)
        return status;
    const pl_tensor shape = {.dtype = type, .rank = 2, .shape = {pl_dim_size(&model->config, weight->rows), pl_dim_size(&model->config, weight->columns)}};
    for (size_t layer = 0; layer < pl_part_layers(&model->config, weight->part); layer++) {
        const size_t step = PIECE / pl_dtype_bytes(type) * pl_dtype_bytes(type);
        fill_job job = {.values = &values, .out = *at, .bytes = bytes, .step = step, .layer = layer};
        pl_pool_run(pool, (bytes + step - 1) / step, fill_piece, &job);
        pl_tensor tensor = shape;
        tensor.data = *at;
        *at += pl_round_up(bytes, ALIGNMENT);
        const size_t rows = shape.shape[0], scales = scale_bytes(type, rows);
        float *scale = (float *)(void *)*at;
        for (size_t r = 0; scales && r < rows; r++)
            scale[r] = (float)(deviation / find_quantised(type)->deviation);
        tensor.scale = scales ? scale : NULL;
        *at += pl_round_up(scales, ALIGNMENT);
        pl_paligemma_point(model, weight, layer, &tensor);
        model->parameters += rows * shape.shape[1];
        model->weight_bytes += bytes + scales;
    }
    free(values.blocks);
    return PALI_OK;
}

static pali_status fill(pl_paligemma *model, pl_dtype type, pl_pool *pool, pali_error *err)
{
    const pl_config *config = &model->config;
    const size_t bytes = pl_round_up(pl_random_bytes(config, type), LARGE_PAGE);
    model->siglip.blocks = pl_new(config->vision.layers, sizeof *model->siglip.blocks, "model", err);
    model->gemma.layers = pl_new(config->text.layers, sizeof *model->gemma.layers, "model", err);
    model->blocks = pl_new(1, sizeof *model->blocks, "model", err);
    if (!model->siglip.blocks || !model->gemma.layers || !model->blocks)
        return PALI_MEMORY;
    unsigned char *at = aligned_alloc(LARGE_PAGE, bytes);
    if (!at)
        return pl_fail_memory(err, "weights", bytes);
    model->blocks[model->block_count++] = at;
#ifdef MADV_HUGEPAGE
    madvise(at, bytes, MADV_HUGEPAGE);
#endif
    pali_status status = PALI_OK;
    for (const pl_weight *w = pl_weights; status == PALI_OK && w < pl_weights + pl_weight_count; w++)
        if (pl_weight_present(config, w))
            status = fill_weight(model, w, type, pool, &at, err);
    model->gemma.head = (pl_linear){.weight = model->gemma.embedding};
    return status;
}

pl_paligemma *pl_paligemma_random(const pl_config *config, pl_dtype type, pl_pool *pool, pali_error *err)
{
    pl_paligemma *model = pl_new(1, sizeof *model, "model", err);
    if (!model)
        return NULL;
    model->config = *config;
    model->siglip.config = config->vision;
    model->gemma.config = config->text;
    if (fill(model, type, pool, err) == PALI_OK)
        return model;
    pl_paligemma_close(model);
    return NULL;
}
