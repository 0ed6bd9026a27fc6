/*
 * Steps of the mask codec's training. Memory is planned by a dry step. The
 * state of a run is one file of f32: network, codebook, moments, and which step
 * of which run it is.
 */
#include "train/codec_trainer.h"

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"
#include "train/codec_batch.h"
#include "train/codec_book.h"
#include "train/state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS = 2 * PL_CODEC_LAYERS, WORD_PARTS = 4, RUN_BEST = 2 * WORD_PARTS, RUN_VALUES };

struct pl_codec_trainer {
    pl_codec_options options;
    pl_mask_pool masks, held_out;
    pl_codec *codec;
    pl_trained trained[TENSORS];
    pl_parameter parameters[TENSORS];
    float *gradients; /* of all parameters, owned */
    size_t gradient_count;
    pl_optimiser *optimiser;
    pl_tape tape;
    pl_arena arena;
    char *state_path; /* owned */
    uint64_t identity; /* of options and masks */
    float run[RUN_VALUES]; /* as the state has it: identity and step, 16 bits a value; the best overlap measured */
};

pl_codec_options pl_codec_options_default(void)
{
    pl_codec_options o = {.widths = {.channels = {8, 16, 32, 48}, .code = 48}, .steps = 2000, .batch = 128, .commitment = 0.25, .wrong = 0.04};
    o.optimiser = pl_optimiser_defaults(PL_OPTIMISER_ADAMW);
    o.rate = (pl_rate_group){.lr = 2e-3, .weight_decay = 0.01, .schedule.kind = PL_SCHEDULE_COSINE};
    o.warmup = 200;
    o.biases_decay = true;
    return o;
}

/* ---- A step ------------------------------------------------------------ */

/* What a pass leaves in the arena. */
typedef struct pass {
    pl_grid maps, vectors, decoded;
    uint8_t *chosen, *said; /* [vectors] */
    bool finite;
} pass;

/* Some codes of every second mask become others. */
static void spoil(const pl_codec_options *o, uint64_t step, size_t count, const uint8_t *chosen, uint8_t *said)
{
    const uint64_t key = pl_random_key(pl_codec_step_key(o->seed, step), PL_CODEC_SPOIL);
    for (size_t t = 0; t < count; t++) {
        const bool wrong = t / PALI_MASK_TOKENS % 2 && pl_random_uniform(key, 2 * t) < o->wrong;
        said[t] = wrong ? (uint8_t)(pl_random_bits(key, 2 * t + 1) % PL_SEGMENT_CODES) : chosen[t];
    }
}

static pass forward(pl_codec_trainer *t, pl_context *ctx, uint64_t step)
{
    const pl_codec_options *o = &t->options;
    pass p = {.maps = {.rows = pl_constant_push(ctx, o->batch * PL_CODEC_MAP, 1), .height = PL_CODEC_SIDE, .width = PL_CODEC_SIDE}};
    if (!pl_dry(ctx))
        pl_codec_batch(&t->masks, o->seed, step, o->batch, &o->hands, p.maps.rows.data);
    p.vectors = pl_codec_encoder(ctx, t->codec, p.maps);
    const pl_rows vectors = p.vectors.rows;
    p.chosen = pl_push(ctx, vectors.count, 1);
    p.said = pl_push(ctx, vectors.count, 1);
    if (!pl_dry(ctx) && step == 0 && !o->begin)
        pl_codec_book_start(t->codec, vectors, pl_random_key(pl_codec_step_key(o->seed, step), PL_CODEC_RESTART));
    p.finite = pl_codec_nearest(ctx, t->codec, vectors, p.chosen);
    if (!pl_dry(ctx))
        spoil(o, step, vectors.count, p.chosen, p.said);
    pl_grid used = pl_grid_push(ctx, o->batch, PL_CODEC_GRID, PL_CODEC_GRID, vectors.width);
    pl_codec_quantise(ctx, t->codec, vectors, p.chosen, p.said, (float)o->commitment, used.rows);
    p.decoded = pl_codec_decoder(ctx, t->codec, used);
    return p;
}

/* Mean squared error, and its gradient. */
static double compare(pl_context *ctx, const pass *p)
{
    const size_t count = p->decoded.rows.count * p->decoded.rows.width;
    float *gradient = pl_gradient(ctx, p->decoded.rows).data;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const float difference = p->decoded.rows.data[i] - p->maps.rows.data[i];
        gradient[i] = 2 * difference / (float)count;
        sum += (double)difference * (double)difference;
    }
    return sum / (double)count;
}

