/* The ops and how they are called. Sizes are odd, and in some cases larger than the blocks that work is cut into. */
#include "ops/gradient_cases.h"

/* ---- Products --------------------------------------------------------- */

static pl_tensor matrix(pl_rows rows)
{
    return (pl_tensor){.dtype = PL_F32, .rank = 2, .shape = {rows.count, rows.width}, .data = rows.data};
}

/* Affine map number n of the room: of inputs i (weight) and i + 1 (bias). */
static const pl_linear *linear_of(case_room *room, size_t n, size_t i)
{
    room->linear[n] = (pl_linear){.weight = matrix(room->in[i]), .bias = room->in[i + 1].data};
    return &room->linear[n];
}

/* The same without a bias. */
static const pl_linear *map_of(case_room *room, size_t n, size_t i)
{
    room->linear[n] = (pl_linear){.weight = matrix(room->in[i])};
    return &room->linear[n];
}

/* An adapter of inputs i (A) and i + 1 (B) on map n. */
static void adapt(case_room *room, size_t n, size_t i, float scale)
{
    room->rank[n] = (pl_low_rank){.a = room->in[i].data, .b = room->in[i + 1].data, .rank = room->in[i].count, .scale = scale, .next = room->linear[n].adapters};
    room->linear[n].adapters = &room->rank[n];
}

#define X_IN {"x", ACTIVATION, 5, 37, 0, 0}
#define MAP {"weight", WEIGHT, 23, 37, 0.2, 0}, {"bias", WEIGHT, 1, 23, 0, 0}
#define ADAPTER {"A", WEIGHT, 3, 37, 0.2, 0}, {"B", WEIGHT, 23, 3, 0.5, 0}

static pl_rows run_linear(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, room->in[1].count);
    pl_op_linear(ctx, room->in[2].count ? linear_of(room, 0, 1) : map_of(room, 0, 1), x, y);
    return y;
}

static pl_rows run_linear_of_views(pl_context *ctx, case_room *room)
{
    const pl_rows x = pl_rows_view(room->in[0], 2, 3), y = pl_rows_push(ctx, 7, room->in[1].count);
    const pl_linear *linear = linear_of(room, 0, 1);
    pl_op_linear(ctx, linear, pl_rows_view(room->in[0], 0, 4), pl_rows_view(y, 0, 4));
    pl_op_linear(ctx, linear, x, pl_rows_view(y, 4, 3));
    return y;
}

static pl_rows run_adapted(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, room->in[1].count);
    linear_of(room, 0, 1);
    adapt(room, 0, 3, (float)1.5);
    pl_op_linear(ctx, &room->linear[0], x, y);
    return y;
}

static pl_rows run_adapted_twice(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, room->in[1].count);
    linear_of(room, 0, 1);
    adapt(room, 0, 3, (float)1.5);
    room->rank[1] = (pl_low_rank){.a = room->in[5].data, .b = room->in[6].data, .rank = room->in[5].count, .scale = (float)-0.5, .next = &room->rank[0]};
    room->linear[0].adapters = &room->rank[1];
    pl_op_linear(ctx, &room->linear[0], x, y);
    return y;
}

static pl_rows run_linear_gelu(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, room->in[1].count);
    linear_of(room, 0, 1);
    if (room->in[3].count)
        adapt(room, 0, 3, 1);
    pl_op_linear_gelu(ctx, &room->linear[0], x, y);
    return y;
}

static pl_rows run_linear_add(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, room->in[1].count);
    linear_of(room, 0, 1);
    if (room->in[4].count)
        adapt(room, 0, 4, 1);
    pl_op_linear_add(ctx, &room->linear[0], x, room->in[3], y);
    return y;
}

static pl_rows run_linear_softcap(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, room->in[1].count);
    linear_of(room, 0, 1);
    if (room->in[3].count)
        adapt(room, 0, 3, 1);
    pl_op_linear_softcap(ctx, &room->linear[0], 2, x, y);
    return y;
}

static pl_rows run_linear_uncapped(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, room->in[1].count);
    pl_op_linear_softcap(ctx, map_of(room, 0, 1), 0, x, y);
    return y;
}

