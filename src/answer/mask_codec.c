/*
 * The network of the mask codec: layers run one after the other on an arena
 * that a dry run has sized; products take floats, so that results are those of
 * the published code to f32 rounding.
 */
#include "answer/mask_codec.h"

#include <string.h>

#define DOWN(name) {name, false, 4, 2, 1, true, PL_BLOCK_NONE}
#define UP(name) {name, true, 4, 2, 1, true, PL_BLOCK_NONE}
#define ONE(name, relu) {name, false, 1, 1, 0, relu, PL_BLOCK_NONE}
#define BLOCK(name) {name ".net.0", false, 3, 1, 1, true, PL_BLOCK_FIRST}, {name ".net.2", false, 3, 1, 1, true, PL_BLOCK_INSIDE}, {name ".net.4", false, 1, 1, 0, false, PL_BLOCK_LAST}

const pl_codec_layer pl_codec_layers[PL_CODEC_LAYERS] = {
    DOWN("encoder.0"), DOWN("encoder.2"), DOWN("encoder.4"), DOWN("encoder.6"), BLOCK("encoder.8"), BLOCK("encoder.9"), ONE("encoder.10", false),
    ONE("decoder.0", true), BLOCK("decoder.2"), BLOCK("decoder.3"), UP("decoder.4"), UP("decoder.6"), UP("decoder.8"), UP("decoder.10"), ONE("decoder.12", false),
};

/* Layers first..end of x; the result lies in the arena. */
static pl_grid run_layers(pl_context *ctx, const pl_codec *codec, size_t first, size_t end, pl_grid x)
{
    pl_grid input = x; /* of the block */
    for (size_t i = first; i < end; i++) {
        const pl_codec_layer *layer = &pl_codec_layers[i];
        const pl_convolution *c = &codec->layers[i];
        const size_t out = c->map.weight.shape[0] / (layer->transposed ? layer->kernel * layer->kernel : 1);
        size_t (*const side)(const pl_convolution *c, size_t side) = layer->transposed ? pl_convolution_transposed_side : pl_convolution_side;
        const pl_grid y = pl_grid_push(ctx, 1, side(c, x.height), side(c, x.width), out);
        if (layer->block == PL_BLOCK_FIRST)
            input = x;
        (layer->transposed ? pl_op_convolution_transposed : pl_op_convolution)(ctx, c, x, y);
        if (layer->relu)
            pl_op_relu(ctx, y.rows, y.rows);
        if (layer->block == PL_BLOCK_LAST)
            pl_op_add(ctx, y.rows, input.rows, y.rows);
        x = y;
    }
    return x;
}

/* One way through the network; `work` is run twice, dry at first. */
typedef struct passage {
    const pl_codec *codec;
    const float *map; /* [64, 64] to encode, and what they are encoded to */
    uint8_t *found;
    const uint8_t *codes; /* to decode, and the map [64, 64] that they give */
    float *out;
    pali_status (*work)(const struct passage *p, pl_context *ctx, pali_error *err);
} passage;

static pali_status run(const passage *p, const pl_hands *hands, pali_error *err)
{
    pl_arena arena = pl_arena_plan();
    pl_context ctx = {.kernels = hands->kernels, .pool = hands->pool, .arena = &arena, .activations = PL_ACTIVATIONS_F32, .regime = PL_REGIME_PREFILL};
    pali_status status = p->work(p, &ctx, err);
    if (status == PALI_OK)
        status = ctx.failed ? pl_fail_memory(err, "mask codec", 0) : pl_arena_init(&arena, arena.peak, "mask codec", err);
    if (status != PALI_OK)
        return status;
    status = p->work(p, &ctx, err);
    if (status == PALI_OK && ctx.failed)
        status = pl_fail(err, PALI_FAILED, "mask codec: its memory was planned too small");
    pl_arena_free(&arena);
    return status;
}

/*
 * Squared distances to all codes as |v|^2 + |e|^2 - 2 v e, in this order as
 * published, so that near ties fall alike.
 */
