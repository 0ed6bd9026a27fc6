/*
 * Tensors are cut into pieces of a fixed size, and a task is a piece: so the
 * order of every sum, that of the global norm too, is the same for any number
 * of threads.
 */
#include "train/optimiser.h"

#include "train/muon.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 1 << 15, /* values in a task */
    LANES = 8        /* sums side by side */
};

typedef struct piece {
    size_t tensor, first, count;
} piece;

/* The state of one tensor, [rows, columns] each. */
typedef struct moments {
    float *mean;   /* also the momentum of SGD and Muon; NULL: none */
    float *square; /* NULL: none */
} moments;

struct pl_optimiser {
    pl_optimiser_options options;
    const pl_trained *tensors; /* [count] borrowed */
    const pl_rate_group *groups; /* [group_count] borrowed */
    size_t count, group_count;
    uint64_t steps;
    moments *state;            /* [count] owned */
    float *block;              /* owned: all state end to end */
    piece *pieces;             /* [piece_count] owned */
    double *squares;           /* [piece_count] owned: sums of squared gradients */
    size_t piece_count;
    pl_muon_matrix *matrices;  /* [matrix_count] owned, the largest first */
    pl_muon_step *matrix_steps; /* [matrix_count] owned */
    size_t matrix_count;
    unsigned char *scratch;    /* [scratch_bytes] owned: Muon's */
    size_t scratch_bytes;
};

static const struct {
    const char *name;
    size_t state;
} kinds[] = {
#define OPTIMISER_KIND(name, text, state) {text, state},
    PL_OPTIMISER_LIST(OPTIMISER_KIND)
#undef OPTIMISER_KIND
};

pali_status pl_optimiser_parse(const char *text, const char *what, pl_optimiser_kind *kind, pali_error *err)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(text, kinds[i].name) == 0) {
            *kind = (pl_optimiser_kind)i;
            return PALI_OK;
        }
    char found[80];
    return pl_fail(err, PALI_USAGE, "%s: found %s, expected adam, adamw, sgd or muon", what, pl_printable(text, strlen(text), found));
}

pl_optimiser_options pl_optimiser_defaults(pl_optimiser_kind kind)
{
    return (pl_optimiser_options){.kind = kind, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .momentum = kind == PL_OPTIMISER_MUON ? 0.95 : 0, .clip = 1};
}

/* Is the tensor moved by Muon's direction? */
static bool is_matrix(const pl_optimiser_options *options, const pl_trained *tensor)
{
    return options->kind == PL_OPTIMISER_MUON && tensor->hidden;
}

/* f32 values of state for each value of the tensor: 0, 1 or 2. */
static size_t state_of(const pl_optimiser_options *options, const pl_trained *tensor)
{
    if (is_matrix(options, tensor))
        return 1;
    return options->kind == PL_OPTIMISER_SGD && !(options->momentum > 0) ? 0 : kinds[options->kind].state;
}

uint64_t pl_optimiser_bytes(const pl_optimiser_options *options, const pl_trained *tensors, size_t count)
{
    uint64_t values = 0;
    for (size_t i = 0; i < count; i++)
        values += (uint64_t)state_of(options, &tensors[i]) * tensors[i].count;
    return values * sizeof(float);
}

pali_status pl_optimiser_scratch(const pl_optimiser_options *options, const pl_trained *tensors, size_t count, const pl_context *ctx, uint64_t *bytes, pali_error *err)
{
    pl_muon_matrix *matrices = pl_new(count, sizeof *matrices, "optimiser", err);
    size_t found = 0;
    if (!matrices)
        return PALI_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (is_matrix(options, &tensors[i]))
            matrices[found++].tensor = &tensors[i];
    *bytes = found ? pl_muon_bytes(ctx, matrices, found) : 0;
    free(matrices);
    return PALI_OK;
}