static pl_rows run_linear_geglu(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, room->in[1].count);
    map_of(room, 0, 1);
    map_of(room, 1, 2);
    if (room->in[3].count)
        adapt(room, 1, 3, 1);
    pl_op_linear_geglu(ctx, &room->linear[0], &room->linear[1], x, y);
    return y;
}

/* ---- Rows ------------------------------------------------------------- */

static pl_rows run_layernorm(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, x.width);
    pl_op_layernorm(ctx, x, room->in[1].data, room->in[2].data, (float)1e-6, y);
    return y;
}

static pl_rows run_rmsnorm(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, x.width);
    pl_op_rmsnorm(ctx, x, room->in[1].data, 1, (float)1e-6, y);
    return y;
}

static pl_rows run_rmsnorm_plain(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, x.width);
    pl_op_rmsnorm(ctx, x, room->in[1].data, 0, (float)1e-6, y);
    return y;
}

static pl_rows run_gelu(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, x.width);
    pl_op_gelu(ctx, x, y);
    return y;
}

static pl_rows run_geglu(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, x.width);
    pl_op_geglu(ctx, x, room->in[1], y);
    return y;
}

static pl_rows run_add(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, x.width);
    pl_op_add(ctx, x, room->in[1], y);
    return y;
}

/* One value in both places, and used once more. */
static pl_rows run_add_to_itself(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], twice = pl_rows_push(ctx, x.count, x.width), y = pl_rows_push(ctx, x.count, x.width);
    pl_op_add(ctx, x, x, twice);
    pl_op_geglu(ctx, twice, x, y);
    return y;
}

static pl_rows run_add_table(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0];
    room->table = matrix(room->in[1]);
    pl_op_add_table_inplace(ctx, &room->table, 2, pl_rows_view(x, 0, 4));
    pl_op_add_table_inplace(ctx, &room->table, 1, pl_rows_view(x, 4, 5));
    return x;
}

static pl_rows run_embed(pl_context *ctx, case_room *room)
{
    static const int32_t ids[] = {3, 0, 10, 3, 3, 7};
    const pl_rows y = pl_rows_push(ctx, 6, room->in[0].width);
    room->table = matrix(room->in[0]);
    pl_op_embed(ctx, &room->table, ids, (float)1.75, y);
    return y;
}

static pl_rows run_gather(pl_context *ctx, case_room *room)
{
    static const size_t rows[] = {4, 1, 1, 6, 0, 1};
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, 6, x.width);
    pl_op_gather(ctx, x, rows, y);
    return y;
}

static pl_rows run_copy(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, 7, x.width);
    pl_op_copy(ctx, pl_rows_view(x, 1, 4), pl_rows_view(y, 0, 4));
    pl_op_copy(ctx, pl_rows_view(x, 0, 3), pl_rows_view(y, 4, 3));
    return y;
}

static pl_rows run_dropout(pl_context *ctx, case_room *room)
{
    pl_op_dropout_inplace(ctx, (float)0.3, 5, room->in[0]);
    return room->in[0];
}

static pl_rows run_normalise(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, x.width);
    pl_op_l2_normalise(ctx, x, y);
    return y;
}

/* ---- Losses: gradients start in them ---------------------------------- */

static pl_rows cross_entropy(pl_context *ctx, case_room *room, float smoothing)
{
    static const int32_t targets[] = {3, 0, 28, 3, 17};
    const pl_rows logits = room->in[0], losses = pl_constant_push(ctx, 1, logits.count);
    pl_op_cross_entropy(ctx, logits, targets, room->seed, smoothing, losses.data);
    return losses;
}

static pl_rows run_cross_entropy(pl_context *ctx, case_room *room)
{
    return cross_entropy(ctx, room, 0);
}

static pl_rows run_cross_entropy_smoothed(pl_context *ctx, case_room *room)
{
    return cross_entropy(ctx, room, (float)0.1);
}