static pl_context context_of(pl_codec_trainer *t)
{
    return (pl_context){.kernels = t->options.hands.kernels, .pool = t->options.hands.pool, .arena = &t->arena, .activations = PL_ACTIVATIONS_F32, .regime = PL_REGIME_PREFILL};
}

static size_t codes_in_use(const pass *p)
{
    bool used[PL_SEGMENT_CODES] = {false};
    size_t count = 0;
    for (size_t i = 0; i < p->vectors.rows.count; i++) {
        count += !used[p->chosen[i]];
        used[p->chosen[i]] = true;
    }
    return count;
}

pali_status pl_codec_trainer_step(pl_codec_trainer *t, pl_codec_report *report, pali_error *err)
{
    const uint64_t step = pl_codec_trainer_steps(t);
    pl_step_report moved;
    pl_context ctx = context_of(t);
    ctx.tape = &t->tape;
    pl_tape_clear(&t->tape);
    pl_arena_release(&t->arena, 0);
    memset(t->gradients, 0, t->gradient_count * sizeof *t->gradients);
    const pass p = forward(t, &ctx, step);
    if (ctx.failed)
        return pl_fail(err, PALI_FAILED, "mask codec: its memory was planned too small");
    *report = (pl_codec_report){.step = step + 1, .steps = t->options.steps, .loss = compare(&ctx, &p), .commitment = pl_codec_distance(t->codec, p.vectors.rows, p.chosen), .codes = codes_in_use(&p)};
    if (!p.finite || !isfinite(report->loss))
        return pl_fail(err, PALI_FAILED, "mask codec, step %llu: found a loss that is no number; a lower lr may help", (unsigned long long)(step + 1));
    pl_tape_backward(&ctx);
    if (ctx.failed)
        return pl_fail(err, PALI_FAILED, "mask codec: its memory was planned too small");
    const pali_status status = pl_optimiser_step(t->optimiser, &ctx, 1, &moved, err);
    if (status != PALI_OK)
        return status;
    report->restarted = pl_codec_book_follow(t->codec, p.vectors.rows, p.chosen, pl_random_key(pl_codec_step_key(t->options.seed, step), PL_CODEC_RESTART));
    report->norm = moved.norm;
    report->lr = moved.lr;
    return PALI_OK;
}

/* ---- Measuring --------------------------------------------------------- */

/* Held-out masks first.. as they come back: one row of a value for each pixel, above 0 where it is in. */
static pl_rows come_back(pl_codec_trainer *t, pl_context *ctx, size_t first, size_t count)
{
    pl_grid maps = {.rows = pl_constant_push(ctx, count * PL_CODEC_MAP, 1), .height = PL_CODEC_SIDE, .width = PL_CODEC_SIDE};
    const uint8_t *truth = t->held_out.maps + first * PL_CODEC_MAP;
    for (size_t i = 0; i < maps.rows.count && !pl_dry(ctx); i++)
        maps.rows.data[i] = (float)truth[i] / 127.5f - 1;
    const pl_grid vectors = pl_codec_encoder(ctx, t->codec, maps);
    uint8_t *codes = pl_push(ctx, vectors.rows.count, 1);
    pl_codec_nearest(ctx, t->codec, vectors.rows, codes);
    pl_codec_quantise(ctx, t->codec, vectors.rows, codes, codes, 0, vectors.rows);
    return pl_codec_decoder(ctx, t->codec, vectors).rows;
}

/* Intersection over union of a mask with what came back. */
static double overlap_of(const uint8_t *truth, const float *back)
{
    size_t both = 0, either = 0;
    for (size_t i = 0; i < PL_CODEC_MAP; i++) {
        const bool a = truth[i] >= 128, b = back[i] > 0;
        both += a && b;
        either += a || b;
    }
    return either ? (double)both / (double)either : 0;
}

pali_status pl_codec_trainer_show(pl_codec_trainer *t, size_t count, uint8_t *maps, double *overlaps, pali_error *err)
{
    for (size_t first = 0; first < count; first += t->options.batch) {
        const size_t some = pl_min(t->options.batch, count - first);
        pl_context ctx = context_of(t);
        pl_arena_release(&t->arena, 0);
        const pl_rows back = come_back(t, &ctx, first, some);
        if (ctx.failed)
            return pl_fail(err, PALI_FAILED, "mask codec: its memory was planned too small");
        for (size_t n = 0; n < some; n++)
            overlaps[first + n] = overlap_of(t->held_out.maps + (first + n) * PL_CODEC_MAP, back.data + n * PL_CODEC_MAP);
        for (size_t i = 0; maps && i < some * PL_CODEC_MAP; i++)
            maps[first * PL_CODEC_MAP + i] = (uint8_t)lrintf((fminf(fmaxf(back.data[i], -1), 1) + 1) * 127.5f);
    }
    return PALI_OK;
}