static pali_status make_state(pl_optimiser *o, pali_error *err)
{
    o->state = pl_new(o->count, sizeof *o->state, "optimiser", err);
    o->block = pl_new_bulk(pl_optimiser_bytes(&o->options, o->tensors, o->count) / sizeof(float), sizeof(float), "state of the optimiser", err);
    if (!o->state || !o->block)
        return PALI_MEMORY;
    float *at = o->block;
    for (size_t i = 0; i < o->count; i++) {
        const size_t each = state_of(&o->options, &o->tensors[i]), n = o->tensors[i].count;
        o->state[i].mean = each > 0 ? at : NULL;
        o->state[i].square = each > 1 ? at + n : NULL;
        at += each * n;
    }
    memset(o->block, 0, (size_t)(at - o->block) * sizeof *at);
    return PALI_OK;
}

static pali_status make_pieces(pl_optimiser *o, pali_error *err)
{
    for (size_t i = 0; i < o->count; i++)
        o->piece_count += (o->tensors[i].count + PIECE - 1) / PIECE;
    o->pieces = pl_new(o->piece_count, sizeof *o->pieces, "optimiser", err);
    o->squares = pl_new(o->piece_count, sizeof *o->squares, "optimiser", err);
    if (!o->pieces || !o->squares)
        return PALI_MEMORY;
    piece *next = o->pieces;
    for (size_t i = 0; i < o->count; i++)
        for (size_t first = 0; first < o->tensors[i].count; first += PIECE)
            *next++ = (piece){.tensor = i, .first = first, .count = pl_min(PIECE, o->tensors[i].count - first)};
    return PALI_OK;
}

static pali_status make_matrices(pl_optimiser *o, pali_error *err)
{
    for (size_t i = 0; i < o->count; i++)
        o->matrix_count += is_matrix(&o->options, &o->tensors[i]);
    o->matrices = pl_new(o->matrix_count, sizeof *o->matrices, "optimiser", err);
    o->matrix_steps = pl_new(o->matrix_count, sizeof *o->matrix_steps, "optimiser", err);
    if (!o->matrices || !o->matrix_steps)
        return PALI_MEMORY;
    size_t made = 0;
    for (size_t i = 0; i < o->count; i++) {
        if (!is_matrix(&o->options, &o->tensors[i]))
            continue;
        size_t at = made++; /* largest first, so that no thread is left with one at the end */
        for (; at > 0 && o->matrices[at - 1].tensor->count < o->tensors[i].count; at--)
            o->matrices[at] = o->matrices[at - 1];
        o->matrices[at] = (pl_muon_matrix){.tensor = &o->tensors[i], .momentum = o->state[i].mean};
    }
    return PALI_OK;
}

pl_optimiser *pl_optimiser_new(const pl_optimiser_options *options, const pl_trained *tensors, size_t count, const pl_rate_group *groups, size_t group_count, pali_error *err)
{
    pl_optimiser *o = pl_new(1, sizeof *o, "optimiser", err);
    if (!o)
        return NULL;
    o->options = *options;
    o->tensors = tensors;
    o->count = count;
    o->groups = groups;
    o->group_count = group_count;
    if (make_state(o, err) == PALI_OK && make_pieces(o, err) == PALI_OK && make_matrices(o, err) == PALI_OK)
        return o;
    pl_optimiser_free(o);
    return NULL;
}

void pl_optimiser_free(pl_optimiser *optimiser)
{
    if (!optimiser)
        return;
    free(optimiser->state);
    free(optimiser->block);
    free(optimiser->pieces);
    free(optimiser->squares);
    free(optimiser->matrices);
    free(optimiser->matrix_steps);
    free(optimiser->scratch);
    free(optimiser);
}

uint64_t pl_optimiser_steps(const pl_optimiser *optimiser)
{
    return optimiser->steps;
}

void pl_optimiser_set_steps(pl_optimiser *optimiser, uint64_t steps)
{
    optimiser->steps = steps;
}