/* Ids 2 to 20 are places: targets 3 and 17 are within them, near their ends. */
static pl_rows run_cross_entropy_spread(pl_context *ctx, case_room *room)
{
    static const int32_t targets[] = {3, 0, 28, 3, 17};
    const pl_rows logits = room->in[0], losses = pl_constant_push(ctx, 1, logits.count);
    pl_op_cross_entropy_spread(ctx, logits, targets, room->seed, (float)0.1, &(pl_spread){.first = 2, .count = 19, .width = (float)1.3}, losses.data);
    return losses;
}

static pl_rows run_contrastive(pl_context *ctx, case_room *room)
{
    const pl_rows loss = pl_constant_push(ctx, 1, 1);
    pl_op_sigmoid_contrastive(ctx, room->in[0], room->in[1], room->in[2].data, room->in[3].data, loss.data);
    return loss;
}

/* ---- More rows --------------------------------------------------------- */

static pl_rows run_softcap(pl_context *ctx, case_room *room)
{
    pl_op_softcap_inplace(ctx, (float)1.5, room->in[0]);
    return room->in[0];
}

static pl_rows run_rope(pl_context *ctx, case_room *room)
{
    enum { HALF = 5 };
    static const uint32_t positions[] = {1, 2, 9, 100, 3, 4};
    const pl_rows x = room->in[0], cosine = pl_constant_push(ctx, x.count, HALF), sine = pl_constant_push(ctx, x.count, HALF);
    pl_op_rope_angles(ctx, positions, x.count, HALF, 10000, cosine.data, sine.data);
    pl_op_rope_inplace(ctx, cosine.data, sine.data, HALF, x);
    return x;
}

/* ---- Attention: inputs q, k, v ---------------------------------------- */

typedef struct segment_shape {
    size_t rows, keys, prefix;
} segment_shape;

/* Queries stand at the end of each segment's keys. */
static pl_rows attend(pl_context *ctx, case_room *room, const pl_attention *attention, const segment_shape *shapes, size_t count)
{
    const pl_rows q = room->in[0], k = room->in[1], v = room->in[2], y = pl_rows_push(ctx, q.count, q.width);
    size_t at = 0;
    for (size_t s = 0; s < count; at += shapes[s].keys, s++)
        room->segments[s] = (pl_attention_segment){
            .spans[0] = {.k = k.data + at * k.width, .v = v.data + at * v.width, .dtype = PL_F32, .count = shapes[s].keys, .stride = k.width * sizeof(float)},
            .rows = shapes[s].rows,
            .start = shapes[s].keys - shapes[s].rows,
            .prefix = shapes[s].prefix,
        };
    room->attention = *attention;
    room->attention.keys = k.count;
    pl_op_attention(ctx, &room->attention, q, room->segments, count, y);
    return y;
}

static pl_rows run_attention_full(pl_context *ctx, case_room *room)
{
    const segment_shape shapes[] = {{4, 4, 4}, {4, 4, 4}};
    return attend(ctx, room, &(pl_attention){.heads = 3, .kv_heads = 3, .head_dim = 7, .scale = (float)0.4}, shapes, 2);
}

static pl_rows run_attention_prefix(pl_context *ctx, case_room *room)
{
    const segment_shape shapes[] = {{6, 6, 4}, {5, 5, 0}, {2, 2, 2}};
    return attend(ctx, room, &(pl_attention){.heads = 4, .kv_heads = 1, .head_dim = 6, .scale = (float)0.5}, shapes, 3);
}

static pl_rows run_attention_capped(pl_context *ctx, case_room *room)
{
    const segment_shape shapes[] = {{6, 6, 3}, {7, 7, 5}};
    return attend(ctx, room, &(pl_attention){.heads = 6, .kv_heads = 2, .head_dim = 5, .scale = (float)0.5, .softcap = (float)1.5}, shapes, 2);
}

static pl_rows run_attention_wanted(pl_context *ctx, case_room *room)
{
    const segment_shape shapes[] = {{2, 9, 6}, {3, 5, 3}, {1, 3, 2}};
    return attend(ctx, room, &(pl_attention){.heads = 4, .kv_heads = 2, .head_dim = 6, .scale = (float)0.5}, shapes, 3);
}