pali_status pl_codec_trainer_evaluate(pl_codec_trainer *t, double *overlap, pali_error *err)
{
    const size_t all = t->held_out.count, limit = t->options.validation_limit, count = limit ? pl_min(limit, all) : all;
    if (count == 0)
        return pl_fail(err, PALI_USAGE, "mask codec: found no masks to measure on, expected some in validation");
    double *overlaps = pl_new(count, sizeof *overlaps, "overlaps of masks", err), sum = 0;
    const pali_status status = overlaps ? pl_codec_trainer_show(t, count, NULL, overlaps, err) : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        sum += overlaps[i];
    free(overlaps);
    if (status != PALI_OK)
        return status;
    *overlap = sum / (double)count;
    t->run[RUN_BEST] = fmaxf(t->run[RUN_BEST], (float)*overlap);
    return status;
}

/* ---- State ------------------------------------------------------------- */

static void put_word(uint64_t word, float parts[WORD_PARTS])
{
    for (size_t i = 0; i < WORD_PARTS; i++)
        parts[i] = (float)(word >> (16 * i) & 0xffff);
}

static uint64_t get_word(const float parts[WORD_PARTS])
{
    uint64_t word = 0;
    for (size_t i = 0; i < WORD_PARTS; i++)
        word |= (uint64_t)parts[i] << (16 * i);
    return word;
}

enum { MOST_STATE = 4 + 3 * TENSORS };

/* All that a run goes on from; names [MOST_STATE] are owned by the optimiser's list in `moments`. */
static size_t list_state(pl_codec_trainer *t, pl_optimiser_tensor *moments, pl_state_tensor *list)
{
    pl_codec *codec = t->codec;
    size_t count = 0;
    list[count++] = (pl_state_tensor){.name = "run", .values = t->run, .rows = RUN_VALUES};
    list[count++] = (pl_state_tensor){.name = "codes", .values = (float *)codec->codes.data, .rows = PL_SEGMENT_CODES, .columns = codec->width};
    list[count++] = (pl_state_tensor){.name = "means", .values = codec->means, .rows = PL_SEGMENT_CODES, .columns = codec->width};
    list[count++] = (pl_state_tensor){.name = "weights", .values = codec->weights, .rows = PL_SEGMENT_CODES};
    for (size_t i = 0; i < TENSORS; i++)
        list[count++] = (pl_state_tensor){.name = t->trained[i].name, .values = t->trained[i].value, .rows = t->trained[i].rows, .columns = t->trained[i].columns};
    for (size_t i = 0; i < pl_optimiser_tensor_count(t->optimiser); i++) {
        moments[i] = pl_optimiser_tensor_at(t->optimiser, i);
        list[count++] = (pl_state_tensor){.name = moments[i].name, .values = moments[i].data, .rows = moments[i].rows, .columns = moments[i].columns};
    }
    return count;
}

/* Writes the state, or reads it. */
static pali_status exchange_state(pl_codec_trainer *t, bool write, pali_error *err)
{
    pl_state_tensor list[MOST_STATE];
    pl_optimiser_tensor *moments = pl_new(2 * TENSORS, sizeof *moments, "state of the mask codec", err);
    uint64_t bytes;
    uint32_t checksum;
    if (!moments)
        return PALI_MEMORY;
    const size_t count = list_state(t, moments, list);
    const pali_status status = write ? pl_state_write(t->state_path, list, count, &bytes, &checksum, err) : pl_state_read(t->state_path, list, count, err);
    free(moments);
    return status;
}

pali_status pl_codec_trainer_save(pl_codec_trainer *t, pali_error *err)
{
    put_word(t->identity, t->run);
    put_word(pl_codec_trainer_steps(t), t->run + WORD_PARTS);
    const pali_status status = exchange_state(t, true, err); /* first: a file without a state would be somebody else's */
    return status == PALI_OK ? pl_codec_save(t->codec, t->options.out, err) : status;
}

static pali_status go_on(pl_codec_trainer *t, pali_error *err)
{
    if (t->options.fresh || !pl_is_file(t->state_path))
        return PALI_OK;
    const pali_status status = exchange_state(t, false, err);
    if (status != PALI_OK)
        return status;
    if (get_word(t->run) != t->identity)
        return pl_fail(err, PALI_USAGE, "%s: found the state of a run with other settings or masks, expected those of this one; begin anew with resume=never and force=true", t->state_path);
    pl_optimiser_set_steps(t->optimiser, get_word(t->run + WORD_PARTS));
    pl_codec_measure_codes(t->codec);
    return PALI_OK;
}