size_t pl_optimiser_tensor_count(const pl_optimiser *optimiser)
{
    size_t count = 0;
    for (size_t i = 0; i < optimiser->count; i++)
        count += state_of(&optimiser->options, &optimiser->tensors[i]);
    return count;
}

pl_optimiser_tensor pl_optimiser_tensor_at(const pl_optimiser *optimiser, size_t index)
{
    size_t i = 0;
    for (size_t each; index >= (each = state_of(&optimiser->options, &optimiser->tensors[i])); i++)
        index -= each;
    const pl_trained *tensor = &optimiser->tensors[i];
    const moments *state = &optimiser->state[i];
    pl_optimiser_tensor found = {.data = index ? state->square : state->mean, .rows = tensor->rows, .columns = tensor->columns};
    const char *kind = index ? "square" : state->square ? "mean" : "momentum";
    snprintf(found.name, sizeof found.name, "%.191s.%s", tensor->name, kind);
    return found;
}

/* ---- The norm --------------------------------------------------------- */

/* Squares in double neither overflow nor vanish, so the sum is finite exactly if all gradients are. */
static void square_piece(void *context, size_t task, size_t thread)
{
    (void)thread;
    pl_optimiser *o = context;
    const piece *p = &o->pieces[task];
    const float *gradient = o->tensors[p->tensor].gradient + p->first;
    double sums[LANES] = {0};
    const size_t whole = p->count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            sums[lane] += (double)gradient[i + lane] * (double)gradient[i + lane];
    for (size_t i = whole; i < p->count; i++)
        sums[i - whole] += (double)gradient[i] * (double)gradient[i];
    o->squares[task] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static pali_status measure_norm(pl_optimiser *o, pl_pool *pool, double gradient_scale, double *norm, pali_error *err)
{
    pl_pool_run(pool, o->piece_count, square_piece, o);
    double sum = 0;
    for (size_t i = 0; i < o->piece_count; i++) {
        if (!isfinite(o->squares[i]))
            return pl_fail(err, PALI_FAILED, "step %llu: gradient of %s: found values that are not finite, expected numbers; nothing was changed",
                           (unsigned long long)o->steps, o->tensors[o->pieces[i].tensor].name);
        sum += o->squares[i];
    }
    *norm = sqrt(sum) * fabs(gradient_scale);
    return PALI_OK;
}

/* ---- One step --------------------------------------------------------- */

typedef struct step_job {
    pl_optimiser *optimiser;
    const pl_kernels *kernels;
    double scale; /* of gradients */
} step_job;

/* What one group's rates are at this step: of the direction, and of the values themselves. */
typedef struct rates {
    double direction, decay;
} rates;

static rates rates_of(const pl_optimiser *o, const pl_trained *tensor)
{
    const pl_rate_group *group = &o->groups[tensor->group];
    const double factor = pl_schedule_at(&group->schedule, o->steps), decay = tensor->decays ? group->weight_decay : 0;
    const double rate = group->lr * factor;
    return (rates){.direction = rate, .decay = o->options.kind == PL_OPTIMISER_ADAM ? factor * decay : rate * decay};
}

static void adam_piece(const step_job *job, const piece *p, const pl_trained *tensor)
{
    const pl_optimiser *o = job->optimiser;
    const pl_optimiser_options *options = &o->options;
    const double steps = (double)o->steps + 1;
    const rates r = rates_of(o, tensor);
    const pl_adam_step step = {
        .scale = (float)job->scale,
        .fresh1 = (float)(1 - options->beta1),
        .beta2 = (float)options->beta2,
        .fresh2 = (float)(1 - options->beta2),
        .root = (float)(1 / sqrt(1 - pow(options->beta2, steps))),
        .eps = (float)options->eps,
        .rate = (float)(r.direction / (1 - pow(options->beta1, steps))),
        .decay = (float)r.decay,
    };
    const moments *state = &o->state[p->tensor];
    job->kernels->adam(p->count, &step, tensor->gradient + p->first, state->mean + p->first, state->square + p->first, tensor->value + p->first);
}

static void sgd_piece(const step_job *job, const piece *p, const pl_trained *tensor)
{
    const pl_optimiser *o = job->optimiser;
    const pl_rate_group *group = &o->groups[tensor->group];
    const float scale = (float)job->scale, momentum = (float)o->options.momentum, decay = (float)(tensor->decays ? group->weight_decay : 0);
    const float rate = (float)rates_of(o, tensor).direction;
    const float *gradient = tensor->gradient + p->first;
    float *value = tensor->value + p->first, *velocity = o->state[p->tensor].mean;
    if (!velocity) {
        for (size_t i = 0; i < p->count; i++)
            value[i] -= rate * (scale * gradient[i] + decay * value[i]);
        return;
    }
    velocity += p->first;
    for (size_t i = 0; i < p->count; i++) {
        velocity[i] = momentum * velocity[i] + (scale * gradient[i] + decay * value[i]);
        value[i] -= rate * velocity[i];
    }
}

static void step_piece(void *context, size_t task, size_t thread)
{
    (void)thread;
    const step_job *job = context;
    const piece *p = &job->optimiser->pieces[task];
    const pl_trained *tensor = &job->optimiser->tensors[p->tensor];
    if (is_matrix(&job->optimiser->options, tensor))
        return;
    if (job->optimiser->options.kind == PL_OPTIMISER_SGD)
        sgd_piece(job, p, tensor);
    else
        adam_piece(job, p, tensor);
}

/* Room for Muon's products, kept from step to step. */
static pali_status reserve(pl_optimiser *o, const pl_context *ctx, pali_error *err)
{
    const size_t bytes = o->matrix_count ? pl_muon_bytes(ctx, o->matrices, o->matrix_count) : 0;
    if (bytes <= o->scratch_bytes)
        return PALI_OK;
    unsigned char *scratch = pl_new_aligned(bytes, "scratch of the optimiser", err);
    if (!scratch)
        return PALI_MEMORY;
    free(o->scratch);
    o->scratch = scratch;
    o->scratch_bytes = bytes;
    return PALI_OK;
}

static void move_matrices(pl_optimiser *o, const pl_context *ctx, double scale)
{
    for (size_t i = 0; i < o->matrix_count; i++) {
        const rates r = rates_of(o, o->matrices[i].tensor);
        o->matrix_steps[i] = (pl_muon_step){.scale = (float)scale, .momentum = (float)o->options.momentum, .rate = (float)r.direction, .decay = (float)r.decay};
    }
    pl_muon_run(ctx, o->matrices, o->matrix_steps, o->matrix_count, o->scratch);
}

pali_status pl_optimiser_step(pl_optimiser *optimiser, const pl_context *ctx, double gradient_scale, pl_step_report *report, pali_error *err)
{
    double norm = 0;
    pali_status status = reserve(optimiser, ctx, err);
    if (status == PALI_OK)
        status = measure_norm(optimiser, ctx->pool, gradient_scale, &norm, err);
    if (status != PALI_OK)
        return status;
    const double clip = optimiser->options.clip > 0 && norm > optimiser->options.clip ? optimiser->options.clip / norm : 1;
    const step_job job = {.optimiser = optimiser, .kernels = ctx->kernels, .scale = gradient_scale * clip};
    pl_pool_run(ctx->pool, optimiser->piece_count, step_piece, (void *)(uintptr_t)&job);
    if (optimiser->matrix_count)
        move_matrices(optimiser, ctx, job.scale);
    if (report)
        *report = (pl_step_report){.norm = norm, .moved = job.scale,
                                   .lr = optimiser->groups[0].lr * pl_schedule_at(&optimiser->groups[0].schedule, optimiser->steps)};
    optimiser->steps++;
    return PALI_OK;
}
