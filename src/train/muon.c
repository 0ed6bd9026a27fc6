/*
 * One iteration is X <- (a I + b G + c G G) X with G = X X^T, X being no taller
 * than wide (the matrix, or its transpose). Ops multiply by transposes: G takes X as
 * both factors, and the last product takes X transposed as its weight.
 */
#include "train/muon.h"

#include "ops/ops.h"

#include <math.h>

enum {
    ITERATIONS = 5,
    SMALL = 1 << 18, /* values of a matrix that one thread takes alone */
    SIDE = 16,       /* of the squares that a matrix is transposed by */
};

/* Scratch of one matrix, x no taller than wide; in an arena. */
typedef struct work {
    pl_rows x, turned;      /* [r, c], [c, r] */
    pl_rows gram, polynomial; /* [r, r] */
} work;

static pl_linear weight_of(pl_rows rows)
{
    return (pl_linear){.weight = {.dtype = PL_F32, .rank = 2, .shape = {rows.count, rows.width}, .data = rows.data}};
}

/* y = x^T */
static void transpose(size_t rows, size_t columns, const float *x, float *y)
{
    for (size_t r0 = 0; r0 < rows; r0 += SIDE)
        for (size_t c0 = 0; c0 < columns; c0 += SIDE)
            for (size_t c = c0; c < pl_min(c0 + SIDE, columns); c++)
                for (size_t r = r0; r < pl_min(r0 + SIDE, rows); r++)
                    y[c * rows + r] = x[r * columns + c];
}

/* The momentum is brought up to date, and x is where it leads: the gradient, looked ahead by the momentum (Nesterov). */
static void update_momentum(const pl_muon_matrix *matrix, const pl_muon_step *step, float *x)
{
    const float *gradient = matrix->tensor->gradient;
    float *momentum = matrix->momentum;
    const float fresh = 1 - step->momentum;
    for (size_t i = 0; i < matrix->tensor->count; i++) {
        const float g = step->scale * gradient[i];
        momentum[i] += fresh * (g - momentum[i]);
        x[i] = g + step->momentum * (momentum[i] - g);
    }
}

/* x / its norm; the singular values are 1 at most then. */
static void normalise(size_t count, float *x)
{
    double square = 0;
    for (size_t i = 0; i < count; i++)
        square += (double)x[i] * (double)x[i];
    const float inverse = (float)(1 / fmax(sqrt(square), 1e-7));
    for (size_t i = 0; i < count; i++)
        x[i] *= inverse;
}

/* polynomial = a I + b gram + c polynomial, given the square of gram in it. */
static void combine(pl_rows gram, pl_rows polynomial)
{
    const float a = 3.4445f, b = -4.7750f, c = 2.0315f; /* steepest at 0, then within 0.7 to 1.2 (Jordan et al.) */
    const size_t r = gram.count;
    for (size_t i = 0; i < r * r; i++)
        polynomial.data[i] = b * gram.data[i] + c * polynomial.data[i];
    for (size_t i = 0; i < r; i++)
        polynomial.data[i * r + i] += a;
}

/* w.x is given; the result is there, too. Dry: only the arena is counted. */
static void iterate(pl_context *ctx, const work *w)
{
    const pl_linear x = weight_of(w->x), gram = weight_of(w->gram), turned = weight_of(w->turned);
    for (int i = 0; i < ITERATIONS; i++) {
        pl_op_linear(ctx, &x, w->x, w->gram);
        pl_op_linear(ctx, &gram, w->gram, w->polynomial);
        if (!pl_dry(ctx)) {
            combine(w->gram, w->polynomial);
            transpose(w->x.count, w->x.width, w->x.data, w->turned.data);
        }
        pl_op_linear(ctx, &turned, w->polynomial, w->x);
    }
}

static work push_work(pl_context *ctx, const pl_trained *tensor)
{
    const size_t r = pl_min(tensor->rows, tensor->columns), c = pl_max(tensor->rows, tensor->columns);
    return (work){.x = pl_rows_push(ctx, r, c), .turned = pl_rows_push(ctx, c, r), .gram = pl_rows_push(ctx, r, r), .polynomial = pl_rows_push(ctx, r, r)};
}

static void move(const pl_muon_matrix *matrix, const pl_muon_step *step, const float *direction)
{
    const pl_trained *tensor = matrix->tensor;
    const float rate = step->rate * 0.2f * sqrtf((float)pl_max(tensor->rows, tensor->columns));
    for (size_t i = 0; i < tensor->count; i++)
        tensor->value[i] -= step->decay * tensor->value[i] + rate * direction[i];
}