/* ---- Opening ----------------------------------------------------------- */

/* Uniform within 1 / sqrt(what a value is made of), as PyTorch begins its convolutions; of transposed ones it takes what a value goes to. */
static void initialise(pl_codec_trainer *t)
{
    for (size_t i = 0; i < TENSORS; i++) {
        const pl_codec_layer *layer = &pl_codec_layers[i / 2];
        const pl_tensor *weight = &t->codec->layers[i / 2].map.weight;
        const double bound = 1 / sqrt((double)weight->shape[layer->transposed ? 0 : 1]);
        const uint64_t key = pl_random_key(pl_random_key(t->options.seed, pl_hash("codec", 5)), i);
        for (size_t j = 0; j < t->trained[i].count; j++)
            t->trained[i].value[j] = (float)((2 * pl_random_uniform(key, j) - 1) * bound);
    }
}

/* Lists the parameters; values are in the codec's block, by rising address. */
static pali_status list_parameters(pl_codec_trainer *t, pali_error *err)
{
    for (size_t i = 0; i < TENSORS; i++) {
        const pl_codec_layer *layer = &pl_codec_layers[i / 2];
        const pl_convolution *c = &t->codec->layers[i / 2];
        pl_trained *to = &t->trained[i];
        const size_t out = c->map.weight.shape[0] / (layer->transposed ? layer->kernel * layer->kernel : 1);
        *to = (pl_trained){.rows = i % 2 ? out : c->map.weight.shape[0], .columns = i % 2 ? 1 : c->map.weight.shape[1], .decays = i % 2 == 0 || t->options.biases_decay};
        to->value = i % 2 ? (float *)c->map.bias : (float *)c->map.weight.data;
        to->count = to->rows * to->columns;
        snprintf(to->name, sizeof to->name, "%s.%s", layer->name, i % 2 ? "bias" : "weight");
        t->gradient_count += to->count;
    }
    t->gradients = pl_new(t->gradient_count, sizeof *t->gradients, "gradients of the mask codec", err);
    if (!t->gradients)
        return PALI_MEMORY;
    for (size_t i = 0, at = 0; i < TENSORS; at += t->trained[i++].count) {
        t->trained[i].gradient = t->gradients + at;
        t->parameters[i] = (pl_parameter){.value = t->trained[i].value, .gradient = t->trained[i].gradient, .count = t->trained[i].count};
    }
    t->tape.parameters = t->parameters;
    t->tape.parameter_count = TENSORS;
    return PALI_OK;
}

/* Of everything that decides the bits of a run. */
static pali_status identify(pl_codec_trainer *t, pali_error *err)
{
    const pl_codec_options *o = &t->options;
    const pl_optimiser_options *m = &o->optimiser;
    pl_buffer text = {0};
    pali_status status = pl_buffer_printf(&text, err, "%llu %llu %zu %d %.17g %.17g %d %.17g %.17g %.17g %.17g %.17g %.17g %.17g %d %llu %llu %.17g %016llx %016llx", (unsigned long long)o->seed,
                                          (unsigned long long)o->steps, o->batch, o->biases_decay, o->commitment, o->wrong, (int)m->kind, m->beta1, m->beta2, m->eps, m->momentum, m->clip, o->rate.lr, o->rate.weight_decay,
                                          (int)o->rate.schedule.kind, (unsigned long long)o->rate.schedule.total, (unsigned long long)o->rate.schedule.warmup, o->rate.schedule.timescale,
                                          (unsigned long long)pl_mask_pool_hash(&t->masks), (unsigned long long)pl_hash_block(t->codec->block, t->codec->values * sizeof *t->codec->block));
    t->identity = status == PALI_OK ? pl_hash(text.data, text.length) : 0;
    free(text.data);
    return status;
}

static pali_status plan_memory(pl_codec_trainer *t, pali_error *err)
{
    t->arena = pl_arena_plan();
    pl_context ctx = context_of(t);
    ctx.tape = &t->tape;
    forward(t, &ctx, 0);
    pl_tape_backward(&ctx);
    if (t->held_out.count > 0) {
        ctx.tape = NULL;
        pl_arena_release(&t->arena, 0);
        come_back(t, &ctx, 0, t->options.batch);
    }
    const size_t bytes = t->arena.peak;
    pali_status status = ctx.failed ? pl_fail_memory(err, "mask codec", 0) : pl_arena_init(&t->arena, bytes, "activations of the mask codec", err);
    return status == PALI_OK ? pl_tape_reserve(&t->tape, t->tape.gradient_peak, err) : status;
}

