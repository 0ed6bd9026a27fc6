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

/* What follows a layer's product: y itself, or a fresh matrix where backward will want both. */
static pl_rows finish_layer(pl_context *ctx, const pl_codec_layer *layer, pl_rows y, pl_rows input)
{
    if (layer->relu)
        pl_op_relu(ctx, y, y);
    if (layer->block != PL_BLOCK_LAST)
        return y;
    const pl_rows sum = pl_rows_or_fresh(ctx, y);
    pl_op_add(ctx, y, input, sum);
    return sum;
}

/* Layers first..end of x; the result lies in the arena. */
static pl_grid run_layers(pl_context *ctx, const pl_codec *codec, size_t first, size_t end, pl_grid x)
{
    const size_t pictures = x.rows.count / (x.height * x.width);
    pl_grid input = x; /* of the block */
    for (size_t i = first; i < end; i++) {
        const pl_codec_layer *layer = &pl_codec_layers[i];
        const pl_convolution *c = &codec->layers[i];
        const size_t out = c->map.weight.shape[0] / (layer->transposed ? layer->kernel * layer->kernel : 1);
        size_t (*const side)(const pl_convolution *c, size_t side) = layer->transposed ? pl_convolution_transposed_side : pl_convolution_side;
        pl_grid y = pl_grid_push(ctx, pictures, side(c, x.height), side(c, x.width), out);
        if (layer->block == PL_BLOCK_FIRST)
            input = x;
        (layer->transposed ? pl_op_convolution_transposed : pl_op_convolution)(ctx, c, x, y);
        y.rows = finish_layer(ctx, layer, y.rows, input.rows);
        x = y;
    }
    return x;
}

pl_grid pl_codec_encoder(pl_context *ctx, const pl_codec *codec, pl_grid maps)
{
    return run_layers(ctx, codec, 0, PL_CODEC_DECODER, maps);
}

pl_grid pl_codec_decoder(pl_context *ctx, const pl_codec *codec, pl_grid vectors)
{
    return run_layers(ctx, codec, PL_CODEC_DECODER, PL_CODEC_LAYERS, vectors);
}

/* ---- Codes ------------------------------------------------------------ */

void pl_codec_measure_codes(pl_codec *codec)
{
    for (size_t i = 0; i < PL_SEGMENT_CODES; i++) {
        const float *code = pl_tensor_row(&codec->codes, i);
        codec->code_norms[i] = 0;
        for (size_t j = 0; j < codec->width; j++)
            codec->code_norms[i] += code[j] * code[j];
    }
}

/*
 * Squared distances to all codes as |v|^2 + |e|^2 - 2 v e, in this order as
 * published, so that near ties fall alike.
 */
static uint8_t nearest_code(const pl_codec *codec, const float *vector, const float *products)
{
    float norm = 0, best = 0;
    uint8_t found = 0;
    for (size_t i = 0; i < codec->width; i++)
        norm += vector[i] * vector[i];
    for (size_t code = 0; code < PL_SEGMENT_CODES; code++) {
        const float distance = norm + codec->code_norms[code] - 2 * products[code];
        if (code == 0 || distance < best) {
            best = distance;
            found = (uint8_t)code;
        }
    }
    return found;
}

bool pl_codec_nearest(pl_context *ctx, const pl_codec *codec, pl_rows vectors, uint8_t *codes)
{
    pl_context plain = *ctx;
    plain.tape = NULL;
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows products = pl_rows_push(&plain, vectors.count, PL_SEGMENT_CODES);
    const pl_linear codebook = {.weight = codec->codes};
    pl_op_linear(&plain, &codebook, vectors, products);
    ctx->failed |= plain.failed;
    bool finite = true;
    if (!pl_dry(ctx))
        finite = ctx->kernels->all_finite(vectors.count * vectors.width, vectors.data) && ctx->kernels->all_finite(products.count * products.width, products.data);
    for (size_t t = 0; t < vectors.count && !pl_dry(ctx); t++)
        codes[t] = nearest_code(codec, vectors.data + t * vectors.width, products.data + t * products.width);
    pl_arena_release(ctx->arena, mark);
    return finite;
}

/* ---- One mask --------------------------------------------------------- */

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

static pali_status not_finite(const pl_codec *codec, const char *what, pali_error *err)
{
    return pl_fail(err, PALI_MODEL, "%s: found values that are not finite in %s, expected finite ones; the weights are damaged", codec->path, what);
}

static pali_status encode(const passage *p, pl_context *ctx, pali_error *err)
{
    const pl_grid x = pl_grid_push(ctx, 1, PL_CODEC_SIDE, PL_CODEC_SIDE, 1);
    if (!pl_dry(ctx))
        memcpy(x.rows.data, p->map, PL_CODEC_SIDE * PL_CODEC_SIDE * sizeof *p->map);
    const pl_grid vectors = pl_codec_encoder(ctx, p->codec, x);
    return pl_codec_nearest(ctx, p->codec, vectors.rows, p->found) ? PALI_OK : not_finite(p->codec, "the vectors of a mask", err);
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
    const pl_grid y = pl_codec_decoder(ctx, codec, x);
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
