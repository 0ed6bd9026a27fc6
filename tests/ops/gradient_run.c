/* See gradient_run.h. */
#include "ops/gradient_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

double gradient_number(size_t i, size_t seed)
{
    uint32_t h = (uint32_t)i * 2654435761u + (uint32_t)seed * 40503u + 1;
    h ^= h >> 16;
    h *= 2246822519u;
    h ^= h >> 13;
    h *= 3266489917u;
    h ^= h >> 16;
    return (double)h / 2147483648.0 - 1;
}

static float *hashed(size_t count, size_t seed, double scale, double middle)
{
    float *x = malloc((count + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(middle + scale * gradient_number(i, seed));
    return x;
}

/* Inputs into the arena or as they are, then the op. */
static pl_rows forward(gradient_run *run)
{
    pl_context *ctx = &run->ctx;
    for (size_t i = 0; i < run->inputs; i++) {
        const case_input *input = &run->c->inputs[i];
        run->room.in[i] = (pl_rows){.data = run->value[i], .count = input->rows, .width = input->width};
        if (input->kind == ACTIVATION) {
            run->room.in[i] = pl_rows_push(ctx, input->rows, input->width);
            if (!pl_dry(ctx))
                memcpy(run->room.in[i].data, run->value[i], run->count[i] * sizeof(float));
        }
    }
    run->room.seed = run->seed;
    const pl_rows y = run->c->run(ctx, &run->room);
    run->outputs = y.count * y.width;
    return y;
}

static double loss_of(const gradient_run *run, pl_rows y)
{
    double loss = 0;
    for (size_t i = 0; i < run->outputs; i++)
        loss += (double)y.data[i] * (double)run->seed[i];
    return loss;
}

/* Forward and backward on the arena, planned or not. */
static double pass(gradient_run *run)
{
    pl_context *ctx = &run->ctx;
    const size_t mark = pl_arena_mark(ctx->arena);
    double loss = 0;
    pl_tape_clear(&run->tape);
    const pl_rows y = forward(run);
    float *dx[CASE_INPUTS] = {0};
    for (size_t i = 0; i < run->inputs; i++)
        if (run->c->inputs[i].kind == ACTIVATION)
            dx[i] = pl_gradient(ctx, run->room.in[i]).data; /* what is pushed first keeps its gradient to the end */
    if (!pl_dry(ctx)) {
        loss = loss_of(run, y);
        if (!run->c->starts)
            memcpy(pl_gradient(ctx, y).data, run->seed, run->outputs * sizeof(float));
    }
    pl_tape_backward(ctx);
    assert_false(ctx->failed);
    if (!pl_dry(ctx))
        for (size_t i = 0; i < run->inputs; i++)
            if (dx[i])
                memcpy(run->gradient[i], dx[i], run->count[i] * sizeof(float));
    pl_arena_release(ctx->arena, mark);
    return loss;
}

static int by_address(const void *a, const void *b)
{
    const pl_parameter *x = a, *y = b;
    return ((uintptr_t)x->value > (uintptr_t)y->value) - ((uintptr_t)x->value < (uintptr_t)y->value);
}

static void make_inputs(gradient_run *run)
{
    for (; run->inputs < CASE_INPUTS && run->c->inputs[run->inputs].rows; run->inputs++) {
        const size_t i = run->inputs;
        const case_input *input = &run->c->inputs[i];
        run->count[i] = input->rows * input->width;
        run->value[i] = hashed(run->count[i], i + 1, input->scale != 0 ? input->scale : 1, input->middle);
        if (input->kind == FROZEN)
            continue;
        run->gradient[i] = calloc(run->count[i], sizeof(float));
        assert_non_null(run->gradient[i]);
        if (input->kind == WEIGHT)
            run->parameters[run->tape.parameter_count++] = (pl_parameter){.value = run->value[i], .gradient = run->gradient[i], .count = run->count[i]};
    }
    qsort(run->parameters, run->tape.parameter_count, sizeof *run->parameters, by_address);
}

void gradient_run_init(gradient_run *run, const gradient_case *c, const pl_context *like)
{
    pali_error err = {0};
    *run = (gradient_run){.c = c, .arena = pl_arena_plan()};
    pl_tape_init(&run->tape);
    run->tape.keep = c->keep;
    run->tape.dropout = c->dropout;
    run->tape.adapter_dropout = c->adapter_dropout;
    run->tape.dropout_key = 12345;
    run->tape.parameters = run->parameters;
    make_inputs(run);
    run->ctx = (pl_context){
        .kernels = like->kernels, .pool = like->pool, .activations = like->activations, .arena = &run->arena, .tape = &run->tape, .regime = PL_REGIME_PREFILL};
    pass(run);
    const size_t bytes = run->arena.peak;
    run->seed = hashed(run->outputs, CASE_INPUTS + 1, c->whole ? 0 : 1, c->whole ? 1 : 0);
    assert_int_equal(pl_arena_init(&run->arena, bytes, "test", &err), PALI_OK);
    assert_int_equal(pl_tape_reserve(&run->tape, run->tape.gradient_peak, &err), PALI_OK);
}

void gradient_run_free(gradient_run *run)
{
    for (size_t i = 0; i < run->inputs; i++) {
        free(run->value[i]);
        free(run->gradient[i]);
    }
    free(run->seed);
    pl_tape_free(&run->tape);
    pl_arena_free(&run->arena);
}

/* Dropout acts with a tape only, so it is there, but sleeps. */
double gradient_run_loss(gradient_run *run)
{
    pl_tape_clear(&run->tape);
    run->tape.paused = true;
    const size_t mark = pl_arena_mark(&run->arena);
    const double loss = loss_of(run, forward(run));
    pl_arena_release(&run->arena, mark);
    run->tape.paused = false;
    assert_false(run->ctx.failed);
    return loss;
}

double gradient_run_backward(gradient_run *run)
{
    for (size_t i = 0; i < run->inputs; i++)
        if (run->gradient[i])
            memset(run->gradient[i], 0, run->count[i] * sizeof(float));
    return pass(run);
}