static pali_status open_codec(pl_codec_trainer *t, pali_error *err)
{
    const pl_codec_options *o = &t->options;
    t->codec = o->begin ? pl_codec_open(o->begin, err) : pl_codec_new(&o->widths, o->out, err);
    if (!t->codec)
        return pl_status_of(err, PALI_MODEL);
    pali_status status = list_parameters(t, err);
    if (status == PALI_OK && o->begin)
        pl_codec_book_continue(t->codec);
    else if (status == PALI_OK)
        initialise(t);
    if (status == PALI_OK)
        status = identify(t, err);
    t->optimiser = status == PALI_OK ? pl_optimiser_new(&o->optimiser, t->trained, TENSORS, &t->options.rate, 1, err) : NULL;
    return status == PALI_OK && !t->optimiser ? pl_status_of(err, PALI_MEMORY) : status;
}

static pali_status check_options(const pl_codec_options *o, pali_error *err)
{
    for (size_t i = 0; i < 4 && !o->begin; i++)
        if (o->widths.channels[i] == 0 || o->widths.channels[i] > 4096)
            return pl_fail(err, PALI_USAGE, "mask codec: found %zu channels, expected 1 to 4096", o->widths.channels[i]);
    if (!o->begin && (o->widths.code == 0 || o->widths.code > 4096))
        return pl_fail(err, PALI_USAGE, "mask codec: found codes of %zu values, expected 1 to 4096", o->widths.code);
    if (o->batch < 4 || o->batch % 4 || o->batch > 65536)
        return pl_fail(err, PALI_USAGE, "mask codec: found a batch of %zu masks, expected a multiple of 4 up to 65536", o->batch);
    return PALI_OK;
}

pl_codec_trainer *pl_codec_trainer_open(const pl_codec_options *options, pali_error *err)
{
    if (check_options(options, err) != PALI_OK)
        return NULL;
    pl_codec_trainer *t = pl_new(1, sizeof *t, "training of the mask codec", err);
    if (!t)
        return NULL;
    t->options = *options;
    pl_tape_init(&t->tape);
    t->state_path = pl_format(err, "%s.state", options->out);
    pali_status status = t->state_path ? pl_mask_pool_read(&t->masks, options->data, options->data_count, options->skip_bad, &options->hands, err) : PALI_MEMORY;
    if (status == PALI_OK && options->validation_count)
        status = pl_mask_pool_read(&t->held_out, options->validation, options->validation_count, options->skip_bad, &options->hands, err);
    if (status == PALI_OK) {
        pl_schedule *schedule = &t->options.rate.schedule;
        if (t->options.steps == 0)
            t->options.steps = pl_schedule_steps(t->options.epochs, t->masks.count, t->options.batch);
        schedule->total = t->options.steps;
        schedule->warmup = pl_schedule_warmup(t->options.warmup, t->options.steps);
        status = open_codec(t, err);
    }
    if (status == PALI_OK)
        status = plan_memory(t, err);
    if (status == PALI_OK)
        status = go_on(t, err);
    if (status == PALI_OK)
        return t;
    pl_codec_trainer_free(t);
    return NULL;
}

void pl_codec_trainer_free(pl_codec_trainer *t)
{
    if (!t)
        return;
    pl_mask_pool_free(&t->masks);
    pl_mask_pool_free(&t->held_out);
    pl_codec_free(t->codec);
    pl_optimiser_free(t->optimiser);
    pl_tape_free(&t->tape);
    pl_arena_free(&t->arena);
    free(t->gradients);
    free(t->state_path);
    free(t);
}

uint64_t pl_codec_trainer_steps(const pl_codec_trainer *t)
{
    return pl_optimiser_steps(t->optimiser);
}

double pl_codec_trainer_best(const pl_codec_trainer *t)
{
    return (double)t->run[RUN_BEST];
}

uint64_t pl_codec_trainer_total(const pl_codec_trainer *t)
{
    return t->options.steps;
}

uint64_t pl_codec_trainer_trained(const pl_codec_trainer *t)
{
    return t->gradient_count;
}

const pl_mask_pool *pl_codec_trainer_held_out(const pl_codec_trainer *t)
{
    return &t->held_out;
}

const pl_mask_pool *pl_codec_trainer_masks(const pl_codec_trainer *t)
{
    return &t->masks;
}

size_t pl_codec_trainer_bytes(const pl_codec_trainer *t)
{
    return t->arena.size + t->tape.gradient_size;
}