static void nearest(const pl_codec *codec, pl_rows vectors, pl_rows products, uint8_t codes[PALI_MASK_TOKENS])
{
    for (size_t t = 0; t < PALI_MASK_TOKENS; t++) {
        float norm = 0, best = 0;
        for (size_t i = 0; i < vectors.width; i++)
            norm += vectors.data[t * vectors.width + i] * vectors.data[t * vectors.width + i];
        for (size_t code = 0; code < PL_SEGMENT_CODES; code++) {
            const float distance = norm + codec->code_norms[code] - 2 * products.data[t * products.width + code];
            if (code == 0 || distance < best) {
                best = distance;
                codes[t] = (uint8_t)code;
            }
        }
    }
}

static pali_status not_finite(const pl_codec *codec, const char *what, pali_error *err)
{
    return pl_fail(err, PALI_MODEL, "%s: found values that are not finite in %s, expected finite ones; the weights are damaged", codec->path, what);
}

static pali_status encode(const passage *p, pl_context *ctx, pali_error *err)
{
    const pl_grid x = pl_grid_push(ctx, 1, PL_CODEC_SIDE, PL_CODEC_SIDE, 1);
    if (!pl_dry(ctx))
        memcpy(x.rows.data, p->map, PL_CODEC_SIDE * PL_CODEC_SIDE * sizeof *p->map);
    const pl_grid vectors = run_layers(ctx, p->codec, 0, PL_CODEC_DECODER, x);
    const pl_rows products = pl_rows_push(ctx, vectors.rows.count, PL_SEGMENT_CODES);
    const pl_linear codebook = {.weight = p->codec->codes};
    pl_op_linear(ctx, &codebook, vectors.rows, products);
    if (pl_dry(ctx))
        return PALI_OK;
    if (!ctx->kernels->all_finite(vectors.rows.count * vectors.rows.width, vectors.rows.data) || !ctx->kernels->all_finite(products.count * products.width, products.data))
        return not_finite(p->codec, "the vectors of a mask", err);
    nearest(p->codec, vectors.rows, products, p->found);
    return PALI_OK;
}

pali_status pl_codec_encode_map(const pl_codec *codec, const pl_hands *hands, const float *map, uint8_t codes[PALI_MASK_TOKENS], pali_error *err)
{
    const passage p = {.codec = codec, .map = map, .found = codes, .work = encode};
    return run(&p, hands, err);
}

static pali_status decode(const passage *p, pl_context *ctx, pali_error *err)
{
    const pl_codec *codec = p->codec;
    const pl_grid x = pl_grid_push(ctx, 1, PL_CODEC_GRID, PL_CODEC_GRID, codec->width);
    if (!pl_dry(ctx))
        for (size_t t = 0; t < PALI_MASK_TOKENS; t++)
            memcpy(x.rows.data + t * codec->width, pl_tensor_row(&codec->codes, p->codes[t]), codec->width * sizeof(float));
    const pl_grid y = run_layers(ctx, codec, PL_CODEC_DECODER, PL_CODEC_LAYERS, x);
    if (pl_dry(ctx))
        return PALI_OK;
    memcpy(p->out, y.rows.data, PL_CODEC_SIDE * PL_CODEC_SIDE * sizeof *p->out);
    return ctx->kernels->all_finite(PL_CODEC_SIDE * PL_CODEC_SIDE, p->out) ? PALI_OK : not_finite(codec, "a decoded mask", err);
}

pali_status pl_codec_decode_map(const pl_codec *codec, const pl_hands *hands, const uint8_t codes[PALI_MASK_TOKENS], float *map, pali_error *err)
{
    for (size_t i = 0; i < PALI_MASK_TOKENS; i++)
        if (codes[i] >= PL_SEGMENT_CODES)
            return pl_fail(err, PALI_INPUT, "mask codes: found %u as code %zu, expected 0 to %d", codes[i], i + 1, PL_SEGMENT_CODES - 1);
    const passage p = {.codec = codec, .codes = codes, .out = map, .work = decode};
    return run(&p, hands, err);
}