static pl_rows run_attention_long(pl_context *ctx, case_room *room)
{
    const segment_shape shapes[] = {{301, 301, 190}, {66, 66, 3}};
    return attend(ctx, room, &(pl_attention){.heads = 2, .kv_heads = 1, .head_dim = 9, .scale = (float)0.5, .softcap = 5}, shapes, 2);
}

/* ---- Convolutions ----------------------------------------------------- */

static pl_rows convolve(pl_context *ctx, case_room *room, const pl_convolution *shape, size_t height, size_t width, bool transposed)
{
    const pl_grid x = {.rows = room->in[0], .height = height, .width = width};
    const size_t pictures = x.rows.count / (height * width), taps = shape->kernel * shape->kernel;
    room->convolution = *shape;
    room->convolution.map = *linear_of(room, 0, 1);
    const pl_convolution *c = &room->convolution;
    size_t (*const side)(const pl_convolution *, size_t) = transposed ? pl_convolution_transposed_side : pl_convolution_side;
    const pl_grid y = pl_grid_push(ctx, pictures, side(c, height), side(c, width), transposed ? room->in[1].count / taps : room->in[1].count);
    (transposed ? pl_op_convolution_transposed : pl_op_convolution)(ctx, c, x, y);
    return y.rows;
}

static pl_rows run_convolution(pl_context *ctx, case_room *room)
{
    return convolve(ctx, room, &(pl_convolution){.kernel = 4, .stride = 2, .padding = 1}, 6, 8, false);
}

static pl_rows run_convolution_same(pl_context *ctx, case_room *room)
{
    return convolve(ctx, room, &(pl_convolution){.kernel = 3, .stride = 1, .padding = 1}, 4, 3, false);
}

static pl_rows run_convolution_pixel(pl_context *ctx, case_room *room)
{
    return convolve(ctx, room, &(pl_convolution){.kernel = 1, .stride = 1}, 4, 3, false);
}

static pl_rows run_convolution_transposed(pl_context *ctx, case_room *room)
{
    return convolve(ctx, room, &(pl_convolution){.kernel = 4, .stride = 2, .padding = 1}, 3, 4, true);
}

static pl_rows run_relu(pl_context *ctx, case_room *room)
{
    const pl_rows x = room->in[0], y = pl_rows_push(ctx, x.count, x.width);
    pl_op_relu(ctx, x, y);
    return y;
}

/* ---- Regions ---------------------------------------------------------- */

typedef struct two_maps {
    const pl_linear *first, *second;
} two_maps;

/* y = x + second(gelu(first(x))), with a rotation of what is between. */
static void branch(pl_context *ctx, const void *arguments, pl_rows x, pl_rows y)
{
    const two_maps *maps = arguments;
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows hidden = pl_rows_push(ctx, x.count, maps->first->weight.shape[0]);
    pl_op_linear_gelu(ctx, maps->first, x, hidden);
    pl_op_softcap_inplace(ctx, 2, hidden);
    pl_op_linear_add(ctx, maps->second, hidden, x, y);
    pl_release(ctx, mark);
}

/* Two regions one after the other, and an op between them that is outside of both. */
static pl_rows run_regions(pl_context *ctx, case_room *room)
{
    const two_maps maps = {linear_of(room, 0, 1), linear_of(room, 1, 3)};
    const pl_rows x = room->in[0], a = pl_rows_push(ctx, x.count, x.width);
    pl_tape_region(ctx, branch, &maps, sizeof maps, x, a);
    const pl_rows b = pl_rows_push(ctx, x.count, x.width), y = pl_rows_push(ctx, x.count, x.width);
    pl_op_gelu(ctx, a, b);
    pl_tape_region(ctx, branch, &maps, sizeof maps, b, y);
    return y;
}

#define REGION_INPUTS                                                                                                                     \
    {                                                                                                                                     \
        {"x", ACTIVATION, 4, 9, 0, 0}, {"first", WEIGHT, 13, 9, 0.4, 0}, {"its bias", WEIGHT, 1, 13, 0, 0}, {"second", WEIGHT, 9, 13, 0.4, 0}, \
        {"its bias", WEIGHT, 1, 9, 0, 0},                                                                                                  \
    }