static void step_matrix(pl_context *ctx, const pl_muon_matrix *matrix, const pl_muon_step *step)
{
    const pl_trained *tensor = matrix->tensor;
    const bool tall = tensor->rows > tensor->columns;
    const size_t mark = pl_arena_mark(ctx->arena);
    const work w = push_work(ctx, tensor);
    if (!pl_dry(ctx)) {
        float *direction = tall ? w.turned.data : w.x.data; /* as the tensor lies */
        update_momentum(matrix, step, direction);
        normalise(tensor->count, direction);
        if (tall)
            transpose(tensor->rows, tensor->columns, direction, w.x.data);
    }
    iterate(ctx, &w);
    if (!pl_dry(ctx)) {
        if (tall)
            transpose(w.x.count, w.x.width, w.x.data, w.turned.data);
        move(matrix, step, tall ? w.turned.data : w.x.data);
    }
    pl_arena_release(ctx->arena, mark);
}

/*
 * A context for products of many rows that records nothing. They are in bf16 where that is faster, as is usual for
 * this iteration: a direction need not be exact. F32 asks for floats.
 */
static pl_context own_context(const pl_context *ctx, pl_pool *pool, pl_arena *arena)
{
    const pl_activations activations = ctx->activations == PL_ACTIVATIONS_F32 ? PL_ACTIVATIONS_F32 : PL_ACTIVATIONS_BF16;
    return (pl_context){.kernels = ctx->kernels, .pool = pool, .arena = arena, .activations = activations, .regime = PL_REGIME_PREFILL};
}

static bool is_small(const pl_muon_matrix *matrix)
{
    return matrix->tensor->count <= SMALL;
}

/* Scratch that a matrix takes. */
static size_t peak_of(const pl_context *ctx, const pl_muon_matrix *matrix, pl_pool *pool)
{
    pl_arena plan = pl_arena_plan();
    pl_context own = own_context(ctx, pool, &plan);
    step_matrix(&own, matrix, NULL);
    return plan.peak;
}

/* The most that a small matrix takes on one thread, and a large one on all. */
static void peaks_of(const pl_context *ctx, const pl_muon_matrix *matrices, size_t count, size_t *small, size_t *large)
{
    *small = *large = 0;
    for (size_t i = 0; i < count; i++) {
        size_t *peak = is_small(&matrices[i]) ? small : large;
        *peak = pl_max(*peak, peak_of(ctx, &matrices[i], is_small(&matrices[i]) ? NULL : ctx->pool));
    }
}

static size_t threads_of(const pl_context *ctx)
{
    return ctx->pool ? pl_pool_threads(ctx->pool) : 1;
}

size_t pl_muon_bytes(const pl_context *ctx, const pl_muon_matrix *matrices, size_t count)
{
    size_t small, large;
    peaks_of(ctx, matrices, count, &small, &large);
    return pl_max(threads_of(ctx) * small, large);
}

typedef struct muon_job {
    const pl_context *ctx;
    const pl_muon_matrix *matrices;
    const pl_muon_step *steps;
    unsigned char *scratch; /* [threads, bytes] */
    size_t bytes;
} muon_job;

static void run_small(void *context, size_t task, size_t thread)
{
    const muon_job *job = context;
    if (!is_small(&job->matrices[task]))
        return;
    pl_arena arena = {.block = job->scratch + thread * job->bytes, .size = job->bytes};
    pl_context own = own_context(job->ctx, NULL, &arena);
    step_matrix(&own, &job->matrices[task], &job->steps[task]);
}

void pl_muon_run(const pl_context *ctx, const pl_muon_matrix *matrices, const pl_muon_step *steps, size_t count, unsigned char *scratch)
{
    size_t small, large;
    peaks_of(ctx, matrices, count, &small, &large);
    for (size_t i = 0; i < count; i++) {
        if (is_small(&matrices[i]))
            continue;
        pl_arena arena = {.block = scratch, .size = large};
        pl_context own = own_context(ctx, ctx->pool, &arena);
        step_matrix(&own, &matrices[i], &steps[i]);
    }
    muon_job job = {.ctx = ctx, .matrices = matrices, .steps = steps, .scratch = scratch, .bytes = small};
    pl_pool_run(ctx->pool, count, run_small, &job);
}