/* ---- The list --------------------------------------------------------- */

const gradient_case gradient_cases[] = {
    {"pl_op_linear", "with a bias", {X_IN, MAP}, .run = run_linear},
    {"pl_op_linear", "without a bias", {X_IN, {"weight", WEIGHT, 23, 37, 0.2, 0}}, .run = run_linear},
    {"pl_op_linear", "frozen", {X_IN, {"weight", FROZEN, 23, 37, 0.2, 0}, {"bias", FROZEN, 1, 23, 0, 0}}, .run = run_linear},
    {"pl_op_linear", "of an input without gradient", {{"x", FROZEN, 5, 37, 0, 0}, MAP}, .run = run_linear},
    {"pl_op_linear", "of many rows", {{"x", ACTIVATION, 70, 301, 0, 0}, {"weight", WEIGHT, 133, 301, 0.1, 0}, {"bias", WEIGHT, 1, 133, 0, 0}}, .run = run_linear, .slow = true},
    {"pl_op_linear", "deep", {{"x", ACTIVATION, 3, 1029, 0, 0}, {"weight", WEIGHT, 5, 1029, 0.1, 0}}, .run = run_linear},
    {"pl_op_linear", "of views", {{"x", ACTIVATION, 7, 37, 0, 0}, MAP}, .run = run_linear_of_views},
    {"pl_op_linear", "with an adapter", {X_IN, MAP, ADAPTER}, .run = run_adapted},
    {"pl_op_linear", "with an adapter only", {X_IN, {"weight", FROZEN, 23, 37, 0.2, 0}, {"bias", FROZEN, 1, 23, 0, 0}, ADAPTER}, .run = run_adapted},
    {"pl_op_linear", "with two adapters", {X_IN, MAP, ADAPTER, {"A2", WEIGHT, 5, 37, 0.2, 0}, {"B2", WEIGHT, 23, 5, 0.5, 0}}, .run = run_adapted_twice},
    {"pl_op_linear", "with an adapter and dropout", {X_IN, MAP, ADAPTER}, .run = run_adapted, .adapter_dropout = (float)0.3},
    {"pl_op_linear_gelu", "", {X_IN, MAP}, .run = run_linear_gelu},
    {"pl_op_linear_gelu", "with an adapter", {X_IN, MAP, ADAPTER}, .run = run_linear_gelu},
    {"pl_op_linear_add", "", {X_IN, MAP, {"add", ACTIVATION, 5, 23, 0, 0}}, .run = run_linear_add},
    {"pl_op_linear_add", "with an adapter", {X_IN, MAP, {"add", ACTIVATION, 5, 23, 0, 0}, ADAPTER}, .run = run_linear_add},
    {"pl_op_linear_softcap", "", {X_IN, MAP}, .run = run_linear_softcap},
    {"pl_op_linear_softcap", "with an adapter", {X_IN, MAP, ADAPTER}, .run = run_linear_softcap},
    {"pl_op_linear_softcap", "without a cap", {X_IN, {"weight", WEIGHT, 23, 37, 0.2, 0}}, .run = run_linear_uncapped},
    {"pl_op_linear_geglu", "", {X_IN, {"gate", WEIGHT, 23, 37, 0.2, 0}, {"up", WEIGHT, 23, 37, 0.2, 0}}, .run = run_linear_geglu},
    {"pl_op_linear_geglu", "with an adapter", {X_IN, {"gate", WEIGHT, 23, 37, 0.2, 0}, {"up", WEIGHT, 23, 37, 0.2, 0}, ADAPTER}, .run = run_linear_geglu},
    {"pl_op_layernorm", "", {{"x", ACTIVATION, 19, 37, 0, 0.5}, {"scale", WEIGHT, 1, 37, 0, 0}, {"bias", WEIGHT, 1, 37, 0, 0}}, .run = run_layernorm},
    {"pl_op_layernorm", "frozen", {{"x", ACTIVATION, 19, 37, 0, 0.5}, {"scale", FROZEN, 1, 37, 0, 0}, {"bias", FROZEN, 1, 37, 0, 0}}, .run = run_layernorm},
    {"pl_op_rmsnorm", "one added", {{"x", ACTIVATION, 19, 37, 0, 0.5}, {"scale", WEIGHT, 1, 37, 0, 0}}, .run = run_rmsnorm},
    {"pl_op_rmsnorm", "nothing added", {{"x", ACTIVATION, 19, 37, 0, 0.5}, {"scale", WEIGHT, 1, 37, 0, 0}}, .run = run_rmsnorm_plain},
    {"pl_op_rmsnorm", "frozen", {{"x", ACTIVATION, 19, 37, 0, 0.5}, {"scale", FROZEN, 1, 37, 0, 0}}, .run = run_rmsnorm},
    {"pl_op_gelu", "", {{"x", ACTIVATION, 9, 37, 4, 0}}, .run = run_gelu},
    {"pl_op_geglu", "", {{"gate", ACTIVATION, 9, 37, 4, 0}, {"up", ACTIVATION, 9, 37, 0, 0}}, .run = run_geglu},
    {"pl_op_add", "", {{"a", ACTIVATION, 9, 37, 0, 0}, {"b", ACTIVATION, 9, 37, 0, 0}}, .run = run_add},
    {"pl_op_add", "to itself, and used again", {{"x", ACTIVATION, 9, 37, 0, 0}}, .run = run_add_to_itself},
    {"pl_op_add_table_inplace", "", {{"x", ACTIVATION, 9, 37, 0, 0}, {"table", WEIGHT, 7, 37, 0, 0}}, .run = run_add_table},
    {"pl_op_embed", "", {{"table", WEIGHT, 11, 37, 0, 0}}, .run = run_embed},
    {"pl_op_gather", "", {{"x", ACTIVATION, 7, 37, 0, 0}}, .run = run_gather},
    {"pl_op_copy", "", {{"x", ACTIVATION, 5, 37, 0, 0}}, .run = run_copy},
    {"pl_op_dropout_inplace", "", {{"x", ACTIVATION, 9, 37, 0, 0}}, .run = run_dropout},
    {"pl_op_l2_normalise", "", {{"x", ACTIVATION, 9, 37, 0, 0}}, .run = run_normalise},
    {"pl_op_cross_entropy", "", {{"logits", ACTIVATION, 5, 29, 3, 0}}, .run = run_cross_entropy, .starts = true},
    {"pl_op_cross_entropy", "smoothed", {{"logits", ACTIVATION, 5, 29, 3, 0}}, .run = run_cross_entropy_smoothed, .starts = true},
    {"pl_op_cross_entropy_spread", "", {{"logits", ACTIVATION, 5, 29, 3, 0}}, .run = run_cross_entropy_spread, .starts = true},
    {"pl_op_sigmoid_contrastive", "", {{"images", ACTIVATION, 7, 13, 0.3, 0}, {"texts", ACTIVATION, 7, 13, 0.3, 0}, {"log temperature", WEIGHT, 1, 1, 1, 1}, {"bias", WEIGHT, 1, 1, 1, -3}}, .run = run_contrastive, .starts = true, .whole = true},
    {"pl_op_softcap_inplace", "", {{"x", ACTIVATION, 9, 37, 3, 0}}, .run = run_softcap},
    {"pl_op_rope_inplace", "", {{"x", ACTIVATION, 6, 30, 0, 0}}, .run = run_rope},
    {"pl_op_attention", "full, two pictures", {{"q", ACTIVATION, 8, 21, 0, 0}, {"k", ACTIVATION, 8, 21, 0, 0}, {"v", ACTIVATION, 8, 21, 0, 0}}, .run = run_attention_full},
    {"pl_op_attention", "prefixes, four heads on one", {{"q", ACTIVATION, 13, 24, 2, 0}, {"k", ACTIVATION, 13, 6, 0, 0}, {"v", ACTIVATION, 13, 6, 0, 0}}, .run = run_attention_prefix},
    {"pl_op_attention", "soft-capped, three heads on one", {{"q", ACTIVATION, 13, 30, 3, 0}, {"k", ACTIVATION, 13, 10, 0, 0}, {"v", ACTIVATION, 13, 10, 0, 0}}, .run = run_attention_capped},
    {"pl_op_attention", "wanted rows only", {{"q", ACTIVATION, 6, 24, 2, 0}, {"k", ACTIVATION, 17, 12, 0, 0}, {"v", ACTIVATION, 17, 12, 0, 0}}, .run = run_attention_wanted},
    {"pl_op_attention", "long", {{"q", ACTIVATION, 367, 18, 2, 0}, {"k", ACTIVATION, 367, 9, 0, 0}, {"v", ACTIVATION, 367, 9, 0, 0}}, .run = run_attention_long, .slow = true},
    {"pl_op_convolution", "kernel 4, stride 2", {{"x", ACTIVATION, 2 * 48, 3, 0, 0}, {"weight", WEIGHT, 5, 3 * 16, 0.3, 0}, {"bias", WEIGHT, 1, 5, 0, 0}}, .run = run_convolution},
    {"pl_op_convolution", "kernel 3", {{"x", ACTIVATION, 2 * 12, 5, 0, 0}, {"weight", WEIGHT, 7, 5 * 9, 0.3, 0}, {"bias", WEIGHT, 1, 7, 0, 0}}, .run = run_convolution_same},
    {"pl_op_convolution", "kernel 1", {{"x", ACTIVATION, 2 * 12, 5, 0, 0}, {"weight", WEIGHT, 7, 5, 0.3, 0}, {"bias", WEIGHT, 1, 7, 0, 0}}, .run = run_convolution_pixel},
    {"pl_op_convolution_transposed", "", {{"x", ACTIVATION, 2 * 12, 5, 0, 0}, {"weight", WEIGHT, 3 * 16, 5, 0.3, 0}, {"bias", WEIGHT, 1, 3, 0, 0}}, .run = run_convolution_transposed},
    {"pl_op_relu", "", {{"x", ACTIVATION, 9, 37, 0, 0}}, .run = run_relu},
    {"pl_op_linear", "large, with an adapter", {{"x", ACTIVATION, 2531, 203, 0, 0}, {"weight", WEIGHT, 307, 203, 0.1, 0}, {"bias", WEIGHT, 1, 307, 0, 0}, {"A", WEIGHT, 8, 203, 0.1, 0}, {"B", WEIGHT, 307, 8, 0.2, 0}}, .run = run_adapted, .large = true},
    {"pl_op_linear", "large, wide", {{"x", ACTIVATION, 67, 1203, 0, 0}, {"weight", WEIGHT, 2077, 1203, 0.1, 0}, {"bias", WEIGHT, 1, 2077, 0, 0}}, .run = run_linear, .large = true},
    {"pl_op_layernorm", "large", {{"x", ACTIVATION, 2531, 203, 0, 0.5}, {"scale", WEIGHT, 1, 203, 0, 0}, {"bias", WEIGHT, 1, 203, 0, 0}}, .run = run_layernorm, .large = true},
    {"pl_op_rmsnorm", "large", {{"x", ACTIVATION, 2531, 203, 0, 0.5}, {"scale", WEIGHT, 1, 203, 0, 0}}, .run = run_rmsnorm, .large = true},
    {"pl_op_sigmoid_contrastive", "large", {{"images", ACTIVATION, 131, 203, 0.1, 0}, {"texts", ACTIVATION, 131, 203, 0.1, 0}, {"log temperature", WEIGHT, 1, 1, 1, 1}, {"bias", WEIGHT, 1, 1, 1, -3}}, .run = run_contrastive, .starts = true, .whole = true, .large = true},
    {"pl_op_convolution", "large", {{"x", ACTIVATION, 40 * 48, 30, 0, 0}, {"weight", WEIGHT, 50, 30 * 16, 0.1, 0}, {"bias", WEIGHT, 1, 50, 0, 0}}, .run = run_convolution, .large = true},
    {"pl_tape_region", "all kept", REGION_INPUTS, .run = run_regions},
    {"pl_tape_region", "borders kept", REGION_INPUTS, .run = run_regions, .keep = PL_KEEP_BORDERS},
};
const size_t gradient_case_count = sizeof gradient_cases / sizeof *gradient_cases;
